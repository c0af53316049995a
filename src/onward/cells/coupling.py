"""How much a cell counts what others tell it, learned.  hint [J, R] -> gamma [R].

    gamma = sum_j gamma_j hint_j,   gamma_j = sigmoid(a_j) in (0, 1)

A-CFF of NetworkFF (Beigzad 2025, arXiv:2512.17531), whose formulas are not known here; the form is
ours. It is bounded, because L falls as gamma_j grows wherever cell j is right already: between
plain Forward-Forward (0) and all of the others' goodness (1). Every a_j starts at 0, so gamma_j at
1/2. It learns by its cell's optimiser; AdamW, whose steps do not grow with the goodness, suits it.

J = cells listened to, R = rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Coupling(nn.Module):
    """Learnable weights of what the cells ``hears``, by position in the row, tell.

    >>> Coupling([0, 2])(torch.tensor([[2.0, 0.0], [4.0, 6.0]])).tolist()
    [3.0, 3.0]
    """

    def __init__(self, hears: Sequence[int]):
        super().__init__()
        self.hears = tuple(hears)
        self.a = nn.Parameter(torch.zeros(len(self.hears)))

    def forward(self, hint: Tensor) -> Tensor:
        """The weighted sum.  hint [J, R] -> [R]."""
        return torch.sigmoid(self.a).to(hint.dtype) @ hint

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """gamma_j by the position of the cell it belongs to, for a curve in the record."""
        weights = torch.sigmoid(self.a).tolist()
        return {f"gamma_{j}": weight for j, weight in zip(self.hears, weights, strict=True)}
