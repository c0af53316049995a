"""The step of known effect (FF-T2): what is wanted is reached, and nothing behind it moves."""

import pytest
import torch

from onward import BadInput, Dense, generator
from onward.cells import l2, unchanged
from onward.cells.lengths import Normalise, rms
from onward.fast_and_slow import reach


def samples(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("wanted", [0.01, 5.0, 1e4])
@pytest.mark.parametrize("normalise", [rms, l2, unchanged])
def test_one_step_reaches_any_goodness(normalise: Normalise, wanted: float) -> None:
    cell, x = Dense(12, 30, normalise=normalise, rng=generator(0, "cells")).double(), samples(1)
    before = cell(x)
    eps = reach(cell, x, wanted)
    after = cell(x)
    assert after.square().sum().item() == pytest.approx(wanted, rel=1e-12)
    assert torch.cosine_similarity(before, after).item() == pytest.approx(1, abs=1e-12)
    assert (eps.item() > 0) == (wanted > before.square().sum().item())


def test_inputs_of_length_one_without_a_bias_are_the_papers() -> None:
    cell, x = Dense(12, 30, normalise=l2, rng=generator(0, "cells")).double(), samples(1)
    before, weight = cell(x)[0], cell.linear.weight.detach().clone()
    eps = reach(cell, x, 7.0)
    paper = (7.0 / before.square().sum()).sqrt() - 1  # of the weights alone
    torch.testing.assert_close(eps[0] * 2, paper.detach())  # |x|^2 + 1 = 2
    step = cell.linear.weight - weight
    torch.testing.assert_close(step, eps[0] * torch.outer(before, l2(x.flatten(1))[0]))


def test_all_cells_of_a_row_at_the_same_time() -> None:
    rng = generator(0, "cells")
    cells = [Dense(12, 30, rng=rng).double(), Dense(30, 20, rng=rng).double()]
    x = samples(1)
    seen = cells[0](x)
    last = cells[1](seen)
    # The second takes what the first said before its step: no one waits.
    reach(cells[0], x, 3.0)
    reach(cells[1], seen, 4.0)
    answered = cells[0](x)
    assert answered.square().sum().item() == pytest.approx(3.0)
    assert cells[1](answered).square().sum().item() == pytest.approx(4.0)
    assert torch.cosine_similarity(cells[1](answered), last).item() == pytest.approx(1, abs=1e-12)


def test_one_after_another_the_last_is_exact() -> None:
    cell, x = Dense(12, 30, rng=generator(0, "cells")).double(), samples(5)
    wanted = torch.arange(1.0, 6.0, dtype=torch.float64)
    once = Dense(12, 30, rng=generator(0, "cells")).double()
    for sample, goal in zip(x[:, None], wanted, strict=True):
        reach(once, sample, float(goal))
    reach(cell, x, wanted)
    assert torch.equal(cell.linear.weight, once.linear.weight)
    assert cell(x)[-1].square().sum().item() == pytest.approx(5.0)


def test_a_silent_cell_is_left_alone() -> None:
    cell = Dense(12, 30)
    cell.linear.bias.data.fill_(-100.0)
    before = cell.linear.weight.clone()
    assert reach(cell, samples(2).float(), 5.0).tolist() == [0.0, 0.0]
    assert torch.equal(cell.linear.weight, before)


@pytest.mark.parametrize("wanted", [0.0, -1.0, float("nan"), float("inf")])
def test_only_a_length_can_be_wanted(wanted: float) -> None:
    with pytest.raises(BadInput, match="should be above 0, and is"):
        reach(Dense(12, 3), samples(1).float(), wanted)


def test_only_a_dense_cell_and_its_samples_are_taken() -> None:
    with pytest.raises(BadInput, match="moves a Dense cell, and a Linear came"):
        reach(torch.nn.Linear(12, 3), samples(1).float(), 1.0)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"x should be \[B, 12\], and is \[3, 4\]"):
        reach(Dense(12, 3), samples(1)[0].float(), 1.0)
    with pytest.raises(BadInput, match=r"x should be \[B, 7\], and is \[1, 3, 4\]"):
        reach(Dense(7, 3), samples(1).float(), 1.0)
