"""Every goodness against plain loops over samples and units, and its gradient."""

from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
import torch
from torch import Tensor

from onward.goodness import BY_NAME, Goodness, natural_threshold, negative, sum_of_squares, top_k
from onward.recipes.forward_forward import GoodnessName

Loop = Callable[[list[float]], float]


def squares(units: list[float]) -> float:
    total = 0.0
    for unit in units:
        total += unit * unit
    return total


def plain_sum(units: list[float]) -> float:
    total = 0.0
    for unit in units:
        total += unit
    return total


def of_the_largest(units: list[float], k: int) -> float:
    kept = sorted(units, reverse=True)[:k]
    return squares(kept) / len(kept)


LOOPS: dict[str, Loop] = {
    "sum_of_squares": squares,
    "mean_of_squares": lambda units: squares(units) / len(units),
    "negative_sum_of_squares": lambda units: -squares(units),
    "negative_mean_of_squares": lambda units: -squares(units) / len(units),
    "sum_of_activities": plain_sum,
    "negative_sum_of_activities": lambda units: -plain_sum(units),
    "top_k": lambda units: of_the_largest(units, 15),
}
SHAPES = [(5, 40), (4, 3, 2, 5), (1, 6), (3, 1)]


def drawn(*shape: int) -> Tensor:
    # Signed, as a cell with another activation than ReLU would answer.
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def looped(loop: Loop, h: Tensor) -> Tensor:
    return torch.tensor([loop(sample.flatten().tolist()) for sample in h], dtype=torch.float64)


def test_every_name_has_a_loop_here_and_is_known_to_recipes() -> None:
    assert set(BY_NAME) == set(LOOPS) == set(get_args(GoodnessName))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LOOPS)
def test_equals_the_loop(name: str, shape: tuple[int, ...]) -> None:
    h = drawn(*shape)
    torch.testing.assert_close(BY_NAME[name](h), looped(LOOPS[name], h), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("k", [1, 3, 40, 1000])
def test_top_k_for_any_k(k: int) -> None:
    h = drawn(5, 40)
    expected = looped(lambda units: of_the_largest(units, k), h)
    torch.testing.assert_close(top_k(h, k=k), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", LOOPS)
def test_gradient_against_finite_differences(name: str) -> None:
    h, step = drawn(2, 20), 1e-6
    (gradient,) = torch.autograd.grad(BY_NAME[name](h.requires_grad_()).sum(), h)
    h = h.detach()
    for sample in range(2):
        for unit in range(20):
            up, down = h.clone(), h.clone()
            up[sample, unit] += step
            down[sample, unit] -= step
            rise = looped(LOOPS[name], up).sum() - looped(LOOPS[name], down).sum()
            expected = float(rise) / (2 * step)
            assert float(gradient[sample, unit]) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOOPS)
def test_sums_of_half_precision_are_taken_in_fp32(name: str, dtype: torch.dtype) -> None:
    h = drawn(3, 1001).to(dtype)
    g = BY_NAME[name](h)
    assert g.dtype == torch.float32
    torch.testing.assert_close(g.double(), looped(LOOPS[name], h), rtol=1e-5, atol=1e-3)
    # 1001 is not a bf16 number, and its neighbours are 1000 and 1004.
    assert float(sum_of_squares(torch.ones(1, 1001, dtype=dtype))) == 1001.0


@pytest.mark.parametrize("width", [1, 7, 1000])
@pytest.mark.parametrize("name", LOOPS)
def test_natural_threshold_is_the_goodness_of_ones(name: str, width: int) -> None:
    assert natural_threshold(BY_NAME[name], width) == LOOPS[name]([1.0] * width)


def test_natural_threshold_of_a_goodness_with_a_setting() -> None:
    def scaled(h: Tensor, by: float) -> Tensor:
        return by * sum_of_squares(h)

    halved: Goodness = partial(scaled, by=0.5)
    assert natural_threshold(halved, 30) == 15.0
    assert natural_threshold(negative(halved), 30) == -15.0
    assert natural_threshold(sum_of_squares, 30) == 30.0
