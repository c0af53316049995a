"""Tasks: how a readout's outputs become a loss that trains it, and an error that is reported.

    classify   K scores o a sample      loss: cross-entropy               error: share wrong
    regress    one number o a sample    loss: mean (o - (y - m) / s)^2    error: 1 - R^2

where m and s are mean and spread of the training targets, p = m + s o is the answer in their own
units, and 1 - R^2 = sum (y - p)^2 / sum (y - mean y)^2 over a split: the share of its variance that
is left unexplained. 0 is perfect, 1 what guessing the split's mean would give, and worse is above.

N = samples, K = outputs of the readout (the data's classes; 1 where they are numbers).
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

Target = Literal["classes", "numbers"]

WRONG = "share wrong"
"""What an error is where nothing else is said."""


class Task(nn.Module, ABC):
    """What a readout is to answer. A module, so that what it knows of the data is saved with it.

    Smaller is better for both ``loss`` and ``error``; 0 is the best error, and about 1 that of an
    answer that ignores the sample, so that records and reports can show any task's in percent.
    """

    target: ClassVar[Target]
    """What y holds: class numbers [N] int64, or numbers [N] float32."""
    measure: ClassVar[str]
    """What the error is, in a few words."""

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """A mean over samples, with a gradient.  outputs [N, K], y [N] -> []."""

    @abstractmethod
    def error(self, outputs: Tensor, y: Tensor) -> float | None:
        """The error on a whole split.  outputs [N, K], y [N]; None where there is none."""

    @abstractmethod
    def answer(self, outputs: Tensor) -> Tensor:
        """What is said of each sample, as y says it.  outputs [N, K] -> [N]."""


class Classify(Task):
    """One of K classes: the largest output wins.

    >>> Classify().error(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))
    0.5
    """

    target = "classes"
    measure = WRONG

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy of a softmax, in nats.  outputs [N, K], y [N] -> []."""
        return cross_entropy(outputs, y)

    def error(self, outputs: Tensor, y: Tensor) -> float | None:
        """The share of samples answered wrongly, 0 to 1."""
        return float((self.answer(outputs) != y).double().mean())

    def answer(self, outputs: Tensor) -> Tensor:
        """Class numbers.  outputs [N, K] -> [N] int64."""
        return outputs.argmax(1)


class Regress(Task):
    """A number in the units of ``y`` [N], the training targets, whose mean and spread are kept.

    The readout's output is a standardised number, so that learning rates mean the same whatever
    the units; targets that never vary are only centred.

    >>> task = Regress(torch.tensor([100.0, 300.0]))
    >>> task.answer(torch.tensor([[0.0], [1.0]]))
    tensor([200., 300.])
    """

    target = "numbers"
    measure = "1 - R2"
    mean: Tensor
    spread: Tensor

    def __init__(self, y: Tensor):
        super().__init__()
        wide = y.double()
        spread = wide.std(correction=0)
        self.register_buffer("mean", wide.mean().float())
        self.register_buffer("spread", torch.where(spread > 0, spread, 1.0).float())

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean squared error of the standardised number.  outputs [N, 1], y [N] -> []."""
        return mse_loss(outputs[:, 0], (y - self.mean) / self.spread)

    def error(self, outputs: Tensor, y: Tensor) -> float | None:
        """1 - R^2, 0 or more; None where y does not vary."""
        wanted = y.double()
        around = (wanted - wanted.mean()).square().sum()
        left = (wanted - self.answer(outputs.double())).square().sum()
        return float(left / around) if around > 0 else None

    def answer(self, outputs: Tensor) -> Tensor:
        """Numbers in the targets' own units.  outputs [N, 1] -> [N]."""
        # As plain numbers: outputs may have left the device that the buffers are on.
        return outputs[:, 0] * float(self.spread) + float(self.mean)


def suited(target: Target, y: Tensor) -> Task:
    """The task for data whose y holds ``target``; ``y`` [N] are its training targets."""
    return Regress(y) if target == "numbers" else Classify()
