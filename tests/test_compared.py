"""Runs beside each other: what differs on their page, and their curves for TensorBoard."""

import re
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from command import onward
from test_report import finished, folder

from onward import record
from onward.report import differences, events, render


def words(html: str) -> list[str]:
    """The text of a table, cell by cell."""
    return [text.strip() for text in re.findall(r">([^<>]+)<", html) if text.strip()]


def test_what_differs_is_said_and_what_does_not_is_not() -> None:
    one = finished()
    other = {**finished(), "seed": 4, "settings": {**one["settings"], "batch": 64}}
    told = words(differences.section([("first", one), ("second", other)]))
    assert told[told.index("first") :] == [
        "first",
        "second",
        "seed",
        "3",
        "4",
        "batch",
        "128",
        "64",
    ]
    assert differences.section([("first", one), ("second", one)]) == ""
    assert differences.section([("first", one)]) == ""


def test_settings_of_one_recipe_only_are_no_difference() -> None:
    one, other = finished(), {**finished(), "recipe": "bp-fashion", "settings": {"epochs": 5}}
    told = words(differences.section([("first", one), ("second", other)]))
    assert told[told.index("recipe") :] == [
        *("recipe", "ff-fashion", "bp-fashion", "epochs", "30", "5")
    ]


def test_runs_in_folders_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    places = [tmp_path / point / "seed-0" for point in ("a", "lr-0.1", "lr-0.2")]
    for place in places:
        folder(place, finished())
    page = render(places[0], places[1:])
    assert "ff-fashion, seed-0" in page
    assert "ff-fashion, lr-0.2/seed-0" in page


def test_report_writes_every_runs_curves_for_tensorboard(copied: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the extra `tensorboard` has it",
    )
    other = Path(shutil.copytree(copied, tmp_path / "other"))
    for _ in range(2):  # the second time in place of the first
        done = onward("report", copied, other, "--tensorboard")
        assert done.code == 0, done.err
        assert done.out.splitlines()[1:] == [str(d / "tensorboard") for d in (copied, other)]
    assert len(list((other / "tensorboard").iterdir())) == 1
    read = reader.EventAccumulator(str(copied / "tensorboard")).Reload()
    curves = record.read(copied)["curves"]
    loss = [one.value for one in read.Scalars("loss/cell-1")]
    assert loss == pytest.approx(curves["cells"][1]["loss"])
    assert [one.step for one in read.Scalars("loss/cell-1")] == [1, 2, 3]
    wanted = defaultdict(list)
    for name, _, value in events.scalars(record.read(copied)):
        wanted[name].append(value)
    assert sorted(wanted) == sorted(read.Tags()["scalars"])
    measured = [v for v in curves["readouts"]["linear"]["validation"] if v is not None]
    assert wanted["error_linear/validation"] == measured


def test_tensorboard_that_is_missing_is_named(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    complaint = onward("report", copied, "--tensorboard").complaint
    assert "pip install 'onward[tensorboard]'" in complaint
    assert not (copied / "tensorboard").exists()
