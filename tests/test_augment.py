"""Jitter: moves against a slow reference, even odds, and what it leaves alone in a run."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from command import onward
from torch import Generator, Tensor

import onward as ow
from onward import BadInput, Dense, ForwardForward, build_row, check, generator, schedules, sgd
from onward.augment import jitter
from onward.local import Streams
from onward.negatives import wrong_label
from onward.plan import Machine, Plan, Training
from onward.run import Run
from onward.train import new_record


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def rng(number: int = 0) -> Generator:
    return generator(number, "augment")


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """Pixel by pixel; zeros move in."""
    out = torch.zeros_like(image)
    _, high, wide = image.shape
    for row in range(high):
        for column in range(wide):
            if 0 <= row - down < high and 0 <= column - right < wide:
                out[:, row, column] = image[:, row - down, column - right]
    return out


def test_every_move_and_no_other_each_as_likely() -> None:
    image = 1 + torch.arange(2 * 5 * 6).view(2, 5, 6).double()
    every = torch.stack([moved(image, a, b) for a in range(-2, 3) for b in range(-2, 3)])
    found = jitter(image.expand(10_000, -1, -1, -1), rng())
    assert found.dtype == image.dtype
    which = (found[:, None] == every).flatten(2).all(2)
    assert bool((which.sum(1) == 1).all()), "each is one of the 25"
    counts = which.sum(0)
    assert float(((counts - 400).double().square() / 400).sum()) < 51.2  # 99.9 %, 24 degrees


def test_each_image_moves_by_itself_and_the_original_stays() -> None:
    x = torch.rand(50, 1, 8, 8, generator=rng(1))
    before = x.clone()
    first, again, other = jitter(x, rng()), jitter(x, rng()), jitter(x, rng(2))
    assert torch.equal(x, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(jitter(x, rng(), 0), x)


@pytest.mark.parametrize(
    ("shape", "pixels", "wanted"),
    [
        ((4, 64), 2, "moves images"),
        ((4, 1, 8, 6), 6, "0 to 5 pixels"),
        ((4, 1, 8, 8), -1, "0 to 7"),
    ],
)
def test_refusals(shape: tuple[int, ...], pixels: int, wanted: str) -> None:
    with pytest.raises(BadInput, match=wanted):
        jitter(torch.rand(shape), rng(), pixels)


# In a run.


@dataclass(frozen=True)
class Watched(ForwardForward):
    """Keeps what it made of every batch."""

    seen: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def streams(
        self, x: Tensor, y: Tensor, rng: Generator, scores: Tensor | None = None
    ) -> Streams:
        made = super().streams(x, y, rng, scores)
        self.seen.append((made.rows, y))
        return made


def plan(schedule: Any = schedules.simultaneous, augment: Any = jitter, **more: Any) -> Plan:
    source = generator(0, "cells")
    cells = [Dense(64, 20, peers=0.03, rng=source), Dense(20, 20, rng=source)]
    algorithm = more.get("algorithm") or ForwardForward(10, negatives=wrong_label)
    row = build_row(cells, algorithm, sgd(1e-3), classes=10, readout=sgd(1e-2))
    return Plan(row, schedule, Training(epochs=2, batch=200), augment)


def ran(made: Plan, fast: Any = "auto") -> Run:
    data, machine = ow.load("synthetic"), Machine("cpu", threads=1, fast=fast)
    run = Run(made, data, machine, new_record(made, data, machine, 0, {}))
    run.train()
    return run


def test_labels_are_written_after_the_move_and_other_draws_stay() -> None:
    """The same batches and wrong labels, whole; images move, but not those that are judged."""
    still, jittered = Watched(10, negatives=wrong_label), Watched(10, negatives=wrong_label)
    ran(plan(augment=None, algorithm=still))
    run = ran(plan(algorithm=jittered))
    different = []
    for (rows, y), (moves, labels) in zip(still.seen, jittered.seen, strict=True):
        assert torch.equal(y, labels)
        assert torch.equal(rows.flatten(1)[:, :10], moves.flatten(1)[:, :10])
        different.append(not torch.equal(rows, moves))
    # An epoch is three batches, and after it three pieces are measured.
    assert different == [True, True, True, False, False, False] * 2
    assert torch.equal(run.x, ow.load("synthetic").train.x)


def test_a_resumed_run_sees_the_same_moves() -> None:
    assert check.check_plan(lambda: plan(schedules.alternating))


def test_in_closed_form_too() -> None:
    fast, slow = ran(plan()), ran(plan(), "off")
    for one, other in zip(fast.row.cells, slow.row.cells, strict=True):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-4, atol=1e-4)
    assert fast.record["cost"]["flops"] < slow.record["cost"]["flops"]


@pytest.mark.parametrize("name", ["greedy", "frozen"])
def test_schedules_that_store_answers_refuse(name: str) -> None:
    with pytest.raises(BadInput, match=f"schedule {name} can't serve augmented samples"):
        ran(plan(schedules.BY_NAME[name]))


def test_a_relay_refuses() -> None:
    with pytest.raises(BadInput, match="a relay can't serve augmented samples"):
        ran(replace(plan(), schedule=partial(schedules.alone, order=0)))


def test_by_fit(tmp_path: Path) -> None:
    """Its name is in the record, so that a run is not gone on with without it."""

    def fit(augment: Any, **more: Any) -> Any:
        source = generator(0, "cells")
        cells = [Dense(64, 12, rng=source), Dense(12, 12, rng=source)]
        algorithm = ForwardForward(10, negatives=wrong_label)
        data = ow.load("synthetic")
        return ow.fit(cells, algorithm, data, epochs=1, augment=augment, threads=1, **more)

    plain, done = fit(None), fit(partial(jitter, pixels=1), out=tmp_path / "run")
    assert "augment" not in plain.record["settings"]
    assert done.record["settings"]["augment"] == "jitter(pixels=1)"
    with pytest.raises(BadInput, match="these differ: augment"):
        fit(None, out=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("ff-digits --jitter 8 --epochs 1", "jitter should be 0 to 7 on images of 8 x 8"),
        ("ff-digits --jitter -1 --epochs 1", "jitter should be 0 to 7"),
        ("ff-mnist --dataset diabetes --jitter 2", "take jitter=0"),
        ("ff-digits --jitter 1 --schedule greedy --negatives wrong", "can't serve augmented"),
        ("ff-digits --jitter 1 --schedule alternating --fresh true --negatives wrong", "fresh"),
    ],
)
def test_by_the_command(words: str, wanted: str, tmp_path: Path) -> None:
    done = onward("run", *words.split(), "--out", tmp_path / "run")
    assert wanted in done.complaint
    assert not (tmp_path / "run").exists()
