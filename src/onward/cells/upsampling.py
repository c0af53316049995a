"""A convolution of maps that were enlarged by nearest neighbour, on the maps as they are.

Enlarged p times, a map has p x p equal numbers in place of each one, so that a kernel laid on it
multiplies the same number by several weights. Their sum is taken first. With a, b < p the place
within such a block, R = ceil((k // 2) / p) and the window u - k//2 of the kernel w,

    r[p i + a, p j + b]  =  sum_{U, V = -R..R}  w'_ab[U, V] z[i + U, j + V]
    w'_ab[U, V]          =  sum of w[u, v] where (a + u - k//2) // p = U, (b + v - k//2) // p = V

which is one convolution to p^2 times as many maps, and the blocks put together. It has
(2R + 1)^2 / k^2 of the products (9/25 for k = 5 and p = 2) and nothing of the enlarged size but its
result; rounding aside, the numbers are the same. Zeros around stay zeros around: p numbers past the
edge are one.

B = samples, M = maps, H, W = their size, C = maps of the result, k = kernel (odd), p = times.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pixel_shuffle


def convolve_enlarged(z: Tensor, weight: Tensor, bias: Tensor | None, size: list[int]) -> Tensor:
    """z [B, M, H, W] enlarged to ``size`` and convolved, zeros around.  -> [B, C, *size].

    weight [C, M, k, k], bias [C], size [2]. Where it is not a whole multiple of H x W, the same
    for both, the maps are enlarged first.
    """
    times = size[0] // z.shape[2]
    if [times * n for n in z.shape[2:]] != list(size):
        return conv2d(interpolate(z, size=size), weight, bias, padding=weight.shape[-1] // 2)
    spread = _spread(weight.shape[-1], times, weight.device).to(weight.dtype)
    reach = spread.shape[1] // 2
    merged = torch.einsum("aUu,bVv,cmuv->cabmUV", spread, spread, weight)
    merged = merged.reshape(-1, weight.shape[1], 2 * reach + 1, 2 * reach + 1)
    if z.is_contiguous(memory_format=torch.channels_last):
        merged = merged.contiguous(memory_format=torch.channels_last)
    answer = pixel_shuffle(conv2d(z, merged, padding=reach), times)
    return answer if bias is None else answer + bias[:, None, None]


@lru_cache(maxsize=64)
def _spread(kernel: int, times: int, device: torch.device) -> Tensor:
    """1 where window u of the kernel falls on number U of the maps.  -> [p, 2R + 1, k]."""
    half = kernel // 2
    reach = math.ceil(half / times)
    falls = torch.zeros(times, 2 * reach + 1, kernel)
    for a in range(times):
        for u in range(kernel):
            falls[a, (a + u - half) // times + reach, u] = 1
    return falls.to(device)  # kept there: a recorded step fetches nothing from the host
