"""Codes of labels and their two places in an input, number by number."""

import math

import pytest
import torch
from torch import Tensor

from onward import BadInput
from onward.labels import BY_NAME, appended, label_code, over_first, waves


def looped_code(label: int, classes: int, value: float) -> list[float]:
    if label == classes:
        return [value / classes] * classes
    return [value if place == label else 0.0 for place in range(classes)]


@pytest.mark.parametrize(("classes", "value"), [(2, 1.0), (10, 1.0), (10, 3.5), (7, 0.25)])
def test_code_of_every_label_and_of_none(classes: int, value: float) -> None:
    labels = torch.arange(classes + 1).flip(0).repeat(2)
    code = label_code(labels, classes, value)
    expected = torch.tensor([looped_code(int(label), classes, value) for label in labels])
    torch.testing.assert_close(code, expected, rtol=1e-7, atol=0)


def test_neutral_is_ten_values_of_a_tenth() -> None:
    assert label_code(torch.tensor([10]), 10).tolist() == [[pytest.approx(0.1)] * 10]


def samples(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(4, *shape, generator=rng, dtype=dtype) + 0.5


@pytest.mark.parametrize("shape", [(30,), (1, 6, 5), (3, 2, 5), (10,)])
def test_over_first_writes_the_first_numbers_and_no_others(shape: tuple[int, ...]) -> None:
    x = samples(*shape)
    kept = x.clone()
    code = label_code(torch.tensor([0, 3, 9, 10]), 10)
    rows = over_first(x, code)
    assert rows.shape == x.shape
    assert torch.equal(x, kept), "the sample itself was written over"
    for sample in range(4):
        before, after = x[sample].flatten().tolist(), rows[sample].flatten().tolist()
        for place, number in enumerate(after):
            if place < 10:
                assert number == float(code[sample, place])
            else:
                assert number == before[place]


@pytest.mark.parametrize("shape", [(30,), (1, 6, 5), (2,)])
def test_appended_keeps_every_number(shape: tuple[int, ...]) -> None:
    x = samples(*shape)
    code = label_code(torch.tensor([0, 3, 9, 10]), 10)
    rows = appended(x, code)
    for sample in range(4):
        assert rows[sample].tolist() == [*x[sample].flatten().tolist(), *code[sample].tolist()]


@pytest.mark.parametrize("name", BY_NAME)
def test_doubles_stay_doubles(name: str) -> None:
    x = samples(12, dtype=torch.float64)
    assert BY_NAME[name](x, label_code(torch.tensor([0, 1, 2, 3]), 3)).dtype == torch.float64


def test_an_input_that_is_too_small_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"10 classes needs 10 inputs.*has only 9.*appended"):
        over_first(samples(3, 3), label_code(torch.tensor([0, 1, 2, 3]), 10))


@pytest.mark.parametrize("shape", [(30,), (2, 6, 5), (4, 12)])
def test_waves_are_cosines_added_and_neutral_adds_nothing(shape: tuple[int, ...]) -> None:
    x = samples(*shape)
    rows = waves(x, label_code(torch.tensor([0, 3, 4, 5]), 5, value=0.5))
    assert rows.shape == x.shape
    assert torch.equal(rows[3], x[3])
    pairs = [(0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]  # the five longest, for images
    for row, label in ((0, 0), (1, 3), (2, 4)):
        down, across = pairs[label] if len(shape) == 3 else (0, label + 1)
        for place in torch.cartesian_prod(*(torch.arange(side) for side in shape)).view(
            -1, len(shape)
        ):
            i, j = (int(place[-2]), int(place[-1])) if len(shape) == 3 else (0, int(place[-1]))
            height = shape[-2] if len(shape) == 3 else 1
            wave = math.cos(math.pi * down * (i + 0.5) / height)
            wave *= math.cos(math.pi * across * (j + 0.5) / shape[-1])
            added = (rows - x)[(row, *place.tolist())]
            assert float(added) == pytest.approx(0.5 * wave, abs=1e-6)


def test_waves_need_room() -> None:
    with pytest.raises(BadInput, match="no room for 10 waves"):
        waves(samples(1, 3, 3), label_code(torch.arange(4), 10))
