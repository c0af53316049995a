"""The dense cell: normalise, multiply, rectify.  x [B, *D] -> h [B, F].

    h = max(0, W x_hat + b),   x_hat = x / length(x)

It normalises its own input, the image included, and hands on its activities as they are: their
length is its goodness (Hinton 2022, section 2.1; initial weights as in the author's MATLAB).

B = samples, D = input shape, F = units.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from ..errors import BadInput
from .coupling import Coupling
from .lengths import Normalise, rms
from .peers import PeerNorm


class Dense(nn.Module):
    """A fully connected ReLU cell of ``outputs`` units on ``inputs`` numbers.

    W ~ N(0, 1/inputs) drawn from ``rng`` (torch's global generator where none is given), b = 0.
    ``peers`` is the peer term's strength lambda, 0 for none. ``hears`` are the positions of other
    cells whose goodness this one is to weigh by learned factors (``coupling.py``); most have none.

    >>> Dense(784, 500)(torch.rand(3, 1, 28, 28)).shape
    torch.Size([3, 500])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        normalise: Normalise = rms,
        peers: float = 0.0,
        hears: Sequence[int] = (),
        rng: Generator | None = None,
    ):
        super().__init__()
        for what, size in (("inputs", inputs), ("outputs", outputs)):
            if not hasattr(size, "__index__") or size < 1:
                raise BadInput(
                    f"{what} of a dense cell should be a whole number of 1 or more, and is {size!r}"
                )
        self.normalise = normalise
        self.linear = nn.Linear(inputs, outputs)
        nn.init.normal_(self.linear.weight, std=inputs**-0.5, generator=rng)
        nn.init.zeros_(self.linear.bias)
        self.peers = PeerNorm(outputs, peers) if peers > 0 else None
        self.coupling = Coupling(hears) if hears else None

    @property
    def inputs(self) -> int:
        """D, the numbers of one sample that come in."""
        return self.linear.in_features

    @property
    def outputs(self) -> int:
        """F, the units."""
        return self.linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        """Activities.  x [B, *D] -> h [B, F], >= 0."""
        flat = x.flatten(1)
        if flat.shape[1] != self.inputs:
            raise BadInput(
                f"a dense cell of {self.inputs} inputs was given samples of {flat.shape[1]} "
                f"numbers {tuple(x.shape[1:])}: build it as Dense({flat.shape[1]}, {self.outputs})"
            )
        return torch.relu(self.linear(self.normalise(flat)))

    def penalty(self, x: Tensor, h: Tensor) -> Tensor | None:
        """The peer term for positives x [N, *D] with activities h [N, F], or None without one."""
        if self.peers is None:
            return None
        mean_input = self.normalise(x.flatten(1)).mean(0, keepdim=True)
        return torch.as_tensor(self.peers(h.detach(), self.linear(mean_input)))

    def measures(self) -> dict[str, float]:
        """What the cell knows of itself that is worth a curve: how much it counts the others."""
        return {} if self.coupling is None else self.coupling.measures()
