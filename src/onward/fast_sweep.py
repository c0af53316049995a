"""Cells that learn as they settle, in closed form: the schedule *recurrent* without a tape.

What ``recurrent.swept`` and :meth:`~onward.local.Station.update` do together under Recurrent
Forward-Forward, for cells whose connections are matrices or local fields. With x and y what is
below and above, s and r 1 over their lengths, and d = dL/dz as in ``closed.py``,

    z     = s (x U^T) + r (y V^T) + b
    dL/dU = (s d)^T x       dL/dV = (r d)^T y       dL/db = sum of d over rows

The image is the same in both streams: it is multiplied once for the two of them, and its weight
gradient takes their slopes together,  dL/dU = (s d_pos + s d_neg)^T x.  So do states for as long as
no label has reached them; and until the first cell learns, its product with the image is kept. For
fields the products are those of their tiles, and the image's windows are laid out once a batch.
The peer term is taken of drives that are there anyway.

Says by itself where it does not apply, and then the caller goes by autograd. Rounding, and bf16, as
there; with slopes taken together, their sum is what is rounded.

B = samples, R = 2B rows (positives first), D, A = numbers from below and above, F = units.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .algorithms import RecurrentForwardForward
from .cells import Fields, PeerNorm, Recurrent
from .cells.recurrent import Half
from .closed import Descent, Slope, accumulate, closed_slope, closed_station, plain
from .local import Station
from .precision import narrow
from .row import Row


class Settling:
    """The iterations of one batch after another, on one row."""

    def __init__(self, row: Row):
        self.row = row

    def apply(self, x: Tensor) -> bool:
        """Whether the closed forms can take the next step, on samples like x."""
        row, algorithm = self.row, self.row.algorithm
        if not row.fast or type(algorithm) is not RecurrentForwardForward:
            return False
        if algorithm.sweep.damped:
            return False
        if not all(_closed_cell(each.cell, x) and closed_station(each) for each in row.stations):
            return False
        maps = [
            m for cell in row.cells if isinstance(cell, Recurrent) for m in (cell.up, cell.down)
        ]
        # Tied maps have one gradient, of both sides, and these have one for each.
        return closed_slope(algorithm) and len({m.weight for m in maps}) == len(maps)

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


class _Matrix:
    """A matrix and what it multiplies, x [R, *D]."""

    def __init__(self, part: nn.Linear, x: Tensor):
        self.part, self.x = part, narrow(x.flatten(1))

    def product(self) -> Tensor:
        """x W^T [R, F]."""
        return self.x @ narrow(self.part.weight).T

    def gather(self, d: Tensor, target: Tensor, kept: float) -> None:
        """t <- mu t + d^T x, d [R, F]."""
        accumulate(target, kept, d.T, self.x)


class _Tiles:
    """Fields and the windows that their tiles see, of x [R, C H W]."""

    def __init__(self, part: Fields, x: Tensor):
        self.part, self.windows = part, part.windows(narrow(x).view(-1, *part.shape))

    def product(self) -> Tensor:
        """Drives [R, F], maps after maps."""
        return self.part.joined(torch.bmm(self.windows, self.part.matrices())).flatten(1)

    def gather(self, d: Tensor, target: Tensor, kept: float) -> None:
        """t <- mu t + d^T x of every pair of places, d [R, F]."""
        parted = self.part.parted(narrow(d).view(len(d), -1, *self.part.grid))
        found = self.part.pairs_of(torch.bmm(self.windows.mT, parted))
        torch.add(found.to(target.dtype), target, alpha=kept, out=target)


class _Side:
    """One of a cell's two maps, and its half of the drives: kept while it and its input stay."""

    def __init__(self, part: nn.Module):
        assert isinstance(part, nn.Linear | Fields)
        self.part = part
        self._x: Tensor | None = None
        self._product: Tensor | None = None

    def half(self, x: Tensor) -> Half:
        """Its half of the drive; x [R, D]."""
        if self._x is not x:
            self._x, self._product = x, None
            self._factor = _prepared(self.part, x)
            self._norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        if self._product is None:
            self._product = self._factor.product()
        return Half(self._product, self._norm, x.shape[1])

    def learn(self, z: Tensor, s: Tensor, descent: Descent) -> None:
        """Put the gradient where the optimiser wants it, from dL/dz [R, F] and s [groups, B, 1]."""
        assert self._x is not None
        # Rows that several groups share take the slopes of all of them.
        d = (z.view(-1, s.shape[1], z.shape[1]) * s).view(-1, len(self._x), z.shape[1])
        together = d.sum(0) if len(d) > 1 else d[0]
        self._factor.gather(together, *descent.target(self.part.weight))
        self._product = None


def _prepared(part: nn.Linear | Fields, x: Tensor) -> _Matrix | _Tiles:
    return _Tiles(part, x) if isinstance(part, Fields) else _Matrix(part, x)


class _Settled:
    """The closed forms of one cell, within one batch."""

    def __init__(self, station: Station, algorithm: RecurrentForwardForward):
        assert isinstance(station.cell, Recurrent)
        self.cell, self.name = station.cell, station.name
        (optimizer,) = station.optimizers.values()
        self.descent = Descent(optimizer)
        self.slope = Slope(algorithm, self.cell.outputs, self.cell.peers)
        self.sides = (_Side(self.cell.up), _Side(self.cell.down))

    def halves(self, below: Tensor, above: Tensor) -> list[Half]:
        """Both products; one with the same tensor as before is kept until weights move."""
        return [side.half(x) for side, x in zip(self.sides, (below, above), strict=True)]

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
        for side, s in zip(self.sides, cell.scales(halves), strict=True):
            side.learn(z, s, self.descent)
        self.descent.step()
        return h, loss


def _closed_cell(cell: nn.Module, like: Tensor) -> bool:
    if not (isinstance(cell, Recurrent) and plain(cell, Recurrent)):
        return False
    if not (cell.peers is None or plain(cell.peers, PeerNorm)):
        return False
    return all(
        isinstance(part, nn.Linear | Fields)
        and (plain(part, nn.Linear) or plain(part, Fields))
        and part.weight.dtype == like.dtype
        and part.weight.device == like.device
        for part in (cell.up, cell.down)
    )
