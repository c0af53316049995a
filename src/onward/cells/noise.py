"""Noise that a denoising cell trains against.  x [B, *D], generator -> x [B, *D].

Vincent et al. 2008 (masking, Gaussian) and 2010 (salt and pepper). A cell draws it for its own
training pass and for nothing else: what it hands on, and what it must restore, are clean (digest
UFF-A8, pitfall P4).

B = samples, D = a cell's input shape.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from ..errors import BadInput
from ..seeds import derived

Noise = Callable[[Tensor, float, Generator], Tensor]


def gaussian(x: Tensor, level: float, rng: Generator) -> Tensor:
    """x + level * N(0, 1); ``level`` >= 0 is in the units of x."""
    return x + level * torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)


def masking(x: Tensor, level: float, rng: Generator) -> Tensor:
    """Each number is 0 with probability ``level`` in [0, 1].

    >>> rng = Generator().manual_seed(0)
    >>> bool((masking(torch.ones(1, 1000), 0.3, rng).mean() - 0.7).abs() < 0.05)
    True
    """
    return x * (torch.rand(x.shape, generator=rng, device=x.device) >= level)


def salt_and_pepper(x: Tensor, level: float, rng: Generator) -> Tensor:
    """Each number becomes its sample's smallest or largest one, with probability level/2 each."""
    flat = x.flatten(1)
    drawn = torch.rand(flat.shape, generator=rng, device=x.device)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    noisy = torch.where(drawn < level / 2, low, torch.where(drawn > 1 - level / 2, high, flat))
    return noisy.view(x.shape)


BY_NAME: dict[str, Noise] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}


class Corruption(nn.Module):
    """A cell's noise, with a generator of its own that depends on its seed and its steps alone.

    The steps are saved with the cell, so that a cell that is resumed, or trained alone at another
    place, draws what it would have drawn in the row.
    """

    def __init__(self, noise: Noise, level: float, seed: int = 0, number: int = 0):
        super().__init__()
        if not level >= 0 or (noise is not gaussian and level > 1):
            raise BadInput(
                f"the level of noise should be 0 or more, and of masking and salt_and_pepper at "
                f"most 1, and is {level}"
            )
        self.noise, self.level, self.seed, self.number = noise, level, seed, number
        self.steps = 0
        self.rng: Generator | None = None
        """Drawn from as it stands, while a step is recorded (``graphs.py``); else None."""

    def forward(self, x: Tensor) -> Tensor:
        """The noise of the next step on x [B, *D]."""
        rng = self.rng
        if rng is None:
            rng = Generator(x.device).manual_seed(self.next_seed())
        return self.noise(x, self.level, rng)

    def next_seed(self) -> int:
        """What the generator of the next step is seeded with; the step is counted."""
        self.steps += 1
        return derived(self.seed, "noise", self.number, self.steps - 1)

    def get_extra_state(self) -> Tensor:
        """Steps so far: a plain number here, for one on a GPU would be waited for at each step."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a saved number of steps."""
        self.steps = int(state)
