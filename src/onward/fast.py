"""Steps in closed form where they apply: of a whole row, or of a cell by itself.

Streams that differ by their labels share a first product (``first_product.py``).
Without labels, where negatives are hybrids of two images, nothing is shared: positives and
negatives are two kinds of rows. Positives are what the readout is shown, so no pass is made for it.

Everything here says by itself where it does not apply (a subclass, a hook, another goodness,
another optimiser), and then the caller goes by autograd. Nothing here outlasts a step but
scratch that is overwritten: what decides numbers is in the stations, their optimisers and the
generator, drawn from in the same order either way.

B = samples, R = 2B rows, positives first, K = classes, D = the first cell's inputs, F = units.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import log_softmax

from . import readouts
from .algorithms import ForwardForward, HybridForwardForward
from .algorithms.contrast import Contrast
from .cells import Dense, LocalFields
from .cells.lengths import rms
from .closed import (
    ClosedCell,
    Descent,
    Rows,
    Scratch,
    accumulate,
    answer,
    closed_cell,
    closed_family,
    closed_fields,
    closed_loss,
    closed_station,
    flattened,
    inverse_length,
    layer,
    multiply,
    plain,
    seen_by,
)
from .first_product import Batch, Coded, bare
from .goodness import power
from .labels import appended, over_first
from .local import Algorithm, Station, Streams
from .readouts import LinearReadout
from .row import Row
from .tasks import Classify


class Steps:
    """The step of the schedule *simultaneous* on one row and its data.  x [N, *D], y [N]."""

    def __init__(self, row: Row, x: Tensor, y: Tensor, rng: Generator):
        self.row, self.x, self.y, self.rng = row, x.flatten(1), y, rng
        self.samples = x
        self.scratch = Scratch()

    def apply(self) -> bool:
        """Whether the closed forms can take the next step."""
        row, x = self.row, self.samples
        if not (_row(row, x) and closed_loss(row.algorithm)):
            return False
        if row.readout is None:
            return all(map(closed_station, row.stations))
        head = row.linear()
        assert head is not None
        return (
            _head(head, x) and plain(head.task, Classify) and all(map(closed_station, row.everyone))
        )

    @torch.no_grad()
    def step(self, index: Tensor) -> dict[str, Tensor]:
        """Every cell and the readout learn from the samples index [B]: each station's loss."""
        row, algorithm = self.row, self.row.algorithm
        assert isinstance(algorithm, Contrast)
        cells = [ClosedCell(station, algorithm) for station in row.stations]
        y = self.y[index]
        if isinstance(algorithm, HybridForwardForward):
            return self._mixed(cells, algorithm.streams(self.samples[index], y, self.rng), y)
        assert isinstance(algorithm, ForwardForward)
        rows = bare(self.x, index, algorithm, self.scratch)
        batch = Batch(row.stations[0], algorithm, rows, self.scratch)
        losses: dict[str, Tensor] = {}
        scores, head = None, row.linear()
        if head is not None and row.readout is not None:
            shown = Coded(batch, torch.full_like(y, algorithm.neutral))
            answers = run(cells[: max(head.read) + 1], shown, self.scratch)
            losses[row.readout.name], scores = learn(
                head, row.readout, [answers[i] for i in head.read], y
            )
        seen: Rows = Coded(batch, algorithm.draw(y, self.rng, scores).flatten())
        if algorithm.hints == "all":
            return losses | self._learn_together(cells, seen)
        return losses | learn_in_turn(algorithm, cells, seen, self.scratch)[0]

    def _mixed(self, cells: list[ClosedCell], ins: Streams, y: Tensor) -> dict[str, Tensor]:
        """Cells learn from streams without labels, then the readout from its own."""
        rows, shown = entering(self.row.cells[0], ins.rows), self.row.algorithm.shows
        assert shown is not None
        seen = cells[0].seen(rows, torch.linalg.vector_norm(rows.flatten(1), dim=1))
        losses, answers = learn_in_turn(self.row.algorithm, cells, seen, self.scratch)
        head, station = self.row.linear(), self.row.readout
        if head is not None and station is not None:
            read = [shown_of(cells[i], *answers[i], shown, len(y)) for i in head.read]
            losses[station.name], _ = learn(head, station, read, y)
        return losses

    def _learn_together(self, cells: list[ClosedCell], seen: Rows) -> dict[str, Tensor]:
        """All cells run before the first one learns, for each hears all others."""
        ran: list[tuple[Rows, Tensor, Tensor, Tensor]] = []
        for number, cell in enumerate(cells):
            names = f"drive of {number}", f"answer {number}"
            z, h = room(self.scratch, cell, len(seen.s), *names)
            norm = cell.forward(seen, z, h)
            ran.append((seen, z, h, norm))
            if number + 1 < len(cells):
                seen = cells[number + 1].seen(h, norm)
        told = [cell.goodness(h, norm) for cell, (_, _, h, norm) in zip(cells, ran, strict=True)]
        return {
            cell.name: cell.learn(*ran[number], _heard(told[:number] + told[number + 1 :]))
            for number, cell in enumerate(cells)
        }


Answers = list[tuple[Tensor, Tensor]]
"""Of cell after cell: h [R, F] and its lengths [R]."""


def run(cells: Sequence[ClosedCell], seen: Rows, scratch: Scratch) -> Answers:
    """What consecutive cells answer to rows that the first one sees; none learns."""
    answers: Answers = []
    for number, cell in enumerate(cells):
        drive = f"drive {cell.cell.outputs}"
        z, h = room(scratch, cell, len(seen.s), drive, f"neutral {number}")
        norm = cell.forward(seen, z, h)
        answers.append((h, norm))
        if number + 1 < len(cells):
            seen = cells[number + 1].seen(h, norm)
    return answers


def learn_in_turn(
    algorithm: Algorithm,
    cells: Sequence[ClosedCell],
    seen: Rows,
    scratch: Scratch,
    told: Sequence[Tensor] = (),
) -> tuple[dict[str, Tensor], Answers]:
    """Consecutive cells answer and learn, one after another: their losses, and what they answered.

    ``told`` [R] each is what cells before them told, where cells hear of those.
    """
    losses: dict[str, Tensor] = {}
    answers: Answers = []
    heard = list(told)
    for number, cell in enumerate(cells):
        drive = f"drive {cell.cell.outputs}"
        z, h = room(scratch, cell, len(seen.s), drive, f"answer {number}")
        norm = cell.forward(seen, z, h)
        hint = _heard(heard)
        if algorithm.hints == "earlier":
            heard.append(cell.goodness(h, norm))
        losses[cell.name] = cell.learn(seen, z, h, norm, hint)
        answers.append((h, norm))
        if number + 1 < len(cells):
            seen = cells[number + 1].seen(h, norm)
    return losses, answers


def room(
    scratch: Scratch, cell: ClosedCell, count: int, drive: str, answer: str
) -> tuple[Tensor, Tensor]:
    """Where a cell's drives and answers go, by name, [count, F] each."""
    units, like = cell.cell.outputs, layer(cell.cell).bias
    return scratch.rows(drive, count, units, like), scratch.rows(answer, count, units, like)


def shown_of(
    cell: ClosedCell, h: Tensor, norm: Tensor, shown: int, size: int
) -> tuple[Tensor, Tensor]:
    """Of answers to streams of ``size`` samples, those that a readout is shown."""
    mine = slice(shown * size, (shown + 1) * size)
    return flattened(cell.cell, h[mine]), norm[mine]


def learn(
    head: LinearReadout, station: Station, read: list[tuple[Tensor, Tensor]], y: Tensor
) -> tuple[Tensor, Tensor]:
    """``readouts.learn`` in closed form: the slope is softmax minus one-hot, over B.

    ``read`` are answers [B, F] and their lengths [B] of the cells that are read; y [B].
    Returns (cross-entropy, scores [B, K] from before the step).
    """
    weight = head.linear.weight
    widths = [h.shape[1] for h, _ in read]
    parts = torch.split(weight, widths, dim=1)
    inverses = [inverse_length(norm, rms, h.shape[1])[:, None] for h, norm in read]
    scores = torch.zeros(len(y), len(weight), dtype=weight.dtype, device=weight.device)
    for (h, _), s, part in zip(read, inverses, parts, strict=True):
        product = torch.empty_like(scores)
        multiply(h, part.T, product)
        scores.addcmul_(product, s)
    logs = log_softmax(scores, dim=1)
    loss = -logs.gather(1, y[:, None]).mean()
    slope = logs.exp_()
    slope.scatter_add_(1, y[:, None], slope.new_full((len(y), 1), -1.0)).div_(len(y))
    (optimizer,) = station.optimizers.values()
    descent = Descent(optimizer)
    target, kept = descent.target(weight)
    targets = torch.split(target, widths, dim=1)
    for (h, _), s, part in zip(read, inverses, targets, strict=True):
        accumulate(part, kept, (slope * s).T, h)
    descent.step()
    return loss, scores


class Alone:
    """The step of a cell that learns by itself, whatever made its input: schedule *greedy*."""

    def __init__(self, row: Row, station: Station):
        self.row, self.station, self.scratch = row, station, Scratch()

    @torch.no_grad()
    def update(self, ins: Streams, hint: Tensor | None = None) -> dict[str, Tensor] | None:
        """The cell's loss on its streams, once it has learned; None where autograd has to do it.

        ``hint`` [J, R] is what it hears of them.
        """
        station, algorithm, x = self.station, self.row.algorithm, ins.rows.flatten(1)
        if not (self.row.fast and closed_loss(algorithm)):
            return None
        x = x.float() if x.dtype == torch.bfloat16 else x  # stored so by frozen cells
        if not (closed_cell(station.cell, x) and closed_station(station)):
            return None
        assert isinstance(algorithm, Contrast)
        cell = ClosedCell(station, algorithm)
        if x.shape[1] != layer(cell.cell).weight.shape[1]:
            return None
        z = self.scratch.rows("drive", len(x), cell.cell.outputs, x)
        h = self.scratch.rows("answer", len(x), cell.cell.outputs, x)
        seen = cell.seen(x, torch.linalg.vector_norm(x, dim=1))
        norm = cell.forward(seen, z, h)
        return {station.name: cell.learn(seen, z, h, norm, hint)}


@torch.no_grad()
def every_label(row: Row, x: Tensor) -> Tensor:
    """``readouts.every_label`` with one first product.  x [B, *D] -> [cells, B, K]."""
    algorithm = row.algorithm
    if not (_row(row, x) and isinstance(algorithm, ForwardForward)):
        return readouts.every_label(row.cells, algorithm, x)
    batch = _unlabelled(row, x.flatten(1))
    verdicts = []
    for label in range(algorithm.classes):
        answers = _answers(row, _labelled(batch, label), batch.scratch)
        verdicts.append(torch.stack([_verdict(algorithm, h, norm) for h, norm in answers]))
    return torch.stack(verdicts, dim=2)


@torch.no_grad()
def first_answers(row: Row, x: Tensor) -> Tensor:
    """The first cell on every label, by one first product.  x [B, *D] -> [K, B, *F]."""
    algorithm, cell = row.algorithm, row.cells[0]
    tries = algorithm.candidates
    which = torch.arange(tries, device=x.device).repeat_interleave(len(x))
    if not (_row(row, x) and isinstance(algorithm, ForwardForward)):
        rows = algorithm.view(x.repeat(tries, *[1] * (x.dim() - 1)), which)
        h = cell(rows)
        return torch.as_tensor(h.view(tries, len(x), *h.shape[1:]))
    batch = _unlabelled(row, x.flatten(1))
    z = x.new_empty(len(which), len(layer(cell).bias))
    h = torch.empty_like(z)
    answer(cell, Coded(batch, which), z, h)
    return h.view(tries, len(x), -1)


@torch.no_grad()
def linear_scores(row: Row, x: Tensor) -> Tensor:
    """The linear readout on samples with a neutral label.  x [B, *D] -> [B, K]."""
    algorithm, head = row.algorithm, row.linear()
    assert head is not None
    if not (_row(row, x) and _head(head, x)):
        seen = readouts.neutral_answers(row.cells, algorithm, x, head.read)
        return torch.as_tensor(head(head.features(seen)))
    weight = head.linear.weight
    widths = [len(layer(row.cells[i]).bias) for i in head.read]
    parts = dict(zip(head.read, torch.split(weight, widths, dim=1), strict=True))
    scores = x.new_zeros(len(x), len(weight))
    answers = _answers(row, _neutral(row, x), Scratch())
    for number, (h, norm) in enumerate(islice(answers, max(head.read) + 1)):
        if number in parts:
            s = inverse_length(norm, rms, h.shape[1])[:, None]
            product = torch.empty_like(scores)
            multiply(flattened(row.cells[number], h), parts[number].T, product)
            scores.addcmul_(product, s)
    return scores


def _unlabelled(row: Row, x: Tensor) -> "Batch":
    """Samples x [B, D] without a label, for the answers to any of them."""
    algorithm = row.algorithm
    assert isinstance(algorithm, ForwardForward)
    bare = algorithm.writer(x, x.new_zeros(len(x), algorithm.classes))
    return Batch(row.stations[0], algorithm, bare, Scratch())


def _labelled(batch: "Batch", view: int) -> Rows:
    """One view of every sample of a batch."""
    return Coded(batch, torch.full((len(batch.bare),), view, device=batch.bare.device))


def _neutral(row: Row, x: Tensor) -> Rows:
    """Samples x [B, *D] as the readout is shown them."""
    if isinstance(row.algorithm, ForwardForward):
        return _labelled(_unlabelled(row, x.flatten(1)), row.algorithm.neutral)
    norm = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return seen_by(row.cells[0], entering(row.cells[0], x), norm)


def entering(cell: nn.Module, x: Tensor) -> Tensor:
    """Samples x [B, *D] as a row's first cell takes them: flat, if it is dense."""
    return x.flatten(1) if isinstance(cell, Dense) else x


def _answers(row: Row, seen: Rows, scratch: Scratch) -> Iterator[tuple[Tensor, Tensor]]:
    """Every cell's answer [B, F] to rows that the first one sees, and its lengths [B].

    An answer is overwritten two cells later: all of a deep row's would be more than a cell takes
    to learn.
    """
    cells, count = row.cells, len(seen.s)
    for number, cell in enumerate(cells):
        like = layer(cell).bias
        units = len(like)
        z = scratch.rows(f"drive {units}", count, units, like)
        h = scratch.rows(f"{number % 2} {units}", count, units, like)
        norm = answer(cell, seen, z, h)
        yield h, norm
        if number + 1 < len(cells):
            seen = seen_by(cells[number + 1], h, norm)


def _verdict(algorithm: ForwardForward, h: Tensor, norm: Tensor) -> Tensor:
    """The goodness of h [B, F]: from its lengths, norm [B], where they say it."""
    found = power(algorithm.goodness, h.shape[1])
    if found is None or found[0] != 2:
        return algorithm.verdict(h)
    return found[1] * norm.square()


def _row(row: Row, x: Tensor) -> bool:
    """Whether a row's answers to samples x [B, *D] have closed forms, labels and all."""
    algorithm, cells = row.algorithm, row.cells
    if not row.fast or not closed_family(algorithm):
        return False
    if isinstance(algorithm, HybridForwardForward) and all(closed_fields(c, x) for c in cells):
        return _fit(cells, x)
    if not all(closed_cell(cell, x) for cell in cells):
        return False
    widths = [x[0].numel()]
    if isinstance(algorithm, ForwardForward):
        if algorithm.writer is not over_first and algorithm.writer is not appended:
            return False
        if widths[0] < algorithm.classes:
            return False
        widths[0] += algorithm.classes if algorithm.writer is appended else 0
    for cell in cells:
        assert isinstance(cell, Dense)
        if cell.inputs != widths[-1]:
            return False
        widths.append(cell.outputs)
    return True


def _fit(cells: list[nn.Module], x: Tensor) -> bool:
    """Whether every cell of local fields is given maps of its own shape."""
    shape = tuple(x.shape[1:])
    for cell in cells:
        assert isinstance(cell, LocalFields)
        if cell.fields.shape != shape:
            return False
        shape = cell.maps
    return True


def _heard(told: list[Tensor]) -> Tensor | None:
    """What other cells told [R], stacked [J, R]."""
    return torch.stack(told) if told else None


def _head(head: LinearReadout, x: Tensor) -> bool:
    """Whether a readout is the usual one, in the dtype and place of x."""
    weight = head.linear.weight
    there = weight.dtype == x.dtype and weight.device == x.device
    sound = plain(head, LinearReadout) and plain(head.linear, torch.nn.Linear)
    return there and sound and head.normalise is rms and head.linear.bias is None
