"""The table of black boxes: Forward-Forward, backprop and frozen cells on either side of them."""

from collections.abc import Collection, Mapping
from typing import Any

from ..report import measures as m
from .drawing import drawing, svg
from .ff_blackbox import BACKPROP
from .pages import table as markdown
from .tables import Records, Row, Table

BOXES: dict[str, dict[str, Any]] = {
    "none": {"box": "none"},
    "steps-0.5": {"box": "steps", "level": 0.5},
    "steps-2": {"box": "steps", "level": 2.0},
    "spikes-3": {"box": "spikes", "level": 3.0},
    "spikes-1": {},
    "spikes-0.3": {"box": "spikes", "level": 0.3},
}
"""Row -> what it changes of ff-blackbox-mnist; from what lets all through to what lets least."""

REGIMES: dict[str, dict[str, Any]] = {
    "": {},
    "backprop": BACKPROP,
    "frozen": {"regime": "frozen"},
}
TOLD = {"": "Forward-Forward", "backprop": "backprop", "frozen": "frozen as drawn"}
COLOURS = {"": "#0072b2", "backprop": "#d55e00", "frozen": "#444444"}

HEAD = """\
# Through black boxes

Written by `onward table blackbox` from the records under `results/`; don't edit it. Hinton 2022
(arXiv:2212.13345, section 7) says that Forward-Forward tolerates a black box between layers, even a
stochastic one; he gives no experiment, and this one is ours (docs/hybrids.md). Three cells of 1000
units on MNIST; between every two of them a fixed noisy function without a gradient: *steps* rounds
by chance to multiples of a level (inputs have a root mean square of 1), *spikes* lets one random
bit through, at a rate of the level. Backprop reaches the cells behind the last box only.

Test error in percent, last epoch, mean ± standard deviation over seeds, by a linear readout on the
last cell; for Forward-Forward with every label tried, too.
"""


def name(box: str, regime: str) -> str:
    """The folder of a row.

    >>> name("spikes-1", ""), name("none", "frozen")
    ('ff-blackbox-mnist', 'ff-blackbox-mnist-none-frozen')
    """
    own = "" if box == "spikes-1" else box
    return "-".join(part for part in ("ff-blackbox-mnist", own, regime) if part)


def _errors(records: Records, row: str, readout: str) -> list[float]:
    found = [(one["test_error"] or {}).get(readout) for one in records.get(row, ())]
    return [100 * error for error in found if isinstance(error, float)]


def page(records: Records, figures: Collection[str]) -> str:
    """The table's page."""
    lines = []
    for box in BOXES:
        if not any(records.get(name(box, regime)) for regime in REGIMES):
            continue
        each = [m.spread(_errors(records, name(box, regime), "linear")) for regime in REGIMES]
        seeds = max(len(records.get(name(box, regime), ())) for regime in REGIMES)
        labels = m.spread(_errors(records, name(box, ""), "goodness"))
        lines.append([box.replace("-", ", "), *each, labels, str(seeds)])
    head = ["box", *TOLD.values(), "Forward-Forward, every label", "seeds"]
    picture = "![Error by box](blackbox/errors.svg)\n" if "errors.svg" in figures else ""
    return "\n".join([HEAD, markdown(head, lines), picture])


def figures(records: Records) -> Mapping[str, bytes]:
    """Test error of the linear readout, a group of bars a box."""
    if not any(records.values()):
        return {}
    with drawing(7.0, 3.2, 1) as (figure, (axis,)):
        for number, (regime, told) in enumerate(TOLD.items()):
            for at, box in enumerate(BOXES):
                errors = _errors(records, name(box, regime), "linear")
                if errors:
                    place, mean = at + (number - 1) * 0.27, sum(errors) / len(errors)
                    axis.bar(place, mean, 0.25, color=COLOURS[regime], label=told)
                    axis.plot([place] * len(errors), errors, "k.", markersize=3)
        axis.set_xticks(range(len(BOXES)), [box.replace("-", "\n") for box in BOXES])
        axis.set_yscale("log")
        axis.set_ylabel("test error, % (log)")
        axis.set_title("A linear readout on the last of three cells", loc="left")
        known = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.legend(known.values(), known.keys(), fontsize=7)
        return {"errors.svg": svg(figure)}


table = Table(
    "blackbox",
    [
        Row(name(box, regime), "ff-blackbox-mnist", {**changes, **more})
        for regime, more in REGIMES.items()
        for box, changes in BOXES.items()
    ],
    page,
    figures,
)
