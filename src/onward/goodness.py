"""Goodness: how strongly a cell responds to a sample.  h [B, *F] -> g [B].

A goodness is any function of that shape; nothing is registered. It must treat every sample by
itself (no statistics over the batch). Sources: Hinton 2022, arXiv:2212.13345, sections 2.1, 3, 4
and 8 (sum of squares, its negative, unsquared); mean of squares and top-k are later variants.

B = samples, F = units of the cell. Sums of bf16 activities are taken in fp32.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

Goodness = Callable[[Tensor], Tensor]


def sum_of_squares(h: Tensor) -> Tensor:
    """g = sum_j h_j^2, the paper's goodness.  h [B, *F] -> [B], range [0, inf).

    >>> sum_of_squares(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([5., 9.])
    """
    return _wide(h).square().sum(1)


def mean_of_squares(h: Tensor) -> Tensor:
    """g = (1/F) sum_j h_j^2.  h [B, *F] -> [B], range [0, inf).

    With temperature 1/F and threshold theta/F this is :func:`sum_of_squares` with temperature 1
    and threshold theta; with temperature 1 its decisions are F times softer.
    """
    return _wide(h).square().mean(1)


def sum_of_activities(h: Tensor) -> Tensor:
    """g = sum_j h_j, unsquared; the paper uses it low on positives: ``negative(...)``."""
    return _wide(h).sum(1)


def top_k(h: Tensor, k: int = 15) -> Tensor:
    """g = mean of the squares of the k most active units (all, if there are fewer)."""
    flat = _wide(h)
    return flat.topk(min(k, flat.shape[1]), dim=1).values.square().mean(1)


def _wide(h: Tensor) -> Tensor:
    flat = h.flatten(1)
    return flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat


def negative(goodness: Goodness) -> Goodness:
    """Minus another goodness: the cell learns to be quiet on positives, loud on negatives.

    >>> negative(mean_of_squares)(torch.tensor([[1.0, 3.0]]))
    tensor([-5.])
    """
    return partial(_minus, goodness)


def _minus(goodness: Goodness, h: Tensor) -> Tensor:
    return -goodness(h)


def power(goodness: Goodness, units: int) -> tuple[int, float] | None:
    """(p, a) of a goodness that is a sum of powers, or None for any other.

    g = a sum_j h_j^p over F = ``units`` activities, so dg/dh_j = a p h_j^(p-1).

    >>> power(negative(mean_of_squares), units=4), power(top_k, units=4)
    ((2, -0.25), None)
    """
    sign = 1.0
    while isinstance(goodness, partial) and goodness.func is _minus:
        sign, goodness = -sign, goodness.args[0]
    if goodness is mean_of_squares:
        return 2, sign / units
    if goodness is sum_of_squares:
        return 2, sign
    return (1, sign) if goodness is sum_of_activities else None


@lru_cache(maxsize=256)
def natural_threshold(goodness: Goodness, *features: int) -> float:
    """The goodness of a cell of F units that are all 1: the threshold used where none is given.

    For the sum of squares that is the number of units, as in the author's code; for the mean of
    squares 1; for a negative goodness it is negative, so that p = sigmoid(theta - squares).

    >>> natural_threshold(sum_of_squares, 1000), natural_threshold(negative(mean_of_squares), 1000)
    (1000.0, -1.0)
    """
    return float(goodness(torch.ones(1, *features))[0])


BY_NAME: dict[str, Goodness] = {
    "sum_of_squares": sum_of_squares,
    "mean_of_squares": mean_of_squares,
    "negative_sum_of_squares": negative(sum_of_squares),
    "negative_mean_of_squares": negative(mean_of_squares),
    "sum_of_activities": sum_of_activities,
    "negative_sum_of_activities": negative(sum_of_activities),
    "top_k": top_k,
}
"""The names by which recipes choose a goodness. Python code passes the function itself."""
