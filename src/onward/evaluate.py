"""Errors of a row on labelled data, and its readouts' scores of new samples.

B = samples, K = classes, or 1 for a number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from .fast import every_label, linear_scores
from .local import Streams
from .readouts import answers, neutral_answers, reconstruction_errors, strangeness
from .row import Row

CHUNK = 200
"""Samples a pass: few, so that measuring a row takes no more memory than training a cell of it."""


@dataclass(frozen=True)
class Verdicts:
    """What readouts say: ``goodness`` [cells, B, K], ``linear`` [B, K], ``restoring`` [cells, B].

    Each is None where the row has no such readout.
    """

    goodness: Tensor | None
    linear: Tensor | None
    restoring: Tensor | None = None

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
def judge(row: Row, x: Tensor, *, labels: bool = True, linear: bool = True) -> Verdicts:
    """All readouts on samples x [B, *D], in chunks; False leaves out every label, or the linear."""
    tried: list[Tensor] = []
    read: list[Tensor] = []
    restoring: list[Tensor] = []
    head = row.linear() if linear else None
    device = next((p.device for s in row.everyone for p in s.cell.parameters()), x.device)
    for at in range(0, len(x), CHUNK):
        part = x[at : at + CHUNK].to(device)
        if labels and row.algorithm.candidates:
            tried.append(every_label(row, part).float().cpu())
        if head is not None:
            read.append(linear_scores(row, part).float().cpu())
        if row.detects:
            each = reconstruction_errors(row.cells, row.algorithm, part)
            restoring.append(each.float().cpu())
    return Verdicts(
        torch.cat(tried, dim=1) if tried else None,
        torch.cat(read) if read else None,
        torch.cat(restoring, dim=1) if restoring else None,
    )


def errors(
    row: Row, x: Tensor, y: Tensor, trained: int | None = None, *, linear: bool = True
) -> dict[str, Any]:
    """Error as a fraction by readout, and of each trained cell alone.  x [B, *D], y [B].

    What an error is says :func:`measure`; None where these samples give none. ``linear=False``
    leaves out a linear readout that has not learned yet.
    """
    return errors_of(row, judge(row, x, linear=linear), y, trained)


def errors_of(
    row: Row, verdicts: Verdicts, y: Tensor, trained: int | None = None
) -> dict[str, Any]:
    """:func:`errors` from verdicts on the samples whose labels are y [B]."""
    trained = len(row.stations) if trained is None else trained
    task, y = row.task, y.cpu()
    found: dict[str, Any] = {
        name: task.error(scores, y) for name, scores in verdicts.scores(row, trained).items()
    }
    if verdicts.goodness is not None:
        found["goodness_cells"] = [task.error(alone, y) for alone in verdicts.goodness[:trained]]
    if verdicts.restoring is not None and trained:
        each = verdicts.restoring[:trained]
        found["reconstruction"] = missed(strangeness(each), y)
        found["reconstruction_cells"] = [missed(alone, y) for alone in each]
    return found


def measure(row: Row) -> str:
    """What a row's errors are, in a few words: its task's own, or "1 - AUROC" if it detects."""
    return "1 - AUROC" if row.detects else row.task.measure


def missed(scores: Tensor, y: Tensor) -> float | None:
    """1 - AUROC of scores that should be larger where y is 1.  scores [B], y [B] in {0, 1}.

    The share of pairs of a strange sample and a usual one in which the usual one has the larger
    score, ties by half; None where one of the two kinds is missing.

    >>> missed(torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0, 1, 0, 1]))
    0.25
    """
    if bool((y == y[0]).all()):
        return None
    from sklearn.metrics import roc_auc_score

    return 1 - float(roc_auc_score(y.cpu().numpy() == 1, scores.cpu().double().numpy()))


def confusion(
    row: Row, x: Tensor, y: Tensor, classes: int, trained: int | None = None
) -> dict[str, list[list[int]]]:
    """Counts by readout: rows true class, columns predicted; none where y are numbers."""
    return confusion_of(row, judge(row, x), y, classes, trained)


def confusion_of(
    row: Row, verdicts: Verdicts, y: Tensor, classes: int, trained: int | None = None
) -> dict[str, list[list[int]]]:
    """:func:`confusion` from verdicts on the samples whose labels are y [B]."""
    found: dict[str, list[list[int]]] = {}
    if row.task.target != "classes":
        return found
    trained = len(row.stations) if trained is None else trained
    for name, scores in verdicts.scores(row, trained).items():
        pairs = y.cpu() * classes + row.task.answer(scores)
        found[name] = torch.bincount(pairs, minlength=classes**2).view(classes, classes).tolist()
    return found


@torch.no_grad()
def probe(row: Row, x: Tensor, y: Tensor, rng: Generator) -> list[dict[str, float]]:
    """Per cell, the fraction of dead units and what algorithm and cell measure.  x [B, *D], y [B].

    The streams are drawn as in training, from a generator of their own; measures are means over
    pieces of :data:`CHUNK` samples.
    """
    silent: list[Tensor] = []
    sums: list[dict[str, float]] = [{} for _ in row.cells]
    for piece, labels in _pieces(x, y, row.algorithm.fewest):
        for number, outs in enumerate(_probed(row, piece, labels, rng)):
            off = (outs.rows.flatten(1) <= 0).all(0)
            if len(silent) == number:
                silent.append(off)
            silent[number] &= off
            for name, value in row.algorithm.measures(outs).items():
                share = float(value) * len(piece) / len(x)
                sums[number][name] = sums[number].get(name, 0.0) + share
    return [
        {"dead_units": float(off.double().mean()), **measured, **_own(cell)}
        for off, measured, cell in zip(silent, sums, row.cells, strict=True)
    ]


def _pieces(x: Tensor, y: Tensor, fewest: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of :data:`CHUNK` samples; one too small to make streams of goes with that before."""
    sizes = [min(CHUNK, len(x) - at) for at in range(0, len(x), CHUNK)]
    if len(sizes) > 1 and sizes[-1] < fewest:
        sizes[-2:] = [sum(sizes[-2:])]
    return zip(torch.split(x, sizes), torch.split(y, sizes), strict=True)


def _own(cell: nn.Module) -> dict[str, float]:
    """Scalars that a cell with a method ``measures()`` tells of itself."""
    measures = getattr(cell, "measures", None)
    return {} if measures is None else dict(measures())


def _probed(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Streams]:
    """Each cell's answers to the streams of some samples."""
    algorithm, head = row.algorithm, row.linear()
    scores = None
    if head is not None and algorithm.asks_scores:
        scores = head(head.features(neutral_answers(row.cells, algorithm, x, head.read)))
    if algorithm.sweep is not None:  # as they are at the last iteration that is judged
        which = algorithm.draw(y, rng, scores)
        top = algorithm.top(which.flatten()).to(x.dtype)
        *_, swept = algorithm.sweep.settle(row.cells, x, top)
        yield from (Streams(_whole(h, which.numel()), len(which)) for h in swept)
        return
    ins = algorithm.streams(x, y, rng, scores)
    for h in answers(row.cells, ins.rows):
        yield replace(ins, rows=h)


def _whole(h: Tensor, rows: int) -> Tensor:
    """A cell's answers to all streams, where it has answered once for all of them.  -> [R, F]."""
    return h.repeat(rows // len(h), 1)


def dead_units(h: Tensor) -> float:
    """The fraction of units that are silent on every row.  h [B, *F]."""
    return float((h.flatten(1) <= 0).all(0).double().mean())
