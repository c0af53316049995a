"""A cell behind a black box: a noisy function that has no gradient.

Hinton 2022, arXiv:2212.13345, section 7: where every cell learns from what it sees and answers,
what lies between two of them need not be known, nor have a derivative, nor be deterministic.
Backprop needs all three. With x_hat the samples at a root mean square of 1, u in [0, 1) noise,

    spikes    y = 1 where u < 1 - exp(-level max(x_hat, 0)), else 0   did one fall in unit time?
    steps     y = level floor(x_hat / level + u)                      rounded up or down by chance

In training u is drawn anew at every step. Where a sample is judged it is made of the sample itself:
of the interval of 0.05 in which a number and the one before it lie. So two samples meet other
noise, and one sample the same whatever is beside it, at every place and on every device.

B = samples, D = input shape, F = units.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..seeds import generator
from .lengths import rms

Box = Callable[[Tensor, Tensor, float], Tensor]
"""(x_hat [B, D], u [B, D], level) -> y [B, D]."""


def spikes(x: Tensor, u: Tensor, level: float) -> Tensor:
    """One bit a number: the larger, the more often 1.

    >>> spikes(torch.tensor([[0.0, 9.0]]), torch.tensor([[0.5, 0.5]]), 1.0)
    tensor([[0., 1.]])
    """
    return (u < -torch.expm1(-level * x.clamp(min=0))).to(x.dtype)


def steps(x: Tensor, u: Tensor, level: float) -> Tensor:
    """Whole multiples of ``level``; on average x itself."""
    return level * torch.floor(x / level + u)


BY_NAME: dict[str, Box] = {"spikes": spikes, "steps": steps}
"""The names by which recipes choose a box. Python code passes the function itself."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(number: int) -> int:
    """The 64-bit integer with the same bits."""
    number &= _MASK
    return number - (1 << 64) if number >> 63 else number


def _mixed(z: Tensor) -> Tensor:
    """Every bit of z int64 spread over all others (SplitMix64; sums and products wrap around)."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        z = (z ^ _shifted(z, shift)) * _signed(factor)
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, places: int) -> Tensor:
    """To the right, zeros moving in."""
    return (z >> places) & ((1 << (64 - places)) - 1)


def own_noise(x: Tensor, seed: int) -> Tensor:
    """Uniform numbers in [0, 1) made of the samples' own.  x [B, D] -> [B, D].

    Of intervals and not of bits: how many samples a product has moves its last bits.

    >>> x = torch.rand(3, 5)
    >>> torch.equal(own_noise(x, 0)[1:2], own_noise(x[1:2], 0))
    True
    """
    within = torch.floor(x.float() / 0.05).to(torch.int64)
    places = torch.arange(x.shape[1], device=x.device) * _signed(_GOLDEN)
    key = within * _signed(_FIRST) + within.roll(1, 1) * _signed(_SECOND) + places
    return _shifted(_mixed(key + _signed(seed * _FIRST)), 40).to(x.dtype) * 2.0**-24


class BehindBox(nn.Module):
    """``cell`` behind ``box`` at a ``level`` > 0; ``seed`` and ``number`` (of the cell) make noise.

    In training, which is where a graph is made, each step has noise of its own; the steps are saved
    with the cell. What goes through the box has no gradient.

    >>> from .dense import Dense
    >>> cell = BehindBox(Dense(8, 4), spikes, 1.0)
    >>> cell(torch.rand(3, 8)).shape, cell.inputs, cell.outputs
    (torch.Size([3, 4]), 8, 4)
    """

    cell: Any  # a module that says its inputs and outputs

    def __init__(self, cell: nn.Module, box: Box, level: float, seed: int = 0, number: int = 0):
        super().__init__()
        if not callable(box):
            raise BadInput(
                f"box should be a function (x_hat, u, level) -> y, and is {box!r}: "
                "onward.cells.black_box has spikes and steps"
            )
        if not 0 < level < float("inf"):
            raise BadInput(f"the level of a black box should be a number above 0, and is {level}")
        self.cell, self.box, self.level = cell, box, level
        self.seed, self.number, self.steps = seed, number, 0
        self._through: Tensor | None = None  # what the last step let through, for the penalty

    @property
    def inputs(self) -> int:
        """Those of the cell."""
        return int(self.cell.inputs)

    @property
    def outputs(self) -> int:
        """Those of the cell."""
        return int(self.cell.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The cell's answer to what comes through.  x [B, *D] -> h [B, F]."""
        learning = torch.is_grad_enabled()
        with torch.no_grad():
            seen = rms(x.flatten(1))
            y = self.box(seen, self._drawn(seen) if learning else self._own(seen), self.level)
        self._through = y if learning else None
        return torch.as_tensor(self.cell(y))

    def _drawn(self, seen: Tensor) -> Tensor:
        """The noise of the next step."""
        rng = generator(self.seed, "noise", self.number, self.steps, device=seen.device)
        self.steps += 1
        return torch.rand(seen.shape, generator=rng, device=seen.device, dtype=seen.dtype)

    def _own(self, seen: Tensor) -> Tensor:
        return own_noise(seen, 1000 * self.seed + self.number)

    def penalty(self, x: Tensor, h: Tensor) -> Tensor | None:
        """The cell's own, on what came through: x are the first rows of the last step."""
        own = getattr(self.cell, "penalty", None)
        if own is None:
            return None
        if self._through is None or len(self._through) < len(x):
            raise BadInput("a penalty is asked for right after a step's forward pass")
        term: Tensor | None = own(self._through[: len(x)], h)
        return term

    def get_extra_state(self) -> Tensor:
        """Steps so far."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a saved number of steps."""
        self.steps = int(state)
