"""A cell that hands on what it is given: for a readout on raw samples, the plainest control."""

from torch import Tensor, nn

from .lengths import Normalise, unchanged


class Untouched(nn.Module):
    """x [B, *D] -> x, or ``normalise(x)``. ``inputs`` numbers in, as many out; nothing is learned.

    What a normalisation is given to know of the training samples (:class:`Standardise`) is saved
    with the cell.
    """

    def __init__(self, inputs: int, normalise: Normalise = unchanged):
        super().__init__()
        self.inputs = self.outputs = inputs
        self.normalise = normalise

    def forward(self, x: Tensor) -> Tensor:
        """The samples themselves."""
        return self.normalise(x)
