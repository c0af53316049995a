"""Early exit: a sample leaves the row at the first cell that is sure enough of it.

    goodness    s_j = sum of the verdicts of the counted cells up to j, every label tried; before
                the first counted cell, of all cells up to j
    linear      s_j = a linear softmax on the answers of the cells 0 ... j
    p_j = max_k softmax(s_j / T_j)[k]           how sure cell j is
    leave at the first j with p_j >= threshold, with the answer argmax_k s_j

The last exit is the row's own readout, as it is. Of goodness nothing is learned. Of a linear
readout the part that belongs to the first cells is a poor judge by itself, for it learned beside
the rest (docs/log.md), so every earlier exit gets a softmax of its own, learned on the training
samples while the cells stay as they are.

T_j makes s_j a confidence that means the same at every cell: it is the temperature of the least
cross-entropy on the validation samples (Guo et al. 2017, arXiv:1706.04599). One threshold then
serves all cells. It is the lowest at which n, the validation samples that the whole row gets right
and the early answer wrong, has (sqrt(n) + 1)^2 within the loss that is allowed: two standard errors
for chance and one sample more, so that none lost of a few shows little; and none that got right by
leaving are set against them.

B = samples, N = all of a split, K = classes, E = exits, F = units of a cell.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .data import Dataset
from .errors import BadInput
from .evaluate import judge
from .fast import first_answers
from .flops import counted
from .local import Station
from .optimizers import adamw
from .readouts import LinearReadout, answers, learn, neutral_answers
from .row import Row
from .seeds import generator

CHUNK = 200
"""Samples that walk through the row together."""

EPOCHS, BATCH = 3, 100
"""How long the softmaxes of earlier exits learn, by AdamW at its usual rate."""


@dataclass(frozen=True)
class Left:
    """How N samples left: their ``answers`` [N], ``at`` which exit [N], and the row's ``flops``."""

    answers: Tensor
    at: Tensor
    flops: int


@dataclass(frozen=True)
class Exits:
    """A row's exits for one readout, "goodness" or "linear"; :func:`make` makes them.

    ``heads`` are the softmaxes of all exits but the last (none for goodness), ``temperatures``
    those of all exits.
    """

    row: Row
    readout: str
    heads: Sequence[LinearReadout] = ()
    temperatures: Sequence[float] = ()

    @property
    def count(self) -> int:
        """E: an exit behind every cell up to the last that the readout looks at."""
        head = self.row.linear()
        if self.readout == "goodness" or head is None:
            return max(self.row.counted) + 1
        return max(head.read) + 1

    def whole(self, x: Tensor) -> Left:
        """The row's own readout on all of x [N, *D]: nobody leaves, no earlier exit is computed."""
        goodness = self.readout == "goodness"
        row = replace(self.row, stations=self.row.stations[: self.count])  # none that nobody asks
        said, flops = counted(lambda: judge(row, x, labels=goodness, linear=not goodness))
        scores = said.scores(row, self.count)[self.readout]
        return Left(scores.argmax(1), torch.full((len(x),), self.count - 1), flops)

    def scores(self, x: Tensor) -> Tensor:
        """What every exit says if nobody leaves.  x [N, *D] -> [E, N, K]."""
        whole = []
        for part in torch.split(x, CHUNK):
            walk = self._walk(part)
            stay = torch.ones(len(part), dtype=torch.bool)
            found = [next(walk)]
            found += [walk.send(stay) for _ in range(self.count - 1)]
            whole.append(torch.stack(found))
        return torch.cat(whole, dim=1)

    def sure(self, exit: int, scores: Tensor) -> tuple[Tensor, Tensor]:
        """How sure an exit is of its answers, and the answers.  scores [B, K] -> [B], [B]."""
        found = (scores.double() / self.temperatures[exit]).softmax(1).max(1)
        return found.values, found.indices

    def leave(self, x: Tensor, threshold: float) -> Left:
        """Let samples leave where an exit is at least so sure.  x [N, *D]; threshold above 1: none.

        Only those that stay are computed any further.
        """
        said = torch.empty(len(x), dtype=torch.long)
        at = torch.empty(len(x), dtype=torch.long)

        def go() -> None:
            for begin in range(0, len(x), CHUNK):
                part = x[begin : begin + CHUNK]
                walk, here = self._walk(part), torch.arange(begin, begin + len(part))
                scores = next(walk)
                for exit in range(self.count):
                    sure, told = self.sure(exit, scores)
                    stays = (sure < threshold) & (exit + 1 < self.count)
                    said[here[~stays]], at[here[~stays]] = told[~stays], exit
                    here = here[stays]
                    if not len(here):
                        break
                    scores = walk.send(stays)

        _, flops = counted(go)
        return Left(said, at, flops)

    def _walk(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        """The scores [B, K] of one exit after the other; what is sent says which rows stay [B]."""
        device = next(p.device for s in self.row.everyone for p in s.cell.parameters())
        x = x.to(device)
        return self._every_label(x) if self.readout == "goodness" else self._linear(x)

    @torch.no_grad()
    def _every_label(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        row, h = self.row, first_answers(self.row, x)  # [K, B, *F]
        tries, summed = len(h), None
        for number in range(self.count):
            if number:
                h = row.cells[number](h.flatten(0, 1))
                h = h.view(tries, -1, *h.shape[1:])
            verdict = row.algorithm.verdict(h.flatten(0, 1)).view(tries, -1).T
            if summed is None or number == min(row.counted):
                summed = verdict
            elif number in row.counted or number < min(row.counted):
                summed = summed + verdict
            stays = (yield summed.float().cpu()).to(x.device)
            h, summed = h[:, stays], summed[stays]

    @torch.no_grad()
    def _linear(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        row, own = self.row, self.row.linear()
        assert own is not None
        algorithm, seen = row.algorithm, {}
        h = algorithm.view(x, torch.full((len(x),), algorithm.neutral, device=x.device))
        for number in range(self.count):
            h = seen[number] = row.cells[number](h)
            head = own if number + 1 == self.count else self.heads[number]
            stays = (yield head(head.features(seen)).float().cpu()).to(x.device)
            h, seen = h[stays], {cell: answer[stays] for cell, answer in seen.items()}


def make(row: Row, readout: str, data: Dataset, seed: int) -> Exits:
    """The exits of a trained row: softmaxes learned where they are needed, confidences calibrated.

    ``seed`` decides in which order the softmaxes see the training samples.
    Raises BadInput where no sample can leave early, or none is kept for validation.
    """
    called = type(row.algorithm).__name__
    if row.algorithm.sweep is not None:
        raise BadInput(
            f"the cells of {called} settle together over several iterations: none is done before "
            "the others, so no sample can leave early"
        )
    if row.task.target != "classes":
        raise BadInput("a sample leaves early where its class is sure, and this run says numbers")
    if not len(data.validation):
        raise BadInput(f"{data.name} keeps no samples for validation, which choose thresholds")
    exits = Exits(row, readout)
    if exits.count < 2:
        raise BadInput(f"the readout {readout} looks at one cell only: no sample can leave early")
    if readout == "linear":
        exits = replace(exits, heads=_learned(exits, data, seed))
    scores = exits.scores(data.validation.x)
    return replace(exits, temperatures=[temperature(s, data.validation.y) for s in scores])


def _learned(exits: Exits, data: Dataset, seed: int) -> list[LinearReadout]:
    """A softmax for each exit but the last, all learned on the same passes."""
    row, own = exits.row, exits.row.linear()
    assert own is not None
    device = own.linear.weight.device
    x, y, cells = data.train.x, data.train.y, row.cells[: exits.count - 1]
    which = torch.full((1,), row.algorithm.neutral, device=device)
    shown = row.algorithm.view(x[:1].to(device), which)
    widths = [h.numel() for h in answers(cells, shown)]
    stations = []
    for last in range(len(cells)):
        head = LinearReadout(
            widths[: last + 1],
            data.classes,
            range(last + 1),
            normalise=own.normalise,
            bias=own.linear.bias is not None,
        ).to(device)
        stations.append(Station(f"exit-{last}", head, {"readout": adamw()(head.parameters())}))
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator(seed, "exits", epoch))
        for index in torch.split(order, BATCH):
            answered = neutral_answers(cells, row.algorithm, x[index].to(device))
            for station in stations:
                assert isinstance(station.cell, LinearReadout)
                learn(station, station.cell.features(answered), y[index].to(device))
    return [station.cell for station in stations if isinstance(station.cell, LinearReadout)]


def temperature(scores: Tensor, y: Tensor) -> float:
    """T with the least cross-entropy of softmax(scores / T).  scores [N, K], y [N] -> above 0.

    Looked for within a factor of 1,000 of the scores' spread, in steps of 6 percent.
    """
    wide, y = scores.double(), y.cpu()
    spread = float(wide.std()) or 1.0
    tried = [spread * 10 ** (step / 40) for step in range(-120, 121)]
    return min(tried, key=lambda t: float(cross_entropy(wide / t, y)))


def choose(exits: Exits, scores: Tensor, y: Tensor, lose: float) -> tuple[float, Tensor]:
    """The lowest threshold that loses at most ``lose``, a fraction, of validation accuracy.

    scores [E, N, K] and y [N] of the validation samples. Returns it with the answers [N] that it
    gives there. It is infinite, and nobody leaves, where no threshold keeps within the loss;
    confidences of 1 - 10^-8 and more are all one.
    """
    said = [exits.sure(exit, s) for exit, s in enumerate(scores)]
    y, whole = y.cpu(), said[-1][1]
    for step in range(401):
        threshold = 1 - 10 ** (-step / 50)
        early = whole
        for sure, told in reversed(said[:-1]):  # the first one that is sure has the last word
            early = torch.where(sure >= threshold, told, early)
        lost = int(((whole == y) & (early != y)).sum())
        if (math.sqrt(lost) + 1) ** 2 <= lose * len(y):
            if not any(bool((sure >= threshold).any()) for sure, _ in said[:-1]):
                break  # nobody would leave, and exits that nobody takes only cost
            return threshold, early
    return math.inf, whole
