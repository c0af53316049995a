"""A decoder for any piece of a network, from the shapes of what enters and leaves it.

    maps [M, h, w] -> an image [C, H, W]     maps enlarged by nearest neighbour, one convolution
    rows [T, M]    -> as many rows [T, D]    one product, the same for every row
    anything else                            one product of all numbers with all numbers

A single layer each, so that what is restored must lie in the latent nearly as it is. The kernel is
2 s + 1 wide, where s is how many times the maps are enlarged: each place is restored from the
latent's places around it. Maps of a single place tell nothing of where, and take the product.

B = samples, M = maps or features of the latent.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Generator, Tensor, nn

from .reconstruction import uniform_
from .upsampling import convolve_enlarged


class Decoder(nn.Module):
    """z [B, *latent], in any shape of as many numbers -> r [B, *restores], on any scale.

    Weights and biases are uniform within 1/sqrt(fan-in), drawn from ``rng``.

    >>> Decoder((16, 5, 5), (6, 14, 14))(torch.rand(2, 400)).shape
    torch.Size([2, 6, 14, 14])
    """

    def __init__(
        self, latent: Sequence[int], restores: Sequence[int], rng: Generator | None = None
    ):
        super().__init__()
        self.latent, self.restores = tuple(latent), tuple(restores)
        self.layer: nn.Linear | nn.Conv2d
        self.each = 1  # how many of the latent's dimensions a product takes, the last ones
        if len(self.latent) == len(self.restores) == 3 and prod(self.latent[1:]) > 1:
            sizes = zip(self.restores[1:], self.latent[1:], strict=True)
            times = max(-(-large // small) for large, small in sizes)
            self.layer = nn.Conv2d(self.latent[0], self.restores[0], 2 * times + 1, padding=times)
        elif len(self.latent) == len(self.restores) == 2 and self.latent[0] == self.restores[0]:
            self.layer = nn.Linear(self.latent[1], self.restores[1])
        else:
            self.each = len(self.latent)
            self.layer = nn.Linear(prod(self.latent), prod(self.restores))
        uniform_(self.layer, rng)

    def forward(self, z: Tensor) -> Tensor:
        """What is restored of each latent."""
        z = z.reshape(len(z), *self.latent)
        if isinstance(self.layer, nn.Conv2d):
            size = list(self.restores[1:])
            return convolve_enlarged(z, self.layer.weight, self.layer.bias, size)
        r = self.layer(z.flatten(-self.each))
        return torch.as_tensor(r).reshape(len(z), *self.restores)
