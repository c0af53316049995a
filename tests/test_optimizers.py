"""Optimisers against loops over single numbers, many steps long; rates against the paper's code."""

import copy
import io
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from onward.optimizers import RATE_SCHEDULES, adamw, constant, cooldown, cosine, set_rate, sgd

STEPS = 40
SHAPES = {"weight": (3, 4), "bias": (3,), "kernel": (2, 3, 2, 2), "gain": ()}


def parameters() -> dict[str, nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    return {
        name: nn.Parameter(torch.randn(shape, generator=rng, dtype=torch.float64))
        for name, shape in SHAPES.items()
    }


def gradients() -> list[dict[str, Tensor]]:
    rng = torch.Generator().manual_seed(1)
    return [
        {n: torch.randn(s, generator=rng, dtype=torch.float64) for n, s in SHAPES.items()}
        for _ in range(STEPS)
    ]


def is_weight(name: str) -> bool:
    return len(SHAPES[name]) >= 2


def trained(
    optimizer: Optimizer, made: dict[str, nn.Parameter], steps: list[dict[str, Tensor]]
) -> dict[str, list[float]]:
    for step in steps:
        for name, parameter in made.items():
            parameter.grad = step[name].clone()
        optimizer.step()
    return {name: parameter.detach().flatten().tolist() for name, parameter in made.items()}


def looped_sgd(value: float, steps: list[float], rate: list[float], mu: float, wd: float) -> float:
    velocity = 0.0
    for eps, gradient in zip(rate, steps, strict=True):
        value = value * (1 - eps * wd)
        velocity = mu * velocity + gradient
        value = value - eps * velocity
    return value


def looped_adamw(value: float, steps: list[float], rate: list[float], wd: float) -> float:
    first = second = 0.0
    for t, (eps, gradient) in enumerate(zip(rate, steps, strict=True), start=1):
        value = value * (1 - eps * wd)
        first = 0.8 * first + 0.2 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        unbiased = first / (1 - 0.8**t), second / (1 - 0.95**t)
        value = value - eps * unbiased[0] / (math.sqrt(unbiased[1]) + 1e-8)
    return value


Loop = Callable[[float, list[float], float], float]


def expected(loop: Loop, wd: float) -> dict[str, list[float]]:
    """Every number of every parameter on its own; decay for weights only."""
    steps, found = gradients(), {}
    for name, parameter in parameters().items():
        start = parameter.detach().flatten().tolist()
        pulls = [step[name].flatten().tolist() for step in steps]
        decay = wd if is_weight(name) else 0.0
        found[name] = [
            loop(value, [pull[place] for pull in pulls], decay) for place, value in enumerate(start)
        ]
    return found


def assert_equal(came: dict[str, list[float]], wanted: dict[str, list[float]]) -> None:
    for name, numbers in wanted.items():
        assert came[name] == pytest.approx(numbers, rel=1e-10, abs=1e-12), name


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_equals_the_loop(momentum: float, decay: float) -> None:
    made = parameters()
    came = trained(sgd(0.05, momentum, decay)(made.values()), made, gradients())
    wanted = expected(lambda v, s, wd: looped_sgd(v, s, [0.05] * STEPS, momentum, wd), decay)
    assert_equal(came, wanted)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_equals_the_loop(decay: float) -> None:
    made = parameters()
    came = trained(adamw(0.05, (0.8, 0.95), decay)(made.values()), made, gradients())
    assert_equal(came, expected(lambda v, s, wd: looped_adamw(v, s, [0.05] * STEPS, wd), decay))


def test_momentum_with_a_tenth_of_the_rate_is_the_authors_smoothing() -> None:
    """0.9 old + 0.1 new at rate 0.05, from a smoothed gradient of 0, is sgd(0.005, 0.9)."""

    def smoothed(value: float, steps: list[float], wd: float) -> float:
        smooth = 0.0
        for gradient in steps:
            smooth = 0.9 * smooth + 0.1 * gradient
            value = value - 0.05 * smooth
        return value

    made = parameters()
    assert_equal(trained(sgd(0.005, 0.9)(made.values()), made, gradients()), expected(smoothed, 0))


@pytest.mark.parametrize("maker", [sgd(0.05, 0.9, 0.3), adamw(0.05, decay=0.3)])
def test_decay_is_on_weights_only(maker: Callable[..., Optimizer]) -> None:
    """With no gradient at all, decay is the only thing that moves."""
    made = parameters()
    still = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    came = trained(maker(made.values()), made, [still] * 10)
    for name, parameter in parameters().items():
        factor = (1 - 0.05 * 0.3) ** 10 if is_weight(name) else 1.0
        numbers = (factor * parameter.detach()).flatten().tolist()
        assert came[name] == pytest.approx(numbers, rel=1e-12), name


def test_parameters_of_one_kind_make_one_group() -> None:
    """A readout has no bias: an optimiser of weights alone must not trip over that."""
    weight = nn.Parameter(torch.ones(2, 2))
    bias = nn.Parameter(torch.ones(2))
    for maker in (sgd(0.1), adamw(0.1)):
        assert len(maker([weight]).param_groups) == 1
        assert len(maker([bias]).param_groups) == 1
        assert len(maker([weight, bias]).param_groups) == 2


# Rates.


def test_cooldown_multipliers() -> None:
    """FF-T12."""
    found = [cooldown(epoch, 100) for epoch in (1, 50, 51, 75, 99, 100)]
    assert found == [1.0, 1.0, pytest.approx(0.99), pytest.approx(0.51), 0.03, 0.01]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 100, 125])
@pytest.mark.parametrize("name", RATE_SCHEDULES)
def test_rates_never_rise_and_never_vanish(name: str, epochs: int) -> None:
    multipliers = [RATE_SCHEDULES[name](epoch, epochs) for epoch in range(1, epochs + 1)]
    assert multipliers[0] == pytest.approx(1.0)
    assert all(b <= a for a, b in pairwise(multipliers))
    assert multipliers[-1] > 0


def test_cosine_and_constant() -> None:
    assert constant(7, 9) == 1.0
    assert [cosine(e, 4) for e in (1, 3, 4)] == [
        pytest.approx(v) for v in (1.0, 0.5, 0.5 * (1 - math.sqrt(0.5)))
    ]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_set_rate_scales_step_and_decay_from_the_first_rate(kind: str) -> None:
    """A multiplier is of the rate that was asked for, however often one was set before."""
    multipliers = [1.0, 0.5, 0.01, 0.25] * (STEPS // 4)
    made = parameters()
    maker = sgd(0.05, 0.9, 0.3) if kind == "sgd" else adamw(0.05, (0.8, 0.95), 0.3)
    optimizer = maker(made.values())
    came = {}
    for multiplier, step in zip(multipliers, gradients(), strict=True):
        set_rate(optimizer, multiplier)
        came = trained(optimizer, made, [step])
    rates = [0.05 * multiplier for multiplier in multipliers]
    loops: dict[str, Loop] = {
        "sgd": lambda v, s, wd: looped_sgd(v, s, rates, 0.9, wd),
        "adamw": lambda v, s, wd: looped_adamw(v, s, rates, wd),
    }
    assert_equal(came, expected(loops[kind], 0.3))


@pytest.mark.parametrize("maker", [sgd(0.05, 0.9, 0.3), adamw(0.05, decay=0.3)])
def test_state_survives_a_round_trip(maker: Callable[..., Optimizer]) -> None:
    """Cut in the middle, with a rate set: the rest is the same bit for bit."""
    steps = gradients()
    whole, made = parameters(), parameters()
    optimizer, cut = maker(whole.values()), maker(made.values())
    set_rate(optimizer, 0.5)
    set_rate(cut, 0.5)
    trained(optimizer, whole, steps[:15])
    trained(cut, made, steps[:15])
    saved = io.BytesIO()
    torch.save(cut.state_dict(), saved)
    saved.seek(0)
    again = {name: nn.Parameter(p.detach().clone()) for name, p in made.items()}
    fresh = maker(again.values())
    fresh.load_state_dict(torch.load(saved, weights_only=True))
    for one in (optimizer, fresh):
        set_rate(one, 0.1)
        assert [group["lr"] for group in one.param_groups] == [0.05 * 0.1] * 2
    assert trained(fresh, again, steps[15:]) == trained(optimizer, whole, steps[15:])
    forgetful = {name: nn.Parameter(p.detach().clone()) for name, p in made.items()}
    other = maker(forgetful.values())
    set_rate(other, 0.1)
    assert trained(other, forgetful, steps[15:]) != trained(optimizer, copy.deepcopy(whole), [])
