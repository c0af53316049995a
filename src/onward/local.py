"""The idea of the library: a cell, its own loss, and the wall between it and the next one.

A network is a row of *cells*. An :class:`Algorithm` says what flows through the row and what each
cell makes small on its own; a :class:`Station` is a cell with its optimisers, the unit that learns
and that can be placed somewhere else; :func:`wall` is where the gradient stops. Everything else in
the package is a choice of cells (``cells/``), of losses (``algorithms/``), of who learns when
(``schedules.py``) and of how classes are read off (``readouts.py``).

B = samples, S = streams, V = views, D = a cell's input shape, F = its output shape, K = classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from .errors import BadInput

if TYPE_CHECKING:
    from .sweep import Sweep

Hints = Literal["none", "earlier", "all"]
Sign = Literal["both", "positive", "negative"]


@dataclass(frozen=True)
class Streams:
    """S versions of one batch in one tensor: one product, and one message, for all of them."""

    rows: Tensor  # [S*B, *D], stream after stream
    count: int = 1  # S
    target: Tensor | None = None  # [B], only for algorithms that need labels at every cell
    original: Tensor | None = None  # [S*B, *D0], only where every cell is to see the row's input
    sign: Sign = "both"  # of an algorithm that is signed: whether one sign's rows came alone

    def split(self) -> tuple[Tensor, ...]:
        """The S streams, [B, *D] each."""
        return self.rows.chunk(self.count)


def wall(outs: Streams) -> Streams:
    """No gradient passes. This is the only ``detach`` between cells in the package."""
    return replace(outs, rows=outs.rows.detach())


class Station:
    """A cell and one optimiser for each of its parameter groups: the unit that is placed.

    ``forward`` and ``update`` are two halves so that a schedule can run all forwards, exchange
    hints and only then update: cells that listen to each other cost no second pass.
    """

    def __init__(self, name: str, cell: nn.Module, optimizers: Mapping[str, Optimizer]):
        self.name, self.cell, self.optimizers = name, cell, dict(optimizers)

    def forward(self, ins: Streams) -> Streams:
        """The cell on its streams; the graph holds this cell only.  [S*B, *D] -> [S*B, *F]."""
        return replace(ins, rows=self.cell(ins.rows))

    def update(
        self, algorithm: "Algorithm", ins: Streams, outs: Streams, hint: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Every loss of this cell: its own backward, its own step. Returns each group's loss."""
        losses: dict[str, Tensor] = {}
        for group, loss in algorithm.losses(self.cell, ins, outs, hint):
            if group not in self.optimizers:
                own = ", ".join(self.optimizers) or "no parameters to learn"
                raise BadInput(
                    f"{type(algorithm).__name__} gave a loss to the group {group!r}, and "
                    f"{self.name} has {own}: yield one of its groups, or name it in the cell's "
                    "groups()"
                )
            optimizer = self.optimizers[group]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses[group] = loss.detach()
        return losses


def walk(stations: Sequence[Station], ins: Streams) -> Iterator[tuple[Station, Streams, Streams]]:
    """Forward through a row: (station, what it sees, what it answers), a wall after each.

    What goes on is the answer from before the station's update, if the caller updates it between
    two steps of the walk.
    """
    for station in stations:
        outs = station.forward(ins)
        yield station, ins, outs
        ins = wall(outs)


class Algorithm(ABC):
    """What flows through the row, and what each cell makes small on its own.

    Two methods are the algorithm: ``streams`` and ``losses``. The rest says what it can and what it
    needs, so that a schedule or a place that can't serve it refuses by name when a run is built;
    each has a default, and most algorithms change few of them.
    """

    def streams(
        self, x: Tensor, y: Tensor, rng: Generator, scores: Tensor | None = None
    ) -> Streams:
        """One batch -> the rows that every cell is run on.  x [B, *D], y [B] -> [S*B, *D].

        By default the views that ``draw`` chooses. An algorithm whose streams are not views of one
        sample (two images mixed, say) overrides this.
        """
        which = self.draw(y, rng, scores)
        rows = x.repeat(len(which), *[1] * (x.dim() - 1))
        rows = self.view(rows, which.flatten())
        original = rows if self.originals else None
        return Streams(rows, len(which), y if self.targets else None, original)

    @abstractmethod
    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """What this cell minimises: (parameter group, scalar) one after another.

        Most algorithms yield one, of the group "cell". The next loss is asked for after the last
        one has stepped, so that a critic and a generator are two yields; only the last may lead
        back through ``outs``, whose graph its backward uses up: earlier ones take it detached, or
        run the cell again. ``hint`` [J, S*B] stacks what the J other cells told, in the order of
        the row; None where J = 0 (as for the first cell where hints are "earlier").
        """

    # What it needs.

    targets: ClassVar[bool] = False
    """Whether labels travel with the streams. Else they end in ``streams``."""

    @property
    def hints(self) -> Hints:
        """Which other cells a cell must be told about."""
        return "none"

    @property
    def originals(self) -> bool:
        """Whether the rows that entered the first cell travel on beside what the cells answer."""
        return False

    @property
    def asks_scores(self) -> bool:
        """Whether ``draw`` needs the class scores of the row's readout on this very batch."""
        return False

    @property
    def local(self) -> bool:
        """Whether cells have losses of their own; if not, only backprop moves them."""
        return True

    @property
    def signed(self) -> bool:
        """Whether the two streams are positives and negatives, whose losses can be taken apart.

        Then ``losses`` serves streams of one ``sign`` alone, too.
        """
        return False

    # What it makes for itself out of the row's own answers, and keeps from step to step.

    @property
    def memory(self) -> Mapping[str, Tensor]:
        """Tensors, changed in place, that decide what comes next. A checkpoint keeps them."""
        return {}

    def renew(self, x: Tensor, predict: Callable[[Tensor], Tensor], rng: Generator) -> int:
        """Make the memory anew, where there is any, before every epoch.  x [N, *D], all samples.

        ``predict`` is the readout as it stands, x [B, *D] -> scores [B, K]. Returns how many rows
        went forward through the whole row for it.
        """
        return 0

    @property
    def sweep(self) -> "Sweep | None":
        """How cells that also see the one above are swept over; None for one pass from below."""
        return None

    # In which views a sample can enter the row: with each label written into it, or neutral.

    @property
    def views(self) -> int:
        """V, how many views of a sample there are."""
        return 1

    @property
    def neutral(self) -> int:
        """The view that carries no label: what a linear readout is shown."""
        return 0

    @property
    def candidates(self) -> int:
        """K where view k says "this is class k", so that every label can be tried; else 0."""
        return 0

    @property
    def count(self) -> int:
        """S, how many streams a batch makes."""
        return 1

    @property
    def shows(self) -> int | None:
        """Which stream is the neutral view itself, so that a readout can learn from its answers.

        None where there is none: a pass is made for the readout.
        """
        return None

    @property
    def fewest(self) -> int:
        """How many samples there must be in a batch."""
        return 1

    def view(self, x: Tensor, which: Tensor) -> Tensor:
        """Sample n as its view number which[n].  x [B, *D], which [B] -> [B, *D]."""
        return x

    def top(self, which: Tensor) -> Tensor:
        """What stands above the last cell in the views which [B], where cells are swept over."""
        raise BadInput(f"{type(self).__name__} has nothing above its last cell")

    def draw(self, y: Tensor, rng: Generator, scores: Tensor | None) -> Tensor:
        """The views that make up the streams of one batch.  y [B], scores [B, K] -> [S, B]."""
        return torch.zeros(1, len(y), dtype=torch.long, device=y.device)

    # What a cell says of its answers.

    def tell(self, outs: Streams) -> Tensor | None:
        """What this cell tells the others about each row, [S*B], detached. Most tell nothing.

        A schedule calls it with the answer from behind the wall.
        """
        return None

    def verdict(self, h: Tensor) -> Tensor:
        """How strongly a cell that answers h [B, *F] speaks for the label in its input.  -> [B]."""
        raise BadInput(f"{type(self).__name__} writes no labels, so no label can be tried")

    def measures(self, outs: Streams) -> dict[str, Tensor]:
        """Scalars worth a curve in the record, from this cell's outputs on a probe batch."""
        return {}
