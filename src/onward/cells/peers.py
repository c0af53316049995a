"""Peer normalisation, in the form of the author's MATLAB: units of a cell are kept similarly busy.

A running mean m_j of each unit's activity over *positive* rows; the loss gains

    lambda * (1/N) sum_n sum_j (m_j - mean_k m_k) z_nj        N positives, m held fixed

with z the drive (what the unit receives before its ReLU). The gradient reaches a unit even while
it is off, so a dead unit can come back (Hinton 2022, section 3; digest FF 1.5).

The push (m_j - mean m) is the same for every positive row, so the term needs only the mean drive,
and because a drive is linear in the cell's input that is the drive of the mean input: one row.

N = positive rows, F = units.
"""

import torch
from torch import Tensor, nn


class PeerNorm(nn.Module):
    """The running means of a cell's F units, and the loss term they make.

    ``strength`` is lambda, >= 0, in goodness per drive (0.03 in the author's code; that value is
    not portable to forms that average over units). The means start at ``start`` and keep ``decay``
    of themselves at each step. They are a buffer: saved, loaded and moved with the cell.
    """

    means: Tensor

    def __init__(
        self, features: int, strength: float = 0.03, decay: float = 0.9, start: float = 0.5
    ):
        super().__init__()
        self.strength, self.decay = strength, decay
        self.register_buffer("means", torch.full((features,), start))

    def forward(self, h: Tensor, drive: Tensor) -> Tensor:
        """h [N, F] of the positives, drive [F] or [1, F] their mean drive -> a scalar loss."""
        return self.strength * (self.push(h) * drive).sum()

    @torch.no_grad()
    def push(self, h: Tensor) -> Tensor:
        """m_j - mean m [F], from running means that h [N, F] has moved: first moved, then used."""
        self.means.lerp_(h.to(self.means.dtype).mean(0), 1 - self.decay)
        return self.means - self.means.mean()
