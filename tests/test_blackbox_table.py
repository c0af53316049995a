"""The table of black boxes on records with known answers."""

from typing import Any

from test_results import record

from onward.recipes import blackbox_table as b


def made(seed: int, **errors: float) -> dict[str, Any]:
    return {**record(seed), "test_error": errors}


def records() -> dict[str, list[dict[str, Any]]]:
    return {
        "ff-blackbox-mnist": [
            made(0, linear=0.02, goodness=0.03),
            made(1, linear=0.04, goodness=0.03),
        ],
        "ff-blackbox-mnist-backprop": [made(0, linear=0.1)],
        "ff-blackbox-mnist-none-frozen": [made(0, linear=0.05)],
    }


def test_rows() -> None:
    rows = {row.name: row.settings() for row in b.table.rows}
    assert len(rows) == len(b.table.rows) == 18
    assert rows["ff-blackbox-mnist"].box == "spikes"
    assert rows["ff-blackbox-mnist-steps-2-backprop"].regime == "backprop"
    assert rows["ff-blackbox-mnist-steps-2-backprop"].level == 2.0
    assert rows["ff-blackbox-mnist-none-frozen"].box == "none"


def test_page_and_figure() -> None:
    drawn = b.figures(records())
    assert drawn == b.figures(records())
    page = b.page(records(), drawn)
    assert "| spikes, 1 | 3.00 ± 1.41 | 10.00 | – | 3.00 ± 0.00 | 2 |" in page
    assert "| none | – | – | 5.00 | – | 1 |" in page
    assert "steps" not in page.split("| box |")[1]
    assert "blackbox/errors.svg" in page
    assert b.figures({}) == {}
