"""Figures of the table of phases: the same SVG for the same records."""

import statistics
from collections.abc import Mapping
from typing import Any

from ..report import measures as m
from . import phases_rows as r
from . import phases_verdicts as v
from .drawing import drawing, svg
from .phases_page import REPORTED, TITLES
from .tables import Records

COLOURS = {"goodness": "#0072b2", "linear": "#d55e00"}
"""Okabe and Ito's, for every kind of colour vision."""

WORDS = {"goodness": "every label", "linear": "linear"}


def figures(records: Records) -> Mapping[str, bytes]:
    """Accuracy against phase length of every study that has records of a length."""
    found = {}
    for study in r.STUDIES:
        if any(records.get(r.name(study, length)) for length in r.LENGTHS):
            found[f"{study}.svg"] = _drawn(records, study)
    return found


def _drawn(records: Records, study: str) -> bytes:
    with drawing(6.2, 3.4, 1) as (figure, (axis,)):
        for by in ("goodness", "linear") if study in v.LABELLED else ("linear",):
            _lines(axis, records, study, by)
        if known := REPORTED.get(study):
            shown = {n: known[n] for n in r.LENGTHS}
            axis.plot(list(shown), list(shown.values()), ":", color="#888888", label="reported")
        axis.set_xscale("log", base=2)
        axis.set_xticks(r.LENGTHS, [str(n) for n in r.LENGTHS])
        axis.set_ylim(0, 100 if study in v.LABELLED else None)
        axis.set_xlabel("phase length, updates")
        axis.set_ylabel("test accuracy, %")
        axis.set_title(TITLES[study], loc="left")
        axis.legend(fontsize=7)
        return svg(figure)


def _lines(axis: Any, records: Records, study: str, by: str) -> None:
    """A readout's accuracies by length, slowly too, and the levels of mixed and frozen cells."""
    colour = COLOURS[by]
    for slow, style, told in ((False, "o-", ""), (True, "s--", ", slow")):
        found = {
            n: list(m.accuracies(mine, by).values())
            for n in r.LENGTHS
            if (mine := records.get(r.name(study, n, slow)))
        }
        found = {n: each for n, each in found.items() if each}
        if not found:
            continue
        means = [statistics.fmean(each) for each in found.values()]
        lows, highs = zip(*((min(each), max(each)) for each in found.values()), strict=True)
        axis.plot(list(found), means, style, color=colour, label=WORDS[by] + told)
        axis.fill_between(list(found), lows, highs, color=colour, alpha=0.18, linewidth=0)
    levels = {"mixed": r.name(study, None), "frozen": r.frozen(study)}
    for told, row in levels.items():
        level = list(m.accuracies(records.get(row, ()), by).values())
        if level:
            width = 1.4 if told == "mixed" else 0.7
            label = f"{WORDS[by]}, {told}"
            axis.axhline(statistics.fmean(level), color=colour, linewidth=width, label=label)
