"""Whether orderings C1 to C5 of Unsupervised Forward-Forward hold in the records there are.

The paper's numbers are not known, so what can be held against it are orderings (digest UFF, section
5.1). Each verdict is a pure function of the records, by row; its rule stands in words beside it.
Nothing is decided on fewer than three seeds, on other numbers of epochs (but that a row is ahead
with fewer of them), or, for times, on other machines.

"Far" is more than three standard errors of a difference.
"""

import math
import statistics
from collections.abc import Callable, Sequence

from ..report import measures as m
from .tables import Records
from .verdicts import (
    Judged,
    Outcome,
    Verdict,
    data_name,
    handicapped,
    outcome,
    seeds,
    together,
    unlike,
)

SETS = ("mnist", "cifar10")
"""The paper's data sets; Fashion-MNIST is beside them in the tables, and in no verdict."""

CELLS = ("ae", "dae", "cae", "gan")
SMALL = 1.0
"""Points of accuracy up to which two regimes agree (digest UFF, T10)."""

LARGE = 3.0
"""Points of accuracy from which a lead is large."""

ERRATIC = 3.0
"""How many times another's standard deviation over seeds is erratic."""


def control(cell: str, data: str) -> str:
    """The row of the control of a kind of cell: the cells frozen as drawn.

    Of dense cells with plain ReLUs, the stronger control: normed ReLUs, which trained dense rows
    have, are weaker as drawn.
    """
    return f"uff-cae-{data}-frozen" if cell == "cae" else f"uff-ae-{data}-frozen-relu"


def verdicts(records: Records) -> list[Verdict]:
    """C1 to C5, in this order."""
    judges: tuple[Callable[[Records], Verdict], ...] = (c1, c2, c3, c4, c5)
    return [judge(records) for judge in judges]


def c1(records: Records) -> Verdict:
    """Backprop through the convolutional net is more accurate than its cells trained alone."""
    judged = [
        ordering(records, f"uff-cae-{data}-backprop", f"uff-cae-{data}", data) for data in SETS
    ]
    return Verdict(
        "C1",
        "Backprop through the convolutional net is more accurate than the same net as CAE cells, "
        "on both data sets.",
        "Mean test accuracy of `uff-cae-DATA-backprop` minus that of `uff-cae-DATA`: holds where "
        "it is far above 0 on both data sets, does not hold where it is far below 0 on one.",
        *together(judged),
    )


def c2(records: Records) -> Verdict:
    """CAE cells are the best of the four kinds, by a large lead on CIFAR-10."""
    judged: list[Judged] = []
    for data in SETS:
        judged += [
            ordering(records, f"uff-cae-{data}", f"uff-{other}-{data}", data)
            for other in CELLS
            if other != "cae"
        ]
    judged.append(_lead(records))
    return Verdict(
        "C2",
        "CAE cells are the best of the four kinds; on CIFAR-10 by a large lead.",
        "Simultaneous regime. Mean test accuracy of `uff-cae-DATA` minus that of each other kind: "
        "holds where all are far above 0 on both data sets and the lead over the best other kind "
        f"on CIFAR-10 is at least {LARGE:g} points; does not hold where one is far below 0, or the "
        f"lead is far below {LARGE:g} points.",
        *together(judged),
    )


def _lead(records: Records) -> Judged:
    ours = _accuracy(records, "uff-cae-cifar10")
    others = {
        row: found
        for cell in CELLS
        if cell != "cae" and (found := _accuracy(records, row := f"uff-{cell}-cifar10"))
    }
    if not ours or len(others) < len(CELLS) - 1:
        return "undecided", f"lead on {_name(records, 'cifar10')}: not all four kinds have records"
    best = max(others, key=lambda row: statistics.fmean(others[row].values()))
    why = unlike(records, "uff-cae-cifar10", best)
    ahead = handicapped(records, "uff-cae-cifar10", best)
    if why and not ahead:
        return "undecided", f"lead over {best}: {why}"
    gap = m.gap(ours, others[best])
    assert gap is not None
    told = f"lead over the best other kind, {best}: {m.signed(gap)} ({seeds(gap.seeds)})"
    beyond = m.Gap(gap.mean - LARGE, gap.error, gap.seeds).sign
    if gap.seeds < m.SEEDS:
        return "undecided", told
    if gap.mean >= LARGE:
        return "holds", told
    if ahead:
        return "undecided", f"{told}, {why}"
    return ("does not hold" if beyond == -1 else "undecided"), told


def c3(records: Records) -> Verdict:
    """Separate training agrees with simultaneous for UFF, and less so for FF."""
    judged: list[Judged] = []
    for data in SETS:
        judged += _regimes(records, data)
    return Verdict(
        "C3",
        "Separate minus simultaneous accuracy is small for UFF, larger or erratic for FF.",
        "Differences of test accuracy by seed. Holds where, on both data sets, every kind of cell "
        f"has a mean difference within {SMALL:g} point even with three standard errors added, and "
        "FF's mean difference is in size far above the largest of these, or its standard deviation "
        f"over seeds more than {ERRATIC:g} times the largest of theirs. Does not hold where one "
        f"kind's is far beyond {SMALL:g} point, or where FF's is in size far below the largest of "
        "the cells' and no more spread.",
        *together(judged),
    )


def _regimes(records: Records, data: str) -> list[Judged]:
    judged: list[Judged] = []
    cells: list[tuple[m.Gap, float]] = []
    for cell in CELLS:
        row = f"uff-{cell}-{data}"
        differences, why = _differences(records, row, f"{row}-separate", None)
        judged.append(_small(f"{_name(records, data)}, {cell}", differences, why))
        if (found := m.of_pairs(differences)) is not None and found.seeds >= m.SEEDS:
            cells.append((found, statistics.stdev(differences)))
    simultaneous, greedy = f"ff-{data}-simultaneous", f"ff-{data}-greedy"
    readout = ff_readout(records, data)
    differences, why = _differences(records, simultaneous, greedy, readout)
    found = m.of_pairs(differences)
    told = f"{_name(records, data)}, FF: {m.signed(found)} ({seeds(len(differences))})"
    if why or found is None or found.seeds < m.SEEDS or len(cells) < len(CELLS):
        reason = why or "too few seeds, of FF or of a kind of cell"
        return [*judged, ("undecided", f"{told}: {reason}")]
    far, _ = max(cells, key=lambda one: abs(one[0].mean))
    restless, own = max(spread for _, spread in cells), statistics.stdev(differences)
    bound = m.FAR * math.hypot(found.error or 0.0, far.error or 0.0)
    more = abs(found.mean) - abs(far.mean)
    told += f", deviation {own:.2f} over seeds; the cells' largest: {abs(far.mean):.2f} in size, "
    told += f"deviation {restless:.2f}"
    if more > bound or own > ERRATIC * restless:
        return [*judged, ("holds", told)]
    return [*judged, ("does not hold" if more < -bound and own <= restless else "undecided", told)]


def _small(name: str, differences: Sequence[float], why: str) -> Judged:
    found = m.of_pairs(differences)
    told = f"{name}: {m.signed(found)} ({seeds(len(differences))})"
    if why or found is None or found.error is None or found.seeds < m.SEEDS:
        return "undecided", f"{told}: {why}" if why else told
    size, room = abs(found.mean), m.FAR * found.error
    outcome: Outcome = "undecided"
    if size + room <= SMALL:
        outcome = "holds"
    elif size - room > SMALL:
        outcome = "does not hold"
    return outcome, told


def c4(records: Records) -> Verdict:
    """UFF takes longer than backprop on the same net, at equal epochs."""
    judged = []
    for data in SETS:
        for cell in CELLS:
            twin = "cae" if cell == "cae" else "ae"
            judged.append(_longer(records, f"uff-{cell}-{data}", f"uff-{twin}-{data}-backprop"))
    return Verdict(
        "C4",
        "UFF takes longer than backprop at equal epochs.",
        "Training seconds (readout included, evaluation not), simultaneous regime, minus those of "
        "backprop through the same encoders and readout, as many epochs, on the same machine with "
        "as many threads: holds where the means are far above 0 for all kinds of cell on both data "
        "sets, does not hold where one is far below 0.",
        *together(judged),
    )


def _longer(records: Records, ours: str, theirs: str) -> Judged:
    mine, yours = records.get(ours, ()), records.get(theirs, ())
    if why := unlike(records, ours, theirs):
        return "undecided", f"{ours}: {why}"
    if len({m.machine_of(record) for record in (*mine, *yours)}) > 1:
        return "undecided", f"{ours}: not all on the same machine as {theirs}"
    a, b = m.cost(mine, "train_seconds"), m.cost(yours, "train_seconds")
    gap = m.gap(dict(enumerate(a)), dict(enumerate(b)))
    if gap is None:
        return "undecided", f"{ours}: no times"
    told = f"{ours}: {m.spread(a, 0)} s, backprop {m.spread(b, 0)} s ({seeds(gap.seeds)})"
    return outcome(gap.sign), told


def c5(records: Records) -> Verdict:
    """CAE cells are more accurate than Forward-Forward on CIFAR-10."""
    judged = ordering(
        records,
        "uff-cae-cifar10",
        "ff-cifar10-simultaneous",
        "cifar10",
        theirs=ff_readout(records, "cifar10"),
    )
    return Verdict(
        "C5",
        "CAE cells are more accurate than supervised Forward-Forward on CIFAR-10.",
        "Mean test accuracy of `uff-cae-cifar10` minus that of `ff-cifar10-simultaneous` (by its "
        "readout that is better on validation): holds where it is far above 0, does not hold where "
        "it is far below.",
        *together([judged]),
    )


def ordering(
    records: Records, higher: str, lower: str, data: str, theirs: str | None = None
) -> Judged:
    """Whether one row is more accurate than another. ``theirs`` is the other's readout."""
    name = f"{_name(records, data)}, {higher} minus {lower}"
    why = unlike(records, higher, lower)
    ahead = handicapped(records, higher, lower)
    if why and not ahead:
        return "undecided", f"{name}: {why}"
    gap = m.gap(_accuracy(records, higher), _accuracy(records, lower, theirs))
    if gap is None:
        return "undecided", f"{name}: no accuracy"
    told = f"{name}: {m.signed(gap)} ({seeds(gap.seeds)})"
    if ahead:
        return ("holds" if gap.sign == 1 else "undecided"), f"{told}, {why}"
    return outcome(gap.sign), told


def ff_readout(records: Records, data: str) -> str | None:
    """Forward-Forward's readout: the one that is better on validation over both regimes."""
    both = [*records.get(f"ff-{data}-simultaneous", ()), *records.get(f"ff-{data}-greedy", ())]
    return m.readout_of(both)


def _name(records: Records, data: str) -> str:
    """A data set's name as its records have it."""
    of_it = (one for row, found in records.items() if data in row.split("-") for one in found)
    record = next(of_it, None)
    return data if record is None else data_name(record)


def _accuracy(records: Records, row: str, readout: str | None = None) -> dict[int, float]:
    return m.accuracies(records.get(row, ()), readout)


def _differences(
    records: Records, simultaneous: str, separate: str, readout: str | None
) -> tuple[list[float], str]:
    """Separate minus simultaneous, by seed, and why they can't be held against each other."""
    a, b = (_accuracy(records, row, readout) for row in (separate, simultaneous))
    return m.paired(a, b), unlike(records, simultaneous, separate)
