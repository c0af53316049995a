"""Hybrid negatives (FF-T10), and Forward-Forward without labels on them."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from onward import (
    BadInput,
    Dense,
    HybridForwardForward,
    Split,
    build_row,
    check,
    generator,
    load,
    schedules,
    sgd,
)
from onward.data import Dataset
from onward.hybrids import Padding, hybrids, masks, partners
from onward.plan import Machine, Plan, Training
from onward.run import Run
from onward.train import new_record

PADDINGS: tuple[Padding, ...] = ("edge", "reflect", "zero")


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def rng(number: int = 0) -> torch.Generator:
    return generator(number, "negatives")


def beyond(place: int, size: int, padding: Padding) -> int | None:
    """Where a bit beyond the border is taken from; None for a zero."""
    if 0 <= place < size:
        return place
    if padding == "zero":
        return None
    if padding == "edge":
        return 0 if place < 0 else size - 1
    return -place if place < 0 else 2 * (size - 1) - place


def blurred_once(bits: list[list[float]], padding: Padding) -> list[list[float]]:
    """(1/4, 1/2, 1/4) along every row, then along every column, number by number."""
    for _ in range(2):  # rows, and after turning the image, columns
        out = []
        for row in bits:
            size = len(row)
            line = []
            for place in range(size):
                total = 0.0
                for step, weight in ((-1, 0.25), (0, 0.5), (1, 0.25)):
                    at = beyond(place + step, size, padding)
                    total += 0.0 if at is None else weight * row[at]
                line.append(total)
            out.append(line)
        bits = [list(column) for column in zip(*out, strict=True)]
    return bits


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("blurs", [0, 1, 2, 6])
def test_masks_are_blurred_bits_over_a_half(padding: Padding, blurs: int) -> None:
    x = torch.zeros(3, 1, 7, 9)
    found = masks(x, rng(), blurs, padding)
    bits = torch.rand(3, 7, 9, generator=rng()).round()
    for mask, drawn in zip(found, bits.tolist(), strict=True):
        for _ in range(blurs):
            drawn = blurred_once(drawn, padding)
        wanted = [[value > 0.5 for value in row] for row in drawn]
        assert mask.tolist() == [wanted]


def test_masks_of_samples_without_rows_are_blurred_along_them() -> None:
    found = masks(torch.zeros(50, 40), rng())
    assert found.shape == (50, 40)
    changes = (found[:, 1:] != found[:, :-1]).double().mean()
    assert 0.05 < float(changes) < 0.3, "patches, where bits would change at every other step"


@pytest.mark.parametrize("padding", PADDINGS)
def test_even_odds_everywhere_but_with_zeros(padding: Padding) -> None:
    mean = masks(torch.zeros(3000, 1, 28, 28), rng(), padding=padding).double().mean(0)[0]
    border = torch.cat([mean[0], mean[-1], mean[:, 0], mean[:, -1]]).mean()
    middle = mean[10:18, 10:18].mean()
    assert abs(float(middle) - 0.5) < 0.03
    if padding == "zero":
        assert float(border) < 0.01
    else:
        assert abs(float(border) - 0.5) < 0.03
        assert float((mean - 0.5).abs().max()) < 0.06


def test_every_pair_has_a_mask_of_its_own_and_every_step_new_ones() -> None:
    source = rng()
    first, second = (masks(torch.zeros(20, 1, 28, 28), source).flatten(1) for _ in range(2))
    assert len({tuple(one.tolist()) for one in (*first, *second)}) == 40
    assert torch.equal(masks(torch.zeros(20, 1, 28, 28), rng()).flatten(1), first)


def test_colours_share_a_mask() -> None:
    x = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    mixed = hybrids(x, rng())
    assert torch.equal(mixed[:, 0], mixed[:, 2])
    assert 0 < float(mixed.mean()) < 1


def test_partners_are_the_others_each_as_likely() -> None:
    counts = torch.zeros(5, 5)
    source = rng()
    for _ in range(4000):
        other = partners(5, source)
        counts[torch.arange(5), other] += 1
    assert not bool(counts.diagonal().any()), "never with itself"
    off = counts[~torch.eye(5, dtype=torch.bool)]
    assert float(((off - 1000).square() / 1000).sum()) < 45.3  # 99.9 % point, 20 degrees


def test_a_hybrid_has_each_number_from_one_of_its_two_images() -> None:
    x = torch.rand(30, 1, 12, 12, generator=rng(1), dtype=torch.float64)
    mixed, source = hybrids(x, rng()), rng()
    other = partners(30, source)
    mask = masks(x, source)
    assert mixed.dtype == x.dtype
    assert torch.equal(mixed[mask], x[mask])
    assert torch.equal(mixed[~mask], x[other][~mask])
    assert bool((mixed != x).flatten(1).any(1).all())
    assert bool((mixed != x[other]).flatten(1).any(1).all())


def test_what_precision_cells_compute_in_does_not_matter() -> None:
    x = torch.rand(10, 1, 28, 28)
    wanted = masks(x, rng())
    with Machine("cpu", "bf16").arithmetic(torch.device("cpu")):
        assert torch.equal(masks(x, rng()), wanted)


def test_refusals() -> None:
    x = torch.rand(4, 1, 8, 8)
    with pytest.raises(BadInput, match="two images of a batch, and this one has 1"):
        hybrids(x[:1], rng())
    with pytest.raises(BadInput, match="blurs should be 0 or more"):
        masks(x, rng(), -1)
    with pytest.raises(BadInput, match="padding can't be 'mirror'"):
        masks(x, rng(), 2, "mirror")  # type: ignore[arg-type]


# The algorithm.


def batch() -> tuple[Tensor, Tensor]:
    x = torch.rand(12, 1, 6, 6, generator=rng(3), dtype=torch.float64)
    return x, torch.arange(12) % 4


def test_streams_are_images_and_hybrids_and_carry_no_label() -> None:
    (x, y), algorithm = batch(), HybridForwardForward(blurs=3, padding="reflect")
    streams = algorithm.streams(x, y, rng())
    positive, negative = streams.split()
    assert torch.equal(positive, x)
    assert torch.equal(negative, hybrids(x, rng(), 3, "reflect"))
    again = algorithm.streams(x, y.flip(0), rng(), scores=torch.rand(12, 4))
    assert torch.equal(again.rows, streams.rows)
    assert streams.target is None
    assert algorithm.candidates == 0


def test_the_loss_number_by_number() -> None:
    """-(log p of positives + log (1 - p) of negatives) / 2N, p = sigmoid((squares - F) / T)."""
    (x, y), algorithm = batch(), HybridForwardForward(temperature=3.0)
    cell = Dense(36, 5, rng=generator(0, "cells")).double()
    ins = algorithm.streams(x, y, rng())
    total = 0.0
    for number, row in enumerate(ins.rows):
        flat = row.flatten()
        h = torch.relu(cell.linear.weight.detach() @ (flat / flat.square().mean().sqrt()))
        p = 1 / (1 + torch.exp(-(h.square().sum() - 5) / 3))
        total += float(-torch.log(p if number < 12 else 1 - p))
    ((_, loss),) = algorithm.losses(cell, ins, replace(ins, rows=cell(ins.rows)), None)
    assert float(loss.detach()) == pytest.approx(total / 24, rel=1e-6)


class Apart(HybridForwardForward):
    """The same, with a pass of its own for the readout."""

    @property
    def shows(self) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize("fast", [False, True])
def test_the_readout_learns_what_a_pass_of_its_own_would_teach_it(fast: bool) -> None:
    x, y = batch()
    rows = []
    for algorithm in (HybridForwardForward(), Apart()):
        source = generator(0, "cells")
        cells = [Dense(36, 10, peers=0.03, rng=source), Dense(10, 8, peers=0.03, rng=source)]
        row = build_row(cells, algorithm, sgd(0.01), classes=4, readout=sgd(0.1), read=[0, 1])
        row.fast = fast
        for station in row.everyone:
            station.cell.double()
        (stage,) = schedules.simultaneous(row, x, y, rng())
        assert stage.passes == (2 if type(algorithm) is HybridForwardForward else 3)
        for _ in range(6):
            stage.step(torch.arange(12))
        rows.append(row)
    for one, other in zip(*(row.everyone for row in rows), strict=True):
        for name, value in one.cell.state_dict().items():
            torch.testing.assert_close(value, other.cell.state_dict()[name], rtol=1e-9, atol=1e-9)


def plan(schedule: schedules.Schedule = schedules.simultaneous, batch: int = 200) -> Plan:
    source = generator(0, "cells")
    cells = [Dense(64, 20, peers=0.03, rng=source), Dense(20, 20, rng=source)]
    row = build_row(cells, HybridForwardForward(), sgd(1e-3), classes=10, readout=sgd(1e-2))
    return Plan(row, schedule, Training(epochs=1, batch=batch))


@pytest.mark.parametrize("name", ["simultaneous", "alternating", "greedy", "pairwise", "frozen"])
def test_every_schedule_serves_it(name: str) -> None:
    assert check.check_plan(lambda: plan(schedules.BY_NAME[name]))


def shortened(data: Dataset, samples: int) -> Dataset:
    first = Split(data.train.x[:samples], data.train.y[:samples])
    names = data.label_names
    return Dataset("short", first, data.validation, data.test, data.classes, names, data.origin)


def test_no_image_is_left_alone(tmp_path: Path) -> None:
    data, machine = shortened(load("synthetic"), 201), Machine("cpu", threads=1)
    with pytest.raises(BadInput, match="batches of 100 leave 1 for the last: take another batch"):
        Run(plan(batch=100), data, machine, new_record(plan(), data, machine, 0, {}))
    # Measuring goes through pieces of 200, the last of which would be one.
    made = plan(batch=67)
    run = Run(made, data, machine, new_record(made, data, machine, 0, {}))
    assert run.train()["status"] == "finished"


def test_cells_learn_to_tell_hybrids_of_strokes() -> None:
    """Images of one bar each; a hybrid has pieces of two, but for one in twelve, of the same."""
    source = generator(5, "x")
    x = torch.zeros(200, 1, 12, 12)
    x[torch.arange(200), 0, torch.randint(0, 12, (200,), generator=source)] = 1
    row = build_row([Dense(144, 100, rng=generator(0, "cells"))], HybridForwardForward(), sgd(1e-2))
    before = copy.deepcopy(row)
    (stage,) = schedules.simultaneous(row, x, torch.zeros(200, dtype=torch.long), rng())
    for _ in range(60):
        stage.step(torch.arange(200))
    streams = row.algorithm.streams(x, torch.zeros(200, dtype=torch.long), rng(9))
    right = []
    for each in (before, row):
        with torch.no_grad():
            positive, negative = each.algorithm.verdict(each.cells[0](streams.rows)).chunk(2)
        right.append(float((positive > negative).double().mean()))
    assert right[0] < 0.75 < 0.85 < right[1]
