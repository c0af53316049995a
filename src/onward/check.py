"""The promises, public: run them over a part of your own, as the tests do over every part here.

Each ``check_...`` function raises :class:`BrokenPromise`, saying what was promised and what was
seen, or returns the promises it found kept. ``onward check MODULE:ATTRIBUTE`` runs the ones that
fit an object.

B = samples, D = input shape, F = output shape, K = classes.
"""

import copy
import inspect
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import data, named
from .cells import unchanged
from .errors import BadInput
from .evaluate import judge
from .goodness import Goodness
from .local import Algorithm, Station, walk
from .negatives import Negatives
from .optimizers import sgd
from .plan import Machine, Plan, Training
from .record import check, without_times
from .row import Row, build_row, groups
from .run import Interrupted, Run
from .schedules import Schedule, backprop, simultaneous
from .seeds import generator
from .tasks import Task
from .train import new_record

Promises = list[str]


class BrokenPromise(AssertionError):
    """A part does not keep what the library promises of it."""


def check_goodness(goodness: Goodness) -> Promises:
    """A goodness is one finite number a sample, of that sample alone, with a gradient."""
    rng = generator(0, "check goodness")
    for shape in ((6, 20), (6, 3, 4, 5)):
        h = torch.rand(shape, generator=rng)
        g = goodness(h)
        _promise(g.shape == (6,), f"h {shape} -> g (6,); came {tuple(g.shape)}")
        _promise(bool(torch.isfinite(g).all()), f"goodness is finite; came {g}")
        order = torch.randperm(6, generator=rng)
        _close(goodness(h[order]), g[order], "permuting samples permutes goodness")
        _close(goodness(h[:2]), g[:2], "goodness does not depend on the rest of the batch")
    h = torch.rand(4, 20, generator=rng).requires_grad_()
    (gradient,) = torch.autograd.grad(goodness(h).sum(), h)
    _promise(bool((gradient != 0).any()), "goodness has a gradient")
    return [
        "one finite number a sample",
        "permuting samples permutes goodness",
        "goodness does not depend on the rest of the batch",
        "goodness has a gradient",
    ]


def check_negatives(negatives: Negatives, classes: int = 5, draws: int = 20_000) -> Promises:
    """A sampler of wrong labels never returns the true one, and repeats itself from a seed."""
    rng = generator(0, "check negatives")
    y = torch.randint(0, classes, (draws,), generator=rng)
    scores = 3 * torch.randn(draws, classes, generator=rng)
    drawn = negatives(y, classes, scores, generator(1, "negatives"))
    _promise(drawn.shape == y.shape, f"y [B] -> labels [B]; came {tuple(drawn.shape)}")
    _promise(not bool((drawn == y).any()), "a negative never carries the true label")
    within = bool(((drawn >= 0) & (drawn < classes)).all())
    _promise(within, f"labels are in 0..{classes - 1}")
    again = negatives(y, classes, scores, generator(1, "negatives"))
    _promise(torch.equal(drawn, again), "same seed, same bits")
    other = negatives(y, classes, scores, generator(2, "negatives"))
    _promise(not torch.equal(drawn, other), "negatives change with the generator")
    return [
        "a negative never carries the true label",
        "same seed, same bits",
        "negatives change with the generator",
    ]


def check_cell(cell: nn.Module, shape: Sequence[int]) -> Promises:
    """A cell answers each sample by itself, and all it knows is saved.  shape = D of one sample."""
    rng = generator(0, "check cell")
    x = torch.rand(6, *shape, generator=rng) + 0.1
    with torch.no_grad():
        h = cell(x)
        _promise(len(h) == 6, f"x [6, *{tuple(shape)}] -> h [6, *F]; came {tuple(h.shape)}")
        _promise(torch.equal(cell(x), h), "the same input, the same answer")
        _close(cell(x[:2]), h[:2], "an answer does not depend on the rest of the batch")
        twin = copy.deepcopy(cell)
        for number in (*twin.parameters(), *_unregistered(twin)):
            number.add_(1.0)
        twin.load_state_dict(cell.state_dict())
        _close(twin(x), h, "a cell's state is all in its state_dict")
    own = {id(p) for ps in groups(cell).values() for p in ps}
    missing = [name for name, p in cell.named_parameters() if id(p) not in own]
    _promise(not missing, f"every parameter is in a group; not {', '.join(missing)}")
    kept = ["an answer does not depend on the rest of the batch", "its state is all in state_dict"]
    normalise: Any = getattr(cell, "normalise", None)
    keeps = normalise is unchanged or getattr(normalise, "keeps_scale", False)
    if normalise is not None and not keeps:
        with torch.no_grad():
            _close(cell(7.5 * x), h, "a length-normalised cell ignores the scale of its input")
        kept.append("it ignores the scale of its input")
    return kept


def _unregistered(cell: nn.Module) -> list[Tensor]:
    """Tensors in plain attributes, lists and dicts: neither saved, nor moved, nor trained."""
    registered = {id(t) for t in (*cell.parameters(), *cell.buffers())}
    usual = vars(nn.Module()).keys()

    def inside(value: object) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, nn.Module):
            yield from (*value.parameters(), *value.buffers())
        elif isinstance(value, dict | list | tuple):
            for item in value.values() if isinstance(value, dict) else value:
                yield from inside(item)

    own = [v for m in cell.modules() for k, v in vars(m).items() if k not in usual]
    found = {id(t): t for t in inside(own) if id(t) not in registered and t.is_floating_point()}
    return list(found.values())


def check_algorithm(
    algorithm: Algorithm, cells: Callable[[], list[nn.Module]], x: Tensor, y: Tensor
) -> Promises:
    """Cells learn locally under an algorithm.  ``cells`` makes a fresh row; x [B, *D], y [B].

    Only cell i moves when cell i learns; no gradient path leaves a cell; what cells tell each other
    is detached; the same seed gives the same bits.
    """

    def learned() -> list[nn.Module]:
        """A fresh row after each of its cells has learned once, first to last."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            row = cells()
        stations = [
            Station(f"cell-{i}", cell, {n: sgd(0.1)(ps) for n, ps in groups(cell).items()})
            for i, cell in enumerate(row)
        ]
        scores = torch.zeros(len(x), max(algorithm.candidates, 1))
        ins = algorithm.streams(x, y, generator(0, "negatives"), scores)
        walked = list(walk(stations, ins))
        told = [algorithm.tell(outs) for _, _, outs in walked]
        for number, (station, seen, outs) in enumerate(walked):
            _promise(not seen.rows.requires_grad, "no gradient path leaves a cell")
            others = told[:number] + (told[number + 1 :] if algorithm.hints == "all" else [])
            spoken = [t for t in others if t is not None] if algorithm.hints != "none" else []
            detached = not any(t.requires_grad for t in spoken)
            _promise(detached, "what cells tell each other is detached")
            before = [copy.deepcopy(c.state_dict()) for c in row]
            station.update(algorithm, seen, outs, torch.stack(spoken) if spoken else None)
            for other, (cell, state) in enumerate(zip(row, before, strict=True)):
                if other == number:
                    continue
                moved = any(not torch.equal(state[k], v) for k, v in cell.state_dict().items())
                _promise(not moved, f"only cell {number} moves when it learns; cell {other} did")
                reached = other > number and any(p.grad is not None for p in cell.parameters())
                _promise(not reached, f"no gradient of cell {number} reaches cell {other}")
        return row

    first, second = learned(), learned()
    same = all(
        torch.equal(a, b)
        for c, d in zip(first, second, strict=True)
        for a, b in zip(c.state_dict().values(), d.state_dict().values(), strict=True)
    )
    _promise(same, "same seed, same bits")
    return [
        "only cell i moves when cell i learns",
        "no gradient path leaves a cell",
        "what cells tell each other is detached",
        "same seed, same bits",
    ]


def check_scores(row: Row, x: Tensor) -> Promises:
    """A sample's class scores are its own, whatever else is in the batch.  x [B, *D]."""
    whole, part = judge(row, x), judge(row, x[1:3])
    if whole.goodness is not None and part.goodness is not None:
        _close(part.goodness, whole.goodness[:, 1:3], "a score does not depend on the batch")
    if whole.linear is not None and part.linear is not None:
        _close(part.linear, whole.linear[1:3], "a score does not depend on the batch")
    if whole.restoring is not None and part.restoring is not None:
        _close(part.restoring, whole.restoring[:, 1:3], "a score does not depend on the batch")
    return ["a score does not depend on the rest of the batch"]


def check_task(task: Task, outputs: int, y: Tensor | None = None) -> Promises:
    """A task's loss trains outputs, its error follows, and it answers each sample by itself.

    ``outputs`` K of the readout; ``y`` [N] targets, by default drawn: classes 0..K-1, or numbers.
    """
    rng = generator(0, "check task")
    if y is None:
        drawn = torch.randint(0, max(outputs, 2), (60,), generator=rng)
        y = drawn if task.target == "classes" else 3 * torch.randn(60, generator=rng) + 5
    start = torch.randn(len(y), outputs, generator=rng)
    scores = start.clone().requires_grad_()
    loss = task.loss(scores, y)
    _promise(loss.shape == () and bool(torch.isfinite(loss)), f"a loss is one number; came {loss}")
    (gradient,) = torch.autograd.grad(loss, scores)
    _promise(bool((gradient != 0).any()), "the loss has a gradient")
    twice = task.loss(torch.cat([start, start]), torch.cat([y, y]))
    _close(twice, loss.detach(), "a loss is a mean: every sample twice gives the same")
    said, order = task.answer(start), torch.randperm(len(y), generator=rng)
    _promise(said.shape == y.shape, f"one answer a sample, {tuple(y.shape)}; came {said.shape}")
    same = torch.allclose(task.answer(start[:2]).double(), said[:2].double(), rtol=1e-4)
    _promise(same, "an answer does not depend on the rest of the batch")
    error, permuted = task.error(start, y), task.error(start[order], y[order])
    _promise(error is not None and math.isfinite(error) and error >= 0, f"error >= 0; came {error}")
    assert error is not None
    fair = permuted is not None and math.isclose(error, permuted, rel_tol=1e-4, abs_tol=1e-9)
    _promise(fair, "permuting samples keeps the error")
    optimizer = torch.optim.Adam([scores], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        task.loss(scores, y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = task.error(scores.detach(), y)
    better = after is not None and after < 0.1 * error
    _promise(better, f"a small loss is a small error; it went from {error:.3g} to {after}")
    return [
        "a loss is the mean of its samples', with a gradient",
        "an answer does not depend on the rest of the batch",
        "permuting samples keeps the error",
        "a small loss is a small error",
    ]


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
            from .checkpoint import load

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
        _promise(resumed.at.steps == steps, "a resumed run has as many steps")
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


def check_settings(recipe: Any) -> Promises:
    """A recipe refuses settings it does not know, and keeps every promise of a run when tiny."""
    names = {f.name for f in fields(recipe.defaults)}
    try:
        replace(recipe.defaults, surely_no_such_setting=1)
    except TypeError:
        pass
    else:
        raise BrokenPromise("unknown settings are refused")
    tiny = {"epochs": 2, "width": 24, "batch": 40, "dataset": "synthetic", "cells": 2}
    tiny |= {"widths": [12, 10][: len(getattr(recipe.defaults, "widths", []))]}
    for name in ("read", "counted"):  # positions of cells, of which there are two now
        places = getattr(recipe.defaults, name, None)
        tiny[name] = places and [place for place in places if place < 2]
    settings = replace(recipe.defaults, **{k: v for k, v in tiny.items() if k in names})
    made = recipe.data(settings, data.load("synthetic"))
    again = type(settings)(**asdict(settings))
    _promise(again == settings, "settings survive a round trip through plain values")
    return [
        "unknown settings are refused",
        *check_plan(lambda: recipe.build(settings, made, 0), made),
    ]


def check_named(name: str, shape: Sequence[int] | None = None) -> Promises:
    """The promises that fit the object ``module:attribute``. Raises BadInput for other names."""
    found = named.find(name)
    if isinstance(found, Task):
        return check_task(found, 1 if found.target == "numbers" else 5)
    if isinstance(found, nn.Module):
        size = shape or ((found.inputs,) if hasattr(found, "inputs") else None)
        if size is None:
            raise BadInput(f"{name} is a cell: say the shape of one input, e.g. --shape 1,28,28")
        return check_cell(found, size)  # type: ignore[arg-type]
    if isinstance(found, Algorithm):
        return _check_any_algorithm(found)
    if hasattr(found, "build") and hasattr(found, "defaults"):
        return check_settings(found)
    if callable(found) and not isinstance(found, type):
        wanted = _parameters(found)
        if len(wanted) == 1:
            return check_goodness(found)
        if len(wanted) == 4 and wanted[0] != "row":
            return check_negatives(found)
    raise BadInput(
        f"{name} is a {type(found).__name__}; by name can be checked: a goodness (h), negatives "
        "(y, classes, scores, rng), a cell, a task, an algorithm, a recipe. Call the functions of "
        "onward.check from Python for other parts"
    )


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters that a caller must give."""
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in every if p.default is p.empty and p.kind is not p.VAR_KEYWORD]


def _check_any_algorithm(algorithm: Algorithm) -> Promises:
    from .cells import Dense

    rng = generator(0, "check")
    x, y = torch.rand(16, 30, generator=rng), torch.arange(16) % max(algorithm.candidates, 2)
    entering = algorithm.view(x, torch.zeros(16, dtype=torch.long))[0].numel()

    def cells() -> list[nn.Module]:
        return [Dense(entering, 20), Dense(20, 20), Dense(20, 20)]

    kept = check_algorithm(algorithm, cells, x, y)

    def plan() -> Plan:
        torch.manual_seed(0)
        sample = data.load("synthetic").train.x[:1]
        width = algorithm.view(sample, torch.zeros(1, dtype=torch.long))[0].numel()
        row = build_row(
            [Dense(width, 20), Dense(20, 20)],
            algorithm,
            sgd(1e-3),
            classes=10,
            readout=sgd(1e-2),
        )
        schedule = simultaneous if algorithm.local else backprop
        return Plan(row, schedule, Training(epochs=2, batch=60))

    if algorithm.candidates in (0, 10):
        kept += check_plan(plan)
    return list(dict.fromkeys(kept))


@dataclass
class _StopAfter:
    """A progress display that presses Ctrl-C after some steps."""

    steps: int
    run: Run | None = None
    seen: int = 0

    def stage(self, name: str, epochs: int, samples: int) -> None:
        """Nothing."""

    def step(self, epoch: int, samples: int) -> None:
        """Count, and press."""
        self.seen += 1
        if self.seen == self.steps and self.run is not None:
            self.run.stop()

    def epoch(self, epoch: int, summary: dict[str, float | None]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _same(a: Run, b: Run, promise: str) -> None:
    for one, other in zip(a.row.everyone, b.row.everyone, strict=True):
        for name, value in one.cell.state_dict().items():
            if not torch.equal(value, other.cell.state_dict()[name]):
                raise BrokenPromise(f"{promise}: {one.name} has another {name}")
    one_record, other_record = (without_times(r.record) for r in (a, b))
    for key, value in one_record.items():
        if value != other_record[key]:
            raise BrokenPromise(f"{promise}: the records differ in {key}")


def _promise(kept: bool, promise: str) -> None:
    if not kept:
        raise BrokenPromise(promise)


def _close(came: Tensor, wanted: Tensor, promise: str) -> None:
    if not torch.allclose(came, wanted, rtol=1e-4, atol=1e-5):
        worst = float((came - wanted).abs().max())
        raise BrokenPromise(f"{promise}; the largest difference is {worst:.3g}")
