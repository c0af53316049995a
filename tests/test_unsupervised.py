"""Unsupervised Forward-Forward: both regimes against plain loops, its controls and its costs.

The loops own their weights, losses and AdamW, in double precision; of the package they use how
noise is drawn. Names in brackets (UFF-T1, ...) are those of the acceptance tests of the paper's
digest. B = samples of a batch, N = training samples.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    conv2d,
    cross_entropy,
    interpolate,
    max_pool2d,
    mse_loss,
)

import onward
from onward import BadInput, adamw, build_row, generator, local, readouts
from onward.algorithms import UnsupervisedForwardForward
from onward.cells import (
    Adversarial,
    AutoEncoder,
    ConvAutoEncoder,
    ConvWinners,
    Corruption,
    Critic,
    Dense,
    Untouched,
    layer_norm,
    unchanged,
)
from onward.cells.noise import gaussian, masking
from onward.check import check_plan
from onward.data import Dataset, Split
from onward.local import Station, Streams
from onward.plan import Machine, Plan
from onward.progress import Silent
from onward.readouts import LinearReadout
from onward.recipes.unsupervised import UnsupervisedSettings, build
from onward.row import Row, groups
from onward.run import Interrupted, Run
from onward.schedules import Schedule, greedy, simultaneous
from onward.train import fit, new_record

CLASSES, SHAPE, SAMPLES, BATCH = 3, (1, 4, 4), 24, 6
RATE, DECAY = 0.01, 0.1
REGIMES: dict[str, Schedule] = {"simultaneous": simultaneous, "separate": greedy}


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def made() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(SAMPLES, *SHAPE, generator=rng, dtype=torch.float64)
    return x, torch.arange(SAMPLES) % CLASSES


def batches(epochs: int = 1, stage: int = 0) -> Iterator[Tensor]:
    """In the order in which a run with seed 0 takes them."""
    for epoch in range(epochs):
        order = generator(0, "order", stage, epoch)
        yield from torch.randperm(SAMPLES, generator=order).view(-1, BATCH)


# Rows of every kind: the first cell sees samples as they are, later ones layer-normed latents.


def dense(original: bool, **options: Any) -> list[nn.Module]:
    rng, whole = generator(0, "cells"), 16 if original else None
    return [
        AutoEncoder(16, 7, normalise=unchanged, rng=rng, **options),
        AutoEncoder(7, 6, restores=whole, rng=rng, **options),
        AutoEncoder(6, 5, restores=whole, rng=rng, **options),
    ]


def denoising(original: bool) -> list[nn.Module]:
    cells = dense(original)
    for number, cell in enumerate(cells):
        assert isinstance(cell, AutoEncoder)
        cell.noise = Corruption(gaussian, 0.5, seed=1, number=number)
    return cells


def mixed(original: bool) -> list[nn.Module]:
    """Maps, then rows, then maps again."""
    rng = generator(0, "cells")
    images, whole = (SHAPE, 16) if original else (None, None)
    return [
        ConvAutoEncoder(SHAPE, 3, normalise=unchanged, rng=rng),
        AutoEncoder(12, 8, restores=whole, rng=rng),
        ConvAutoEncoder((2, 2, 2), 3, pool=1, restores=images, rng=rng),
    ]


def adversarial(original: bool) -> list[nn.Module]:
    rng = generator(1, "cells")
    cells = dense(original)[:2]
    sizes = (16, 16) if original else (16, 7)
    return [
        Adversarial(cell, Critic(size, 4, rng=rng), 0.5)
        for cell, size in zip(cells, sizes, strict=True)
        if isinstance(cell, AutoEncoder)
    ]


def winners(original: bool) -> list[nn.Module]:
    rng = generator(0, "cells")
    assert not original
    first = ConvWinners(SHAPE, 3, kernel=3, decoder_kernel=5, rate=0.5, pool=1, stride=1, rng=rng)
    return [first, ConvWinners(first.maps, 4, kernel=3, decoder_kernel=3, rate=0.5, rng=rng)]


Cells = Callable[[bool], list[nn.Module]]
LOOPED: dict[str, Cells] = {
    "dense": dense,
    "denoising": denoising,
    "mixed": mixed,
    "adversarial": adversarial,
}
ROWS: dict[str, Cells] = {**LOOPED, "winners": winners}


def row_of(cells: Cells, target: str = "own", read: list[int] | None = None) -> Row:
    made = cells(target == "original")
    optimizer = adamw(RATE, decay=DECAY)
    row = build_row(
        made,
        UnsupervisedForwardForward(target),  # type: ignore[arg-type]
        optimizer,
        classes=CLASSES,
        readout=optimizer,
        read=range(len(made)) if read is None else read,
        head=partial(LinearReadout, normalise=layer_norm, bias=True),
    )
    for station in row.everyone:
        station.cell.double()
    return row


def trained(schedule: Schedule, row: Row, epochs: int = 1, y: Tensor | None = None) -> Row:
    x, labels = made()
    stages = schedule(row, x, labels if y is None else y, generator(0, "negatives"))
    for number, stage in enumerate(stages):
        for index in batches(epochs, number):
            stage.step(index)
    return row


# The plain loops.


class Adam:
    """AdamW written out: decay on matrices only, never on biases."""

    def __init__(self, parameters: list[Tensor]):
        self.parameters, self.steps = parameters, 0
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]

    def descend(self, loss: Tensor, retain: bool = False) -> None:
        gradients = torch.autograd.grad(loss, self.parameters, retain_graph=retain)
        self.steps += 1
        with torch.no_grad():
            for p, m, v, g in zip(self.parameters, self.first, self.second, gradients, strict=True):
                if p.dim() > 1:
                    p *= 1 - RATE * DECAY
                m.copy_(0.9 * m + 0.1 * g)
                v.copy_(0.999 * v + 0.001 * g * g)
                mean, square = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
                p -= RATE * mean / (square.sqrt() + 1e-8)


def twins(*layers: nn.Module) -> list[Tensor]:
    return [p.detach().clone().requires_grad_() for m in layers for p in m.parameters()]


def normed(x: Tensor) -> Tensor:
    flat = x.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    return (centred / (centred.square().mean(1, keepdim=True) + 1e-8).sqrt()).view(x.shape)


class Plain:
    """An auto-encoder of some kind, kept apart from the cell that it was started from."""

    def __init__(self, cell: nn.Module):
        body = cell.generator if isinstance(cell, Adversarial) else cell
        assert isinstance(body, AutoEncoder | ConvAutoEncoder)
        assert body.decoder is not None
        self.normalise = as_it_is if body.normalise is unchanged else normed
        self.noise, self.steps = body.noise, 0
        self.image = (body.shape, body.restores) if isinstance(body, ConvAutoEncoder) else None
        self.pool = body.pool if isinstance(body, ConvAutoEncoder) else 1
        self.parameters = twins(body.encoder, body.decoder)
        self.adam = Adam(self.parameters)
        self.critic: list[Tensor] = []
        if isinstance(cell, Adversarial):
            self.critic, self.weight = twins(cell.critic), cell.weight
            self.judge = Adam(self.critic)

    def seen(self, x: Tensor) -> Tensor:
        shape = self.image[0] if self.image else (-1,)
        return self.normalise(x).reshape(len(x), *shape)

    def encode(self, seen: Tensor) -> Tensor:
        weight, bias = self.parameters[:2]
        if self.image is None:
            return (seen @ weight.T + bias).relu()
        maps = conv2d(seen, weight, bias, padding=1).relu()
        return max_pool2d(maps, self.pool)

    def latent(self, x: Tensor) -> Tensor:
        return self.encode(self.seen(x)).detach()

    def learn(self, x: Tensor, original: Tensor | None) -> None:
        seen = self.seen(x)
        entered = seen
        if self.noise is not None:
            source = generator(self.noise.seed, "noise", self.noise.number, self.steps)
            drawn = torch.randn(seen.shape, generator=source, dtype=torch.float64)
            entered, self.steps = seen + self.noise.level * drawn, self.steps + 1
        z, (_, _, weight, bias) = self.encode(entered), self.parameters
        if self.image is None:
            answer = z @ weight.T + bias
        else:
            answer = conv2d(interpolate(z, size=self.image[1][1:]), weight, bias, padding=1)
        wanted = (seen if original is None else original).reshape(answer.shape)
        loss = mse_loss(answer, wanted)
        if self.critic:
            true, false = torch.ones(len(x)).double(), torch.zeros(len(x)).double()
            judged = binary_cross_entropy_with_logits(self.logits(wanted), true)
            judged = judged + binary_cross_entropy_with_logits(self.logits(answer.detach()), false)
            self.judge.descend(judged)
            fooled = binary_cross_entropy_with_logits(self.logits(answer), true)
            loss = fooled + self.weight * loss
        self.adam.descend(loss)

    def logits(self, samples: Tensor) -> Tensor:
        one, bias, last, offset = self.critic
        hidden = samples @ one.T + bias
        return (torch.where(hidden > 0, hidden, 0.2 * hidden) @ last.T + offset)[:, 0]


def as_it_is(x: Tensor) -> Tensor:
    return x


class Head:
    """A softmax on the latents of the cells ``read``, side by side."""

    def __init__(self, row: Row):
        linear = row.linear()
        assert linear is not None
        self.read, self.parameters = linear.read, twins(linear)
        self.adam = Adam(self.parameters)

    def learn(self, latents: list[Tensor], y: Tensor) -> None:
        features = torch.cat([normed(latents[i].flatten(1)) for i in self.read], dim=1)
        weight, bias = self.parameters
        self.adam.descend(cross_entropy(features @ weight.T + bias, y))


Loop = tuple[list[Plain], Head]


def loop_simultaneous(row: Row, order: list[Tensor], *, after: bool = False) -> Loop:
    """``after``: hand on latents from after a cell's step, which the schedule must not."""
    x, y = made()
    cells, head = [Plain(cell) for cell in row.cells], Head(row)
    for index in order:
        h, latents = x[index], []
        for cell in cells:
            z = cell.latent(h)
            cell.learn(h, x[index] if row.algorithm.originals else None)
            h = cell.latent(h) if after else z
            latents.append(h)
        head.learn(latents, y[index])
    return cells, head


def loop_separate(row: Row, epochs: int = 1) -> Loop:
    x, y = made()
    cells, head = [Plain(cell) for cell in row.cells], Head(row)
    source, latents = x, []
    for number, cell in enumerate(cells):
        for index in batches(epochs, number):
            cell.learn(source[index], x[index] if row.algorithm.originals else None)
        source = cell.latent(source)
        latents.append(source)
    for index in batches(epochs, len(cells)):
        head.learn([z[index] for z in latents], y[index])
    return cells, head


def assert_like(row: Row, loop: Loop) -> None:
    cells, head = loop
    linear = row.linear()
    assert linear is not None
    for number, (cell, plain) in enumerate(zip(row.cells, cells, strict=True)):
        wanted = [*plain.parameters, *plain.critic]
        for came, other in zip(cell.parameters(), wanted, strict=True):
            torch.testing.assert_close(came, other, rtol=0, atol=1e-10, msg=f"cell {number}")
    for came, other in zip(linear.parameters(), head.parameters, strict=True):
        torch.testing.assert_close(came, other, rtol=0, atol=1e-10, msg="readout")


@pytest.mark.parametrize("target", ["own", "original"])
@pytest.mark.parametrize("name", LOOPED)
def test_simultaneous_equals_the_loop(name: str, target: str) -> None:
    row = row_of(LOOPED[name], target)
    drawn = copy.deepcopy(row)
    loop = loop_simultaneous(row, list(batches()))
    late = loop_simultaneous(row, list(batches()), after=True)
    assert_like(trained(simultaneous, row), loop)
    for one, other in zip(row.everyone, drawn.everyone, strict=True):
        assert all(map(differ, one.cell.parameters(), other.cell.parameters())), one.name
    way = loop[0][1].parameters[0] - late[0][1].parameters[0]
    assert float(way.detach().abs().max()) > 1e-6, "before or after makes no odds here"


@pytest.mark.parametrize("target", ["own", "original"])
@pytest.mark.parametrize("name", LOOPED)
def test_separate_equals_the_loop(name: str, target: str) -> None:
    row = row_of(LOOPED[name], target)
    loop = loop_separate(row)
    assert_like(trained(greedy, row), loop)


def differ(one: Tensor, other: Tensor) -> bool:
    return not torch.equal(one, other)


@pytest.mark.parametrize("read", [[0, 1, 2], [2], [0, 2], [1]])
@pytest.mark.parametrize("regime", REGIMES)
def test_the_readout_reads_all_cells_the_last_or_some(regime: str, read: list[int]) -> None:
    row = row_of(mixed, read=read)
    loops = {"simultaneous": lambda: loop_simultaneous(row, list(batches()))}
    loop = loops.get(regime, lambda: loop_separate(row))()
    assert_like(trained(REGIMES[regime], row), loop)
    linear = row.linear()
    assert linear is not None
    sizes = [12, 8, 12]
    assert linear.linear.in_features == sum(sizes[i] for i in read)


@pytest.mark.parametrize("regime", REGIMES)
def test_fit_equals_the_loop(regime: str) -> None:
    """With its own batches and epochs."""
    (x, y), row = made(), row_of(dense)
    loop = loop_separate(row, 2) if regime == "separate" else None
    loop = loop or loop_simultaneous(row, list(batches(2)))
    part = Split(x, y)
    data = Dataset("mine", part, part, part, CLASSES, ("a", "b", "c"), "made")
    fit(
        row.cells,
        UnsupervisedForwardForward(),
        data,
        epochs=2,
        batch=BATCH,
        optimizer=adamw(RATE, decay=DECAY),
        readout=None,
        schedule=REGIMES[regime],
        device="cpu",
        threads=1,
    )
    for cell, plain in zip(row.cells, loop[0], strict=True):
        for came, wanted in zip(cell.parameters(), plain.parameters, strict=True):
            torch.testing.assert_close(came, wanted, rtol=0, atol=1e-10)


# What is local.


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ROWS)
def test_gradients_stay_in_their_cell(
    name: str, regime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UFF-T1."""
    row = row_of(ROWS[name])
    update, learn, seen = Station.update, readouts.learn, []

    def forget() -> None:
        for station in row.everyone:
            station.cell.zero_grad(set_to_none=True)

    def only(station: Station) -> None:
        seen.append(station.name)
        for other in row.everyone:
            reached = [p.grad is not None for p in other.cell.parameters()]
            assert all(reached) if other is station else not any(reached), other.name

    def updated(station: Station, *inputs: Any, **more: Any) -> dict[str, Tensor]:
        forget()
        losses = update(station, *inputs, **more)
        only(station)
        return losses

    def learned(readout: Station, *inputs: Any) -> tuple[Tensor, Tensor]:
        forget()
        found = learn(readout, *inputs)
        only(readout)
        return found

    monkeypatch.setattr(Station, "update", updated)
    monkeypatch.setattr("onward.readouts.learn", learned)
    trained(REGIMES[regime], row)
    assert set(seen) == {station.name for station in row.everyone}


@pytest.mark.parametrize("regime", REGIMES)
def test_labels_are_used_by_the_readout_only(regime: str) -> None:
    one = trained(REGIMES[regime], row_of(denoising))
    other = trained(REGIMES[regime], row_of(denoising), y=made()[1].roll(1))
    for mine, yours in zip(one.cells, other.cells, strict=True):
        assert not any(map(differ, mine.parameters(), yours.parameters()))
    heads = one.linear(), other.linear()
    assert heads[0] is not None
    assert heads[1] is not None
    assert differ(heads[0].linear.weight, heads[1].linear.weight)


@dataclass(frozen=True)
class Spied(UnsupervisedForwardForward):
    """Keeps what each cell was given, and what it would answer to that without noise."""

    came: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        with torch.no_grad():
            self.came.append((cell, ins.rows, copy.deepcopy(cell)(ins.rows)))
        yield from super().losses(cell, ins, outs, hint)


def test_what_is_passed_on_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """UFF-T5: to the next cell and to the readout, in both regimes."""
    read: list[Tensor] = []
    learn = readouts.learn

    def spied(readout: Station, features: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        read.append(features)
        return learn(readout, features, y)

    monkeypatch.setattr("onward.readouts.learn", spied)
    x, y = made()
    index = torch.arange(BATCH)
    row = row_of(denoising)
    row.algorithm = algorithm = Spied()
    (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
    for _ in range(3):
        algorithm.came.clear()
        stage.step(index)
        assert torch.equal(algorithm.came[0][1], x[index])
        for (_, _, clean), (_, given, _) in zip(algorithm.came, algorithm.came[1:], strict=False):
            assert torch.equal(given, clean)
        wanted = torch.cat([layer_norm(clean) for _, _, clean in algorithm.came], dim=1)
        assert torch.equal(read[-1], wanted)

    row = row_of(denoising)
    row.algorithm = algorithm = Spied()
    stages, h = greedy(row, x, y, generator(0, "negatives")), x
    latents = []
    for cell in row.cells:
        stage = next(stages)
        stage.step(index)
        assert torch.equal(algorithm.came[-1][1], h[index])
        with torch.no_grad():
            h = cell(h)
        latents.append(layer_norm(h))
    next(stages).step(index)
    torch.testing.assert_close(read[-1], torch.cat(latents, dim=1)[index], rtol=0, atol=1e-14)


def test_simultaneous_runs_each_cell_once_a_step() -> None:
    """The readout reads the latents that the cells learn on."""
    row, (x, y), calls = row_of(mixed), made(), []
    for number, cell in enumerate(row.cells):
        cell.register_forward_hook(lambda *_, number=number: calls.append(number))
    (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
    assert stage.passes == 1
    stage.step(torch.arange(BATCH))
    assert calls == [0, 1, 2]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("kind", [Dense, Untouched])
def test_a_cell_without_a_loss_of_its_own_is_refused(kind: type[nn.Module], regime: str) -> None:
    data = onward.load("synthetic")
    second = Dense(9, 5) if kind is Dense else Untouched(9)
    wanted = rf"cells with a loss of their own, and {kind.__name__} has no method losses\(x, z"
    with pytest.raises(BadInput, match=wanted + r".*take AutoEncoder, ConvAutoEncoder"):
        fit(
            [AutoEncoder(64, 9), second],
            UnsupervisedForwardForward(),
            data,
            epochs=1,
            batch=300,
            schedule=REGIMES[regime],
            threads=1,
        )


@pytest.mark.parametrize("regime", REGIMES)
def test_cells_that_cannot_restore_the_original_are_refused(regime: str) -> None:
    """Here the second one restores its own 9 inputs."""
    with pytest.raises(BadInput, match=r"restores \(9,\) was given a target of \(1, 8, 8\)"):
        fit(
            [AutoEncoder(64, 9), AutoEncoder(9, 5)],
            UnsupervisedForwardForward("original"),
            onward.load("synthetic"),
            epochs=1,
            batch=300,
            schedule=REGIMES[regime],
            threads=1,
        )


def test_measures_of_a_latent() -> None:
    """Active units, and how much a latent depends on its sample: 0 for a constant one."""
    rng = torch.Generator().manual_seed(0)
    h = torch.randn(5, 2, 3, generator=rng, dtype=torch.float64)
    came = UnsupervisedForwardForward().measures(Streams(h))
    active, shares = 0, []
    for unit in h.flatten(1).T.tolist():
        active += sum(v > 0 for v in unit)
        mean = sum(unit) / 5
        spread = (sum((v - mean) ** 2 for v in unit) / 5) ** 0.5
        shares.append(spread / (sum(v * v for v in unit) / 5) ** 0.5)
    assert float(came["active"]) == pytest.approx(active / 30)
    assert float(came["dependence"]) == pytest.approx(sum(shares) / 6, rel=1e-12)
    constant = h[:1].expand(5, 2, 3)
    assert float(UnsupervisedForwardForward().measures(Streams(constant))["dependence"]) < 1e-12
    silent = UnsupervisedForwardForward().measures(Streams(torch.zeros(5, 4)))
    assert [float(silent[name]) for name in ("active", "dependence")] == [0, 0]


# Whole runs, from the settings of the recipes.

KINDS: dict[str, dict[str, Any]] = {
    "ae": {},
    "dae": {"noise": "masking"},
    "wta": {"sparsity": "lifetime"},
    "gan": {"lr": 0.0002, "beta1": 0.5, "critic": 8},
    "cae": {"widths": [4, 5]},
    "convwta": {"widths": [4, 5], "kernel": 3, "decoder_kernel": 5},
}


def settings(kind: str = "ae", **changes: Any) -> UnsupervisedSettings:
    own = {"dataset": "synthetic", "cell": kind, "widths": [12, 10], "epochs": 2, "batch": 200}
    return UnsupervisedSettings(**{**own, **KINDS[kind], **changes})


def run(chosen: UnsupervisedSettings, out: Path | None = None, seed: int = 0) -> Run:
    data, machine = onward.load("synthetic"), Machine("cpu")
    plan = build(chosen, data, seed)
    found = Run(plan, data, machine, new_record(plan, data, machine, seed, {}), out)
    found.train()
    return found


def bits(cell: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in cell.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("kind", KINDS)
def test_one_cell_learns_the_same_in_both_regimes(kind: str) -> None:
    """UFF-T2, bit for bit."""
    widths = KINDS[kind].get("widths", [12])[:1]
    together, alone = (run(settings(kind, widths=widths, regime=r)) for r in REGIMES)
    drawn = build(settings(kind, widths=widths), onward.load("synthetic"), 0)
    assert same(bits(together.row.cells[0]), bits(alone.row.cells[0]))
    assert not same(bits(together.row.cells[0]), bits(drawn.row.cells[0]))


def test_the_first_of_several_cells_learns_the_same_in_both_regimes() -> None:
    """And in a row of another length: no later cell has a say."""
    found = [run(settings("dae", regime=r)) for r in REGIMES]
    found.append(run(settings("dae", widths=[12, 9, 8])))
    first = bits(found[0].row.cells[0])
    assert all(same(first, bits(other.row.cells[0])) for other in found)
    assert not same(bits(found[0].row.cells[1]), bits(found[1].row.cells[1]))


@pytest.mark.parametrize("target", ["own", "original"])
@pytest.mark.parametrize("kind", ["ae", "cae", "gan"])
def test_traffic_goes_forward_only(kind: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """UFF-T8: B x dim(z) floats a hop and step, or N x dim(z) once.

    A sample that every cell restores travels beside the latents.
    """
    chosen = settings(kind, target=target, widths=[5, 4, 3])
    cells = build(chosen, onward.load("synthetic"), 0).row.cells
    hops = [int(cell.outputs) + 64 * (target == "original") for cell in cells[:-1]]  # type: ignore[arg-type]
    one_way = 600 * 4 * sum(hops)  # 600 samples of fp32
    sent: list[int] = []
    wall = local.wall

    def counted(outs: Streams) -> Streams:
        extra = outs.original.numel() if outs.original is not None else 0
        sent.append(4 * (outs.rows.numel() + extra))
        return wall(outs)

    monkeypatch.setattr("onward.local.wall", counted)
    for epochs in (1, 2) if kind == "ae" else (2,):
        sent.clear()
        changes: dict[str, Any] = {"target": target, "widths": [5, 4, 3], "epochs": epochs}
        together = run(settings(kind, **changes))
        assert together.record["cost"]["bytes_between_stations"] == epochs * one_way
        steps = [sent[i : i + 3] for i in range(0, len(sent), 3)]
        assert len(steps) == epochs * 3
        assert all(step[:2] == [4 * 200 * hop for hop in hops] for step in steps)
        alone = run(settings(kind, regime="separate", **changes))
        assert alone.record["cost"]["bytes_between_stations"] == one_way


@pytest.mark.parametrize("regime", ["frozen", "raw", "backprop"])
def test_controls_are_counted_no_traffic(regime: str) -> None:
    """Backprop has one that goes back too; it is not laid out in places at all."""
    assert run(settings(regime=regime)).record["cost"]["bytes_between_stations"] == 0


def test_both_regimes_are_as_accurate() -> None:
    """UFF-T10, here within 2 points on 400 samples, the mean of two seeds."""
    errors = {}
    for regime in REGIMES:
        small: dict[str, Any] = {"widths": [100, 80], "epochs": 10, "batch": 50, "lr": 0.003}
        chosen = settings(regime=regime, readout_lr=0.01, evaluate_every=10, **small)
        found = [run(chosen, seed=seed).record for seed in (0, 1)]
        parts = [r[part]["linear"] for r in found for part in ("validation_error", "test_error")]
        errors[regime] = sum(parts) / len(parts)
    assert errors["simultaneous"] < 0.3
    assert abs(errors["simultaneous"] - errors["separate"]) < 0.02


# Controls.


@pytest.mark.parametrize("kind", KINDS)
def test_every_regime_starts_from_the_same_cells(kind: str) -> None:
    data = onward.load("synthetic")
    plans = {r: build(settings(kind, regime=r), data, 0) for r in (*REGIMES, "frozen", "backprop")}
    first = [bits(cell) for cell in plans["frozen"].row.cells]
    for plan in plans.values():
        assert all(map(same, first, map(bits, plan.row.cells)))
    other = build(settings(kind), data, 1).row.cells
    assert not same(first[0], bits(other[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_moves_no_cell(kind: str) -> None:
    drawn = build(settings(kind), onward.load("synthetic"), 0)
    found = run(settings(kind, regime="frozen"))
    assert all(map(same, map(bits, drawn.row.cells), map(bits, found.row.cells)))
    losses = found.record["curves"]["readout_loss"]
    assert losses[-1] < losses[0]
    assert found.record["test_error"]["linear"] < 0.9


def test_raw_is_a_softmax_on_samples() -> None:
    """No cell has a parameter; the same as a plain softmax on layer-normed samples."""
    plan = settings(regime="raw", epochs=3, batch=100, rate="cooldown", readout_decay=0.01)
    found = run(plan)
    assert found.record["parameters"] == {"cells": [0], "readout": 650}
    x, y = found.data.train.x.flatten(1), found.data.train.y
    plain = nn.Linear(64, 10)
    nn.init.zeros_(plain.weight)
    nn.init.zeros_(plain.bias)
    decayed: dict[str, Any] = {"params": [plain.weight], "weight_decay": 0.01}
    optimizer = torch.optim.AdamW([decayed, {"params": [plain.bias], "weight_decay": 0.0}])
    for epoch, factor in enumerate((1.0, 1.0, 1 / 3)):  # the rate cools down
        for group in optimizer.param_groups:
            group["lr"] = 0.001 * factor
        order = torch.randperm(600, generator=generator(0, "order", 0, epoch))
        for index in order.view(-1, 100):
            optimizer.zero_grad()
            cross_entropy(plain(normed(x[index])), y[index]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    linear = found.row.linear()
    assert linear is not None
    torch.testing.assert_close(linear.linear.weight, plain.weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(linear.linear.bias, plain.bias, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_backprop_moves_encoders_and_nothing_else(kind: str) -> None:
    drawn = build(settings(kind), onward.load("synthetic"), 0)
    found = run(settings(kind, regime="backprop"))
    for was, cell in zip(map(bits, drawn.row.cells), found.row.cells, strict=True):
        moved = {name for name, value in bits(cell).items() if not torch.equal(value, was[name])}
        encoder = {name for name in was if name.removeprefix("generator.").startswith("encoder")}
        assert moved == encoder
        assert len(moved) == 2
    losses = found.record["curves"]["readout_loss"]
    assert losses[-1] < losses[0]


# Resumed, and stored.

PLANS: dict[str, UnsupervisedSettings] = {
    "simultaneous, denoising": settings("dae"),
    "separate, denoising": settings("dae", regime="separate"),
    "separate, gan": settings("gan", regime="separate", noise="gaussian"),
    "separate, on disk": settings("cae", regime="separate", memory_gib=0.0, target="original"),
    "simultaneous, winners": settings("convwta"),
    "frozen": settings("cae", regime="frozen"),
    "backprop": settings("gan", regime="backprop"),
    "raw": settings(regime="raw"),
}


@pytest.mark.parametrize("name", PLANS)
def test_promises_of_whole_runs(name: str) -> None:
    """Same bits from the same seed, resumed from the middle of an epoch of a cell or not."""

    def plan() -> Plan:
        return build(PLANS[name], onward.load("synthetic"), 0)

    assert "a resumed run equals one never interrupted" in check_plan(plan)


class Stopping(Silent):
    """Presses Ctrl-C after some steps."""

    def __init__(self, steps: int):
        self.left, self.run = steps, None  # type: tuple[int, Run | None]

    def step(self, epoch: int, samples: int) -> None:
        self.left -= 1
        if self.left == 0 and self.run is not None:
            self.run.stop()


@pytest.mark.parametrize("stops", [(2, 6), (3, 3), (8, 5), (13, 18)])
def test_separate_goes_on_from_the_middle_of_any_stage(
    stops: tuple[int, ...], tmp_path: Path
) -> None:
    """18 steps: 6 of each cell and of the readout; stopped in them and at their ends, twice."""
    chosen = settings("dae", regime="separate", memory_gib=0.0)
    whole = run(chosen)
    data, machine = onward.load("synthetic"), Machine("cpu")
    for number, stop in enumerate((*stops, 99)):
        plan = build(chosen, data, 0)
        pressing = Stopping(stop)
        new = new_record(plan, data, machine, 0, {})
        part = Run(plan, data, machine, new, tmp_path, pressing)
        pressing.run = part
        if number:
            part.resume(onward.checkpoint.load(tmp_path / "checkpoint"))
        try:
            part.train()
        except Interrupted:
            assert pressing.left == 0
    for one, other in zip(whole.row.everyone, part.row.everyone, strict=True):
        assert same(bits(one.cell), bits(other.cell))
    assert whole.record["test_error"] == part.record["test_error"]
    assert not list(tmp_path.glob("frozen-*"))


@pytest.mark.parametrize("regime", ["separate", "frozen"])
@pytest.mark.parametrize("kind", ["dae", "cae", "convwta"])
def test_stored_on_disk_is_the_same_as_in_memory(
    kind: str, regime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    mapped = torch.from_file

    def spied(name: str, **more: Any) -> Tensor:
        names.append(name)
        return mapped(name, **more)

    monkeypatch.setattr(torch, "from_file", spied)
    memory = run(settings(kind, regime=regime))
    assert not names
    disk = run(settings(kind, regime=regime, memory_gib=0.0), tmp_path)
    assert len(names) == {"separate": 2, "frozen": 1}[regime]
    assert all(Path(name).is_relative_to(tmp_path) for name in names)
    assert not list(tmp_path.glob("frozen-*"))
    for one, other in zip(memory.row.everyone, disk.row.everyone, strict=True):
        assert same(bits(one.cell), bits(other.cell))
    assert memory.record["test_error"] == disk.record["test_error"]


# Settings that make no row.

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"widths": []}, "widths should name the units of at least one cell, and is empty"),
    ({"widths": [5, 0]}, r"widths\[1\] should be 1 or more, and is 0"),
    ({"critic": 0}, "critic should be 1 or more"),
    ({"lr": 0.0}, "lr should be a number above 0"),
    ({"readout_lr": -1.0}, "readout_lr should be a number above 0"),
    ({"l1": -0.1}, "l1 should be 0 or more"),
    ({"reconstruction": -1.0}, "reconstruction should be 0 or more"),
    ({"beta1": 1.0}, "beta1 should be below 1, and is 1.0"),
    ({"noise": "masking", "noise_level": 1.5}, "at most 1, and is 1.5"),
    ({"kind": "wta", "sparsity_level": 2.0}, "is a share of the batch for lifetime, 1 at most"),
    ({"kind": "convwta", "sparsity_level": 2.0}, "is a share of the batch for lifetime"),
    ({"sparsity": "map_lifetime", "sparsity_level": 2.0}, "for map_lifetime, 1 at most"),
    ({"sparsity": "k_sparse", "sparsity_level": 0.5}, "is a number of units for k_sparse"),
    ({"kind": "cae", "kernel": 2}, "kernel should be an odd number above 0, and is 2"),
    ({"kind": "cae", "widths": [2, 2, 2, 2]}, "a map of 1 x 1 can't be pooled by 2"),
    ({"kind": "convwta", "widths": [2, 2, 2, 2]}, "a map of 1 x 1 can't be pooled by 2"),
    ({"tied": True, "target": "original"}, "take tied=False"),
    ({"loss": "bce", "samples": "standardised"}, "take loss=mse"),
    ({"read": [2]}, "read names cell 2, but the row has 0 to 1"),
    ({"activation": "rleu"}, "no activation 'rleu': did you mean 'relu'"),
]


@pytest.mark.parametrize(("changes", "wanted"), REFUSED)
def test_settings_that_make_no_row_are_refused(changes: dict[str, Any], wanted: str) -> None:
    with pytest.raises(BadInput, match=wanted):
        build(settings(**changes), onward.load("synthetic"), 0)


def test_a_first_cell_on_pixels_may_have_bce_and_later_ones_have_mse() -> None:
    cells = build(settings(loss="bce"), onward.load("synthetic"), 0).row.cells
    assert [cell.kind for cell in cells] == ["bce", "mse"]
    assert run(settings(loss="bce", noise="masking")).record["status"] == "finished"


def test_gaussian_noise_on_standardised_samples_has_its_level_on_pixels() -> None:
    data = onward.load("synthetic")
    chosen = settings(noise="gaussian", noise_level=0.3, samples="standardised")
    first, second = (cell.noise for cell in build(chosen, data, 0).row.cells)
    assert isinstance(first, Corruption)
    assert isinstance(second, Corruption)
    assert first.level == pytest.approx(0.3 / float(data.train.x.std(correction=0)), rel=1e-5)
    assert second.level == 0.3
    assert (first.noise, masking) == (gaussian, masking)


def test_groups_of_a_row_are_stepped_by_optimisers_of_their_own() -> None:
    """UFF-P7: none is shared, and every parameter has one."""
    row = build(settings("gan"), onward.load("synthetic"), 0).row
    owners: dict[int, str] = {}
    for station in row.everyone:
        for name, optimizer in station.optimizers.items():
            for parameter in (p for g in optimizer.param_groups for p in g["params"]):
                assert id(parameter) not in owners
                owners[id(parameter)] = f"{station.name} {name}"
    every = [p for station in row.everyone for p in station.cell.parameters()]
    assert owners.keys() == {id(p) for p in every}
    assert len(set(owners.values())) == 5
    assert groups(row.cells[0]).keys() == {"critic", "generator"}
