"""Blocks: consecutive cells of a row that learn from what they are sent, wherever they are.

The schedule *simultaneous*, cut into pieces that know nothing of each other: a source that draws
streams, blocks of cells, and the readout. Each takes a *message*, tensors by name, and makes the
next one; run one after another they do what the schedule does in one process, bit for bit, and
since nothing but messages passes, and only forward, each may be in a process of its own
(``pipeline/``). Closed forms are taken where the whole row has them, as in one process.

    source     -> block 0        x [B, *D] and the views which [S, B], or streams [S*B, *D]
    block i    -> block i + 1    streams [S*B, *F], and whatever of neutral [B, *F], told [J, S*B],
                                 target [B], original [S*B, *D] the algorithm needs
    block      -> readout        answers of its cells that are read, [B, *F] each
    source     -> readout        y [B]

In closed forms, lengths [R] go beside answers. B = samples, S = streams, F = a cell's outputs,
J = cells that are heard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from . import fast
from .algorithms import ForwardForward
from .algorithms.contrast import Contrast
from .closed import ClosedCell, Rows, Scratch
from .errors import BadInput
from .first_product import Batch, Coded, bare
from .local import Algorithm, Station, Streams, walk, wall
from .precision import narrow
from .row import Row
from .stages import Losses, heard, learn_readout, one_view, serve, summed

Message = dict[str, Tensor]
"""Tensors by name: all that passes between two places."""


@dataclass(frozen=True)
class Way:
    """How a row's step is taken in pieces: what all of them must agree on."""

    closed: bool  # in closed forms
    shown: int | None  # the stream that the readout is shown, or None for a pass of its own
    neutral: int  # how many cells that pass goes through


def way(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Way:
    """How the schedule *simultaneous* takes this row's steps.  x [N, *D], y [N].

    Raises BadInput, by name, for what can't be cut into pieces between which messages only go
    forward.
    """
    serve("simultaneous in blocks", row, hints=("none", "earlier"))
    algorithm, linear = row.algorithm, row.linear()
    called = type(algorithm).__name__
    if algorithm.asks_scores:
        raise BadInput(
            "hard negatives are drawn from the readout's scores, which are behind the last block, "
            "and nothing comes back from there: take uniform wrong labels (negatives=wrong; "
            "in Python, negatives=onward.negatives.wrong_label)"
        )
    if algorithm.memory:
        raise BadInput(
            f"{called} makes negatives from the readout's own predictions, which are behind the "
            "last block, and nothing comes back from there: train it in one process"
        )
    own = type(algorithm).streams is not Algorithm.streams
    if own and (algorithm.originals or algorithm.targets):
        raise BadInput(
            f"{called} makes streams of its own with samples or labels beside them, and blocks are "
            "sent rows: train it in one process"
        )
    shown = 0 if one_view(algorithm) else algorithm.shows
    if algorithm.hints != "none":
        shown = None
    closed = fast.Steps(row, x, y, rng).apply()
    if linear is None or shown is not None:
        return Way(closed, shown, 0)
    return Way(closed, None, max(linear.read) + 1 if closed else len(row.stations))


class Source:
    """What enters the row: batches of samples x [N, *D], y [N], and the views they are shown in."""

    def __init__(self, row: Row, x: Tensor, y: Tensor, rng: Generator, how: Way):
        self.algorithm, self.how = row.algorithm, how
        self.x, self.y, self.rng = x, y, rng

    def batch(self, index: Tensor) -> tuple[Message, Tensor]:
        """The samples index [B] for the first block, and their labels for the readout."""
        algorithm, x, y = self.algorithm, self.x[index], self.y[index]
        message: Message = {"target": y} if algorithm.targets else {}
        if type(algorithm).streams is Algorithm.streams:
            return {**message, "x": x, "which": algorithm.draw(y, self.rng, None)}, y
        message |= {"x": x} if self.how.neutral else {}
        return {**message, "rows": algorithm.streams(x, y, self.rng).rows}, y


class Block:
    """Consecutive stations of a row, the first of them its cell number ``first``."""

    def __init__(self, stations: Sequence[Station], first: int, row: Row, how: Way):
        self.stations, self.first, self.how = list(stations), first, how
        self.algorithm, self.cells = row.algorithm, len(row.stations)
        linear = row.linear()
        self.read = () if linear is None else linear.read
        self.scratch = Scratch()

    @property
    def last(self) -> bool:
        """Whether the row ends here."""
        return self.first + len(self.stations) == self.cells

    @property
    def shows(self) -> bool:
        """Whether the readout reads any cell of this block."""
        return any(self.first <= number < self.first + len(self.stations) for number in self.read)

    def step(self, came: Message) -> tuple[Losses, Message, Message]:
        """Every cell learns from one batch: losses, the next block's message, the readout's.

        Messages may be views of memory that the next step writes to.
        """
        if self.how.closed:
            with torch.no_grad():
                losses, goes, answers = self._closed(came)
        else:
            losses, goes, answers = self._open(came)
        return losses, {} if self.last else goes, answers

    def _open(self, came: Message) -> tuple[Losses, Message, Message]:
        algorithm = self.algorithm
        passed: Message = {}
        answers: Message = {}
        if self.how.neutral > self.first:
            passed, answers = self._neutral(came)
        ins = self._entering(came)
        told = list(came["told"]) if "told" in came else []
        losses: Losses = {}
        for number, (station, seen, outs) in enumerate(walk(self.stations, ins), self.first):
            hint = heard(algorithm, told, number)
            spoken = algorithm.tell(wall(outs)) if algorithm.hints != "none" else None
            losses |= summed(station, station.update(algorithm, seen, outs, hint))
            if spoken is not None:
                told.append(spoken)
            ins = wall(outs)
            if self.how.shown is not None and number in self.read:
                answers[f"answer {number}"] = ins.split()[self.how.shown]
        goes = {"rows": ins.rows, **passed}
        if told:
            goes["told"] = torch.stack(told)
        kept = {name: came[name] for name in ("target",) if name in came}
        if ins.original is not None:
            goes["original"] = ins.original
        return losses, {**goes, **kept}, answers

    def _entering(self, came: Message) -> Streams:
        algorithm, target = self.algorithm, came.get("target")
        rows = came.get("rows")
        if rows is None:  # at the row's beginning, where streams are views of the samples
            which = came["which"]
            x = came["x"].repeat(len(which), *[1] * (came["x"].dim() - 1))
            rows = algorithm.view(x, which.flatten())
        original = came.get("original", rows) if algorithm.originals else None
        return Streams(rows, algorithm.count, target, original)

    @torch.no_grad()
    def _neutral(self, came: Message) -> tuple[Message, Message]:
        """The readout's own pass through these cells, before they learn."""
        algorithm = self.algorithm
        rows = came.get("neutral")
        if rows is None:
            x = came["x"]
            rows = algorithm.view(x, torch.full((len(x),), algorithm.neutral, device=x.device))
        answers: Message = {}
        for number, station in enumerate(self.stations, self.first):
            rows = station.cell(rows)
            if number in self.read:
                answers[f"answer {number}"] = rows
        return {"neutral": rows}, answers

    def _closed(self, came: Message) -> tuple[Losses, Message, Message]:
        algorithm = self.algorithm
        assert isinstance(algorithm, Contrast)
        cells = [ClosedCell(station, algorithm) for station in self.stations]
        through = max(0, min(self.how.neutral - self.first, len(cells)))
        goes: Message = {}
        answers: Message = {}
        batch = self._batch(came)
        if through:
            shown = self._seen(came, cells[0], batch, neutral=True)
            passed = fast.run(cells[:through], shown, self.scratch)
            for number, (h, norm) in enumerate(passed, self.first):
                self._answer(answers, number, h, norm)
            if self.how.neutral > self.first + len(cells):
                h, norm = passed[-1]
                goes |= {"neutral": narrow(h), "neutral lengths": norm}
        seen = self._seen(came, cells[0], batch, neutral=False)
        told = list(came["told"]) if "told" in came else []
        losses, answered = fast.learn_in_turn(algorithm, cells, seen, self.scratch, told)
        if (which := self.how.shown) is not None:
            size = len(answered[0][0]) // algorithm.count
            for number, (cell, one) in enumerate(zip(cells, answered, strict=True), self.first):
                self._answer(answers, number, *fast.shown_of(cell, *one, which, size))
        h, norm = answered[-1]
        goes |= {"rows": narrow(h), "lengths": norm}  # all that is multiplied of h
        if algorithm.hints == "earlier":
            pairs = zip(cells, answered, strict=True)
            goes["told"] = torch.stack([*told, *(cell.goodness(*one) for cell, one in pairs)])
        return losses, goes, answers

    def _batch(self, came: Message) -> Batch | None:
        """What the first cell's streams share, where they differ by their labels."""
        if "which" not in came or not isinstance(self.algorithm, ForwardForward):
            return None
        x = came["x"].flatten(1)
        index = torch.arange(len(x), device=x.device)
        found = bare(x, index, self.algorithm, self.scratch)
        return Batch(self.stations[0], self.algorithm, found, self.scratch)

    def _seen(self, came: Message, cell: ClosedCell, batch: Batch | None, neutral: bool) -> Rows:
        """What the block's first cell sees: of the readout's own pass, or to learn from."""
        if batch is not None:
            which = came["which"].flatten()
            if neutral:
                which = which.new_full((len(batch.bare),), self.algorithm.neutral)
            return Coded(batch, which)
        rows = came["neutral" if neutral else "rows"]
        lengths = came.get("neutral lengths" if neutral else "lengths")
        if lengths is None:  # at the row's beginning
            rows = fast.entering(cell.cell, rows)
            lengths = torch.linalg.vector_norm(rows.flatten(1), dim=1)
        return cell.seen(rows, lengths)

    def _answer(self, answers: Message, number: int, h: Tensor, norm: Tensor) -> None:
        if number in self.read:
            answers |= {f"answer {number}": narrow(h), f"lengths {number}": norm}


class Reader:
    """The readout of a row whose cells are elsewhere."""

    def __init__(self, row: Row, how: Way):
        self.row, self.how = row, how
        linear = row.linear()
        assert linear is not None
        self.linear = linear

    def step(self, answers: Mapping[str, Tensor], y: Tensor) -> Losses:
        """It learns from what the cells answered to one batch of labels y [B]."""
        row = self.row
        if not self.how.closed:
            found = {number: answers[f"answer {number}"] for number in self.linear.read}
            return learn_readout(row, found, y)[0]
        assert row.readout is not None
        pairs = [(answers[f"answer {n}"], answers[f"lengths {n}"]) for n in self.linear.read]
        with torch.no_grad():
            return {row.readout.name: fast.learn(self.linear, row.readout, pairs, y)[0]}
