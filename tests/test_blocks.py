"""Blocks of cells that know nothing of each other learn what one row learns, bit for bit."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from torch import Generator, Tensor

from onward import blocks, data, recipes, train
from onward.plan import Machine, Plan
from onward.record import without_times
from onward.row import Row
from onward.run import Run
from onward.stages import Stage

SMALL = {"dataset": "synthetic", "epochs": 2, "batch": 70}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "overlay": ("ff-digits", {"negatives": "wrong", "width": 16, "cells": 3}),
    "peers": ("ff-digits", {"negatives": "wrong", "width": 16, "cells": 3, "peers": 0.03}),
    "no labels": ("ff-free-mnist", {"widths": [16, 16, 16], "batch": 50}),
    "told": ("collab-mnist", {"gamma": "earlier", "width": 16}),
    "told, read": ("collab-mnist", {"gamma": "earlier", "width": 16, "linear": True}),
    "auto-encoders": ("uff-dae-mnist", {"widths": [16, 14, 12]}),
    "original": ("uff-ae-mnist", {"widths": [16, 14, 12], "target": "original", "tied": False}),
    "some read": ("uff-ae-mnist", {"widths": [16, 14, 12], "read": [0, 2]}),
    "convolutions": ("uff-cae-mnist", {"widths": [4, 6], "kernel": 3}),
    "adversarial": ("uff-gan-mnist", {"widths": [16, 14], "critic": 10}),
}


def plan_of(name: str, **more: Any) -> tuple[Plan, data.Dataset]:
    recipe_name, changed = ROWS[name]
    recipe = recipes.find(recipe_name)
    known = vars(recipe.defaults)
    small = {k: v for k, v in SMALL.items() if k in known}
    settings = replace(recipe.defaults, **{**small, **changed, **more})
    dataset = recipe.data(settings, data.load(settings.dataset))
    return recipe.build(settings, dataset, 3), dataset


def cut(sizes: Sequence[int], row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """The schedule simultaneous by blocks of so many cells, in turn, in this process."""
    how = blocks.way(row, x, y, rng)
    source = blocks.Source(row, x, y, rng, how)
    ends = list(itertools.accumulate(sizes))
    parts = [
        blocks.Block(row.stations[end - size : end], end - size, row, how)
        for size, end in zip(sizes, ends, strict=True)
    ]

    def step(index: Tensor) -> dict[str, Tensor]:
        message, labels = source.batch(index)
        losses: dict[str, Tensor] = {}
        read: dict[str, Tensor] = {}
        for part in parts:
            found, message, answers = part.step(message)
            assert not any(
                tensor.requires_grad for tensor in [*message.values(), *answers.values()]
            )
            assert bool(answers) == part.shows
            losses |= found
            read |= answers
        assert not message
        return losses | (blocks.Reader(row, how).step(read, labels) if row.readout else {})

    yield Stage("cells", tuple(row.everyone), step, len(row.stations), 1)


def trained(
    plan: Plan, dataset: data.Dataset, fast: Any, precision: Any
) -> tuple[Plan, dict[str, Any]]:
    machine = Machine("cpu", precision, 1, fast)
    record = train.new_record(plan, dataset, machine, 3, {})
    run = Run(plan, dataset, machine, record)
    return plan, without_times(run.train())


@pytest.mark.parametrize(
    ("fast", "precision"), [("auto", "fp32"), ("off", "fp32"), ("auto", "bf16")]
)
@pytest.mark.parametrize("name", ROWS)
def test_blocks_learn_what_one_row_learns(name: str, fast: str, precision: str) -> None:
    whole, dataset = plan_of(name)
    cells = len(whole.row.stations)
    wanted = trained(whole, dataset, fast, precision)
    for sizes in ([cells], [1] * cells, [1, cells - 1]):
        plan, _ = plan_of(name)
        plan.schedule = partial(cut, sizes)
        came = trained(plan, dataset, fast, precision)
        for mine, yours in zip(wanted[0].row.everyone, came[0].row.everyone, strict=True):
            ours, theirs = mine.cell.state_dict(), yours.cell.state_dict()
            for key in ours:
                assert ours[key].equal(theirs[key]), (sizes, mine.name, key)
        assert wanted[1]["curves"] == came[1]["curves"]
        assert wanted[1]["test_error"] == came[1]["test_error"]
        assert wanted[1]["cost"]["flops"] == came[1]["cost"]["flops"]
