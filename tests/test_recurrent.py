"""The sweep against a plain loop written from the paper, its losses' gradients written out.

The loop has no groups, no walls and nothing shared: positives and negatives go one after the other,
states are lists, and every label is tried by itself. All in double precision.
"""

import copy
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import TINY, same
from command import onward as command
from torch import Tensor, nn
from torch.nn.functional import one_hot

import onward
from onward import (
    BadInput,
    Dense,
    ForwardForward,
    Recurrent,
    RecurrentForwardForward,
    Streams,
    Sweep,
    adamw,
    build_row,
    generator,
    goodness,
    objectives,
    progress,
    schedules,
    sgd,
)
from onward.cells import Fields as LocalFields
from onward.check import BrokenPromise, check_algorithm, check_named
from onward.evaluate import judge, probe
from onward.fast_sweep import Settling
from onward.local import Algorithm
from onward.negatives import hard_label, wrong_label
from onward.optimizers import Maker
from onward.plan import Machine, Precision
from onward.readouts import every_label, neutral_answers
from onward.recipes import find, running
from onward.row import Row
from onward.run import Interrupted
from onward.schedules import recurrent

CLASSES, INPUTS, SAMPLES, BATCH = 3, 12, 24, 6
RATE, MOMENTUM, DECAY, PEERS = 0.01, 0.9, 0.1, 0.03
PICTURE = (1, 6, 5)


def made() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(SAMPLES, 1, 3, 4, generator=rng, dtype=torch.float64)
    return x, torch.arange(SAMPLES) % CLASSES


def recurrent_cells(*sizes: int, **settings: Any) -> list[nn.Module]:
    rng = generator(0, "cells")
    around = zip(sizes, sizes[1:], sizes[2:], strict=False)
    return [Recurrent(*each, rng=rng, **settings) for each in around]


def cells_of(widths: tuple[int, ...], **settings: Any) -> list[nn.Module]:
    return recurrent_cells(INPUTS, *widths, CLASSES, **settings)


def row_of(
    widths: tuple[int, ...] = (8, 7),
    sweep: Sweep | None = None,
    *,
    readout: bool = True,
    maker: Maker = sgd(RATE, MOMENTUM, DECAY),  # noqa: B008
    **settings: Any,
) -> Row:
    own = {k: settings.pop(k) for k in ("joint", "peers") if k in settings}
    algorithm = RecurrentForwardForward(CLASSES, sweep=sweep or Sweep(), **settings)
    head = maker if readout else None
    row = build_row(cells_of(widths, **own), algorithm, maker, classes=CLASSES, readout=head)
    for station in row.everyone:
        station.cell.double()
    return row


def batches() -> Iterator[Tensor]:
    for epoch in range(2):
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
        yield from order.view(-1, BATCH)


def trained(row: Row, x: Tensor | None = None) -> Row:
    first, y = made()
    x = (first if x is None else x).to(next(row.cells[0].parameters()).dtype)
    (stage,) = recurrent(row, x, y, generator(0, "negatives"))
    for index in batches():
        stage.step(index)
    return row


# The loop.


def normalised(x: Tensor) -> Tensor:
    return x / (1e-8 + x.square().mean(1, keepdim=True).sqrt())


@dataclass
class Layer:
    """One hidden layer: what it weighs, and the velocities of that."""

    up: Tensor
    down: Tensor
    bias: Tensor
    joint: bool
    peers: bool
    velocity: list[Tensor] = field(default_factory=list)
    busy: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        self.velocity = [torch.zeros_like(p) for p in (self.up, self.down, self.bias)]
        self.busy = torch.full_like(self.bias, 0.5)

    def seen(self, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        if not self.joint:
            return normalised(below), normalised(above)
        both = normalised(torch.cat([below, above], dim=1))
        return both[:, : below.shape[1]], both[:, below.shape[1] :]

    def from_below(self, below: Tensor) -> Tensor:
        return (normalised(below) @ self.up.T + self.bias).clamp(min=0)

    def answer(self, below: Tensor, above: Tensor) -> Tensor:
        x, y = self.seen(below, above)
        return (x @ self.up.T + y @ self.down.T + self.bias).clamp(min=0)

    def gradients(self, below: Tensor, above: Tensor, h: Tensor, slope: Tensor) -> list[Tensor]:
        """Of U, V and b, from dL/dh of one stream."""
        x, y = self.seen(below, above)
        d = slope * (h > 0)
        return [d.T @ x, d.T @ y, d.sum(0)]

    def push(self, below: Tensor, above: Tensor, h: Tensor) -> list[Tensor]:
        """Gradients of the peer term on positives, even of units that are off."""
        x, y = self.seen(below, above)
        self.busy = 0.9 * self.busy + 0.1 * h.mean(0)
        pull = PEERS * (self.busy - self.busy.mean()) / len(h)
        d = pull.expand(len(h), -1)
        return [d.T @ x, d.T @ y, d.sum(0)]

    def descend(self, gradients: list[Tensor]) -> None:
        self.up *= 1 - RATE * DECAY
        self.down *= 1 - RATE * DECAY
        for p, v, g in zip((self.up, self.down, self.bias), self.velocity, gradients, strict=True):
            v.copy_(MOMENTUM * v + g)
            p -= RATE * v


@dataclass
class Loop:
    """The whole net: layers, readout, and every answer it ever gave to positives."""

    layers: list[Layer]
    head: Tensor
    head_velocity: Tensor
    sweep: Sweep
    answers: list[Tensor] = field(default_factory=list)

    def begin(self, x: Tensor) -> list[Tensor]:
        states = [x.reshape(len(x), -1)]
        for layer in self.layers:
            states.append(layer.from_below(states[-1]))
        return states[1:]

    def iterate(self, x: Tensor, label: Tensor, states: list[Tensor]) -> list[Tensor]:
        """What every layer answers to its neighbours' states."""
        around = [x.reshape(len(x), -1), *states, one_hot(label, CLASSES).double()]
        return [layer.answer(around[i], around[i + 2]) for i, layer in enumerate(self.layers)]

    def damped(self, states: list[Tensor], answers: list[Tensor]) -> list[Tensor]:
        d = self.sweep.damping
        return [d * s + (1 - d) * h for s, h in zip(states, answers, strict=True)]

    def read(self, x: Tensor, y: Tensor) -> Tensor:
        features = torch.cat([normalised(s) for s in self.begin(x)[1:] or self.begin(x)], dim=1)
        scores = features @ self.head.T
        gradient = (scores.softmax(1) - one_hot(y, CLASSES)).T @ features / len(y)
        self.head_velocity = MOMENTUM * self.head_velocity + gradient
        self.head *= 1 - RATE * DECAY
        self.head -= RATE * self.head_velocity
        return scores

    def learn(self, x: Tensor, right: Tensor, wrong: Tensor) -> None:
        first, last = self.sweep.learned
        signs = ((right, -1.0), (wrong, 1.0))
        states = [self.begin(x), self.begin(x)]
        for t in range(1, last + 1):
            answers = [
                self.iterate(x, label, s) for (label, _), s in zip(signs, states, strict=True)
            ]
            self.answers += answers[0]
            after = [self.damped(s, h) for s, h in zip(states, answers, strict=True)]
            around = [
                [x.reshape(len(x), -1), *s, one_hot(label, CLASSES).double()]
                for (label, _), s in zip(signs, states, strict=True)
            ]
            for i, layer in enumerate(self.layers if t >= first else []):
                total = [torch.zeros_like(v) for v in layer.velocity]
                for (_, sign), s, h, around_it in zip(signs, after, answers, around, strict=True):
                    active, share = (
                        (s[i], 1 - self.sweep.damping) if self.sweep.damped else (h[i], 1.0)
                    )
                    good = active.square().sum(1)
                    doubt = torch.sigmoid(sign * (good - active.shape[1]))
                    slope = sign * doubt[:, None] * active * share / len(x)  # 1/2 of 2
                    below, above = around_it[i], around_it[i + 2]
                    for g, one in zip(
                        total, layer.gradients(below, above, h[i], slope), strict=True
                    ):
                        g += one
                    if sign < 0 and layer.peers:
                        for g, one in zip(total, layer.push(below, above, active), strict=True):
                            g += one
                layer.descend(total)
            states = after

    def tried(self, x: Tensor) -> Tensor:
        """Goodness [layers, B, K], each label by itself through all iterations."""
        found = torch.zeros(len(self.layers), len(x), CLASSES, dtype=torch.float64)
        for k in range(CLASSES):
            states, kept = self.begin(x), []
            for _ in range(self.sweep.iterations):
                answers = self.iterate(x, torch.full((len(x),), k), states)
                states = self.damped(states, answers)
                kept.append(states if self.sweep.damped else answers)
            first, last = self.sweep.judged
            for t in range(1, self.sweep.iterations + 1):
                if first <= t <= last:
                    for i, h in enumerate(kept[t - 1]):
                        found[i, :, k] += h.square().sum(1) / (last - first + 1)
        return found


def weights_of(cell: Recurrent) -> list[Tensor]:
    return [torch.as_tensor(part.weight) for part in (cell.up, cell.down)] + [cell.bias]


def loop_of(row: Row) -> Loop:
    layers = []
    for cell in row.cells:
        assert isinstance(cell, Recurrent)
        up, down, bias = (torch.as_tensor(p).detach().clone() for p in weights_of(cell))
        layers.append(Layer(up, down, bias, cell.joint, cell.peers is not None))
    linear, sweep = row.linear(), row.algorithm.sweep
    assert sweep is not None
    head = torch.empty(0) if linear is None else linear.linear.weight.detach().clone()
    return Loop(layers, head, torch.zeros_like(head), sweep)


def assert_same(row: Row, loop: Loop, tolerance: float = 1e-11) -> None:
    for cell, layer in zip(row.cells, loop.layers, strict=True):
        assert isinstance(cell, Recurrent)
        wanted_of = (layer.up, layer.down, layer.bias)
        for came, wanted in zip(weights_of(cell), wanted_of, strict=True):
            torch.testing.assert_close(came.detach(), wanted, rtol=0, atol=tolerance)
        if cell.peers is not None:
            torch.testing.assert_close(cell.peers.means, layer.busy, rtol=0, atol=tolerance)


ROWS: dict[str, Any] = {
    "as decided": {},
    "one cell": {"widths": (9,)},
    "three cells with peers": {"widths": (8, 7, 5), "peers": PEERS},
    "joint": {"joint": True, "peers": PEERS},
    "every step": {"sweep": Sweep(learned=(1, 8))},
    "after damping": {"sweep": Sweep(damped=True), "peers": PEERS},
    "few iterations, undamped": {"sweep": Sweep(4, 0.0, (2, 3), (1, 4))},
    "hard negatives": {"negatives": hard_label},
}


@pytest.mark.parametrize("name", ROWS)
def test_the_schedule_is_the_unrolled_loop(name: str) -> None:
    """Every answer of every iteration, and all weights, after eight batches."""
    row = row_of(**{"negatives": wrong_label, **ROWS[name]})
    loop, (x, y), rng = loop_of(row), made(), generator(0, "negatives")
    answers: list[Tensor] = []
    for cell in row.cells:
        cell.register_forward_hook(
            lambda cell, ins, h: answers.append(h.detach()) if len(h) == 2 * BATCH else None
        )
    trained(row)
    negatives = getattr(row.algorithm, "negatives")  # noqa: B009
    for index in batches():
        scores = loop.read(x[index], y[index])
        loop.learn(x[index], y[index], negatives(y[index], CLASSES, scores, rng))
    assert len(answers) == len(loop.answers)
    for came, wanted in zip(answers, loop.answers, strict=True):
        torch.testing.assert_close(came[:BATCH], wanted, rtol=1e-10, atol=1e-10)
    assert_same(row, loop)
    linear = row.linear()
    assert linear is not None
    torch.testing.assert_close(linear.linear.weight.detach(), loop.head, rtol=0, atol=1e-11)


# In closed form.

POWERS = {name: good for name, good in goodness.BY_NAME.items() if name != "top_k"}
CLOSED: dict[str, Any] = {
    **{name: row for name, row in ROWS.items() if name != "after damping"},
    "four cells, every step": {"widths": (8, 7, 6, 5), "sweep": Sweep(learned=(1, 5))},
    "without a readout": {"readout": False, "negatives": wrong_label},
    **{name: {"goodness": good, "theta": 2.0, "temperature": 0.5} for name, good in POWERS.items()},
}
OPTIMIZERS = {
    "sgd": sgd(RATE, MOMENTUM, DECAY),
    "sgd without momentum": sgd(RATE, 0.0),
    "adamw": adamw(1e-3, decay=0.1),
}


def close(came: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Relative to the largest number."""
    largest = float(wanted.abs().max())
    torch.testing.assert_close(came, wanted, rtol=0, atol=tolerance * largest)


def assert_equal_training(row: Row, tolerance: float = 1e-9, x: Tensor | None = None) -> None:
    slow = copy.deepcopy(row)
    slow.fast = False
    like = made()[0].to(next(row.cells[0].parameters()).dtype)
    assert Settling(row).apply(like)
    assert not Settling(slow).apply(like)
    for one, other in zip(trained(row, x).everyone, trained(slow, x).everyone, strict=True):
        for name, value in one.cell.state_dict().items():
            close(value, other.cell.state_dict()[name], tolerance)
        (optimizer,), (twin_of,) = one.optimizers.values(), other.optimizers.values()
        came, wanted = (o.state_dict()["state"] for o in (optimizer, twin_of))
        assert came.keys() == wanted.keys()
        for index, kept in came.items():
            for name, value in kept.items():
                close(value, wanted[index][name], tolerance)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_are_autograd(name: str) -> None:
    """Losses, weights, running means and velocities after eight batches."""
    row = row_of(**{"negatives": wrong_label, **CLOSED[name]})
    slow = copy.deepcopy(row)
    slow.fast = False
    (x, y), index = made(), torch.arange(BATCH)
    each = []
    for one in (copy.deepcopy(row), slow):
        (stage,) = recurrent(one, x, y, generator(0, "negatives"))
        each.append(stage.step(index))
    assert each[0].keys() == each[1].keys()
    for station, loss in each[0].items():
        torch.testing.assert_close(loss, each[1][station], rtol=1e-10, atol=1e-10)
    assert_equal_training(row)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_closed_forms_with_every_optimizer(name: str) -> None:
    assert_equal_training(row_of(maker=OPTIMIZERS[name], peers=PEERS))


def test_closed_forms_in_single_precision() -> None:
    row = row_of((20, 15), peers=PEERS)
    for station in row.everyone:
        station.cell.float()
    assert_equal_training(row, 1e-3)


def test_where_closed_forms_do_not_apply() -> None:
    x, _ = made()

    class Other(RecurrentForwardForward):
        pass

    assert Settling(row_of()).apply(x)
    assert not Settling(row_of()).apply(x.float()), "weights of another type"
    assert not Settling(row_of(sweep=Sweep(damped=True))).apply(x)
    assert not Settling(row_of(goodness=goodness.top_k)).apply(x)
    hooked, replaced = row_of(), row_of()
    hooked.cells[1].register_forward_hook(lambda cell, ins, h: None)
    assert not Settling(hooked).apply(x)
    replaced.algorithm = Other(CLASSES)
    assert not Settling(replaced).apply(x)
    mapped = row_of()
    assert isinstance(mapped.cells[0], Recurrent)
    mapped.cells[0].up = nn.Sequential(mapped.cells[0].up)
    assert not Settling(mapped).apply(x)
    shared = row_of()
    assert isinstance(shared.cells[0], Recurrent)
    shared.cells[0].down.register_forward_hook(lambda part, ins, z: None)
    assert not Settling(shared).apply(x)


def row_of_fields(tile: int | None, cells: int = 2, **settings: Any) -> Row:
    """Cells of two units a place on pictures of 6 x 5, fields cut off at the border."""
    rng, maps = generator(0, "cells"), (2, 6, 5)
    own = {k: settings.pop(k) for k in ("joint", "peers") if k in settings}

    def fields(shape: tuple[int, int, int]) -> nn.Module:
        return LocalFields(shape, 2, 3, truncated=True, tile=tile, bias=False, rng=rng)

    row_cells: list[nn.Module] = []
    for number in range(cells):
        below, last = maps if number else PICTURE, number == cells - 1
        above, down = (CLASSES, None) if last else (maps, fields(maps))
        row_cells.append(Recurrent(below, maps, above, up=fields(below), down=down, rng=rng, **own))
    maker = sgd(RATE, MOMENTUM, DECAY)
    algorithm = RecurrentForwardForward(CLASSES, **settings)
    row = build_row(row_cells, algorithm, maker, classes=CLASSES, readout=maker)
    for station in row.everyone:
        station.cell.double()
    return row


def pictures() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(SAMPLES, *PICTURE, generator=rng, dtype=torch.float64)


FIELDS: dict[str, Any] = {
    "one tile": {"tile": None},
    "tiles that end past the border": {"tile": 4, "peers": PEERS},
    "places by themselves": {"tile": 1, "joint": True},
    "three cells": {"tile": 2, "cells": 3, "peers": PEERS, "loss": objectives.swish},
}


@pytest.mark.parametrize("name", FIELDS)
def test_closed_forms_of_local_fields(name: str) -> None:
    """Weights, running means and velocities after eight batches are autograd's."""
    row = row_of_fields(**{"negatives": wrong_label, **FIELDS[name]})
    assert_equal_training(row, x=pictures())


@pytest.mark.parametrize("fields", [False, True])
def test_closed_forms_in_bf16(fields: bool) -> None:
    """Rounded, and no further from exact training than autograd's, step by step of two batches.

    What both streams share is rounded as their sum, so the two are not the same; and all three go
    apart with every batch.
    """
    own: dict[str, Any] = {"peers": PEERS, "negatives": wrong_label}
    row = row_of_fields(4, **own) if fields else row_of((20, 15), **own)
    for station in row.everyone:
        station.cell.float()
    x = (pictures() if fields else made()[0]).float()

    def moves(precision: Precision, fast: bool) -> Tensor:
        """How all weights moved, one after the other."""
        learner = copy.deepcopy(row)
        learner.fast = fast
        before = torch.cat([p.flatten() for cell in row.cells for p in cell.parameters()])
        with Machine("cpu", precision=precision).arithmetic(torch.device("cpu")):
            assert Settling(learner).apply(x) == fast
            (stage,) = recurrent(learner, x, made()[1], generator(0, "negatives"))
            for index in islice(batches(), 2):
                stage.step(index)
        after = torch.cat([p.flatten() for cell in learner.cells for p in cell.parameters()])
        return (after - before).detach()

    exact, closed, tape = moves("fp32", False), moves("bf16", True), moves("bf16", False)
    off, usual = (float((one - exact).norm() / exact.norm()) for one in (closed, tape))
    assert 0 < off < 0.03
    assert off < 2 * usual


# What is read off.


@pytest.mark.parametrize("name", ROWS)
def test_every_label_tried_alone(name: str) -> None:
    """T15: goodness of iterations 3 to 5, counted from 1; what labels share changes nothing."""
    row = trained(row_of(**{"negatives": wrong_label, **ROWS[name]}))
    x, _ = made()
    wanted = loop_of(row).tried(x)
    came = every_label(row.cells, row.algorithm, x)
    torch.testing.assert_close(came, wanted, rtol=1e-10, atol=1e-12)
    said = judge(row, x).goodness
    assert said is not None
    torch.testing.assert_close(said.double(), wanted, rtol=1e-5, atol=1e-5)


def test_iterations_3_to_5_and_no_others() -> None:
    row = trained(row_of(negatives=wrong_label))
    loop, (x, _) = loop_of(row), made()
    assert (loop.sweep.judged, loop.sweep.iterations) == ((3, 5), 8)
    each = [replace(loop, sweep=Sweep(judged=(t, t))).tried(x) for t in range(1, 9)]
    came = every_label(row.cells, row.algorithm, x)
    torch.testing.assert_close(came, torch.stack(each[2:5]).mean(0), rtol=1e-10, atol=1e-12)
    for low, high in ((1, 5), (2, 4), (4, 6), (3, 8)):
        other = torch.stack(each[low - 1 : high]).mean(0)
        assert not torch.allclose(came, other, rtol=1e-5), (low, high)


def test_what_labels_share_is_computed_once() -> None:
    """Rows that the matrices multiply, label by label and shared, beside the arithmetic."""
    row, x = row_of((8, 7)), made()[0]
    seen: dict[str, int] = {}

    def count(name: str, module: nn.Module, ins: tuple[Tensor, ...], out: Tensor) -> None:
        seen[name] = seen.get(name, 0) + len(ins[0])

    for number, cell in enumerate(row.cells):
        assert isinstance(cell, Recurrent)
        cell.up.register_forward_hook(partial(count, f"up {number}"))
        cell.down.register_forward_hook(partial(count, f"down {number}"))
    every_label(row.cells, row.algorithm, x)
    n, k = SAMPLES, CLASSES
    assert seen == {
        "up 0": n,  # pixels: once for all labels and iterations
        "down 1": k * n,  # labels: once for all iterations
        "up 1": n + 2 * n + 3 * k * n,  # the first pass; no label has come down to cell 0 before 2
        "down 0": n + 4 * k * n,
    }


def test_the_probe_looks_at_the_last_iteration_that_is_judged() -> None:
    row = trained(row_of((8, 7), negatives=wrong_label))
    loop, (x, y) = loop_of(row), made()
    at_five = replace(loop, sweep=Sweep(judged=(5, 5))).tried(x)
    found = probe(row, x, y, generator(0, "probe"))
    wrong = wrong_label(y, CLASSES, None, generator(0, "probe"))
    for number, cell in enumerate(found):
        for name, labels in (("positive", y), ("negative", wrong)):
            wanted = at_five[number].gather(1, labels[:, None]).mean()
            assert cell[f"goodness_{name}"] == pytest.approx(float(wanted))


def test_the_linear_readout_reads_the_pass_from_below() -> None:
    row, (x, _) = row_of((8, 7)), made()
    seen, loop = neutral_answers(row.cells, row.algorithm, x), loop_of(row)
    for number, state in enumerate(loop.begin(x)):
        torch.testing.assert_close(seen[number], state, rtol=1e-10, atol=1e-12)


# The wall.


def check(cells: Any = None, sweep: Sweep | None = None) -> list[str]:
    x, y = made()
    algorithm = RecurrentForwardForward(CLASSES, sweep=sweep or Sweep())
    return check_algorithm(algorithm, cells or (lambda: cells_of((8, 7, 6))), x.float(), y)


def test_nothing_of_a_loss_reaches_another_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no gradient path leaves a cell" in check()
    assert check(sweep=Sweep(damped=True))
    monkeypatch.setattr("onward.recurrent.wall", lambda outs: outs)
    with pytest.raises(BrokenPromise, match="no gradient path leaves a cell"):
        check()


def test_a_connection_shared_by_two_cells() -> None:
    def cells() -> list[nn.Module]:
        made = cells_of((8, 8))
        made[1].down = made[0].down
        return made

    def tied() -> list[nn.Module]:
        rng = generator(0, "cells")
        first, second = Recurrent(INPUTS, 8, 8, rng=rng), Recurrent(8, 8, CLASSES, rng=rng)
        second.up = first.down
        return [first, second]

    with pytest.raises(BrokenPromise, match="only cell 0 moves"):
        check(tied)


def test_a_cell_whose_two_connections_are_one_goes_by_autograd() -> None:
    """Its matrix has one gradient, of both sides."""
    torch.manual_seed(0)
    both = nn.Linear(8, 8, bias=False)
    cells = cells_of((8, 8, 8))
    cells[1] = Recurrent(8, 8, 8, up=both, down=both)
    algorithm, maker = RecurrentForwardForward(CLASSES), sgd(RATE, MOMENTUM)
    row = build_row(cells, algorithm, maker, classes=CLASSES, readout=maker)
    slow = copy.deepcopy(row)
    slow.fast = False
    x = made()[0].float()
    assert not Settling(row).apply(x)
    for one, other in zip(trained(row, x).cells, trained(slow, x).cells, strict=True):
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_iterations_before_the_first_that_learns_have_no_graph() -> None:
    row, (x, y) = row_of((8, 7), Sweep(8, 0.3, (8, 8))), made()
    kept: list[bool] = []
    for cell in row.cells:
        cell.register_forward_hook(lambda cell, ins, h: kept.append(h.requires_grad))
    (stage,) = recurrent(row, x, y, generator(0, "negatives"))
    stage.step(torch.arange(BATCH))
    assert kept == [False] * 2 * 8 + [True] * 2


def test_an_algorithm_of_ones_own_is_checked_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_sweep.py").write_text(
        "from onward import RecurrentForwardForward, Sweep\n"
        "mine = RecurrentForwardForward(10, sweep=Sweep(3, 0.5, (2, 3), (1, 2)))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    promised = check_named("own_sweep:mine")
    assert "a resumed run equals one never interrupted" in promised


# The cell.


def test_halves_are_normalised_apart_or_together() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(5, INPUTS, generator=rng), torch.rand(5, 6, generator=rng)
    apart, joint = (
        Recurrent(INPUTS, 8, 6, joint=j, rng=generator(0, "cells")) for j in (False, True)
    )
    for cell, blind in ((apart, True), (joint, False)):
        h = cell(torch.cat([x, y], 1))
        close = torch.allclose(cell(torch.cat([3 * x, y], 1)), h, rtol=1e-4, atol=1e-5)
        assert close == blind
        scaled = cell(torch.cat([3 * x, 3 * y], 1))
        torch.testing.assert_close(scaled, h, rtol=1e-4, atol=1e-5)
    assert torch.allclose(apart(x), joint(x)), "with nothing above they are the same"


class Fields(nn.Module):
    """A linear map of pictures that no matrix is: a convolution without a bias."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv(x)
        return h


def test_connections_may_be_any_linear_maps() -> None:
    """Pictures below and above; the label comes down through a matrix."""
    torch.manual_seed(0)
    picture, maps = (1, 3, 4), (2, 3, 4)
    cells: list[nn.Module] = [
        Recurrent(picture, maps, maps, up=Fields(1, 2), down=Fields(2, 2), peers=PEERS),
        Recurrent(maps, maps, CLASSES, up=Fields(2, 2)),
    ]
    algorithm = RecurrentForwardForward(CLASSES, negatives=wrong_label)
    x, y = made()
    assert check_algorithm(algorithm, lambda: copy.deepcopy(cells), x.float(), y)
    row = build_row(cells, algorithm, sgd(RATE), classes=CLASSES, readout=sgd(RATE))
    assert [cell.outputs for cell in cells] == [24, 24]
    (stage,) = recurrent(row, x.float(), y, generator(0, "negatives"))
    before = [p.clone() for p in cells[0].parameters()]
    losses = stage.step(torch.arange(BATCH))
    assert losses.keys() == {"cell-0", "cell-1", "readout"}
    assert all(not torch.equal(a, b) for a, b in zip(before, cells[0].parameters(), strict=True))
    with pytest.raises(BadInput, match="up should be a linear map without a bias"):
        Recurrent(picture, maps, 5, up=Fields(1, 2, bias=True))
    quiet = nn.Linear(5, 24)
    nn.init.zeros_(quiet.bias)
    with pytest.raises(BadInput, match=r"down should be a linear map without a bias.*Linear"):
        Recurrent(picture, maps, 5, up=Fields(1, 2), down=quiet)
    with pytest.raises(BadInput, match="to 36 units"):
        Recurrent(picture, (3, 3, 4), 5, up=Fields(1, 2))


def test_connections_may_be_local_fields() -> None:
    """Fields below and above, cut off at the border, as for colour images."""
    rng, picture, maps = generator(0, "cells"), (3, 6, 6), (2, 6, 6)

    def fields(shape: tuple[int, int, int]) -> nn.Module:
        return LocalFields(shape, 2, 3, truncated=True, bias=False, rng=rng)

    cells: list[nn.Module] = [
        Recurrent(picture, maps, maps, up=fields(picture), down=fields(maps), peers=PEERS),
        Recurrent(maps, maps, CLASSES, up=fields(maps)),
    ]
    algorithm = RecurrentForwardForward(CLASSES, negatives=wrong_label)
    x = torch.rand(12, *picture, generator=torch.Generator().manual_seed(0))
    assert check_algorithm(algorithm, lambda: copy.deepcopy(cells), x, torch.arange(12) % CLASSES)


# Refusals.


def test_schedules_with_one_pass_refuse_a_sweep() -> None:
    x, y = made()
    for name, schedule in schedules.BY_NAME.items():
        if name in ("recurrent", "frozen"):
            continue
        with pytest.raises(BadInput, match=f"{name} can't serve RecurrentForwardForward"):
            schedule(row_of(negatives=wrong_label), x, y, generator(0, "negatives"))
    alone = partial(schedules.alone, order=0)
    with pytest.raises(BadInput, match="a relay can't serve RecurrentForwardForward"):
        alone(row_of((8,), readout=False, negatives=wrong_label), x, y, generator(0, "n"))


def plain_row(cells: list[nn.Module], algorithm: Algorithm) -> Row:
    return build_row(cells, algorithm, sgd(RATE), classes=CLASSES, readout=sgd(RATE))


def test_the_schedule_refuses_what_it_can_not_sweep() -> None:
    (x, y), rng = made(), generator(0, "negatives")
    swept = RecurrentForwardForward(CLASSES)
    dense: list[nn.Module] = [Dense(INPUTS, 8), Dense(8, 7)]
    with pytest.raises(BadInput, match="ForwardForward makes one pass from below"):
        recurrent(plain_row(dense, ForwardForward(CLASSES)), x, y, rng)
    with pytest.raises(BadInput, match="cell 0 is a Dense"):
        recurrent(plain_row(dense, swept), x, y, rng)
    apart: list[nn.Module] = [Recurrent(INPUTS, 8, 9), Recurrent(8, 7, CLASSES)]
    with pytest.raises(BadInput, match="sees 9 numbers above"):
        recurrent(plain_row(apart, swept), x, y, rng)
    untopped: list[nn.Module] = [Recurrent(INPUTS, 8, 7), Recurrent(8, 7, CLASSES + 1)]
    with pytest.raises(BadInput, match="takes 4 numbers, and 3 came"):
        every_label(untopped, swept, x.float())
    with pytest.raises(BadInput, match="hard negatives are drawn from the scores"):
        recurrent(row_of(readout=False), x, y, rng)
    cell = Recurrent(INPUTS, 8, 8)
    with pytest.raises(BadInput, match="12 or 20 numbers, and was given 14"):
        cell(torch.rand(2, 14))
    with pytest.raises(BadInput, match="nothing above its last cell"):
        ForwardForward(CLASSES).top(y)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"learned": (0, 8)}, "learned should be"),
        ({"learned": (3, 9)}, "of iterations 1 to 8"),
        ({"judged": (5, 3)}, "judged should be"),
        ({"iterations": 4}, "learned should be"),
        ({"damping": 1.0}, "damping is the share"),
        ({"damping": -0.1}, "damping is the share"),
    ],
)
def test_iterations_that_there_are_not(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Sweep(**wrong)


# Whole runs.


def test_a_run_learns_and_costs_what_it_says() -> None:
    data, cells = onward.load("synthetic"), recurrent_cells(64, 60, 60, 10)
    run = onward.fit(
        cells,
        RecurrentForwardForward(10),
        data,
        epochs=1,
        batch=15,
        optimizer=sgd(1e-3),
        schedule=recurrent,
        counted=[0, 1],
        threads=1,
    )
    assert run.test_error["goodness"] < 0.8, "of ten classes"
    assert run.test_error["linear"] < 0.8
    record = run.record
    assert (record["algorithm"], record["schedule"]) == ("RecurrentForwardForward", "recurrent")
    assert [cell["inputs"] for cell in record["cells"]] == [64, 60]
    assert record["cost"]["data_passes"] == 17
    curve = record["curves"]["cells"][0]
    assert curve["goodness_positive"][-1] > curve["goodness_negative"][-1]
    assert len(run.predict(data.test.x[:4])) == 4


def test_a_run_in_bf16_learns() -> None:
    data = onward.load("synthetic")
    cells = recurrent_cells(64, 40, 40, 10, joint=True, peers=PEERS)
    run = onward.fit(
        cells,
        RecurrentForwardForward(10),
        data,
        epochs=6,
        batch=40,
        optimizer=sgd(1e-3),
        schedule=recurrent,
        counted=[0, 1],
        device="cpu",
        precision="bf16",
        threads=1,
    )
    assert all(p.dtype == torch.float32 for cell in cells for p in cell.parameters())
    assert run.test_error["linear"] < 0.7, "of ten classes"


def test_measures_of_streams() -> None:
    h = torch.arange(8.0).view(4, 2)
    measured = RecurrentForwardForward(CLASSES).measures(Streams(h, 2))
    assert [float(v) for v in measured.values()] == [(1 + 13) / 2, (41 + 85) / 2]


# The command.


def test_the_command_runs_stops_goes_on_and_answers(tmp_path: Path) -> None:
    """Interrupted in the middle of an epoch and resumed: the same, bit for bit."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    words = ("run", "ff-recurrent-mnist", *TINY)
    assert command(*words, "--out", whole).code == 0

    class Press(progress.Silent):
        seen = 0

        def step(self, epoch: int, samples: int) -> None:
            self.seen += 1
            if self.seen == 14:  # of 10 batches an epoch
                signal.raise_signal(signal.SIGINT)

    recipe = find("ff-recurrent-mnist")
    tiny = {"width": 16, "cells": 2, "epochs": 3, "batch": 60, "checkpoint_every": 1}
    settings = replace(recipe.defaults, dataset="synthetic", **tiny)
    with pytest.raises(Interrupted, match="epoch 2, after 4 batches"):
        running.start(
            recipe, settings, seed=0, machine=Machine(threads=1), out=cut, progress=Press()
        )
    assert command("resume", cut).code == 0
    same(whole, cut)
    told = command("eval", whole).out
    assert "goodness" in told
    assert "cell-1     alone" in told
    np.save(tmp_path / "x.npy", onward.load("synthetic").test.x[:3].numpy())
    done = command("predict", whole, tmp_path / "x.npy", "--readout", "goodness")
    assert len(done.out.splitlines()) == 4
    page = command("report", whole)
    assert page.code == 0
    assert "RecurrentForwardForward" in (whole / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "--schedule", "greedy"), "schedule can't be 'greedy'"),
        (("run", "--learn_from", "9"), "learn_from=9 is after the last of 8 iterations"),
        (("run", "--judge_from", "6"), "judge_from=6 and judge_to=5"),
        (("run", "--damping", "1"), "damping should be a number from 0 to below 1"),
        (("run", "--iterations", "0"), "iterations should be 1 or more"),
        (("run", "--linear", "false"), "hard negatives are drawn from the scores"),
        (("relay", "--negatives", "wrong"), "a relay can't serve RecurrentForwardForward"),
    ],
)
def test_words_that_will_not_do(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    verb, *more = words
    done = command(verb, "ff-recurrent-mnist", *TINY, *more, "--out", tmp_path / "run")
    assert told in done.complaint
    assert not (tmp_path / "run").exists()


def test_the_twin_has_the_same_cells() -> None:
    recipe = find("ff-recurrent-mnist")
    assert recipe.twin == "bp-mnist"
    twin = running._twin_settings(recipe, recipe.defaults, find("bp-mnist"))
    assert (twin.cells, twin.width) == (2, 2000)
