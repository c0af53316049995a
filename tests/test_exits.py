"""Early exit: against a slow reference, multiply-adds by hand, thresholds with known answers."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from command import onward
from test_export import built
from torch import Tensor

from onward import data, evaluate, readouts
from onward.cells import LocalFields
from onward.errors import BadInput
from onward.exits import Exits, choose, make, temperature
from onward.row import Row

DATA = data.load("synthetic")
WIDTH, CLASSES, PIXELS = 20, 10, 64


def forward_forward(**more: Any) -> Row:
    """Three cells that have learned nothing: they are sure of little, and of different labels."""
    settings = {"width": WIDTH, "cells": 3, "label": "first", **more}
    return built("ff-digits", **settings)[0]


def spread(exits: Exits) -> Exits:
    """With temperatures at which cells that have learned nothing are sure of something."""
    scores = exits.scores(DATA.validation.x)
    return dataclasses.replace(exits, temperatures=[float(s.std(1).mean()) for s in scores])


def slow(exits: Exits, x: Tensor, threshold: float) -> tuple[list[int], list[int]]:
    """Sample by sample, from everything that the library's own readouts say of it."""
    row, said, at = exits.row, [], []
    for one in torch.split(x, 1):
        if exits.readout == "goodness":
            each = readouts.every_label(row.cells, row.algorithm, one)[:, 0]  # [cells, K]
            counted = [[c for c in row.counted if c <= j] for j in range(exits.count)]
            scores = [each[chosen or list(range(j + 1))].sum(0) for j, chosen in enumerate(counted)]
        else:
            seen = readouts.neutral_answers(row.cells, row.algorithm, one)
            own = row.linear()
            assert own is not None
            scores = [head(head.features(seen))[0] for head in (*exits.heads, own)]
        for exit, (score, t) in enumerate(zip(scores, exits.temperatures, strict=True)):
            chances = torch.softmax(score.detach().double() / t, 0)
            if exit + 1 == exits.count or float(chances.max()) >= threshold:
                said.append(int(score.argmax()))
                at.append(exit)
                break
    return said, at


@pytest.mark.parametrize("readout", ["goodness", "linear"])
@pytest.mark.parametrize("counted", [None, [0, 1, 2], [2]])
def test_samples_leave_as_one_by_one(readout: str, counted: list[int] | None) -> None:
    row = forward_forward(counted=counted)
    exits = spread(make(row, readout, DATA, 0))
    scores = exits.scores(DATA.validation.x)
    assert scores.shape == (3, 200, CLASSES)
    threshold = float(torch.stack([exits.sure(j, scores[j])[0] for j in (0, 1)]).median())
    x = DATA.test.x[:60]
    left = exits.leave(x, threshold)
    said, at = slow(exits, x, threshold)
    assert left.answers.tolist() == said
    assert left.at.tolist() == at
    assert len(set(at)) > 1, "a test in which all leave at one place shows little"


@pytest.mark.parametrize("readout", ["goodness", "linear"])
def test_the_last_exit_is_the_readout_itself(readout: str) -> None:
    row = forward_forward()
    exits = make(row, readout, DATA, 0)
    own = evaluate.judge(row, DATA.test.x).scores(row, 3)[readout]
    torch.testing.assert_close(exits.scores(DATA.test.x)[-1], own)
    assert exits.whole(DATA.test.x).answers.equal(own.argmax(1))
    assert exits.leave(DATA.test.x, math.inf).answers.equal(own.argmax(1))


def test_multiply_adds_are_those_of_the_samples_that_stay() -> None:
    """Of every label one product with the image is shared, and its ten numbers are K x K more."""
    exits = spread(make(forward_forward(), "goodness", DATA, 0))
    first = PIXELS * WIDTH + CLASSES * CLASSES * WIDTH
    later = CLASSES * WIDTH * WIDTH
    x = DATA.test.x
    assert exits.whole(x).flops == 2 * len(x) * (first + 2 * later)
    assert exits.leave(x, math.inf).flops == exits.whole(x).flops
    left = exits.leave(x, 0.4)
    assert len(set(left.at.tolist())) == 3
    wanted = sum(first + later * exit for exit in left.at.tolist())
    assert left.flops == 2 * wanted < exits.whole(x).flops


def test_cells_that_no_readout_asks_are_not_counted() -> None:
    exits = make(forward_forward(counted=[1], read=[0, 1]), "goodness", DATA, 0)
    x = DATA.test.x
    assert exits.count == 2
    assert exits.whole(x).flops == exits.leave(x, math.inf).flops
    linear = make(exits.row, "linear", DATA, 0)
    first, second = PIXELS * WIDTH + CLASSES * WIDTH, WIDTH * WIDTH
    assert linear.whole(x).flops == 2 * len(x) * (first + second + 2 * WIDTH * CLASSES)


def test_multiply_adds_of_the_linear_readout() -> None:
    exits = make(built("uff-dae-mnist", widths=[20, 20, 20])[0], "linear", DATA, 0)
    cells, head = [PIXELS * 20, 400, 400], 20 * CLASSES
    x = DATA.test.x
    assert exits.whole(x).flops == 2 * len(x) * (sum(cells) + 3 * head)
    scores = exits.scores(x)
    left = exits.leave(x, float(exits.sure(0, scores[0])[0].median()))
    heads = [head, 3 * head, 6 * head]  # those that were asked on the way are paid for too
    wanted = sum(sum(cells[: exit + 1]) + heads[exit] for exit in left.at.tolist())
    assert left.flops == 2 * wanted
    assert left.at.bincount(minlength=3)[0] >= 100


def test_first_answers_are_the_same_without_a_closed_form() -> None:
    row = forward_forward()
    fast = make(row, "goodness", DATA, 0).scores(DATA.test.x)
    plain = make(dataclasses.replace(row, fast=False), "goodness", DATA, 0).scores(DATA.test.x)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-4)


def test_cells_of_maps_can_be_left() -> None:
    row = forward_forward(cells=2)
    row.stations[0].cell = LocalFields((1, 8, 8), 3, 4, 2)
    row.stations[1].cell = LocalFields((3, 3, 3), 5, 2)
    exits = spread(make(dataclasses.replace(row, counted=(0, 1)), "goodness", DATA, 0))
    x = DATA.test.x[:30]
    threshold = float(exits.sure(0, exits.scores(x)[0])[0].median())
    said, at = slow(exits, x, threshold)
    left = exits.leave(x, threshold)
    assert (left.answers.tolist(), left.at.tolist()) == (said, at)
    assert set(at) == {0, 1}


def test_making_exits_changes_no_weight_and_repeats() -> None:
    row = forward_forward()
    before = [p.clone() for s in row.everyone for p in s.cell.parameters()]
    made = [make(row, "linear", DATA, seed) for seed in (3, 3, 4)]
    after = [p for s in row.everyone for p in s.cell.parameters()]
    assert all(a.equal(b) for a, b in zip(before, after, strict=True))
    first, again, other = (one.heads[0].linear.weight for one in made)
    assert first.equal(again)
    assert not first.equal(other)
    assert made[0].temperatures == made[1].temperatures


def test_softmaxes_of_early_exits_learn() -> None:
    exits = make(forward_forward(width=100), "linear", DATA, 0)
    scores = exits.scores(DATA.test.x)
    right = [(s.argmax(1) == DATA.test.y).double().mean() for s in scores]
    assert min(right[:2]) > 0.5  # the last one was made at random: 0.1
    assert right[2] < 0.3


def test_a_temperature_is_found_again() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 5, generator=rng) * 2
    y = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    for scale in (0.01, 1.0, 300.0):
        assert temperature(scale * logits, y) == pytest.approx(scale, rel=0.08)


def sure_of(chances: list[float]) -> Tensor:
    """Scores [N, 2] whose softmax says class 0 with these chances."""
    p = torch.tensor(chances, dtype=torch.float64)
    return torch.stack([(p / (1 - p)).log(), torch.zeros_like(p)], dim=1).float()


def test_the_lowest_threshold_within_the_loss_is_chosen() -> None:
    """Of 1,000 samples exit 0 gets right those that it is 0.99 sure of, and no other."""
    chances = [0.99] * 900 + [0.8] * 100
    y = torch.tensor([0] * 900 + [1] * 100)
    last = torch.where(y[:, None] == torch.arange(2), 5.0, 0.0)
    scores = torch.stack([sure_of(chances), last])
    exits = Exits(forward_forward(), "goodness", temperatures=(1.0, 1.0))
    threshold, early = choose(exits, scores, y, 0.01)
    assert 0.8 < threshold < 0.85  # the lowest at which the wrong ones stay
    assert early.equal(y)
    threshold, early = choose(exits, scores, y, 0.13)  # (10 + 1)^2 of 1,000
    assert threshold == 0
    assert int((early != y).sum()) == 100
    threshold, _ = choose(exits, scores, y, 0.12)
    assert threshold > 0.8


def test_nobody_leaves_where_the_surest_are_wrong() -> None:
    scores = torch.stack([torch.tensor([[40.0, 0.0]] * 10), torch.tensor([[0.0, 1.0]] * 10)])
    exits = Exits(forward_forward(), "goodness", temperatures=(1.0, 1.0))
    threshold, early = choose(exits, scores, torch.ones(10, dtype=torch.long), 0.2)
    assert threshold == math.inf
    assert early.tolist() == [1] * 10


def test_few_samples_show_no_small_loss() -> None:
    scores = torch.stack([sure_of([0.99] * 300)] * 2)
    exits = Exits(forward_forward(), "goodness", temperatures=(1.0, 1.0))
    for lose, found in ((0.0, math.inf), (0.003, math.inf), (0.004, 0.0)):
        assert choose(exits, scores, torch.zeros(300, dtype=torch.long), lose)[0] == found


def test_what_gets_right_by_leaving_is_not_set_against_what_is_lost() -> None:
    early = sure_of([0.9] * 8)
    last = torch.tensor([[5.0, 0.0]] * 4 + [[0.0, 5.0]] * 4)
    y = torch.tensor([1, 1, 0, 0, 0, 0, 1, 1])
    exits = Exits(forward_forward(), "goodness", temperatures=(1.0, 1.0))
    threshold, _ = choose(exits, torch.stack([early, last]), y, 0.5)
    assert threshold > 0.9  # two would be gained and two lost


@pytest.mark.parametrize(
    ("name", "settings", "readout", "told"),
    [
        ("ff-recurrent-mnist", {"width": 10}, "goodness", "settle together"),
        ("uff-regression-diabetes", {"dataset": "diabetes"}, "linear", "says numbers"),
        ("ff-digits", {"cells": 1, "width": 10}, "goodness", "one cell only"),
    ],
)
def test_rows_that_nobody_can_leave(
    name: str, settings: dict[str, Any], readout: str, told: str
) -> None:
    row, _ = built(name, **settings)
    with pytest.raises(BadInput, match=told):
        make(row, readout, DATA, 0)


def test_a_threshold_needs_validation_samples() -> None:
    none = dataclasses.replace(DATA, validation=data.Split(DATA.test.x[:0], DATA.test.y[:0]))
    with pytest.raises(BadInput, match="keeps no samples for validation"):
        make(forward_forward(), "goodness", none, 0)


# --- the command


def test_exits_prints_and_keeps_its_table(copied: Path) -> None:
    done = onward("exits", copied, "--lose", 0, 90)
    assert done.code == 0, done.err
    kept = json.loads((copied / "exits.json").read_text())
    record = json.loads((copied / "record.json").read_text())
    assert kept["command"] == record["command"]
    for name, found in kept["readouts"].items():
        assert f"\n{name}: the whole row is right on" in "\n" + done.out
        errors = {split: 1 - found["whole"][split] for split in ("validation", "test")}
        assert errors["test"] == pytest.approx(record["test_error"][name])
        assert errors["validation"] == pytest.approx(record["validation_error"][name])
        strict, loose = found["thresholds"]
        assert strict["validation"] >= found["whole"]["validation"]
        assert loose["saved"] >= strict["saved"]
        assert sum(strict["left"]) == pytest.approx(1)
        assert loose["left"] == [1, 0]  # whatever it costs is allowed
        assert loose["saved"] > 0.1


@pytest.mark.parametrize("points", ["much", "-1", "nan", "101"])
def test_bad_points(copied: Path, points: str) -> None:
    complaint = onward("exits", copied, f"--lose={points}").complaint
    assert f"--lose wants points of accuracy, 0 to 100, and is {points!r}" in complaint


def test_bad_input_of_exits(copied: Path, tmp_path: Path) -> None:
    assert "record.json" in onward("exits", tmp_path / "nothing").complaint
    changed = json.loads((copied / "record.json").read_text())
    (copied / "record.json").write_text(json.dumps({**changed, "status": "interrupted"}))
    assert "not finished (interrupted)" in onward("exits", copied).complaint
    assert not (copied / "exits.json").exists()


def test_a_row_trained_by_backprop_can_be_left(copied: Path) -> None:
    done = onward("exits", copied / "twin", "--lose", 90)
    assert done.code == 0, done.err
    (found,) = json.loads((copied / "twin" / "exits.json").read_text())["readouts"].values()
    assert found["thresholds"][0]["left"][0] == 1
