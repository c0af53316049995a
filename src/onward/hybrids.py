"""Hybrid images: negatives made of two images each.  x [B, *D] -> [B, *D].

Hinton 2022, section 3.2. With x and x' two different images of the batch and m a mask of bits,

    hybrid = m x + (1 - m) x'
    m      = [ K u K'^T > 1/2 ],   K = k^n, K' = k'^n,   u random bits, even odds

k [H, H] blurs a column once with (1/4, 1/2, 1/4), k' [W, W] a row; n blurs both ways are two small
products, whatever n is. The mask has patches of about a stroke's width: what lies close together
comes from one image, what lies far apart does not, so that only long-range shape tells a hybrid
from an image.

What lies beyond the border is decided by ``padding``: "edge" repeats the outermost bit, "reflect"
mirrors the bits without it, "zero" is empty. With "zero" the blurred bits sink below 1/2 towards
the border, and x' has it almost to itself; the others leave even odds everywhere.

Departs from the paper: accounts of it give neither the number of blurs nor what is done at the
border, nor how x' is drawn (decision FF-A13); here it is any other image of the batch, uniformly,
whatever its class. Where blurred bits are exactly 1/2, which is likely after one or two blurs only,
x' is taken.

B = samples, H, W = rows and columns. Samples without rows and columns, [B, D], are taken for
sequences, and blurred along them.
"""

from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from .errors import BadInput, nearest

Padding = Literal["edge", "reflect", "zero"]


def hybrids(x: Tensor, rng: Generator, blurs: int = 6, padding: Padding = "edge") -> Tensor:
    """Each image mixed with another one of the batch, by a mask of its own.  x [B, *D] -> [B, *D].

    Raises BadInput for a batch of one.

    >>> mixed = hybrids(torch.eye(3)[:, None, :, None].expand(3, 1, 3, 5), torch.Generator())
    >>> mixed.shape
    torch.Size([3, 1, 3, 5])
    """
    other = x[partners(len(x), rng).to(x.device)]
    return torch.where(masks(x, rng, blurs, padding).to(x.device), x, other)


def partners(count: int, rng: Generator) -> Tensor:
    """For every sample the number of another one, each of the others as likely.  -> [B]."""
    if count < 2:
        raise BadInput(
            f"a hybrid is made of two images of a batch, and this one has {count}: take a batch "
            "size that leaves no image alone at an epoch's end"
        )
    far = torch.randint(1, count, (count,), generator=rng, device=rng.device)
    return (torch.arange(count, device=rng.device) + far) % count


def masks(x: Tensor, rng: Generator, blurs: int = 6, padding: Padding = "edge") -> Tensor:
    """A fresh mask for every sample, to be laid over x [B, *D].  -> bool, [B, 1, H, W] or [B, W].

    Made where ``rng`` is. True is x.
    """
    wide = x.shape[-1]
    high = x.shape[-2] if x.dim() > 2 else 1
    # In fp32 whatever the cells compute in: up to six blurs, sums of bits are exact.
    with torch.autocast(rng.device.type, enabled=False):
        bits = torch.rand(len(x), high, wide, generator=rng, device=rng.device).round_()
        field = bits @ blur(wide, blurs, padding, rng.device).T
        if x.dim() > 2:
            field = blur(high, blurs, padding, rng.device) @ field
    shape = [len(x), *[1] * (x.dim() - 3), high, wide] if x.dim() > 2 else [len(x), wide]
    return (field > 0.5).view(shape)


@lru_cache(maxsize=32)
def blur(size: int, blurs: int, padding: Padding, device: torch.device) -> Tensor:
    """K = k^n: what ``blurs`` blurs with (1/4, 1/2, 1/4) make of ``size`` numbers.  [S, S].

    >>> blur(3, 1, "edge", torch.device("cpu"))
    tensor([[0.7500, 0.2500, 0.0000],
            [0.2500, 0.5000, 0.2500],
            [0.0000, 0.2500, 0.7500]])
    """
    if blurs < 0:
        raise BadInput(f"blurs should be 0 or more, and is {blurs}")
    if padding not in get_args(Padding):
        raise BadInput(f"padding can't be {padding!r}: {nearest(padding, get_args(Padding))}")
    last = size - 1
    before, after = {  # what is beyond the borders; `size` is a row of zeros behind the others
        "edge": (0, last),
        "reflect": (min(1, last), max(last - 1, 0)),
        "zero": (size, size),
    }[padding]
    ones_up, ones_down = [before, *range(last)], [*range(1, size), after]
    matrix, empty = torch.eye(size, dtype=torch.float64), torch.zeros(1, size, dtype=torch.float64)
    for _ in range(blurs):
        whole = torch.cat([matrix, empty])
        matrix = 0.5 * matrix + 0.25 * (whole[ones_up] + whole[ones_down])
    return matrix.float().to(device)
