"""What the records of the table of Unsupervised Forward-Forward say, as one page in Markdown.

No accuracy of a trained row is written without its control's beside it (digest UFF, T7): where the
control has no record yet, the row waits.
"""

import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from ..record import Record
from ..report import measures as m
from ..report import quantities as q
from . import uff_verdicts as v
from .pages import rules, table, verdicts
from .tables import Records
from .verdicts import data_name
from .verdicts import seeds as told_seeds

HEAD = """\
# Unsupervised Forward-Forward: the table

Written by `onward table uff` from the records under `results/`; don't edit it. The method is that
of Hwang, Seo and Jung 2024, arXiv:2404.14664, whose numbers are not known here (its text was not at
hand): none is printed, and what is held against it are orderings, C1 to C5.

Accuracies are of the test set, last epoch, in percent, mean ± standard deviation over seeds;
nothing was chosen on it. A difference is that of two means ± its standard error. "Far" is beyond
three standard errors, and on fewer than three seeds nothing is decided. Rows are held against each
other at as many epochs, or where the one that is ahead has fewer. Commands, commits and machines of
all rows are in [RESULTS.md](../RESULTS.md).
"""

TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10"}


@dataclass(frozen=True)
class Line:
    """A row of the table of a data set: its records' row, what it is, its control, its section."""

    row: str
    what: str
    control: str | None = None
    kind: str = "cells"


KINDS = {
    "ae": "auto-encoder",
    "dae": "denoising auto-encoder",
    "cae": "convolutional auto-encoder",
    "gan": "GAN",
}


def lines(data: str) -> list[Line]:
    """The lines of one data set, its controls first.

    A dense row's control is three cells frozen as drawn; Forward-Forward's and backprop's are those
    of equal widths.
    """
    dense, conv = v.control("ae", data), v.control("cae", data)
    found = [
        Line(f"uff-ae-{data}-raw", "raw samples, no cells", kind="control"),
        Line(f"uff-ae-{data}-frozen", "dense cells, normed ReLUs, frozen as drawn", kind="control"),
        Line(dense, "dense cells, plain ReLUs, frozen as drawn", kind="control"),
        Line(conv, "convolutional cells, frozen as drawn", kind="control"),
    ]
    for cell, what in KINDS.items():
        control = conv if cell == "cae" else dense
        found.append(Line(f"uff-{cell}-{data}", f"{what} cells, simultaneous", control))
        found.append(Line(f"uff-{cell}-{data}-separate", f"{what} cells, separate", control))
    pure = "GAN cells without reconstruction (λ = 0), simultaneous"
    found.append(Line(f"uff-gan-{data}-pure", pure, dense))
    if data == "mnist":
        for cell, what in (
            ("wta", "winner-take-all"),
            ("convwta", "convolutional winner-take-all"),
        ):
            frozen = f"uff-{cell}-mnist-frozen"
            found.append(Line(frozen, f"{what} cells, frozen as drawn", kind="control"))
            found.append(Line(f"uff-{cell}-mnist", f"{what} cells, simultaneous", frozen))
    found += [
        Line(f"uff-ae-{data}-backprop", "backprop, dense (MLP)", dense, "backprop"),
        Line(f"uff-cae-{data}-backprop", "backprop, convolutional (CNN)", conv, "backprop"),
    ]
    for regime in ("simultaneous", "greedy"):
        row = f"ff-{data}-{regime}"
        told = "separate" if regime == "greedy" else regime
        found.append(Line(row, f"supervised Forward-Forward, {told}", dense, "ff"))
    return found


def page(records: Records, figures: Collection[str]) -> str:
    """The page; ``figures`` are the names of the pictures that lie in results/uff/."""
    parts = [HEAD, verdicts(v.verdicts(records))]
    for data in TITLES:
        there = [line for line in lines(data) if records.get(line.row)]
        if there:
            parts.append(_accuracy(records, data, there, figures))
    parts += [_stability(records), _costs(records), _pictures(figures), rules(v.verdicts(records))]
    return "\n".join(part for part in parts if part)


def _accuracy(records: Records, data: str, there: Sequence[Line], figures: Collection[str]) -> str:
    """The table of a data set, each trained row with its control."""
    name = data_name(records[there[0].row][0])
    raw = f"uff-ae-{data}-raw"
    rows = []
    for line in there:
        ours = accuracy(records, line.row)
        if line.control is None:
            rows.append([f"`{line.row}`", line.what, mean_of(ours), *["control", "", "", ""]])
            continue
        theirs = accuracy(records, line.control)
        if not theirs:
            waits = f"waits for its control `{line.control}`"
            rows.append([f"`{line.row}`", line.what, waits, q.NONE, q.NONE, q.NONE, q.NONE])
            continue
        gap = m.gap(ours, theirs)
        beside = m.signed(m.gap(ours, accuracy(records, raw)))
        rows.append(
            [
                *(f"`{line.row}`", line.what, mean_of(ours), mean_of(theirs), m.signed(gap)),
                *(verdict_of(records, line), beside),
            ]
        )
    head = ["row", "what", "test accuracy, %", "control, %", "minus control", "says", "minus raw"]
    read = v.ff_readout(records, data)
    parts = [f"## {TITLES[data]}" + (f" (`{name}`)" if name.endswith("-jpeg") else ""), ""]
    if name.endswith("-jpeg"):
        parts += [f"Data: {records[there[0].row][0]['data']['note']}. Not to be compared with", ""]
        parts[-2] += " published numbers on the original images."
    parts.append(table(head, rows))
    if read is not None:
        told = {"goodness": "every label tried", "linear": "its linear readout"}[read]
        parts += [f"Forward-Forward by {told}, the better on validation over both regimes.", ""]
    for figure, what in (("accuracy", "Accuracy by kind of cell"), ("curves", "Validation curves")):
        if f"{figure}-{data}.svg" in figures:
            parts += [f"![{what}, {name}](uff/{figure}-{data}.svg)", ""]
    return "\n".join(parts)


def verdict_of(records: Records, line: Line) -> str:
    """Whether a trained row is above its control, plainly."""
    assert line.control is not None
    epochs = [{r["settings"]["epochs"] for r in records[row]} for row in (line.row, line.control)]
    if epochs[0] != epochs[1]:
        return "undecided (other epochs than its control)"
    gap = m.gap(accuracy(records, line.row), accuracy(records, line.control))
    seeds = gap.seeds if gap else 0
    sign = gap.sign if gap else None
    if sign == 1:
        return "above its control"
    if sign == -1:
        return "not above its control"
    return f"undecided ({told_seeds(seeds)})"


def accuracy(records: Records, row: str) -> dict[int, float]:
    """Test accuracy by seed; Forward-Forward's by the readout that counts for both regimes."""
    return m.accuracies(records.get(row, ()), readout(records, row))


def readout(records: Records, row: str) -> str | None:
    """The readout that counts for a row."""
    if row.startswith("ff-"):
        return v.ff_readout(records, row.split("-")[1])
    return m.readout_of(records.get(row, ()))


def _stability(records: Records) -> str:
    """A14: three readings of "stability", since the paper's is not known."""
    rows = []
    for data in TITLES:
        pairs = [(f"uff-{cell}-{data}", f"uff-{cell}-{data}-separate") for cell in KINDS]
        for one, other in [*pairs, (f"ff-{data}-simultaneous", f"ff-{data}-greedy")]:
            if not records.get(one) and not records.get(other):
                continue
            read = readout(records, one) or readout(records, other) or "linear"
            a, b = (m.accuracies(records.get(row, ()), read) for row in (one, other))
            change = m.of_pairs(m.paired(b, a))
            told = f"{m.signed(change)} ({told_seeds(change.seeds)})" if change else q.NONE
            unrest = [_unrest(records.get(row, ()), read) for row in (one, other)]
            rows.append([f"`{one}`", _deviation(a), _deviation(b), *unrest, told])
    if not rows:
        return ""
    head = ["row", "over seeds, simultaneous", "over seeds, separate"]
    head += ["from epoch to epoch, simultaneous", "from epoch to epoch, separate"]
    return (
        "## Stability\n\nIn points of accuracy: the standard deviation of the final test accuracy "
        "over seeds; that of\nthe change of validation accuracy from one epoch to the next, over "
        "the last half of the epochs in\nwhich the readout (for every label tried: the last cell) "
        "learned, mean over seeds; and separate minus\nsimultaneous test accuracy, mean of the "
        "differences by seed ± its standard error.\n\n"
        + table([*head, "separate minus simultaneous"], rows)
    )


def _deviation(found: dict[int, float]) -> str:
    if len(found) < 2:
        return q.NONE
    return f"{statistics.stdev(found.values()):.2f} ({told_seeds(len(found))})"


def _unrest(records: Sequence[Record], read: str) -> str:
    found = [jump for record in records if (jump := m.unrest(record, read)) is not None]
    return f"{statistics.fmean(found):.3f}" if found else q.NONE


def _costs(records: Records) -> str:
    """A15, and what else a run took."""
    rows = []
    for data in TITLES:
        for line in lines(data):
            found = records.get(line.row)
            if not found:
                continue
            read = readout(records, line.row) or "linear"
            near = [s for record in found if (s := m.seconds_to(record, read)) is not None]
            rows.append(
                [
                    f"`{line.row}`",
                    _distinct(str(record["epochs"]) for record in found),
                    m.spread(m.cost(found, "train_seconds"), 0),
                    m.spread(near, 0),
                    _mean(m.cost(found, "peak_memory_bytes"), q.memory),
                    _mean(m.cost(found, "data_passes"), lambda passes: f"{passes:.4g}"),
                    _mean(m.cost(found, "bytes_between_stations"), q.memory),
                    told_seeds(len(found)),
                ]
            )
    if not rows:
        return ""
    head = ["row", "epochs, over all stages", "training, s", "to 99 % of its best, s"]
    head += ["peak memory", "data passes", "handed on between cells", "seeds"]
    return (
        "## Time, memory, passes\n\nTraining seconds count every stage and the readout, and leave "
        'out evaluation; "to 99 % of its best"\nends with the first epoch whose validation '
        "accuracy is at 99 % of the row's own best. Machines may have\nhad other work beside: "
        "differences below a factor of two say little. Peak memory is that of the run's\nprocess "
        "beyond what it had at its start. A data pass is one forward pass of the training set "
        "through the\nwhole row.\n\n" + table(head, rows)
    )


def _pictures(figures: Collection[str]) -> str:
    """What cells do: reconstructions, samples of generators, filters and latents, of seed 0."""
    kept = sorted(name for name in figures if name.endswith(".png"))
    if not kept:
        return ""
    shown = "\n".join(f"### `{name[:-4]}`\n\n![{name[:-4]}](uff/{name})\n" for name in kept)
    return (
        "## Pictures\n\nTest samples; below them what cell 0, and later cells by way of those "
        "before them, restore (for GAN cells:\nsamples of the generator); what units of the first "
        "decoder paint; latents of the first cell. Of the\nlowest seed; each run's own page has "
        "the same.\n\n" + shown
    )


def _mean(values: Sequence[float], tell: Callable[[float], str]) -> str:
    return tell(statistics.fmean(values)) if values else q.NONE


def mean_of(found: dict[int, float]) -> str:
    """Mean and spread of accuracies by seed, in words."""
    return f"{m.spread(list(found.values()))} ({told_seeds(len(found))})" if found else q.NONE


def _distinct(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
