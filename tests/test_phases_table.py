"""The table of phases: verdicts with known answers, the page, its figures, its rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import onward
from test_results import record

from onward.recipes import phases_page, phases_rows, tables
from onward.recipes import phases_verdicts as v
from onward.recipes.phases_table import table

FALL = {None: 0.0, 1: 9.0, 2: 10.0, 4: 16.0, 8: 35.0, 16: 60.0, 32: 86.0, 64: 87.0, 128: 88.0}
"""Points below mixed phases."""


def run(row: str, recipe: str, seed: int, accuracy: float, labelled: bool) -> dict[str, Any]:
    """A finished record with an accuracy in percent; its linear readout is halfway to 60 %."""
    made, wrong = record(seed), 1 - (accuracy + 0.1 * (seed - 1)) / 100
    made["recipe"] = recipe
    found = {"linear": (wrong + 0.4) / 2 if labelled else wrong}
    if labelled and "frozen" not in row:
        found["goodness"] = wrong
    made["test_error"] = made["validation_error"] = found
    made["settings"] = {"epochs": 10, "width": 500, "cells": 3, "batch": 100}
    name = "aesop" if "aesop" in row else row.split("-")[1]
    made["data"] = {**made["data"], "name": name, "fingerprint": name.ljust(64, "0")}
    if not labelled:
        linear = {"accuracy": accuracy / 100, "bits": 5 - accuracy / 25}
        grams = [{"n": 1, "accuracy": 0.196, "bits": 4.17}, {"n": 4, "accuracy": 0.49, "bits": 2.5}]
        made["text"] = {"test": {"samples": 10, "linear": linear, "ngrams": grams}}
    return made


def made_table(seeds: int = 3, slow: float = 30.0, fall: float = 1.0) -> dict[str, Any]:
    """Records in which S1 to S5 hold; ``slow`` points better slowly, a ``fall`` that is steeper."""
    found: dict[str, list[dict[str, Any]]] = {}
    for study, (recipe, _) in phases_rows.STUDIES.items():
        labelled = study in v.LABELLED
        top, scale = (97.0, fall) if labelled else (41.0, 0.05 * fall)

        def add(row: str, accuracy: float, recipe: str = recipe, labelled: bool = labelled) -> None:
            found[row] = [run(row, recipe, seed, accuracy, labelled) for seed in range(seeds)]

        add(phases_rows.frozen(study), 5.0 if labelled else 33.0)
        for length, down in FALL.items():
            add(phases_rows.name(study, length), top - scale * down)
        for length in phases_rows.SLOW:
            level = top - scale * FALL[length] + slow * scale
            add(phases_rows.name(study, length, slow=True), level)
    return found


def outcomes(records: Any) -> dict[str, str]:
    return {one.name: one.outcome for one in v.verdicts(records)}


def test_verdicts() -> None:
    assert outcomes(made_table()) == dict.fromkeys(("S1", "S2", "S3", "S4", "S5"), "holds")
    assert outcomes(made_table(slow=-10.0))["S4"] == "does not hold"
    assert outcomes(made_table(slow=0.0))["S4"] == "undecided"
    upwards = outcomes(made_table(fall=-0.02))
    assert (upwards["S1"], upwards["S2"], upwards["S3"]) == ("does not hold",) * 3
    assert set(outcomes(made_table(seeds=2)).values()) == {"undecided"}
    assert set(outcomes({}).values()) == {"undecided"}
    above = made_table()
    for study in phases_rows.STUDIES:
        above[phases_rows.frozen(study)] = [
            run(phases_rows.frozen(study), phases_rows.STUDIES[study][0], seed, 90.0, False)
            for seed in range(3)
        ]
    assert outcomes(above)["S5"] == "does not hold"
    del above["phases-mnist-frozen"], above["phases-fashion-frozen"], above["phases-aesop-frozen"]
    assert outcomes(above)["S5"] == "undecided"


def test_rows_are_whole_and_each_is_another_run() -> None:
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names) == 4 * 13 - 1, "frozen cells of a text have no negatives"
    seen = set()
    for row in table.rows:
        settings = row.settings()
        assert row.recipe in ("ff-mnist", "ff-aesop")
        seen.add((row.recipe, json.dumps(vars(settings))))
        control = "frozen" in (getattr(settings, "regime", ""), getattr(settings, "schedule", ""))
        assert control == row.name.endswith("-frozen")
        assert settings.dataset in ("mnist", "fashion_mnist", "aesop")
        assert (settings.momentum == 0.999) == row.name.endswith("-slow")
        assert (settings.lr < 0.0001) == row.name.endswith("-slow")
        if (settings.phases == "separated") and not row.name.endswith("-slow"):
            assert row.name.endswith(f"-{settings.phase_length}")
    assert len(seen) == len(names)


def test_the_page_and_the_figures(tmp_path: Path) -> None:
    records = made_table()
    drawn = table.figures(records)
    assert sorted(drawn) == sorted(f"{study}.svg" for study in phases_rows.STUDIES)
    assert drawn == table.figures(records), "the same picture for the same records"
    page = table.page(records, drawn.keys())
    assert "| 32 | 11.00 ± 0.10 | 35.50 ± 0.05 | 11 | 3 seeds |" in page
    assert "| mixed | 41.00 ± 0.10 | 3.36 ± 0.00 | 3 seeds |" in page
    assert "| frozen as drawn | – |" in page
    assert "Counted n-grams of the same training text: n = 1: 19.60 %, 4.17 bits" in page
    for study, title in phases_page.TITLES.items():
        assert f"## {title}" in page
        assert f"(phases/{study}.svg)" in page
    partly = {row: found for row, found in records.items() if "fashion" not in row}
    assert "Fashion-MNIST" not in table.page(partly, ())
    assert table.page({}, ()).startswith("# Positives and negatives")
    assert table.figures({}) == {}


def test_the_command(tmp_path: Path) -> None:
    results = ("--results", tmp_path / "results", "--out", tmp_path / "runs")
    told = onward("table", "phases", "--write", *results)
    assert (
        told.out == f"no record of this table lies in {tmp_path / 'results'}: no page is written\n"
    )
    dry = onward("table", "phases", "--dry", "--only", "mnist-32", "--seeds", "0", *results)
    assert "--phases separated --phase_length 32 --negatives wrong --seed 0" in dry.out
    assert "2 runs" in dry.out
    assert "phases-mnist-32-slow" in dry.out
    for row in made_table():
        for seed, one in enumerate(made_table()[row]):
            file = tmp_path / "results" / row / f"seed-{seed}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(one))
        break
    done = onward("table", "phases", "--write", *results)
    assert done.code == 0, done.err
    assert (tmp_path / "results" / "phases.md").exists()


@pytest.mark.parametrize("name", ["phases"])
def test_the_table_is_known(name: str) -> None:
    assert tables.find(name) is table
