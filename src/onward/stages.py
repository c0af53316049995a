"""Stages, and what the schedules share.

B = samples of a batch, N = training samples, J = cells that are heard, R = rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from . import readouts
from .errors import BadInput
from .local import Algorithm, Hints, Station, Streams, walk, wall
from .row import Row

HEARD: dict[Hints, str] = {"none": "no cell", "earlier": "earlier cells", "all": "all other cells"}
"""Whom a cell hears, in words."""

Losses = dict[str, Tensor]
"""Station name -> its loss, summed over its parameter groups."""


@dataclass(frozen=True)
class Settled:
    """What comes back of an epoch whose steps are taken elsewhere.

    ``sums`` are each station's losses so far; ``flops`` a sample's, of all places. For the record:
    ``places`` are what each of them has done so far, ``rounds`` what has been done since last told.
    ``passes`` are those of this epoch, where a stage can't say them beforehand.
    """

    sums: dict[str, float]
    flops: float
    places: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    passes: float = 0.0


class Elsewhere(Protocol):
    """Where steps are taken, if not here: a stage's step then only sends what to learn from."""

    def begin(self, rate: float, sums: Mapping[str, float]) -> None:
        """An epoch begins, or goes on, with these sums of losses."""

    def settle(self) -> Settled:
        """Wait until every step is taken, and bring weights and optimisers home."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one kind of step.

    ``step`` takes the indices [B] of a batch. ``trained`` is how many cells of the row have learned
    once the stage has begun: later ones are still as drawn, and no readout should count them.

    Costs are counted in *passes*, rows of a sample that go forward through the whole row (a row
    through one of four cells is a quarter), and in bytes handed on from station to station.
    """

    name: str
    stations: tuple[Station, ...]
    step: Callable[[Tensor], Losses]
    trained: int
    passes: float  # of each epoch
    passes_before: float = 0.0  # once, before the stage: frozen outputs are computed
    rows_handed_on: int = 0  # of each sample and epoch, over every wall
    bytes_before: int = 0  # once, before the stage: frozen outputs are handed on
    order: int = 0  # which of the run's orders of batches: a cell has its own wherever it learns
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    """What ``step`` changes in place and looks at again. A checkpoint keeps it."""
    elsewhere: Elsewhere | None = None
    """Where ``step`` has its work done, if not in this process."""
    ahead: Callable[[Tensor], None] | None = None
    """Told of the samples of the next batch before the step on this one, where it can use that."""
    fixed: Callable[[], bool] | None = None
    """Whether ``step`` does the same at every batch, but for its tensors (``steady.py``)."""


Schedule = Callable[[Row, Tensor, Tensor, Generator], Iterator[Stage]]


def one_view(algorithm: Algorithm) -> bool:
    """Whether every batch is the one view that there is of each sample."""
    own = type(algorithm)
    usual = own.streams is Algorithm.streams and own.draw is Algorithm.draw
    return usual and algorithm.views == 1 and not algorithm.asks_scores


def serve(name: str, row: Row, hints: tuple[Hints, ...]) -> None:
    """Refuse an algorithm whose cells need more than this schedule can give them."""
    algorithm = row.algorithm
    called = type(algorithm).__name__
    refuse_sweep(name, row)
    if algorithm.hints not in hints:
        there = " or ".join(f"hints from {HEARD[one]}" for one in hints if one != "none")
        raise BadInput(
            f"the schedule {name} can't serve {called}: its cells need hints from "
            f"{HEARD[algorithm.hints]}, and {name} has {there or 'none to give'}. "
            "Take the schedule simultaneous"
        )
    if not algorithm.local:
        raise BadInput(
            f"the schedule {name} can't serve {called}: it gives no cell a loss of its own. "
            "Take the schedule backprop or frozen"
        )
    if algorithm.asks_scores and row.readout is None:
        raise BadInput(
            "hard negatives are drawn from the scores of a linear readout, and this row has none: "
            "give it one, or take uniform wrong labels (negatives=wrong)"
        )


def refuse_sweep(name: str, row: Row) -> None:
    """Refuse cells that also see the one above, if this schedule makes one pass from below."""
    if row.algorithm.sweep is not None and name != "recurrent":
        raise BadInput(
            f"the schedule {name} can't serve {type(row.algorithm).__name__}: its cells see the "
            f"one above too, over several iterations, and {name} makes one pass from below. "
            "Take the schedule recurrent"
        )


def read(row: Row, x: Tensor, y: Tensor) -> tuple[Losses, Tensor | None]:
    """The readout's step on the neutral pass of one batch, and the scores it had before."""
    linear = row.linear()
    if linear is None:
        return {}, None
    seen = readouts.neutral_answers(row.cells, row.algorithm, x, linear.read)
    return learn_readout(row, seen, y)


def every_cell(row: Row, ins: Streams) -> Losses:
    """Every cell's update on one pass, after all are run where they hear of each other."""
    losses: Losses = {}
    algorithm = row.algorithm
    if algorithm.hints == "none":
        for station, seen, outs in walk(row.stations, ins):
            losses |= summed(station, station.update(algorithm, seen, outs))
        return losses
    seen_outs = list(walk(row.stations, ins))
    told = [algorithm.tell(wall(outs)) for _, _, outs in seen_outs]
    for i, (station, seen, outs) in enumerate(seen_outs):
        hint = heard(algorithm, told, i)
        losses |= summed(station, station.update(algorithm, seen, outs, hint))
    return losses


def learn_readout(row: Row, answered: dict[int, Tensor], y: Tensor) -> tuple[Losses, Tensor | None]:
    """The readout's step on the cells' detached answers, where there is one."""
    linear = row.linear()
    if row.readout is None or linear is None:
        return {}, None
    loss, scores = readouts.learn(row.readout, linear.features(answered), y)
    return {row.readout.name: loss}, scores


def summed(station: Station, losses: Losses) -> Losses:
    """A station's loss under its name; nothing for a cell that was given none."""
    return {station.name: torch.stack(list(losses.values())).sum()} if losses else {}


def heard(algorithm: Algorithm, told: Sequence[Tensor | None], number: int) -> Tensor | None:
    """What cell ``number`` hears of all that was ``told`` [R], in the order of the row: [J, R]."""
    others = [*told[:number], *(told[number + 1 :] if algorithm.hints == "all" else ())]
    spoken = [one for one in others if one is not None]
    return torch.stack(spoken) if spoken and algorithm.hints != "none" else None
