"""Schedules: which station learns when.

A schedule is a function of a row, its training data and a generator; it yields *stages*, and a
stage is a stretch of training with one kind of step: a batch's indices in, its losses out. What a
schedule does between two stages (the greedy one freezes a cell and stores its outputs) happens when
the next stage is asked for.

* simultaneous: every cell learns from every batch (the author's code).
* greedy: each cell to its end, on the stored outputs of the frozen cells before it.
* backprop: no wall; the readout's loss trains every cell. The yardstick.
* frozen: the cells stay as drawn and only the readout learns. The control.

B = samples of a batch, N = training samples, V = views of a sample.
"""

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from . import readouts
from .errors import BadInput
from .local import Algorithm, Station, Streams, walk
from .row import Row

Losses = dict[str, Tensor]
"""Station name -> its loss, summed over its parameter groups."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one kind of step.

    ``step`` takes the indices [B] of a batch. ``trained`` is how many cells of the row have learned
    once the stage has begun: later ones are still as drawn, and no readout should count them.
    ``passes`` is how many rows a sample costs in forward passes; ``handed_on`` the rows a sample
    sends over each wall.
    """

    name: str
    stations: tuple[Station, ...]
    step: Callable[[Tensor], Losses]
    trained: int
    passes: int
    handed_on: int


Schedule = Callable[[Row, Tensor, Tensor, Generator], Iterator[Stage]]


def simultaneous(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """Every cell, and the readout, learn from every batch.  x [N, *D], y [N].

    Order within a batch, as in the author's MATLAB: neutral pass, readout's step, negatives drawn
    from the scores of before that step, then one pass in which each cell learns and hands on what
    it answered before it learned.
    """
    _serve("simultaneous", row, hints=("none", "earlier", "all"))
    algorithm, stations = row.algorithm, row.stations

    def step(index: Tensor) -> Losses:
        bx, by = x[index], y[index]
        losses, scores = _read(row, bx, by)
        ins = algorithm.streams(bx, by, rng, scores)
        if algorithm.hints == "none":
            for station, seen, outs in walk(stations, ins):
                losses[station.name] = _total(station.update(algorithm, seen, outs))
            return losses
        seen_outs = list(walk(stations, ins))
        told = [algorithm.tell(outs) for _, _, outs in seen_outs]
        for i, (station, seen, outs) in enumerate(seen_outs):
            others = told[:i] + (told[i + 1 :] if algorithm.hints == "all" else [])
            spoken = [t for t in others if t is not None]
            hint = torch.stack(spoken) if spoken else None
            losses[station.name] = _total(station.update(algorithm, seen, outs, hint))
        return losses

    streams = _streams(algorithm)
    passes = streams + (1 if row.readout else 0)
    return iter([Stage("cells", tuple(row.everyone), step, len(stations), passes, streams)])


def greedy(
    row: Row,
    x: Tensor,
    y: Tensor,
    rng: Generator,
    *,
    budget: float = 2.0,
    folder: Path | None = None,
) -> Iterator[Stage]:
    """Each cell to its end, then frozen; the readout last.  x [N, *D], y [N].

    What the frozen cells answer to every view of every sample is computed once and kept: in memory,
    or in a memory-mapped file of ``folder`` where it exceeds ``budget`` GiB. Negatives stay fresh
    at every step, since a step only picks views. An algorithm whose streams are not views of one
    sample has the frozen cells run again at each step instead.
    """
    _serve("greedy", row, hints=("none",))
    if row.algorithm.asks_scores:
        raise BadInput(
            "the schedule greedy can't draw hard negatives: they need the scores of a readout that "
            "learns along with all cells. Take uniform wrong labels (negatives=wrong), or the "
            "schedule simultaneous"
        )
    return _greedy(row, x, y, rng, budget, folder)


def _greedy(
    row: Row, x: Tensor, y: Tensor, rng: Generator, budget: float, folder: Path | None
) -> Iterator[Stage]:
    algorithm, streams = row.algorithm, _streams(row.algorithm)
    viewed = type(algorithm).streams is Algorithm.streams
    store: Tensor | None = None  # [V, N, *F], what the last frozen cell answers to every view
    with tempfile.TemporaryDirectory(dir=folder, prefix="frozen-") as scratch:
        keep = partial(_allocate, budget=budget, folder=Path(scratch))
        for number, station in enumerate(row.stations):

            def step(
                index: Tensor,
                number: int = number,
                station: Station = station,
                store: Tensor | None = store,
            ) -> Losses:
                if store is not None:
                    which = algorithm.draw(y[index], rng, None)
                    target = y[index] if algorithm.targets else None
                    picked = which.flatten(), index.repeat(len(which))
                    rows = store[tuple(i.to(store.device) for i in picked)]
                    ins = Streams(rows.to(x.device), len(which), target)
                else:
                    ins = algorithm.streams(x[index], y[index], rng, None)
                    for frozen in row.cells[:number]:
                        with torch.no_grad():
                            ins = Streams(frozen(ins.rows), ins.count, ins.target)
                outs = station.forward(ins)
                return {station.name: _total(station.update(algorithm, ins, outs))}

            passes = streams if viewed else streams * (number + 1)
            yield Stage(station.name, (station,), step, number + 1, passes, 0)
            if viewed and number + 1 < len(row.stations):
                store = _advance(station, algorithm, x, store, keep)
        if row.readout is not None:
            yield _readout_stage(row, x, y, keep)


def backprop(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """End-to-end backprop through the same cells: the readout's cross-entropy, no wall."""
    _serve("backprop", row, hints=("none", "earlier", "all"))
    if row.readout is None:
        raise BadInput("the schedule backprop trains on a linear readout's loss: give the row one")
    head, algorithm = row.readout, row.algorithm

    def step(index: Tensor) -> Losses:
        which = torch.full((len(index),), algorithm.neutral, device=x.device)
        rows = algorithm.view(x[index], which)
        answered = []
        for station in row.stations:
            rows = station.cell(rows)
            answered.append(rows)
        linear = row.linear()
        assert linear is not None
        loss = cross_entropy(linear(linear.features(answered)), y[index])
        optimizers = [o for station in row.everyone for o in station.optimizers.values()]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        return {head.name: loss.detach()}

    return iter([Stage("cells", tuple(row.everyone), step, len(row.stations), 1, 0)])


def frozen(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """Cells as they were drawn, and a readout that learns on them: the control of every claim."""
    if row.readout is None:
        raise BadInput("the schedule frozen trains nothing but a linear readout: give the row one")
    # When the stage is asked for, not before: its features cost a pass over the data.
    return (_readout_stage(row, x, y, keep) for keep in (_allocate,))


def _serve(name: str, row: Row, hints: tuple[str, ...]) -> None:
    """Refuse an algorithm whose cells must be told more than this schedule can tell them."""
    wanted = row.algorithm.hints
    if wanted not in hints:
        raise BadInput(
            f"the schedule {name} can't serve {type(row.algorithm).__name__}: its cells need hints "
            f"from {wanted} other cells, and {name} serves {' or '.join(hints)}. "
            "Take the schedule simultaneous"
        )
    if row.algorithm.asks_scores and row.readout is None:
        raise BadInput(
            "hard negatives are drawn from the scores of a linear readout, and this row has none: "
            "give it one, or take uniform wrong labels (negatives=wrong)"
        )


def _streams(algorithm: Algorithm) -> int:
    """S, found by a dry draw on two samples of class 0."""
    scores = torch.zeros(2, max(algorithm.candidates, 1))
    if type(algorithm).streams is not Algorithm.streams:
        return 1
    return len(algorithm.draw(torch.zeros(2, dtype=torch.long), Generator(), scores))


def _read(row: Row, x: Tensor, y: Tensor) -> tuple[Losses, Tensor | None]:
    """The readout's step on the neutral pass of one batch, and the scores it had before."""
    linear = row.linear()
    if row.readout is None or linear is None:
        return {}, None
    seen = readouts.neutral_answers(row.cells, row.algorithm, x)
    loss, scores = readouts.learn(row.readout, linear.features(seen), y)
    return {row.readout.name: loss}, scores


def _total(losses: Losses) -> Tensor:
    if not losses:
        raise BadInput(
            "a cell can't learn by itself under an algorithm that gives it no loss (as Clean): "
            "take the schedule backprop or frozen"
        )
    return torch.stack(list(losses.values())).sum()


_CHUNK = 1000  # samples a pass when whole data sets go through frozen cells


@torch.no_grad()
def _advance(
    station: Station,
    algorithm: Algorithm,
    x: Tensor,
    store: Tensor | None,
    keep: Callable[[tuple[int, ...], torch.dtype, torch.device], Tensor],
) -> Tensor:
    """What a frozen cell answers to every view of every sample.  -> [V, N, *F]."""
    out: Tensor | None = None
    for which in range(algorithm.views):
        for at in range(0, len(x), _CHUNK):
            if store is None:
                part = x[at : at + _CHUNK]
                rows = algorithm.view(part, torch.full((len(part),), which, device=x.device))
            else:
                rows = store[which, at : at + _CHUNK].to(x.device)
            h = station.cell(rows)
            if out is None:
                out = keep((algorithm.views, len(x), *h.shape[1:]), h.dtype, x.device)
            out[which, at : at + _CHUNK] = h
    assert out is not None
    return out


def _readout_stage(
    row: Row,
    x: Tensor,
    y: Tensor,
    keep: Callable[[tuple[int, ...], torch.dtype, torch.device], Tensor],
) -> Stage:
    """The linear readout alone, on features of frozen cells that are computed once."""
    head, linear = row.readout, row.linear()
    assert head is not None
    assert linear is not None
    stored: Tensor | None = None
    for at in range(0, len(x), _CHUNK):
        seen = readouts.neutral_answers(row.cells, row.algorithm, x[at : at + _CHUNK])
        features = linear.features(seen)
        if stored is None:
            stored = keep((len(x), features.shape[1]), features.dtype, x.device)
        stored[at : at + _CHUNK] = features

    def step(index: Tensor) -> Losses:
        assert stored is not None
        features = stored[index.to(stored.device)].to(x.device)
        loss, _ = readouts.learn(head, features, y[index])
        return {head.name: loss}

    return Stage("readout", (head,), step, len(row.stations), 0, 0)


def _allocate(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
    budget: float = math.inf,
    folder: Path | None = None,
) -> Tensor:
    """An empty tensor: on the device, or in a file of ``folder`` when over ``budget`` GiB."""
    numbers = math.prod(shape)
    size = numbers * torch.empty(0, dtype=dtype).element_size()
    if size <= budget * 2**30 or folder is None:
        return torch.empty(shape, dtype=dtype, device=device)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".bin")
    try:
        # Claimed now: a disk that fills up later would end a mapped write with a signal.
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        raise BadInput(
            f"storing the outputs of frozen cells needs {size / 2**30:.1f} GiB in {folder}, and "
            f"that failed ({error.strerror}): free space, or raise the memory budget above that"
        ) from error
    finally:
        os.close(handle)
    return torch.from_file(name, shared=True, size=numbers, dtype=dtype).view(shape)


BY_NAME: dict[str, Schedule] = {
    "simultaneous": simultaneous,
    "greedy": greedy,
    "backprop": backprop,
    "frozen": frozen,
}
