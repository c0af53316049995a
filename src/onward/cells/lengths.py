"""Length normalisation: what is left of an activity vector when its length is taken away.

The length was the goodness of the cell below; only the direction goes on, or the next cell could
copy that verdict (Hinton 2022, section 2.1). No mean is subtracted and nothing is learned.

Departs from the author's code: the small number in the denominator is 1e-8, not exp(-100), which
fp32 can only hold as a denormal.

x [B, *D] -> [B, *D]; the length is taken over everything but B, in fp32 or wider.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Normalise = Callable[[Tensor], Tensor]

TINY = 1e-8


def rms(x: Tensor) -> Tensor:
    """Scaled to a root mean square of 1: x / (tiny + sqrt(mean_j x_j^2)).

    >>> rms(torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
    tensor([[2., 0., 0., 0.]])
    """
    flat = x.flatten(1)
    length = _length(flat)
    scale: Tensor = length * flat.shape[1] ** -0.5 + TINY
    return (flat / scale).view(x.shape)


def l2(x: Tensor) -> Tensor:
    """Scaled to Euclidean length 1.

    Pre-activations are then sqrt(fan-in) smaller than with :func:`rms`, and the natural threshold
    of a sum of squares is out of reach: take a smaller one.
    """
    flat = x.flatten(1)
    length = _length(flat)
    return (flat / (length + TINY)).view(x.shape)


def _length(flat: Tensor) -> Tensor:
    wide = torch.promote_types(flat.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True, dtype=wide)
    return length


def unchanged(x: Tensor) -> Tensor:
    """No normalisation."""
    return x


BY_NAME: dict[str, Normalise] = {"rms": rms, "l2": l2, "none": unchanged}
