"""Tables: runs that are made once, resumed and copied; verdicts with known answers; the page."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made
import pytest
import torch
from command import environment, onward

from onward import data, record
from onward.cli import main
from onward.recipes import find as find_recipe
from onward.recipes import tables, uff_figures, uff_page
from onward.recipes import uff_verdicts as v
from onward.recipes.pictures import pictures
from onward.recipes.table_runs import How, chosen, seeds, survey, words
from onward.recipes.uff_table import table as uff
from onward.report import measures as m
from onward.report import render, restored

OUTCOMES = ("C1", "C2", "C3", "C4", "C5")


def outcomes(records: tables.Records) -> list[str]:
    return [one.outcome for one in v.verdicts(records)]


# --- verdicts


def test_all_orderings_hold_where_they_do() -> None:
    found = v.verdicts(made.table())
    assert [(one.name, one.outcome) for one in found] == [(n, "holds") for n in OUTCOMES]
    told = "\n".join(found[0].numbers)
    assert "uff-cae-mnist-backprop minus uff-cae-mnist: +0.70 ± 0.08 (3 seeds) – holds" in told


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("C1", {"uff_cae_mnist": 2.0}),
        ("C2", {"uff_dae_mnist": 3.0}),
        ("C2", {"uff_dae_cifar10": 10.0}),  # best, and not by far
        ("C3", {"uff_gan_cifar10_separate": -3.0}),
        ("C3", {"ff_mnist_greedy": 3.0}),  # steadier than cells
        ("C5", {"ff_cifar10_simultaneous": 20.0}),
    ],
)
def test_an_ordering_that_fails_is_said_to_fail(name: str, changes: dict[str, float]) -> None:
    found = {one.name: one for one in v.verdicts(made.table(changes=changes))}
    assert found[name].outcome == "does not hold"
    assert any("does not hold" in number for number in found[name].numbers)


def test_cells_that_are_faster_than_backprop_fail_c4() -> None:
    records = made.table()
    for one in records["uff-dae-cifar10"]:
        one["cost"]["train_seconds"] = 30.0 + 0.1 * one["seed"]
    assert v.c4(records).outcome == "does not hold"
    assert "uff-dae-cifar10: 30 ± 0 s, backprop 60 ± 0 s (3 seeds) – does not hold" in "\n".join(
        v.c4(records).numbers
    )


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("C1", {"uff_cae_mnist": 0.6}),  # 0.1 apart, with a standard error of 0.08
        ("C2", {"uff_dae_cifar10": 8.2}),  # a lead of 2.8, hardly below 3
        ("C5", {"ff_cifar10_simultaneous": 10.4}),
    ],
)
def test_what_lies_within_the_errors_is_undecided(name: str, changes: dict[str, float]) -> None:
    found = {one.name: one for one in v.verdicts(made.table(changes=changes))}
    assert found[name].outcome == "undecided"


def test_ff_that_is_erratic_is_enough_for_c3() -> None:
    records = made.table(changes={"ff_mnist_greedy": 3.0, "ff_cifar10_greedy": 3.0})
    for data_name in v.SETS:
        for seed, jump in enumerate((0.4, -0.4, 0.0)):
            one = records[f"ff-{data_name}-greedy"][seed]
            one["test_error"]["goodness"] += jump / 100
    assert v.c3(records).outcome == "holds"


def test_two_seeds_decide_nothing_and_are_counted() -> None:
    found = v.verdicts(made.table(2))
    assert {one.outcome for one in found} == {"undecided"}
    assert all("(2 seeds)" in one.numbers[0] for one in found)


def test_missing_records_are_named() -> None:
    records = made.table()
    del records["uff-cae-cifar10"]
    found = {one.name: one for one in v.verdicts(records)}
    assert {n: one.outcome for n, one in found.items()} == dict.fromkeys(OUTCOMES, "undecided")
    assert "no records of uff-cae-cifar10" in "\n".join(found["C5"].numbers)
    assert set(outcomes({})) == {"undecided"}


def test_nothing_unlike_is_compared() -> None:
    records = made.table()
    for one in records["uff-cae-mnist-backprop"]:
        one["settings"]["epochs"] = 99
    assert v.c1(records).outcome == "undecided"
    assert "other epochs, 99 and 6" in v.c1(records).numbers[0]
    records = made.table()
    for one in records["uff-ae-mnist-backprop"]:
        one["machine"]["threads"] = 4
    assert v.c4(records).outcome == "undecided"
    records = made.table()
    for one in records["ff-cifar10-simultaneous"]:
        one["data"]["fingerprint"] = "0" * 64
    assert "other data" in v.c5(records).numbers[0]


def test_a_row_that_is_ahead_with_fewer_epochs_is_ahead() -> None:
    records = made.table()
    for one in records["uff-cae-mnist"]:
        one["settings"]["epochs"] -= 1
    found = v.ordering(records, "uff-cae-mnist", "uff-ae-mnist", "mnist")
    assert found[0] == "holds"
    assert "other epochs, 5 and 6" in found[1]
    assert v.ordering(records, "uff-ae-mnist", "uff-cae-mnist", "mnist")[0] == "undecided"
    for one in records["uff-ae-mnist"]:
        one["test_error"]["linear"] = 0.0
    assert v.ordering(records, "uff-cae-mnist", "uff-ae-mnist", "mnist")[0] == "undecided"


# --- measures


def test_differences_and_their_errors() -> None:
    gap = m.gap({0: 3.0, 1: 5.0}, {0: 1.0, 1: 1.0, 2: 4.0})
    assert gap is not None
    # variances 2 of 2 and 3 of 3: the error is sqrt(2/2 + 3/3)
    assert (gap.mean, gap.seeds) == (2.0, 2)
    assert gap.error == pytest.approx(2**0.5)
    assert gap.sign is None
    assert m.Gap(0.31, 0.1, 3).sign == 1
    assert m.Gap(-0.31, 0.1, 3).sign == -1
    assert m.Gap(0.29, 0.1, 3).sign == 0
    assert m.paired({0: 3.0, 2: 1.0}, {0: 1.0, 1: 9.0, 2: 4.0}) == [2.0, -3.0]


def test_unrest_is_that_of_the_last_half_of_the_last_stage() -> None:
    curve = [50.0, 70.0, 80.0, 90.0, 92.0, 91.0]  # the last half changes by 2 and -1
    one = made.run("r", 0, 91.0, stages=("cell-0", "readout"), validation=curve)
    assert m.unrest(one, "linear") == pytest.approx((2 * 1.5**2) ** 0.5)
    assert m.unrest(made.run("r", 0, 91.0, epochs=3), "linear") is None
    # Every label tried needs no readout, and stands still while that learns.
    read = made.run("r", 0, 91.0, stages=("cell-0",), readout="goodness", validation=curve)
    curves = read["curves"]
    curves["stage"] += ["readout"] * 6
    curves["readouts"]["goodness"]["validation"] += [0.09] * 6
    assert m.unrest(read, "goodness") == pytest.approx((2 * 1.5**2) ** 0.5)


def test_time_to_nearly_the_best() -> None:
    curve = [50.0, 70.0, 89.0, 89.2, 90.0, 89.9]  # 99 % of 90 is 89.1
    assert m.seconds_to(made.run("r", 0, 89.9, validation=curve, seconds=2), "linear") == 8.0
    separate = made.run("r", 0, 9, stages=("cell-0", "readout"), validation=curve, seconds=2)
    assert m.seconds_to(separate, "linear") == 20.0
    assert m.seconds_to(separate, "goodness") is None


def test_the_readout_is_chosen_on_validation() -> None:
    one = made.run("ff-mnist-greedy", 0, 90.0)
    one["test_error"] |= {"goodness": 0.01}
    one["validation_error"] |= {"goodness": 0.2}
    assert m.readout_of([one]) == "linear"
    assert m.accuracies([one]) == {0: pytest.approx(90.0)}


# --- the page


def test_no_accuracy_stands_without_its_control() -> None:
    records = made.table()
    told = uff_page.page(records, ())
    line = next(line for line in told.splitlines() if line.startswith("| `uff-cae-mnist` |"))
    assert "98.50 ± 0.10 (3 seeds) | 96.00 ± 0.10 (3 seeds) | +2.50 ± 0.08" in line
    assert "| above its control |" in line
    assert "| not above its control |" in told  # the GAN without reconstruction
    assert "| undecided (3 seeds) |" in told  # greedy FF equals its control
    del records["uff-cae-mnist-frozen"]
    told = uff_page.page(records, ())
    (line,) = [
        line
        for line in told.splitlines()
        if line.startswith("| `uff-cae-mnist` |") and "simultaneous" in line
    ]
    assert "waits for its control `uff-cae-mnist-frozen`" in line
    assert "98.5" not in line
    assert "undecided (2 seeds)" in uff_page.page(made.table(2), ())


def test_recoded_data_are_called_so() -> None:
    records = made.table()
    for row, found in records.items():
        for one in found:
            if "cifar10" in row:
                one["data"]["note"] = "CIFAR-10 re-coded as JPEG, quality 75"
    told = uff_page.page(records, ())
    assert "## CIFAR-10 (`cifar10-jpeg`)" in told
    assert "Not to be compared with published numbers" in told
    assert "cifar10-jpeg, uff-cae-cifar10 minus" in told
    assert "cifar10-jpeg" not in uff_page.page(made.table(), ())


def test_page_and_figures_are_the_same_for_the_same_records() -> None:
    records = made.table()
    assert uff_page.page(records, ["accuracy-mnist.svg"]) == uff_page.page(
        made.table(), ["accuracy-mnist.svg"]
    )
    assert "![Accuracy by kind of cell, mnist](uff/accuracy-mnist.svg)" in uff_page.page(
        records, ["accuracy-mnist.svg"]
    )
    drawn = uff_figures.figures(records)
    assert sorted(drawn) == sorted(
        f"{what}-{data}.svg" for what in ("accuracy", "curves") for data in uff_page.TITLES
    )
    some = {row: found for row, found in made.table().items() if "-mnist" in row}
    assert uff_figures.figures(some)["accuracy-mnist.svg"] == drawn["accuracy-mnist.svg"]
    assert b"Date" not in drawn["accuracy-mnist.svg"]


def test_page_and_figures_with_rows_missing() -> None:
    assert "C5" in uff_page.page({}, ())
    assert uff_figures.figures({}) == {}
    every = made.table()
    for row in every:
        alone = {row: every[row][:1]}
        assert row in uff_page.page(alone, ())
        uff_figures.figures(alone)


def test_the_rows_are_those_that_the_page_reads() -> None:
    rows = [row.name for row in uff.rows]
    assert len(set(rows)) == len(rows)
    lines = [line for data in uff_page.TITLES for line in uff_page.lines(data)]
    assert sorted(line.row for line in lines) == sorted(rows)
    assert {line.control for line in lines if line.control} <= set(rows)
    assert set(made.table()) < set(rows)
    assert set(uff.pictured) < set(rows)
    for row in uff.rows:
        settings = row.settings()
        like = row.recipe if "wta" in row.name or "cae" in row.name else "uff-ae-mnist"
        assert settings.epochs == find_recipe(like).defaults.epochs
        assert settings.dataset == uff_table_data(row.name)


def uff_table_data(row: str) -> str:
    from onward.recipes.uff_table import DATA

    return next(name for data, name in DATA.items() if data in row.split("-"))


# --- results and what is done


def commit(results: Path, row: str, one: dict[str, Any]) -> Path:
    path = results / row / f"seed-{one['seed']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(one))
    return path


def test_records_are_gathered_by_row_and_refused_where_they_are_foreign(tmp_path: Path) -> None:
    for one in made.table()["uff-ae-mnist"][::-1]:
        commit(tmp_path, "uff-ae-mnist", one)
    commit(tmp_path, "uff-dae-mnist", made.run("uff-dae-mnist", 0, 90) | {"status": "diverged"})
    found = tables.gather(uff, tmp_path)
    assert {row: [one["seed"] for one in rs] for row, rs in found.items()} == {
        "uff-ae-mnist": [0, 1, 2]
    }
    other = made.run("uff-ae-mnist", 3, 90, epochs=2)
    path = commit(tmp_path, "uff-ae-mnist", other)
    with pytest.raises(ValueError, match="mixes runs: seeds 0 and 3 differ in epochs"):
        tables.gather(uff, tmp_path)
    path.unlink()
    commit(tmp_path, "uff-ae-mnist-raw", made.run("uff-cae-mnist", 0, 90))
    with pytest.raises(ValueError, match="its place is that of uff-ae-mnist"):
        tables.gather(uff, tmp_path)


def test_settings_other_than_the_rows_are_told(tmp_path: Path) -> None:
    commit(tmp_path, "uff-ae-mnist", made.run("uff-ae-mnist", 0, 90, epochs=2))
    told = tables.page(uff, tmp_path)
    usual = find_recipe("uff-ae-mnist").defaults.epochs
    assert f"* `uff-ae-mnist`: epochs 2 (here {usual})" in told


def test_seeds_and_rows_as_a_user_writes_them() -> None:
    assert seeds("0-2,5,2") == [0, 1, 2, 5]
    for bad in ("", "a", "2-0", "-1", "1-", "0-9999"):
        with pytest.raises(ValueError, match="--seeds wants"):
            seeds(bad)
    assert [row.name for row in chosen(uff.rows, ["wta"])] == [
        *("uff-wta-mnist", "uff-wta-mnist-frozen"),
        *("uff-convwta-mnist", "uff-convwta-mnist-frozen"),
    ]
    cells = [row.name for row in chosen(uff.rows, ["uff-ae-mnist"])]
    assert len(cells) > 1
    assert [row.name for row in chosen(uff.rows, ["=uff-ae-mnist"])] == ["uff-ae-mnist"]
    with pytest.raises(ValueError, match="no row has that name"):
        chosen(uff.rows, ["=uff-ae"])
    with pytest.raises(ValueError, match="no row has that in its name"):
        chosen(uff.rows, ["nothing"])


def test_a_job_is_the_command_anyone_could_give(tmp_path: Path) -> None:
    rows = chosen(uff.rows, ["gan-mnist-pure"])
    (job,) = survey(rows, [4], tmp_path / "runs", tmp_path / "results", {"epochs": 2, "width": 7})
    assert (job.state, job.settings.epochs) == ("new", 2)
    told = " ".join(words(job, How(2, "cpu", "d")))
    assert told == (
        "run uff-gan-mnist --alone --epochs 2 --reconstruction 0.0 --seed 4 --threads 2 "
        f"--device cpu --data d --out {tmp_path}/runs/uff-gan-mnist-pure/seed-4"
    )


def test_a_row_is_in_one_precision_and_the_page_says_which(tmp_path: Path) -> None:
    runs, results = tmp_path / "runs", tmp_path / "results"
    rows = [row for row in uff.rows if row.name == "uff-ae-mnist"]
    usual = find_recipe("uff-ae-mnist").defaults.epochs
    (job,) = survey(rows, [4], runs, results, precision="bf16")
    assert job.state == "new"
    assert " --precision bf16 " in " ".join(words(job, How(precision="bf16")))
    other = made.run("uff-ae-mnist", 0, 90, epochs=usual)
    narrow = {**other["machine"], "precision": "bf16"}
    commit(results, "uff-ae-mnist", other | {"machine": narrow})
    done, refused = survey(rows, [0, 1], runs, results)
    assert (done.state, refused.state) == ("done", "refused")
    assert "is in bf16, this would be in fp32" in refused.why
    assert [job.state for job in survey(rows, [0, 1], runs, results, precision="bf16")] == [
        *("done", "new")
    ]
    assert "all else fp32 (docs/cost.md): `uff-ae-mnist`." in tables.page(uff, results)
    commit(results, "uff-ae-mnist", made.run("uff-ae-mnist", 1, 90, epochs=usual))
    with pytest.raises(ValueError, match="seeds 0 and 1 differ in precision"):
        tables.gather(uff, results)


OUTLYING = tables.Table(
    "outlying",
    [
        tables.Row(name, "ff-digits", {"width": 4, "epochs": 2, "lr": 1e37}, may_diverge=may)
        for name, may in (("may", True), ("may-not", False))
    ],
    lambda records, figures: f"{[(row, one['status']) for row in records for one in records[row]]}",
)


def test_a_run_that_diverges_is_a_result_where_a_row_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["table", "test_table:OUTLYING", "--seeds", "0"]
    for again in (False, True):
        assert main(words) == 1, "of may-not"
        said = capsys.readouterr()
        assert ("diverged may, seed 0: " in said.out) == (not again)
        assert "may-not, seed 0 failed: " in said.err
        assert "diverged" in said.err.partition("may-not, seed 0 failed: ")[2]
        page = (tmp_path / "results" / "outlying.md").read_text()
        assert page == "[('may', 'diverged')]"
    assert not (tmp_path / "results" / "may-not").exists()


def test_what_is_federated_may_be_in_bf16(tmp_path: Path) -> None:
    rows = chosen(tables.find("federation").rows, ["federated-dae-mnist-iid"])[:1]
    (job,) = survey(rows, [0], tmp_path, tmp_path, precision="bf16")
    assert job.state == "new"
    told = words(job, How(precision="bf16"))
    assert (told[0], told[told.index("--precision") + 1]) == ("federate", "bf16")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("none",), "there is no table 'none'"),
        (("uff", "--seeds", "x"), "--seeds wants"),
        (("uff", "--jobs", "0"), "--jobs wants"),
        (("uff", "--threads", "many"), "--threads wants"),
        (("uff", "--threads", "0"), "threads should be 1 to 1024"),
        (("uff", "--device", "gpu"), "device can't be 'gpu'"),
        (("uff", "--precision", "fp8"), "precision can't be 'fp8'"),
        (("uff", "--only", "zebra"), "no row has that in its name"),
        (("uff", "--set", "epoch 2"), "did you mean 'epochs'?"),
        (("uff", "--set", "epochs many"), "epochs should be a whole number"),
        (("uff", "--set", "epochs"), "--set wants \"NAME VALUE\", and one is 'epochs'"),
        (("goodness", "--set", "width 30"), "are what they are by their width"),
        (("theta", "--set", "theta=2"), "are what they are by their theta"),
        (("onward.recipes:NAMES",), "should be a Table"),
    ],
)
def test_bad_words_are_refused(given: Sequence[str], says: str, tmp_path: Path) -> None:
    places = ("--out", tmp_path / "runs", "--results", tmp_path / "results")
    assert says in onward("table", *given, *places).complaint
    assert not list(tmp_path.iterdir())


# --- runs

TABLE = """
from onward.recipes.tables import Row, Table

tiny = {"dataset": "synthetic", "width": 8, "cells": 1, "batch": 60, "epochs": 1}


def page(records, figures):
    return "".join(f"{row}: {len(found)}\\n" for row, found in records.items())


table = Table(
    "tiny",
    [
        Row("local", "ff-digits", tiny),
        Row("twin", "bp-digits", {**tiny, "cells": 2}),
    ],
    page,
    lambda records: {"rows.svg": str(len(records)).encode()},
)
broken = Table("broken", [Row("bad", "ff-digits", {**tiny, "lr": -1.0}), *table.rows], page)
slow = {**tiny, "epochs": 2000, "checkpoint_every": 20, "evaluate_every": 1000}
long = Table("long", [Row("slow", "bp-digits", slow)], page)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_tables.py").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delitem(sys.modules, "my_tables", raising=False)
    return tmp_path


def test_runs_are_made_once_copied_and_told(here: Path) -> None:
    dry = onward("table", "my_tables:table", "--seeds", "0-1", "--dry")
    assert dry.code == 0
    assert dry.out.splitlines()[-1] == "4 runs: 4 to be run"
    assert "onward run ff-digits --dataset synthetic --cells 1 --width 8 --epochs 1" in dry.out
    assert not (here / "runs").exists()

    done = onward("table", "my_tables:table", "--seeds", "0-1", "--jobs", "2")
    assert done.code == 0, done.err + done.out
    for row in ("local", "twin"):
        for seed in (0, 1):
            kept = here / "results" / row / f"seed-{seed}.json"
            assert record.read(kept)["status"] == "finished"
            run = here / "runs" / row / f"seed-{seed}"
            assert kept.read_bytes() == (run / "record.json").read_bytes()
            assert "report.html" in run.with_name(f"seed-{seed}.log").read_text()
    assert "finished twin, seed 1: validation error linear" in done.out
    assert (here / "results" / "tiny.md").read_text() == "local: 2\ntwin: 2\n"
    assert (here / "results" / "tiny" / "rows.svg").read_text() == "2"

    again = onward("table", "my_tables:table", "--seeds", "0-1")
    assert (again.code, again.out) == (0, "results/tiny.md\n")
    # A run that is there, but whose record is not yet copied, is not run again.
    (here / "results" / "local" / "seed-0.json").unlink()
    assert "1 trained, to be copied" in onward("table", "my_tables:table", "--dry").out
    copied = onward("table", "my_tables:table", "--seeds", "0")
    assert copied.out.startswith("copied   local, seed 0: validation error")
    # Other settings are neither taken for done nor run over.
    other = onward("table", "my_tables:table", "--seeds", "0", "--set", "epochs 2", "width=8")
    assert other.code == 1
    assert "holds a run with other settings: epochs 1, wanted 2" in other.err
    (here / "results" / "tiny.md").unlink()
    assert onward("table", "my_tables:table", "--write").code == 0
    assert (here / "results" / "tiny.md").exists()


def test_without_records_there_is_no_page(here: Path) -> None:
    done = onward("table", "my_tables:table", "--write")
    assert (done.code, done.err) == (0, "")
    assert done.out == "no record of this table lies in results: no page is written\n"
    assert not (here / "results").exists()


def test_a_run_that_fails_stops_no_other(here: Path) -> None:
    done = onward("table", "my_tables:broken", "--seeds", "0", "--only", "bad", "local")
    assert done.code == 1
    assert "failed   bad, seed 0: lr should be a number above 0, and is -1.0" in done.out
    assert "bad, seed 0 failed" in done.err
    assert (here / "results" / "local" / "seed-0.json").exists()
    assert (here / "results" / "broken.md").read_text() == "local: 1\n"


def test_ctrl_c_leaves_everything_to_be_resumed(here: Path) -> None:
    run = here / "runs" / "slow" / "seed-0"
    asked = [sys.executable, "-m", "onward", "table", "my_tables:long", "--seeds", "0"]
    with subprocess.Popen(
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        ends = time.monotonic() + 200
        while not list(run.glob("checkpoint/*/state.json")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < ends
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130, out + err
    assert "stopped  slow, seed 0" in out
    assert err == "onward: stopped; the same command goes on\n"
    before = record.read(run)
    assert before["status"] == "interrupted"
    assert not (here / "results").exists()
    assert "to be resumed" in onward("table", "my_tables:long", "--seeds", "0", "--dry").out
    done = onward("table", "my_tables:long", "--seeds", "0")
    assert done.code == 0, done.out + done.err
    assert "resumed  slow, seed 0 (1 of 1)" in done.out
    kept = record.read(here / "results" / "slow" / "seed-0.json")
    assert (kept["status"], kept["epochs"]) == ("finished", 2000)
    assert kept["started"] == before["started"]


# --- pictures


def trained(tmp_path: Path, name: str, *more: object) -> Path:
    words = ("--alone", "--dataset", "synthetic", "--epochs", 1, "--batch", 60, "--threads", 1)
    out = tmp_path / "run"
    done = onward("run", name, *words, *more, "--out", out)
    assert done.code == 0, done.err
    return out


def test_a_run_leaves_pictures_and_its_page_shows_them(tmp_path: Path) -> None:
    run = trained(tmp_path, "uff-cae-mnist", "--widths", "[6, 4]")
    found, notes = restored.read(run)
    assert {key: values.shape for key, values in found.items()} == {
        "samples": (10, 1, 8, 8),
        "restored-0": (10, 1, 8, 8),
        "restored-1": (10, 1, 8, 8),
        "filters": (6, 1, 5, 5),
        "maps": (4, 6, 4, 4),
    }
    assert notes == {"restored": "a cell"}
    test = data.load("synthetic").test
    first = [int((test.y == label).nonzero()[0, 0]) for label in range(10)]
    assert (found["samples"] == (255 * test.x[first]).round().byte().numpy()).all()
    page = render(run)
    for text in ("What the cells restore", "Restored by cell-1", "Latent maps of sample 4"):
        assert text in page
    drawn = restored.sheet(run)
    assert drawn is not None
    assert drawn == restored.sheet(run)
    assert drawn.startswith(b"\x89PNG")
    # A damaged file costs the section, and nothing else.
    (run / restored.FILE).write_bytes(b"nothing")
    assert "What the cells restore" not in render(run)
    assert restored.sheet(run) is None


def test_a_gan_cells_pictures_are_samples_of_its_generator(tmp_path: Path) -> None:
    run = trained(tmp_path, "uff-gan-mnist", "--widths", "[6, 5]", "--critic", 4)
    found, _ = restored.read(run)
    assert found["latents"].shape == (10, 2, 3)
    assert found["filters"].shape == (6, 1, 8, 8)
    assert "Samples of the generator of cell-1" in render(run)


def _row(settings: dict[str, Any]) -> tuple[Any, Any]:
    from dataclasses import replace

    recipe = find_recipe("uff-ae-mnist")
    own = data.load("synthetic")
    asked = {"dataset": "synthetic", "widths": [90, 9], **settings}
    plain = {"activation": "relu", "tied": False, "bias": True, **asked}
    return recipe.build(replace(recipe.defaults, **plain), own, 0).row, own


def test_what_did_not_learn_to_restore_leaves_no_pictures() -> None:
    for regime in ("frozen", "raw", "backprop"):
        assert pictures(*_row({"regime": regime})) is None


def test_pooled_winners_are_shown_alone_and_it_is_said() -> None:
    found = pictures(*_row({"cell": "convwta", "decoder_kernel": 3, "kernel": 3}))
    assert found is not None
    assert "restored-0" in found[0]
    assert "restored-1" not in found[0]
    assert "before pooling" in found[1]["left"]


@pytest.mark.parametrize("samples", ["pixels", "standardised"])
def test_a_perfect_cell_gives_back_the_samples(samples: str) -> None:
    """With an encoder and a decoder that change nothing, the way back is exact."""
    row, own = _row({"samples": samples, "activation": "linear"})
    for cell, size in zip(row.cells, (64, 9), strict=True):
        with torch.no_grad():
            for layer in (cell.encoder, cell.decoder):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[:size, :size] = torch.eye(size)
    found = pictures(row, own)
    assert found is not None
    assert found[0]["restored-0"].equal(found[0]["samples"])
    # The second cell keeps nine of ninety numbers, and restores at least those.
    assert found[0]["restored-1"].shape == found[0]["samples"].shape


def test_the_sample_itself_as_target_needs_no_way_back() -> None:
    found = pictures(*_row({"target": "original"}))
    assert found is not None
    assert found[0]["restored-1"].shape == found[0]["samples"].shape
