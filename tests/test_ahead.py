"""Rows of a file that are read before they are wanted: the same rows, whatever is foretold."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import onward
from onward import ForwardForward, generator, prefix, schedules, sgd
from onward.cells import Dense
from onward.negatives import wrong_label
from onward.prefix import Ahead

CLASSES, SAMPLES, BATCH = 4, 40, 8


def made(folder: Path | None, seed: int = 0) -> Ahead:
    algorithm = ForwardForward(CLASSES, negatives=wrong_label)
    shape = (algorithm.views, SAMPLES, 6)
    device = torch.device("cpu")
    store = prefix.allocate(shape, torch.float32, device, 0.0 if folder else 9.0, folder)
    store.copy_(torch.rand(shape, generator=torch.Generator().manual_seed(1)))
    return Ahead(algorithm, store, torch.arange(SAMPLES) % CLASSES, generator(seed, "negatives"))


def taken(ahead: Ahead, tell: bool = True) -> list[Tensor]:
    """What a pass over the samples picks."""
    found = []
    batches = list(torch.arange(SAMPLES).view(-1, BATCH))
    for number, index in enumerate(batches):
        if tell and number + 1 < len(batches):
            ahead.tell(batches[number + 1])
        which = ahead.algorithm.draw(ahead.y[index], ahead.rng, None)
        rows = ahead.rows(which.flatten(), index.repeat(len(which)))
        assert torch.equal(rows, ahead.store[which.flatten(), index.repeat(len(which))])
        found.append(rows.clone())
    return found


def test_batches_of_a_file_have_been_read_when_they_are_wanted(tmp_path: Path) -> None:
    ahead = made(tmp_path)
    filed = taken(ahead)
    assert ahead.found == SAMPLES // BATCH - 1
    for one, other in zip(filed, taken(made(None), tell=False), strict=True):
        assert torch.equal(one, other)


def test_what_is_foretold_draws_nothing_of_the_generator(tmp_path: Path) -> None:
    told, untold = made(tmp_path), made(tmp_path)
    taken(told)
    taken(untold, tell=False)
    assert untold.found == 0
    assert torch.equal(told.rng.get_state(), untold.rng.get_state())


def test_a_draw_that_comes_out_otherwise_is_picked_when_it_is_wanted(tmp_path: Path) -> None:
    ahead = made(tmp_path)
    index, after = torch.arange(BATCH), torch.arange(BATCH, 2 * BATCH)
    ahead.tell(after)
    which = torch.zeros(BATCH, dtype=torch.long)
    assert torch.equal(ahead.rows(which, index), ahead.store[0, :BATCH])
    other = which + 1
    assert torch.equal(ahead.rows(other, after), ahead.store[1, BATCH : 2 * BATCH])
    assert ahead.found == 0


def test_a_store_in_memory_is_picked_from_at_once() -> None:
    before = threading.active_count()
    ahead = made(None)
    taken(ahead)
    assert ahead.found == 0
    assert threading.active_count() == before


def test_a_run_reads_ahead_and_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Budget 0: what frozen cells answer is a file. Cells after the first read ahead from it."""
    found: list[Ahead] = []

    class Counted(Ahead):
        def __init__(self, *words: Any):
            super().__init__(*words)
            found.append(self)

    monkeypatch.setattr(prefix, "Ahead", Counted)
    data = onward.load("synthetic")
    weights = []
    for budget in (0.0, 9.0):
        rng = generator(0, "cells")
        cells = [Dense(a, 20, rng=rng) for a in (64, 20, 20)]
        onward.fit(
            cells,
            ForwardForward(data.classes, negatives=wrong_label),
            data,
            epochs=2,
            optimizer=sgd(0.01),
            schedule=partial(schedules.greedy, budget=budget),
            device="cpu",
            out=tmp_path / f"{budget}",
        )
        weights.append([p.clone() for cell in cells for p in cell.parameters()])
    steps = -(-len(data.train) // 100)
    # The first batch of each of two epochs was not foretold; the file is that of cells 2 and 3.
    assert [one.found for one in found] == [2 * (steps - 1)] * 2 + [0, 0]
    for one, other in zip(*weights, strict=True):
        assert torch.equal(one, other)
