"""Sequence negatives and separated phases against slow references; what is refused, by name."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from command import TINY, onward
from texts import made_text
from torch import Tensor

from onward import (
    BadInput,
    Clean,
    Collaborative,
    Dense,
    ForwardForward,
    build_row,
    checkpoint,
    generator,
    load,
    schedules,
    sgd,
)
from onward.algorithms import Sequences
from onward.data.text import SYMBOLS
from onward.negatives import hard_label, wrong_label
from onward.plan import Machine, Plan, Training
from onward.recipes import find, tables
from onward.recipes.sequences import SequenceSettings, build, prepare
from onward.row import Row
from onward.run import Run
from onward.train import new_record
from onward.windows import spread

K, W = 5, 4


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def windows_of(text: Tensor) -> tuple[Tensor, Tensor]:
    x = torch.stack([text[n : n + W] for n in range(len(text) - W)])
    return spread(x, K), text[W:]


def text(length: int = 60, seed: int = 0) -> Tensor:
    return torch.randint(0, K, (length,), generator=torch.Generator().manual_seed(seed))


# Negatives.


def test_predicted_negatives_are_those_of_a_slow_reference() -> None:
    x, y = windows_of(text())
    scores = torch.randn(len(y), K, generator=torch.Generator().manual_seed(1))
    came = Sequences(K).streams(x, y, generator(0, "negatives"), scores)
    wrong = hard_label(y, K, scores, generator(0, "negatives"))
    assert came.count == 2
    for n in range(len(y)):
        window = x[n].argmax(1).tolist()
        positive, negative = came.rows[n], came.rows[len(y) + n]
        assert positive.argmax(1).tolist() == [*window[1:], int(y[n])]
        assert negative.argmax(1).tolist() == [*window[1:], int(wrong[n])]
        assert not torch.equal(positive, negative)
    assert torch.equal(came.rows.sum(2), torch.ones(2 * len(y), W))
    neutral = Sequences(K).view(x, torch.full((len(y),), K))
    assert torch.equal(neutral, x), "the readout is shown the window as it is"


def test_predicted_negatives_follow_the_softmax_without_the_true_symbol() -> None:
    count = 20_000
    x, y = spread(torch.zeros(count, W).long(), K), torch.full((count,), 2)
    scores = torch.tensor([0.0, 1.0, 9.0, -1.0, 0.5]).expand(count, K)
    came = Sequences(K).streams(x, y, generator(0, "negatives"), scores)
    drawn = came.split()[1][:, -1].argmax(1).bincount(minlength=K) / count
    wanted = scores[0].clone().index_fill(0, torch.tensor([2]), -torch.inf).softmax(0)
    assert drawn[2] == 0
    assert torch.allclose(drawn, wanted, atol=0.015)


def test_negatives_of_roll_outs_are_all_windows_but_the_real_ones() -> None:
    strings = torch.stack([text(10, seed) for seed in (3, 4)])  # 4 real symbols, 6 made
    algorithm = Sequences(K, strings=strings, every=6)
    x, y = windows_of(text(4000))
    came = algorithm.streams(x, y, generator(0, "negatives"), torch.zeros(len(y), K))
    assert torch.equal(came.split()[0], algorithm.view(x, y)), "positives are the real ones"
    seen = {tuple(row) for row in came.split()[1].argmax(2).tolist()}
    wanted = {tuple(s[t : t + W]) for s in strings.tolist() for t in range(1, 7)}
    assert seen == wanted
    assert all(tuple(s[:W]) not in seen for s in strings.tolist())


def test_a_roll_out_never_sees_the_future() -> None:
    """All text but the first window of each string may be another: the strings are the same."""
    x, _ = windows_of(text(64))
    other = windows_of(text(64, seed=7))[0]
    other[::6] = x[::6]
    made = []
    for samples in (x, other):
        asked: list[Tensor] = []

        def predict(rows: Tensor, asked: list[Tensor] = asked) -> Tensor:
            asked.append(rows.argmax(2))
            return rows.mean(1) * 4

        strings = torch.full((10, W + 6), -1)
        algorithm = Sequences(K, strings=strings, every=6)
        assert algorithm.renew(samples, predict, generator(0, "negatives")) == 60
        assert torch.equal(strings[:, :W], x[::6].argmax(2))
        for step, shown in enumerate(asked):
            assert torch.equal(shown, strings[:, step : step + W]), "only what it has made so far"
        assert len(asked) == 6
        made.append(strings)
    assert torch.equal(*made)
    assert int(made[0].min()) >= 0


def test_strings_are_rolled_out_by_the_net_as_it_stands_before_every_epoch() -> None:
    s = replace(SequenceSettings(), strings=4, width=12, cells=2, epochs=3, batch=90)
    s = replace(s, negatives="rollout")
    made = prepare(s, made_text())
    plan = build(s, made, 0)
    algorithm = plan.row.algorithm
    assert isinstance(algorithm, Sequences)
    assert algorithm.strings is not None
    seen: list[Tensor] = []
    steps = schedules.simultaneous

    def watched(row: Row, x: Tensor, y: Tensor, rng: torch.Generator) -> Any:
        for stage in steps(row, x, y, rng):

            def step(index: Tensor, stage: schedules.Stage = stage) -> schedules.Losses:
                assert algorithm.strings is not None
                seen.append(algorithm.strings.clone())
                return stage.step(index)

            yield replace(stage, step=step)

    plan = replace(plan, schedule=watched)
    machine = Machine("cpu", threads=1)
    run = Run(plan, made, machine, new_record(plan, made, machine, 0, {}))
    run.train()
    epochs = [seen[n] for n in (0, 4, 8)]
    assert all(torch.equal(a, b) for a, b in zip(seen[:4], [epochs[0]] * 4, strict=True))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])
    starts = made.train.x[::90].argmax(2)
    assert all(torch.equal(strings[:, :10], starts) for strings in epochs)
    # A pass on positives, one on negatives, one neutral, and one that rolls out.
    assert run.record["cost"]["data_passes"] == 3 * 4


# Phases.


def small_row(algorithm: Any, readout: bool = True) -> Row:
    rng = generator(0, "cells")
    cells = [Dense(64, 12, peers=0.03, rng=rng), Dense(12, 12, peers=0.03, rng=rng)]
    maker = sgd(0.01) if readout else None
    return build_row(cells, algorithm, sgd(0.001, 0.9, 0.1), classes=10, readout=maker)


def slow(row: Row, x: Tensor, y: Tensor, batches: list[Tensor], length: int) -> None:
    """Phases by hand: the update of each cell from the logistic of one sign, step after step."""
    rng = generator(0, "negatives")
    for t, index in enumerate(batches):
        positive = (t // length) % 2 == 0
        algorithm, bx, by = row.algorithm, x[index], y[index]
        wrong = wrong_label(by, 10, None, rng)
        rows = algorithm.view(bx, by if positive else wrong)
        for station in row.stations:
            (optimizer,) = station.optimizers.values()
            cell = station.cell
            assert isinstance(cell, Dense)
            h = cell(rows)
            u = h.square().sum(1) - 12
            p = torch.sigmoid(u)
            loss = -0.5 * (p if positive else 1 - p).log().mean()
            if positive:
                loss = loss + torch.as_tensor(cell.penalty(rows, h))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rows = h.detach()


@pytest.mark.parametrize("length", [1, 2, 3, 100])
def test_separated_phases_are_those_of_a_slow_reference(length: int) -> None:
    made = load("synthetic")
    x, y = made.train.x, made.train.y
    batches = [torch.arange(n, n + 20) for n in range(0, 160, 20)]
    fast, by_hand = (small_row(ForwardForward(10, negatives=wrong_label), False) for _ in range(2))
    (stage,) = schedules.separated(fast, x, y, generator(0, "negatives"), length=length)
    for index in batches:
        stage.step(index)
    slow(by_hand, x, y, batches, length)
    for a, b in zip(fast.cells, by_hand.cells, strict=True):
        for name, value in a.state_dict().items():
            torch.testing.assert_close(value, b.state_dict()[name], rtol=1e-4, atol=1e-5)
    assert int(stage.memory["steps"]) == len(batches)


@pytest.mark.parametrize("gamma", ["none", "earlier", "all"])
def test_the_two_signs_sum_to_the_mixed_loss(gamma: Any) -> None:
    algorithm = Collaborative(10, gamma=gamma, negatives=_next)
    made = load("synthetic")
    index = torch.arange(20)

    def first(schedule: schedules.Schedule, steps: int) -> dict[str, Tensor]:
        row = small_row(algorithm, False)
        for cell in row.cells:  # no peer term, which positives alone have; no learning
            cell.peers = None  # type: ignore[assignment]
        for station in row.stations:
            for optimizer in station.optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = 0.0
        (stage,) = schedule(row, made.train.x, made.train.y, generator(0, "negatives"))
        losses: dict[str, Tensor] = {}
        for _ in range(steps):
            for name, loss in stage.step(index).items():
                losses[name] = losses.get(name, torch.zeros(())) + loss
        return losses

    mixed = first(schedules.simultaneous, 1)
    apart = first(partial(schedules.separated, length=1), 2)
    assert mixed.keys() == apart.keys()
    for name, loss in mixed.items():
        torch.testing.assert_close(apart[name], loss, rtol=1e-5, atol=1e-5)


def _next(y: Tensor, classes: int, scores: Tensor | None, rng: torch.Generator) -> Tensor:
    return (y + 1) % classes


def test_mixed_phases_beat_long_ones() -> None:
    """T17 in small: with wrong labels, long phases forget what the other sign had taught."""
    made = load("synthetic")

    def error(schedule: schedules.Schedule) -> float:
        rng = generator(0, "cells")
        cells = [Dense(64, 60, peers=0.03, rng=rng), Dense(60, 60, peers=0.03, rng=rng)]
        algorithm = ForwardForward(10, negatives=wrong_label)
        row = build_row(cells, algorithm, sgd(0.005), classes=10, counted=[0, 1])
        plan = Plan(row, schedule, Training(epochs=6, batch=20, evaluate_every=6))
        machine = Machine("cpu", threads=1)
        run = Run(plan, made, machine, new_record(plan, made, machine, 0, {}))
        found: float = run.train()["validation_error"]["goodness"]
        return found

    assert error(schedules.simultaneous) < 0.5
    assert error(partial(schedules.separated, length=16)) > 0.75


def test_a_record_from_before_there_were_phases_is_of_mixed_ones() -> None:
    settings = find("ff-mnist").defaults
    old = json.loads(json.dumps(vars(settings)))
    del old["phases"], old["phase_length"]
    assert tables.departures({"settings": old}, settings) == {}


def test_a_checkpoint_without_its_memory_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("run", "ff-digits", *TINY, "--negatives", "wrong", "--phases", "separated")
    done = onward(*words, "--phase_length", "4", "--out", out)
    assert done.code == 0, done.err
    saved = checkpoint.load(out / "checkpoint")
    assert saved.tensors["memory"]["steps"].tolist() == [30]
    with pytest.raises(BadInput, match="its memory has no strings like this"):
        checkpoint.recall(saved, {"strings": torch.zeros(3)})
    with pytest.raises(BadInput, match="its memory has no steps like this"):
        checkpoint.recall(saved, {"steps": torch.zeros(3)})
    kept = torch.zeros(1, dtype=torch.long)
    checkpoint.recall(saved, {"steps": kept})
    assert kept.tolist() == [30]


# What is refused, by name.


def of_text(**changes: Any) -> Callable[[], object]:
    settings = replace(SequenceSettings(), **{"strings": 4, "width": 8, "batch": 20, **changes})

    def ask() -> object:
        made = prepare(settings, made_text())
        plan = build(settings, made, 0)
        return plan.schedule(plan.row, made.train.x, made.train.y, generator(0, "negatives"))

    return ask


def scheduled(schedule: schedules.Schedule, algorithm: Any) -> Callable[[], object]:
    def ask() -> object:
        made = load("synthetic")
        return schedule(small_row(algorithm), made.train.x, made.train.y, generator(0, "negatives"))

    return ask


MIXED = find("ff-digits")


def labelled(**changes: Any) -> Callable[[], object]:
    return lambda: MIXED.build(replace(MIXED.defaults, **changes), load("synthetic"), 0)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no text": (lambda: prepare(SequenceSettings(), load("synthetic")), "synthetic is none"),
    "no string": (of_text(strings=0), "strings should be 1 or more"),
    "strings shorter than a window": (of_text(length=10), "above the 10 symbols of a window"),
    "a text shorter than a string": (
        of_text(strings=None, length=5000),
        "a string has length=5000",
    ),
    "a phase of no length": (of_text(phases="separated", phase_length=0), "phase_length should be"),
    "a length of mixed phases": (of_text(phase_length=4), "phase_length is of separated phases"),
    "the same with labels": (labelled(phase_length=4), "phase_length is of separated phases"),
    "phases of a greedy row": (
        labelled(phases="separated", schedule="greedy", negatives="wrong"),
        "phases=separated is of schedule=simultaneous",
    ),
    "frozen cells with phases": (
        of_text(regime="frozen", phases="separated"),
        "regime=frozen has no negatives",
    ),
    "pairs at different times": (
        of_text(phases="separated"),
        "take objective=logistic with temperature=1",
    ),
    "backprop with roll-outs": (
        of_text(regime="backprop", negatives="rollout"),
        "regime=backprop has no negatives",
    ),
    "phases of the entropy objective": (
        scheduled(schedules.separated, Collaborative(10, objective="entropy")),
        "can't serve Collaborative: its loss is no sum",
    ),
    "phases without cells' losses": (
        scheduled(schedules.separated, Clean()),
        "can't serve Clean",
    ),
    "a phase of 0 steps": (
        scheduled(partial(schedules.separated, length=0), ForwardForward(10)),
        "a phase has 1 step or more",
    ),
    "sequences of pictures": (
        lambda: Sequences(10).view(torch.zeros(2, 1, 8, 8), torch.zeros(2).long()),
        r"sequences are windows \[W, 10\]",
    ),
    "roll-outs without a readout": (
        lambda: schedules.simultaneous(
            small_row(Sequences(10, strings=torch.zeros(1, 9).long()), False),
            *(torch.zeros(9, 4, 10), torch.zeros(9).long(), generator(0, "negatives")),
        ),
        "this row has none",
    ),
    "greedy sequences": (
        scheduled(schedules.greedy, Sequences(10)),
        "greedy can't draw hard negatives",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    ask, told = REFUSED[name]
    with pytest.raises(BadInput, match=told):
        ask()


def test_training_windows_are_those_inside_strings() -> None:
    story = made_text()
    settings = replace(SequenceSettings(), strings=3, length=40)
    made = prepare(settings, story)
    assert len(made.train) == 3 * 30
    whole = story.train.x[:, 0].argmax(1).tolist()  # the training text, but for its end
    for n in range(len(made.train)):
        string, at = divmod(n, 30)
        first = 40 * string + at
        assert made.train.x[n].argmax(1).tolist() == whole[first : first + 10]
        assert int(made.train.y[n]) == whole[first + 10]
        assert (first + 10) // 40 == string, "the next symbol is in the string, too"
    assert made.test is story.test
    assert made.note == story.note
    short = prepare(replace(settings, strings=999), story)
    assert (short.note or "").endswith(f"; {(len(whole) + 10) // 40} strings, all there are")
    everything = prepare(replace(settings, strings=None), story)
    assert everything.fingerprint() == short.fingerprint()
    assert len(everything.train) == (len(whole) + 10) // 40 * 30
    assert len(SYMBOLS) == made.classes
