"""Sweeps: grids as they are written, runs that are made once, and the page's choice."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import onward
from test_results import record

from onward.cli.sweeping import grid
from onward.errors import BadInput
from onward.recipes import find
from onward.recipes.sweep_page import best, sweep_table

SMALL = ("dataset=synthetic", "width=16", "cells=2", "epochs=1", "batch=60")


def point(validation: list[float], test: float) -> list[dict[str, Any]]:
    """Finished records of a point, a seed each."""
    made = []
    for seed, error in enumerate(validation):
        one = record(seed)
        one["validation_error"] = {"linear": error, "goodness": 0.5, "goodness_cells": [0.1]}
        one["test_error"] = {"linear": test, "goodness": 0.5}
        made.append(one)
    return made


def test_a_grid_is_every_combination_in_the_types_of_the_settings() -> None:
    recipe = find("ff-digits")
    found = grid(recipe, "ff-digits", ["lr=0.01,1e-3", "optimizer=sgd,adamw", "theta=null,2"])
    assert len(found) == 8
    assert found[0] == {"lr": 0.01, "optimizer": "sgd", "theta": None}
    assert found[-1] == {"lr": 0.001, "optimizer": "adamw", "theta": 2.0}
    assert grid(recipe, "ff-digits", ["lr=0.01,1e-2"]) == [{"lr": 0.01}]  # the same number
    lists = grid(find("uff-ae-mnist"), "uff-ae-mnist", ["widths=[20,10],[30]"])
    assert lists == [{"widths": [20, 10]}, {"widths": [30]}]
    assert grid(recipe, "ff-digits", []) == [{}]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lrr=1"], "ff-digits has no setting 'lrr': did you mean 'lr'?"),
        (["seed=1,2"], "ff-digits has no setting 'seed'"),
        (["lr"], "wants NAME=VALUE,VALUE,..., and one is 'lr'"),
        (["lr="], "wants NAME=VALUE,VALUE,..., and one is 'lr='"),
        (["lr=0.1,,0.2"], "and one is 'lr=0.1,,0.2'"),
        (["lr=fast"], "lr should be a number, and is 'fast'"),
        (["optimizer=sgd,adam"], "optimizer can't be 'adam': did you mean 'adamw'?"),
        (["lr=1", "lr=2"], "--grid names lr twice"),
    ],
)
def test_bad_grids(words: list[str], told: str) -> None:
    with pytest.raises(BadInput) as refused:
        grid(find("ff-digits"), "ff-digits", words)
    assert told in str(refused.value)


def test_the_best_point_is_chosen_on_validation_and_never_on_test() -> None:
    records = {"a": point([0.02, 0.04], test=0.5), "b": point([0.04, 0.04], test=0.01)}
    assert best(records) == "a"
    # A lucky single seed is not compared with means of two.
    assert best({**records, "c": point([0.001], test=0.0)}) == "a"
    assert best({}) is None


def test_the_page_shows_test_errors_of_the_chosen_point_only() -> None:
    table = sweep_table("ff-digits", [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}])
    records = {"lr-0.1": point([0.02, 0.04], 0.0777), "lr-0.2": point([0.05, 0.05], 0.0111)}
    drawn = table.figures(records)
    page = table.page(records, set(drawn))
    assert "| 0.1 | 2 | 3.00 ± 1.41 | 50.00 ± 0.00 |" in page
    assert "| 0.3 | 0 | – | – |" in page
    assert "`lr-0.1`. Its test error: linear 7.77" in page
    assert "1.11" not in page
    assert "(sweep/sweep.svg)" in page
    (figure,) = drawn.values()
    assert b"lr-0.1" in figure
    assert b"lr-0.2" in figure
    assert "No run is finished" in table.page({}, set())
    assert table.figures({}) == {}


def test_a_sweep_goes_on_where_it_stopped_and_says_what_failed(tmp_path: Path) -> None:
    words = ("sweep", "ff-digits", "--grid", *SMALL, "lr=0.01,-1", "--out", tmp_path)
    done = onward(*words, "--seeds", "0", "--jobs", 2)
    assert done.code == 1
    assert "lr should be a number above 0" in done.err
    first = "dataset-synthetic-width-16-cells-2-epochs-1-batch-60-lr-0.01"
    assert (tmp_path / first / "seed-0" / "report.html").exists()
    ended = json.loads((tmp_path / first / "seed-0" / "record.json").read_text())["ended"]
    page = (tmp_path / "sweep.md").read_text()
    assert done.out.endswith(page)
    assert "| synthetic | 16 | 2 | 1 | 60 | 0.01 | 1 |" in page
    assert (tmp_path / "sweep" / "sweep.svg").exists()

    again = onward(*words[:-3], "lr=0.01", *words[-2:], "--seeds", "0-1")
    assert again.code == 0, again.err
    assert "seed 0" not in again.out  # it is done
    assert f"finished {first}, seed 1" in again.out
    record_file = tmp_path / first / "seed-0" / "record.json"
    assert json.loads(record_file.read_text())["ended"] == ended
    assert "| synthetic | 16 | 2 | 1 | 60 | 0.01 | 2 |" in (tmp_path / "sweep.md").read_text()

    dry = onward(*words, "--seeds", "0-1", "--dry")
    assert dry.code == 0
    assert "4 runs: 2 done, 2 to be run" in dry.out


def test_bad_input_of_sweep(tmp_path: Path) -> None:
    def complaint(*words: object) -> str:
        return onward("sweep", *words, "--out", tmp_path / "out").complaint

    assert "did you mean 'ff-digits'?" in complaint("ff-digts")
    assert "no setting 'lrr'" in complaint("ff-digits", "--grid", "lrr=1")
    assert "grid" in complaint("ff-digits", "--grid")
    for seeds in ("many", "3-1", "0-", ""):
        assert "--seeds wants a range" in complaint("ff-digits", f"--seeds={seeds}")
    assert "--jobs wants" in complaint("ff-digits", "--jobs", "0")
    assert not (tmp_path / "out").exists()
