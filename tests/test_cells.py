"""Cells against their definitions: lengths, first weights, and the peer term row by row.

The references are loops over single numbers, or autograd through every single row, in double
precision. Names in brackets (FF-T3, ...) are those of the acceptance tests of the paper's digest.
"""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from onward import BadInput, data, generator
from onward.cells import Dense, PeerNorm, l2, rms, unchanged
from onward.cells.lengths import BY_NAME, Normalise
from onward.goodness import sum_of_squares


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype)


# Lengths.


@pytest.mark.parametrize("shape", [(6, 11), (6, 2, 3, 4), (6, 1)])
@pytest.mark.parametrize("name", ["rms", "l2"])
def test_lengths_equal_their_definition(name: str, shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    came = BY_NAME[name](x)
    assert came.shape == x.shape
    for sample, row in zip(x, came, strict=True):
        numbers = sample.flatten().tolist()
        squares = math.fsum(number * number for number in numbers)
        length = math.sqrt(squares / len(numbers)) if name == "rms" else math.sqrt(squares)
        for number, scaled in zip(numbers, row.flatten().tolist(), strict=True):
            assert scaled == pytest.approx(number / (1e-8 + length), rel=1e-13)


@pytest.mark.parametrize("normalise", [rms, l2])
def test_scale_is_gone_and_nothing_else(normalise: Normalise) -> None:
    x = drawn(5, 40)
    for factor in (1e-3, 7.5, 1e6):
        torch.testing.assert_close(normalise(factor * x), normalise(x), rtol=1e-4, atol=0)
    factors = torch.tensor([[0.5], [1.0], [2.0], [30.0], [1e4]])
    torch.testing.assert_close(normalise(factors * x), normalise(x), rtol=1e-6, atol=0)
    shifted = normalise(x + 3)
    assert float((shifted - normalise(x)).abs().max()) > 0.1, "a mean was taken away"
    assert not torch.allclose(normalise(-x), normalise(x))


@pytest.mark.parametrize("name", BY_NAME)
def test_silence_stays_silence(name: str) -> None:
    """A cell of which no unit speaks sends zeros on, with a gradient that is a number."""
    x = torch.zeros(2, 9, requires_grad=True)
    answer = BY_NAME[name](x)
    assert torch.equal(answer, torch.zeros(2, 9))
    cell = Dense(9, 4, normalise=BY_NAME[name], rng=generator(0, "cells"))
    assert bool(torch.isfinite(cell(x)).all())
    (gradient,) = torch.autograd.grad(answer.sum(), x)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("normalise", [rms, l2])
def test_lengths_of_bf16_are_taken_in_fp32(normalise: Normalise) -> None:
    x = drawn(4, 3000).to(torch.bfloat16)
    came = normalise(x)
    assert came.dtype == torch.float32
    torch.testing.assert_close(came.double(), normalise(x.double()), rtol=1e-5, atol=0)


def test_unchanged_is_the_very_tensor() -> None:
    x = drawn(2, 3)
    assert unchanged(x) is x


# The dense cell.


@pytest.mark.parametrize("name", BY_NAME)
def test_dense_equals_the_formula(name: str) -> None:
    cell = Dense(6, 4, normalise=BY_NAME[name], rng=generator(0, "cells")).double()
    nn.init.normal_(cell.linear.bias, generator=torch.Generator().manual_seed(3))
    x = drawn(5, 1, 2, 3)
    came, bias = cell(x).detach(), cell.linear.bias.tolist()
    for sample, row in zip(x, came, strict=True):
        flat = BY_NAME[name](sample.flatten()[None])[0].tolist()
        for unit in range(4):
            weights = cell.linear.weight[unit].tolist()
            total = bias[unit] + math.fsum(w * v for w, v in zip(weights, flat, strict=True))
            assert float(row[unit]) == pytest.approx(max(0.0, total), abs=1e-13)


@pytest.mark.parametrize(("inputs", "outputs"), [(784, 500), (50, 2000)])
def test_first_weights(inputs: int, outputs: int) -> None:
    """W ~ N(0, 1/inputs), whatever the number of units, and b = 0."""
    cell = Dense(inputs, outputs, rng=generator(0, "cells"))
    scaled = cell.linear.weight.detach().double() * inputs**0.5
    count = scaled.numel()
    assert abs(float(scaled.mean())) < 4 / count**0.5
    assert abs(float(scaled.square().mean()) - 1) < 4 * (2 / count) ** 0.5
    # Fourth moment 3: normal, not uniform (1.8). Its own variance is 96 / count.
    assert abs(float(scaled.pow(4).mean()) - 3) < 4 * (96 / count) ** 0.5
    assert torch.equal(cell.linear.bias, torch.zeros(outputs))


def test_first_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(0)
    one = Dense(20, 10, rng=generator(5, "cells"))
    torch.manual_seed(1)
    two = Dense(20, 10, rng=generator(5, "cells"))
    other = Dense(20, 10, rng=generator(6, "cells"))
    assert torch.equal(one.linear.weight, two.linear.weight)
    assert not torch.equal(one.linear.weight, other.linear.weight)


def test_samples_of_another_size_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"8 inputs .* 9 numbers .*Dense\(9, 3\)"):
        Dense(8, 3)(torch.rand(2, 1, 3, 3))


def sparse_images(count: int) -> Tensor:
    """As MNIST: about a fifth of the pixels is on, most of those fully."""
    rng = torch.Generator().manual_seed(0)
    ink = torch.rand(count, 784, generator=rng) < 0.19
    return ink * torch.rand(count, 784, generator=rng).mul(2).clamp(max=1)


def digits_at_hand() -> Tensor:
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ONWARD_DATA", beside))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no MNIST under {folder}: name its parent in ONWARD_DATA")
    return data.load("mnist", str(folder / "mnist")).validation.x[:200].flatten(1)


def first_logits(images: Tensor, seed: int) -> list[float]:
    """Mean of sum of squares - units, for 784 -> 1000, 784 -> 2000 and 1000 -> 1000."""
    rng = generator(seed, "cells")
    narrow, wide = Dense(784, 1000, rng=rng), Dense(784, 2000, rng=rng)
    second = Dense(1000, 1000, rng=rng)
    with torch.no_grad():
        answers = [narrow(images), wide(images), second(narrow(images))]
    return [float(sum_of_squares(h).mean()) - h.shape[1] for h in answers]


@pytest.mark.parametrize("source", ["made", "real"])
def test_logits_at_initialisation(source: str) -> None:
    """FF-T3: near minus half the units; the digest measured -474, -1021 and -516 on one seed."""
    images = sparse_images(200) if source == "made" else digits_at_hand()
    seeds = [first_logits(images, seed) for seed in range(4)]
    for place, measured in enumerate([-474, -1021, -516]):
        mean = sum(logits[place] for logits in seeds) / len(seeds)
        half = [-500, -1000, -500][place]
        assert mean == pytest.approx(half, rel=0.05)
        assert mean == pytest.approx(measured, rel=0.10)


@pytest.mark.parametrize("factor", [1e-3, 0.5, 1e4])
def test_later_cells_ignore_the_length_of_what_they_are_given(factor: float) -> None:
    """FF-T8."""
    rng = generator(0, "cells")
    first, second, third = Dense(8, 20, rng=rng), Dense(20, 20, rng=rng), Dense(20, 20, rng=rng)
    x = drawn(7, 8).float()
    h = first(x)
    plain, scaled = second(h), second(factor * h)
    torch.testing.assert_close(scaled, plain, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(third(scaled), third(plain), rtol=1e-4, atol=1e-5)
    each = 10 ** torch.linspace(-2, 3, 7)[:, None]
    torch.testing.assert_close(second(each * h), plain, rtol=1e-4, atol=1e-5)


# The peer term.

N, INPUTS, UNITS, STRENGTH = 5, 6, 4, 0.03


def peered(strength: float = STRENGTH) -> Dense:
    cell = Dense(INPUTS, UNITS, peers=strength, rng=generator(0, "cells")).double()
    with torch.no_grad():
        cell.linear.bias.copy_(torch.tensor([0.1, -100.0, 0.0, -0.2]))  # unit 1 is always off
        assert cell.peers is not None
        cell.peers.means.copy_(torch.tensor([0.2, 0.5, 0.9, 0.4]))
    return cell


def explicit(cell: Dense, x: Tensor, means: list[float]) -> tuple[Tensor, list[float]]:
    """The term summed over every row and unit, and the means after it."""
    weight, bias = cell.linear.weight, cell.linear.bias
    drives = []
    for row in x:
        numbers = row.flatten()
        length = (numbers.square().sum() / len(numbers)).sqrt() + 1e-8
        drives.append([(weight[j] * numbers / length).sum() + bias[j] for j in range(UNITS)])
    for j in range(UNITS):
        activity = sum(max(0.0, drive[j].item()) for drive in drives) / len(x)
        means[j] = 0.9 * means[j] + 0.1 * activity
    middle = sum(means) / UNITS
    total = torch.zeros((), dtype=torch.float64)
    for drive in drives:
        for j in range(UNITS):
            total = total + STRENGTH / len(x) * (means[j] - middle) * drive[j]
    return total, means


def test_peer_term_equals_the_sum_over_rows() -> None:
    """FF-T6: value, gradients of all weights and biases, and running means, over four steps."""
    cell = peered()
    assert cell.peers is not None
    means = cell.peers.means.tolist()
    parameters = [cell.linear.weight, cell.linear.bias]
    for step in range(4):
        x = drawn(N, 1, 2, 3, seed=step)
        term = cell.penalty(x, cell(x))
        expected, means = explicit(cell, x, means)
        assert term is not None
        torch.testing.assert_close(term, expected, rtol=1e-12, atol=1e-14)
        came = torch.autograd.grad(term, parameters)
        wanted = torch.autograd.grad(expected, parameters)
        for one, other in zip(came, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-14)
        assert cell.peers.means.tolist() == pytest.approx(means, rel=1e-6)


def test_peer_term_reaches_a_unit_that_is_off() -> None:
    """FF-T6: the goodness gives such a unit no gradient at all."""
    cell, x = peered(), drawn(N, INPUTS)
    h = cell(x)
    assert bool((h[:, 1] == 0).all())
    (plain,) = torch.autograd.grad(sum_of_squares(h).sum(), cell.linear.bias, retain_graph=True)
    assert float(plain[1]) == 0
    term = cell.penalty(x, h)
    assert term is not None
    (push,) = torch.autograd.grad(term, cell.linear.bias)
    assert float(push[1]) < 0, "a unit quieter than its peers is pushed up by descent"
    assert float(push[2]) > 0, "a unit busier than its peers is pushed down by descent"


@pytest.mark.parametrize("width", [20, 1000])
def test_peer_term_against_its_mean_of_squares_form(width: int) -> None:
    """FF-T6: the other form in circulation pushes an active unit 5 x width times more weakly."""
    h = drawn(N, width).abs().requires_grad_()
    other = 0.9 * 0.5 + 0.1 * h.mean(0)
    (weak,) = torch.autograd.grad(STRENGTH * (other - other.mean()).square().mean(), h)
    peers = PeerNorm(width, STRENGTH).double()
    (strong,) = torch.autograd.grad(peers(h.detach(), h.mean(0)), h)
    torch.testing.assert_close(strong, 5 * width * weak, rtol=1e-5, atol=1e-12)


def test_a_cell_without_peers_has_no_term_and_no_buffer() -> None:
    cell = Dense(INPUTS, UNITS)
    x = torch.rand(2, INPUTS)
    assert cell.penalty(x, cell(x)) is None
    assert set(cell.state_dict()) == {"linear.weight", "linear.bias"}


def test_running_means_are_saved_loaded_and_moved() -> None:
    cell = peered()
    x = drawn(N, INPUTS)
    cell.penalty(x, cell(x))
    assert cell.peers is not None
    fresh = Dense(INPUTS, UNITS, peers=STRENGTH).double()
    assert fresh.peers is not None
    assert fresh.peers.means.tolist() == [0.5] * UNITS
    fresh.load_state_dict(cell.state_dict())
    assert torch.equal(fresh.peers.means, cell.peers.means)
    one, other = cell.penalty(x, cell(x)), fresh.penalty(x, fresh(x))
    assert one is not None
    assert other is not None
    assert torch.equal(one, other)

    assert cell.float().peers.means.dtype == torch.float32  # type: ignore[union-attr]
    assert cell.to(torch.float64).peers.means.dtype == torch.float64  # type: ignore[union-attr]
    assert cell.to("meta").peers.means.device.type == "meta"  # type: ignore[union-attr]


def test_no_peer_gradient_into_the_running_means() -> None:
    cell, x = peered(), drawn(N, INPUTS)
    assert cell.peers is not None
    cell.penalty(x, cell(x))
    assert not cell.peers.means.requires_grad
