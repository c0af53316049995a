"""Layer collaboration: the digest's acceptance tests T1 to T8, and slow loops beside the schedules.

The loops own their weights and run every cell again for every number they need. Double precision.
"""

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise as pairs
from pathlib import Path
from typing import Any

import pytest
import torch
from test_fast import assert_close, assert_equal_training, takes
from test_fast import row_of as fast_row_of
from test_schedules import (
    BATCH,
    CLASSES,
    DECAY,
    INPUTS,
    MOMENTUM,
    RATE,
    WIDTHS,
    Layer,
    assert_same,
    batches,
    both,
    made,
    normalised,
    refused,
    row_of,
    trained,
)
from torch import Tensor, nn
from torch.nn.functional import softplus

from onward import (
    BadInput,
    Collaborative,
    Dense,
    ForwardForward,
    Streams,
    Trained,
    adamw,
    build_row,
    data,
    fit,
    generator,
    goodness,
    labels,
    sgd,
)
from onward.cells import Coupling
from onward.check import check_algorithm, check_plan
from onward.entropy import across, functional_entropy, within
from onward.local import Hints
from onward.negatives import hard_label, wrong_label
from onward.plan import Plan, Training
from onward.row import Row
from onward.schedules import Schedule, alternating, greedy, pairwise, simultaneous

THETA = 9.0  # near the sums at hand, so that the logistic is not saturated


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def collaborative(gamma: Hints = "all", scale: float = 1.0, theta: float = THETA) -> Collaborative:
    return Collaborative(CLASSES, negatives=wrong_label, theta=theta, gamma=gamma, scale=scale)


def plain(theta: float = THETA) -> ForwardForward:
    return ForwardForward(CLASSES, negatives=wrong_label, theta=theta)


def listening_row(gamma: Hints = "all") -> Row:
    """Cells that learn how much they count the others (A-CFF)."""
    rng, cells = generator(0, "cells"), []
    for number, (a, b) in enumerate(pairs((INPUTS, *WIDTHS))):
        others = [j for j in range(3) if j < number or (gamma == "all" and j > number)]
        cells.append(Dense(a, b, hears=others, rng=rng))
    row = build_row(cells, collaborative(gamma), sgd(RATE, MOMENTUM, DECAY), classes=CLASSES)
    for station in row.everyone:
        station.cell.double()
    return row


# T1 and T8: what collaboration is without its hints, and with all of them.


@pytest.mark.parametrize("peers", [0.0, 0.03])
@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("schedule", [simultaneous, alternating, greedy])
def test_without_hints_it_is_forward_forward_bit_for_bit(
    schedule: Schedule, flag: bool, peers: float
) -> None:
    rows = [row_of(algorithm, peers=peers) for algorithm in (plain(), collaborative("none"))]
    for row in rows:
        row.fast = flag
        trained(schedule, row, 3)
    assert_same(*rows, exactly=True)


class Unscaled(Collaborative):
    """gamma all as it is written: what the others told, added up."""

    def offset(self, cell: nn.Module, hint: Tensor | None) -> Tensor | None:
        return None if hint is None else hint.sum(0)


@pytest.mark.parametrize("flag", [True, False])
def test_a_scale_of_0_is_forward_forward_and_1_is_all(flag: bool) -> None:
    rows = {
        name: row_of(algorithm, peers=0.03)
        for name, algorithm in {
            "ff": plain(),
            "0": collaborative(scale=0.0),
            "1": collaborative(scale=1.0),
            "all": Unscaled(CLASSES, negatives=wrong_label, theta=THETA),
            "half": collaborative(scale=0.5),
        }.items()
    }
    for row in rows.values():
        row.fast = flag
        trained(simultaneous, row, 3)
    assert_same(rows["0"], rows["ff"], exactly=True)
    assert_same(rows["1"], rows["all"], exactly=not flag)  # a subclass goes by autograd
    for name in ("0", "1"):
        with pytest.raises(AssertionError):
            assert_same(rows["half"], rows[name])


# T2, T3, T4.


def gradients(row: Row, algorithm: Collaborative, ins: Streams) -> list[list[Tensor]]:
    """Of one simultaneous step, by the schedule's own order of things, before any step is made."""
    row = copy.deepcopy(row)
    for station in row.stations:
        station.optimizers = {"cell": torch.optim.SGD(station.cell.parameters(), lr=0.0)}
    row.algorithm, row.fast = algorithm, False
    (x, y), index = made(), torch.arange(BATCH)
    (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
    stage.step(index)
    return [[p.grad for p in cell.parameters() if p.grad is not None] for cell in row.cells]


@pytest.mark.parametrize("gamma", ["all", "earlier"])
def test_the_one_line_gradient_is_that_of_every_cell(gamma: Hints) -> None:
    """One logistic loss on S, paths between cells cut; for "earlier" one on each running sum."""
    row, (x, y) = row_of(collaborative(gamma), readout=False), made()
    h, each = both(x[:BATCH], y[:BATCH], generator(0, "negatives")), []
    for cell in row.cells:
        h = cell(h.detach())
        each.append(h.square().sum(1))
    if gamma == "all":
        sums = [torch.stack(each).sum(0)]
    else:
        sums = [
            g + sum((e.detach() for e in each[:i]), torch.zeros(())) for i, g in enumerate(each)
        ]
    loss = sum(
        (softplus(THETA - s[:BATCH]).mean() + softplus(s[BATCH:] - THETA).mean()) / 2 for s in sums
    )
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    assert isinstance(row.algorithm, Collaborative)
    found = gradients(row, row.algorithm, Streams(h, 2))
    for cell, own in zip(row.cells, found, strict=True):
        for parameter, came in zip(cell.parameters(), own, strict=True):
            assert parameter.grad is not None
            assert float(came.abs().max()) > 1e-6
            torch.testing.assert_close(came, parameter.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gamma", ["all", "earlier"])
def test_no_gradient_of_a_cell_reaches_another(gamma: Hints) -> None:
    algorithm, row = collaborative(gamma), listening_row(gamma)
    (x, y), rng = made(), generator(0, "negatives")
    ins, walked, told = algorithm.streams(x, y, rng), [], []
    for station in row.stations:
        outs = station.forward(ins)
        walked.append((station.cell, ins, outs))
        told.append(algorithm.tell(outs))
        ins = Streams(outs.rows.detach(), 2)
    for number, (cell, seen, outs) in enumerate(walked):
        others = told[:number] + (told[number + 1 :] if gamma == "all" else [])
        hint = torch.stack(others) if others else None
        ((_, loss),) = algorithm.losses(cell, seen, outs, hint)
        for other in row.cells:
            other.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for position, other in enumerate(row.cells):
            assert all((p.grad is not None) == (position == number) for p in other.parameters())


def test_gamma_of_a_row_is_that_of_its_own_label() -> None:
    algorithm, row = collaborative(), row_of(collaborative())
    x, y = made()
    told = []
    for shift in (0, 1):
        h = algorithm.view(x, (y + shift) % CLASSES)
        with torch.no_grad():
            told.append([algorithm.tell(Streams(h := cell(h))) for cell in row.cells])
    gammas = [algorithm.offset(row.cells[0], torch.stack(each[1:])) for each in told]
    assert gammas[0] is not None
    assert gammas[1] is not None
    assert bool((gammas[0] != gammas[1]).all())


# T5.


@pytest.mark.parametrize("seed", range(3))
def test_functional_entropy_splits_in_two_and_is_a_divergence(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    h = 30 * torch.rand(4, 50, generator=rng, dtype=torch.float64) ** 3
    whole = functional_entropy(h)
    assert float(across(h)) > 0.01
    torch.testing.assert_close(whole, across(h) + within(h), rtol=0, atol=1e-10)
    q = (h / h.sum()).flatten()
    kl = (q * (q * q.numel()).log()).sum()
    torch.testing.assert_close(whole, h.mean() * kl, rtol=0, atol=1e-9)
    torch.testing.assert_close(functional_entropy(5 * h), 5 * whole, rtol=0, atol=1e-9)
    assert abs(float(functional_entropy(torch.full((3, 7), 2.0)))) < 1e-6


def test_functional_entropy_is_that_of_the_slow_sum() -> None:
    h = torch.tensor([[0.0, 1.0, 4.0], [2.0, 2.0, 3.0]], dtype=torch.float64)
    values = [float(v) for row in h for v in row]
    mean = math.fsum(values) / len(values)
    slow = math.fsum(v * math.log(v / mean) for v in values if v > 0) / len(values)
    assert float(functional_entropy(h)) == pytest.approx(slow, abs=1e-9)


def loss_of(algorithm: Collaborative, h: Tensor, hint: Tensor | None) -> Tensor:
    rows = Streams(h, 2)
    ((_, loss),) = algorithm.losses(nn.Identity(), rows, rows, hint)
    return loss


def test_the_entropy_objective_is_that_of_positives_and_negatives_apart() -> None:
    algorithm = Collaborative(CLASSES, objective="entropy")
    rng = torch.Generator().manual_seed(0)
    h = torch.rand(8, 5, generator=rng, dtype=torch.float64).requires_grad_()
    hint = 3 * torch.rand(2, 8, generator=rng, dtype=torch.float64)
    every = torch.cat([h.detach().square().sum(1)[None], hint])
    loss = loss_of(algorithm, h, hint)
    loss.backward()  # type: ignore[no-untyped-call]
    assert h.grad is not None
    for half, sign in ((slice(0, 4), -1), (slice(4, 8), 1)):
        values = every[:, half]
        for n in range(4):
            slope = sign * (values[0, n] / values.mean()).log() / values.numel()
            wanted = 2 * h.detach()[half][n] * slope
            torch.testing.assert_close(h.grad[half][n], wanted, rtol=0, atol=1e-9)
    slow = functional_entropy(every[:, 4:]) - functional_entropy(every[:, :4])
    torch.testing.assert_close(loss.detach(), slow)
    alone = functional_entropy(every[:1, 4:]) - functional_entropy(every[:1, :4])
    torch.testing.assert_close(loss_of(algorithm, h, None).detach(), alone)


def test_the_entropy_objective_moves_the_measure_of_positives_further() -> None:
    algorithm = Collaborative(CLASSES, negatives=wrong_label, objective="entropy")
    row, (x, y) = row_of(algorithm, readout=False), made()
    rows = both(x, y, generator(0, "others"))
    gaps = []
    for _ in range(2):
        h = torch.stack(good([Layer(cell) for cell in row.cells], rows))
        positive, negative = h.chunk(2, dim=1)
        gaps.append(float(functional_entropy(positive) - functional_entropy(negative)))
        trained(simultaneous, row, 10)
    assert gaps[1] > gaps[0] + 1


def test_the_entropy_objective_wants_a_goodness_above_0() -> None:
    quiet = goodness.negative(goodness.sum_of_squares)
    with pytest.raises(BadInput, match=r"objective entropy wants a goodness.*sum_of_squares"):
        loss_of(Collaborative(10, objective="entropy", goodness=quiet), torch.ones(4, 6), None)


# T6.


def run_on_digits(algorithm: Collaborative, **changes: Any) -> Trained:
    rng = generator(0, "cells")
    cells = [Dense(a, b, peers=0.03, rng=rng) for a, b in pairs((74, 50, 50))]
    options = {"epochs": 6, "batch": 50, "evaluate_every": 50, "counted": [0, 1], "threads": 1}
    return fit(cells, algorithm, data.load("digits"), **{**options, **changes})


def test_with_theta_too_large_collaboration_beats_forward_forward() -> None:
    errors = []
    for gamma in ("none", "all"):
        algorithm = Collaborative(
            *(10, goodness.sum_of_squares, 500.0),
            negatives=wrong_label,
            writer=labels.appended,
            gamma=gamma,
        )
        errors.append(run_on_digits(algorithm, readout=None).test_error["goodness"])
    assert errors[1] < errors[0] - 0.02, errors


def test_hard_negatives_and_both_readouts_go_on_working() -> None:
    run = run_on_digits(Collaborative(10, negatives=hard_label, writer=labels.appended), epochs=10)
    assert run.test_error["goodness"] < 0.2
    assert run.test_error["linear"] < 0.2


# T8: A-CFF.


def test_learned_coupling_stays_bounded_and_is_logged() -> None:
    digits, rng = data.load("digits"), generator(0, "cells")
    cells = [
        Dense(74, 30, hears=[1, 2], rng=rng),
        Dense(30, 30, hears=[0, 2], rng=rng),
        Dense(30, 30, hears=[0, 1], rng=rng),
    ]
    algorithm = Collaborative(10, negatives=wrong_label, writer=labels.appended)
    options: dict[str, Any] = {"epochs": 3, "batch": 50, "optimizer": adamw(0.05), "threads": 1}
    run = fit(cells, algorithm, digits, **options)
    for number, curve in enumerate(run.record["curves"]["cells"]):
        others = [j for j in range(3) if j != number]
        assert {k for k in curve if k.startswith("gamma")} == {f"gamma_{j}" for j in others}
        for other in others:
            values = curve[f"gamma_{other}"]
            assert len(values) == 3
            assert all(0 < value < 1 for value in values)
            assert values[0] != values[-1]
            own = cells[number].coupling
            assert own is not None
            assert values[-1] == pytest.approx(own.measures()[f"gamma_{other}"])


def test_the_coupling_learns_on_its_cells_own_loss() -> None:
    """Against the derivative written out: dL/da_j = mean of factor times g_j, times sigmoid'."""
    algorithm, row = collaborative(), listening_row()
    coupling = row.cells[1].coupling
    assert isinstance(coupling, Coupling)
    coupling.a.data = torch.tensor([0.3, -0.7], dtype=torch.float64)
    (x, y), rng = made(), generator(0, "negatives")
    h, good, seen = both(x, y, rng), [], []
    with torch.no_grad():
        for cell in row.cells:
            seen.append(h)
            h = cell(h)
            good.append(h.square().sum(1))
    hint = torch.stack([good[0], good[2]])
    outs = Streams(row.cells[1](seen[1]), 2)
    ((_, loss),) = algorithm.losses(row.cells[1], Streams(seen[1], 2), outs, hint)
    loss.backward()  # type: ignore[no-untyped-call]
    weights = torch.sigmoid(torch.tensor([0.3, -0.7], dtype=torch.float64))
    p = torch.sigmoid(good[1] + weights[0] * good[0] + weights[1] * good[2] - THETA)
    factor = torch.cat([p[: len(y)] - 1, p[len(y) :]]) / (2 * len(y))
    for j in range(2):
        slope = float((factor * hint[j]).sum() * weights[j] * (1 - weights[j]))
        assert coupling.a.grad is not None
        assert float(coupling.a.grad[j]) == pytest.approx(slope, abs=1e-9)


# Slow loops.


def good(layers: list[Layer], rows: Tensor) -> list[Tensor]:
    """The goodness of every layer on every row."""
    found = []
    with torch.no_grad():
        for layer in layers:
            rows = layer.answer(rows)
            found.append(rows.square().sum(1))
    return found


def below(layers: list[Layer], number: int, rows: Tensor) -> Tensor:
    with torch.no_grad():
        for layer in layers[:number]:
            rows = layer.answer(rows)
    return rows


def shifted_loss(layer: Layer, rows: Tensor, gamma: Tensor | float) -> Tensor:
    """The logistic loss, 1/2 of each half."""
    logit = layer.answer(rows).square().sum(1) + gamma - THETA
    half = len(rows) // 2
    return (softplus(-logit[:half]).mean() + softplus(logit[half:]).mean()) / 2


def compare(row: Row, layers: list[Layer]) -> None:
    for cell, layer in zip(row.cells, layers, strict=True):
        for came, wanted in zip(cell.parameters(), layer.parameters, strict=True):
            torch.testing.assert_close(came.detach(), wanted.detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("gamma", ["none", "earlier", "all"])
def test_alternating_is_algorithm_2(gamma: Hints) -> None:
    row, (x, y), rng = (
        row_of(collaborative(gamma), readout=False),
        made(),
        generator(0, "negatives"),
    )
    layers = [Layer(cell) for cell in row.cells]
    for index in batches(3):
        rows = both(x[index], y[index], rng)
        for number, layer in enumerate(layers):
            each = good(layers, rows)  # with what the cells before have just learned
            heard = [g for t, g in enumerate(each) if t < number or (t > number and gamma == "all")]
            told = torch.stack(heard).sum(0) if heard and gamma != "none" else 0.0
            layer.learn(shifted_loss(layer, below(layers, number, rows), told))
    compare(trained(alternating, row, 3), layers)
    same = trained(simultaneous, row_of(collaborative(gamma), readout=False), 3)
    with pytest.raises(AssertionError):
        compare(same, layers)


def test_alternating_with_a_fresh_batch_each_turn() -> None:
    row, (x, y), rng = row_of(collaborative(), readout=False), made(), generator(0, "negatives")
    layers = [Layer(cell) for cell in row.cells]
    for index in batches(2):
        rows = both(x[index], y[index], rng)
        for number, layer in enumerate(layers):
            if number > 0:
                own = torch.randint(len(x), index.shape, generator=rng)
                rows = both(x[own], y[own], rng)
            each = good(layers, rows)
            told = torch.stack(each[:number] + each[number + 1 :]).sum(0)
            layer.learn(shifted_loss(layer, below(layers, number, rows), told))
    compare(trained(partial(alternating, fresh=True), row, 2), layers)


@pytest.mark.parametrize("flag", [True, False])
def test_greedy_hears_the_frozen_cells_before(flag: bool) -> None:
    row, (x, y), rng = row_of(collaborative("earlier")), made(), generator(0, "negatives")
    row.fast = flag
    layers = [Layer(cell) for cell in row.cells]
    for number, layer in enumerate(layers):
        for index in batches(2):
            rows = both(x[index], y[index], rng)
            before = good(layers[:number], rows)
            told = torch.stack(before).sum(0) if before else 0.0
            layer.learn(shifted_loss(layer, below(layers, number, rows), told))
    compare(trained(greedy, row, 2), layers)


def test_greedy_hears_where_streams_are_no_views() -> None:
    class Doubled(Collaborative):
        """Streams of its own: frozen cells run again at every step."""

        def streams(
            self, x: Tensor, y: Tensor, rng: torch.Generator, scores: Tensor | None = None
        ) -> Streams:
            return super().streams(x, y, rng, scores)

    own = Doubled(CLASSES, negatives=wrong_label, theta=THETA, gamma="earlier")
    rows = [trained(greedy, row_of(one)) for one in (own, collaborative("earlier"))]
    for one, other in zip(rows[0].cells, rows[1].cells, strict=True):
        for came, wanted in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(came, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("gamma", ["none", "all"])
def test_pairwise_is_backprop_on_the_total_goodness(gamma: Hints) -> None:
    """For plain Forward-Forward, on that of the last cell."""
    row, (x, y), rng = (
        row_of(collaborative(gamma), readout=False),
        made(),
        generator(0, "negatives"),
    )
    layers = [Layer(cell) for cell in row.cells]
    for index in batches(3):
        h, total = both(x[index], y[index], rng), torch.zeros(2 * BATCH, dtype=torch.float64)
        for number, layer in enumerate(layers):
            h = layer.answer(h)
            if gamma == "all" or number == len(layers) - 1:
                total = total + h.square().sum(1)
        loss = softplus(THETA - total[:BATCH]).mean() + softplus(total[BATCH:] - THETA).mean()
        parameters = [p for layer in layers for p in layer.parameters]
        slopes = iter(torch.autograd.grad(loss / 2, parameters))
        for layer in layers:
            layer.descend([next(slopes) for _ in layer.parameters])
    compare(trained(pairwise, row, 3), layers)
    assert normalised(x).shape == (len(x), INPUTS)


# Closed forms.


@pytest.mark.parametrize("peers", [0.0, 0.03])
@pytest.mark.parametrize("gamma", ["none", "earlier", "all"])
@pytest.mark.parametrize("negatives", [wrong_label, hard_label])
def test_closed_forms_give_the_same_numbers(gamma: Hints, peers: float, negatives: object) -> None:
    for good in (goodness.sum_of_squares, goodness.negative(goodness.sum_of_activities)):
        algorithm = Collaborative(
            4,
            good,
            negatives=negatives,  # type: ignore[arg-type]
            gamma=gamma,
            scale=0.7,
        )
        assert_equal_training(fast_row_of(algorithm, peers=peers))
    mixed = Collaborative(4, negatives=wrong_label, gamma=gamma)
    slow, quick = (fast_row_of(mixed, peers=peers) for _ in range(2))
    slow.fast = False
    if gamma != "all":
        for row in (slow, quick):
            trained_greedily(row)
        assert_close(quick, slow, 1e-9)


def trained_greedily(row: Row) -> None:
    from test_fast import batches as indices
    from test_fast import made as samples

    x, y = samples()
    for stage in greedy(row, x, y, generator(0, "negatives")):
        for index in indices():
            stage.step(index)


def test_closed_forms_leave_what_they_do_not_know_to_autograd() -> None:
    learned = fast_row_of(Collaborative(4, negatives=wrong_label), hears=[0])
    entropy = fast_row_of(Collaborative(4, negatives=wrong_label, objective="entropy"))
    assert not takes(learned)
    assert not takes(entropy)


# Promises, refusals, resume.


@pytest.mark.parametrize("gamma", ["none", "earlier", "all"])
@pytest.mark.parametrize("objective", ["logistic", "entropy"])
def test_promises(gamma: Hints, objective: str) -> None:
    x = torch.rand(12, 20, generator=torch.Generator().manual_seed(0))

    def cells() -> list[nn.Module]:
        rng = generator(0, "cells")
        return [Dense(a, b, rng=rng) for a, b in pairs((20, 16, 16, 16))]

    algorithm = Collaborative(4, gamma=gamma, objective=objective)  # type: ignore[arg-type]
    assert check_algorithm(algorithm, cells, x, torch.arange(12) % 4)


def learned_plan(schedule: Schedule, gamma: Hints, negatives: object = wrong_label) -> Plan:
    rng = generator(0, "cells")
    cells = [
        Dense(64, 20, peers=0.03, hears=[1] if gamma == "all" else [], rng=rng),
        Dense(20, 20, peers=0.03, hears=[0] if gamma != "none" else [], rng=rng),
    ]
    algorithm = Collaborative(10, negatives=negatives, gamma=gamma)  # type: ignore[arg-type]
    row = build_row(cells, algorithm, adamw(1e-3), classes=10, readout=sgd(1e-2))
    return Plan(row, schedule, Training(epochs=2, batch=200))


RESUMED: dict[str, Callable[[], Plan]] = {
    "simultaneous, all": lambda: learned_plan(simultaneous, "all", hard_label),
    "greedy, earlier": lambda: learned_plan(greedy, "earlier"),
    "alternating, all": lambda: learned_plan(alternating, "all", hard_label),
    "alternating, fresh": lambda: learned_plan(partial(alternating, fresh=True), "earlier"),
    "pairwise": lambda: learned_plan(pairwise, "all"),
}


@pytest.mark.parametrize("name", RESUMED)
def test_resumed_exactly(name: str) -> None:
    """Learned couplings, their optimiser and their curves too."""
    assert "a resumed run equals one never interrupted" in check_plan(RESUMED[name])


def test_combinations_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"greedy can't serve Collaborative.*all other cells"):
        refused(greedy, row_of(collaborative("all")))()
    hard = Collaborative(CLASSES, negatives=hard_label, gamma="earlier")
    with pytest.raises(BadInput, match=r"greedy can't draw hard negatives"):
        refused(greedy, row_of(hard))()
    with pytest.raises(BadInput, match=r"alternating can't draw hard negatives for a fresh batch"):
        refused(partial(alternating, fresh=True), row_of(hard))()
    for schedule in (simultaneous, alternating, pairwise):
        with pytest.raises(BadInput, match=r"this row has none.*negatives=wrong"):
            refused(schedule, row_of(hard, readout=False))()


def test_a_run_that_cannot_be_is_refused_before_its_folder_is_made(tmp_path: Path) -> None:
    rng = generator(0, "cells")
    cells = [Dense(64, 10, rng=rng), Dense(10, 10, rng=rng)]
    algorithm = Collaborative(10, negatives=wrong_label)
    with pytest.raises(BadInput, match=r"greedy can't serve Collaborative.*all other cells"):
        fit(
            *(cells, algorithm, data.load("synthetic")),
            epochs=1,
            schedule=greedy,
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_a_gamma_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInput, match="gamma should be one of 'none', 'earlier', 'all'"):
        Collaborative(10, gamma="later")  # type: ignore[arg-type]
