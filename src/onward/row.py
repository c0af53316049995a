"""A row: stations in order, what flows through them, and what reads classes off them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from .errors import BadInput
from .local import Algorithm, Station
from .optimizers import Maker
from .readouts import LinearReadout
from .tasks import Classify, Task

Head = Callable[[Sequence[int], int, Sequence[int]], LinearReadout]


@dataclass
class Row:
    """A network: its stations, its algorithm and its readouts.

    ``readout`` is a station whose cell is a :class:`LinearReadout`, or None. ``counted`` are the
    cells, by position, whose verdicts are summed when every label is tried. A row that ``detects``
    is judged by how well its cells' errors of reconstruction tell strange samples (label 1) from
    usual ones (label 0). ``fast`` lets closed forms take the place of autograd where they apply
    (``fast.py``).
    """

    stations: list[Station]
    algorithm: Algorithm
    readout: Station | None
    counted: tuple[int, ...]
    detects: bool = False
    fast: bool = True

    @property
    def cells(self) -> list[nn.Module]:
        """The cells, first to last."""
        return [station.cell for station in self.stations]

    @property
    def everyone(self) -> list[Station]:
        """All stations, the readout last."""
        return self.stations + ([self.readout] if self.readout else [])

    def linear(self) -> LinearReadout | None:
        """The linear readout itself."""
        if self.readout is None:
            return None
        assert isinstance(self.readout.cell, LinearReadout)
        return self.readout.cell

    @property
    def task(self) -> Task:
        """What the readouts are to answer: classes, where no linear one says otherwise."""
        linear = self.linear()
        return Classify() if linear is None else linear.task


def build_row(
    cells: Sequence[nn.Module],
    algorithm: Algorithm,
    optimizer: Maker,
    *,
    widths: Sequence[int] | None = None,
    classes: int = 0,
    readout: Maker | None = None,
    read: Sequence[int] | None = None,
    counted: Sequence[int] | None = None,
    head: Head = LinearReadout,
    detects: bool = False,
) -> Row:
    """Stations from cells: one optimiser each (one per group for cells with several).

    ``readout`` makes the optimiser of a linear softmax on the cells ``read``; None for no linear
    readout. ``read`` and ``counted`` default to all cells but the first (all, in a row of one), as
    in Hinton 2022. ``widths`` are the cells' output features where they have no ``outputs``;
    ``head`` makes the readout's module from (widths, classes, read), with the task it has.
    ``detects`` rows are judged as detectors of strange samples.
    Raises BadInput where a cell is named that the row does not have.
    """
    if not cells:
        raise BadInput("a row needs at least one cell, and none came")
    for number, cell in enumerate(cells):
        if any(cell is other for other in cells[:number]):
            raise BadInput(
                f"cell {number} is a cell that already stands before it: two optimisers would pull "
                "at one set of weights. Build each cell by itself (copy.deepcopy makes another)"
            )
    stations = [
        Station(f"cell-{i}", cell, {name: optimizer(ps) for name, ps in groups(cell).items() if ps})
        for i, cell in enumerate(cells)
    ]
    rest = tuple(range(1, len(cells))) or (0,)
    read = tuple(rest if read is None else read)
    counted = tuple(rest if counted is None else counted)
    for what, chosen in (("read", read), ("counted", counted)):
        if not chosen or len(set(chosen)) < len(chosen):
            raise BadInput(f"{what} should name cells, each once, and is {list(chosen)}")
        for index in chosen:
            if not 0 <= index < len(cells):
                raise BadInput(f"{what} names cell {index}, but the row has 0 to {len(cells) - 1}")
    reading = None
    if readout is not None:
        sizes = list(widths) if widths else [_outputs(cell) for cell in cells]
        linear = head([sizes[i] for i in read], classes, read)
        reading = Station("readout", linear, {"readout": readout(linear.parameters())})
    return Row(stations, algorithm, reading, counted, detects)


def groups(cell: nn.Module) -> Mapping[str, list[nn.Parameter]]:
    """A cell's parameter groups: ``cell.groups()`` where it has several, else one, "cell"."""
    own = getattr(cell, "groups", None)
    return own() if own is not None else {"cell": list(cell.parameters())}


def _outputs(cell: nn.Module) -> int:
    found = getattr(cell, "outputs", None)
    if not isinstance(found, int):
        raise BadInput(
            f"a linear readout needs the features of every cell, and {type(cell).__name__} has no "
            "whole number `outputs`: give it one, or say build_row(..., widths=[...])"
        )
    return found
