"""Local receptive fields without weight sharing: each place has weights of its own.

Hinton 2022, arXiv:2212.13345, sections 3.2 and 4. With x_hat the normalised input, u a place of the
cell (row and column), m one of its M units there and f(u) the places of the input in its field,

    h[m, u] = max(0, sum_{v in f(u)} sum_c x_hat[c, v] W[(u, v), c, m] + b[m, u])

W [P, C, M] has a small matrix for each pair (u, v) of a place and a place in its field, P pairs in
all, and nothing else: where a field is cut off by the border its pairs are not there.

How it is computed: places are taken together in tiles of t x t. A tile sees one window, all of its
fields together; windows are laid out [T, B, w w C], weights [T, w w C, t t M], and one batched
product does all tiles. With t = 1 that is a product a place, and W is already laid out like that.
With few units a place (3 in the paper's CIFAR-10 nets) such products are thin and the windows, of
which neighbours share nearly everything, would be 120 times the input: there t = 8 multiplies three
times as many numbers, most of them 0, and is many times faster.

Departs from the paper: accounts of it do not say how activities are normalised between such layers;
by default their length is taken over the whole layer (decision FF-A14).

B = samples, C, H, W = the input's channels, rows and columns, M = units a place, T = tiles, w = a
window's side, F = units of the cell.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Generator, Tensor, nn

from ..errors import BadInput
from ..precision import narrow
from .lengths import Normalise, rms
from .peers import PeerNorm

THIN, WIDE = 16, 128
"""Units a place below which places are taken together, and the least a tile of them then has."""


class Fields(nn.Module):
    """The linear part: x [B, C, H, W] -> drives [B, M, H', W'], channels last in memory.

    ``shape`` (C, H, W) of the input; ``units`` M at each place; ``field`` its side; ``stride`` from
    one field to the next. ``truncated`` fields stand on every ``stride``-th place of the input and
    are cut off at its border; others lie inside, and have to reach the last row and column.
    ``tile`` t, None for one that suits the units. W ~ N(0, 1 / inputs of the unit), b = 0, or none
    without ``bias``.

    >>> layer = Fields((1, 28, 28), 128, field=10, stride=6)
    >>> layer.weight.numel(), layer(torch.rand(2, 1, 28, 28)).shape
    (204800, torch.Size([2, 128, 4, 4]))
    """

    places: Tensor
    bias: nn.Parameter  # None without one

    def __init__(
        self,
        shape: Sequence[int],
        units: int,
        field: int,
        stride: int = 1,
        *,
        truncated: bool = False,
        tile: int | None = None,
        bias: bool = True,
        rng: Generator | None = None,
    ):
        super().__init__()
        channels, *sides = shape
        _check(sides, field, stride, truncated)
        self.shape, self.units, self.field, self.stride = (channels, *sides), units, field, stride
        self.margin = (field - 1) // 2 if truncated else 0
        self.grid = [(side + 2 * self.margin - field) // stride + 1 for side in sides]
        self.tile = _tile(units, min(self.grid)) if tile is None else tile
        self.window = (self.tile - 1) * stride + field
        self.tiles = [-(-side // self.tile) for side in self.grid]
        owners, places = self._pairs()
        inputs = torch.bincount(owners)[owners] * channels  # of the units of each pair
        drawn = torch.randn(len(owners), channels, units, generator=rng)
        self.weight = nn.Parameter(drawn * inputs[:, None, None] ** -0.5)
        count = units * self.grid[0] * self.grid[1]
        self.register_parameter("bias", nn.Parameter(torch.zeros(count)) if bias else None)
        self.register_buffer("places", places, persistent=False)

    @property
    def laid_out(self) -> bool:
        """Whether W is what the product takes, as it is."""
        return self.tile == 1 and self.margin == 0

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """For every pair its place u [P], and where its C rows of W stand in the product's [P C].

        Pairs in the order of u, then of v, row by row.
        """
        (high, wide), t = self.grid, self.tile
        u, v = torch.arange(high * wide), torch.arange(self.field**2)
        row, column = (u // wide)[:, None], (u % wide)[:, None]
        # Of the input with its margin.
        down = row * self.stride + v // self.field
        right = column * self.stride + v % self.field
        m, (_, height, width) = self.margin, self.shape
        there = (down >= m) & (down < height + m) & (right >= m) & (right < width + m)
        tile = row // t * self.tiles[1] + column // t
        down, right = down - row // t * t * self.stride, right - column // t * t * self.stride
        seen = tile * self.window**2 + down * self.window + right
        inside = row % t * t + column % t  # which place of its tile
        channel = torch.arange(self.shape[0])
        # The product's weights are [T, w w, C, t t, M], a row is its last dimension.
        rows = (seen[..., None] * len(channel) + channel) * t**2 + inside[..., None]
        return u[:, None].expand_as(there)[there], rows[there].flatten()

    def windows(self, x: Tensor) -> Tensor:
        """What every tile sees.  x [B, C, H, W] -> [T, B, w w C]."""
        step = self.tile * self.stride
        reach = [(count - 1) * step + self.window for count in self.tiles]
        m, (_, height, width) = self.margin, self.shape
        below, right = reach[0] - height - m, reach[1] - width - m
        # Channels last first: a window is then copied row by row, not number by number.
        x = x.permute(0, 2, 3, 1).contiguous()
        if m or below or right:
            x = nn.functional.pad(x, (0, 0, m, right, m, below))
        cut = x.unfold(1, self.window, step).unfold(2, self.window, step)  # [B, Ty, Tx, C, w, w]
        return cut.permute(1, 2, 0, 4, 5, 3).reshape(self.tiles[0] * self.tiles[1], x.shape[0], -1)

    def matrices(self) -> Tensor:
        """The weights as the product takes them, in its precision.  -> [T, w w C, t t M]."""
        tiles, inputs = self.tiles[0] * self.tiles[1], self.window**2 * self.shape[0]
        weight = narrow(self.weight)
        if self.laid_out:
            return weight.view(tiles, inputs, self.units)
        whole = weight.new_zeros(tiles * inputs * self.tile**2, self.units)
        whole.index_copy_(0, self.places, weight.view(-1, self.units))
        return whole.view(tiles, inputs, -1)

    def pairs_of(self, matrices: Tensor) -> Tensor:
        """What of matrices [T, w w C, t t M] belongs to pairs, in the order of W.  -> [P, C, M]."""
        rows = matrices.view(-1, self.units)
        return (rows if self.laid_out else rows.index_select(0, self.places)).view_as(self.weight)

    def joined(self, z: Tensor) -> Tensor:
        """Tiles put together, less what is past the border.  [T, B, t t M] -> [B, M, H', W']."""
        z = z.view(*self.tiles, z.shape[1], self.tile, self.tile, self.units)
        whole = z.permute(2, 0, 3, 1, 4, 5).reshape(
            z.shape[2], self.tiles[0] * self.tile, self.tiles[1] * self.tile, self.units
        )
        return whole[:, : self.grid[0], : self.grid[1]].permute(0, 3, 1, 2)

    def parted(self, z: Tensor) -> Tensor:
        """:meth:`joined` the other way, 0 past the border.  [B, M, H', W'] -> [T, B, t t M]."""
        (below, right) = (n * self.tile - g for n, g in zip(self.tiles, self.grid, strict=True))
        z = nn.functional.pad(z.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below))
        z = z.view(z.shape[0], self.tiles[0], self.tile, self.tiles[1], self.tile, self.units)
        return z.permute(1, 3, 0, 2, 4, 5).reshape(self.tiles[0] * self.tiles[1], len(z), -1)

    def forward(self, x: Tensor) -> Tensor:
        """Drives.  x [B, C, H, W] -> [B, M, H', W']."""
        z = self.joined(torch.bmm(self.windows(x), self.matrices()))
        if self.bias is not None:
            z = z + self.bias.view(*self.grid, -1).permute(2, 0, 1)
        return z


class LocalFields(nn.Module):
    """A cell of rectified units with local fields.  x [B, C, H, W] -> h [B, M, H', W'].

    The first arguments are those of :class:`Fields`. ``normalise`` takes the length of the input
    away: over the whole layer by default, :func:`~onward.cells.rms_by_place` at each place by
    itself. ``peers`` is the peer term's strength lambda, 0 for none.

    >>> LocalFields((128, 4, 4), 220, 2)(torch.rand(2, 128, 4, 4)).shape
    torch.Size([2, 220, 3, 3])
    """

    def __init__(
        self,
        shape: Sequence[int],
        units: int,
        field: int,
        stride: int = 1,
        *,
        truncated: bool = False,
        tile: int | None = None,
        normalise: Normalise = rms,
        peers: float = 0.0,
        rng: Generator | None = None,
    ):
        super().__init__()
        self.normalise = normalise
        self.fields = Fields(shape, units, field, stride, truncated=truncated, tile=tile, rng=rng)
        self.peers = PeerNorm(self.outputs, peers) if peers > 0 else None

    @property
    def maps(self) -> tuple[int, int, int]:
        """(M, H', W'), the shape of what it answers."""
        return (self.fields.units, self.fields.grid[0], self.fields.grid[1])

    @property
    def outputs(self) -> int:
        """F, all units."""
        return prod(self.maps)

    def forward(self, x: Tensor) -> Tensor:
        """Activities.  x [B, C, H, W] -> h [B, M, H', W'], >= 0."""
        if tuple(x.shape[1:]) != self.fields.shape:
            raise BadInput(
                f"a cell of local fields on {list(self.fields.shape)} (channels, rows, columns) "
                f"was given samples {list(x.shape[1:])}: build it with that shape"
            )
        return torch.relu(self.fields(self.normalise(x)))

    def penalty(self, x: Tensor, h: Tensor) -> Tensor | None:
        """The peer term for positives x [N, C, H, W] with activities h, or None without one."""
        if self.peers is None:
            return None
        drive = self.fields(self.normalise(x).mean(0, keepdim=True))
        return torch.as_tensor(self.peers(place_by_place(h.detach()), place_by_place(drive)))


def place_by_place(h: Tensor) -> Tensor:
    """Units in the order in which they lie, that of the biases.  h [B, M, H', W'] -> [B, F]."""
    return h.permute(0, 2, 3, 1).flatten(1)


def _tile(units: int, side: int) -> int:
    """1, or for few units the side, a power of 2, of the smallest tile that is wide enough."""
    tile = 1
    while units < THIN and tile**2 * units < WIDE and tile < side:
        tile *= 2
    return min(tile, side)


def _check(sides: Sequence[int], field: int, stride: int, truncated: bool) -> None:
    """Refuse fields that do not fit, by name."""
    if len(sides) != 2:
        raise BadInput(
            f"local fields lie on samples (channels, rows, columns), and these have "
            f"{1 + len(sides)} dimensions: take images, or cell=dense"
        )
    if stride < 1 or field < 1:
        raise BadInput(f"field and stride should be 1 or more, and are {field} and {stride}")
    if truncated and field % 2 == 0:
        raise BadInput(f"truncated fields have a middle, so an odd side, and field is {field}")
    for side in sides if not truncated else ():
        if field > side or (side - field) % stride:
            raise BadInput(
                f"fields of {field} at stride {stride} do not end at the border of {side} rows or "
                "columns: take another field or stride, or truncated fields"
            )
