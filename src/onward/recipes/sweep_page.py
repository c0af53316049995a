"""A sweep: one recipe at the points of a grid, and the page that its records make.

Points are compared by their validation error, by the readout that predictions are made with (the
linear one where there is one). Test errors are not shown but for the point that is chosen, so that
nothing can be chosen by them.
"""

import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from ..record import Record
from ..report import quantities as q
from .drawing import drawing, svg
from .pages import table as markdown
from .tables import Records, Row, Table

ORDER = ("reconstruction", "linear", "goodness")
"""By which readout points are compared: the first of these that there is, as for predictions."""

FIGURE = "sweep.svg"


def sweep_table(recipe: str, points: Sequence[Mapping[str, Any]]) -> Table:
    """The table of a recipe at the points of a grid, each what it changes of the settings."""
    rows = [Row(name(recipe, point), recipe, point) for point in points]
    return Table("sweep", rows, partial(_page, rows), _figures)


def name(recipe: str, point: Mapping[str, Any]) -> str:
    """The folder of a point: its settings, or the recipe where none is changed.

    >>> name("ff-mnist", {"lr": 0.01, "read": [1, 2]}), name("ff-mnist", {})
    ('lr-0.01-read-1_2', 'ff-mnist')
    """
    told = "-".join(f"{k}-{q.text(v) if v is not None else 'null'}" for k, v in point.items())
    return re.sub(r"[^\w.+-]+", "_", told or recipe)


def _errors(records: Sequence[Record], readout: str, split: str = "validation") -> list[float]:
    """Errors of the seeds in percent, of those that have one."""
    each = [(record[f"{split}_error"] or {}).get(readout) for record in records]
    return [100 * error for error in each if isinstance(error, float)]


def _readouts(records: Records) -> list[str]:
    """The readouts with a validation error, that by which points are compared first."""
    return [r for r in ORDER if any(_errors(one, r) for one in records.values())]


def best(records: Records) -> str | None:
    """The point of the lowest mean validation error, of those with the most seeds; or None."""
    readouts = _readouts(records)
    if not readouts:
        return None
    errors = {row: _errors(one, readouts[0]) for row, one in records.items()}
    most = max(map(len, errors.values()))
    return min(
        (row for row, each in errors.items() if len(each) == most),
        key=lambda row: statistics.fmean(errors[row]),
    )


def _page(rows: Sequence[Row], records: Records, figures: Collection[str]) -> str:
    recipe, readouts = rows[0].recipe, _readouts(records)
    head = f"# Sweep of {recipe}\n"
    if not readouts:
        return f"{head}\nNo run is finished.\n"
    chosen = best(records)
    assert chosen is not None
    varied = list(rows[0].changes) or ["recipe"]
    lines = []
    for row in rows:
        found = records.get(row.name, ())
        seconds = [one["cost"]["train_seconds"] for one in found]
        mark = " (best)" if row.name == chosen else ""
        lines.append(
            [
                *(q.text(value) for value in (row.changes.values() or [recipe])),
                str(len(found)),
                *(_told(_errors(found, readout)) for readout in readouts),
                f"{statistics.fmean(seconds):,.0f}{mark}" if seconds else q.NONE,
            ]
        )
    titles = [f"validation error, {readout}, %" for readout in readouts]
    test = ", ".join(f"{r} {_told(_errors(records[chosen], r, 'test'))} %" for r in readouts)
    kinds = {q.measure(one) for found in records.values() for one in found} - {""}
    parts = [
        head,
        f"Mean and standard deviation over seeds, of the last epoch. Points are compared by the "
        f"validation error of the readout {readouts[0]}, among those with the most seeds; the "
        f"test set chooses nothing.{' Errors are ' + ', '.join(kinds) + '.' if kinds else ''}\n",
        markdown([*varied, "seeds", *titles, "training, s"], lines),
        f"Best on validation data: `{chosen}`. Its test error: {test}.\n",
    ]
    if FIGURE in figures:
        parts.append(f"![Validation error of every run](sweep/{FIGURE})\n")
    return "\n".join(parts)


def _told(errors: Sequence[float]) -> str:
    """Mean and deviation.

    >>> _told([1.0, 2.0]), _told([1.5]), _told([])
    ('1.50 ± 0.71', '1.50', '–')
    """
    if not errors:
        return q.NONE
    spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
    return f"{statistics.fmean(errors):.2f}{spread}"


def _figures(records: Records) -> Mapping[str, bytes]:
    """The validation error of every run, a line a point, the best point on top."""
    readouts = _readouts(records)
    if not readouts:
        return {}
    errors = {row: found for row, one in records.items() if (found := _errors(one, readouts[0]))}
    order = sorted(errors, key=lambda row: -statistics.fmean(errors[row]))
    with drawing(6.4, 1.2 + 0.28 * len(order), 1) as (figure, (axis,)):
        for place, row in enumerate(order):
            axis.plot(errors[row], [place] * len(errors[row]), "o", color="#4a7fb5", alpha=0.6)
            axis.plot([statistics.fmean(errors[row])], [place], "|", color="black", markersize=14)
        axis.set_yticks(range(len(order)), order)
        axis.set_ylim(-0.6, len(order) - 0.4)
        axis.set_xlabel(f"validation error, {readouts[0]}, %")
        axis.set_title("A dot a seed, a bar their mean", loc="left")
        return {FIGURE: svg(figure)}
