"""Figures of the tables of layer collaboration: the same SVG for the same records."""

import statistics
from collections.abc import Mapping

from ..report import added
from . import collab_rows as r
from . import collab_verdicts as v
from .collab import DATA, METHODS
from .collab_page import SETTINGS, TITLES
from .drawing import drawing, svg
from .tables import Records

COLOURS = {"ff": "#444444", "earlier": "#009e73", "all": "#0072b2"}
"""Okabe and Ito's, for every kind of colour vision."""

SIGNS = {"positive": "-", "negative": "--"}


def figures(records: Records) -> Mapping[str, bytes]:
    """What each cell adds, and functional entropy, of every data set that has records."""
    found = {}
    for data in DATA:
        if drawn := _sums(records, data):
            found[f"added-{data}.svg"] = drawn
        if drawn := _entropy(records, data):
            found[f"entropy-{data}.svg"] = drawn
    return found


def sweep_figures(records: Records) -> Mapping[str, bytes]:
    """Error against theta of every data set that has records."""
    drawn = {f"theta-{data}.svg": _theta(records, data) for data in DATA}
    for reading, told in (("theirs", "sums"), ("mean", "sums-mean")):
        drawn |= {f"{told}-{data}.svg": _sums_by_theta(records, data, reading) for data in DATA}
    return {name: picture for name, picture in drawn.items() if picture}


def _sums_by_theta(records: Records, data: str, reading: str) -> bytes | None:
    """Validation error of the running sums, a line a threshold, a panel a method.

    The paper has it that cells after the first hurt plain Forward-Forward, and reimplementations
    have seen that at large thresholds only.
    """
    panels = {}
    for method in METHODS:
        lines = {}
        for times in r.TIMES:
            found = records.get(r.trial(data, reading, method, times), ())
            if sums := _mean([added.first(one, "validation") for one in found]):
                lines[times] = sums
        if lines:
            panels[method] = lines
    if not panels:
        return None
    with drawing(8.4, 3.2, len(panels)) as (figure, axes):
        for axis, (method, lines) in zip(axes, panels.items(), strict=True):
            for times, sums in lines.items():
                pale = 0.25 + 0.75 * r.TIMES.index(times) / (len(r.TIMES) - 1)
                cells = range(1, len(sums) + 1)
                axis.plot(cells, sums, "o-", color=COLOURS[method], alpha=pale, label=f"{times:g}")
            axis.set_title(f"{TITLES[data]}, {v.WORDS[method]}", loc="left")
            axis.set_xlabel("sum of the first cells")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set_yscale("log")
            axis.legend(fontsize=7, title="theta / ones", title_fontsize=7)
        axes[0].set_ylabel("validation error, % (log)")
        return svg(figure)


def _sums(records: Records, data: str) -> bytes | None:
    """Error of the sum of the first cells, and of each alone; a panel a setting."""
    panels = {}
    for setting, told in SETTINGS.items():
        lines = {}
        for method in METHODS:
            found = records.get(r.name(data, setting, method), ())
            sums = _mean([added.first(one, "test") for one in found])
            alone = _mean([added.alone(one, "test") for one in found])
            if sums:
                lines[method] = sums, alone
        if lines:
            panels[told] = lines
    if not panels:
        return None
    with drawing(max(4.2 * len(panels), 8.4), 3.2, len(panels)) as (figure, axes):
        for axis, (told, lines) in zip(axes, panels.items(), strict=True):
            for method, (sums, alone) in lines.items():
                cells = range(1, len(sums) + 1)
                colour = COLOURS[method]
                axis.plot(cells, sums, "o-", color=colour, label=f"{v.WORDS[method]}, sum")
                axis.plot(cells[: len(alone)], alone, "x:", color=colour, alpha=0.6, label="alone")
            axis.set_title(f"{TITLES[data]}, {told}", loc="left")
            axis.set_xlabel("cell")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set_yscale("log")
            axis.legend(fontsize=7)
        axes[0].set_ylabel("test error, % (log)")
        return svg(figure)


def _mean(each: list[list[float | None]]) -> list[float]:
    """Means over seeds, by cell, in percent, of those that all have."""
    found = []
    for values in zip(*each, strict=False):
        known = [100 * value for value in values if value is not None]
        if len(known) < len(values):
            break
        found.append(statistics.fmean(known))
    return found


def _entropy(records: Records, data: str) -> bytes | None:
    """Ent / mean of positives and negatives, a group of bars a setting."""
    groups = []
    for setting, told in SETTINGS.items():
        bars = {}
        for method in METHODS:
            for sign in SIGNS:
                found = [
                    added.entropy(one, "test", sign, "divergence")
                    for one in records.get(r.name(data, setting, method), ())
                ]
                known = [value for value in found if value is not None]
                if known:
                    bars[method, sign] = statistics.fmean(known)
        if bars:
            groups.append((told, bars))
    if not groups:
        return None
    with drawing(6.0, 3.0, 1) as (figure, (axis,)):
        for place, (_, bars) in enumerate(groups):
            for number, ((method, sign), value) in enumerate(bars.items()):
                at = place + (number - (len(bars) - 1) / 2) * 0.13
                pale = 1.0 if sign == "positive" else 0.45
                told = f"{v.WORDS[method]}, {sign}s"
                axis.bar(at, value, 0.12, color=COLOURS[method], alpha=pale, label=told)
        axis.set_xticks(range(len(groups)), [told for told, _ in groups])
        axis.set_ylabel("Ent / mean, nats")
        axis.set_title(f"{TITLES[data]}: functional entropy of the goodness", loc="left")
        known_names = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.legend(known_names.values(), known_names.keys(), fontsize=7)
        return svg(figure)


def _theta(records: Records, data: str) -> bytes | None:
    """Validation error against theta, a panel a setting; a line a method."""
    panels = {
        told: {m: found for m in METHODS if (found := v.tried(records, data, setting, m))}
        for setting, told in SETTINGS.items()
    }
    panels = {told: lines for told, lines in panels.items() if lines}
    if not panels:
        return None
    with drawing(max(4.2 * len(panels), 8.4), 3.2, len(panels)) as (figure, axes):
        for axis, (told, lines) in zip(axes, panels.items(), strict=True):
            for method, found in lines.items():
                times, colour = list(found), COLOURS[method]
                means = [statistics.fmean(each) for each in found.values()]
                lows, highs = zip(*((min(e), max(e)) for e in found.values()), strict=True)
                axis.plot(times, means, "o-", color=colour, label=v.WORDS[method])
                axis.fill_between(times, lows, highs, color=colour, alpha=0.18, linewidth=0)
            axis.set_xscale("log")
            axis.set_xticks(r.TIMES, [f"{times:g}" for times in r.TIMES])
            axis.minorticks_off()
            axis.set_xlabel("theta / that of a cell of ones")
            axis.set_title(f"{TITLES[data]}, {told}", loc="left")
            axis.legend(fontsize=7)
        axes[0].set_ylabel("validation error, %")
        return svg(figure)
