"""Schedules: which station learns when.

A schedule is a function of a row, its training data and a generator; it yields *stages*, and a
stage is a stretch of training with one kind of step: a batch's indices in, its losses out. What a
schedule does between two stages (the greedy one freezes a cell and stores its outputs) happens when
the next stage is asked for.

* simultaneous: every cell learns from every batch (the author's code).
* alternating: the same, cell after cell, each on a pass of its own (``turns.py``).
* separated: some steps on positives alone, then as many on negatives alone (``phases.py``).
* greedy: each cell to its end, on the stored outputs of the frozen cells before it.
* backprop: no wall; the readout's loss trains every cell. The yardstick.
* pairwise: no wall; the algorithm's own loss at the last cell trains every cell (``turns.py``).
* recurrent: every cell from every batch, at many iterations of a sweep (``recurrent.py``).
* frozen: the cells stay as drawn and only the readout learns. The control.
* alone: one cell of a greedy row, at a place of its own.

B = samples of a batch, N = training samples, V = views of a sample.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from . import fast, prefix, readouts
from .errors import BadInput
from .local import Algorithm, Station, Streams, walk, wall
from .phases import separated
from .recurrent import recurrent
from .row import Row
from .stages import (
    Losses,
    Schedule,
    Stage,
    every_cell,
    heard,
    learn_readout,
    one_view,
    read,
    refuse_sweep,
    serve,
    summed,
)
from .steady import steady
from .turns import alternating, pairwise

__all__ = [
    "BY_NAME",
    "Losses",
    "Schedule",
    "Stage",
    "alone",
    "alternating",
    "backprop",
    "frozen",
    "greedy",
    "one_view",
    "pairwise",
    "recurrent",
    "separated",
    "simultaneous",
]


def simultaneous(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """Every cell, and the readout, learn from every batch.  x [N, *D], y [N].

    Order within a batch, as in the author's MATLAB: neutral pass, readout's step, negatives drawn
    from the scores of before that step, then one pass in which each cell learns and hands on what
    it answered before it learned. Where one of the streams that the cells learn from is the neutral
    view itself, the readout learns from that, and there is no other pass.
    """
    serve("simultaneous", row, hints=("none", "earlier", "all"))
    algorithm, stations = row.algorithm, row.stations
    shown, linear = 0 if one_view(algorithm) else algorithm.shows, row.linear()
    one_pass = shown is not None and algorithm.hints == "none"

    def together(index: Tensor) -> Losses:
        losses: Losses = {}
        answered: dict[int, Tensor] = {}  # by the cells that the readout reads
        walked = walk(stations, algorithm.streams(x[index], y[index], rng))
        for number, (station, seen, outs) in enumerate(walked):
            losses |= summed(station, station.update(algorithm, seen, outs))
            if linear is not None and number in linear.read and shown is not None:
                answered[number] = wall(outs).split()[shown]
        return losses | learn_readout(row, answered, y[index])[0]

    closed = fast.Steps(row, x, y, rng)

    def step(index: Tensor) -> Losses:
        if closed.apply():
            return closed.step(index)  # what follows, in closed form
        if one_pass:
            return together(index)
        bx, by = x[index], y[index]
        losses, scores = read(row, bx, by)
        ins = algorithm.streams(bx, by, rng, scores)
        return losses | every_cell(row, ins)

    passes = algorithm.count + (1 if row.readout and not one_pass else 0)
    stage = Stage("cells", tuple(row.everyone), step, len(stations), passes)
    fixed = partial(steady, row)
    return iter([replace(stage, rows_handed_on=algorithm.count, fixed=fixed)])


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
    at every step, since a step only picks views. Where there is but one view, the readout learns
    from what is kept, too. An algorithm whose streams are not views of one
    sample has the frozen cells run again at each step instead. What cells tell later ones (hints
    "earlier") is kept beside their answers, a number a view and sample; later cells have not
    learned yet, so hints from "all" are refused.
    """
    serve("greedy", row, hints=("none", "earlier"))
    if folder is not None and not folder.is_dir():
        raise BadInput(f"greedy stores outputs of frozen cells in {folder}, and that is no folder")
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
    algorithm, cells = row.algorithm, len(row.stations)
    viewed = type(algorithm).streams is Algorithm.streams
    # Where every cell restores the original sample, that is handed on beside the latents.
    beside = algorithm.views * x.numel() * x.element_size() if algorithm.originals else 0
    linear = row.linear() if one_view(algorithm) else None
    store: Tensor | None = None  # [V, N, *F], what the last frozen cell answers to every view
    read: dict[int, Tensor] = {}  # [N, *F] of the cells that the readout is to read
    told: list[Tensor | None] = []  # [V, N], what each frozen cell tells of every view
    with tempfile.TemporaryDirectory(dir=folder, prefix="frozen-") as scratch:
        keep = prefix.keeper(budget, Path(scratch))
        for number, station in enumerate(row.stations):
            if store is None:
                see = partial(_through, row, number, x, y, rng)
                stage = Stage(
                    name=station.name,
                    stations=(station,),
                    step=partial(_learn_alone, row, station, see, fast.Alone(row, station)),
                    trained=number + 1,
                    passes=algorithm.count * (number + 1) / cells,
                    order=number,
                    fixed=partial(steady, row),
                )
            else:
                ahead = prefix.Ahead(algorithm, store, y, rng)
                see = partial(_pick, algorithm, ahead, tuple(told), x, y, rng)
                stage = Stage(
                    name=station.name,
                    stations=(station,),
                    step=partial(_learn_alone, row, station, see, fast.Alone(row, station)),
                    trained=number + 1,
                    passes=algorithm.count / cells,
                    passes_before=algorithm.views / cells,
                    bytes_before=store.numel() * store.element_size() + beside,
                    order=number,
                    ahead=ahead.tell,
                    fixed=partial(steady, row) if store.device == x.device else None,
                )
            yield stage
            _rest(station)
            if viewed and (number + 1 < cells or linear is not None):
                store = prefix.advance(station.cell, algorithm, x, store, keep)
                if algorithm.hints != "none":
                    told.append(prefix.told(algorithm, store, x.device))
            if linear is not None and store is not None and number in linear.read:
                read[number] = store[0]
        if row.readout is not None and linear is not None:
            step = partial(_learn_from, row.readout, linear, read, x.device, y)
            passes = 1 / cells  # the last cell's; those of the others were counted
            yield Stage(
                "readout", (row.readout,), step, cells, 0, passes_before=passes, order=cells
            )
        elif row.readout is not None:
            yield _readout_stage(row, x, y, keep, trained=cells, order=cells)


def _rest(station: Station) -> None:
    """Let go of what only a learning cell needs: gradients and its optimisers' state.

    Else memory would grow with every cell that has learned, by three times its weights.
    """
    for optimizer in station.optimizers.values():
        optimizer.zero_grad(set_to_none=True)
        optimizer.state.clear()


def _learn_from(
    head: Station,
    linear: readouts.LinearReadout,
    stored: dict[int, Tensor],
    device: torch.device,
    y: Tensor,
    index: Tensor,
) -> Losses:
    """The readout's step on stored answers of frozen cells."""
    rows = {n: h[index.to(h.device)].to(device) for n, h in stored.items()}
    loss, _ = readouts.learn(head, linear.features(rows), y[index])
    return {head.name: loss}


Seen = tuple[Streams, Tensor | None]
"""What a cell sees of a batch, and what it hears of it, [J, S*B]."""


def _through(row: Row, number: int, x: Tensor, y: Tensor, rng: Generator, index: Tensor) -> Seen:
    """What cell ``number`` sees of a batch, the frozen cells before it run again."""
    algorithm, told = row.algorithm, []
    ins = algorithm.streams(x[index], y[index], rng, None)
    for frozen_cell in row.cells[:number]:
        with torch.no_grad():
            ins = replace(ins, rows=frozen_cell(ins.rows))
        told.append(algorithm.tell(ins))
    return ins, heard(algorithm, told, number)


def _pick(
    algorithm: Algorithm,
    ahead: prefix.Ahead,
    told: Sequence[Tensor | None],
    x: Tensor,
    y: Tensor,
    rng: Generator,
    index: Tensor,
) -> Seen:
    """What a cell sees of a batch, picked from the stored answers of the cell before it."""
    which = algorithm.draw(y[index], rng, None)
    picked = which.flatten(), index.repeat(len(which))
    rows = ahead.rows(*picked)
    target = y[index] if algorithm.targets else None
    original = algorithm.view(x[picked[1]], picked[0]) if algorithm.originals else None
    spoken = [None if one is None else one[picked] for one in told]
    ins = Streams(rows.to(x.device), len(which), target, original)
    return ins, heard(algorithm, spoken, len(spoken))


def _learn_alone(
    row: Row,
    station: Station,
    see: Callable[[Tensor], Seen],
    closed: fast.Alone,
    index: Tensor,
) -> Losses:
    ins, hint = see(index)
    if (losses := closed.update(ins, hint)) is not None:
        return losses
    outs = station.forward(ins)
    return summed(station, station.update(row.algorithm, ins, outs, hint))


def backprop(
    row: Row, x: Tensor, y: Tensor, rng: Generator, *, recompute: bool = False, pieces: int = 1
) -> Iterator[Stage]:
    """End-to-end backprop through the same cells: the readout's loss, no wall.  x [N, *D], y [N].

    Two ways to need less memory, as backprop is used where it is short: ``recompute`` keeps what
    every cell answers and runs a cell again when its gradient is due (activation checkpointing,
    Chen et al. 2016, arXiv:1604.06174): the same gradients bit for bit, for a second forward pass.
    ``pieces`` cuts a batch into so many, one after another, and sums their gradients before the
    step (gradient accumulation): the same gradients to rounding, if no cell looks at a batch as a
    whole.
    """
    refuse_sweep("backprop", row)
    if row.readout is None:
        raise BadInput("the schedule backprop trains on a linear readout's loss: give the row one")
    if pieces < 1:
        raise BadInput(f"pieces should be 1 or more, and is {pieces}")
    head, algorithm = row.readout, row.algorithm

    def loss_of(index: Tensor) -> Tensor:
        which = torch.full((len(index),), algorithm.neutral, device=x.device)
        rows = algorithm.view(x[index], which)
        answered = []
        for station in row.stations:
            if recompute:
                rows = torch.as_tensor(checkpoint(station.cell, rows, use_reentrant=False))
            else:
                rows = station.cell(rows)
            answered.append(rows)
        linear = row.linear()
        assert linear is not None
        return linear.task.loss(linear(linear.features(answered)), y[index])

    def step(index: Tensor) -> Losses:
        optimizers = [o for station in row.everyone for o in station.optimizers.values()]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        parts = index.chunk(pieces)
        losses = []
        for part in parts:
            loss = loss_of(part)
            if len(parts) > 1:  # means of parts, weighed, are the mean of the whole
                loss = loss * (len(part) / len(index))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        for optimizer in optimizers:
            optimizer.step()
        return {head.name: losses[0] if len(losses) == 1 else torch.stack(losses).sum()}

    passes = 2 if recompute else 1
    fixed = None if recompute else partial(steady, row)
    stage = Stage("cells", tuple(row.everyone), step, len(row.stations), passes)
    return iter([replace(stage, fixed=fixed)])


def frozen(
    row: Row,
    x: Tensor,
    y: Tensor,
    rng: Generator,
    *,
    order: int = 0,
    budget: float = 2.0,
    folder: Path | None = None,
) -> Iterator[Stage]:
    """Cells as they are, and a readout that learns on them.  x [N, *D], y [N].

    With cells as they were drawn this is the control of every claim. Their answers are computed
    once and kept as under :func:`greedy`; ``order`` is :class:`Stage`'s.
    """
    if row.readout is None:
        raise BadInput("the schedule frozen trains nothing but a linear readout: give the row one")
    return _frozen(row, x, y, order, budget, folder)


def _frozen(
    row: Row, x: Tensor, y: Tensor, order: int, budget: float, folder: Path | None
) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(dir=folder, prefix="frozen-") as scratch:
        keep = prefix.keeper(budget, Path(scratch))
        yield _readout_stage(row, x, y, keep, trained=0, order=order)


def alone(row: Row, x: Tensor, y: Tensor, rng: Generator, *, order: int) -> Iterator[Stage]:
    """One cell to its end, on what the cell before it handed on: a part of :func:`greedy`.

    x [N, *D] are the answers of the row's cell ``order - 1``, or the samples for order 0. The same
    weights come out, bit for bit, as in one process.
    """
    algorithm = row.algorithm
    if len(row.stations) != 1 or row.readout is not None:
        raise BadInput("the schedule alone trains one cell, without a readout")
    if not one_view(algorithm) or algorithm.hints != "none" or algorithm.targets:
        raise BadInput(
            f"a relay can't serve {type(algorithm).__name__}: a file of one answer a sample holds "
            "no labels, hints, mixtures or other views. Cells that restore what they see (recipes "
            "uff-*) need none"
        )
    if algorithm.originals and order > 0:
        raise BadInput(
            "a relay can't serve target=original: the samples stay where the first cell is. Take "
            "target=own"
        )
    station = row.stations[0]

    def step(index: Tensor) -> Losses:
        ins = algorithm.streams(x[index], y[index], rng)
        return summed(station, station.update(algorithm, ins, station.forward(ins)))

    return iter([Stage(station.name, (station,), step, 1, passes=1, order=order)])


def _readout_stage(
    row: Row, x: Tensor, y: Tensor, keep: prefix.Keep, *, trained: int, order: int
) -> Stage:
    """The linear readout alone, on features of frozen cells that are computed once."""
    head = row.readout
    assert head is not None
    stored = prefix.features(row, x, keep)

    def step(index: Tensor) -> Losses:
        rows = stored[index.to(stored.device)].to(x.device)
        loss, _ = readouts.learn(head, rows, y[index])
        return {head.name: loss}

    return Stage("readout", (head,), step, trained, 0, passes_before=1, order=order)


BY_NAME: dict[str, Schedule] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "greedy": greedy,
    "backprop": backprop,
    "pairwise": pairwise,
    "separated": separated,
    "frozen": frozen,
    "recurrent": recurrent,
}
