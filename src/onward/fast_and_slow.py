"""A step of known effect: learning fast and slow.  Hinton 2022, arXiv:2212.13345, section 7.

For one input x_hat of a ReLU cell, h = max(0, W x_hat + b), the gradient of any function of the
sum of squares S = sum_j h_j^2 is, unit by unit, a common factor times h_j x_hat. So is this step,

    W <- W + eps h x_hat^T,   b <- b + eps h        h' = (1 + eps (|x_hat|^2 + 1)) h

which makes all activities of that input larger or smaller alike. Whatever is length-normalised
behind them stays as it was, so that every cell of a row can take its step on the same input at the
same time, without waiting for the one before. And S can be brought to any wanted S* > 0 at once:

    eps = (sqrt(S* / S) - 1) / (|x_hat|^2 + 1)

The 1 is the bias, one more input of value 1; without a bias and with inputs of length 1 this is the
paper's sqrt(S*/S) - 1 (second-hand). Silent units stay silent, and so does an input to which all
are: nothing of its direction is in h.

Departs from the paper: nothing known. Its experiments do not use this, nor do the recipes here.

B = samples, D = input shape, F = units.
"""

import torch
from torch import Tensor

from .cells import Dense
from .errors import BadInput


@torch.no_grad()
def reach(cell: Dense, x: Tensor, wanted: float | Tensor) -> Tensor:
    """Bring the sum of squares of a cell's answer to each sample to what is wanted.

    Samples x [B, *D] come one after another, as online learning has it: each is exact when it is
    its turn, and later ones may move earlier ones. ``wanted`` is one number above 0, or [B] of
    them. Changes the cell; returns eps [B], 0 where the cell answers nothing at all.
    Raises BadInput for other cells, shapes and goals.

    >>> cell, x = Dense(6, 20, rng=torch.Generator().manual_seed(0)), torch.rand(1, 6)
    >>> _ = reach(cell, x, wanted=30.0)
    >>> round(cell(x).square().sum().item(), 3)
    30.0
    """
    if not isinstance(cell, Dense):
        raise BadInput(f"reach moves a Dense cell, and a {type(cell).__name__} came")
    if x.dim() < 2 or x[0].numel() != cell.inputs:
        raise BadInput(f"x should be [B, {cell.inputs}], and is {list(x.shape)}")
    goals = torch.as_tensor(wanted, dtype=x.dtype, device=x.device).expand(len(x))
    if not bool((goals > 0).all() and torch.isfinite(goals).all()):
        raise BadInput(f"the sum of squares that is wanted should be above 0, and is {wanted}")
    weight, bias = cell.linear.weight, cell.linear.bias
    steps = []
    for sample, goal in zip(x[:, None], goals, strict=True):
        seen, h = cell.normalise(sample.flatten(1))[0], cell(sample)[0]  # [D], [F]
        now = h.square().sum()
        eps = ((goal / now).sqrt() - 1) / (seen.square().sum() + 1) if now > 0 else goal * 0
        weight.addr_(h, seen, alpha=float(eps))
        bias.add_(h, alpha=float(eps))
        steps.append(eps)
    return torch.stack(steps)
