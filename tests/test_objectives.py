"""Objectives of Forward-Forward cells against plain sums over rows and pairs, and their slopes."""

from math import exp, log
from pathlib import Path

import pytest
import torch
from command import TINY, onward

from onward import ForwardForward, closed, objectives
from onward.goodness import mean_of_squares


def soft(u: float) -> float:
    return log(1 + exp(u))


def plain(name: str, g: list[float], theta: float, t: float) -> float:
    pairs = list(zip(g[: len(g) // 2], g[len(g) // 2 :], strict=True))
    if name == "logistic":
        return sum(soft((theta - p) / t) + soft((n - theta) / t) for p, n in pairs) / len(g)
    margin = t * abs(theta)
    u = [(n - p) / margin for p, n in pairs]
    each = [soft(v) if name == "symba" else v / (1 + exp(-v)) for v in u]
    return margin * sum(each) / len(pairs)


@pytest.mark.parametrize(("theta", "t"), [(1.0, 1.0), (4.0, 0.3), (-4.0, 0.3)])
@pytest.mark.parametrize("name", objectives.BY_NAME)
def test_value_and_slope(name: str, theta: float, t: float) -> None:
    g = (8 * torch.rand(10, generator=torch.Generator().manual_seed(0))).double().requires_grad_()
    loss = objectives.BY_NAME[name](g, theta, t)
    # torch's softplus is straight from 20 on, which is 2e-9 off.
    assert loss.item() == pytest.approx(plain(name, g.tolist(), theta, t), rel=1e-8)
    (wanted,) = torch.autograd.grad(loss, g)
    same, slope = objectives.SLOPES[objectives.BY_NAME[name]](g.detach(), theta, t, 3.0)
    torch.testing.assert_close(same, loss.detach())
    torch.testing.assert_close(slope, 3 * wanted)


@pytest.mark.parametrize("name", objectives.BY_NAME)
def test_far_pairs_stay_finite(name: str) -> None:
    g = torch.tensor([1e4, 0.0, 0.0, 1e4], requires_grad=True)
    loss = objectives.BY_NAME[name](g, 1.0, 1.0)
    (wanted,) = torch.autograd.grad(loss, g)
    same, slope = objectives.SLOPES[objectives.BY_NAME[name]](g.detach(), 1.0, 1.0, 1.0)
    assert bool(torch.isfinite(wanted).all())
    torch.testing.assert_close((same, slope), (loss.detach(), wanted))


@pytest.mark.parametrize("name", ["symba", "swish"])
def test_pairs_know_theta_as_a_measure_only(name: str) -> None:
    g, objective = torch.rand(6), objectives.BY_NAME[name]
    torch.testing.assert_close(objective(g, 2.0, 1.0), objective(g + 5, 2.0, 1.0))
    torch.testing.assert_close(objective(g, 4.0, 0.25), objective(g, -1.0, 1.0))
    torch.testing.assert_close(objective(g, 0.0, 0.5), objective(g, 1.0, 0.5))


@pytest.mark.parametrize("name", ["symba", "swish"])
def test_a_pair_the_wrong_way_round_has_one_slope_under_every_margin(name: str) -> None:
    for margin in (0.01, 1.0):
        g = torch.tensor([0.0, 50.0], requires_grad=True)  # the negative is far ahead
        (slope,) = torch.autograd.grad(objectives.BY_NAME[name](g, 1.0, margin), g)
        torch.testing.assert_close(slope, torch.tensor([-1.0, 1.0]))


def test_pairs_of_a_mean_are_those_of_a_sum() -> None:
    """In units of a cell of ones a margin is the same share of either goodness."""
    h = torch.rand(8, 50)
    of_sum = objectives.swish(h.square().sum(1), 50.0, 0.1)
    torch.testing.assert_close(of_sum, 50 * objectives.swish(h.square().mean(1), 1.0, 0.1))


def test_an_objective_of_ones_own_is_learned_by_autograd() -> None:
    def squared(g: torch.Tensor, theta: float, temperature: float) -> torch.Tensor:
        return (g - theta).square().mean()

    algorithm = ForwardForward(4, goodness=mean_of_squares, loss=squared)
    assert not closed.closed_loss(algorithm)
    assert closed.closed_loss(ForwardForward(4, goodness=mean_of_squares, loss=objectives.swish))


@pytest.mark.parametrize("name", ["symba", "swish"])
def test_as_a_setting(name: str, tmp_path: Path) -> None:
    words = ["run", "ff-digits", *TINY, "--objective", name]
    assert onward(*words, "--out", tmp_path / "run").code == 0
    said = onward(*words, "--theta", "1").complaint
    assert said.startswith(f"objective={name} compares positives with negatives and has no thresh")
