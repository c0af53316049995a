"""Which charts a record's curves make. Nothing measured, nothing drawn.

The keys are those of `docs/record.md`; what an algorithm measures beyond them at its cells (a
reconstruction, a critic) gets a chart of its own under its own name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .charts import TONES, Chart, Line, draw
from .quantities import measure, number, numbers
from .records import Record, items, mapping

_AT_CELLS = {
    "loss": ("Loss of each cell", "mean of an epoch"),
    "dead_units": ("Dead units of each cell", "%"),
}
_GOODNESS = ("goodness_positive", "goodness_negative")


def charts(record: Record) -> list[str]:
    """The figures of one record, in the order of the page; an empty list without epochs."""
    curves = mapping(record, "curves")
    epochs = [epoch for epoch in numbers(curves.get("epoch")) if epoch is not None]
    marks = stages(curves, epochs)
    return [figure for chart in _all(record, curves, marks) if (figure := draw(chart, epochs))]


def side_by_side(runs: Sequence[tuple[str, Record]]) -> str:
    """Validation error of several runs in one figure; empty text if fewer than two have one."""
    lines, longest = [], 0
    for name, record in runs:
        curves = mapping(record, "curves")
        epochs = [epoch for epoch in numbers(curves.get("epoch")) if epoch is not None]
        readouts = mapping(curves, "readouts")
        for dash, readout in enumerate(readouts):
            values = _percent(mapping(readouts, readout).get("validation"))
            if any(value is not None for value in values):
                lines.append((name, readout, dash, dict(zip(epochs, values, strict=False))))
                longest = max(longest, int(max(epochs, default=0)))
    names = list(dict.fromkeys(name for name, *_ in lines))
    if len(names) < 2:
        return ""
    axis = [float(epoch) for epoch in range(1, longest + 1)]
    drawn = [
        Line(f"{name}, {readout}", [points.get(x) for x in axis], names.index(name), dash)
        for name, readout, dash, points in lines
    ]
    return draw(Chart("Validation error, run by run", "%", drawn, log=True), axis)


def stages(curves: Mapping[str, Any], epochs: Sequence[float]) -> list[tuple[float, str]]:
    """Where each stage begins, half an epoch before its first, if there is more than one."""
    names = curves.get("stage")
    if not isinstance(names, list):
        return []
    begins: list[tuple[float, str]] = []
    for epoch, name in zip(epochs, names, strict=False):
        if not begins or begins[-1][1] != str(name):
            begins.append((epoch - 0.5, str(name)))
    return begins if len(begins) > 1 else []


def _all(
    record: Record, curves: Mapping[str, Any], marks: Sequence[tuple[float, str]]
) -> Iterable[Chart]:
    cells = [cell for cell in items(curves, "cells") if isinstance(cell, dict)]
    yield Chart("Error by readout", "%", _errors(curves), marks, log=True)
    yield _each("loss", cells, marks)
    for tone, cell in enumerate(cells):
        pair = [
            Line(name, numbers(cell.get(key)), look, look)
            for look, (name, key) in enumerate(
                zip(("positive", "negative"), _GOODNESS, strict=True)
            )
        ]
        name = str(cell.get("name", f"cell-{tone}"))
        yield Chart(f"Goodness, {name}", "mean", pair, marks)
    yield _each("dead_units", cells, marks)
    known = {"name", *_AT_CELLS, *_GOODNESS}
    for key in dict.fromkeys(key for cell in cells for key in cell if key not in known):
        yield _each(key, cells, marks)
    readout = Line("linear readout", numbers(curves.get("readout_loss")))
    kind = "mean" if measure(record) else "cross-entropy"
    yield Chart("Readout loss", kind, [readout], marks, base=0)
    rate = Line("multiplier", numbers(curves.get("rate")))
    yield Chart("Learning rate", "multiplier", [rate], marks, base=0)


def _errors(curves: Mapping[str, Any]) -> list[Line]:
    lines = []
    readouts = mapping(curves, "readouts")
    for tone, readout in enumerate(readouts):
        for dash, split in enumerate(("validation", "train")):
            values = _percent(mapping(readouts, readout).get(split))
            lines.append(Line(f"{readout}, {split}", values, tone, dash))
    return lines


def _each(
    key: str, cells: Sequence[Mapping[str, Any]], marks: Sequence[tuple[float, str]]
) -> Chart:
    title, unit = _AT_CELLS.get(key, (f"{key.replace('_', ' ').capitalize()} of each cell", ""))
    read = _percent if unit == "%" else numbers
    lines = [
        # The dash changes as soon as the colour does, for eyes that don't tell colours apart.
        Line(str(cell.get("name", f"cell-{i}")), read(cell.get(key)), i % TONES, i)
        for i, cell in enumerate(cells)
    ]
    if key == "loss":
        return Chart(title, unit, lines, marks, log=_steep(lines))
    return Chart(title, unit, lines, marks, base=0 if unit == "%" else None)


def _steep(lines: Sequence[Line]) -> bool:
    """Whether a linear axis would press most of these values flat."""
    values = [value for line in lines for value in line.values if value is not None]
    return bool(values) and min(values) > 0 and max(values) > 20 * min(values)


def _percent(values: Any) -> list[float | None]:
    return [None if (value := number(v)) is None else 100 * value for v in numbers(values)]
