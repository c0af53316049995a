"""RESULTS.md: numbers recomputed here from scratch, and what is left out of the means."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onward import report
from onward.errors import BadInput
from onward.record import INSIDE, empty_curves
from onward.report.results import collect, main, markdown


def record(seed: int, **changes: Any) -> dict[str, Any]:
    """A small finished record; only what the table reads differs between tests."""
    made: dict[str, Any] = {
        "schema": 1,
        "status": "finished",
        "recipe": "ff-mnist",
        "claim": None,
        "source": None,
        "command": f"onward run ff-mnist --seed {seed}",
        "algorithm": "forward_forward",
        "schedule": "simultaneous",
        "settings": {},
        "seed": seed,
        "data": {
            "name": "mnist",
            "shape": [1, 28, 28],
            "classes": 10,
            "train": 50000,
            "validation": 10000,
            "test": 10000,
            "origin": "folder",
            "label_names": list("0123456789"),
            "note": None,
            "fingerprint": "9f2c" * 16,
        },
        "machine": {
            "device": "cpu",
            "precision": "fp32",
            "threads": 8,
            "processor": "AMD EPYC",
            "cores": 16,
            "memory_gib": 64.0,
        },
        "versions": {"onward": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "numpy": "2.3.1"},
        "commit": {"id": "abcdef0123456789", "clean": True},
        "parameters": {"cells": [10], "readout": 0},
        "cells": [],
        "epochs": 20,
        "curves": empty_curves(["cell-0"], ["goodness"]),
        "validation_error": {"goodness": 0.02},
        "test_error": {"goodness": 0.015},
        "confusion": None,
        "cost": {**dict.fromkeys(INSIDE["cost"]), "train_seconds": 100.0},
        "started": "",
        "ended": "",
    }
    return made | changes


def commit(folder: Path, recipe: str, made: dict[str, Any]) -> Path:
    path = folder / recipe / f"seed-{made['seed']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


def rows(text: str) -> list[list[str]]:
    """The body of the one table in a Markdown text."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_means_and_spreads_are_those_of_the_records(tmp_path: Path) -> None:
    goodness, linear, seconds = [0.0134, 0.0141, 0.0152], [0.021, 0.0204, 0.0195], [100, 110, 126]
    for seed, (g, x, s) in enumerate(zip(goodness, linear, seconds, strict=True)):
        made = record(seed, cost={**dict.fromkeys(INSIDE["cost"]), "train_seconds": s})
        made["test_error"] = {"goodness": g, "linear": x, "goodness_cells": [g, g]}
        made["validation_error"] = {"goodness": g + 0.001, "linear": x + 0.002}
        commit(tmp_path, "ff-mnist", made)
    (row,) = rows(markdown(tmp_path))

    def told(values: list[float]) -> str:
        mean = sum(values) / 3
        spread = (sum((v - mean) ** 2 for v in values) / 2) ** 0.5
        each = ", ".join(f"{100 * v:.2f}" for v in values)
        return f"{100 * mean:.2f} ± {100 * spread:.2f} (n = 3: {each})"

    assert row[0] == "ff-mnist"
    assert row[2] == "goodness<br>linear"
    assert row[3] == f"{told(goodness)}<br>{told(linear)}"
    assert row[4] == f"{sum(goodness) / 0.03 + 0.1:.2f}<br>{sum(linear) / 0.03 + 0.2:.2f}"
    assert row[5] == "20"
    assert row[6] == f"{sum(seconds) / 3 / 20:.3g}"
    assert row[7] == "cpu, AMD EPYC, 8 threads"
    assert row[8] == "abcdef0123"
    assert row[9] == "`onward run ff-mnist --seed 0`"


def test_rows_are_sorted_and_the_text_is_the_same_every_time(tmp_path: Path) -> None:
    for recipe, seed in (("b", 10), ("b", 9), ("a", 0), ("c", 1)):
        commit(tmp_path, recipe, record(seed))
    text = markdown(tmp_path)
    assert [row[0] for row in rows(text)] == ["a", "b", "c"]
    assert [(run.recipe, run.seed) for run in collect(tmp_path)] == [
        ("a", 0),
        ("b", 9),
        ("b", 10),
        ("c", 1),
    ]
    assert "--seed 9`" in text
    assert text == markdown(tmp_path) == report.markdown(tmp_path)
    assert text.endswith("\n")
    assert "python -m onward.report.results results RESULTS.md" in text
    assert "last epoch, on the test set" in text


def test_one_seed_has_no_spread_and_nulls_are_dashes(tmp_path: Path) -> None:
    commit(tmp_path, "one", record(0))
    empty = record(0, test_error={"linear": None}, validation_error=None, command="")
    empty["cost"] = dict.fromkeys(empty["cost"])
    commit(tmp_path, "two", empty | {"commit": {"id": None, "clean": None}})
    one, two = rows(markdown(tmp_path))
    assert one[3] == "1.50 (n = 1)"
    machine = "cpu, AMD EPYC, 8 threads"
    assert two[2:] == ["linear", "– (n = 0)", "–", "20", "–", machine, "–", "–"]


def test_what_differs_between_seeds_is_all_told(tmp_path: Path) -> None:
    commit(tmp_path, "r", record(0))
    other = record(1, epochs=30, commit={"id": "f" * 40, "clean": False})
    other["data"] |= {"name": "cifar10", "note": "cifar10-jpeg"}
    commit(tmp_path, "r", other)
    (row,) = rows(markdown(tmp_path))
    assert row[1] == "mnist<br>cifar10 (cifar10-jpeg)"
    assert row[5] == "20<br>30"
    assert row[8] == "abcdef0123<br>ffffffffff with changes"


def test_runs_that_did_not_finish_are_named_and_left_out(tmp_path: Path) -> None:
    commit(tmp_path, "r", record(0))
    commit(tmp_path, "r", record(1, status="diverged", test_error={"goodness": 0.9}))
    commit(tmp_path, "s", record(2, status="interrupted"))
    text = markdown(tmp_path)
    (row,) = rows(text)
    assert row[3] == "1.50 (n = 1)"
    assert "r, seed 1 (diverged); s, seed 2 (interrupted)" in text


def test_text_stays_inside_its_cell(tmp_path: Path) -> None:
    evil = "a|b\n<script>"
    made = record(0, command=evil)
    made["data"] |= {"name": evil}
    commit(tmp_path, "r", made)
    (line,) = [line for line in markdown(tmp_path).splitlines() if line.startswith("| r |")]
    assert "a\\|b &lt;script>" in line
    assert "`a\\|b <script>`" in line
    assert line.replace("\\|", "").count("|") == 11


def test_without_records_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("not a record")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "seed-x.json").write_text("not a record")
    assert "There are no records" in markdown(tmp_path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="wanted a folder of records"):
        markdown(tmp_path / "none")
    commit(tmp_path, "r", record(3)).rename(tmp_path / "r" / "seed-4.json")
    with pytest.raises(BadInput, match="holds seed 3"):
        markdown(tmp_path)
    (tmp_path / "r" / "seed-4.json").write_text("{")
    with pytest.raises(BadInput, match="is not a readable record"):
        markdown(tmp_path)


def test_the_command_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(tmp_path / "results", "r", record(0))
    target = tmp_path / "RESULTS.md"
    done = subprocess.run(
        [sys.executable, "-m", "onward.report.results", str(tmp_path / "results"), str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert target.read_text(encoding="utf-8") == markdown(tmp_path / "results")
    assert main([]) == 2
    assert main([str(tmp_path / "none"), str(target)]) == 2
    assert "usage" in capsys.readouterr().err
