"""Cells that learn as they settle, in closed form: the schedule *recurrent* without a tape.

What ``recurrent.swept`` and :meth:`~onward.local.Station.update` do together under Recurrent
Forward-Forward, for cells whose connections are matrices. With x and y what is below and above, s
and r 1 over their lengths, and d = dL/dz as in ``closed.py``,

    z     = s (x U^T) + r (y V^T) + b
    dL/dU = (s d)^T x       dL/dV = (r d)^T y       dL/db = sum of d over rows

The image is the same in both streams: it is multiplied once for the two of them, and its weight
gradient takes their slopes together,  dL/dU = (s d_pos + s d_neg)^T x.  So do states for as long as
no label has reached them; and until the first cell learns, its product with the image is kept.

Says by itself where it does not apply, and then the caller goes by autograd. Rounding as there.

B = samples, R = 2B rows (positives first), D, A = numbers from below and above, F = units.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .algorithms import RecurrentForwardForward
from .cells import PeerNorm, Recurrent
from .cells.recurrent import Half
from .closed import Descent, Slope, closed_slope, closed_station, plain
from .local import Station
from .row import Row


class Settling:
    """The iterations of one batch after another, on one row."""

    def __init__(self, row: Row):
        self.row = row

    def apply(self, x: Tensor) -> bool:
        """Whether the closed forms can take the next step, on samples like x."""
        row, algorithm = self.row, self.row.algorithm
        if not row.fast or torch.is_autocast_enabled(x.device.type):
            return False
        if type(algorithm) is not RecurrentForwardForward or algorithm.sweep.damped:
            return False
        return closed_slope(algorithm) and all(
            _closed_cell(station.cell, x) and closed_station(station) for station in row.stations
        )

    @torch.no_grad()
    def learn(self, x: Tensor, which: Tensor, begin: Sequence[Tensor]) -> dict[str, Tensor]:
        """All cells settle and learn.  x [B, *D], which [2, B], begin [B, F] of every cell.

        Returns each cell's loss, its mean over the iterations at which it learned.
        """
        algorithm = self.row.algorithm
        assert isinstance(algorithm, RecurrentForwardForward)
        sweep, bottom = algorithm.sweep, x.flatten(1)
        top = algorithm.top(which.flatten()).to(x.dtype)
        cells = [_Settled(station, algorithm) for station in self.row.stations]
        states, (first, last) = list(begin), sweep.learned
        losses: dict[str, Tensor] = {}
        for iteration in range(1, last + 1):
            around = zip([bottom, *states[:-1]], [*states[1:], top], strict=True)
            moved = []
            for cell, (below, above) in zip(cells, around, strict=True):
                if iteration < first:
                    moved.append(cell.cell.join(*cell.halves(below, above)))
                    continue
                h, loss = cell.learn(below, above, which.numel())
                moved.append(h)
                loss /= last - first + 1
                losses[cell.name] = losses[cell.name] + loss if iteration > first else loss
            states = [sweep.damp(s, h) for s, h in zip(states, moved, strict=True)]
        return losses


class _Settled:
    """The closed forms of one cell, within one batch."""

    def __init__(self, station: Station, algorithm: RecurrentForwardForward):
        assert isinstance(station.cell, Recurrent)
        self.cell, self.name = station.cell, station.name
        (optimizer,) = station.optimizers.values()
        self.descent = Descent(optimizer)
        self.slope = Slope(algorithm, self.cell.outputs, self.cell.peers)
        self._below: Tensor | None = None
        self._low: Half | None = None

    def halves(self, below: Tensor, above: Tensor) -> tuple[Half, Half]:
        """Both products; that with the same tensor below as before is kept until weights move."""
        if self._low is None or self._below is not below:
            self._below, self._low = below, self.cell.from_below(below)
        return self._low, self.cell.from_above(above)

    def learn(self, below: Tensor, above: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """The answers h [R, F] of before one step, and their loss.  below, above [B or R, *D]."""
        cell, halves = self.cell, self.halves(below, above)
        z = cell.drive(halves)
        if len(z) < rows:  # no label has come down to here: both streams are the same
            z = z.repeat(rows // len(z), 1)
        h = torch.relu(z)
        loss = self.slope.take(z, h, torch.linalg.vector_norm(h, dim=1))
        target, kept = self.descent.target(cell.bias)
        target.mul_(kept).add_(z.sum(0))
        for part, rows_in, s in zip(
            (cell.up, cell.down), (below, above), cell.scales(halves), strict=True
        ):
            assert isinstance(part, nn.Linear)
            d = (z.view(-1, s.shape[1], cell.outputs) * s).view(-1, len(rows_in), cell.outputs)
            together = d.sum(0) if len(d) > 1 else d[0]
            target, kept = self.descent.target(part.weight)
            target.addmm_(together.T, rows_in, beta=kept)
        self.descent.step()
        self._low = None
        return h, loss


def _closed_cell(cell: nn.Module, like: Tensor) -> bool:
    if not (isinstance(cell, Recurrent) and plain(cell, Recurrent)):
        return False
    if not (cell.peers is None or plain(cell.peers, PeerNorm)):
        return False
    return all(
        isinstance(part, nn.Linear)
        and plain(part, nn.Linear)
        and part.weight.dtype == like.dtype
        and part.weight.device == like.device
        for part in (cell.up, cell.down)
    )
