"""A sweep: cells that see the one below and the one above, iteration after iteration.

A sample stands below the first cell and a label above the last, clamped. States begin with one pass
from below, as if there were nothing above; then all cells move at once,

    h_i(t) = cell_i( s_{i-1}(t-1) | s_{i+1}(t-1) )
    s_i(t) = d s_i(t-1) + (1 - d) h_i(t)                    t = 1, 2, ...;  d the damping

each normalising what it sees, so damping acts on states that are not (Hinton 2022,
arXiv:2212.13345, section 3.4: 8 iterations, d = 0.3). Goodness is that of h, or of s (``damped``).

What is the same for all labels is computed for one of them: the products with the sample and with
the labels once for all iterations, and a cell's states from below as long as no label has come
down to it, which takes an iteration for every cell above.

B = samples, G = labels (or streams) of each, R = G*B rows, group after group, A = top's numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .cells import Recurrent
from .errors import BadInput


@dataclass(frozen=True)
class Sweep:
    """How long states move, and which iterations count; all are counted from 1.

    ``damping`` d in [0, 1); cells learn at every iteration from the first to the last of
    ``learned``, and goodness is averaged over those of ``judged`` when every label is tried;
    ``damped`` takes it after damping. Raises BadInput for iterations that there are not.
    """

    iterations: int = 8
    damping: float = 0.3
    learned: tuple[int, int] = (3, 8)
    judged: tuple[int, int] = (3, 5)
    damped: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.damping < 1:
            raise BadInput(
                f"damping is the share of a state that stays, from 0 to below 1: {self.damping}"
            )
        for name in ("learned", "judged"):
            first, last = getattr(self, name)
            if not 1 <= first <= last <= self.iterations:
                raise BadInput(
                    f"{name} should be the first and the last of iterations 1 to "
                    f"{self.iterations}, and is {first} to {last}"
                )

    def damp(self, state: Tensor, h: Tensor) -> Tensor:
        """The next state.  state [B or R, F], h [R, F] -> [R, F]."""
        if self.damping == 0:
            return h
        groups = h.view(-1, *state.shape)
        return torch.lerp(groups, state.to(h.dtype).expand_as(groups), self.damping).flatten(0, 1)

    @torch.no_grad()
    def settle(self, cells: Sequence[nn.Module], x: Tensor, top: Tensor) -> Iterator[list[Tensor]]:
        """What goodness is taken of, at every iteration that is judged: every cell's, [B or R, F].

        x [B, *D], top [R, A]. Cells that no label has reached yet have one row a sample.
        """
        first, last = self.judged
        row = chain(cells)
        rising, falling = row[0].from_below(x), row[-1].from_above(top)
        states = [row[0].join(rising)]
        for cell in row[1:]:
            states.append(cell(states[-1]))
        for iteration in range(1, last + 1):
            lows = [rising, *(cell.from_below(s) for cell, s in zip(row[1:], states, strict=False))]
            highs = [cell.from_above(s) for cell, s in zip(row, states[1:], strict=False)]
            moved = [
                cell.join(low, high)
                for cell, low, high in zip(row, lows, [*highs, falling], strict=True)
            ]
            states = [self.damp(s, h) for s, h in zip(states, moved, strict=True)]
            if iteration >= first:
                yield states if self.damped else moved


def neighbours(states: Sequence[Tensor], bottom: Tensor, top: Tensor) -> list[Tensor]:
    """What every cell sees, below and above side by side.  [R, D + A] each."""
    below, above = [bottom, *states[:-1]], [*states[1:], top]
    return [torch.cat(pair, dim=1) for pair in zip(below, above, strict=True)]


def chain(cells: Sequence[nn.Module]) -> list[Recurrent]:
    """The cells, if all can be swept over and each has the next one's units above it."""
    found: list[Recurrent] = []
    for number, cell in enumerate(cells):
        if not isinstance(cell, Recurrent):
            raise BadInput(
                f"a sweep wants cells that also see the one above them, and cell {number} is a "
                f"{type(cell).__name__}: build it as Recurrent(below, units, above)"
            )
        if found and (found[-1].above, found[-1].outputs) != (cell.outputs, cell.inputs):
            raise BadInput(
                f"cell {number - 1} has {found[-1].outputs} units and sees {found[-1].above} "
                f"numbers above, and cell {number} has {cell.outputs} units and sees "
                f"{cell.inputs} below: both pairs should be the same"
            )
        found.append(cell)
    return found
