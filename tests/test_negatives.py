"""Negatives: never the true label, with the frequencies that the paper's text asks for (FF-T9).

Frequencies are held against the probabilities by the chi-square statistic. Its bounds are the
99.9 % points; with a fixed seed a test either always passes or always fails.
"""

import math

import pytest
import torch
from torch import Tensor

from onward import BadInput, generator
from onward.negatives import BY_NAME, Negatives, hard_label, wrong_label

DRAWS = 100_000
BOUND_3 = 16.27  # 99.9 % point of chi-square with 3 degrees of freedom
BOUND_8 = 26.12  # with 8


def rng(number: int = 0) -> torch.Generator:
    return generator(number, "negatives")


def chi_square(drawn: Tensor, chances: list[float]) -> float:
    total = 0.0
    for label, chance in enumerate(chances):
        count = sum(1 for one in drawn.tolist() if one == label)
        if chance == 0.0:
            assert count == 0
        else:
            total += (count - chance * len(drawn)) ** 2 / (chance * len(drawn))
    return total


def softmax_without(scores: list[float], true: int) -> list[float]:
    weights = [0.0 if k == true else math.exp(score) for k, score in enumerate(scores)]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("name", BY_NAME)
def test_never_the_true_label(name: str, classes: int) -> None:
    y = torch.randint(0, classes, (DRAWS,), generator=torch.Generator().manual_seed(1))
    scores = 5 * torch.randn(DRAWS, classes, generator=torch.Generator().manual_seed(2))
    scores[torch.arange(DRAWS), y] += 20  # a net that is nearly always sure and right
    drawn = BY_NAME[name](y, classes, scores, rng())
    assert drawn.shape == y.shape
    assert int((drawn == y).sum()) == 0
    assert int(drawn.min()) == 0
    assert int(drawn.max()) == classes - 1


@pytest.mark.parametrize("true", [0, 2, 4])
def test_hard_negatives_follow_the_softmax_without_the_true_class(true: int) -> None:
    scores = [0.3, -1.2, 1.1, 0.0, 2.0]
    y = torch.full((DRAWS,), true)
    drawn = hard_label(y, 5, torch.tensor([scores]).repeat(DRAWS, 1), rng())
    assert chi_square(drawn, softmax_without(scores, true)) < BOUND_3
    even = [0.0 if k == true else 0.25 for k in range(5)]
    assert chi_square(drawn, even) > 1000, "the statistic can't tell softmax from uniform"


def test_hard_negatives_look_at_their_own_sample_only() -> None:
    first, second = [3.0, 0.0, 1.0, 0.5, -1.0], [-2.0, 1.0, 0.0, 1.5, 2.0]
    half = DRAWS // 2
    scores = torch.tensor([first, second]).repeat(half, 1)
    y = torch.tensor([1, 4]).repeat(half)
    drawn = hard_label(y, 5, scores, rng())
    assert chi_square(drawn[0::2], softmax_without(first, 1)) < BOUND_3
    assert chi_square(drawn[1::2], softmax_without(second, 4)) < BOUND_3


def test_wrong_labels_are_uniform_whatever_the_scores() -> None:
    y = torch.full((DRAWS,), 3)
    drawn = wrong_label(y, 10, 100 * torch.eye(10)[torch.zeros(DRAWS, dtype=torch.long)], rng())
    assert chi_square(drawn, [0.0 if k == 3 else 1 / 9 for k in range(10)]) < BOUND_8
    assert torch.equal(drawn, wrong_label(y, 10, None, rng()))


def test_negatives_are_fresh_at_every_step() -> None:
    y, source = torch.zeros(1000, dtype=torch.long), rng()
    first, second = (wrong_label(y, 10, None, source) for _ in range(2))
    assert 0.05 < float((first == second).double().mean()) < 0.17  # one in nine by chance


@pytest.mark.parametrize("scale", [1e4, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_scores(dtype: torch.dtype, scale: float) -> None:
    classes = 5
    y = torch.arange(classes).repeat(200)
    own = torch.nn.functional.one_hot(y, classes)
    for sign in (scale, -scale):
        drawn = hard_label(y, classes, (sign * own).to(dtype), rng())
        assert not bool((drawn == y).any())
        assert set(drawn.tolist()) == set(range(classes))
    # One other class towers over the rest: it is always the one.
    after = (y + 1) % classes
    towering = scale * torch.nn.functional.one_hot(after, classes)
    assert torch.equal(hard_label(y, classes, towering.to(dtype), rng()), after)


@pytest.mark.parametrize("high", [0.0, 1e4, math.inf])
def test_scores_of_minus_infinity(high: float) -> None:
    """A class of no probability is not drawn; where all others have none, still not the true."""
    y = torch.arange(4).repeat(500)
    index = torch.arange(len(y))
    only_true = torch.full((len(y), 4), -math.inf)
    only_true[index, y] = high
    assert not bool((hard_label(y, 4, only_true, rng()) == y).any())
    one_more = only_true.clone()
    after = (y + 1) % 4
    one_more[index, after] = -50.0
    assert torch.equal(hard_label(y, 4, one_more, rng()), after)


def test_noise_of_zero_does_not_let_the_true_label_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """log 0 = -inf: the mask has to come after the noise, or the true score is not a number."""

    def zero(self: Tensor, lambd: float = 1, *, generator: torch.Generator | None = None) -> Tensor:
        return self.zero_()

    monkeypatch.setattr(Tensor, "exponential_", zero)
    y = torch.arange(4)
    assert not bool((hard_label(y, 4, torch.randn(4, 4), rng()) == y).any())


def test_hard_negatives_without_scores_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"give the row a readout.*negatives=wrong"):
        hard_label(torch.zeros(2, dtype=torch.long), 3, None, rng())


@pytest.mark.parametrize(("sampler", "asks"), [(hard_label, True), (wrong_label, False)])
def test_only_hard_negatives_ask_for_scores(sampler: Negatives, asks: bool) -> None:
    assert getattr(sampler, "asks_scores", False) is asks
