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
    """A wave a label, all over the sample, added to it: small kernels see it wherever they look.

    x [B, *D], code [B, K] -> [B, *D]. For images the K waves run in K directions; elsewhere they
    have K lengths along the last dimension. What all numbers of a code have in common is left out,
    so that a neutral label adds nothing. After the spatially extended labels of Scodellaro et al.
    2023, arXiv:2312.14924; amplitude and lengths are ours.

    >>> x = torch.rand(2, 1, 28, 28)
    >>> torch.equal(waves(x, label_code(torch.tensor([10, 10]), classes=10)), x)
    True
    """
    marks = (code - code.amin(1, keepdim=True)).to(x.dtype)
    return x + (marks @ _waves(code.shape[1], *x.shape[1:]).to(x)).view(x.shape)


@lru_cache(maxsize=32)
def _waves(classes: int, *shape: int) -> Tensor:
    """One wave a label, of amplitude 1.  -> [K, prod(D)]."""
    labels = torch.arange(classes).view(-1, 1, 1)
    if len(shape) == 3:
        along = torch.pi * labels / classes  # the direction it runs in
        down, across = torch.arange(shape[1]).view(-1, 1), torch.arange(shape[2])
        phase = 2 * torch.pi / 4 * (down * torch.sin(along) + across * torch.cos(along))
    else:
        phase = torch.pi * (labels + 1) * torch.arange(shape[-1]) / (classes + 1)
    wave = torch.cos(phase)  # [K, H, W], or [K, 1, D]
    own = wave.shape[1:] if len(shape) == 3 else wave.shape[2:]
    missing = [1] * (len(shape) - len(own))
    return wave.view(classes, *missing, *own).expand(classes, *shape).flatten(1)


BY_NAME: dict[str, Writer] = {"first": over_first, "appended": appended}
