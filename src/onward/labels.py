"""Writing a label into an input.  x [B, *D], code [B, K] -> rows [B, *D'].

A *code* is the K numbers that stand for a label: ``value`` at the label's place and 0 elsewhere,
or, for the neutral code, ``value / K`` everywhere (Hinton 2022, section 3.3: ten values of 0.1).
A *writer* puts a code into an input: over its first K numbers, behind them, or all over it.

B = samples, D = input shape, K = classes.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from .errors import BadInput

Writer = Callable[[Tensor, Tensor], Tensor]


def label_code(labels: Tensor, classes: int, value: float = 1.0) -> Tensor:
    """Codes of labels, where the label ``classes`` means neutral.  labels [B] -> [B, K].

    >>> label_code(torch.tensor([1, 2]), classes=2, value=1.0)
    tensor([[0.0000, 1.0000],
            [0.5000, 0.5000]])
    """
    table = torch.full((classes + 1, classes), value / classes, device=labels.device)
    table[:classes] = value * torch.eye(classes, device=labels.device)
    return table[labels]


def over_first(x: Tensor, code: Tensor) -> Tensor:
    """The code over the first K inputs (for an image: the start of its first row).

    x [B, *D] -> [B, *D]. Raises BadInput where a sample has fewer than K numbers.
    """
    classes = code.shape[1]
    rows = x.flatten(1).clone()
    if rows.shape[1] < classes:
        raise BadInput(
            f"a label of {classes} classes needs {classes} inputs to be written over, but a sample "
            f"has only {rows.shape[1]}: append the label instead (label='appended')"
        )
    rows[:, :classes] = code
    return rows.view(x.shape)


def appended(x: Tensor, code: Tensor) -> Tensor:
    """The code behind the flattened input.  x [B, *D] -> [B, D + K]."""
    return torch.cat([x.flatten(1), code.to(x.dtype)], dim=1)


def waves(x: Tensor, code: Tensor) -> Tensor:
    """A standing wave a label, all over the sample, added to it: any small kernel sees some of it.

    x [B, *D], code [B, K] -> [B, *D]. The waves are the K longest cosines of D (over both sides of
    an image, or along the last dimension of other samples), the constant one aside, so that they
    outlast pooling. What all numbers of a code have in common is left out: a neutral label adds
    nothing. After the spatially extended labels of Scodellaro et al. 2023 (arXiv:2312.14924), whose
    waves are others. Raises BadInput where a sample is too small for K waves.

    >>> x = torch.rand(2, 1, 28, 28)
    >>> torch.equal(waves(x, label_code(torch.tensor([10, 10]), classes=10)), x)
    True
    """
    marks = (code - code.amin(1, keepdim=True)).to(x.dtype)
    return x + (marks @ _cosines(x.device, code.shape[1], *x.shape[1:]).to(x.dtype)).view(x.shape)


@lru_cache(maxsize=32)
def _cosines(device: torch.device, classes: int, *shape: int) -> Tensor:
    """One wave a label, of amplitude 1: cos(pi a (i + 1/2) / H) cos(pi b (j + 1/2) / W).

    In the order of a + b, then of a.  -> [K, prod(D)].
    """
    sides = shape[1:] if len(shape) == 3 else (1, shape[-1])
    times = [range(min(side, classes + 1)) for side in sides]
    pairs = sorted((a + b, a, b) for a in times[0] for b in times[1])[1 : classes + 1]
    if len(pairs) < classes:
        raise BadInput(
            f"samples of {shape} have no room for {classes} waves: append the label instead "
            "(writer=onward.labels.appended)"
        )
    down, across = (torch.pi * (torch.arange(side) + 0.5) / side for side in sides)
    made = [torch.cos(a * down).view(-1, 1) * torch.cos(b * across) for _, a, b in pairs]
    waves = torch.stack(made) if len(shape) == 3 else torch.stack(made)[:, 0]
    missing = [1] * (len(shape) + 1 - waves.dim())
    return (
        waves.view(classes, *missing, *waves.shape[1:])
        .expand(classes, *shape)
        .flatten(1)
        .to(device)
    )


BY_NAME: dict[str, Writer] = {"first": over_first, "appended": appended}
