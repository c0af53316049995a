"""Recurrent Forward-Forward: Hinton 2022, arXiv:2212.13345, section 3.4 (read second-hand).

A still image is a film of identical frames, seen by cells that each answer to the one below and the
one above, as both were a step before (``sweep.py``). The image stands below the first cell, the
label above the last one, in the image of neither. Each cell learns alone, by the logistic loss of
Forward-Forward, at every iteration that ``sweep.learned`` has,

    L_i(t) = 1/2 mean softplus((theta - g_i+(t)) / T)  +  1/2 mean softplus((g_i-(t) - theta) / T)

where all but its own weights are given: states carry no gradient from step to step. Goodness then
says how well what comes from above agrees with what comes from below. When every label is tried,
a cell speaks for it by the mean of its goodness over the iterations of ``sweep.judged``.

The pass from below with which states begin knows no label. It is a forward pass that has to be made
anyway, so the linear readout reads that one, and hard negatives are drawn from its softmax: no row
is run for them alone, and positives and negatives begin at the same states.

Departs from the paper: where it leaves a choice (tied matrices or not, normalised apart or
together, which iterations learn, goodness before or after damping, learning rate), decision FF-A15
and trials of ours stand in for it (docs/recurrent.md).

B = samples, S = 2 streams (positive, negative), K = classes.
"""

from dataclasses import dataclass

from torch import Tensor

from ..labels import label_code
from ..sweep import Sweep
from .forward_forward import ForwardForward

_PAPER = Sweep()


@dataclass(frozen=True)
class RecurrentForwardForward(ForwardForward):
    """Forward-Forward with the label above the cells, each of them a ``Recurrent``.

    ``sweep`` has the iterations. The rest is :class:`ForwardForward`'s, but that no label is
    written into a sample: ``writer`` has no part in it.

    >>> algorithm = RecurrentForwardForward(classes=3)
    >>> algorithm.top(Tensor([2, 0]).long()).tolist(), algorithm.sweep.judged
    ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], (3, 5))
    """

    sweep: Sweep = _PAPER

    def view(self, x: Tensor, which: Tensor) -> Tensor:
        """The sample as it is: labels stand above the row."""
        return x

    def top(self, which: Tensor) -> Tensor:
        """The code of each label.  which [B] -> [B, K]."""
        return label_code(which, self.classes, self.label_value)
