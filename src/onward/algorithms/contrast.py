"""The loss of Forward-Forward: strong on positives, weak on negatives, each cell by itself.

Hinton 2022, arXiv:2212.13345, section 2. With g the goodness of a cell's activities, theta a
threshold, T a temperature and p = sigmoid((g - theta) / T) the cell's belief that a row is real,

    L(cell) = - (1/2N) ( sum_pos log p  +  sum_neg log (1 - p) )
            =   1/2 mean softplus((theta - g_pos) / T)  +  1/2 mean softplus((g_neg - theta) / T)

and, where the cell has one, plus its peer term over the positives. The 1/2 makes the gradient of a
ReLU cell under the sum of squares -(1/N)(1-p) y x_hat: the author's MATLAB, factor for factor.

That is the objective *logistic*; others are in ``objectives.py``. Where positives or negatives come
alone (``phases.py``), their half of the sum is the loss.

What is positive and what is negative says a subclass: labels written into images
(``forward_forward.py``), or images and hybrids of two (``hybrid.py``).

Departs from the paper: nothing known; the paper gives no theta or temperature, so subclasses have
those of the author's MATLAB (theta = number of units, T = 1).

B = samples, N = B, S = 2 streams (positive, negative), F = units.
"""

from abc import ABC
from collections.abc import Iterator
from math import inf
from numbers import Real

import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..goodness import Goodness, natural_threshold
from ..local import Algorithm, Sign, Streams
from ..objectives import Objective, half_logistic, logistic


class Contrast(Algorithm, ABC):
    """Two streams, positives first, and the loss of the file's head.

    ``theta`` in units of goodness, None for :func:`natural_threshold`; ``temperature`` T > 0;
    ``loss`` what a cell makes small (objectives.py).
    """

    goodness: Goodness
    theta: float | None
    temperature: float
    loss: Objective

    def __post_init__(self) -> None:
        """Raises BadInput for a part that is no function, and for numbers that are none."""
        for name in ("goodness", "loss", "negatives", "writer"):
            part = getattr(self, name, None)
            if part is not None and not callable(part):
                raise BadInput(
                    f"{name} should be a function, and is {part!r}: names are for the command line"
                )
        for name, least in (("theta", -inf), ("temperature", 0.0)):
            number = getattr(self, name)
            if name == "theta" and number is None:
                continue
            if not isinstance(number, Real) or not least < float(number) < inf:
                above = "" if least else " above 0"
                raise BadInput(f"{name} should be a number{above}, and is {number!r}")

    @property
    def count(self) -> int:
        """Positives and negatives."""
        return 2

    @property
    def signed(self) -> bool:
        """The logistic loss is a sum over positives and negatives; others weigh them up."""
        return self.loss is logistic

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """The loss of the file's head, and the peer term of a cell that has one."""
        loss = self.judged(self.goodness(outs.rows), self.threshold(outs.rows), outs.sign)
        yield "cell", self.with_peers(loss, cell, ins, outs)

    def judged(self, g: Tensor, theta: float, sign: Sign = "both") -> Tensor:
        """The loss of the goodness g [2B] of all rows, positives first; g [B] of one sign alone."""
        if sign == "both":
            return self.loss(g, theta, self.temperature)
        return half_logistic(g, theta, self.temperature, sign == "positive")

    def with_peers(self, loss: Tensor, cell: nn.Module, ins: Streams, outs: Streams) -> Tensor:
        """A loss plus the peer term of a cell that has one, if there are positives."""
        penalty = getattr(cell, "penalty", None)
        term = (
            None
            if penalty is None or outs.sign == "negative"
            else penalty(ins.split()[0], outs.split()[0])
        )
        return loss if term is None else loss + torch.as_tensor(term)

    def threshold(self, h: Tensor) -> float:
        """theta for a cell that answers h [B, *F]."""
        if self.theta is not None:
            return self.theta
        return natural_threshold(self.goodness, *h.shape[1:])

    def verdict(self, h: Tensor) -> Tensor:
        """The goodness.  h [B, *F] -> [B]."""
        return self.goodness(h)

    def measures(self, outs: Streams) -> dict[str, Tensor]:
        """Mean goodness of positives and of negatives."""
        g_pos, g_neg = self.goodness(outs.rows).chunk(2)
        return {"goodness_positive": g_pos.mean(), "goodness_negative": g_neg.mean()}
