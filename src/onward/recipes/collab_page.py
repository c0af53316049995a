"""What the records of the tables of layer collaboration say, as pages in Markdown."""

import statistics
from collections.abc import Collection, Sequence

from ..record import Record
from ..report import added
from ..report import measures as m
from ..report import quantities as q
from . import collab_rows as r
from . import collab_verdicts as v
from .collab import DATA, METHODS, REPORTED, factor
from .pages import rules, table, verdicts
from .tables import Records
from .verdicts import data_name, seeds

HEAD = """\
# Layer collaboration in Forward-Forward: the table

Written by `onward table collaboration` from the records under `results/`; don't edit it. The method
is that of Lorberbom et al. 2023, arXiv:2305.12393. The paper's text was not at hand: the numbers
called *reported* are second-hand, from one reading note, without seeds or spreads. Of its settings
only three dense layers are known; what we took instead, and why, is in
[docs/collaboration.md](../docs/collaboration.md). Their goodness is read in two ways: as the sum of
squares that the formula has, beside whose size the logistic is a sharp step, and as their mean,
beside which it is wide.

Errors are of the test set, last epoch, every label tried (backprop as label classifier: its
softmax), in percent, mean ± standard deviation over seeds; nothing was chosen on it. Thresholds
were chosen for each method by itself on validation data ([theta.md](theta.md)), where the section
*Thresholds* has a sweep's best, and else are the goodness of a cell whose units are all 1.
*Network* is all cells on every batch, *layer* one cell after another, *in turn* the paper's
algorithm 2; F-CFF and A-CFF are NetworkFF's fixed and adaptive weights of what others say. Rows by
layer have the threshold of their method by network; pairwise backprop, in turn, F-CFF, A-CFF and
the entropy objective that of gamma all. Of the verdicts, L reads goodness as the sum and M as the
mean; L5, our own question, has no twin. *By pairs*, a sample's two goodnesses are compared with
each other (swish, as in `ff-mnist-pairs`), and a tenth of the threshold is the margin. All else of
*tuned* was tuned for plain Forward-Forward (`ff-mnist` and `ff-mnist-pairs`: rate, decay, the first
cell left out of the sum) and taken over by collaboration as it is, with all cells in the sum: where
it is behind there, a rate of its own was not looked for. "Far" is beyond three standard errors, and
on fewer than three seeds nothing is decided.
"""

SWEEP = """\
# Thresholds of Forward-Forward and its collaborations

Written by `onward table theta` from the records under `results/`; don't edit it. Each method is
trained for a short time with thresholds of 0.3 to 10 times the goodness of a cell whose units are
all 1, in every setting of [collaboration.md](collaboration.md), and judged on validation data: one
threshold for all methods would decide which of them wins. Mean validation error in percent, every
label tried, ± standard deviation over seeds where there are several; – was not run; the best of
each row in bold, and *at the edge* where it is the smallest or the largest of those tried. Tuned
plain Forward-Forward leaves the first cell out of the sum, as Hinton does; all others sum all
cells. A run that diverged counts as a guess. The table's rows learn for longer: what is best after
a short time may not be after that. *By pairs* there is no threshold, and a tenth of these is the
margin.
"""

TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10"}
SETTINGS = {
    "theirs": "their setting",
    "mean": "their setting, mean of squares",
    "tuned": "tuned",
    "pairs": "tuned, by pairs",
}

WHAT = {
    "bp-pairwise": "backprop, pairwise, network",
    "bp-label": "backprop, label, network",
    "ff-layer": "FF, layer",
    "ff-network": "FF, network",
    "earlier-layer": "gamma<t, layer",
    "earlier-network": "gamma<t, network",
    "": "gamma all, network",
    "mean-ff": "FF, mean of squares",
    "mean-earlier": "gamma<t, mean of squares",
    "mean-all": "gamma all, mean of squares",
    "tuned-ff": "FF, tuned",
    "tuned-earlier": "gamma<t, tuned",
    "tuned-all": "gamma all, tuned",
    "pairs-ff": "FF, tuned, by pairs",
    "pairs-earlier": "gamma<t, tuned, by pairs",
    "pairs-all": "gamma all, tuned, by pairs",
    "alternating": "gamma all, in turn (algorithm 2)",
    "scale-0.7": "gamma all, each times 0.7 (F-CFF)",
    "learned": "gamma all, learned (A-CFF)",
    "entropy": "gamma all, entropy objective (our reading of it)",
    f"pairs-scale-{r.LESS:g}": f"gamma all, tuned, by pairs, each times {r.LESS:g} (F-CFF)",
}


def lines(data: str) -> dict[str, str]:
    """Row -> what it is, in the order of the page."""
    return {f"collab-{data}-{key}".removesuffix("-"): what for key, what in WHAT.items()}


def page(records: Records, figures: Collection[str]) -> str:
    """The table's page; ``figures`` are the names of the pictures that lie in its folder."""
    found = v.verdicts(records)
    answer = next(one.outcome for one in found if one.name == "L5")
    there = any(records.get(row) for data in DATA for row in lines(data))
    none = "" if there else "**No row of this table has been run yet.**\n"
    parts = [HEAD, none, _question(records, answer), verdicts(found), _targets(records)]
    for data in DATA:
        if any(records.get(row) for row in lines(data)):
            parts.append(_errors(records, data, figures))
    parts += [_thresholds(records), _costs(records), rules(found)]
    return "\n".join(part for part in parts if part)


def _question(records: Records, answer: str) -> str:
    """Said first, plainly: the answer, and what it stands on."""
    each = [v.still_helps(records, data, how) for how in r.TUNED for data in DATA]
    told = [f"* {why} – {how}" for how, why in each]
    mixed = {"holds", "does not hold"} <= {how for how, _ in each}
    return (
        "## Does collaboration still help once plain Forward-Forward is tuned as well?\n\n"
        f"**{_MIXED if mixed else _ANSWERS[answer]}**\n\n" + "\n".join(told) + "\n"
    )


_MIXED = "On some data sets or with some losses, and not with others."


_ANSWERS = {
    "holds": "Yes, on every data set, with either loss.",
    "does not hold": "No.",
    "undecided": "Undecided.",
}


def _targets(records: Records) -> str:
    rows = []
    for one in v.targets(records):
        ours = m.spread(one.errors) if one.errors else q.NONE
        told = f"`{one.row}`" if one.row else q.NONE
        rows.append([TITLES[one.data], SETTINGS[one.setting], f"{one.bound:g}", ours, told])
        rows[-1].append(one.outcome)
    head = ["data", "setting", "at most, %", "ours, %", "row", ""]
    return (
        "## Targets\n\nNetwork training. Where no method is named, of the better of gamma<t and "
        "gamma all on validation.\n\n" + table(head, rows)
    )


def _errors(records: Records, data: str, figures: Collection[str]) -> str:
    """The table of a data set beside the reported one, and what each cell adds."""
    there = {row: what for row, what in lines(data).items() if records.get(row)}
    name = data_name(records[next(iter(there))][0])
    rows, more = [], []
    for row, what in there.items():
        known = REPORTED.get(row.removeprefix(f"collab-{data}").removeprefix("-"))
        reported = f"{known[data]:g}" if known else q.NONE
        mine = records[row]
        rows.append([f"`{row}`", what, _spread(v.errors(records, row)), _linear(row, mine)])
        rows[-1] += [reported, seeds(len(mine))]
        if added.first(mine[0], "test"):
            more.append(_added(row, mine))
    head = ["row", "what", "test error, %", "linear readout, %", "reported, %", "seeds"]
    parts = [f"## {TITLES[data]}" + (f" (`{name}`)" if name.endswith("-jpeg") else ""), ""]
    if name.endswith("-jpeg"):
        note = records[next(iter(there))][0]["data"]["note"]
        parts += [f"Data: {note}. Not to be compared with numbers on the original images.", ""]
    parts.append(table(head, rows))
    if more:
        parts += [_MORE, table(_MORE_HEAD, more)]
    for figure, told in (("added", "What each cell adds"), ("entropy", "Functional entropy")):
        if f"{figure}-{data}.svg" in figures:
            parts += [f"![{told}, {name}](collaboration/{figure}-{data}.svg)", ""]
    return "\n".join(parts)


_MORE = f"""\
What each cell adds: errors in percent, means over seeds. A cell that prefers the true label in
fewer than {100 * added.FREE:g} % of pairs rides free. Ent / mean in nats, by kind of row.
"""
_MORE_HEAD = ["row", "each cell alone", "sum of the first 1, 2, ...", "prefers the true label"]
_MORE_HEAD += ["ride free", "Ent / mean, positives", "negatives"]


def _added(row: str, records: Sequence[Record]) -> list[str]:
    free = [f"cell-{cell}" for cell in _often([added.free_riders(one, "test") for one in records])]
    cells = [f"`{row}`"]
    for read in (added.alone, added.first, added.prefers):
        cells.append(", ".join(_means([read(one, "test") for one in records])) or q.NONE)
    cells.append(", ".join(free) or "none")
    for sign in ("positive", "negative"):
        found = [added.entropy(one, "test", sign, "divergence") for one in records]
        known = [value for value in found if value is not None]
        cells.append(f"{statistics.fmean(known):.3g}" if known else q.NONE)
    return cells


def _means(each: Sequence[Sequence[float | None]]) -> list[str]:
    found = []
    for values in zip(*each, strict=False):
        known = [100 * value for value in values if value is not None]
        found.append(f"{statistics.fmean(known):.1f}" if known else q.NONE)
    return found


def _often(each: Sequence[Sequence[int]]) -> list[int]:
    """Cells that are named by more than half of the seeds."""
    named = sorted({cell for cells in each for cell in cells})
    return [cell for cell in named if 2 * sum(cell in cells for cells in each) > len(each)]


def _spread(found: dict[int, float]) -> str:
    return m.spread(list(found.values())) if found else q.NONE


def _linear(row: str, records: Sequence[Record]) -> str:
    found = m.accuracies(records, "linear")
    shown = found and not row.endswith("-bp-label")
    return _spread({seed: 100 - value for seed, value in found.items()}) if shown else q.NONE


def _thresholds(records: Records) -> str:
    """Whether each row stands where its sweep was best."""
    rows = []
    for data in DATA:
        for setting, told in SETTINGS.items():
            for method in METHODS:
                row = r.name(data, setting, method)
                wanted = v.best(records, data, setting, method)
                if not records.get(row) and wanted is None:
                    continue
                used = f"{factor(data, setting, method):g}"
                rows.append([f"`{row}`", TITLES[data], told, v.WORDS[method], used])
                rows[-1].append(q.NONE if wanted is None else f"{wanted:g}")
    if not rows:
        return ""
    head = ["row", "data", "setting", "method", "theta / ones here", "best of the sweep"]
    return "## Thresholds\n\n" + table(head, rows)


def _costs(records: Records) -> str:
    rows = []
    for data in DATA:
        for row in lines(data):
            if found := records.get(row):
                passes = m.cost(found, "data_passes")
                rows.append([f"`{row}`", str(found[0]["epochs"])])
                rows[-1] += [m.spread(m.cost(found, "train_seconds"), 0)]
                rows[-1] += [f"{statistics.fmean(passes):.4g}" if passes else q.NONE]
    if not rows:
        return ""
    head = ["row", "epochs, over all stages", "training, s", "data passes"]
    return (
        "## Time and passes\n\nGreedy rows have as many epochs for each cell as the others have "
        "for all of them together.\nMachines may have had other work beside.\n\n"
        + table(head, rows)
    )


PICTURES = {
    "theta": "Error against theta",
    "sums": "What each cell adds",
    "sums-mean": "What each cell adds, mean of squares",
}


def sweep_page(records: Records, figures: Collection[str]) -> str:
    """The page of the sweep of thresholds."""
    parts = [SWEEP]
    for data in DATA:
        for setting, told in SETTINGS.items():
            rows = []
            for method in METHODS:
                found = v.tried(records, data, setting, method)
                if found:
                    rows.append([v.WORDS[method], *_row(found)])
            if rows:
                head = ["method", *(f"{times:g}" for times in r.TIMES)]
                parts += [f"## {TITLES[data]}, {told}\n", table(head, rows)]
        for figure, told in PICTURES.items():
            if f"{figure}-{data}.svg" in figures:
                parts.append(f"![{told}, {TITLES[data]}](theta/{figure}-{data}.svg)\n")
    return "\n".join(parts)


def _row(found: dict[float, list[float]]) -> list[str]:
    least = min(found, key=lambda times: statistics.fmean(found[times]))
    told = {times: m.spread(each) for times, each in found.items()}
    told[least] = f"**{told[least]}**"
    if least in (min(found), max(found)):
        told[least] += ", at the edge"
    return [told.get(times, q.NONE) for times in r.TIMES]
