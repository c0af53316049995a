"""The tables of layer collaboration: verdicts with known answers, the pages, figures, rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import onward
from test_results import record

from onward.recipes import collab, collab_figures, collab_page, collab_rows, find, tables
from onward.recipes import collab_verdicts as v
from onward.recipes.collab_table import table
from onward.recipes.theta_table import table as sweep

RESULTS = Path(__file__).parent.parent / "results"


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Made-up records stand at thresholds of once the units, whatever real sweeps have chosen."""
    if "chosen_for_real" not in request.fixturenames:
        monkeypatch.setattr(collab, "FACTORS", {})


@pytest.fixture
def chosen_for_real() -> dict[tuple[str, str, str], float]:
    """The thresholds that stand in the package."""
    return collab.FACTORS


LEVELS = {"mnist": 2.1, "fashion": 11.0, "cifar10": 51.0}
STEPS = {"ff": (0.0, 0.5, 1.0), "earlier": (2.0, 1.0, 0.5), "all": (9.0, 4.0, 0.5)}
"""Points above its end that the running sum of a method stands at, after each cell."""

DIVERGENCE = {"ff": 0.01, "earlier": 0.9, "all": 0.2}


def run(row: str, seed: int, error: float, method: str = "all") -> dict[str, Any]:
    """A finished record with an error in percent, and what its cells add."""
    made, jitter = record(seed), 0.05 * (seed - 1)
    data = row.split("-")[1]
    made["recipe"] = "bp-mnist" if row.endswith("bp-label") else f"collab-{data}"
    wrong = (error + jitter) / 100
    name = "linear" if row.endswith("bp-label") else "goodness"
    sums = [(error + jitter + step) / 100 for step in STEPS[method]]
    errors = {name: wrong, "goodness_cells": [0.1, 0.2, 0.3]}
    made["test_error"], made["validation_error"] = dict(errors), dict(errors)
    made["settings"] = {"epochs": 6}
    made["data"] = {**made["data"], "name": data, "fingerprint": data.ljust(64, "0")}
    level = DIVERGENCE[method] * (1 + jitter)
    entropy: dict[str, Any] = {"divergence": level, "entropy": level, "mean": 1.0, "across": 0.0}
    entropy |= {"within": level, "cells": [level] * 3}
    made["contributions"] = {
        split: {
            "first": sums,
            "prefers": [0.97, 0.8, 0.3 if method == "earlier" else 0.8],
            "positive": entropy,
            "negative": entropy,
        }
        for split in ("validation", "test")
    }
    return made


def made_table(seeds: int = 3, tuned: float = 0.5) -> dict[str, list[dict[str, Any]]]:
    """Records in which all claims hold; ``tuned`` is how much collaboration helps then, points."""
    found: dict[str, list[dict[str, Any]]] = {}

    def add(row: str, error: float, method: str = "all") -> None:
        found[row] = [run(row, seed, error, method) for seed in range(seeds)]

    for data, level in LEVELS.items():
        for method in collab.METHODS:
            better = {"ff": 0.0, "earlier": 0.9, "all": 1.0}[method]
            for setting in collab.SETTINGS:
                gain = better if setting in collab_rows.READINGS else tuned * (method != "ff") - 1
                add(collab_rows.name(data, setting, method), level + 1 - gain, method)
                for times in collab_rows.TIMES:
                    worse = abs(times - 1) * (2 if method == "ff" else 0.5)
                    add(collab_rows.trial(data, setting, method, times), level + worse, method)
        add(f"collab-{data}-bp-label", level - 1)
    return found


def outcomes(records: tables.Records) -> dict[str, str]:
    return {one.name: one.outcome for one in v.verdicts(records)}


def test_all_claims_hold_where_they_do() -> None:
    named = ["L1", "L2", "L3", "L4", "L5", "L6", "M1", "M2", "M3", "M4", "M6"]
    assert outcomes(made_table()) == dict.fromkeys(named, "holds")
    told = v.verdicts(made_table())[0].numbers[0]
    assert told == "mnist, collab-mnist-ff-network minus collab-mnist-earlier-network: " + (
        "+0.90 ± 0.04 (3 seeds) – holds"
    )


def test_what_fails_is_said_to_fail() -> None:
    assert outcomes(made_table(tuned=-0.5))["L5"] == "does not hold"
    assert outcomes(made_table(tuned=0.0))["L5"] == "does not hold", "no help is no help"
    assert outcomes(made_table(tuned=0.09))["L5"] == "undecided", "within the errors"
    records = made_table()
    records["collab-mnist"] = [run("collab-mnist", s, 9.0) for s in range(3)]
    assert outcomes(records)["L1"] == "does not hold"
    row = collab_rows.name("mnist", "theirs", "ff")
    records[row] = [run(row, s, 3.0, "all") for s in range(3)]  # plain cells that help
    assert outcomes(records)["L2"] == "does not hold"
    records = made_table()
    for one in records["collab-mnist"]:
        one["contributions"]["test"]["positive"]["divergence"] = 0.001
    assert outcomes(records)["L3"] == "does not hold"
    records = made_table()
    row = collab_rows.trial("mnist", "theirs", "all", 10.0)
    records[row] = [run(row, s, 90.0) for s in range(3)]
    assert outcomes(records)["L4"] == "does not hold"


def test_two_seeds_or_no_records_decide_nothing() -> None:
    assert set(outcomes(made_table(2)).values()) == {"undecided"}
    assert set(outcomes({}).values()) == {"undecided"}


def test_the_question_waits_for_thresholds_that_were_chosen() -> None:
    records = made_table()
    row = collab_rows.trial("mnist", "tuned", "ff", 3.0)
    records[row] = [run(row, s, 0.5, "ff") for s in range(3)]
    judged, told = v.still_helps(records, "mnist")
    assert judged == "undecided"
    assert "plain FF ran at 1, the sweep's best is 3" in told
    del records[row]
    assert "no whole sweep of plain FF" in v.still_helps(records, "mnist")[1]
    assert outcomes(records)["L1"] == "holds", "a question of the other setting"
    assert v.best(records, "mnist", "tuned", "ff") is None


def test_claims_of_their_setting_wait_for_thresholds_that_were_chosen() -> None:
    records = made_table()
    row = collab_rows.trial("mnist", "theirs", "ff", 3.0)
    records[row] = [run(row, s, 0.5, "ff") for s in range(3)]
    told = outcomes(records)
    assert [told[name] for name in ("L1", "L2", "L3", "L6")] == ["undecided"] * 4
    assert told["L5"] == "holds"
    (number,) = (n for n in v.l6(records).numbers if n.startswith("plain FF, reported 3.4"))
    assert number.endswith("plain FF ran at 1, the sweep's best is 3 – undecided")


def test_the_reported_numbers_come_out_or_not() -> None:
    records = made_table()
    row = collab_rows.name("mnist", "theirs", "ff")
    records[row] = [run(row, s, 2.5, "ff") for s in range(3)]
    assert outcomes(records)["L6"] == "does not hold", "better is not the same"
    records = made_table()
    row = collab_rows.name("mnist", "theirs", "earlier")
    records[row] = [run(row, s, 2.0, "earlier") for s in range(3)]
    assert outcomes(records)["L6"] == "does not hold", "within half a point, and in another order"


def test_a_trial_that_diverged_is_a_guess_and_leaves_no_hole(tmp_path: Path) -> None:
    records = made_table()
    row = collab_rows.trial("mnist", "tuned", "all", 10.0)
    gone = [{**one, "status": "diverged", "validation_error": None} for one in records[row]]
    for one in gone:
        path = tmp_path / row / f"seed-{one['seed']}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(one))
    records[row] = tables.gather(sweep, tmp_path)[row]
    assert v.tried(records, "mnist", "tuned", "all")[10.0] == [90.0] * 3
    assert v.best(records, "mnist", "tuned", "all") == 1.0
    assert tables.gather(table, tmp_path)[row], "the other table reads them, too"


def test_what_stands_in_the_package_is_what_the_committed_sweeps_say(
    chosen_for_real: dict[tuple[str, str, str], float],
) -> None:
    records = tables.gather(sweep, RESULTS)
    for data in collab.DATA:
        for setting in collab.SETTINGS:
            for method in collab.METHODS:
                wanted = v.best(records, data, setting, method)
                assert chosen_for_real.get((data, setting, method), 1.0) == (wanted or 1.0)


def test_a_chosen_threshold_becomes_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(collab.FACTORS, ("mnist", "tuned", "ff"), 3.0)
    rows = {row.name: row.settings() for row in collab_rows.rows("mnist")}
    assert rows["collab-mnist-tuned-ff"].theta == 3000.0
    assert rows["collab-mnist-tuned-all"].theta is None
    assert rows["collab-mnist"].theta is None


def test_a_threshold_is_measured_by_a_cell_of_ones() -> None:
    """A sum of squares has as many as units, a mean has 1; pairs have a tenth of it as margin."""
    rows = {row.name: row.settings() for row in sweep.rows}
    at = {s: rows[collab_rows.trial("mnist", s, "all", 3.0)] for s in collab.SETTINGS}
    assert [at[s].theta for s in ("theirs", "mean", "tuned")] == [3000.0, 3.0, 3000.0]
    assert (at["pairs"].theta, at["pairs"].temperature) == (None, pytest.approx(0.3))
    assert at["theirs"].temperature == at["mean"].temperature == at["tuned"].temperature == 1.0


def test_a_reading_of_their_setting_is_judged_by_itself() -> None:
    records = made_table()
    row = collab_rows.name("mnist", "mean", "all")
    records[row] = [run(row, s, 9.0) for s in range(3)]
    told = outcomes(records)
    assert (told["M1"], told["M6"]) == ("does not hold", "does not hold")
    assert (told["L1"], told["L6"]) == ("holds", "holds")


def test_the_question_is_asked_with_either_loss() -> None:
    records = made_table()
    for seed, one in enumerate(records[collab_rows.name("mnist", "pairs", "ff")]):
        one["test_error"]["goodness"] = 0.005 + 0.0005 * seed
    assert outcomes(records)["L5"] == "does not hold"
    assert v.still_helps(records, "mnist")[0] == "holds"
    assert v.still_helps(records, "mnist", "pairs")[0] == "does not hold"


def test_targets_are_met_or_missed_by_the_better_on_validation() -> None:
    def found(records: tables.Records) -> dict[tuple[str, str, float], v.Target]:
        return {(one.data, one.setting, one.bound): one for one in v.targets(records)}

    made = found(made_table())
    assert made["mnist", "theirs", 2.1].row == "collab-mnist"
    assert made["mnist", "theirs", 2.2].row == "collab-mnist-earlier-network"
    assert made["mnist", "theirs", 2.1].outcome == "met"
    assert made["fashion", "theirs", 11.6].row == "collab-fashion"
    assert made["mnist", "tuned", 1.5].outcome == "missed"
    assert {one.outcome for one in v.targets({})} == {"no records"}
    assert v.targets(made_table(2))[0].outcome == "met so far"
    # Each method has a bound of its own; at a threshold that nobody chose, nothing is missed yet.
    records = made_table()
    records["collab-mnist"] = [run("collab-mnist", s, 2.15) for s in range(3)]
    assert found(records)["mnist", "theirs", 2.1].outcome == "missed"
    assert found(records)["mnist", "theirs", 2.2].outcome == "met"
    del records[collab_rows.trial("mnist", "theirs", "all", 10.0)]
    assert found(records)["mnist", "theirs", 2.1].outcome == "missed so far"


def test_the_page_answers_first_and_holds_reported_beside_ours() -> None:
    told = collab_page.page(made_table(), ())
    assert told.index("Does collaboration still help") < told.index("## Verdicts")
    assert "**Yes, on every data set, with either loss.**" in told
    line = next(line for line in told.splitlines() if line.startswith("| `collab-mnist` |"))
    assert "| gamma all, network | 2.10 ± 0.05 | – | 2.1 | 3 seeds |" in line
    worse = made_table(tuned=-0.5)
    assert "**No.**" in collab_page.page(worse, ())
    some = {row: found for row, found in worse.items() if "mnist" in row}
    mixed = {**made_table(), **some}
    assert "**On some data sets or with some losses, and not with others.**" in collab_page.page(
        mixed, ()
    )
    assert "**Undecided.**" in collab_page.page({}, ())
    assert "No row of this table has been run yet" in collab_page.page({}, ())
    assert "No row of this table has been run yet" not in told
    riders = next(
        line
        for line in told.splitlines()
        if line.startswith("| `collab-mnist-earlier-network` | 10.0, 20.0, 30.0 |")
    )
    assert "| cell-2 |" in riders
    assert "| `collab-mnist-bp-label` | backprop, label, network | 1.10 ± 0.05 | – | 1.5 |" in told


def test_recoded_data_are_called_so() -> None:
    records = made_table()
    for row, found in records.items():
        for one in found:
            if "cifar10" in row:
                one["data"]["note"] = "re-coded as JPEG, quality 75"
    told = collab_page.page(records, ())
    assert "## CIFAR-10 (`cifar10-jpeg`)" in told
    assert "Not to be compared with numbers on the original images" in told


def test_the_sweep_shows_the_best_of_every_method() -> None:
    told = collab_page.sweep_page(made_table(), ["theta-mnist.svg"])
    assert "| plain FF | 3.50 ± 0.05 | 3.10 ± 0.05 | **2.10 ± 0.05** |" in told
    assert "at the edge |" not in told
    records = made_table()
    row = collab_rows.trial("mnist", "theirs", "all", 10.0)
    records[row] = [run(row, s, 0.5) for s in range(3)]
    assert "| **0.50 ± 0.05**, at the edge |" in collab_page.sweep_page(records, ())
    assert "![Error against theta, MNIST](theta/theta-mnist.svg)" in told
    tried = [collab_rows.trial("mnist", "theirs", "all", times) for times in (0.3, 1.0, 3.0)]
    begun = {row: records[row] for row in tried}  # 1 is best, and has tried ones on both sides
    assert "edge |" not in collab_page.sweep_page(begun, ())
    del begun[tried[-1]]
    assert "**2.10 ± 0.05**, at the edge |" in collab_page.sweep_page(begun, ())


def test_figures_are_the_same_for_the_same_records() -> None:
    def mnist() -> dict[str, list[dict[str, Any]]]:
        return {row: found for row, found in made_table().items() if "mnist" in row}

    drawn = collab_figures.figures(mnist())
    assert sorted(drawn) == ["added-mnist.svg", "entropy-mnist.svg"]
    assert drawn == collab_figures.figures(mnist())
    assert list(collab_figures.sweep_figures(mnist())) == [
        *("theta-mnist.svg", "sums-mnist.svg", "sums-mean-mnist.svg")
    ]
    assert collab_figures.figures({}) == collab_figures.sweep_figures({}) == {}


def test_pages_and_figures_with_rows_missing() -> None:
    every = made_table()
    for row in every:
        alone = {row: every[row][:1]}
        assert row in collab_page.page(alone, ()) or row.startswith("theta-")
        collab_page.sweep_page(alone, ())
    some = {row: found for row, found in every.items() if row.startswith("collab-mnist")}
    old = {row: [{**one, "contributions": None} for one in found] for row, found in some.items()}
    assert "collab-mnist-tuned-all" in collab_page.page(old, ())
    assert collab_figures.figures(old) == {}


def test_rows_are_those_that_the_pages_read_and_can_be_built() -> None:
    rows = [row.name for row in table.rows]
    assert len(set(rows)) == len(rows)
    assert sorted(rows) == sorted(r for data in collab.DATA for r in collab_page.lines(data))
    assert [row.name for row in table.reads] == [row.name for row in sweep.rows]
    assert set(made_table()) <= {*rows, *(row.name for row in sweep.rows)}
    for row in (*table.rows, *sweep.rows):
        settings = row.settings()
        assert settings.dataset == collab.DATA[row.name.split("-")[1]]
        assert settings.cells == 3
        assert row.recipe == "bp-mnist" or settings.epochs in (10, 20, 60)
    by_name = {row.name: row.settings() for row in table.rows}
    assert by_name["collab-mnist"] == find("collab-mnist").defaults
    assert by_name["collab-mnist-earlier-layer"].schedule == "greedy"
    assert by_name["collab-mnist-tuned-all"].counted == [0, 1, 2]
    assert by_name["collab-mnist-tuned-ff"].counted is None
    assert by_name["collab-mnist-pairs-ff"].counted is None
    assert by_name["collab-mnist-pairs-scale-0.3"].scale == 0.3
    assert by_name["collab-cifar10-pairs-all"].lr == pytest.approx(0.0005)
    assert by_name["collab-cifar10-mean-all"].lr == pytest.approx(0.0001)


def test_a_row_runs_and_the_table_is_written_and_goes_on(tmp_path: Path) -> None:
    small = ["dataset synthetic", "width 10", "epochs 1", "batch 100", "evaluate_every 1"]
    where = ("--out", tmp_path / "runs", "--results", tmp_path / "results")
    words = ("table", "collaboration", "--seeds", "0", *where, "--set", *small)
    only = ("--only", "collab-mnist-learned")
    done = onward(*words, *only)
    assert done.code == 0, done.err
    assert done.out.count("finished ") == 1
    assert "finished" not in onward(*words, *only).out
    page = (tmp_path / "results" / "collaboration.md").read_text()
    assert "| `collab-mnist-learned` | gamma all, learned (A-CFF) |" in page
    kept = tmp_path / "results" / "collab-mnist-learned" / "seed-0.json"
    cells = json.loads(kept.read_text())["curves"]["cells"]
    assert [sorted(k for k in c if k.startswith("gamma")) for c in cells] == [
        ["gamma_1", "gamma_2"],
        ["gamma_0", "gamma_2"],
        ["gamma_0", "gamma_1"],
    ]


def test_settings_that_mean_nothing_together_are_refused(tmp_path: Path) -> None:
    for words, why in (
        (("--gamma", "none", "--coupling", "learned"), "coupling=learned wants cells to listen to"),
        (("--coupling", "learned", "--scale", "0.5"), "scale is 0.5: leave one out"),
        (("--coupling", "learned", "--objective", "entropy"), "take coupling=fixed"),
        (("--fresh", "true"), "fresh=true is of schedule=alternating"),
        (("--schedule", "greedy"), "greedy can't serve Collaborative"),
        (
            ("--schedule", "greedy", "--gamma", "earlier", "--negatives", "hard"),
            "this row has none",
        ),
        (("--scale", "inf"), "scale should be a number"),
    ):
        out = tmp_path / "run"
        done = onward("run", "collab-mnist", "--dataset", "synthetic", *words, "--out", out)
        assert why in done.complaint
        assert not out.exists()
