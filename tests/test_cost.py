"""``onward bench cost``: the question, its runs, and a page with known answers."""

from pathlib import Path
from typing import Any

import pytest
from command import onward
from test_results import record

from onward import BadInput
from onward import record as records
from onward.recipes import cost, tables
from onward.recipes.cost import METHODS, Question, table_of
from onward.recipes.cost_page import TITLES, Reached, reached

EPOCHS = 5


def made(seed: int, errors: list[float | None], **spent: Any) -> dict[str, Any]:
    """A finished record with these validation errors (%) by epoch, two seconds each."""
    one = record(seed)
    known = [None if e is None else e / 100 for e in errors]
    one["epochs"] = len(errors)
    one["test_error"] = one["validation_error"] = {"linear": known[-1]}
    one["curves"] = {
        **one["curves"],
        "seconds": [2.0] * len(errors),
        "readouts": {"linear": {"train": known, "validation": known}},
    }
    told = {"train_seconds": 2.0 * len(errors), "data_passes": 10.0, "flops": 1e12}
    one["cost"] = {**one["cost"], **told, "peak_memory_bytes": 2**27, **spent}
    return one


@pytest.mark.parametrize(
    ("errors", "epoch"),
    [
        ([9, 3, 2, 1, 1], 3),
        ([2, 3, 2, 1, 1], 3),  # once there, then above again: not yet
        ([9, 3, 2, 1, 3], None),
        ([9, None, 2, None, 1], 3),
        ([1, 1, 1, 1, 1], 1),
    ],
)
def test_the_epoch_from_which_on_an_error_stays(
    errors: list[float | None], epoch: int | None
) -> None:
    found = reached(made(0, errors), "linear", 2.0)
    share = (epoch or 0) / 5
    wanted = Reached(epoch, 2.0 * epoch, 10 * share, 1e12 * share) if epoch else None
    assert found == wanted


def test_both_protocols_ask_for_all_methods_and_share_equal_runs() -> None:
    passes, target = (Question().rows(p) for p in ("passes", "target"))
    assert passes.keys() == target.keys() == METHODS["mnist"].keys() == TITLES.keys()
    assert {row.settings().epochs for row in passes.values()} == {12}
    assert {method: row.settings().epochs for method, row in target.items()} == {
        **{"ff": 12, "ff-pairs": 4, "uff": 12, "bp": 4, "bp-recompute": 4, "bp-pieces": 4}
    }
    assert passes["uff"].name == target["uff"].name == "cost-mnist-uff-12"
    assert len(table_of(Question()).rows) == 10
    assert tables.find("cost") is cost.table


@pytest.mark.parametrize("dataset", METHODS)
def test_cells_are_as_many_and_as_wide(dataset: str) -> None:
    sizes = set()
    for row in Question(dataset).rows("passes").values():
        s = row.settings()
        sizes.add(tuple(getattr(s, "widths", None) or [s.width] * s.cells))
    assert len(sizes) == 1


def test_less_memory_is_a_setting_of_backprop_and_changes_nothing_else() -> None:
    rows = Question().rows("target")
    plain = vars(rows["bp"].settings())
    for method, changes in (("bp-recompute", {"recompute": True}), ("bp-pieces", {"pieces": 4})):
        assert vars(rows[method].settings()) == plain | changes
    assert rows["bp"].name == "cost-mnist-bp-4"


def test_the_page_has_known_answers() -> None:
    asked = Question(target=2.0, epochs=15)
    found = {
        row.name: [made(seed, [9, 3, 2, 1, 1]) for seed in range(2)] for row in table_of(asked).rows
    }
    slow = asked.rows("target")["ff"].name
    found[slow] = [made(0, [9, 8, 7, 3, 2]), made(1, [9, 8, 7, 3, 3])]
    page = table_of(asked).page(found, {"error-seconds.svg"})
    assert "| backprop | 2 of 2 | 6.0 ± 0.0 | 1.00 | 3.0 ± 0.0 of 5 | 6 |" in page
    assert "| Forward-Forward | 1 of 2 | 10.0 | 1.67 | 5.0 of 5 | 10 |" in page
    assert "| Forward-Forward | 1.00 ± 0.00 (linear) | 10.0 ± 0.0 | 1.00 |" in page
    assert "![error-seconds](cost/error-seconds.svg)" in page
    assert "Not run yet" not in page


def test_seconds_of_two_machines_have_no_ratio() -> None:
    asked = Question(target=2.0)
    found = {row.name: [made(0, [9, 3, 2, 1, 1])] for row in table_of(asked).rows}
    for protocol in ("passes", "target"):
        (elsewhere,) = found[asked.rows(protocol)["ff"].name]
        elsewhere["machine"] = {**elsewhere["machine"], "processor": "another"}
    page = table_of(asked).page(found, ())
    assert "A ratio stands only where all" in page
    for told, seconds in (("1.00 (linear)", "10.0"), ("1 of 1", "6.0")):
        assert f"| Forward-Forward | {told} | {seconds} | – |" in page
        assert f"| backprop | {told} | {seconds} | 1.00 |" in page


def test_a_limit_that_was_no_limit_is_left_out() -> None:
    """A machine that does something else just then multiplies slower than the steps did."""
    asked = Question()
    found = {row.name: [made(0, [9, 3, 2, 1, 1])] for row in table_of(asked).rows}
    base = asked.rows("passes")["bp"].name
    shares = (0.4, 63.5, 0.6)
    found[base] = [made(s, [9, 3, 2, 1, 1], share_of_limit=v) for s, v in enumerate(shares)]
    line = next(x for x in table_of(asked).page(found, ()).splitlines() if "| backprop |" in x)
    assert "| 50 % |" in line


def test_a_page_without_records_says_so() -> None:
    page = table_of(Question()).page({}, ())
    assert page.count("No record yet.") == 2
    assert "Not run yet: cost-mnist-bp-12" in page
    assert table_of(Question()).figures({}) == {}


def test_figures_are_drawn_and_the_same_twice() -> None:
    found = {row.name: [made(0, [9, 3, 2, 1, 1])] for row in table_of(Question()).rows}
    drawn = table_of(Question()).figures(found)
    assert set(drawn) == {"error-seconds.svg", "error-memory.svg"}
    assert drawn == table_of(Question()).figures(found)
    assert all(title.encode() in drawn["error-memory.svg"] for title in TITLES.values())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["speed"], "knows cost, and not 'speed'"),
        (["cost", "--dataset", "minst"], "there are no rows of cost on 'minst'"),
        (["cost", "--protocol", "all"], "--protocol wants passes, target or both"),
        (["cost", "--epochs", "-1"], "--epochs wants a number of passes"),
        (["cost", "--epochs", "0"], "--epochs wants 1 to 10000 passes, and is 0"),
        (["cost", "--target", "low"], "--target wants a validation error in percent"),
        (["cost", "--target", "nan"], "above 0 and below 100, and is nan"),
        (["cost", "--target", "0"], "above 0 and below 100, and is 0"),
        (["cost", "--jobs", "0"], "--jobs wants 1 to 1024"),
        (["cost", "--only", "gan"], "--only gan: no row has that in its name"),
    ],
)
def test_nonsense_is_refused(words: list[str], why: str) -> None:
    assert why in onward("bench", *words, "--dry").complaint


def test_questions_are_checked_in_python_too() -> None:
    with pytest.raises(BadInput, match="wants 1 to 10000"):
        Question(epochs=0)


def test_runs_are_made_once_and_the_page_is_written(tmp_path: Path) -> None:
    words: list[object] = [
        "bench",
        "cost",
        "--dataset",
        "digits",
        "--protocol",
        "passes",
        "--epochs",
        "1",
    ]
    words += ["--seeds", "0", "--only", "bp-1", "--out", tmp_path / "runs"]
    words += ["--results", tmp_path / "results"]
    done = onward(*words)
    assert done.code == 0, done.err
    kept = records.read(tmp_path / "results" / "cost-digits-bp-1" / "seed-0.json")
    assert (kept["recipe"], kept["epochs"]) == ("bp-digits", 1)
    page = (tmp_path / "results" / "cost-digits.md").read_text()
    assert "| backprop |" in page
    assert (tmp_path / "results" / "cost-digits" / "error-seconds.svg").exists()
    assert "1 done" in onward(*words, "--dry").out
