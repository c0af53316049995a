"""The study of goodness: what a cell makes large, and against which threshold.

On a budget: three cells of 500 units, 5 epochs, AdamW, whose steps do not depend on the scale of a
goodness (a sum's slope is 500 times a mean's). Thresholds are in units of a cell whose units are
all 1. Temperatures are 1 for sums over units and 1 over the units for means, so that a mean is a
sum counted otherwise; ``soft_mean`` is the mean at temperature 1, as most reimplementations have
it. The objectives of pairs have no threshold, and their margin is tried instead.

Peer normalisation is as strong beside each slope as 0.03 is beside that of a sum at temperature 1:
a mean at temperature 1 has 1/500 of the slope, and 0.03 beside it decides what a cell learns.
"""

import statistics
from collections.abc import Collection, Mapping
from typing import Any

from ..report import quantities as q
from .drawing import drawing, svg
from .pages import table as markdown
from .tables import Records, Row, Table

DATA = {"mnist": "mnist", "fashion": "fashion_mnist"}
UNITS = 500
BUDGET: dict[str, Any] = {
    "width": UNITS,
    "epochs": 5,
    "evaluate_every": 5,
    "optimizer": "adamw",
    "rate": "cosine",
    "counted": [0, 1, 2],
}

GOODNESS: dict[str, tuple[str, float, float]] = {
    "sum_of_squares": ("sum_of_squares", UNITS, 1.0),
    "negative_sum_of_squares": ("negative_sum_of_squares", -UNITS, 1.0),
    "mean_of_squares": ("mean_of_squares", 1.0, 1 / UNITS),
    "soft_mean": ("mean_of_squares", 1.0, 1.0),
    "negative_soft_mean": ("negative_mean_of_squares", -1.0, 1.0),
    "sum_of_activities": ("sum_of_activities", UNITS, 1.0),
    "negative_sum_of_activities": ("negative_sum_of_activities", -UNITS, 1.0),
    "top_k": ("top_k", 1.0, 1 / 15),
}
"""Row -> the goodness, that of a cell whose units are all 1, and the temperature."""

TIMES = (0.1, 0.3, 1.0, 3.0)
"""Thresholds that are tried, over that of a cell whose units are all 1."""

PAIRS = ("symba", "swish")
TEMPERATURES = (1.0, 0.3, 0.1, 0.03)
"""Of pairs, under the sum of squares: margins, over the goodness of a cell of ones."""

PEERS = 0.03
"""Beside a sum at temperature 1."""

HEAD = """\
# Goodness and thresholds

Written by `onward table goodness` from the records under `results/`; don't edit it. What a cell
makes large on positives, and against which threshold (Hinton 2022, arXiv:2212.13345, sections 2, 4
and 8), on a budget: 3 x 500 units, 5 epochs, AdamW at 0.001, hard negatives, no choice of rate for
any of them; peer normalisation in the same proportion to each slope. Thresholds are over the
goodness of a cell whose units are all 1. Mean **validation** error in percent, every label tried by
all cells / linear readout, over the seeds that there are; the best of each row in bold. *Soft mean*
is the mean of squares at a temperature of 1, and *mean of squares* at 1 over the units, where it is
a sum of squares counted otherwise; sums are at 1, *top k* takes 15 units, at 1/15. It says what is
worth a full run, not what is best after one.
"""

TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST"}


def name(data: str, kind: str, value: float) -> str:
    """The folder of a row.

    >>> name("mnist", "top_k", 0.3), name("mnist", "symba", 0.3)
    ('goodness-mnist-top_k-x0.3', 'goodness-mnist-symba-T0.3')
    """
    return f"goodness-{data}-{kind}-{'T' if kind in PAIRS else 'x'}{value:g}"


def rows(data: str) -> list[Row]:
    """Every goodness with every threshold, and every objective of pairs with every margin."""
    found = []
    for kind, (goodness, one, temperature) in GOODNESS.items():
        for times in TIMES:
            judged = {"goodness": goodness, "theta": times * one, "temperature": temperature}
            judged |= _peers(goodness, temperature)
            found.append(Row(name(data, kind, times), "ff-mnist", {**_same(data), **judged}))
    for kind in PAIRS:
        for temperature in TEMPERATURES:
            pairs = {"objective": kind, "temperature": temperature}
            found.append(Row(name(data, kind, temperature), "ff-mnist", {**_same(data), **pairs}))
    return found


def _same(data: str) -> dict[str, Any]:
    return {**BUDGET, "dataset": DATA[data]}


def _peers(goodness: str, temperature: float) -> dict[str, float]:
    """Peer normalisation beside a mean's slope; the recipe's own beside a sum's."""
    if "mean" not in goodness or temperature == 1 / UNITS:
        return {}
    return {"peers": PEERS / (UNITS * temperature)}


Errors = dict[float, tuple[float, float]]
"""Threshold or margin -> mean validation errors in percent: every label tried, linear."""


def tried(records: Records, data: str, kind: str) -> Errors:
    """What was tried of a kind, and came out with both readouts."""
    found = {}
    for value in TEMPERATURES if kind in PAIRS else TIMES:
        errors = [one["validation_error"] or {} for one in records.get(name(data, kind, value), ())]
        each = [(100 * e["goodness"], 100 * e["linear"]) for e in errors if _whole(e)]
        if each:
            labels, linear = zip(*each, strict=True)
            found[value] = statistics.fmean(labels), statistics.fmean(linear)
    return found


def _whole(errors: Mapping[str, Any]) -> bool:
    return all(isinstance(errors.get(readout), float) for readout in ("goodness", "linear"))


def page(records: Records, figures: Collection[str]) -> str:
    """The study's page."""
    parts = [HEAD]
    for data in DATA:
        with_theta = _lines(records, data, list(GOODNESS), TIMES)
        of_pairs = _lines(records, data, list(PAIRS), TEMPERATURES)
        if with_theta or of_pairs:
            parts.append(f"## {TITLES[data]}\n")
        if with_theta:
            parts.append(markdown(["goodness", *(f"x {t:g}" for t in TIMES)], with_theta))
        if f"goodness-{data}.svg" in figures:
            parts.append(f"![Error against threshold, {data}](goodness/goodness-{data}.svg)\n")
        if of_pairs:
            parts.append("Pairs of sums of squares, by margin over that of a cell of ones:\n")
            parts.append(markdown(["objective", *(f"T = {t:g}" for t in TEMPERATURES)], of_pairs))
    return "\n".join(parts)


def _lines(
    records: Records, data: str, kinds: Collection[str], values: Collection[float]
) -> list[list[str]]:
    lines = []
    for kind in kinds:
        found = tried(records, data, kind)
        if not found:
            continue
        best = [min(each[readout] for each in found.values()) for readout in (0, 1)]
        cells = [_cell(found.get(value), best) for value in values]
        lines.append([kind.replace("_", " "), *cells])
    return lines


def _cell(errors: tuple[float, float] | None, best: list[float]) -> str:
    if errors is None:
        return q.NONE
    told = [f"{error:.2f}" for error in errors]
    return " / ".join(
        f"**{t}**" if e == b else t for t, e, b in zip(told, errors, best, strict=True)
    )


def figures(records: Records) -> Mapping[str, bytes]:
    """Error against threshold, a line a goodness, for every data set that has records."""
    drawn = {f"goodness-{data}.svg": _drawn(records, data) for data in DATA}
    return {file: picture for file, picture in drawn.items() if picture}


def _drawn(records: Records, data: str) -> bytes | None:
    lines = {kind: found for kind in GOODNESS if (found := tried(records, data, kind))}
    if not lines:
        return None
    with drawing(8.4, 3.4, 2) as (figure, axes):
        for axis, readout, told in zip(axes, (0, 1), ("every label tried", "linear"), strict=True):
            for kind, found in lines.items():
                low = "--" if kind.startswith("negative") else "-"
                errors = [each[readout] for each in found.values()]
                axis.plot(list(found), errors, f"o{low}", label=kind.replace("_", " "))
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xticks(TIMES, [f"{times:g}" for times in TIMES])
            axis.minorticks_off()
            axis.set_xlabel("theta, over that of a cell of ones")
            axis.set_title(f"{TITLES[data]}, {told}", loc="left")
        axes[0].set_ylabel("validation error, % (log)")
        axes[1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return svg(figure)


table = Table(
    "goodness",
    [row for data in DATA for row in rows(data)],
    page,
    figures,
    fixed=("dataset", "cells", "width", "goodness", "theta", "temperature", "objective", "peers"),
)
