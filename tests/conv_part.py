"""A third party's part in one file: a convolutional cell and a goodness of its own.

Nothing here is known to the package. ``conv_part:cell`` and ``conv_part:loudest`` can be handed to
``onward check`` by those names.

B = samples, C = channels, F = all outputs of a sample.
"""

import torch
from torch import Tensor, nn


def over_channels(x: Tensor) -> Tensor:
    """Each place scaled to RMS 1 over its channels.  x [B, C, H, W] -> the same shape."""
    return x / (1e-8 + x.square().mean(1, keepdim=True).sqrt())


class Conv(nn.Module):
    """3 x 3, stride 2: x [B, C, H, W] -> h [B, C', H/2, W/2], >= 0."""

    def __init__(self, channels: int, outputs: int, seed: int = 0):
        super().__init__()
        self.normalise = over_channels
        self.kernel = nn.Conv2d(channels, outputs, 3, stride=2, padding=1)
        rng = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.kernel.weight, std=(9 * channels) ** -0.5, generator=rng)
        self.kernel.bias.data.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.kernel(self.normalise(x)))


def loudest(h: Tensor) -> Tensor:
    """g = sum of the squares of a sample's five most active units.  h [B, *F] -> [B]."""
    return h.flatten(1).topk(5, dim=1).values.square().sum(1)


cell = Conv(1, 4)
