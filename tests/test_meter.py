"""What a record says of a run's cost: energy, the machine's limit, warm-up, and runs resumed."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command import TINY, onward

import onward as package
from onward import checkpoint, energy, meter, recipes, record
from onward.energy import Counter, Energy
from onward.plan import Machine
from onward.progress import Silent
from onward.report import spent
from onward.run import Interrupted, Run
from onward.train import new_record

CPU = torch.device("cpu")


def zone(place: Path, name: str, joules: float, wraps: float = 100.0) -> Path:
    folder = place / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (folder / "max_energy_range_uj").write_text(f"{round(wraps * 1e6)}\n")
    (folder / "name").write_text(f"package-{name[-1]}\n")
    return folder


def test_packages_are_summed_and_their_parts_left_out(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        zone(tmp_path, name, 10.0)
    meter_of = Energy(energy.counters(CPU, tmp_path))
    assert meter_of.source == "RAPL package-0 + RAPL package-1"
    meter_of.begin()
    zone(tmp_path, "intel-rapl:0", 13.0)
    zone(tmp_path, "intel-rapl:1", 4.0)  # started again at 0: 90 to its end, and 4
    meter_of.end()
    assert meter_of.joules == pytest.approx(3 + 94)
    meter_of.begin()
    meter_of.end()
    assert meter_of.joules == pytest.approx(97), "what passes between two pairs is not counted"


def test_a_counter_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", 10.0)
    (folder / "energy_uj").unlink()
    assert energy.counters(CPU, tmp_path) == []
    assert energy.counters(CPU, tmp_path / "missing") == []
    nothing = Energy([])
    nothing.begin()
    nothing.end()
    assert nothing.joules is None
    assert nothing.source is None


def test_a_counter_that_fails_later_costs_the_number_and_not_the_run() -> None:
    readings = iter([1.0, 2.0])

    def read() -> float:
        return next(readings)  # and then StopIteration

    broken = Energy([Counter("broken", read)])
    broken.begin()
    broken.end()
    assert broken.joules == 1.0
    broken.begin()
    broken.end()
    assert broken.joules is None


def test_the_limit_is_tried_on_the_cells_own_shapes() -> None:
    cells = [package.Dense(30, 20), package.AutoEncoder(20, 10)]
    shapes = meter.products(cells, 8)
    assert shapes == [(8, 30, 20), (8, 20, 10), (8, 10, 20)]
    found = meter.limit(shapes, CPU, "fp32", 0.0)
    assert found is not None
    assert found > 0
    assert meter.products([*cells, package.ConvAutoEncoder((1, 6, 6), 2)], 8) == []
    assert meter.limit([], CPU, "fp32") is None


def test_a_limit_that_cannot_be_tried_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> float:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(meter, "_fastest", full)
    assert meter.limit([(1, 2, 3)], CPU, "fp32") is None


def test_a_run_says_what_it_cost(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = onward("run", "ff-digits", *TINY, "--out", out)
    made = record.read(out)
    cost = made["cost"]
    assert 0 < cost["warmup_seconds"] < cost["train_seconds"]
    assert cost["limit_flops_per_second"] > 0
    assert cost["share_of_limit"] > 0
    assert f"cost: {spent.line(made)}" in done.out
    assert spent.line(made) in onward("show", out).out


class Stopping(Silent):
    """Stops a run after some steps."""

    def __init__(self, after: int):
        self.left = after
        self.run: Run | None = None

    def step(self, epoch: int, samples: int) -> None:
        self.left -= 1
        if self.run is not None and self.left == 0:
            self.run.stop()


def test_costs_of_a_resumed_run_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that grows by one joule a reading: one joule a stretch of training."""
    clock = itertools.count()
    counter = Counter("clock", lambda: float(next(clock)))
    monkeypatch.setattr("onward.run.counters", lambda device: [counter])
    recipe = recipes.find("ff-digits")
    settings = replace(recipe.defaults, dataset="synthetic", width=16, epochs=3, batch=60)
    data, machine = package.load("synthetic"), Machine("cpu", threads=1)

    def made(out: Path, progress: Stopping) -> Run:
        plan = recipe.build(settings, data, 0)
        progress.run = Run(
            plan, data, machine, new_record(plan, data, machine, 0, {}), out, progress
        )
        return progress.run

    (tmp_path / "whole").mkdir()
    whole = made(tmp_path / "whole", Stopping(-1)).train()["cost"]
    assert (whole["energy_joules"], whole["energy_source"]) == (3.0, "clock")
    out = tmp_path / "cut"
    out.mkdir()
    with pytest.raises(Interrupted):
        made(out, Stopping(len(data.train) // 60 + 2)).train()
    again = made(out, Stopping(-1))
    again.resume(checkpoint.load(out / "checkpoint"))
    cut = again.train()["cost"]
    assert cut["energy_joules"] == 4.0, "the second epoch in two stretches"
    assert cut["flops"] == whole["flops"]
    assert cut["warmup_seconds"] < cut["train_seconds"]
    assert cut["share_of_limit"] > 0


def test_the_peak_of_a_resumed_run_is_the_largest_of_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its checkpoints alone: also where the record is put back from one."""
    recipe = recipes.find("ff-digits")
    settings = replace(recipe.defaults, dataset="synthetic", width=16, epochs=2, batch=60)
    data, machine = package.load("synthetic"), Machine("cpu", threads=1)

    def made(peak: int, stop: int = -1) -> Run:
        monkeypatch.setattr(meter, "peak_bytes", lambda device, before: peak)
        plan, progress = recipe.build(settings, data, 0), Stopping(stop)
        result = new_record(plan, data, machine, 0, {})
        progress.run = Run(plan, data, machine, result, tmp_path, progress)
        return progress.run

    def peak() -> int:
        found = checkpoint.load(tmp_path / "checkpoint").state["record"]["cost"]
        return int(found["peak_memory_bytes"])

    with pytest.raises(Interrupted):
        made(5000, stop=15).train()
    assert peak() == 5000
    again = made(100)
    again.resume(checkpoint.load(tmp_path / "checkpoint"))
    assert again.train()["cost"]["peak_memory_bytes"] == 5000
    # Its end alone is made again: what made no step has nothing to tell.
    last = checkpoint.positions(tmp_path / "checkpoint")[-1]
    ended = made(9000)
    ended.resume(checkpoint.load(tmp_path / "checkpoint"))
    ended.train()
    assert (peak(), checkpoint.positions(tmp_path / "checkpoint")[-1]) == (5000, last)


class Failing(Stopping):
    """Asks a run to stop, and a part of it fails before it can."""

    def step(self, epoch: int, samples: int) -> None:
        super().step(epoch, samples)
        if self.left == 0:
            raise RuntimeError("a place is lost")


def test_a_failure_while_it_stops_is_no_reason_to_go_on(tmp_path: Path) -> None:
    recipe = recipes.find("ff-digits")
    settings = replace(
        recipe.defaults, dataset="synthetic", width=16, epochs=3, batch=60, checkpoint_every=1
    )
    data, machine, failing = package.load("synthetic"), Machine("cpu", threads=1), Failing(15)
    plan = recipe.build(settings, data, 0)
    made = new_record(plan, data, machine, 0, {})
    failing.run = Run(plan, data, machine, made, tmp_path, failing)
    with pytest.raises(Interrupted, match=r"stopped, at the last checkpoint .a place is lost"):
        failing.run.train()
    assert record.read(tmp_path)["status"] == "interrupted"
    again = Run(recipe.build(settings, data, 0), data, machine, record.read(tmp_path), tmp_path)
    again.resume(checkpoint.load(tmp_path / "checkpoint"))
    assert again.train()["status"] == "finished"


def test_an_older_record_is_told_too() -> None:
    old = {"cost": {"train_seconds": 12.0, "flops": 3e12, "energy_joules": None}}
    assert spent.line(old) == "12.0 s of training, 3 TFLOP"
    assert spent.line({"cost": {}}) == ""
