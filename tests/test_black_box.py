"""Black boxes between cells: their noise, their odds, and that nothing but activities passes."""

import pytest
import torch
from command import onward

from onward import BadInput, Dense, ForwardForward, Station, fit, generator, load, sgd
from onward.cells import BehindBox
from onward.cells.black_box import BY_NAME, own_noise, spikes, steps
from onward.local import Streams
from onward.negatives import wrong_label


def samples(count: int, width: int) -> torch.Tensor:
    return torch.rand(count, width, generator=torch.Generator().manual_seed(0))


def behind(box: str = "spikes", peers: float = 0.03) -> BehindBox:
    return BehindBox(Dense(12, 8, peers=peers, rng=generator(0, "cells")), BY_NAME[box], 1.0)


def test_own_noise_is_uniform_and_independent() -> None:
    u = own_noise(3 * samples(400, 250), seed=0)
    assert 0 <= float(u.min()) < 1e-4
    assert 1 - 1e-4 < float(u.max()) < 1
    counts = torch.histc(u, 20, 0, 1)
    assert float((counts / u.numel() - 0.05).abs().max()) < 0.003
    rows = torch.corrcoef(u[:20]).fill_diagonal_(0)
    columns = torch.corrcoef(u.T[:20]).fill_diagonal_(0)
    assert float(rows.abs().max()) < 0.35
    assert float(columns.abs().max()) < 0.25


def test_own_noise_is_a_samples_own_and_not_its_last_bits() -> None:
    x = samples(6, 30)
    whole = own_noise(x, seed=3)
    assert torch.equal(whole[2:4], own_noise(x[2:4], seed=3))
    assert float((whole == own_noise(x * (1 + 1e-7), 3)).float().mean()) > 0.98
    assert float((whole == own_noise(x, 4)).float().mean()) < 0.01
    moved = x.clone()
    moved[:, 7] += 0.5
    changed = (whole != own_noise(moved, 3)).any(0).nonzero().flatten().tolist()
    assert changed == [7, 8]


@pytest.mark.parametrize("level", [0.3, 2.0])
def test_odds(level: float) -> None:
    x = torch.tensor([[-1.0, 0.0, 0.4, 1.7]]).repeat(20_000, 1)
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    y = spikes(x, u, level)
    assert set(y.flatten().tolist()) == {0.0, 1.0}
    wanted = 1 - torch.exp(-level * x[0].clamp(min=0))
    torch.testing.assert_close(y.mean(0), wanted, atol=0.015, rtol=0)
    rounded = steps(x, u, level)
    torch.testing.assert_close((rounded / level).round() * level, rounded)
    torch.testing.assert_close(rounded.mean(0), x[0], atol=0.03 * level, rtol=0)


def test_judged_alike_and_trained_anew() -> None:
    cell, x = behind(), samples(5, 12)
    with torch.no_grad():
        assert torch.equal(cell(x), cell(x))
        assert torch.equal(cell(x)[1:3], cell(x[1:3]))
    assert cell.steps == 0
    assert not torch.equal(cell(x), cell(x))
    assert cell.steps == 2
    twin = behind()
    twin.load_state_dict(cell.state_dict())
    assert torch.equal(cell(x), twin(x))


def test_no_gradient_passes() -> None:
    x = samples(5, 12).requires_grad_()
    cell = behind()
    cell(x).sum().backward()
    assert x.grad is None
    assert cell.cell.linear.weight.grad is not None


def test_a_cell_learns_what_it_would_from_what_came_through() -> None:
    cell, algorithm = behind(), ForwardForward(4)
    plain = Dense(12, 8, peers=0.03, rng=generator(0, "cells"))
    ins = Streams(samples(6, 12), 2)
    boxed = Station("boxed", cell, {"cell": sgd(0.1)(cell.parameters())})
    boxed.update(algorithm, ins, boxed.forward(ins))
    assert cell._through is not None
    bare = Station("plain", plain, {"cell": sgd(0.1)(plain.parameters())})
    through = Streams(cell._through, 2)
    bare.update(algorithm, through, bare.forward(through))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(cell.cell.state_dict()[name], value)


def test_two_boxes_of_one_row_do_not_draw_alike() -> None:
    def cells(*numbers: int) -> list[BehindBox]:
        shapes = (64, 12), (12, 12), (12, 12)
        return [
            BehindBox(Dense(*shape, rng=generator(0, "cells")), BY_NAME["steps"], 1.0, number=n)
            for shape, n in zip(shapes, numbers, strict=True)
        ]

    algorithm = ForwardForward(10, negatives=wrong_label)
    data = load("synthetic")
    with pytest.raises(BadInput, match="two cells behind black boxes draw the same noise"):
        fit(cells(0, 1, 1), algorithm, data, epochs=1, threads=1)
    fit(cells(0, 1, 2), algorithm, data, epochs=1, threads=1)
    with pytest.raises(BadInput, match=r"box should be a function .*, and is 'spikes'"):
        BehindBox(Dense(3, 2), "spikes", 1.0)  # type: ignore[arg-type]


def test_bad_levels() -> None:
    with pytest.raises(BadInput, match="the level of a black box should be a number above 0"):
        BehindBox(Dense(3, 2), spikes, 0.0)
    said = onward("run", "ff-blackbox-mnist", "--dataset", "digits", "--level", "-1").complaint
    assert "level should be a number above 0, and is -1" in said
    words = ("--dataset", "digits", "--box", "none", "--level", "2")
    said = onward("run", "ff-blackbox-mnist", *words).complaint
    assert "level=2.0 is of a box, and box=none" in said
