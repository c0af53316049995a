"""Rows of the tables of layer collaboration: the paper's own, the tuned ones, and thresholds."""

from typing import Any

from .collab import DATA, METHODS, SETTINGS, factor, setting, theta, width
from .tables import Row

STORE = {"memory_gib": 4.0}
"""Of rows by layer: what frozen cells answer to every view of MNIST is 2.05 GiB, kept in memory."""

TIMES = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Thresholds that are tried, over the goodness of a cell whose units are all 1."""

READINGS = ("theirs", "mean")
"""Their setting, with either goodness."""

TUNED = ("tuned", "pairs")
"""Settings in which plain Forward-Forward is tuned, too."""

TRIAL = {"epochs": 10, "evaluate_every": 10}
"""How long a threshold is tried."""


def name(data: str, setting: str, method: str, training: str = "network") -> str:
    """The row of a method that learns by network or by layer; gamma all, network is the recipe's.

    >>> name("mnist", "theirs", "all"), name("mnist", "theirs", "ff", "layer")
    ('collab-mnist', 'collab-mnist-ff-layer')
    >>> name("mnist", "tuned", "earlier")
    'collab-mnist-tuned-earlier'
    """
    if setting != "theirs":
        return f"collab-{data}-{setting}-{method}"
    return f"collab-{data}" if method == "all" else f"collab-{data}-{method}-{training}"


def trial(data: str, setting: str, method: str, times: float) -> str:
    """The row that tries a threshold.

    >>> trial("mnist", "tuned", "ff", 0.3)
    'theta-mnist-tuned-ff-x0.3'
    """
    return f"theta-{data}-{setting}-{method}-x{times:g}"


def changes(data: str, name: str, method: str, times: float) -> dict[str, Any]:
    """What a method with a threshold changes of the recipe of its data, in one of the settings."""
    found = {**setting(data, name), "gamma": METHODS[method], **theta(data, name, times)}
    # Plain Forward-Forward, where it is tuned, leaves the first cell out, as Hinton does.
    found["counted"] = None if name in TUNED and method == "ff" else [0, 1, 2]
    return found


def rows(data: str) -> list[Row]:
    """The table of one data set: the paper's rows, the tuned ones, then variants."""
    recipe = f"collab-{data}"
    best = {m: changes(data, "theirs", m, factor(data, "theirs", m)) for m in METHODS}
    found = [
        Row(f"{recipe}-bp-pairwise", recipe, {"schedule": "pairwise"}),
        Row(f"{recipe}-bp-label", "bp-mnist", {"dataset": DATA[data], "width": width(data)}),
    ]
    for method in METHODS:
        if method != "all":  # a cell that has not learned has nothing to tell
            by_layer = {**best[method], "schedule": "greedy", **STORE}
            found.append(Row(name(data, "theirs", method, "layer"), recipe, by_layer))
        found.append(Row(name(data, "theirs", method), recipe, best[method]))
    for other in SETTINGS:
        for method in METHODS if other != "theirs" else ():
            more = changes(data, other, method, factor(data, other, method))
            found.append(Row(name(data, other, method), recipe, more))
    told_less = {**changes(data, "pairs", "all", factor(data, "pairs", "all")), "scale": LESS}
    found += [Row(f"{recipe}-{variant}", recipe, more) for variant, more in VARIANTS.items()]
    return [*found, Row(f"{recipe}-pairs-scale-{LESS:g}", recipe, told_less)]


LESS = 0.3
"""How much each other cell counts in F-CFF by pairs (docs/log.md)."""

VARIANTS: dict[str, dict[str, Any]] = {
    "alternating": {"schedule": "alternating"},
    "scale-0.7": {"scale": 0.7},
    "learned": {"coupling": "learned"},
    "entropy": {"objective": "entropy"},
}
"""Of gamma all, network, in their setting: algorithm 2, F-CFF, A-CFF, the entropy objective."""


def trials(data: str) -> list[Row]:
    """Every method of every setting with every threshold, for a short time."""
    return [
        Row(
            trial(data, setting, method, times),
            f"collab-{data}",
            {**changes(data, setting, method, times), **TRIAL},
            may_diverge=True,
        )
        for setting in SETTINGS
        for method in METHODS
        for times in TIMES
    ]
