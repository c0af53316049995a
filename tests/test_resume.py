"""A run that is killed, at any moment and as often as you like, ends as if nothing had happened."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from command import TINY, environment, onward, same, save_npz, weights

import onward as ow
from onward import checkpoint, data, progress, record
from onward.errors import BadInput
from onward.run import Interrupted

KINDS = {
    "simultaneous": ("ff-digits", *TINY),
    "greedy": (
        *("ff-digits", *TINY, "--epochs", "2", "--schedule", "greedy", "--negatives", "wrong"),
        *("--memory_gib", "0"),  # frozen outputs in a file, which a kill leaves behind
    ),
    "backprop": ("bp-digits", *TINY),
}
Result = tuple[int, list[str]]


def killer(plan: list[tuple[list[str], Path, int | None]], place: Path) -> list[Result]:
    """Run a plan of tests/killer.py."""
    file = place / "plan.json"
    file.write_text(json.dumps([[words, str(folder), moment] for words, folder, moment in plan]))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killer.py")), str(file)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = done.stdout.splitlines()[-1]  # before it is what the commands print
    return [(code, events) for code, events in json.loads(results)]


def moments(events: list[str], dice: random.Random, count: int) -> list[int]:
    """Some moments of a run, half of them while a checkpoint is written."""
    writing = [n for n, event in enumerate(events, 1) if "/checkpoint" in event or "fsync" in event]
    return dice.sample(writing, count // 2) + dice.sample(range(1, len(events) + 1), count // 2)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Kill -9, resume, kill again, resume: records and weights of an uninterrupted run."""
    wholes = {kind: tmp_path / kind for kind in KINDS}
    plan: list[tuple[list[str], Path, int | None]] = [
        (["run", *words, "--out", str(wholes[kind])], wholes[kind], None)
        for kind, words in KINDS.items()
    ]
    events = {}
    for kind, (code, seen) in zip(KINDS, killer(plan, tmp_path), strict=True):
        assert code == 0
        events[kind] = seen
    dice, plan, ends = random.Random(0), [], []
    for kind, words in KINDS.items():
        for number, moment in enumerate(moments(events[kind], dice, 4)):
            out = tmp_path / f"{kind}-{number}"
            ends.append((kind, out))
            plan.append((["run", *words, "--out", str(out)], out, moment))
            plan.append((["go on", *words, "--out", str(out)], out, dice.randint(1, 40)))
            plan.append((["go on", *words, "--out", str(out)], out, None))
    codes = [code for code, _ in killer(plan, tmp_path)]
    assert set(codes) <= {0, 2, -9}, codes
    assert codes[::3] == [-9] * len(ends)
    assert codes[1::3].count(-9) > len(ends) // 2, "most were killed twice"
    for kind, out in ends:
        assert record.read(out)["status"] == "finished"
        same(out, wholes[kind])
        left = {path.name for path in out.iterdir()} - {"record.json", "checkpoint", "report.html"}
        assert not {name for name in left if not name.startswith(".report")}, left
        assert all(place.name.isdigit() for place in (out / "checkpoint").iterdir())


def test_killed_from_outside(tmp_path: Path) -> None:
    """The command as its own process, killed by another one at a moment that nobody chose."""
    words = ["run", "ff-digits", *TINY, "--epochs", "20"]
    with subprocess.Popen(
        [sys.executable, "-m", "onward", *words, "--out", str(tmp_path / "run")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "run" / "checkpoint").is_dir() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(random.Random(1).uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert record.read(tmp_path / "run")["status"] == "running"
    assert onward("resume", tmp_path / "run").code == 0
    assert onward(*words, "--out", tmp_path / "whole").code == 0
    same(tmp_path / "run", tmp_path / "whole")


def press_after(monkeypatch: pytest.MonkeyPatch, steps: int, times: int = 1) -> None:
    """Ctrl-C (a real SIGINT) after some training steps."""
    seen = []

    def step(lines: progress.Lines, epoch: int, samples: int) -> None:
        seen.append(epoch)
        if len(seen) == steps:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(progress.Lines, "step", step)


@pytest.mark.parametrize(
    ("kind", "steps"),
    [("simultaneous", 5), ("simultaneous", 10), ("greedy", 27), ("greedy", 55), ("backprop", 13)],
)
def test_interrupted_in_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, steps: int
) -> None:
    words = KINDS[kind]
    out = tmp_path / "run"
    press_after(monkeypatch, steps)
    done = onward("run", *words, "--out", out)
    assert done.code == 130
    assert f"batches; go on with: onward resume {out}\n" in done.err
    assert "Traceback" not in done.err
    monkeypatch.undo()
    made = record.read(out)
    assert made["status"] == "interrupted"
    assert (out / "checkpoint" / f"{steps:010d}").is_dir()
    looked = onward("eval", out)
    assert looked.code == 0, "what there is can be looked at"
    epochs = (steps - 1) // 10
    stood = f"in epoch {epochs + 1}, after {steps - 10 * epochs} batches"
    assert looked.out.splitlines()[0] == f"synthetic, 200 test samples, {stood}"
    assert onward("report", out).code == 0
    assert onward("resume", out).code == 0
    assert onward("run", *words, "--out", tmp_path / "whole").code == 0
    same(out, tmp_path / "whole")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The number of threads is the process's: put back what it was."""
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("one_thread")
def test_resumed_with_other_threads_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, words = tmp_path / "run", KINDS["simultaneous"]
    press_after(monkeypatch, 5)
    assert onward("run", *words, "--out", out).code == 130
    monkeypatch.undo()
    assert "threads should be 1 to 1024" in onward("resume", out, "--threads", 0).complaint
    press_after(monkeypatch, 2)  # before the next checkpoint that is due
    done = onward("resume", out, "--threads", 2)
    assert done.code == 130
    monkeypatch.undo()
    said = "onward: --threads 2 after 1 before: sums are rounded in another order"
    assert done.err.startswith(said)
    assert onward("resume", out).code == 0
    made = record.read(out)
    assert made["machine"]["threads"] == 2
    assert made["machine"]["note"] == "threads 1 until step 5, then 2"
    assert "threads 1 until step 5, then 2" in (out / "report.html").read_text()


@pytest.mark.usefixtures("one_thread")
def test_begun_again_with_other_threads_is_a_run_with_those(tmp_path: Path) -> None:
    words, out = KINDS["simultaneous"], tmp_path / "run"
    assert onward("run", *words, "--out", out).code == 0
    shutil.rmtree(out / "checkpoint")
    made = record.read(out)
    record.write(out / "record.json", {**made, "status": "running"})
    done = onward("resume", out, "--threads", 2)
    assert (done.code, "uninterrupted" in done.err) == (0, False)
    assert f"holds no checkpoint, and {made['epochs']} epochs were done: the run beg" in done.err
    made = record.read(out)
    assert made["machine"]["threads"] == 2
    assert "note" not in made["machine"]
    assert made["command"].endswith("--seed 0 --threads 2")


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    press_after(monkeypatch, steps=15, times=2)
    done = onward("run", *KINDS["simultaneous"], "--out", tmp_path / "run")
    assert (done.code, done.err.splitlines()[-1]) == (130, "onward: stopped")
    monkeypatch.undo()
    assert onward("resume", tmp_path / "run").code == 0
    assert onward("run", *KINDS["simultaneous"], "--out", tmp_path / "whole").code == 0
    same(tmp_path / "run", tmp_path / "whole")


def test_resume_of_a_run_on_data_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the data lie is remembered beside the record; moved data are named again."""
    made = data.load("synthetic")
    parts = {"train": made.train, "validation": made.validation, "test": made.test}
    arrays = {f"x_{k}": p.x.numpy() for k, p in parts.items()}
    save_npz(tmp_path / "own.npz", arrays | {f"y_{k}": p.y.numpy() for k, p in parts.items()})
    monkeypatch.chdir(tmp_path)
    press_after(monkeypatch, 25)
    words = ("run", *KINDS["simultaneous"], "--data", "own.npz")
    assert onward(*words, "--out", "run").code == 130
    monkeypatch.undo()
    assert str(tmp_path) not in (tmp_path / "run" / "record.json").read_text()
    (tmp_path / "own.npz").rename(tmp_path / "moved.npz")
    assert "own.npz" in onward("resume", tmp_path / "run").complaint
    moved = ("--data", tmp_path / "moved.npz")
    assert onward("resume", tmp_path / "run", *moved).code == 0
    assert onward("eval", tmp_path / "run", *moved).code == 0
    assert record.read(tmp_path / "run")["data"]["name"] == "own"


@pytest.mark.parametrize("broken", ["cut", "gone", "noise"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_record_is_put_back(
    finished: bool, broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last checkpoint, from which the run goes on; what was there is kept."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert onward("run", *KINDS["simultaneous"], "--out", whole).code == 0
    if finished:
        shutil.copytree(whole, run)
    else:
        press_after(monkeypatch, 25)
        assert onward("run", *KINDS["simultaneous"], "--out", run).code == 130
        monkeypatch.undo()
    path = run / "record.json"
    after = {"cut": path.read_bytes()[:1000], "gone": None, "noise": b"\xff\x00"}[broken]
    path.unlink()
    if after is not None:
        path.write_bytes(after)
    way_out = f"cut short or changed. `onward resume {run}` puts the last checkpoint's copy back"
    assert (way_out in onward("eval", run).complaint) == (broken == "cut" or broken == "noise")
    done = onward("resume", run)
    assert done.code == 0, done.err
    assert "is in its place" in done.err.splitlines()[0]
    same(run, whole)
    kept = path.with_name("record.json.damaged")
    assert (kept.read_bytes() if kept.exists() else None) == after

    for place in checkpoint.positions(run / "checkpoint"):
        shutil.rmtree(place)
    path.write_text("{")
    for verb in ("resume", "eval"):
        assert onward(verb, run).complaint.endswith("it was cut short or changed")
    assert path.read_text() == "{"


# From Python


@dataclass
class Press:
    """A progress that presses Ctrl-C once."""

    steps: int
    seen: int = 0

    def stage(self, name: str, epochs: int, samples: int) -> None: ...

    def step(self, epoch: int, samples: int) -> None:
        self.seen += 1
        if self.seen == self.steps:
            os.kill(os.getpid(), signal.SIGINT)

    def epoch(self, epoch: int, summary: dict[str, float | None]) -> None: ...

    def close(self) -> None: ...


def fit(out: Path | None, resume: bool = False, steps: int = 0, **changes: Any) -> ow.Trained:
    rng = ow.generator(0, "cells")
    cells = [ow.Dense(64, 16, rng=rng), ow.Dense(16, 16, rng=rng)]
    settings: dict[str, Any] = {"epochs": 3, "batch": 60, "threads": 1} | changes
    settings |= {"progress": Press(steps)} if steps else {}
    made = data.load("synthetic")
    return ow.fit(cells, ow.ForwardForward(10), made, out=out, resume=resume, **settings)


def test_fit_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", resume=True)
    alone = fit(None)
    with pytest.raises(Interrupted, match="epoch 2, after 7 batches"):
        fit(tmp_path / "run", steps=17)
    with pytest.raises(BadInput, match=r"already holds a run \(interrupted\)"):
        fit(tmp_path / "run")
    for changes, name in (({"epochs": 4}, "epochs"), ({"seed": 3}, "seed")):
        with pytest.raises(BadInput, match=f"these differ: {name}"):
            fit(tmp_path / "run", resume=True, **changes)
    resumed = fit(tmp_path / "run", resume=True)
    same(tmp_path / "run", tmp_path / "whole")
    for one in (resumed, alone):
        assert record.without_times(one.record) == record.without_times(whole.record)
        for a, b in zip(one.row.everyone, whole.row.everyone, strict=True):
            for key, value in a.cell.state_dict().items():
                assert torch.equal(value, b.cell.state_dict()[key])
    said = onward("resume", tmp_path / "run").complaint
    assert "holds a finished run" in said
    before = weights(tmp_path / "run")
    again = fit(tmp_path / "run", resume=True)
    assert again.test_error == whole.test_error
    assert all(before[name].equal(value) for name, value in weights(tmp_path / "run").items())


@pytest.mark.parametrize(("patience", "told"), [(0.05, True), (60.0, False)])
def test_a_stop_that_takes_a_while_is_told_of(
    monkeypatch: pytest.MonkeyPatch, patience: float, told: bool
) -> None:
    """Of one that comes at once nothing is said."""
    monkeypatch.setattr(progress, "PATIENCE", patience)
    stream = io.StringIO()
    lines = progress.Lines(stream)
    step = lines.step

    def slow(epoch: int, samples: int) -> None:
        step(epoch, samples)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5 if told else 0.1)

    monkeypatch.setattr(lines, "step", slow)
    with pytest.raises(Interrupted):
        fit(None, progress=lines)
    assert (progress.STOPPING in stream.getvalue()) == told
    assert lines.late.timer is not None
    lines.late.timer.join(5)
    assert not lines.late.timer.is_alive()


def test_a_folder_of_fit_is_resumed_by_its_program_only(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fit(tmp_path / "run", steps=5)
    said = onward("resume", tmp_path / "run").complaint
    assert "was made by onward.fit(), not by a recipe" in said
    assert "was made by onward.fit()" in onward("eval", tmp_path / "run").complaint
    assert onward("report", tmp_path / "run").code == 0


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one is refused by name, and the first one's files stay as they are."""
    run = tmp_path / "run"
    program = [sys.executable, "-m", "onward", "run", "ff-digits", *TINY, "--epochs", "2000"]
    first = subprocess.Popen(
        [*program, "--out", str(run)], env=environment(), stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not (run / "checkpoint").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        done = onward("resume", run)
        assert done.code == 2
        assert "another process is at work" in done.err
    finally:
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 130
    assert record.read(run)["status"] == "interrupted"


def test_the_twin_is_caught_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the twin began: resume finishes the run, then runs the twin."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        press_after(patch, 3)
        assert onward("run", "ff-digits", *TINY, "--twin", "--out", run).code == 130
    assert not (run / "twin").exists()
    assert onward("resume", run).code == 0
    assert record.read(run)["status"] == record.read(run / "twin")["status"] == "finished"
    assert record.read(run / "twin")["settings"]["epochs"] == record.read(run)["epochs"]
    assert onward("resume", run).code == 2
