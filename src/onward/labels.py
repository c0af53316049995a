"""Writing a label into an input.  x [B, *D], code [B, K] -> rows [B, *D'].

A *code* is the K numbers that stand for a label: ``value`` at the label's place and 0 elsewhere,
or, for the neutral code, ``value / K`` everywhere (Hinton 2022, section 3.3: ten values of 0.1).
A *writer* puts a code into an input: over its first K numbers, or behind them.

B = samples, D = input shape, K = classes.
"""

from collections.abc import Callable

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


BY_NAME: dict[str, Writer] = {"first": over_first, "appended": appended}
