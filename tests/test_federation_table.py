"""The table of federations on records with known answers, and a run of one of its rows."""

from pathlib import Path
from typing import Any

import pytest
from command import onward
from test_results import record as made_record

from onward import record
from onward.recipes import federation_table as f
from onward.recipes.tables import Row, Table

TINY = Table(
    "tiny",
    [
        Row(
            "federated-tiny",
            "ff-digits",
            {"dataset": "synthetic", "batch": 20, "width": 16, "cells": 2, "epochs": 2},
            {"clients": 3, "partition": "labels"},
        )
    ],
    lambda records, figures: f"{len(records)} rows\n",
)


def made(seed: int, error: float) -> dict[str, Any]:
    rounds = [{"bytes_down": [3_000_000] * 10, "bytes_up": [2_000_000] * 10}] * 2
    return {**made_record(seed), "test_error": {"linear": error}, "rounds": rounds}


def test_rows() -> None:
    rows = {row.name: row for row in f.table.rows}
    assert len(rows) == len(f.table.rows) == 2 * 7 * 5
    assert rows["federated-dae-fashion-0.1"].settings().dataset == "fashion_mnist"
    assert rows["federated-dae-fashion-0.1"].terms["alpha"] == 0.1
    assert rows["federated-dae-progressive-mnist-iid"].settings().regime == "separate"
    assert rows["federated-dae-progressive-mnist-iid"].terms["rounds"] == 5
    assert rows["federated-dae-progressive-mnist-central"].terms["rounds"] == 1
    assert rows["federated-dae-mnist-central"].settings().batch == 100
    assert rows["federated-dae-mnist-0.3"].settings().batch == 50
    assert rows["federated-backprop-mnist-1"].settings().regime == "backprop"
    assert {row.settings().epochs for row in rows.values()} == {10}


def test_page_and_figure() -> None:
    records = {
        "federated-dae-mnist-central": [made(0, 0.02), made(1, 0.04)],
        "federated-dae-mnist-0.1": [made(0, 0.1), made(1, 0.1)],
    }
    drawn = f.figures(records)
    assert sorted(drawn) == ["mnist.svg"]
    page = f.page(records, drawn)
    assert "| denoising cells | 97.00 ± 1.41 | – | – | – | 90.00 ± 0.00 | 2 |" in page
    assert "| denoising cells | – | – | – | −7.00 ± 1.00 |" in page
    assert "| denoising cells | 2 | 6.0 | 4.0 |" in page
    assert "## fashion\n\nNot run yet." in page
    assert f.figures({}) == {}


def test_a_row_is_federated_and_known_again(tmp_path: Path) -> None:
    pytest.importorskip("flwr", reason="the extra `federated` has it")
    asked = (
        *("table", "test_federation_table:TINY", "--seeds", "0"),
        *("--out", tmp_path / "runs", "--results", tmp_path / "results"),
    )
    first = onward(*asked)
    assert first.code == 0, first.err
    found = record.read(tmp_path / "results" / "federated-tiny" / "seed-0.json")
    assert found["federation"]["partition"] == "labels"
    assert len(found["rounds"]) == 2
    again = onward(*asked, "--dry")
    assert "done" in again.out
    changed = {**found, "federation": {**found["federation"], "clients": 4}}
    record.write(tmp_path / "results" / "federated-tiny" / "seed-0.json", changed)
    assert "clients 4, wanted 3" in onward(*asked, "--dry").out
