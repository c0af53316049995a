"""Schedules of collaborating cells: in turn, and as backprop would have it.

* alternating: algorithm 2 of Lorberbom et al. 2023 (arXiv:2305.12393, read second-hand): within a
  batch the cells learn in order, each on a forward pass made for it, so that what it is told comes
  from weights that the cells before it have already changed. k cells cost k passes.
* pairwise: the same positives and negatives and the same loss, without a wall. The yardstick.

B = samples of a batch, N = training samples, R = rows of all streams.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Generator, Tensor

from .errors import BadInput
from .local import Streams, wall
from .row import Row
from .stages import Losses, Stage, heard, read, serve, summed
from .steady import steady


def alternating(
    row: Row, x: Tensor, y: Tensor, rng: Generator, *, fresh: bool = False
) -> Iterator[Stage]:
    """Within every batch cell after cell, each on a pass of its own.  x [N, *D], y [N].

    All cells take their turn on the same batch, and the same negatives (decision A5). With
    ``fresh`` every cell but the first draws a batch of its own, uniformly, as the algorithm has it.
    Raises BadInput for fresh batches with hard negatives: the readout has read only the first.
    """
    serve("alternating", row, hints=("none", "earlier", "all"))
    algorithm, cells = row.algorithm, len(row.stations)
    if fresh and algorithm.asks_scores:
        raise BadInput(
            "the schedule alternating can't draw hard negatives for a fresh batch each turn: their "
            "scores are those of one batch. Take uniform wrong labels (negatives=wrong), or one "
            "batch for all turns"
        )

    def step(index: Tensor) -> Losses:
        losses, scores = read(row, x[index], y[index])
        ins = algorithm.streams(x[index], y[index], rng, scores)
        for number in range(cells):
            if fresh and number > 0:
                drawn = torch.randint(len(x), index.shape, generator=rng, device=rng.device)
                own = drawn.to(x.device)
                ins = algorithm.streams(x[own], y[own], rng)
            losses |= _turn(row, number, ins)
        return losses

    later = algorithm.hints == "all"
    turns = sum(cells if later else number + 1 for number in range(cells)) / cells
    passes = turns * algorithm.count + (1 if row.readout else 0)
    handed = round(turns * algorithm.count)
    stage = Stage("cells", tuple(row.everyone), step, cells, passes, rows_handed_on=handed)
    return iter([replace(stage, fixed=partial(steady, row))])


def _turn(row: Row, number: int, ins: Streams) -> Losses:
    """One cell's update after a forward pass through all cells that it hears."""
    told: list[Tensor | None] = []
    algorithm, mine = row.algorithm, None
    last = len(row.stations) if algorithm.hints == "all" else number + 1
    for position, station in enumerate(row.stations[:last]):
        with torch.set_grad_enabled(position == number):
            outs = station.forward(ins)
        if position == number:
            mine = ins, outs
        told.append(algorithm.tell(wall(outs)))
        ins = wall(outs)
    assert mine is not None
    station = row.stations[number]
    return summed(station, station.update(algorithm, *mine, heard(algorithm, told, number)))


def pairwise(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """Backprop on the algorithm's own loss at the last cell, told of all others.  x [N, *D], y [N].

    For a collaborative row that is one logistic loss on the total goodness of positives and
    negatives: what *simultaneous* descends, with the paths between cells not cut. A linear readout
    learns along, on detached answers.
    """
    serve("pairwise", row, hints=("none", "earlier", "all"))
    algorithm, last = row.algorithm, len(row.stations) - 1

    def step(index: Tensor) -> Losses:
        losses, scores = read(row, x[index], y[index])
        ins = algorithm.streams(x[index], y[index], rng, scores)
        verdicts: list[Tensor | None] = []
        for number, station in enumerate(row.stations):
            outs = station.forward(ins)
            verdicts.append(algorithm.verdict(outs.rows))
            if number < last:
                ins = outs
        hint = heard(algorithm, verdicts, last)
        found = dict(algorithm.losses(row.cells[last], ins, outs, hint))
        optimizers = [o for station in row.stations for o in station.optimizers.values()]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        detached = {group: loss.detach() for group, loss in found.items()}
        return losses | summed(row.stations[last], detached)

    passes = algorithm.count + (1 if row.readout else 0)
    stage = Stage("cells", tuple(row.everyone), step, last + 1, passes)
    return iter([replace(stage, fixed=partial(steady, row))])
