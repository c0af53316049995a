"""A trained row's prediction as one module without a wall or a schedule: what is exported.

    every label   x [B, *D] -> scores [B, K]       all K labels as one batch of K B rows
    linear        x [B, *D] -> scores [B, K]       one pass with the neutral label
                  x [B, *D] -> number [B]          where a number is to be said, in its own units
    restoring     x [B, *D] -> strangeness [B]     of rows that detect

B is free, so sizes are read off ``x.shape`` and never through ``len``, which a trace takes for a
constant. The numbers are those of ``readouts.py``; that is checked where a file is written.

B = samples, D = sample shape, K = classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..algorithms.sequences import Sequences
from ..cells.black_box import BehindBox
from ..errors import BadInput
from ..evaluate import judge
from ..local import Algorithm
from ..readouts import LinearReadout, strangeness
from ..row import Row
from ..tasks import Classify, Regress


@dataclass(frozen=True)
class Prediction:
    """A ``graph`` to export: which ``readout`` it is, and what its ``output`` is called."""

    graph: nn.Module
    readout: str
    output: str

    def of(self, row: Row, x: Tensor) -> Tensor:
        """The same by the library itself.  x [B, *D] -> [B, K] or [B]."""
        said = judge(row, x, labels=self.readout == "goodness")
        if self.readout == "reconstruction":
            assert said.restoring is not None
            return strangeness(said.restoring)
        scores = said.scores(row, len(row.stations))[self.readout]
        return row.task.answer(scores) if self.output == "number" else scores


def prediction(row: Row, readout: str | None = None) -> Prediction:
    """The prediction of a row by a readout: "goodness", "linear" or "reconstruction".

    None for the run's own, as ``onward predict`` has it: restoring where it detects, else linear,
    or every label where there is no linear readout.
    Raises BadInput for a readout the row does not have, and for rows that have no plain graph.
    """
    _refuse(row)
    there = ["reconstruction"] if row.detects else []
    there += ["linear"] if row.readout is not None else []
    there += ["goodness"] if row.algorithm.candidates else []
    readout = readout or next(iter(there), "none")
    if readout not in there:
        raise BadInput(f"this run has no readout {readout}: it has {', '.join(there) or 'none'}")
    if readout == "reconstruction":
        return Prediction(_Restoring(row.cells, row.algorithm), readout, "strangeness")
    if readout == "goodness":
        return Prediction(_EveryLabel(row.cells, row.algorithm, row.counted), readout, "scores")
    head = row.linear()
    assert head is not None
    output = "number" if isinstance(head.task, Regress) else "scores"
    return Prediction(_Linear(row.cells, row.algorithm, head), readout, output)


def _refuse(row: Row) -> None:
    """Rows whose prediction is no plain graph, by name."""
    called = type(row.algorithm).__name__
    if row.algorithm.sweep is not None:
        raise BadInput(
            f"{called} can't be exported: its cells see the one above too and settle over several "
            "iterations, and only rows of one pass from below are exported"
        )
    if any(isinstance(cell, BehindBox) for cell in row.cells):
        raise BadInput(
            "cells behind a black box (BehindBox) can't be exported: its noise is made of the "
            "bits of the samples, which another runtime rounds otherwise"
        )
    if isinstance(row.algorithm, Sequences):
        raise BadInput(
            "Sequences can't be exported: its windows are built out of a text symbol by symbol, "
            "which `onward generate` does"
        )
    if not isinstance(row.task, Classify | Regress):
        raise BadInput(f"the task {type(row.task).__name__} can't be exported: classes or a number")


class _EveryLabel(nn.Module):
    def __init__(self, cells: Sequence[nn.Module], algorithm: Algorithm, counted: Sequence[int]):
        super().__init__()
        self.cells, self.algorithm, self.counted = nn.ModuleList(cells), algorithm, tuple(counted)

    def forward(self, x: Tensor) -> Tensor:
        tries, batch = self.algorithm.candidates, x.shape[0]
        which = torch.arange(tries)[:, None].expand(tries, batch).reshape(-1)
        h = self.algorithm.view(x.repeat(tries, *[1] * (x.dim() - 1)), which)
        verdicts = []
        for number, cell in enumerate(self.cells[: max(self.counted) + 1]):
            h = cell(h)
            if number in self.counted:
                verdicts.append(self.algorithm.verdict(h).reshape(tries, batch).T)
        return torch.stack(verdicts).sum(0)


class _Linear(nn.Module):
    def __init__(self, cells: Sequence[nn.Module], algorithm: Algorithm, head: LinearReadout):
        super().__init__()
        self.cells, self.algorithm, self.head = nn.ModuleList(cells), algorithm, head

    def forward(self, x: Tensor) -> Tensor:
        h = _neutral(self.algorithm, x)
        answers = {}
        for number, cell in enumerate(self.cells[: max(self.head.read) + 1]):
            h = answers[number] = cell(h)
        scores: Tensor = self.head(self.head.features(answers))
        if isinstance(self.head.task, Regress):
            return scores[:, 0] * self.head.task.spread + self.head.task.mean
        return scores


class _Restoring(nn.Module):
    def __init__(self, cells: Sequence[nn.Module], algorithm: Algorithm):
        super().__init__()
        self.cells, self.algorithm = nn.ModuleList(cells), algorithm

    def forward(self, x: Tensor) -> Tensor:
        h = _neutral(self.algorithm, x)
        errors = []
        for cell in self.cells:
            errors.append(cell.errors(h))  # type: ignore[operator]  # as readouts.py has it
            h = cell(h)
        return torch.stack(errors).mean(0)


def _neutral(algorithm: Algorithm, x: Tensor) -> Tensor:
    return algorithm.view(x, torch.full((x.shape[0],), algorithm.neutral))
