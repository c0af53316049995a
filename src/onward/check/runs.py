"""Checks of whole runs: a schedule, a plan, a recipe's settings."""

import copy
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from .. import data
from ..plan import Machine, Plan
from ..progress import Silent
from ..record import check, without_times
from ..run import Interrupted, Run
from ..schedules import Schedule
from ..seeds import generator
from ..train import new_record
from .parts import check_scores
from .promises import BrokenPromise, Promises, promise


def check_schedule(schedule: Schedule, plan: Callable[[], Plan]) -> Promises:
    """Only a stage's stations move in it; same seed, same bits; resumed equals uninterrupted.

    ``plan`` makes a fresh plan for the data set "synthetic" (10 classes, samples (1, 8, 8)).
    """
    return check_plan(lambda: replace(plan(), schedule=schedule))


def check_plan(plan: Callable[[], Plan], made: data.Dataset | None = None) -> Promises:
    """The promises of a whole run, with batches and epochs of its own.

    ``made`` is the data it runs on; by default the data set "synthetic".

    Runs it three times: whole, whole again, and stopped by Ctrl-C in the middle of an epoch and
    resumed from its checkpoint.
    """
    made = made or data.load("synthetic")

    def run(out: Path | None = None, stop: int | None = None, resume: bool = False) -> Run:
        fresh = plan()
        machine = Machine("cpu")
        new = new_record(fresh, made, machine, 0, {})
        one = Run(fresh, made, machine, new, out, _StopAfter(stop) if stop else None)
        if isinstance(one.progress, _StopAfter):
            one.progress.run = one
        if resume:
            from ..checkpoint import load

            assert out is not None
            one.resume(load(out / "checkpoint"))
        with suppress(Interrupted):
            one.train()
        return one

    whole, again = run(), run()
    _same(whole, again, "same seed, same bits")
    check(whole.record, "the record")
    check_scores(whole.row, made.test.x[:5])
    steps = whole.at.steps
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        run(out, stop=max(1, steps // 2 - 1))
        resumed = run(out, resume=True)
        promise(resumed.at.steps == steps, "a resumed run has as many steps")
        _same(whole, resumed, "a resumed run equals one never interrupted")
    _check_stages(plan(), made)
    return [
        "same seed, same bits",
        "a resumed run equals one never interrupted",
        "only a stage's own cells move in it",
        "a score does not depend on the rest of the batch",
    ]


def _check_stages(plan: Plan, made: data.Dataset) -> None:
    row, x, y = plan.row, made.train.x, made.train.y
    index = torch.arange(min(plan.training.batch, len(x)))
    for stage in plan.schedule(row, x, y, generator(0, "negatives")):
        before = [copy.deepcopy(s.cell.state_dict()) for s in row.everyone]
        stage.step(index)
        for state, station in zip(before, row.everyone, strict=True):
            after = station.cell.state_dict()
            moved = any(not torch.equal(state[k], v) for k, v in after.items())
            if moved and station not in stage.stations:
                raise BrokenPromise(f"{station.name} moved in the stage {stage.name} of others")


def check_settings(recipe: Any, named: data.Dataset | None = None) -> Promises:
    """A recipe refuses settings it does not know, and keeps every promise of a run when tiny.

    ``named`` are the data it is tried on, where those of "synthetic" are not of its kind.
    """
    names = {f.name for f in fields(recipe.defaults)}
    try:
        replace(recipe.defaults, surely_no_such_setting=1)
    except TypeError:
        pass
    else:
        raise BrokenPromise("unknown settings are refused")
    tiny = {"epochs": 2, "width": 24, "batch": 40, "dataset": "synthetic", "cells": 2}
    tiny |= {"strings": 4}
    tiny |= {"widths": [12, 10][: len(getattr(recipe.defaults, "widths", []))]}
    everywhere = getattr(recipe.defaults, "truncated", False)
    sides = (
        {"fields": [3, 3], "strides": [1, 1]}
        if everywhere
        else {"fields": [4, 2], "strides": [2, 1]}
    )
    for name, side in sides.items():  # of cells that have places
        tiny[name] = side if getattr(recipe.defaults, name, None) else []
    if getattr(recipe.defaults, "field", None):
        tiny |= {"field": 3, "width": 2}
    for name in ("read", "counted"):  # positions of cells, of which there are two now
        places = getattr(recipe.defaults, name, None)
        tiny[name] = places and [place for place in places if place < 2]
    settings = replace(recipe.defaults, **{k: v for k, v in tiny.items() if k in names})
    made = recipe.data(settings, named or data.load("synthetic"))
    again = type(settings)(**asdict(settings))
    promise(again == settings, "settings survive a round trip through plain values")
    return [
        "unknown settings are refused",
        *check_plan(lambda: recipe.build(settings, made, 0), made),
    ]


@dataclass
class _StopAfter(Silent):
    """A progress display that presses Ctrl-C after some steps."""

    steps: int
    run: Run | None = None
    seen: int = 0

    def step(self, epoch: int, samples: int) -> None:
        """Count, and press."""
        self.seen += 1
        if self.seen == self.steps and self.run is not None:
            self.run.stop()


def _same(a: Run, b: Run, promise: str) -> None:
    for one, other in zip(a.row.everyone, b.row.everyone, strict=True):
        for name, value in one.cell.state_dict().items():
            if not torch.equal(value, other.cell.state_dict()[name]):
                raise BrokenPromise(f"{promise}: {one.name} has another {name}")
    one_record, other_record = (without_times(r.record) for r in (a, b))
    for key, value in one_record.items():
        if value != other_record[key]:
            raise BrokenPromise(f"{promise}: the records differ in {key}")
