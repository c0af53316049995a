"""The study of goodness on records with known answers."""

from typing import Any

import pytest
from test_results import record

from onward.recipes import find
from onward.recipes import goodness_table as g


def made(seed: int, labels: float, linear: float) -> dict[str, Any]:
    return {**record(seed), "validation_error": {"goodness": labels, "linear": linear}}


def records() -> dict[str, list[dict[str, Any]]]:
    found = {
        g.name("mnist", "top_k", times): [made(0, 0.05 * times, 0.04), made(1, 0.07 * times, 0.04)]
        for times in g.TIMES
    }
    return found | {g.name("mnist", "swish", 0.3): [made(0, 0.03, 0.02)]}


def test_rows_are_runs_of_their_goodness() -> None:
    assert len({row.name for row in g.table.rows}) == len(g.table.rows) == 2 * (8 * 4 + 2 * 4)
    for row in g.table.rows:
        settings = row.settings()
        assert settings.width == 500
        if "-symba-" in row.name or "-swish-" in row.name:
            assert settings.theta is None
            assert row.name.endswith(f"T{settings.temperature:g}")
        else:
            assert (settings.theta < 0) == settings.goodness.startswith("negative")
            assert settings.objective == "logistic"


def test_peers_are_as_strong_beside_every_slope() -> None:
    """A mean over 500 units at temperature T has 1 / (500 T) of a sum's slope at 1."""
    told = {row.name: row.settings() for row in g.rows("mnist")}
    for name, settings in told.items():
        one = 500 * settings.temperature if "mean" in settings.goodness else 1.0
        assert settings.peers == pytest.approx(0.03 / one), name


@pytest.mark.parametrize("kind", [*g.GOODNESS, *g.PAIRS])
def test_every_kind_builds(kind: str) -> None:
    from onward import load

    recipe = find("ff-mnist")
    row = next(row for row in g.rows("mnist") if f"-{kind}-" in row.name)
    plan = recipe.build(row.settings(), load("synthetic"), 0)
    assert len(plan.row.cells) == 3


def test_page_and_figure() -> None:
    found = records()
    drawn = g.figures(found)
    assert list(drawn) == ["goodness-mnist.svg"]
    assert drawn == g.figures(found)
    page = g.page(found, drawn)
    assert "| top k | **0.60** / **4.00** | 1.80 / **4.00** | 6.00 / **4.00** |" in page
    assert "| swish | – | **3.00** / **2.00** | – | – |" in page
    assert "goodness/goodness-mnist.svg" in page
    assert "Fashion" not in page


def test_a_run_without_a_readout_is_passed_over() -> None:
    found = {g.name("mnist", "top_k", 1.0): [made(0, 0.05, 0.04) | {"validation_error": None}]}
    assert g.tried(found, "mnist", "top_k") == {}
