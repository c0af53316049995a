"""What a check says: the promises it found kept, or the one that is broken."""

import torch
from torch import Tensor

Promises = list[str]


class BrokenPromise(AssertionError):
    """A part does not keep what the library promises of it."""


def promise(kept: bool, told: str) -> None:
    """Raise BrokenPromise, as ``told``, where it was not kept."""
    if not kept:
        raise BrokenPromise(told)


def close(came: Tensor, wanted: Tensor, told: str) -> None:
    """Raise BrokenPromise, as ``told``, where two tensors are not the same to rounding."""
    if not torch.allclose(came, wanted, rtol=1e-4, atol=1e-5):
        worst = float((came - wanted).abs().max())
        raise BrokenPromise(f"{told}; the largest difference is {worst:.3g}")
