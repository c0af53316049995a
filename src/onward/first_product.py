"""One first product for all streams of a batch, since a label touches few numbers of an input.

Labels touch K numbers of an input, the *code*; all else, the *bare* sample, is the same in every
stream. With x = bare + code (0 of the one where the other stands) and V [F, K] the columns of the
first cell's weights W [F, D] that stand at the code:

    x W^T   = bare W^T + code V^T               one product [B, D] x [D, F] for neutral, positive
                                                and negative rows, and [R, K] x [K, F] for each
    |x|^2   = |bare|^2 + |code|^2
    dL/dW   = (s d_pos + s d_neg)^T bare        one product [F, B] x [B, D]
    dL/dV  += (s d)^T code                      [F, R] x [R, K]

(s and d as in ``closed.py``, s of each stream its own.) Of 3 forward and 2 backward products of the
first cell 1 and 1 are left; and where every label is tried, 1 of K.

B = samples, R = rows of the streams asked for, K = classes, D = the first cell's inputs, F = units.
"""

import torch
from torch import Tensor

from .algorithms import ForwardForward
from .cells import Dense
from .closed import Rows, Scratch, accumulate, inverse_length, multiply
from .labels import appended, label_code
from .local import Station
from .precision import narrow


def bare(x: Tensor, index: Tensor, algorithm: ForwardForward, scratch: Scratch) -> Tensor:
    """Samples index [B] of x [N, D], flat, with zeros where the code stands.  -> [B, D]."""
    width, classes = x.shape[1], algorithm.classes
    room = classes if algorithm.writer is appended else 0
    found = scratch.rows("bare", len(index), width + room, x)
    if room:
        torch.index_select(x, 0, index, out=found[:, :width])
    else:
        torch.index_select(x, 0, index, out=found)
        found[:, :classes].zero_()
    return found


class Batch:
    """What the streams of one batch share: the first cell's product with bare [B, D]."""

    def __init__(self, station: Station, algorithm: ForwardForward, bare: Tensor, scratch: Scratch):
        assert isinstance(station.cell, Dense)
        self.cell, self.bare, self.scratch = station.cell, narrow(bare), scratch
        weight, classes, width = self.cell.linear.weight, algorithm.classes, bare.shape[1]
        labels = torch.arange(classes + 1, device=bare.device)
        self.codes = label_code(labels, classes, algorithm.label_value).to(bare.dtype)
        self.at = slice(width - classes, width) if algorithm.writer is appended else slice(classes)
        self.squares = torch.linalg.vector_norm(bare, dim=1).square_()
        self.shared = scratch.rows("shared", len(bare), len(weight), bare)
        multiply(self.bare, weight.T, self.shared)


class Coded(Rows):
    """Rows of one batch with the codes which [S*B] in them, never written out."""

    def __init__(self, batch: Batch, which: Tensor):
        squares = batch.codes.square().sum(1)[which].view(-1, len(batch.bare)) + batch.squares
        norm = squares.flatten().sqrt_()
        bare = batch.bare
        super().__init__(bare, inverse_length(norm, batch.cell.normalise, bare.shape[1]))
        self.batch, self.code = batch, batch.codes[which]

    def factor(self, weight: Tensor) -> Tensor:
        """W as it is: the product that all streams share has been made."""
        return weight

    def product(self, weight: Tensor, z: Tensor) -> None:
        """z <- bare W^T + code V^T, before the cell has learned from the batch."""
        z.view(-1, *self.batch.shared.shape).copy_(self.batch.shared)
        z.addmm_(self.code, weight[:, self.batch.at].T)

    def gather(self, z: Tensor, target: Tensor, kept: float) -> None:
        """t <- mu t + z^T (bare + code), the bare part for both halves of z at once."""
        size = len(self.x)
        columns = self.batch.scratch.rows("columns", z.shape[1], self.code.shape[1], z)
        torch.mm(z.T, self.code, out=columns)
        z[:size].add_(z[size:])
        accumulate(target, kept, z[:size].T, self.x)
        target[:, self.batch.at].add_(columns)
