"""What a Forward-Forward cell makes small.  goodness g [2B] of all rows, positives first -> scalar.

With g+ and g- the goodness of positives and negatives, theta a threshold and T a temperature,

    logistic    1/2 mean softplus((theta - g+) / T)  +  1/2 mean softplus((g- - theta) / T)
    symba       m mean softplus(u),       u = (g- - g+) / m,  m = T |theta|
    swish       m mean u sigmoid(u),      of the same u

The logistic is Hinton's (2022, arXiv:2212.13345, section 2). Under a fixed theta its halves pull
unevenly while most rows lie on one side. SymBa (Lee and Song 2023, arXiv:2303.08418) compares a
positive with the negative of the same sample instead. Swish has u sigmoid(u) for the softplus, and
a pair far apart on the right side is let go (explore_forward_forward by dah33, a
reimplementation).

Pairs need no threshold, but a measure for *far*: the margin m is a share T of theta, which is the
goodness of a cell whose units are all 1 where none is given. On a mean of squares that is T itself,
and the sources' alpha is 1 / T (4 and 6 there). A tenth is a good margin on images (docs/log.md).

An objective is any function of these arguments. Those here have their slopes beside them, for steps
in closed form.

Departs from the sources: m stands before the means, so that a pair the wrong way round has the same
slope under every margin, and rates, decay and peers need not change with it.

B = samples.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

Objective = Callable[[Tensor, float, float], Tensor]
"""(g [2B], theta, T) -> the loss."""

Slope = Callable[[Tensor, float, float, float], tuple[Tensor, Tensor]]
"""(g [2B], theta, T, a) -> (the loss, a times its derivative by g [2B])."""


def logistic(g: Tensor, theta: float, temperature: float) -> Tensor:
    """Each row against the threshold.

    >>> logistic(torch.tensor([2.0, 2.0]), 2.0, 1.0)  # both at the threshold: log 2
    tensor(0.6931)
    """
    g_pos, g_neg = g.chunk(2)
    return half_logistic(g_pos, theta, temperature, True) + half_logistic(
        g_neg, theta, temperature, False
    )


def half_logistic(g: Tensor, theta: float, temperature: float, positive: bool) -> Tensor:
    """The part of :func:`logistic` that is about positives, or about negatives.  g [B]."""
    u = theta - g if positive else g - theta
    return 0.5 * softplus(u / temperature).mean()


def symba(g: Tensor, theta: float, temperature: float) -> Tensor:
    """Each positive against the negative of its sample, with a margin of T of ``theta``.

    >>> symba(torch.tensor([7.0, 7.0]), 1.0, 1.0)
    tensor(0.6931)
    """
    u, margin = _behind(g, theta, temperature)
    return margin * softplus(u).mean()


def swish(g: Tensor, theta: float, temperature: float) -> Tensor:
    """As :func:`symba` with u sigmoid(u): -0.28 m at the least, and 0 for a pair far apart."""
    u, margin = _behind(g, theta, temperature)
    return margin * silu(u).mean()


def _behind(g: Tensor, theta: float, temperature: float) -> tuple[Tensor, float]:
    """By how many margins each positive is behind its negative, u [B], and the margin.

    A theta of 0 measures nothing; the margin is T then.
    """
    g_pos, g_neg = g.chunk(2)
    margin = temperature * (abs(theta) or 1.0)
    return (g_neg - g_pos) / margin, margin


def _logistic_slope(
    g: Tensor, theta: float, temperature: float, factor: float
) -> tuple[Tensor, Tensor]:
    u, half = (g - theta) / temperature, len(g) // 2
    u[:half].neg_()
    slope = _sigmoid(u).mul_(factor / (len(g) * temperature))
    slope[:half].neg_()
    return softplus(u).mean(), slope


def _symba_slope(
    g: Tensor, theta: float, temperature: float, factor: float
) -> tuple[Tensor, Tensor]:
    u, margin = _behind(g, theta, temperature)
    return margin * softplus(u).mean(), _of_pairs(_sigmoid(u), factor)


def _swish_slope(
    g: Tensor, theta: float, temperature: float, factor: float
) -> tuple[Tensor, Tensor]:
    u, margin = _behind(g, theta, temperature)
    p = torch.sigmoid(u)
    return margin * (u * p).mean(), _of_pairs(p * (1 + u * (1 - p)), factor)


def _of_pairs(slope: Tensor, factor: float) -> Tensor:
    """The slope of a mean over pairs by g [2B], from that of each pair's part by its u [B]."""
    slope = slope * (factor / len(slope))
    return torch.cat([-slope, slope])


def _sigmoid(u: Tensor) -> Tensor:
    """The slope of torch's softplus, which is straight from 20 on."""
    return torch.sigmoid(u).masked_fill_(u > 20, 1.0)


SLOPES: dict[Objective, Slope] = {
    logistic: _logistic_slope,
    symba: _symba_slope,
    swish: _swish_slope,
}
"""Objectives whose slopes are known."""

BY_NAME: dict[str, Objective] = {"logistic": logistic, "symba": symba, "swish": swish}
"""The names by which recipes choose an objective. Python code passes the function itself."""
