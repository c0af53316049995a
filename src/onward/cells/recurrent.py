"""The recurrent cell: what is below and what is above, each normalised on its own.

    h = max(0, U x_hat + V y_hat + b),    x_hat = x / length(x),  y_hat = y / length(y)

x are the activities of the cell below, or the image; y those of the cell above, or the label
(Hinton 2022, arXiv:2212.13345, section 3.4). U and V are matrices of their own; whether the paper
ties them is not known (decision FF-A15). A row of numbers that comes in is x and y side by side, so
that a station has one message; where it is x alone, nothing is above: that is a pass from below.
With ``joint`` both are divided by the length of the two together.

U and V may be any linear maps without a bias: matrices here, fields of neighbours for pictures. The
two halves can be asked for apart, ``from_below`` and ``from_above``, and joined: where one of them
has fewer rows than the other, it is multiplied once and shared by the groups of rows of the other.

B = samples, R = rows, D = numbers from below, A = numbers from above, F = units.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from ..errors import BadInput
from .lengths import TINY
from .peers import PeerNorm


class Half(NamedTuple):
    """What comes from one side: its product with the weights, not yet divided by a length."""

    product: Tensor  # [R, F]
    norm: Tensor  # [R, 1], Euclidean length of what was multiplied
    width: int  # how many numbers that were


class Recurrent(nn.Module):
    """A ReLU cell of ``units`` on ``below`` numbers from below and ``above`` from above.

    All three are numbers, or shapes where ``up`` and ``down`` want their inputs in one. These are
    the maps U and V, by default matrices drawn from N(0, 1/inputs) each; b = 0. ``peers`` is the
    peer term's strength, 0 for none. Raises BadInput for a map with a bias, or of other shapes.

    >>> cell = Recurrent(784, 500, above=10)
    >>> cell(torch.rand(3, 784)).shape, cell(torch.rand(3, 784 + 10)).shape
    (torch.Size([3, 500]), torch.Size([3, 500]))
    """

    def __init__(
        self,
        below: int | Sequence[int],
        units: int | Sequence[int],
        above: int | Sequence[int],
        *,
        up: nn.Module | None = None,
        down: nn.Module | None = None,
        joint: bool = False,
        peers: float = 0.0,
        rng: Generator | None = None,
    ):
        super().__init__()
        self.shape_below, self.shape, self.shape_above = map(_shape, (below, units, above))
        self.joint = joint
        self.up = _matrix(self.inputs, self.outputs, rng) if up is None else up
        self.down = _matrix(self.above, self.outputs, rng) if down is None else down
        self.bias = nn.Parameter(torch.zeros(self.outputs))
        self.peers = PeerNorm(self.outputs, peers) if peers > 0 else None
        for name, part, shape in (("up", up, self.shape_below), ("down", down, self.shape_above)):
            if part is not None:
                _refuse_map(name, part, shape, self.shape)

    @property
    def inputs(self) -> int:
        """D, the numbers that come from below."""
        return prod(self.shape_below)

    @property
    def above(self) -> int:
        """A, the numbers that come from above."""
        return prod(self.shape_above)

    @property
    def outputs(self) -> int:
        """F, the units."""
        return prod(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Activities.  x [R, D + A], or [R, D] with nothing above -> h [R, F], >= 0."""
        below, above = self.split(x)
        high = None if above is None else self.from_above(above)
        return self.join(self.from_below(below), high)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What is below [R, D] and what is above [R, A], or None."""
        flat = x.flatten(1)
        if flat.shape[1] == self.inputs:
            return flat, None
        if flat.shape[1] == self.inputs + self.above:
            return flat[:, : self.inputs], flat[:, self.inputs :]
        raise BadInput(
            f"a recurrent cell of {self.inputs} numbers from below and {self.above} from above "
            f"takes samples of {self.inputs} or {self.inputs + self.above} numbers, and was given "
            f"{flat.shape[1]}: {tuple(x.shape[1:])}"
        )

    def from_below(self, x: Tensor) -> Half:
        """x [R, *D], not normalised -> its half of the drive."""
        return _half(self.up, x, self.shape_below)

    def from_above(self, y: Tensor) -> Half:
        """y [R, *A], not normalised -> its half of the drive."""
        return _half(self.down, y, self.shape_above)

    def join(self, low: Half, high: Half | None = None) -> Tensor:
        """Activities of both halves, or of the lower one alone.  -> h [R, F], R the larger count.

        A half of B rows is shared by all groups of B rows of the other.
        """
        return torch.relu(self.drive((low,) if high is None else (low, high)))

    def drive(self, halves: Sequence[Half]) -> Tensor:
        """What the units receive before they rectify it.  -> z [R, F]."""
        rows = min(len(half.product) for half in halves)
        z: Tensor = self.bias
        for half, scale in zip(halves, self.scales(halves), strict=True):
            z = torch.addcmul(z, half.product.view(-1, rows, self.outputs), scale)
        return z.flatten(0, 1)

    def scales(self, halves: Sequence[Half]) -> list[Tensor]:
        """1 over the length of each half, RMS.  [groups, B, 1] each, B the smaller count."""
        rows = min(len(half.norm) for half in halves)
        norms = [half.norm.view(-1, rows, 1) for half in halves]
        widths = [half.width for half in halves]
        if self.joint and len(halves) == 2:
            norms, widths = [torch.hypot(*norms)] * 2, [sum(widths)] * 2
        return [(n * w**-0.5 + TINY).reciprocal() for n, w in zip(norms, widths, strict=True)]

    def penalty(self, x: Tensor, h: Tensor) -> Tensor | None:
        """The peer term for positives x [N, D + A] with activities h [N, F], or None without one.

        A drive is linear in what comes in, so the mean drive is that of the mean input: one row.
        """
        if self.peers is None:
            return None
        parts = [part for part in self.split(x) if part is not None]
        norms = [Half(part, _norm(part), part.shape[1]) for part in parts]
        scales = self.scales(norms)
        means = [(part * s[0]).mean(0, keepdim=True) for part, s in zip(parts, scales, strict=True)]
        drive = self.bias + self.from_below(means[0]).product
        if len(means) == 2:
            drive = drive + self.from_above(means[1]).product
        return torch.as_tensor(self.peers(h.detach(), drive))


def _shape(size: int | Sequence[int]) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _matrix(inputs: int, outputs: int, rng: Generator | None) -> nn.Linear:
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=inputs**-0.5, generator=rng)
    return linear


def _norm(flat: Tensor) -> Tensor:
    wide = torch.promote_types(flat.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True, dtype=wide)
    return norm


def _half(weights: nn.Module, x: Tensor, shape: tuple[int, ...]) -> Half:
    flat = x.flatten(1)
    if flat.shape[1] != prod(shape):
        raise BadInput(
            f"a side of this recurrent cell takes {prod(shape)} numbers, and {flat.shape[1]} came"
        )
    return Half(weights(flat.view(-1, *shape)).flatten(1), _norm(flat), flat.shape[1])


@torch.no_grad()
def _refuse_map(name: str, part: nn.Module, shape: tuple[int, ...], units: tuple[int, ...]) -> None:
    """Raise BadInput where a map has a bias, or gives other units."""
    weight = next(part.parameters())
    came = part(weight.new_zeros(1, *shape))
    if came[0].numel() != prod(units):
        raise BadInput(
            f"{name} should map samples {shape} to {prod(units)} units, and gives "
            f"{tuple(came.shape[1:])}"
        )
    biased = any(own.rpartition(".")[2] == "bias" for own, _ in part.named_parameters())
    if biased or bool(came.any()):
        raise BadInput(
            f"{name} should be a linear map without a bias, so that lengths can be taken out of "
            f"its products, and {type(part).__name__} has one: take bias=False, for the cell has "
            "a bias of its own"
        )
