"""The schedule *recurrent*: cells that see the one below and the one above learn as they settle.

Hinton 2022, arXiv:2212.13345, section 3.4, as ``algorithms/recurrent.py`` has it. Within a batch:
a pass from below, without a label; the readout's step on it, and negatives drawn from its scores of
before that step; then iterations in which all cells move at once, and those of ``sweep.learned`` in
which each learns, too, from what it has just answered. What goes on to its neighbours is the answer
of before that step, through the wall: nothing leads back in time, nor into another cell.

B = samples of a batch, N = training samples, S = streams, F = a cell's units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Generator, Tensor

from . import fast_sweep
from .errors import BadInput
from .local import Algorithm, Station, Streams, wall
from .readouts import neutral_answers
from .row import Row
from .stages import Losses, Stage, learn_readout, serve, summed
from .steady import steady
from .sweep import chain, neighbours

Answered = list[tuple[Station, Streams, Streams]]
"""Every station of a row, what it saw at one iteration and what it answered."""


def swept(
    stations: Sequence[Station],
    algorithm: Algorithm,
    x: Tensor,
    which: Tensor,
    begin: Sequence[Tensor],
) -> Iterator[Answered]:
    """All cells move at once, at each iteration up to the last at which they learn.

    x [B, *D] stands below, the labels which [S, B] above; ``begin`` are the states [B, F] after the
    pass from below. There is a graph, of each cell by itself, where cells learn. What goes on is
    the answer from before an update, if the caller updates between two steps.
    """
    sweep, count = algorithm.sweep, len(which)
    assert sweep is not None
    bottom, top = x.flatten(1).repeat(count, 1), algorithm.top(which.flatten())
    states = [h.repeat(count, 1) for h in begin]
    first, last = sweep.learned
    for iteration in range(1, last + 1):
        ins = [Streams(rows, count) for rows in neighbours(states, bottom, top)]
        with torch.set_grad_enabled(iteration >= first):
            outs = [station.forward(seen) for station, seen in zip(stations, ins, strict=True)]
            after = [
                replace(out, rows=sweep.damp(state, out.rows))
                for state, out in zip(states, outs, strict=True)
            ]
        yield list(zip(stations, ins, after if sweep.damped else outs, strict=True))
        states = [wall(state).rows for state in after]


def recurrent(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """Every cell, and the readout, learn from every batch.  x [N, *D], y [N].

    A cell's loss is its mean over the iterations at which it learned. Later iterations would change
    nothing, and are left out.
    """
    serve("recurrent", row, hints=("none",))
    algorithm, stations, sweep = row.algorithm, row.stations, row.algorithm.sweep
    if sweep is None:
        raise BadInput(
            f"the schedule recurrent sweeps over cells that also see the one above, and "
            f"{type(algorithm).__name__} makes one pass from below: take "
            "RecurrentForwardForward, or the schedule simultaneous"
        )
    first, last = sweep.learned
    chain(row.cells)
    closed = fast_sweep.Settling(row)

    def step(index: Tensor) -> Losses:
        begin = neutral_answers(row.cells, algorithm, x[index])
        losses, scores = learn_readout(row, begin, y[index])
        which = algorithm.draw(y[index], rng, scores)
        if closed.apply(x):
            return losses | closed.learn(x[index], which, list(begin.values()))
        moves = swept(stations, algorithm, x[index], which, list(begin.values()))
        for iteration, answered in enumerate(moves, 1):
            if iteration < first:
                continue
            for station, seen, outs in answered:
                for name, loss in summed(station, station.update(algorithm, seen, outs)).items():
                    losses[name] = losses.get(name, 0) + loss / (last - first + 1)
        return losses

    # From below one row a sample, then each stream at each iteration. A wall is passed both ways,
    # but the states at which all streams begin are handed on once.
    passes = 1 + algorithm.count * last
    handed_on = 2 + 2 * algorithm.count * (last - 1)
    stage = Stage("cells", tuple(row.everyone), step, len(stations), passes)
    fixed = partial(steady, row)
    return iter([replace(stage, rows_handed_on=handed_on, fixed=fixed)])
