"""Figures of the table of Unsupervised Forward-Forward: the same SVG for the same records."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ..report import measures as m
from . import uff_verdicts as v
from .drawing import drawing, svg
from .tables import Records
from .uff_page import KINDS, TITLES, accuracy, readout

COLOURS = {
    "simultaneous": "#0072b2",
    "separate": "#56b4e9",
    "frozen as drawn": "#9aa0a6",
    "backprop": "#d55e00",
}
"""Okabe and Ito's, for every kind of colour vision; the control is grey."""

LINES = {"ae": "#0072b2", "dae": "#009e73", "cae": "#d55e00", "gan": "#cc79a7", "ff": "#444444"}

WIDTH = 0.2
"""Of a bar, where 1 is from one kind of cell to the next."""


def figures(records: Records) -> Mapping[str, bytes]:
    """Bars of accuracy and validation curves of every data set that has records."""
    found = {}
    for data in TITLES:
        if bars := _bars(records, data):
            found[f"accuracy-{data}.svg"] = bars
        if curves := _curves(records, data):
            found[f"curves-{data}.svg"] = curves
    return found


def _groups(data: str) -> list[tuple[str, dict[str, str]]]:
    """Groups of bars: label, and the row of each bar by its meaning."""
    groups = []
    for cell in KINDS:
        twin = "cae" if cell == "cae" else "ae"
        groups.append(
            (
                cell.upper(),
                {
                    "simultaneous": f"uff-{cell}-{data}",
                    "separate": f"uff-{cell}-{data}-separate",
                    "frozen as drawn": f"uff-{twin}-{data}-frozen",
                    "backprop": f"uff-{twin}-{data}-backprop",
                },
            )
        )
    dense = f"uff-ae-{data}-frozen"
    pure = {"simultaneous": f"uff-gan-{data}-pure", "frozen as drawn": dense}
    groups.append(("GAN, λ = 0", pure))
    if data == "mnist":
        for cell, name in (("wta", "WTA"), ("convwta", "conv. WTA")):
            row = f"uff-{cell}-mnist"
            groups.append((name, {"simultaneous": row, "frozen as drawn": f"{row}-frozen"}))
    ff = {"simultaneous": f"ff-{data}-simultaneous", "separate": f"ff-{data}-greedy"}
    groups.append(("FF", {**ff, "frozen as drawn": dense}))
    return groups


def _bars(records: Records, data: str) -> bytes | None:
    """Accuracy of each kind of cell in both regimes, beside its control and backprop."""
    groups = []
    for name, rows in _groups(data):
        found = {what: values for what, row in rows.items() if (values := accuracy(records, row))}
        # A group without its control is left out, as in the table.
        if "frozen as drawn" in found and found.keys() & {"simultaneous", "separate"}:
            groups.append((name, found))
    if not groups:
        return None
    raw = accuracy(records, f"uff-ae-{data}-raw")
    means = [statistics.fmean(b.values()) for _, found in groups for b in found.values()]
    means += [statistics.fmean(raw.values())] if raw else []
    floor = _floor(min(means), max(means))
    with drawing(8.4, 3.4, 1) as (figure, (axis,)):
        for place, (_, found) in enumerate(groups):
            for number, (what, values) in enumerate(found.items()):
                mean = statistics.fmean(values.values())
                spread = statistics.stdev(values.values()) if len(values) > 1 else None
                at = place + (number - (len(found) - 1) / 2) * WIDTH
                axis.bar(at, mean - floor, 0.92 * WIDTH, floor, color=COLOURS[what], label=what)
                if spread is not None:
                    axis.errorbar(at, mean, spread, color="#222222", linewidth=1, capsize=2)
        if raw:
            level = statistics.fmean(raw.values())
            axis.axhline(level, color="#222222", linewidth=1, linestyle=":", label="raw samples")
        axis.set_xticks(range(len(groups)), [name for name, _ in groups])
        axis.set_ylim(floor, max(means) + 0.06 * (max(means) - floor))
        cut = f" (axis begins at {floor:g})" if floor else ""
        axis.set_ylabel(f"test accuracy, %{cut}")
        axis.set_title(f"{_title(records, data)}: kinds of cell against their controls", loc="left")
        known = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.legend(known.values(), known.keys(), ncols=5, loc="upper center", **_BELOW)
        return svg(figure)


_BELOW = {"bbox_to_anchor": (0.5, -0.1)}


def _curves(records: Records, data: str) -> bytes | None:
    """Validation accuracy by epoch: simultaneous left, separate right; a line a kind of cell.

    A line without its control is left out, as in the table; controls are in both panels.
    """
    controls = {cell: f"uff-{'cae' if cell == 'cae' else 'ae'}-{data}-frozen" for cell in LINES}
    panels: list[list[tuple[str, list[tuple[int, float, float, float]]]]] = []
    for suffixes in (("", "-simultaneous"), ("-separate", "-greedy")):
        rows = {cell: f"uff-{cell}-{data}{suffixes[0]}" for cell in KINDS}
        rows["ff"] = f"ff-{data}{suffixes[1]}"
        shown = [
            (cell, _points(records, row))
            for cell, row in rows.items()
            if _points(records, controls[cell])
        ]
        panels.append([(cell, points) for cell, points in shown if points])
    if not any(panels):
        return None
    with drawing(8.4, 3.2, 2) as (figure, axes):
        for axis, panel, name in zip(axes, panels, ("simultaneous", "separate"), strict=True):
            for cell, points in panel:
                epochs, means, lows, highs = zip(*points, strict=True)
                axis.plot(epochs, means, color=LINES[cell], linewidth=1.5, label=cell.upper())
                if len(points) == 1:
                    axis.plot(epochs, means, "o", color=LINES[cell], markersize=4)
                axis.fill_between(epochs, lows, highs, color=LINES[cell], alpha=0.18, linewidth=0)
            for control, dash in (("ae", "--"), ("cae", ":")):
                row = f"uff-{control}-{data}-frozen"
                if points := _points(records, row):
                    told = f"{control.upper()} frozen, at its end"
                    axis.axhline(points[-1][1], color="#888888", linestyle=dash, label=told)
            axis.set_title(f"{_title(records, data)}, {name}", loc="left")
            axis.set_xlabel("epoch, over all stages")
            axis.set_xlim(left=0)
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("validation accuracy, %")
        known = dict(zip(*reversed(_legends(axes)), strict=True))
        figure.legend(known.values(), known.keys(), ncols=7, loc="outside lower center")
        return svg(figure)


def _legends(axes: Sequence[Any]) -> tuple[list[Any], list[str]]:
    pairs = [axis.get_legend_handles_labels() for axis in axes]
    return [h for handles, _ in pairs for h in handles], [n for _, names in pairs for n in names]


def _points(records: Records, row: str) -> list[tuple[int, float, float, float]]:
    """(epoch, mean, least, largest) validation accuracy over seeds, where all measured it."""
    found = records.get(row, ())
    curves = m.curve(found, readout(records, row) or "linear")
    points = []
    for epoch, values in enumerate(zip(*curves, strict=False), 1):
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            points.append((epoch, statistics.fmean(known), min(known), max(known)))
    return points


def _title(records: Records, data: str) -> str:
    record = next(one for row, found in records.items() if data in row.split("-") for one in found)
    name = v.data_name(record)
    return f"{TITLES[data]} ({name})" if name.endswith("-jpeg") else TITLES[data]


def _floor(least: float, largest: float) -> float:
    """Where the axis of accuracies begins: at 0, or where differences can be seen."""
    if largest - least > 0.3 * largest:
        return 0.0
    step = next(s for s in (0.5, 1, 2, 5, 10) if (largest - least) / s <= 5)
    return max(0.0, step * int((least - 0.4 * (largest - least)) / step))
