"""Readouts: from what the cells answer to class scores, to a number, or to a strangeness.

Two of them read classes (Hinton 2022, section 3.3). *Every label tried*: the image is shown once
with each label, and the label whose verdicts, summed over chosen cells, are largest wins. *Linear*:
one pass with the neutral label, and a linear softmax on the length-normalised answers of chosen
cells, which learns along with the cells or after them; its loss trains nothing but itself. What its
outputs mean, and so that loss, is its task (``tasks.py``): classes, or a number.

*Reconstruction* learns nothing: with e_i(x) cell i's error of restoring what reaches it,

    strangeness(x) = mean over cells of e_i(x)

It is the larger, the less a sample is like those the cells learned to restore. What a layer norm
lets through has variance 1, so that each e_i is a share of what reaches the cell, and they can be
meaned as they are; a first cell that sees pixels counts by its pixels' scale. Means of logarithms,
and of errors standardised by their training mean and spread, were tried: both let a cell with
little to tell speak as loudly as the others (docs/log.md).

B = samples, K = classes or 1, F = features of the chosen cells together.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from .cells.lengths import Normalise, rms
from .errors import BadInput
from .local import Algorithm, Station
from .sweep import Sweep
from .tasks import Classify, Task


class LinearReadout(nn.Module):
    """Class scores, or a number, from the answers of the cells ``read``, by position in the row.

    ``widths`` are the features of those cells, in the same order; each answer is normalised by
    itself (RMS 1 by default). Starts at 0. ``task`` says what the ``classes`` outputs mean; there
    is one where it is a number.

    The author's Forward-Forward code has output biases and never updates them, so there are none
    by default.
    """

    def __init__(
        self,
        widths: Sequence[int],
        classes: int,
        read: Sequence[int],
        *,
        normalise: Normalise = rms,
        bias: bool = False,
        task: Task | None = None,
    ):
        super().__init__()
        self.read, self.normalise = tuple(read), normalise
        self.task = Classify() if task is None else task
        self.linear = nn.Linear(sum(widths), classes, bias=bias)
        for parameter in self.linear.parameters():
            nn.init.zeros_(parameter)

    def features(self, answers: Sequence[Tensor] | Mapping[int, Tensor]) -> Tensor:
        """The chosen cells' answers, each normalised, flat, side by side.  -> [B, F].

        ``answers`` has those of the cells ``read``, at least, at their places in the row.
        """
        return torch.cat([self.normalise(answers[i].flatten(1)) for i in self.read], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """features [B, F] -> scores [B, K], or [B, 1] for a number."""
        scores: Tensor = self.linear(features)
        return scores.float() if scores.dtype == torch.bfloat16 else scores


def learn(readout: Station, features: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """One step of a linear readout on detached features [B, F], y [B].

    Returns (its task's loss, scores [B, K] from before the step, detached).
    """
    linear = readout.cell
    assert isinstance(linear, LinearReadout)
    scores: Tensor = linear(features)
    loss = linear.task.loss(scores, y)
    for optimizer in readout.optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in readout.optimizers.values():
        optimizer.step()
    return loss.detach(), scores.detach()


@torch.no_grad()
def answers(cells: Sequence[nn.Module], rows: Tensor) -> Iterator[Tensor]:
    """What every cell answers to rows [B, *D], first to last, without a graph.

    One after another, so that a caller need not hold them all.
    """
    for cell in cells:
        rows = cell(rows)
        yield rows


@torch.no_grad()
def neutral_answers(
    cells: Sequence[nn.Module],
    algorithm: Algorithm,
    x: Tensor,
    wanted: Sequence[int] | None = None,
) -> dict[int, Tensor]:
    """The ``wanted`` cells' answers (all by default) to samples without a label.  x [B, *D]."""
    rows = algorithm.view(x, torch.full((len(x),), algorithm.neutral, device=x.device))
    found = {}
    for number, h in enumerate(answers(cells, rows)):
        if wanted is None or number in wanted:
            found[number] = h
    return found


@torch.no_grad()
def every_label(cells: Sequence[nn.Module], algorithm: Algorithm, x: Tensor) -> Tensor:
    """The verdict of every cell on every label.  x [B, *D] -> [cells, B, K].

    Of cells that are swept over, its mean over the iterations that are judged.
    """
    if algorithm.sweep is not None:
        return _swept(cells, algorithm, algorithm.sweep, x)
    tries = algorithm.candidates
    which = torch.arange(tries, device=x.device).repeat_interleave(len(x))
    rows = algorithm.view(x.repeat(tries, *[1] * (x.dim() - 1)), which)
    verdicts = [algorithm.verdict(h).view(tries, len(x)).T for h in answers(cells, rows)]
    return torch.stack(verdicts)


def _swept(cells: Sequence[nn.Module], algorithm: Algorithm, sweep: Sweep, x: Tensor) -> Tensor:
    tries = algorithm.candidates
    top = algorithm.top(torch.arange(tries, device=x.device).repeat_interleave(len(x)))
    shape, each = (tries, len(x)), []
    for answered in sweep.settle(cells, x, top.to(x.dtype)):
        verdicts = [algorithm.verdict(h).view(-1, len(x)).expand(shape).T for h in answered]
        each.append(torch.stack(verdicts))
    return torch.stack(each).mean(0)


@torch.no_grad()
def reconstruction_errors(cells: Sequence[nn.Module], algorithm: Algorithm, x: Tensor) -> Tensor:
    """How badly each cell restores what reaches it.  x [B, *D] -> [cells, B], each 0 or more.

    Raises BadInput for a cell that restores nothing: one without a method ``errors``.
    """
    rows = algorithm.view(x, torch.full((len(x),), algorithm.neutral, device=x.device))
    found = []
    for cell in cells:
        own = getattr(cell, "errors", None)
        if own is None:
            raise BadInput(
                f"strangeness is read off cells that restore their input, and "
                f"{type(cell).__name__} has no method errors(x) -> [B]: take AutoEncoder, "
                "ConvAutoEncoder, ConvWinners or Adversarial"
            )
        found.append(own(rows))
        rows = cell(rows)
    return torch.stack(found)


def strangeness(errors: Tensor) -> Tensor:
    """The row's score from its cells' errors of reconstruction.  [cells, B] -> [B]."""
    return errors.mean(0)
