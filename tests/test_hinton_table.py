"""The table of Hinton's experiments on records with known answers."""

from typing import Any

from test_results import record

from onward.recipes import hinton_table as h


def made(seed: int, **more: Any) -> dict[str, Any]:
    return {**record(seed), **more}


def records() -> dict[str, list[dict[str, Any]]]:
    free = [made(seed, test_error={"linear": error}) for seed, error in enumerate((0.016, 0.018))]
    text = {"test": {"linear": {"accuracy": 0.4, "bits": 3.0}}}
    jpeg = {**record(0)["data"], "name": "cifar10", "note": "re-coded as JPEG"}
    return {
        "ff-free-mnist": [*free, made(2, test_error={"linear": 0.014})],
        "ff-mnist-4x2000": [made(0, test_error={"goodness": 0.0141, "linear": 0.013})],
        "ff-aesop": [made(0, test_error={"linear": 0.6}, text=text)],
        "ff-cifar10": [made(0, test_error={"goodness": 0.45}, data=jpeg)],
    }


def test_every_row_can_be_run() -> None:
    rows = {row.name: row.settings() for row in h.table.rows}
    assert len(rows) == len(h.table.rows)
    assert rows["ff-cifar10-min-3"].goodness == "negative_sum_of_squares"
    assert rows["ff-cifar10-min-3"].cells == 3
    assert rows["ff-jitter-mnist-50"].epochs == 50
    assert rows["ff-recurrent-mnist-pairs-15"].objective == "swish"
    assert rows["ff-recurrent-mnist-pairs-30"].decay == 0.05
    assert rows["bp-cifar10-3"].widths == [3, 3, 3]
    for row in h.table.rows:
        recipe_row = [e for e in (*h.IMAGES, *h.COLOURS, *h.TEXTS) if e.name == row.name]
        assert all(entry.recipe == row.recipe for entry in recipe_row)


def test_page() -> None:
    lines = h.page(records(), ()).splitlines()
    (free,) = [line for line in lines if "`ff-free-mnist`" in line]
    assert free.endswith("| – | 1.60 ± 0.20 | 1.37 | 1.6 | reached, 3 seeds |")
    (large,) = [line for line in lines if "`ff-mnist-4x2000`" in line]
    assert large.endswith("| 1.41 | 1.30 | 1.36 | 1.4 | missed, 1 seed, a first look |")
    (jitter,) = [line for line in lines if "`ff-jitter-mnist`" in line]
    assert jitter.endswith("| – | – | 0.64 | 0.8 | not run |")
    goodness, linear = [line for line in lines if "`ff-cifar10`" in line]
    assert goodness.endswith("reached, 1 seed, a first look |")
    assert linear.endswith("ran, without this readout |")
    assert "## cifar10-jpeg" in lines
    (text,) = [line for line in lines if "`ff-aesop`" in line]
    assert text.endswith("| 40.00 | 3.00 | curves only | 1 seed |")
