"""Errors of a row on labelled data, and class scores of new samples.

B = samples, K = classes.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor

from .fast import every_label
from .readouts import answers, neutral_answers
from .row import Row

CHUNK = 500  # samples a pass; one with every label tried is K times as many rows


@dataclass(frozen=True)
class Verdicts:
    """Class scores by readout: ``goodness`` [cells, B, K] or None, ``linear`` [B, K] or None."""

    goodness: Tensor | None
    linear: Tensor | None

    def scores(self, row: Row, trained: int) -> dict[str, Tensor]:
        """Scores [B, K] by readout, counting only cells that have learned."""
        found: dict[str, Tensor] = {}
        counted = [i for i in row.counted if i < trained]
        if self.goodness is not None and counted:
            found["goodness"] = self.goodness[counted].sum(0)
        if self.linear is not None:
            found["linear"] = self.linear
        return found


@torch.no_grad()
def judge(row: Row, x: Tensor, *, labels: bool = True) -> Verdicts:
    """Both readouts on samples x [B, *D], in chunks; ``labels=False`` leaves out every label."""
    tried: list[Tensor] = []
    linear: list[Tensor] = []
    head = row.linear()
    device = next((p.device for s in row.everyone for p in s.cell.parameters()), x.device)
    for at in range(0, len(x), CHUNK):
        part = x[at : at + CHUNK].to(device)
        if labels and row.algorithm.candidates:
            tried.append(every_label(row, part).float().cpu())
        if head is not None:
            seen = neutral_answers(row.cells, row.algorithm, part)
            linear.append(head(head.features(seen)).float().cpu())
    return Verdicts(
        torch.cat(tried, dim=1) if tried else None, torch.cat(linear) if linear else None
    )


def errors(row: Row, x: Tensor, y: Tensor, trained: int | None = None) -> dict[str, Any]:
    """Error as a fraction by readout, and of each trained cell alone.  x [B, *D], y [B]."""
    trained = len(row.stations) if trained is None else trained
    verdicts = judge(row, x)
    found: dict[str, Any] = {
        name: _wrong(scores, y) for name, scores in verdicts.scores(row, trained).items()
    }
    if verdicts.goodness is not None:
        found["goodness_cells"] = [_wrong(alone, y) for alone in verdicts.goodness[:trained]]
    return found


def confusion(
    row: Row, x: Tensor, y: Tensor, classes: int, trained: int | None = None
) -> dict[str, list[list[int]]]:
    """Counts by readout: rows true class, columns predicted."""
    found = {}
    trained = len(row.stations) if trained is None else trained
    for name, scores in judge(row, x).scores(row, trained).items():
        pairs = y.cpu() * classes + scores.argmax(1)
        found[name] = torch.bincount(pairs, minlength=classes**2).view(classes, classes).tolist()
    return found


def _wrong(scores: Tensor, y: Tensor) -> float:
    return float((scores.argmax(1) != y.cpu()).double().mean())


@torch.no_grad()
def probe(row: Row, x: Tensor, y: Tensor, rng: Generator) -> list[dict[str, float]]:
    """Per cell, the fraction of dead units and what the algorithm measures.  x [B, *D], y [B].

    The streams are drawn as in training, from a generator of their own.
    """
    algorithm, head = row.algorithm, row.linear()
    scores = None
    if head is not None and algorithm.asks_scores:
        scores = head(head.features(neutral_answers(row.cells, algorithm, x)))
    ins = algorithm.streams(x, y, rng, scores)
    found = []
    for h in answers(row.cells, ins.rows):
        measured = algorithm.measures(replace(ins, rows=h))
        found.append(
            {"dead_units": dead_units(h), **{name: float(v) for name, v in measured.items()}}
        )
    return found


def dead_units(h: Tensor) -> float:
    """The fraction of units that are silent on every row.  h [B, *F]."""
    return float((h.flatten(1) <= 0).all(0).double().mean())
