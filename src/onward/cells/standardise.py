"""Standardisation of samples by the training set's own mean and spread.  x [B, *D] -> [B, *D].

What enters the first cell of a row may want it; the numbers belong to that cell and are saved with
it, so that a trained row takes samples as they come.
"""

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """(x - mean) / spread, of each channel of images [B, C, H, W], of each feature of rows [B, D].

    ``samples`` [N, *D] are the training samples. What never varies there is only centred.
    """

    keeps_scale = True
    """A sample twice as large stays so, unlike with a length normalisation."""

    mean: Tensor
    spread: Tensor

    def __init__(self, samples: Tensor):
        super().__init__()
        over = [d for d in range(samples.dim()) if d != 1]
        spread = samples.std(over, correction=0, keepdim=True)
        self.register_buffer("mean", samples.mean(over, keepdim=True))
        self.register_buffer("spread", torch.where(spread > 0, spread, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, *D] of the training samples' shape."""
        return (x - self.mean) / self.spread
