"""A small collaborative Forward-Forward, as someone outside the package would write it.

Each cell is told the goodness of the other cells on the very same row, detached, and adds it to its
own before the logistic: p = sigmoid((g + gamma - theta) / T), gamma = sum over the others of g.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from onward.algorithms import ForwardForward
from onward.local import Streams


@dataclass(frozen=True)
class Collaborative(ForwardForward):
    """Every cell listens to all others."""

    hints: ClassVar[Literal["none", "earlier", "all"]] = "all"

    def tell(self, outs: Streams) -> Tensor:
        return self.goodness(outs.rows).detach()

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        gamma = torch.zeros(()) if hint is None else hint.sum(0)
        logit = (self.goodness(outs.rows) + gamma - self.threshold(outs.rows)) / self.temperature
        positive, negative = logit.chunk(2)
        yield "cell", 0.5 * (softplus(-positive).mean() + softplus(negative).mean())


@dataclass(frozen=True)
class CollaborativeUpwards(Collaborative):
    """Every cell listens to the cells before it only."""

    hints: ClassVar[Literal["none", "earlier", "all"]] = "earlier"
