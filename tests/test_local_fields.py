"""Local receptive fields against a dense layer with a mask, and the sizes of the paper (FF-T11)."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from onward import BadInput, Dense, HybridForwardForward, Station, generator, sgd
from onward.cells import Fields, LocalFields, rms, rms_by_place
from onward.local import walk

GEOMETRIES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "apart": (((1, 10, 10), 3, 4, 3), {}),
    "next to each other": (((5, 4, 4), 7, 2), {}),
    "in tiles": (((2, 10, 10), 2, 4, 3), {"tile": 2}),
    "truncated": (((3, 9, 9), 2, 5), {"truncated": True}),
    "truncated, a product a place": (((3, 9, 9), 2, 5), {"truncated": True, "tile": 1}),
    "truncated, tiles over the edge": (((3, 9, 7), 2, 5), {"truncated": True, "tile": 4}),
    "truncated, at a stride": (((3, 9, 7), 2, 3, 2), {"truncated": True, "tile": 2}),
    "larger than the image": (((1, 3, 3), 2, 7), {"truncated": True}),
}


def made(name: str) -> Fields:
    words, more = GEOMETRIES[name]
    layer = Fields(*words, **more, rng=generator(0, "cells")).double()
    nn.init.normal_(layer.bias, generator=generator(1, "cells"))
    return layer


def written_out(layer: Fields) -> tuple[Tensor, Tensor]:
    """The same weights as a matrix [M H' W', C H W], and which of it there are, place by place."""
    channels, high, wide = layer.shape
    matrix = torch.zeros(layer.units, *layer.grid, channels, high, wide, dtype=torch.float64)
    there = torch.zeros_like(matrix, dtype=torch.bool)
    pairs = iter(layer.weight.detach())
    for i in range(layer.grid[0]):
        for j in range(layer.grid[1]):
            for a in range(layer.field):
                for b in range(layer.field):
                    row = i * layer.stride + a - layer.margin
                    column = j * layer.stride + b - layer.margin
                    if 0 <= row < high and 0 <= column < wide:
                        matrix[:, i, j, :, row, column] = next(pairs).T
                        there[:, i, j, :, row, column] = True
    assert next(pairs, None) is None, "no weight beyond those of the fields"
    size = layer.units * layer.grid[0] * layer.grid[1]
    return matrix.view(size, -1), there.view(size, -1)


def by_channel(layer: Fields, bias: Tensor) -> Tensor:
    """Biases, which are place by place, in the order of flattened maps."""
    return bias.view(*layer.grid, layer.units).permute(2, 0, 1).flatten()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_dense_layer_with_a_mask(name: str) -> None:
    layer = made(name)
    matrix, _ = written_out(layer)
    x = torch.rand(4, *layer.shape, generator=generator(2, "x"), dtype=torch.float64)
    wanted = x.flatten(1) @ matrix.T + by_channel(layer, layer.bias.detach())
    torch.testing.assert_close(layer(x).flatten(1), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_gradients_are_those_of_the_masked_layer(name: str) -> None:
    layer = made(name)
    matrix, there = written_out(layer)
    matrix.requires_grad_()
    x = torch.rand(4, *layer.shape, generator=generator(2, "x"), dtype=torch.float64)
    weigh = torch.rand(4, len(matrix), generator=generator(3, "x"), dtype=torch.float64)
    (layer(x).flatten(1) * weigh).sum().backward()
    (x.flatten(1) @ matrix.T * weigh).sum().backward()  # type: ignore[no-untyped-call]
    own = copy.deepcopy(layer)
    assert layer.weight.grad is not None
    assert matrix.grad is not None
    own.weight.data = layer.weight.grad
    torch.testing.assert_close(written_out(own)[0], matrix.grad * there, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("peers", [0.0, 0.03])
@pytest.mark.parametrize("name", ["apart", "truncated"])
def test_updates_are_those_of_a_masked_dense_cell(name: str, peers: float) -> None:
    """Several steps of Forward-Forward, with momentum, decay and the peer term."""
    words, more = GEOMETRIES[name]
    cell = LocalFields(*words, **more, peers=peers, rng=generator(0, "cells")).double()
    layer = cell.fields
    matrix, there = written_out(layer)
    dense = Dense(matrix.shape[1], matrix.shape[0], peers=peers).double()
    dense.linear.weight.data = matrix.clone()
    hook = dense.linear.weight.register_hook
    hook(lambda gradient: gradient * there)  # type: ignore[no-untyped-call]
    algorithm = HybridForwardForward()
    maker = sgd(0.01, decay=0.1)
    stations = [
        Station("cell-0", each, {"cell": maker(each.parameters())}) for each in (cell, dense)
    ]
    x = torch.rand(6, *layer.shape, generator=generator(2, "x"), dtype=torch.float64)
    y, before = torch.zeros(6, dtype=torch.long), layer.weight.detach().clone()
    for step in range(5):
        ins = algorithm.streams(x, y, generator(0, "negatives", step))
        losses = [
            station.update(algorithm, seen, outs)["cell"]
            for one in stations
            for station, seen, outs in walk([one], ins)
        ]
        torch.testing.assert_close(*losses, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(layer.weight, before)
    torch.testing.assert_close(
        written_out(layer)[0], dense.linear.weight.data, rtol=1e-9, atol=1e-9
    )
    bias = by_channel(layer, layer.bias.detach())
    torch.testing.assert_close(bias, dense.linear.bias.data, rtol=1e-9, atol=1e-9)


def test_the_papers_sizes() -> None:
    """204,800, 1,013,760 and 1,802,240 weights; the last field ends at pixel 27."""
    cells = [
        LocalFields((1, 28, 28), 128, 10, 6),
        LocalFields((128, 4, 4), 220, 2),
        LocalFields((220, 3, 3), 512, 2),
    ]
    assert [cell.fields.weight.numel() for cell in cells] == [204_800, 1_013_760, 1_802_240]
    assert [cell.maps for cell in cells] == [(128, 4, 4), (220, 3, 3), (512, 2, 2)]
    assert [cell.outputs for cell in cells] == [2048, 1980, 2048]
    first = cells[0].fields
    for pixel, seen in ((27, [[3, 3]]), (17, [[2, 2]]), (5, [[0, 0]])):  # fields at 0, 6, 12, 18
        x = torch.zeros(1, 1, 28, 28)
        x[0, 0, pixel, pixel] = 1
        assert first(x)[0].abs().sum(0).nonzero().tolist() == seen


def test_the_sizes_of_cifar() -> None:
    layer = Fields((3, 32, 32), 3, 11, truncated=True)
    assert layer.grid == [32, 32]
    assert layer.weight.numel() == 933_156
    assert layer.bias.numel() == 3072
    assert layer.tile > 1, "a product a place would be thin"


def test_first_weights_are_as_large_as_their_units_fields_ask() -> None:
    """A unit in the corner has fewer inputs, and larger weights."""
    layer = Fields((2, 12, 12), 60, 7, truncated=True, rng=generator(0, "cells"))
    matrix, there = written_out(layer.double())
    power = matrix.square().sum(1).view(60, 12, 12).mean(0)
    counts = there.sum(1).view(60, 12, 12)[0]
    assert counts[0, 0] == 2 * 16
    assert counts[6, 6] == 2 * 49
    assert bool((power - 1).abs().max() < 0.2), "N(0, 1 / inputs): squares sum to 1"
    again = Fields((2, 12, 12), 60, 7, truncated=True, rng=generator(0, "cells"))
    assert torch.equal(again.double().weight, layer.weight)


def test_lengths_over_the_layer_and_by_place() -> None:
    x = torch.rand(3, 5, 4, 4, generator=generator(0, "x")) + 0.1
    loud = x.clone()
    loud[:, :, 0, 0] *= 100
    whole, place = (
        LocalFields((5, 4, 4), 6, 2, normalise=n, rng=generator(0, "cells"))
        for n in (rms, rms_by_place)
    )
    torch.testing.assert_close(place(loud), place(x), rtol=1e-4, atol=1e-4)
    far = (whole(loud) - whole(x)).abs().amax((0, 1))
    assert bool((far > 1e-3).all()), "one loud place takes the length from all others"
    each = rms_by_place(x).square().mean(1)
    torch.testing.assert_close(each, torch.ones_like(each))


def test_a_unit_that_is_off_is_pushed_by_its_peers() -> None:
    cell = LocalFields((2, 4, 4), 3, 2, peers=0.5)
    nn.init.constant_(cell.fields.bias, -100.0)
    x = torch.rand(4, 2, 4, 4)
    h = cell(x)
    assert not bool(h.any())
    assert cell.peers is not None
    cell.peers.means[0] = 0.0
    term = cell.penalty(x, h)
    assert term is not None
    term.backward()  # type: ignore[no-untyped-call]
    gradient = cell.fields.bias.grad
    assert gradient is not None
    assert gradient[0] < 0 < gradient[1], "the quiet unit is raised, the others are lowered"


@pytest.mark.parametrize(
    ("words", "more", "wanted"),
    [
        (((1, 28, 28), 8, 10, 5), {}, "do not end at the border of 28"),
        (((1, 8, 8), 8, 10), {}, "do not end at the border of 8"),
        (((1, 8, 8), 8, 4), {"truncated": True}, "an odd side"),
        (((64,), 8, 4), {}, "lie on samples"),
        (((1, 8, 8), 8, 4, 0), {}, "1 or more"),
    ],
)
def test_fields_that_do_not_fit(words: tuple[Any, ...], more: dict[str, Any], wanted: str) -> None:
    with pytest.raises(BadInput, match=wanted):
        LocalFields(*words, **more)


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(BadInput, match="was given samples"):
        LocalFields((1, 8, 8), 3, 4, 2)(torch.rand(2, 1, 9, 9))
