"""One clean stream and no local loss: what backprop and the frozen control run on.

Under the schedule *backprop* the loss at the readout trains every cell; under *frozen* the cells
stay as they were drawn. Neither asks a cell for a loss of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ..local import Algorithm, Streams


@dataclass(frozen=True)
class Clean(Algorithm):
    """The batch as it is: S = 1, no label in it."""

    @property
    def local(self) -> bool:
        """No cell has a loss."""
        return False

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """None."""
        return iter(())
