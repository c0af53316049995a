"""Every schedule against a plain loop that does the same with nothing kept, shared or clever.

The loops own their weights and write their gradients or losses out; of the package they use only
how labels are written and drawn. All in double precision. B = samples of a batch, S = 2 streams.
"""

import copy
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from collaborative import Collaborative, CollaborativeUpwards
from conv_part import Conv, loudest
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, softplus

from onward import BadInput, Clean, ForwardForward, Streams, build_row, generator, sgd
from onward.cells import Dense
from onward.local import Algorithm
from onward.negatives import hard_label, wrong_label
from onward.row import Row
from onward.schedules import BY_NAME, Schedule, Stage, backprop, frozen, greedy, simultaneous

CLASSES, INPUTS, WIDTHS, SAMPLES, BATCH = 3, 12, (8, 7, 6), 24, 6
RATE, MOMENTUM, DECAY = 0.05, 0.9, 0.1


def made() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(SAMPLES, 1, 3, 4, generator=rng, dtype=torch.float64)
    return x, torch.arange(SAMPLES) % CLASSES


def row_of(algorithm: Algorithm, *, readout: bool = True, peers: float = 0.0) -> Row:
    rng, sizes = generator(0, "cells"), (INPUTS, *WIDTHS)
    cells = [Dense(a, b, peers=peers, rng=rng) for a, b in zip(sizes, WIDTHS, strict=False)]
    maker = sgd(RATE, MOMENTUM, DECAY)
    head = maker if readout else None
    row = build_row(cells, algorithm, maker, classes=CLASSES, readout=head)
    for station in row.everyone:
        station.cell.double()
    return row


def batches(epochs: int) -> Iterator[Tensor]:
    for epoch in range(epochs):
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
        yield from order.view(-1, BATCH)


def trained(schedule: Schedule, row: Row, epochs: int = 2) -> Row:
    x, y = made()
    for stage in schedule(row, x, y, generator(0, "negatives")):
        for index in batches(epochs):
            stage.step(index)
    return row


def wrong() -> ForwardForward:
    return ForwardForward(CLASSES, negatives=wrong_label)


def assert_same(came: Row, wanted: Row, *, exactly: bool = False) -> None:
    for one, other in zip(came.everyone, wanted.everyone, strict=True):
        for name, value in one.cell.state_dict().items():
            twin = other.cell.state_dict()[name]
            if exactly:
                assert torch.equal(value, twin), (one.name, name)
            else:
                torch.testing.assert_close(value, twin, rtol=1e-10, atol=1e-12)


def differ(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


# The pieces of the plain loops.


class Layer:
    """A weight matrix with its bias and velocities, started from a cell's; kept apart from it."""

    def __init__(self, module: nn.Module):
        weight, *bias = [p.detach().clone().requires_grad_() for p in module.parameters()]
        self.w, self.b = weight, bias[0] if bias else torch.zeros(())
        self.velocity = [torch.zeros_like(p) for p in self.parameters]

    @property
    def parameters(self) -> list[Tensor]:
        return [self.w, self.b] if self.b.requires_grad else [self.w]

    def answer(self, x: Tensor) -> Tensor:
        drive = normalised(x) @ self.w.T + self.b
        return torch.where(drive > 0, drive, 0.0)  # without a slope at 0, as a ReLU

    def descend(self, gradients: list[Tensor]) -> None:
        with torch.no_grad():
            self.w *= 1 - RATE * DECAY
            for p, v, g in zip(self.parameters, self.velocity, gradients, strict=True):
                v.copy_(MOMENTUM * v + g)
                p -= RATE * v

    def learn(self, loss: Tensor) -> None:
        self.descend(list(torch.autograd.grad(loss, self.parameters)))


def normalised(x: Tensor) -> Tensor:
    flat = x.reshape(len(x), -1)
    squares = flat.square().mean(1, keepdim=True)
    return flat / (1e-8 + squares.clamp(min=1e-40).sqrt())  # a root has no slope at 0


def written(x: Tensor, labels: Tensor) -> Tensor:
    rows = x.reshape(len(x), -1).clone()
    rows[:, :CLASSES] = one_hot(labels, CLASSES).to(x.dtype)
    return rows


def neutral(x: Tensor) -> Tensor:
    rows = x.reshape(len(x), -1).clone()
    rows[:, :CLASSES] = torch.full((CLASSES,), 1 / CLASSES)
    return rows


def local_loss(h: Tensor) -> Tensor:
    good, units = h.square().sum(1), h.shape[1]
    half = len(h) // 2
    return (softplus(units - good[:half]).mean() + softplus(good[half:] - units).mean()) / 2


def both(x: Tensor, y: Tensor, rng: Generator) -> Tensor:
    return torch.cat([written(x, y), written(x, wrong_label(y, CLASSES, None, rng))])


def read_features(layers: list[Layer], x: Tensor) -> Tensor:
    h, parts = neutral(x), []
    for number, layer in enumerate(layers):
        h = layer.answer(h)
        if number > 0:  # all but the first
            parts.append(normalised(h))
    return torch.cat(parts, dim=1)


def layers_of(row: Row) -> tuple[list[Layer], Layer]:
    linear = row.linear()
    assert linear is not None
    return [Layer(cell) for cell in row.cells], Layer(linear)


def assert_layers(row: Row, layers: list[Layer], head: Layer, tolerance: float = 1e-9) -> None:
    linear = row.linear()
    assert linear is not None
    for cell, layer in zip([*row.cells, linear], [*layers, head], strict=True):
        for came, wanted in zip(cell.parameters(), layer.parameters, strict=True):
            torch.testing.assert_close(came.detach(), wanted.detach(), rtol=0, atol=tolerance)


# Simultaneous.


def loop_simultaneous(row: Row, epochs: int, *, after: bool = False) -> tuple[list[Layer], Layer]:
    """``after``: hand on what a cell answers once it has learned, which the schedule must not."""
    (x, y), rng = made(), generator(0, "negatives")
    layers, head = layers_of(row)
    for index in batches(epochs):
        with torch.no_grad():
            features = read_features(layers, x[index])
        head.learn(cross_entropy(features @ head.w.T, y[index]))
        h = both(x[index], y[index], rng)
        for layer in layers:
            answer = layer.answer(h)
            layer.learn(local_loss(answer))
            h = (layer.answer(h) if after else answer).detach()
    return layers, head


def test_simultaneous_equals_the_loop() -> None:
    row = row_of(wrong())
    layers, head = loop_simultaneous(row, 3)
    late, _ = loop_simultaneous(row, 3, after=True)
    trained(simultaneous, row, 3)
    assert_layers(row, layers, head)
    assert (late[1].w - layers[1].w).abs().max().item() > 1e-4, "before or after makes no odds here"


def test_simultaneous_draws_hard_negatives_from_scores_of_before_the_readouts_step() -> None:
    seen: list[Tensor] = []

    def spied(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
        assert scores is not None
        seen.append(scores.clone())
        return hard_label(y, classes, scores, rng)

    spied.asks_scores = True  # type: ignore[attr-defined]
    row = row_of(ForwardForward(CLASSES, negatives=spied))
    x, y = made()
    (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
    linear = row.linear()
    assert linear is not None
    seen.clear()  # a schedule may draw once, dry
    for index in batches(1):
        layers, head = layers_of(row)
        with torch.no_grad():
            expected = read_features(layers, x[index]) @ head.w.T
        stage.step(index)
        torch.testing.assert_close(seen[-1], expected, rtol=1e-6, atol=1e-9)
    assert bool((seen[-1] != 0).any())


def test_simultaneous_without_a_readout() -> None:
    row, alone = row_of(wrong()), row_of(wrong(), readout=False)
    trained(simultaneous, row)
    trained(simultaneous, alone)
    for one, other in zip(row.cells, alone.cells, strict=True):
        assert not differ(one, other), "the readout had a say in what the cells learn"


# Hints.


@dataclass(frozen=True)
class Spied(Collaborative):
    """Keeps what each cell was told."""

    told: list[Tensor | None] = field(default_factory=list)

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        self.told.append(hint)
        return super().losses(cell, ins, outs, hint)


@dataclass(frozen=True)
class SpiedUpwards(Spied):
    hints: ClassVar[Literal["none", "earlier", "all"]] = "earlier"


@pytest.mark.parametrize("kind", [Spied, SpiedUpwards])
def test_hints_are_the_other_cells_goodness_in_the_order_of_the_row(kind: type[Spied]) -> None:
    row = row_of(kind(CLASSES, negatives=wrong_label), readout=False)
    x, y = made()
    rows = both(x[:BATCH], y[:BATCH], generator(0, "negatives"))
    good = []
    with torch.no_grad():
        for cell in row.cells:
            rows = cell(rows)
            good.append(rows.square().sum(1))
    (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
    stage.step(torch.arange(BATCH))
    assert isinstance(row.algorithm, Spied)
    for number, hint in enumerate(row.algorithm.told):
        later = [] if kind is SpiedUpwards else good[number + 1 :]
        others = good[:number] + later
        if not others:
            assert hint is None
            continue
        assert hint is not None
        assert not hint.requires_grad
        torch.testing.assert_close(hint, torch.stack(others))


def loop_collaborative(
    row: Row, theta: float, kind: type[Collaborative], *, crossed: bool = False
) -> list[Layer]:
    """Gradients written out; ``crossed``: positives listen to negatives, which they must not."""
    (x, y), rng = made(), generator(0, "negatives")
    layers = [Layer(cell) for cell in row.cells]
    for index in batches(3):
        h = both(x[index], y[index], rng)
        seen, answers = [], []
        with torch.no_grad():
            for layer in layers:
                seen.append(normalised(h))
                h = layer.answer(h)
                answers.append(h)
        good = [[sum(v * v for v in row.tolist()) for row in h] for h in answers]
        for i, layer in enumerate(layers):
            pull = [torch.zeros_like(p) for p in layer.parameters]
            listened = range(i) if kind is CollaborativeUpwards else range(len(layers))
            for n in range(2 * BATCH):
                source = (n + BATCH) % (2 * BATCH) if crossed else n
                gamma = sum(good[j][source] for j in listened if j != i)
                p = torch.sigmoid(torch.tensor(good[i][n] + gamma - theta, dtype=torch.float64))
                factor = -(1 - p) if n < BATCH else p
                for j in range(len(layer.w)):
                    pull[0][j] += factor * answers[i][n, j] * seen[i][n] / BATCH
                    pull[1][j] += factor * answers[i][n, j] / BATCH
            layer.descend(pull)
    return layers


@pytest.mark.parametrize("kind", [Collaborative, CollaborativeUpwards])
def test_collaboration_equals_the_loop(kind: type[Collaborative]) -> None:
    theta = 9.0  # near the sums at hand, so that the logistic is not saturated
    row = row_of(kind(CLASSES, negatives=wrong_label, theta=theta), readout=False)
    layers = loop_collaborative(row, theta, kind)
    crossed = loop_collaborative(row, theta, kind, crossed=True)
    deaf = trained(
        simultaneous, row_of(ForwardForward(CLASSES, negatives=wrong_label, theta=theta)), 3
    )
    trained(simultaneous, row, 3)
    for cell, layer in zip(row.cells, layers, strict=True):
        for came, wanted in zip(cell.parameters(), layer.parameters, strict=True):
            torch.testing.assert_close(came.detach(), wanted.detach(), rtol=0, atol=1e-9)
    last = next(row.cells[-1].parameters()).detach()
    assert (last - crossed[-1].w).abs().max().item() > 1e-4
    assert (last - next(deaf.cells[-1].parameters())).abs().max().item() > 1e-4


def test_an_algorithm_that_listens_to_cells_that_say_nothing() -> None:
    class Silent(Collaborative):
        def tell(self, outs: Streams) -> Tensor:
            return None  # type: ignore[return-value]

    quiet = row_of(Silent(CLASSES, negatives=wrong_label))
    trained(simultaneous, quiet)
    assert_same(quiet, trained(simultaneous, row_of(wrong())))


# Greedy.


def loop_greedy(row: Row, epochs: int) -> tuple[list[Layer], Layer]:
    """The frozen cells run again on every batch."""
    (x, y), rng = made(), generator(0, "negatives")
    layers, head = layers_of(row)
    for number, layer in enumerate(layers):
        for index in batches(epochs):
            h = both(x[index], y[index], rng)
            for below in layers[:number]:
                h = below.answer(h).detach()
            layer.learn(local_loss(layer.answer(h)))
    for index in batches(epochs):
        features = read_features(layers, x[index]).detach()
        head.learn(cross_entropy(features @ head.w.T, y[index]))
    return layers, head


def test_greedy_equals_the_loop_that_runs_frozen_cells_again() -> None:
    row = row_of(wrong())
    layers, head = loop_greedy(row, 2)
    trained(greedy, row, 2)
    assert_layers(row, layers, head)


@pytest.mark.parametrize("peers", [0.0, 0.03])
def test_a_store_on_disk_equals_one_in_memory_and_leaves_nothing(
    peers: float, tmp_path: Path
) -> None:
    disk = partial(greedy, budget=0.0, folder=tmp_path)
    row, (x, y) = row_of(wrong(), peers=peers), made()
    used = []
    for stage in disk(row, x, y, generator(0, "negatives")):
        for index in batches(2):
            stage.step(index)
        used.append(len(list(tmp_path.glob("frozen-*/*.bin"))))
    assert used == [0, 1, 2, 3], "the store was not on disk"
    assert list(tmp_path.iterdir()) == []
    assert_same(row, trained(greedy, row_of(wrong(), peers=peers)), exactly=True)


def test_a_store_on_disk_is_gone_when_training_is_given_up(tmp_path: Path) -> None:
    x, y = made()
    stages = greedy(row_of(wrong()), x, y, generator(0, "negatives"), budget=0.0, folder=tmp_path)
    next(stages).step(torch.arange(BATCH))
    next(stages).step(torch.arange(BATCH))
    assert list(tmp_path.glob("frozen-*/*.bin"))
    stages.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    x, y = made()
    stages = greedy(row_of(wrong()), x, y, generator(0, "negatives"), budget=0.0, folder=tmp_path)
    next(stages).step(torch.arange(BATCH))
    with pytest.raises(BadInput, match=rf"GiB in {tmp_path}.*No space left.*free space"):
        next(stages)
    assert list(tmp_path.iterdir()) == []


def test_greedy_trains_one_cell_a_stage() -> None:
    row, (x, y) = row_of(wrong()), made()
    names = []
    for stage in greedy(row, x, y, generator(0, "negatives")):
        before = [copy.deepcopy(station.cell) for station in row.everyone]
        for index in batches(2):
            stage.step(index)
        moved = [
            station.name
            for station, was in zip(row.everyone, before, strict=True)
            if differ(station.cell, was)
        ]
        assert moved == [stage.name] == [station.name for station in stage.stations]
        names.append(stage.name)
    assert names == ["cell-0", "cell-1", "cell-2", "readout"]


def test_a_cell_that_has_learned_keeps_nothing_but_its_weights() -> None:
    x, y = made()
    row = row_of(wrong())
    for number, stage in enumerate(greedy(row, x, y, generator(0, "negatives"))):
        for index in batches(1):
            stage.step(index)
        for station in row.stations[:number]:
            assert all(p.grad is None for p in station.cell.parameters())
            assert not any(optimizer.state for optimizer in station.optimizers.values())
        assert all(optimizer.state for optimizer in stage.stations[0].optimizers.values())


def test_greedy_draws_fresh_negatives_at_every_step() -> None:
    drawn: list[Tensor] = []

    def spied(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
        drawn.append(wrong_label(y, classes, scores, rng))
        return drawn[-1]

    row, (x, y) = row_of(ForwardForward(CLASSES, negatives=spied)), made()
    stages = greedy(row, x, y, generator(0, "negatives"))
    everything = torch.arange(SAMPLES)
    for _ in range(len(row.stations)):
        stage = next(stages)
        drawn.clear()
        for _ in range(3):
            stage.step(everything)
        assert len(drawn) == 3
        assert not torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[1], drawn[2])
        assert all(bool((one != y).all()) for one in drawn)


class Mixed(ForwardForward):
    """Streams that are no views of one sample: negatives are mixed with the next sample."""

    def streams(
        self, x: Tensor, y: Tensor, rng: Generator, scores: Tensor | None = None
    ) -> Streams:
        part = torch.rand(len(x), generator=rng, dtype=x.dtype)[:, None]
        flat = x.flatten(1)
        return Streams(torch.cat([flat, part * flat + (1 - part) * flat.roll(1, 0)]), 2)


def test_greedy_runs_frozen_cells_again_where_streams_are_no_views() -> None:
    algorithm = Mixed(CLASSES, negatives=wrong_label)
    row, (x, y), rng = row_of(algorithm), made(), generator(0, "negatives")
    layers, _ = layers_of(row)
    for number, layer in enumerate(layers):
        for index in batches(2):
            h = algorithm.streams(x[index], y[index], rng).rows
            for below in layers[:number]:
                h = below.answer(h).detach()
            layer.learn(local_loss(layer.answer(h)))
    trained(greedy, row, 2)
    for cell, layer in zip(row.cells, layers, strict=True):
        torch.testing.assert_close(next(cell.parameters()).data, layer.w.data, rtol=0, atol=1e-9)


def test_greedy_keeps_the_shape_of_images() -> None:
    """A store of [V, N, C, H, W] from cells that answer images; in chunks, for more samples."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(1100, 1, 8, 8, generator=rng)
    y = torch.arange(1100) % CLASSES
    index = torch.arange(0, 1100, 11)

    def row() -> Row:
        algorithm = ForwardForward(CLASSES, goodness=loudest, negatives=wrong_label)
        return build_row([Conv(1, 2), Conv(2, 3)], algorithm, sgd(0.1))

    stored, again = row(), row()
    for stage in greedy(stored, x, y, generator(0, "negatives")):
        for _ in range(3):
            stage.step(index)
    source = generator(0, "negatives")
    for number, station in enumerate(again.stations):
        for _ in range(3):
            ins = again.algorithm.streams(x[index], y[index], source)
            for below in again.cells[:number]:
                ins = Streams(below(ins.rows).detach(), 2)
            station.update(again.algorithm, ins, station.forward(ins))
    for one, other in zip(stored.cells, again.cells, strict=True):
        for came, wanted in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(came, wanted, rtol=1e-4, atol=1e-6)


@dataclass(frozen=True)
class Told(ForwardForward):
    """An algorithm whose cells are given the labels."""

    targets: ClassVar[bool] = True
    came: list[Tensor] = field(default_factory=list)

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        assert ins.target is not None
        assert outs.target is not None
        assert torch.equal(ins.target, outs.target)
        self.came.append(ins.target)
        return super().losses(cell, ins, outs, hint)


@pytest.mark.parametrize("schedule", [simultaneous, greedy])
def test_labels_travel_where_an_algorithm_asks_for_them(schedule: Schedule) -> None:
    algorithm = Told(CLASSES, negatives=wrong_label)
    row, (x, y) = row_of(algorithm, readout=False), made()
    index = torch.tensor([5, 1, 4, 10])
    for stage in schedule(row, x, y, generator(0, "negatives")):
        stage.step(index)
    assert [t.tolist() for t in algorithm.came] == [y[index].tolist()] * 3


# Backprop and frozen.


@pytest.mark.parametrize("algorithm", [Clean(), wrong()])
def test_backprop_equals_end_to_end_torch(algorithm: Algorithm) -> None:
    row, (x, y) = row_of(algorithm), made()
    layers, head = layers_of(row)
    for index in batches(5):
        bx = x[index].flatten(1) if isinstance(algorithm, Clean) else neutral(x[index])
        h, features = bx, []
        for number, layer in enumerate(layers):
            h = layer.answer(h)
            features += [normalised(h)] if number > 0 else []
        loss = cross_entropy(torch.cat(features, dim=1) @ head.w.T, y[index])
        every = [*layers, head]
        owned = [p for layer in every for p in layer.parameters]
        gradients = list(torch.autograd.grad(loss, owned))
        for layer in every:
            count = len(layer.parameters)
            layer.descend(gradients[:count])
            gradients = gradients[count:]
    start = next(row.cells[0].parameters()).detach().clone()
    trained(backprop, row, 5)
    assert_layers(row, layers, head)
    way = next(row.cells[0].parameters()).detach() - (1 - RATE * DECAY) ** 20 * start
    assert float(way.abs().max()) > 1e-4, "the readout's loss did not reach the first cell"


def test_backprop_is_bit_for_bit_a_plain_torch_network() -> None:
    """With torch's own modules and optimiser, in fp32."""
    rng = generator(0, "cells")
    cells = [Dense(INPUTS, 8, rng=rng), Dense(8, 7, rng=rng)]
    row = build_row(cells, Clean(), sgd(RATE), classes=CLASSES, readout=sgd(RATE))

    class Normalised(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
            out: Tensor = x / (norm * x.shape[1] ** -0.5 + 1e-8)
            return out

    twin = nn.Sequential(
        *(Normalised(), nn.Linear(INPUTS, 8), nn.ReLU()),
        *(Normalised(), nn.Linear(8, 7), nn.ReLU()),
        *(Normalised(), nn.Linear(7, CLASSES, bias=False)),
    )
    linear = row.linear()
    assert linear is not None
    own = [p for module in (*cells, linear) for p in module.parameters()]
    with torch.no_grad():
        for parameter, value in zip(twin.parameters(), own, strict=True):
            parameter.copy_(value)
    optimizer = torch.optim.SGD(twin.parameters(), lr=RATE, momentum=0.9)
    x, y = made()
    x = x.float()
    (stage,) = backprop(row, x, y, generator(0, "negatives"))
    for index in batches(5):
        stage.step(index)
        optimizer.zero_grad()
        cross_entropy(twin(x[index].flatten(1)), y[index]).backward()  # type: ignore
        optimizer.step()
    for came, wanted in zip(own, twin.parameters(), strict=True):
        torch.testing.assert_close(came, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [{"recompute": True}, {"pieces": 4}, {"pieces": 5}])
def test_backprop_in_less_memory_is_the_same(settings: dict[str, Any]) -> None:
    """Cells run again: bit for bit. A batch in pieces, the last one smaller or not: to rounding."""
    plain = trained(backprop, row_of(Clean()))
    spare = trained(partial(backprop, **settings), row_of(Clean()))
    assert_same(spare, plain, exactly="recompute" in settings)


@pytest.mark.parametrize("settings", [{"recompute": True}, {"pieces": 4}])
def test_backprop_in_less_memory_keeps_fewer_numbers(settings: dict[str, Any]) -> None:
    """What the graph holds from forward to backward, in numbers."""

    def held(schedule: Schedule) -> int:
        row, (x, y) = row_of(Clean()), made()
        (stage,) = schedule(row, x, y, generator(0, "negatives"))
        now = most = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal now, most
            now += tensor.numel()
            most = max(most, now)
            return tensor

        def unpack(tensor: Tensor) -> Tensor:
            nonlocal now
            now -= tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            stage.step(torch.arange(SAMPLES))
        return most

    assert held(partial(backprop, **settings)) < 0.8 * held(backprop)


def test_pieces_below_one_are_refused() -> None:
    with pytest.raises(BadInput, match="pieces should be 1 or more, and is 0"):
        backprop(row_of(Clean()), *made(), generator(0, "negatives"), pieces=0)


@pytest.mark.parametrize("algorithm", [Clean(), ForwardForward(CLASSES)])
def test_frozen_leaves_cells_untouched_and_trains_the_readout(algorithm: Algorithm) -> None:
    row, (x, y) = row_of(algorithm), made()
    drawn = copy.deepcopy(row.cells)
    layers, head = layers_of(row)
    for index in batches(3):
        bx = x[index]
        h, parts = (bx.flatten(1) if isinstance(algorithm, Clean) else neutral(bx)), []
        for number, layer in enumerate(layers):
            h = layer.answer(h).detach()
            parts += [normalised(h)] if number > 0 else []
        head.learn(cross_entropy(torch.cat(parts, dim=1) @ head.w.T, y[index]))
    trained(frozen, row, 3)
    assert not any(differ(one, was) for one, was in zip(row.cells, drawn, strict=True))
    assert all(p.grad is None for cell in row.cells for p in cell.parameters())
    assert_layers(row, layers, head)
    assert bool((head.w != 0).any())


# What a stage says of itself.


def stages(schedule: Schedule, algorithm: Algorithm, *, readout: bool = True) -> list[Stage]:
    x, y = made()
    return list(schedule(row_of(algorithm, readout=readout), x, y, generator(0, "negatives")))


def test_costs_of_stages() -> None:
    """Passes through the whole row: one of three cells is a third."""

    def costs(found: list[Stage]) -> list[tuple[int, float, float, int]]:
        return [(s.trained, s.passes, s.passes_before, s.rows_handed_on) for s in found]

    third, views = 1 / 3, (CLASSES + 1) / 3
    assert costs(stages(simultaneous, ForwardForward(CLASSES))) == [(3, 3, 0, 2)]
    assert costs(stages(simultaneous, wrong(), readout=False)) == [(3, 2, 0, 2)]
    assert costs(stages(greedy, wrong())) == [
        (1, pytest.approx(2 * third), 0, 0),
        (2, pytest.approx(2 * third), pytest.approx(views), 0),
        (3, pytest.approx(2 * third), pytest.approx(views), 0),
        (3, 0, 1, 0),
    ]
    assert costs(stages(backprop, Clean())) == [(3, 1, 0, 0)]
    assert costs(stages(frozen, Clean())) == [(0, 0, 1, 0)]


def test_greedy_hands_on_every_view_once() -> None:
    x, _ = made()
    widths = [int(cell.outputs) for cell in row_of(wrong()).cells]  # type: ignore[arg-type]
    sent = [stage.bytes_before for stage in stages(greedy, wrong())]
    numbers = (CLASSES + 1) * len(x) * x.element_size()
    assert sent == [0, numbers * widths[0], numbers * widths[1], 0]


@pytest.mark.parametrize(
    "name", sorted(BY_NAME.keys() - {"recurrent"})
)  # that one: test_recurrent.py
def test_losses_are_those_of_the_stages_stations(name: str) -> None:
    row, (x, y) = row_of(wrong()), made()
    for stage in BY_NAME[name](row, x, y, generator(0, "negatives")):
        losses = stage.step(torch.arange(BATCH))
        known = {station.name for station in stage.stations}
        assert losses.keys() <= known
        if name in ("simultaneous", "greedy"):
            assert losses.keys() == known
        assert all(loss.shape == () and not loss.requires_grad for loss in losses.values())


# Refusals, when the schedule is built and by name.


def refused(schedule: Schedule, row: Row) -> Callable[[], object]:
    x, y = made()
    return lambda: schedule(row, x, y, generator(0, "negatives"))


def test_greedy_refuses_hard_negatives() -> None:
    with pytest.raises(BadInput, match=r"greedy can't draw hard negatives.*negatives=wrong"):
        refused(greedy, row_of(ForwardForward(CLASSES)))()


def test_greedy_refuses_cells_that_must_be_told_of_all_others() -> None:
    wanted = r"greedy can't serve Collaborative.*hints from all other cells.*simultaneous"
    with pytest.raises(BadInput, match=wanted):
        refused(greedy, row_of(Collaborative(CLASSES, negatives=wrong_label)))()


@pytest.mark.parametrize("schedule", [simultaneous, greedy])
def test_hard_negatives_without_a_readout_are_refused(schedule: Schedule) -> None:
    with pytest.raises(BadInput, match=r"this row has none.*negatives=wrong"):
        refused(schedule, row_of(ForwardForward(CLASSES), readout=False))()


@pytest.mark.parametrize("name", ["backprop", "frozen"])
def test_schedules_that_train_a_readout_refuse_a_row_without_one(name: str) -> None:
    with pytest.raises(BadInput, match=rf"{name} trains .*readout"):
        refused(BY_NAME[name], row_of(Clean(), readout=False))()


@pytest.mark.parametrize("schedule", [simultaneous, greedy])
def test_cells_without_a_loss_are_refused_where_they_should_learn(schedule: Schedule) -> None:
    row, (x, y) = row_of(Clean()), made()
    with pytest.raises(BadInput, match=r"gives no cell a loss.*backprop or frozen"):
        schedule(row, x, y, generator(0, "negatives"))
