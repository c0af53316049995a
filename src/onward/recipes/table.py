"""The README's tables of results, between its two marks, from the committed records.

python -m onward.recipes.table results README.md
"""

import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput
from ..files import write_atomically
from ..report.results import Committed, collect
from . import NAMES, find, hinton_table, tables, uff_page
from .pages import table as markdown

MARKS = ("<!-- results -->", "<!-- /results -->")


def table(folder: Path) -> str:
    """One row a recipe that has finished records.  Test error, last epoch, mean ± spread, seeds.

    Rows of a paper's table are on its own page: they mean nothing without their controls. Runs in
    another precision are in RESULTS.md alone, beside those in fp32.
    """
    elsewhere = {row.name for name in tables.MODULES for row in tables.find(name).rows}
    runs = [run for run in collect(folder) if run.record["status"] == "finished"]
    runs = [run for run in runs if run.recipe not in elsewhere]
    runs = [run for run in runs if run.record["machine"]["precision"] == "fp32"]
    lines = [
        "| recipe | data | every label tried, % | linear, % | reported elsewhere | command |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(run.recipe for run in runs):
        mine = [run for run in runs if run.recipe == name]
        reported = find(name).reported if name in NAMES else ""
        cells = [name, _data(mine), _spread(mine, "goodness"), _last(mine), reported]
        # A folder RECIPE-VARIANT holds runs of a recipe with settings of their own.
        command = f"onward run {name}" if name in NAMES else _command(mine[0])
        lines.append("| " + " | ".join([*cells, f"`{command}`"]) + " |")
    return "\n".join(lines)


def unsupervised(folder: Path) -> str:
    """Unsupervised cells on MNIST beside their controls: of each kind the row of all cells at once.

    In percent of right answers, as their own page has it; nothing where there is no record.
    """
    records = tables.gather(tables.find("uff"), folder)
    rows = []
    for line in uff_page.lines("mnist"):
        ours = uff_page.accuracy(records, line.row)
        if not ours or line.control is None or line.kind == "ff" or "-separate" in line.row:
            continue
        theirs = uff_page.accuracy(records, line.control)
        says = uff_page.verdict_of(records, line)
        rows.append(
            [f"`{line.row}`", line.what, uff_page.mean_of(ours), uff_page.mean_of(theirs), says]
        )
    head = ["recipe", "cells", "test accuracy, %", "frozen as drawn, %", ""]
    return markdown(head, rows) if rows else ""


def hinton(folder: Path) -> str:
    """Hinton's experiments on MNIST that have records here, but for the one of the first table."""
    records = tables.gather(tables.find("hinton"), folder)
    ran = [e for e in hinton_table.IMAGES if records.get(e.name) and e.name != hinton_table.OWN]
    return hinton_table.errors(records, ran) if ran else ""


def insert(text: str, folder: Path) -> str:
    """A README with its tables renewed. Raises BadInput where the marks are missing."""
    first, last = (re.escape(mark) for mark in MARKS)
    found = re.search(f"({first}\n).*?({last})", text, flags=re.DOTALL)
    if found is None:
        raise BadInput(f"the marks {MARKS[0]} and {MARKS[1]} are missing")
    parts = (table(folder) + "\n", hinton(folder), unsupervised(folder))
    every = "\n".join(part for part in parts if part)
    return text[: found.end(1)] + every + text[found.start(2) :]


def _command(run: Committed) -> str:
    """How a variant is run today: its recipe's defaults may be others than when it ran."""
    from . import recorded

    record = run.record
    if record["recipe"] not in NAMES:
        return str(record["command"])
    recipe = find(record["recipe"])
    settings = recorded.settings_of(recipe, record["settings"], str(run.path))
    return recorded.command(recipe, recipe.name, settings, run.seed, recorded.machine_of(record))


def _data(runs: Sequence[Committed]) -> str:
    data = runs[0].record["data"]
    return f"{data['name']}, {data['train']:,} for training"


def _last(runs: Sequence[Committed]) -> str:
    """The linear readout's error; where errors are not of classes, what is measured instead."""
    readout = next((r for r in ("linear", "reconstruction") if _has(runs[0], r)), "linear")
    kind = str(runs[0].record.get("measure", ""))
    return _spread(runs, readout) + (f", {kind}" if kind else "")


def _spread(runs: Sequence[Committed], readout: str) -> str:
    errors = [100 * run.record["test_error"][readout] for run in runs if _has(run, readout)]
    if not errors:
        return "–"
    spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
    seeds = "1 seed" if len(errors) == 1 else f"{len(errors)} seeds"
    return f"{statistics.mean(errors):.2f}{spread} ({seeds})"


def _has(run: Committed, readout: str) -> bool:
    return readout in (run.record["test_error"] or {})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m onward.recipes.table results README.md")
    page = Path(sys.argv[2])
    write_atomically(page, insert(page.read_text(), Path(sys.argv[1])).encode())
