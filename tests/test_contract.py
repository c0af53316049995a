"""The promises of every part, from one table, through the package's own public checks.

The second half shows that the checks bite: for each promise a part that breaks it, most of them
mistakes that were really made somewhere.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from collaborative import Collaborative, CollaborativeUpwards
from conv_part import Conv, loudest
from texts import made_text
from torch import Generator, Tensor, nn

import onward
from onward import (
    BadInput,
    Classify,
    Clean,
    ForwardForward,
    Recurrent,
    RecurrentForwardForward,
    Regress,
    Streams,
    Sweep,
    build_row,
    generator,
    goodness,
    negatives,
    objectives,
    recipes,
    schedules,
    sgd,
)
from onward.algorithms import Sequences, UnsupervisedForwardForward
from onward.cells import (
    Adversarial,
    AutoEncoder,
    BehindBox,
    ConvAutoEncoder,
    ConvWinners,
    Corruption,
    Critic,
    Dense,
    LocalFields,
    Standardise,
    Untouched,
    black_box,
    lengths,
    noise,
    rms_by_place,
    sparsity,
)
from onward.cells.black_box import spikes
from onward.check import (
    BrokenPromise,
    check_algorithm,
    check_box,
    check_cell,
    check_goodness,
    check_named,
    check_negatives,
    check_objective,
    check_plan,
    check_schedule,
    check_scores,
    check_settings,
    check_task,
)
from onward.labels import appended
from onward.local import Algorithm
from onward.negatives import wrong_label
from onward.plan import Plan, Training
from onward.row import Row
from onward.schedules import Losses, Schedule, Stage, simultaneous
from onward.windows import spread

CLASSES, INPUTS = 4, 20


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def batch() -> tuple[Tensor, Tensor]:
    x = torch.rand(12, INPUTS, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(12) % CLASSES


def dense_row(inputs: int, peers: float = 0.0) -> list[nn.Module]:
    rng, sizes = generator(0, "cells"), (inputs, 16, 16, 16)
    return [Dense(a, b, peers=peers, rng=rng) for a, b in pairwise(sizes)]


def plan(algorithm: Algorithm | None = None, schedule: Schedule = simultaneous) -> Plan:
    rng = generator(0, "cells")
    algorithm = algorithm or ForwardForward(10, negatives=wrong_label)
    cells = [Dense(64, 20, rng=rng), Dense(20, 20, rng=rng)]
    row = build_row(cells, algorithm, sgd(1e-3), classes=10, readout=sgd(1e-2))
    return Plan(row, schedule, Training(epochs=2, batch=200))


def recurrent_cells(*sizes: int, **settings: Any) -> list[nn.Module]:
    rng = generator(0, "cells")
    return [
        Recurrent(*around, rng=rng, **settings)
        for around in zip(sizes, sizes[1:], sizes[2:], strict=False)
    ]


def recurrent_plan(sweep: Sweep = Sweep(), **settings: Any) -> Plan:  # noqa: B008
    algorithm = RecurrentForwardForward(10, sweep=sweep)
    cells = recurrent_cells(64, 20, 20, 10, **settings)
    row = build_row(cells, algorithm, sgd(1e-3), classes=10, readout=sgd(1e-2))
    return Plan(row, schedules.recurrent, Training(epochs=2, batch=200))


FF = partial(ForwardForward, CLASSES)
ALGORITHMS: dict[str, Algorithm] = {
    "forward-forward": FF(),
    "appended label": FF(writer=appended, label_value=2.0),
    "wrong labels": FF(negatives=wrong_label),
    "theta and temperature": FF(theta=3.0, temperature=0.5),
    **{name: FF(goodness=good) for name, good in goodness.BY_NAME.items()},
    "clean": Clean(),
    "collaborative, of a third party": Collaborative(CLASSES),
    "collaborative upwards, of a third party": CollaborativeUpwards(CLASSES),
    "collaborative": onward.Collaborative(CLASSES),
    "collaborative, earlier": onward.Collaborative(CLASSES, gamma="earlier", scale=0.5),
    "collaborative, none": onward.Collaborative(CLASSES, gamma="none"),
    "collaborative, entropy": onward.Collaborative(CLASSES, objective="entropy"),
    "hybrids": onward.HybridForwardForward(),
    "hybrids, another way": onward.HybridForwardForward(
        goodness=goodness.negative(goodness.mean_of_squares), blurs=2, padding="zero"
    ),
}
CELLS: dict[str, Callable[[], nn.Module]] = {
    **{
        f"dense {name}": partial(Dense, INPUTS, 16, normalise=normalise)
        for name, normalise in lengths.BY_NAME.items()
    },
    "dense with peers": partial(Dense, INPUTS, 16, peers=0.03),
    "dense that hears": partial(Dense, INPUTS, 16, hears=[1, 2]),
    "behind a black box": lambda: BehindBox(Dense(INPUTS, 16, peers=0.03), spikes, 1.0),
    "recurrent, nothing above": partial(Recurrent, INPUTS, 16, 9),
    "recurrent": partial(Recurrent, INPUTS - 9, 16, 9),
    "recurrent, joint, with peers": partial(Recurrent, INPUTS - 9, 16, 9, joint=True, peers=0.03),
}

IMAGES = (1, 8, 8)


def unsupervised(kind: str, number: int, shape: tuple[int, ...]) -> nn.Module:
    """Cell ``number`` of a row, of one kind, on samples of a shape."""
    rng, size = generator(0, "cells", number), math.prod(shape)
    corrupt = partial(Corruption, seed=1, number=number)
    makers: dict[str, Callable[[], nn.Module]] = {
        "auto-encoder": lambda: AutoEncoder(size, 12, rng=rng),
        "tied, l1": lambda: AutoEncoder(size, 12, tied=True, l1=0.1, rng=rng),
        **{
            f"denoising, {name}": lambda kind=kind: AutoEncoder(  # type: ignore[misc]
                size, 12, noise=corrupt(kind, 0.3), rng=rng
            )
            for name, kind in noise.BY_NAME.items()
        },
        "k-sparse": lambda: AutoEncoder(
            size, 12, sparsity=partial(sparsity.k_sparse, k=3), rng=rng
        ),
        "lifetime": lambda: AutoEncoder(size, 12, sparsity=sparsity.lifetime, rng=rng),
        "convolutional": lambda: ConvAutoEncoder(shape, 3, rng=rng),
        "convolutional, denoising": lambda: ConvAutoEncoder(
            shape, 3, noise=corrupt(noise.masking, 0.3), rng=rng
        ),
        "convolutional, map lifetime": lambda: ConvAutoEncoder(
            shape, 3, sparsity=sparsity.map_lifetime, rng=rng
        ),
        "convolutional winners": lambda: ConvWinners(
            shape, 3, kernel=3, decoder_kernel=5, rate=0.5, rng=rng
        ),
        "gan": lambda: Adversarial(AutoEncoder(size, 12, rng=rng), Critic(size, 6, rng)),
        "gan, lambda 0": lambda: Adversarial(
            AutoEncoder(size, 12, noise=corrupt(noise.gaussian, 0.3), rng=rng),
            Critic(size, 6, rng),
            weight=0.0,
        ),
        "convolutional gan": lambda: Adversarial(
            ConvAutoEncoder(shape, 3, rng=rng), Critic(size, 6, rng)
        ),
    }
    return makers[kind]()


def unsupervised_row(*kinds: str) -> list[nn.Module]:
    cells: list[nn.Module] = []
    shape: tuple[int, ...] = IMAGES
    for number, kind in enumerate(kinds):
        cells.append(unsupervised(kind, number, shape))
        shape = tuple(cells[-1](torch.zeros(2, *shape)).shape[1:])
    return cells


KINDS = (
    *("auto-encoder", "tied, l1", *(f"denoising, {name}" for name in noise.BY_NAME)),
    *("k-sparse", "lifetime", "convolutional", "convolutional, denoising"),
    *("convolutional, map lifetime", "convolutional winners"),
    *("gan", "gan, lambda 0", "convolutional gan"),
)
UNSUPERVISED: dict[str, tuple[str, ...]] = {
    **{kind: (kind,) * 2 for kind in KINDS},
    "of all kinds": (
        *("convolutional, denoising", "convolutional gan", "convolutional winners"),
        *("gan, lambda 0", "lifetime", "tied, l1"),
    ),
}
IMAGE_CELLS: dict[str, Callable[[], nn.Module]] = {
    **{kind: partial(unsupervised, kind, 0, IMAGES) for kind in KINDS},
    "on standardised samples": lambda: AutoEncoder(
        64, 12, normalise=Standardise(images()[0]), rng=generator(0, "cells")
    ),
    "on samples as they come": lambda: ConvAutoEncoder(
        IMAGES, 3, loss="bce", normalise=lengths.unchanged, rng=generator(0, "cells")
    ),
    "untouched": lambda: Untouched(64),
    "local fields": lambda: LocalFields(IMAGES, 3, 4, 2, peers=0.03),
    "local fields, truncated": lambda: LocalFields(IMAGES, 3, 3, truncated=True),
    "local fields, in tiles": lambda: LocalFields(IMAGES, 3, 4, 2, tile=2),
}


def images() -> tuple[Tensor, Tensor]:
    x = torch.rand(12, *IMAGES, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(12) % CLASSES


def image_cell_check(make: Callable[[], nn.Module]) -> list[str]:
    return check_cell(make(), IMAGES)


def unsupervised_check(name: str) -> list[str]:
    cells = partial(unsupervised_row, *UNSUPERVISED[name])
    return check_algorithm(UnsupervisedForwardForward(), cells, *images())


def restoring_check() -> list[str]:
    """Every cell restores the original sample."""

    def cells() -> list[nn.Module]:
        rng = generator(0, "cells")
        second = AutoEncoder(12, 9, restores=64, rng=rng)
        return [
            AutoEncoder(64, 12, rng=rng),
            Adversarial(second, Critic(64, 6, rng)),
            ConvAutoEncoder((1, 3, 3), 2, restores=IMAGES, rng=rng),
        ]

    return check_algorithm(UnsupervisedForwardForward("original"), cells, *images())


def local_fields_check(algorithm: Algorithm) -> list[str]:
    def cells() -> list[nn.Module]:
        rng = generator(0, "cells")
        return [
            LocalFields(IMAGES, 3, 3, truncated=True, peers=0.03, rng=rng),
            LocalFields((3, 8, 8), 4, 4, 2, normalise=rms_by_place, rng=rng),
            LocalFields((4, 3, 3), 5, 2, peers=0.03, rng=rng),
        ]

    return check_algorithm(algorithm, cells, *images())


def algorithm_check(algorithm: Algorithm, peers: float) -> list[str]:
    x, y = batch()
    entering = algorithm.view(x, y)[0].numel()
    return check_algorithm(algorithm, lambda: dense_row(entering, peers), x, y)


def sequences(rollout: bool) -> Sequences:
    """Windows of 4 symbols of 5; roll-outs of 6 more."""
    if not rollout:
        return Sequences(CLASSES + 1)
    made = torch.randint(0, CLASSES + 1, (3, 10), generator=torch.Generator().manual_seed(1))
    return Sequences(CLASSES + 1, strings=made, every=6)


def sequences_check(rollout: bool, peers: float) -> list[str]:
    symbols = torch.randint(0, 5, (12, 5), generator=torch.Generator().manual_seed(0))
    x, y = spread(symbols[:, :4], 5), symbols[:, 4]
    return check_algorithm(sequences(rollout), lambda: dense_row(INPUTS, peers), x, y)


def separated_plan(**more: Any) -> Plan:
    """Phases of 2 steps, of which an epoch has 3."""
    schedule = partial(schedules.separated, length=2)
    return plan(ForwardForward(10, negatives=wrong_label, **more), schedule)


def recipe_check(name: str, **changes: Any) -> list[str]:
    recipe = recipes.find(name)
    changed = replace(recipe, defaults=replace(recipe.defaults, **changes))
    text = made_text() if name == "ff-aesop" else None
    return check_settings(changed, text)


def recurrent_check(sweep: Sweep, **settings: Any) -> list[str]:
    algorithm = RecurrentForwardForward(CLASSES, sweep=sweep)
    return check_algorithm(
        algorithm, lambda: recurrent_cells(INPUTS, 16, 14, 12, CLASSES, **settings), *batch()
    )


def different() -> list[str]:
    """Recipes, without those that are another one on other data: all are tried on made data."""
    known: dict[tuple[Any, str], str] = {}
    for name in recipes.NAMES:
        recipe = recipes.find(name)
        known.setdefault((recipe.build, repr(replace(recipe.defaults, dataset=""))), name)
    return list(known.values())


TABLE: dict[str, Callable[[], list[str]]] = {
    **{f"goodness {n}": partial(check_goodness, g) for n, g in goodness.BY_NAME.items()},
    "goodness top 3": partial(check_goodness, partial(goodness.top_k, k=3)),
    **{f"negatives {n}": partial(check_negatives, s) for n, s in negatives.BY_NAME.items()},
    **{
        f"negatives {n}, three classes": partial(check_negatives, s, classes=3)
        for n, s in negatives.BY_NAME.items()
    },
    **{f"objective {n}": partial(check_objective, o) for n, o in objectives.BY_NAME.items()},
    **{f"black box {n}": partial(check_box, b) for n, b in black_box.BY_NAME.items()},
    **{f"cell {n}": lambda make=make: check_cell(make(), (INPUTS,)) for n, make in CELLS.items()},  # type: ignore[misc]
    **{
        f"algorithm {n}, peers {peers}": partial(algorithm_check, algorithm, peers)
        for n, algorithm in ALGORITHMS.items()
        for peers in (0.0, 0.03)
    },
    "task classify": partial(check_task, Classify(), 4),
    "task regress": partial(check_task, Regress(torch.tensor([90.0, 110.0, 250.0])), 1),
    **{
        f"schedule {n}": partial(check_schedule, s, recurrent_plan if n == "recurrent" else plan)
        for n, s in schedules.BY_NAME.items()
    },
    "schedule frozen, recurrent cells": partial(check_schedule, schedules.frozen, recurrent_plan),
    "algorithm recurrent": partial(recurrent_check, Sweep()),
    "algorithm recurrent, joint, with peers": partial(
        recurrent_check, Sweep(), joint=True, peers=0.03
    ),
    "algorithm recurrent, every step, damped": partial(
        recurrent_check, Sweep(4, 0.5, (1, 4), (1, 2), damped=True)
    ),
    "a recurrent run by autograd": partial(
        check_plan, partial(recurrent_plan, Sweep(damped=True), joint=True, peers=0.03)
    ),
    "schedule greedy, stored on disk": partial(
        check_schedule, partial(schedules.greedy, budget=0.0), plan
    ),
    "a run with hard negatives": partial(check_plan, lambda: plan(ForwardForward(10))),
    "a collaborative run": partial(check_plan, lambda: plan(onward.Collaborative(10))),
    "a third party's collaborative run": partial(check_plan, lambda: plan(Collaborative(10))),
    **{f"cell {n}": partial(image_cell_check, make) for n, make in IMAGE_CELLS.items()},
    **{f"unsupervised, {n}": partial(unsupervised_check, n) for n in UNSUPERVISED},
    "unsupervised, restoring the original": restoring_check,
    "local fields, hybrids": partial(local_fields_check, onward.HybridForwardForward()),
    "local fields, labels": partial(local_fields_check, FF(negatives=wrong_label)),
    "a run on hybrids": partial(check_plan, lambda: plan(onward.HybridForwardForward())),
    "a clean run": partial(check_plan, lambda: plan(Clean(), schedules.backprop)),
    **{
        f"algorithm sequences, {'rollout' if rollout else 'predicted'}, peers {peers}": partial(
            sequences_check, rollout, peers
        )
        for rollout in (False, True)
        for peers in (0.0, 0.03)
    },
    "schedule separated, within an epoch": partial(check_plan, separated_plan),
    "schedule separated, collaborative": partial(
        check_plan,
        lambda: plan(onward.Collaborative(10), partial(schedules.separated, length=2)),
    ),
    "recipe ff-aesop, rollout": partial(recipe_check, "ff-aesop", negatives="rollout"),
    "recipe ff-aesop, rollout, separated": partial(
        partial(recipe_check, "ff-aesop", negatives="rollout", phases="separated"),
        objective="logistic",
        temperature=1.0,
        phase_length=5,
    ),
    "recipe ff-blackbox-mnist, steps": partial(
        recipe_check, "ff-blackbox-mnist", box="steps", level=0.5
    ),
    "recipe ff-blackbox-mnist, backprop": partial(
        recipe_check, "ff-blackbox-mnist", regime="backprop"
    ),
    "recipe ff-aesop, frozen": partial(recipe_check, "ff-aesop", regime="frozen"),
    "recipe ff-aesop, backprop": partial(recipe_check, "ff-aesop", regime="backprop"),
    **{f"recipe {n}": partial(recipe_check, n) for n in different()},
}


@pytest.mark.parametrize("part", TABLE)
def test_promises_are_kept(part: str) -> None:
    assert TABLE[part]()


def test_a_third_partys_parts_keep_them_too() -> None:
    """A convolutional cell with its own normalisation, and a goodness, from one file."""
    promised = check_named("conv_part:cell", (1, 8, 8))
    assert "it ignores the scale of its input" in promised
    assert check_named("conv_part:loudest")
    x = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    algorithm = ForwardForward(CLASSES, goodness=loudest)
    y = torch.arange(12) % CLASSES
    assert check_algorithm(algorithm, lambda: [Conv(1, 4), Conv(4, 6), Conv(6, 8)], x, y)

    def convolutional() -> Plan:
        row = build_row(
            [Conv(1, 4), Conv(4, 6)],
            ForwardForward(10, goodness=loudest, negatives=wrong_label),
            sgd(1e-3),
            widths=[4 * 16, 6 * 4],
            classes=10,
            readout=sgd(1e-2),
        )
        return Plan(row, schedules.greedy, Training(epochs=1, batch=200))

    assert check_plan(convolutional)


# The checks bite.


@pytest.mark.parametrize("name", ALGORITHMS)
def test_without_the_wall(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onward.local.wall", lambda outs: outs)
    with pytest.raises(BrokenPromise, match="no gradient path leaves a cell"):
        algorithm_check(ALGORITHMS[name], 0.0)


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_unsupervised_cells_without_the_wall(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onward.local.wall", lambda outs: outs)
    with pytest.raises(BrokenPromise, match="no gradient path leaves a cell"):
        unsupervised_check(name)


def test_a_generator_that_moves_the_critic_of_another_cell() -> None:
    def cells() -> list[nn.Module]:
        rng = generator(0, "cells")
        shared = Critic(64, 6, rng)
        return [
            Adversarial(AutoEncoder(64, 64, rng=rng), shared),
            Adversarial(AutoEncoder(64, 12, rng=rng), shared),
        ]

    with pytest.raises(BrokenPromise, match="only cell 0 moves"):
        check_algorithm(UnsupervisedForwardForward(), cells, *images())


def test_a_cell_placed_twice() -> None:
    x, y = batch()

    def cells() -> list[nn.Module]:
        first, shared, _ = dense_row(INPUTS)
        return [first, shared, shared]

    with pytest.raises(BrokenPromise, match="only cell 1 moves"):
        check_algorithm(FF(), cells, x, y)


def test_a_weight_shared_by_two_cells() -> None:
    x, y = batch()

    def cells() -> list[nn.Module]:
        row = dense_row(INPUTS)
        row[2].linear.weight = row[1].linear.weight  # type: ignore[union-attr]
        return row

    with pytest.raises(BrokenPromise, match="only cell 1 moves"):
        check_algorithm(FF(), cells, x, y)


def test_cells_that_are_not_the_same_from_the_same_seed() -> None:
    x, y = batch()
    row: list[int] = []

    def cells() -> list[nn.Module]:
        row.append(0)
        return [Dense(INPUTS, 16, rng=generator(len(row), "cells"))]

    with pytest.raises(BrokenPromise, match="same seed, same bits"):
        check_algorithm(FF(), cells, x, y)


def test_hints_that_are_not_detached() -> None:
    class Leaky(Collaborative):
        def tell(self, outs: Streams) -> Tensor:
            return self.goodness(outs.rows)

    with pytest.raises(BrokenPromise, match="is detached"):
        algorithm_check(Leaky(CLASSES), 0.0)


def test_streams_that_are_not_as_many_as_said() -> None:
    """What a run costs, and what passes between cells, is counted by it."""

    class Alone(UnsupervisedForwardForward):
        def streams(
            self, x: Tensor, y: Tensor, rng: Generator, scores: Tensor | None = None
        ) -> Streams:
            return Streams(x.repeat(2, 1, 1, 1), 2)

    x, y = images()

    def cells() -> list[nn.Module]:
        return [AutoEncoder(64, 12, rng=generator(0, "cells"))]

    with pytest.raises(BrokenPromise, match="count is the streams there are, 2, and says 1"):
        check_algorithm(Alone(), cells, x, y)


def test_a_loss_that_reaches_into_another_cell() -> None:
    """Here by way of a cell's own memory, past the wall between them."""
    row: list[nn.Module] = []

    class Reaching(ForwardForward):
        def losses(
            self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
        ) -> Iterator[tuple[str, Tensor]]:
            at = row.index(cell)
            above = row[at + 1](outs.rows) if at + 1 < len(row) else outs.rows
            yield "cell", self.goodness(above).mean()

    x, y = batch()

    def cells() -> list[nn.Module]:
        row[:] = dense_row(INPUTS)
        return row

    with pytest.raises(BrokenPromise, match="no gradient of cell 0 reaches"):
        check_algorithm(Reaching(CLASSES), cells, x, y)


def centred(h: Tensor) -> Tensor:
    flat = h.flatten(1)
    return (flat - flat.mean(0)).square().sum(1)


def by_place(h: Tensor) -> Tensor:
    return h.flatten(1).sum(1) * torch.arange(1.0, 1 + len(h))


BAD_GOODNESS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "centred over the batch": (centred, "rest of the batch"),
    "by a sample's place": (by_place, "permuting samples"),
    "one number a batch": (lambda h: h.square().sum(), r"g \(6,\)"),
    "one number a unit": (lambda h: h.flatten(1).square(), r"g \(6,\)"),
    "infinite": (lambda h: h.flatten(1).sum(1) / 0, "finite"),
    "without a gradient": (lambda h: (h.flatten(1) > 0.5).float().sum(1) + 0 * h.sum(), "gradient"),
}


@pytest.mark.parametrize("name", BAD_GOODNESS)
def test_a_goodness_that_is_none(name: str) -> None:
    bad, promise = BAD_GOODNESS[name]
    with pytest.raises(BrokenPromise, match=promise):
        check_goodness(bad)


def permuted(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
    """As in several reimplementations: about one in ten keeps its true label."""
    return y[torch.randperm(len(y), generator=rng)]


def forgetful(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
    return (y + torch.randint(1, classes, y.shape)) % classes


def fixed(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
    return (y + 1) % classes


def beyond(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
    return y + torch.randint(1, classes, y.shape, generator=rng)


@pytest.mark.parametrize(
    ("sampler", "promise"),
    [
        (permuted, "never carries the true label"),
        (forgetful, "same seed, same bits"),
        (fixed, "change with the generator"),
        (beyond, r"labels are in 0\.\.4"),
    ],
)
def test_negatives_that_are_none(sampler: negatives.Negatives, promise: str) -> None:
    with pytest.raises(BrokenPromise, match=promise):
        check_negatives(sampler)


def upside_down(g: Tensor, theta: float, temperature: float) -> Tensor:
    return objectives.logistic(g.flip(0), theta, temperature)


def each_row(g: Tensor, theta: float, temperature: float) -> Tensor:
    return (theta - g).relu()


def likelihood(g: Tensor, theta: float, temperature: float) -> Tensor:
    """Written out: infinite where a row is far on the wrong side."""
    p = torch.sigmoid((g - theta) / temperature)
    right, wrong = p.chunk(2)
    return -(right.log().mean() + (1 - wrong).log().mean())


def positives_only(g: Tensor, theta: float, temperature: float) -> Tensor:
    return (theta - g.chunk(2)[0]).relu().mean() + 0 * g.sum()


@pytest.mark.parametrize(
    ("objective", "promise"),
    [
        (upside_down, "louder positives make it smaller"),
        (each_row, r"g \[2B\] -> one number; came \(1000,\)"),
        (likelihood, "it is finite, far away too"),
        (positives_only, "quieter negatives make it smaller"),
    ],
)
def test_objectives_that_are_none(objective: objectives.Objective, promise: str) -> None:
    with pytest.raises(BrokenPromise, match=promise):
        check_objective(objective)


def drawing_its_own(x: Tensor, u: Tensor, level: float) -> Tensor:
    return x + level * torch.rand_like(x)


def of_the_batch(x: Tensor, u: Tensor, level: float) -> Tensor:
    return x - x.mean(0)


def halved(x: Tensor, u: Tensor, level: float) -> Tensor:
    return x[:, ::2]


def in_place(x: Tensor, u: Tensor, level: float) -> Tensor:
    return x.clamp_(min=0)


@pytest.mark.parametrize(
    ("box", "promise"),
    [
        (drawing_its_own, "draw none of its own"),
        (of_the_batch, "does not depend on the rest of the batch"),
        (halved, r"y \[B, D\]; came \(6, 10\)"),
        (in_place, "nothing is written into"),
    ],
)
def test_boxes_that_are_none(box: black_box.Box, promise: str) -> None:
    with pytest.raises(BrokenPromise, match=promise):
        check_box(box)


def test_objectives_and_boxes_are_checked_by_name() -> None:
    assert "quieter negatives make it smaller" in check_named("onward.objectives:symba")
    assert "the same noise, the same answer" in check_named("onward.cells.black_box:steps")


class Listed(nn.Module):
    """Weights in a plain list: torch neither saves nor moves nor trains them."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [nn.Parameter(torch.rand(INPUTS, 5))]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights[0]


class ListedModules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = {"all": [nn.Linear(INPUTS, 5)]}

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.parts["all"][0](x))


class Remembering(nn.Module):
    """Keeps its last answer, which decides nothing: that is no state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(INPUTS, 5)

    def forward(self, x: Tensor) -> Tensor:
        self.last = torch.as_tensor(self.linear(x))
        return self.last


class OneGroup(nn.Module):
    """Two weights, of which its optimiser would be told of one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(INPUTS, 5), nn.Linear(5, 5)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"cell": list(self.one.parameters())}

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.other(self.one(x)))


class NoisyAnswer(nn.Module):
    """Hands on what it was corrupted by in training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.noise = nn.Linear(INPUTS, 5), Corruption(noise.gaussian, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.linear(self.noise(x)))


class ClaimsScale(nn.Module):
    """Says it normalises, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = lengths.rms
        self.linear = nn.Linear(INPUTS, 5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.linear(x))


BAD_CELLS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "weights in a list": (Listed, "all in its state_dict"),
    "modules in a list": (ListedModules, "all in its state_dict"),
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(INPUTS, 5), nn.BatchNorm1d(5)),
        "rest of the batch",
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(INPUTS, 50), nn.Dropout(0.5)), "the same answer"),
    "a weight in no group": (OneGroup, "in a group; not other.weight, other.bias"),
    "noise on what is handed on": (NoisyAnswer, "the same input, the same answer"),
    "no normalisation": (ClaimsScale, "ignores the scale"),
}


@pytest.mark.parametrize("name", BAD_CELLS)
def test_a_cell_that_breaks_a_promise(name: str) -> None:
    make, promise = BAD_CELLS[name]
    with pytest.raises(BrokenPromise, match=promise):
        check_cell(make(), (INPUTS,))


def test_a_cell_that_keeps_its_last_answer_is_fine() -> None:
    assert check_cell(Remembering(), (INPUTS,))


def test_scores_that_depend_on_the_batch() -> None:
    class Centred(Dense):
        def forward(self, x: Tensor) -> Tensor:
            h = super().forward(x)
            return torch.relu(h - h.mean(0))

    row = build_row([Centred(INPUTS, 16), Dense(16, 16)], FF(), sgd(0.1))
    with pytest.raises(BrokenPromise, match="a score does not depend on the batch"):
        check_scores(row, batch()[0])


@dataclass(frozen=True)
class Wrapped:
    """A schedule around *greedy* whose every step is followed by something it must not do."""

    naughty: Callable[[Row, int], None]

    def __call__(self, row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
        for number, stage in enumerate(schedules.greedy(row, x, y, rng)):

            def step(index: Tensor, stage: Stage = stage, number: int = number) -> Losses:
                losses = stage.step(index)
                self.naughty(row, number)
                return losses

            yield Stage(stage.name, stage.stations, step, stage.trained, stage.passes, 0)


def move_a_later_cell(row: Row, number: int) -> None:
    for cell in row.cells[number + 1 :]:
        for parameter in cell.parameters():
            parameter.data.mul_(0.9)


def jitter(row: Row, number: int) -> None:
    for cell in row.cells[number : number + 1]:
        for parameter in cell.parameters():
            parameter.data.add_(0.01 * torch.rand(parameter.shape))


class Counting:
    """Does another thing from its fifth step on, and does not say so in any checkpoint."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, row: Row, number: int) -> None:
        self.steps += 1
        for cell in row.cells[number : number + 1]:
            for parameter in cell.parameters():
                parameter.data.mul_(1 - 0.01 * (self.steps > 5))


@pytest.mark.parametrize(
    ("naughty", "promise"),
    [
        (lambda: move_a_later_cell, "cell-1 moved in the stage cell-0 of others"),
        (lambda: jitter, "same seed, same bits"),
        (lambda: Counting(), "a resumed run equals one never interrupted"),
    ],
)
def test_a_schedule_that_breaks_a_promise(
    naughty: Callable[[], Callable[[Row, int], None]], promise: str
) -> None:
    def fresh(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
        return Wrapped(naughty())(row, x, y, rng)

    with pytest.raises(BrokenPromise, match=promise):
        check_schedule(fresh, plan)


def test_a_recipe_that_swallows_unknown_settings() -> None:
    ff = recipes.find("ff-digits")

    @dataclass(frozen=True)
    class Anything:
        dataset: str = "digits"

        def __init__(self, dataset: str = "digits", **others: Any) -> None:
            object.__setattr__(self, "dataset", dataset)

    loose = recipes.Recipe("loose", ff.claim, ff.source, Anything(), ff.build)
    with pytest.raises(BrokenPromise, match="unknown settings are refused"):
        check_settings(loose)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("conv_part", "named module:attribute"),
        ("conv_part:nothing", "could not be imported"),
        ("no_such_module:cell", "could not be imported"),
        ("conv_part:cell", "say the shape of one input"),
        ("onward.cells.lengths:TINY", "is a float"),
    ],
)
def test_names_that_cannot_be_checked(name: str, wanted: str) -> None:
    with pytest.raises(BadInput, match=wanted):
        check_named(name)
