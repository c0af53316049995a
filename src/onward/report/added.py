"""What each cell adds where every label is tried: the section of the page, and its numbers.

The keys are those of `contributions` in `docs/record.md`; older records have none of them.
"""

from itertools import pairwise

from . import quantities as q
from .charts import Chart, Line, draw
from .records import Record, items, mapping
from .tables import escape, table

FREE = 0.6
"""A cell rides free where it prefers the true label in fewer pairs than that; 1/2 is a coin."""


def section(record: Record) -> str:
    """A table of cells, a chart of running sums, a table of entropies; on the test set if any."""
    for split in ("test", "validation"):
        if mapping(mapping(record, "contributions"), split):
            return _cells(record, split) + _entropies(record, split)
    return ""


def alone(record: Record, split: str) -> list[float | None]:
    """The error of each cell by itself, as a fraction."""
    return q.numbers(mapping(record, f"{split}_error").get("goodness_cells"))


def first(record: Record, split: str) -> list[float | None]:
    """The error of the sum of the first 1, 2, ... cells, as a fraction."""
    return q.numbers(mapping(mapping(record, "contributions"), split).get("first"))


def prefers(record: Record, split: str) -> list[float | None]:
    """By cell, the share of pairs in which it prefers the true label."""
    return q.numbers(mapping(mapping(record, "contributions"), split).get("prefers"))


def entropy(record: Record, split: str, sign: str, key: str) -> float | None:
    """A number of the functional entropy of `positive` or `negative` rows."""
    found = mapping(mapping(mapping(record, "contributions"), split), sign)
    return q.number(found.get(key))


def free_riders(record: Record, split: str) -> list[int]:
    """Cells that carry next to no discrimination of their own."""
    shares = prefers(record, split)
    return [cell for cell, share in enumerate(shares) if share is not None and share < FREE]


def _cells(record: Record, split: str) -> str:
    sums, shares, own = first(record, split), prefers(record, split), alone(record, split)
    steps: list[float | None] = [None]
    steps += [None if a is None or b is None else a - b for a, b in pairwise(sums)]
    rows = []
    for cell, (total, step) in enumerate(zip(sums, steps, strict=True)):
        gained = q.NONE if step is None else f"{100 * step:+.2f}".replace("-", "−")
        share = shares[cell] if cell < len(shares) else None
        error = own[cell] if cell < len(own) else None
        kind = "rides free" if cell in free_riders(record, split) else ""
        rows.append([f"cell-{cell}", q.percent(error), q.percent(total), gained])
        rows[-1] += [q.percent(share), kind]
    head = ["cell", "error alone,\u00a0%", "error of the sum up to it,\u00a0%"]
    head += ["taken off, points", "prefers the true label,\u00a0%", ""]
    lines = [
        Line("sum of the first cells", _percent(sums), 0, 0),
        Line("the cell alone", _percent(own), 1, 1),
    ]
    chart = Chart(f"Error by cells, {split}", "%", lines, across="cell")
    told = (
        f'<p class="soft">On the {escape(split)} set, every label tried. A cell prefers the true '
        "label where it answers it louder than a wrong one on the same sample: 50 % is a coin, and "
        f"below {100 * FREE:g} % a cell rides free on the others."
        f"{_counted(record, len(sums), split)}</p>"
    )
    drawn = draw(chart, [float(number) for number in range(1, len(sums) + 1)])
    return told + table("What each cell adds", head, rows) + f'<div class="grid">{drawn}</div>'


_NOT_ALL = (
    " The error that the result calls goodness is of the sum of the cells that count (all but the "
    "first, unless counted said others), so the last sum here is another number."
)


def _counted(record: Record, cells: int, split: str) -> str:
    """Which cells the error called goodness is of, or that it is not of all."""
    settings = mapping(record, "settings")
    if cells < 2:
        return ""
    if "counted" not in settings:  # onward.fit() records what it was handed as numbers alone
        whole = q.number(mapping(record, f"{split}_error").get("goodness"))
        last = first(record, split)[-1]
        return "" if whole is None or whole == last else _NOT_ALL
    own = settings["counted"]
    counted = range(1, cells) if own is None else [int(v) for v in q.numbers(own) if v is not None]
    if list(counted) == list(range(cells)):
        return " All count for the error that the result calls goodness."
    named = ", ".join(f"cell-{cell}" for cell in counted)
    return (
        f" The error that the result calls goodness is of the sum of {named} alone (setting "
        "counted), so the last sum here may be another number."
    )


def _entropies(record: Record, split: str) -> str:
    rows = []
    for sign in ("positive", "negative"):
        values = [entropy(record, split, sign, key) for key in _KEYS]
        if values[0] is not None:
            rows.append([sign, *(q.NONE if v is None else q.short(v) for v in values)])
    if not rows:
        return ""
    parts = mapping(mapping(mapping(record, "contributions"), split), "positive")
    each = len(items(parts, "cells"))
    told = (
        '<p class="soft">Functional entropy (Ent) says how unevenly goodness lies over cells and '
        "samples; 0 is the same everywhere. It is the sum of that across the cells' means and that "
        "within cells. A net twice as loud has twice of it, so nets are compared by Ent / "
        "mean.</p>"
    )
    title = f"Functional entropy of the goodness, {each} cells"
    return told + table(title, ["rows", *_HEAD], rows)


_KEYS = ("divergence", "entropy", "across", "within", "mean")
_HEAD = ("Ent / mean, nats", "Ent", "across cells", "within cells", "mean")


def _percent(values: list[float | None]) -> list[float | None]:
    return [None if value is None else 100 * value for value in values]
