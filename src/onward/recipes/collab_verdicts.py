"""What the records of the tables of layer collaboration say of the paper's claims, and of targets.

Errors are of the test set, every label tried, in percent; a threshold is chosen on validation data.
Claims of the paper are judged twice, for its text was not at hand: with the sum of squares as
goodness (L) and with the mean (M). L5 is the question of the page: does collaboration still help
once plain Forward-Forward is tuned as well?
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..record import Record
from ..report import added
from ..report import measures as m
from ..report import quantities as q
from . import collab_rows as r
from .collab import DATA, METHODS, REPORTED, factor
from .tables import Records
from .verdicts import Judged, Outcome, Verdict, data_name, outcome, seeds, together, unlike

BETTER = "better"
"""Whichever collaborative method is better on validation."""

TARGETS: dict[tuple[str, str], dict[str, float]] = {
    ("theirs", "mnist"): {"all": 2.1, "earlier": 2.2},
    ("theirs", "fashion"): {BETTER: 11.6},
    ("theirs", "cifar10"): {BETTER: 52.0},
    ("tuned", "mnist"): {BETTER: 1.5},
    ("tuned", "fashion"): {BETTER: 11.0},
    ("tuned", "cifar10"): {BETTER: 50.0},
}
SAME = {"mean": "theirs", "pairs": "tuned"}
"""Settings with the bounds of another."""

TARGETS |= {(new, data): TARGETS[old, data] for new, old in SAME.items() for data in DATA}
"""Setting and data -> by method the test error that it is to reach, network training."""

BAND = 0.5
"""Points around the reported errors on MNIST, within which ours are said to be the same."""

COLLABORATIVE = ("earlier", "all")
WORDS = {"ff": "plain FF", "earlier": "gamma<t", "all": "gamma all"}


@dataclass(frozen=True)
class Target:
    """A bound, what a method reaches, and whether that is enough.

    ``chosen`` says whether its threshold is the sweep's best: at another one nothing is missed yet.
    """

    data: str
    setting: str
    bound: float
    row: str
    errors: tuple[float, ...]
    chosen: bool

    @property
    def outcome(self) -> str:
        """In a word; with fewer than three seeds only how it looks."""
        if not self.errors:
            return "no records"
        met = statistics.fmean(self.errors) <= self.bound
        if len(self.errors) < m.SEEDS or not (met or self.chosen):
            return f"{'met' if met else 'missed'} so far"
        return "met" if met else "missed"


def targets(records: Records) -> list[Target]:
    """All of them, by setting."""
    found = []
    for (setting, data), bounds in TARGETS.items():
        for method, bound in bounds.items():
            better_one = method == BETTER
            methods = COLLABORATIVE if better_one else (method,)
            row = better(records, data, setting) if better_one else r.name(data, setting, method)
            each = tuple(errors(records, row).values()) if row else ()
            chosen = not untuned(records, data, setting, methods)
            found.append(Target(data, setting, bound, row or "", each, chosen))
    return found


def errors(records: Records, row: str) -> dict[int, float]:
    """Test error by seed, in percent, every label tried; of backprop its readout's."""
    found = records.get(row, ())
    name = "linear" if row.endswith("-bp-label") else "goodness"
    return {seed: 100 - accuracy for seed, accuracy in m.accuracies(found, name).items()}


def validation(record: Record) -> float | None:
    """Validation error, every label tried, in percent; of a run that diverged, that of a guess."""
    if record["status"] == "diverged":
        return 100 * (1 - 1 / int(record["data"]["classes"]))
    value = q.number((record["validation_error"] or {}).get("goodness"))
    return None if value is None else 100 * value


def better(records: Records, data: str, setting: str) -> str | None:
    """The row of the collaborative method that is better on validation, of those with records."""
    means = {}
    for method in COLLABORATIVE:
        row = r.name(data, setting, method)
        known = [v for one in records.get(row, ()) if (v := validation(one)) is not None]
        if known:
            means[row] = statistics.fmean(known)
    return min(means, key=means.__getitem__) if means else None


def tried(records: Records, data: str, setting: str, method: str) -> dict[float, list[float]]:
    """Validation errors by threshold, over that of a cell of ones, where it has records."""
    found = {}
    for times in r.TIMES:
        rows = records.get(r.trial(data, setting, method, times), ())
        known = [v for one in rows if (v := validation(one)) is not None]
        if known:
            found[times] = known
    return found


def best(records: Records, data: str, setting: str, method: str) -> float | None:
    """The threshold with the lowest mean validation error; None unless all of them were tried."""
    found = tried(records, data, setting, method)
    if len(found) < len(r.TIMES):
        return None
    return min(found, key=lambda times: statistics.fmean(found[times]))


def untuned(records: Records, data: str, setting: str, methods: Sequence[str]) -> str:
    """Which of these methods' rows do not stand at the threshold that was best, or nothing."""
    told = []
    for method in methods:
        wanted = best(records, data, setting, method)
        used = factor(data, setting, method)
        if wanted is None:
            told.append(f"no whole sweep of {WORDS[method]}")
        elif wanted != used:
            told.append(f"{WORDS[method]} ran at {used:g}, the sweep's best is {wanted:g}")
    return "; ".join(told)


def verdicts(records: Records) -> list[Verdict]:
    """L1 to L6, in this order, then those of the paper again as M."""
    claims = (l1, l2, l3, l4, l6)
    ours, others = ([claim(records, reading) for claim in claims] for reading in r.READINGS)
    return [*ours[:4], l5(records), *ours[4:], *others]


LETTERS = dict(zip(r.READINGS, "LM", strict=True))
GOODNESS = {"theirs": "their setting", "mean": "their setting, goodness a mean of squares"}


def l1(records: Records, reading: str = "theirs") -> Verdict:
    """In their setting both collaborations are more accurate than plain FF."""
    judged = []
    for data in DATA:
        for method in COLLABORATIVE:
            ours, plain = r.name(data, reading, method), r.name(data, reading, "ff")
            one = _lower(records, ours, plain, data)
            judged.append(_if_chosen(records, (data, reading), ("ff", method), one))
    return Verdict(
        f"{LETTERS[reading]}1",
        f"In {GOODNESS[reading]}, gamma<t and gamma all are more accurate than plain "
        "Forward-Forward.",
        f"Network training. Mean test error of plain FF minus that of each collaboration: holds "
        f"where all are far above 0, does not hold where one is far below. {WAITS}",
        *together(judged),
    )


def l2(records: Records, reading: str = "theirs") -> Verdict:
    """Later cells hurt plain FF and help gamma all."""
    judged: list[Judged] = []
    for data in DATA:
        hurt = _steps(records, r.name(data, reading, "ff"))
        helped = _steps(records, r.name(data, reading, "all"))
        one = _signs(f"{_called(records, data)}, plain FF", hurt, -1)
        other = _signs(f"{_called(records, data)}, gamma all", helped, 1)
        judged.append(_if_chosen(records, (data, reading), ("ff",), one))
        judged.append(_if_chosen(records, (data, reading), ("all",), other))
    return Verdict(
        f"{LETTERS[reading]}2",
        "In plain Forward-Forward every cell after the first makes the summed goodness worse; with "
        "gamma all every one makes it better.",
        f"Network training, {GOODNESS[reading]}. What a cell takes off the test error of the "
        "running sum, mean over seeds: far below 0 for every later cell of plain FF, far above 0 "
        "for every later cell of gamma all; does not hold where one is far on the other side. "
        f"{WAITS}",
        *together(judged),
    )


def l3(records: Records, reading: str = "theirs") -> Verdict:
    """Functional entropy is higher with collaboration."""
    judged: list[Judged] = []
    for data in DATA:
        for method in COLLABORATIVE:
            row, plain = r.name(data, reading, method), r.name(data, reading, "ff")
            name = f"{_called(records, data)}, {WORDS[method]} minus plain FF"
            gap = m.gap(_divergence(records, row), _divergence(records, plain))
            if (why := unlike(records, row, plain)) or gap is None:
                judged.append(("undecided", f"{name}: {why or 'no entropy'}"))
            else:
                told = f"{name}: {m.signed(gap, 3)} nats ({seeds(gap.seeds)})"
                one = outcome(gap.sign), told
                judged.append(_if_chosen(records, (data, reading), ("ff", method), one))
    return Verdict(
        f"{LETTERS[reading]}3",
        "Collaboration raises the functional entropy of the goodness of positives.",
        f"Network training, {GOODNESS[reading]}, test set. Ent / mean, which a louder net does "
        "not win: mean of each collaboration minus that of plain FF; holds where all are far "
        f"above 0. {WAITS}",
        *together(judged),
    )


def l4(records: Records, reading: str = "theirs") -> Verdict:
    """Collaboration is less sensitive to theta."""
    judged: list[Judged] = []
    for data in DATA:
        for method in COLLABORATIVE:
            name = f"{_called(records, data)}, plain FF minus {WORDS[method]}"
            gap = m.gap(
                _range(records, data, reading, "ff"), _range(records, data, reading, method)
            )
            if gap is None:
                judged.append(("undecided", f"{name}: no whole sweep"))
            else:
                told = f"{name}: {m.signed(gap)} points ({seeds(gap.seeds)})"
                judged.append((outcome(gap.sign), told))
    return Verdict(
        f"{LETTERS[reading]}4",
        "Collaboration needs an exact threshold less than plain Forward-Forward does.",
        f"Sweep of theta over {r.TIMES[0]:g} to {r.TIMES[-1]:g} times that of a cell of ones, "
        f"{GOODNESS[reading]}. "
        "Largest minus smallest validation error, by seed: holds where that of plain FF is far "
        "above that of each collaboration.",
        *together(judged),
    )


def l5(records: Records) -> Verdict:
    """Collaboration still helps once plain FF is tuned as well."""
    return Verdict(
        "L5",
        "Collaboration still helps once plain Forward-Forward is tuned as well.",
        "Every method at its own best threshold or margin, hard negatives, cooldown; with the "
        "logistic, and by pairs. Mean test error of plain FF minus that of the collaboration that "
        "is better on validation: holds where it is far above 0 on every data set, does not hold "
        "where it is far below, or within one standard error of 0, on one; undecided while a row "
        "does not stand at its sweep's best.",
        *together([still_helps(records, data, how) for how in r.TUNED for data in DATA]),
    )


def l6(records: Records, reading: str = "theirs") -> Verdict:
    """On MNIST the reported numbers come out, in their order."""
    judged: list[Judged] = []
    means = {}
    for method, row in (("ff", "ff-network"), ("earlier", "earlier-network"), ("all", "")):
        found, told = errors(records, r.name("mnist", reading, method)), REPORTED[row]["mnist"]
        name = f"{WORDS[method]}, reported {told:g}"
        if len(found) < m.SEEDS:
            judged.append(("undecided", f"{name}: {seeds(len(found))}"))
            continue
        means[method] = statistics.fmean(found.values())
        near: Outcome = "holds" if abs(means[method] - told) <= BAND else "does not hold"
        said = near, f"{name}: {means[method]:.2f} ({seeds(len(found))})"
        judged.append(_if_chosen(records, ("mnist", reading), (method,), said))
    if len(means) == len(METHODS):
        order: Outcome = "does not hold"
        if means["ff"] > means["earlier"] > means["all"]:
            order = "holds"
        said = order, "plain FF above gamma<t above gamma all"
        judged.append(_if_chosen(records, ("mnist", reading), tuple(METHODS), said))
    return Verdict(
        f"{LETTERS[reading]}6",
        f"On MNIST, in {GOODNESS[reading]}, the reported errors come out, and in their order.",
        f"Network training, mean test errors: each within {BAND:g} points of the reported one, and "
        f"plain FF worst, gamma all best. {WAITS}",
        *together(judged),
    )


def still_helps(records: Records, data: str, setting: str = "tuned") -> Judged:
    """L5 on one data set, in a setting in which plain Forward-Forward is tuned."""
    ours, plain = better(records, data, setting), r.name(data, setting, "ff")
    name = _called(records, data)
    if ours is None:
        return "undecided", f"{name}, {setting}: no records of a collaboration"
    judged, told = _lower(records, ours, plain, data)
    if why := untuned(records, data, setting, tuple(METHODS)):
        return "undecided", f"{told}; {why}"
    gap = m.gap(errors(records, plain), errors(records, ours))
    if gap is not None and gap.sign == 0 and abs(gap.mean) <= (gap.error or 0.0):
        return "does not hold", told
    return judged, told


WAITS = "Undecided while a row does not stand at its sweep's best threshold."


def _if_chosen(
    records: Records, where: tuple[str, str], methods: Sequence[str], judged: Judged
) -> Judged:
    """What was judged on data in a setting, if each method stands at the threshold best for it."""
    why = untuned(records, *where, methods)
    return ("undecided", f"{judged[1]}; {why}") if why else judged


def _lower(records: Records, ours: str, theirs: str, data: str) -> Judged:
    """Whether one row's error is lower than another's."""
    name = f"{_called(records, data)}, {theirs} minus {ours}"
    if why := unlike(records, ours, theirs):
        return "undecided", f"{name}: {why}"
    gap = m.gap(errors(records, theirs), errors(records, ours))
    if gap is None:
        return "undecided", f"{name}: no errors"
    return outcome(gap.sign), f"{name}: {m.signed(gap)} ({seeds(gap.seeds)})"


def _steps(records: Records, row: str) -> list[m.Gap]:
    """What each later cell takes off the error of the running sum, in points, over seeds."""
    sums = [added.first(one, "test") for one in records.get(row, ())]
    whole = [[100 * v for v in each if v is not None] for each in sums]
    whole = [each for each in whole if len(each) > 1]
    count = min((len(each) for each in whole), default=1)
    found = [m.of_pairs([each[j] - each[j + 1] for each in whole]) for j in range(count - 1)]
    return [gap for gap in found if gap is not None]


def _signs(name: str, gaps: Sequence[m.Gap], wanted: int) -> Judged:
    if not gaps:
        return "undecided", f"{name}: no running sums"
    told = f"{name}: {', '.join(m.signed(gap) for gap in gaps)} ({seeds(gaps[0].seeds)})"
    signs = [gap.sign for gap in gaps]
    if any(sign == -wanted for sign in signs):
        return "does not hold", told
    verdict: Outcome = "holds" if all(sign == wanted for sign in signs) else "undecided"
    return verdict, told


def _divergence(records: Records, row: str) -> dict[int, float]:
    """Ent / mean of positives, by seed, in nats."""
    found = {}
    for one in records.get(row, ()):
        value = added.entropy(one, "test", "positive", "divergence")
        if value is not None:
            found[int(one["seed"])] = value
    return found


def _range(records: Records, data: str, setting: str, method: str) -> dict[int, float]:
    """Largest minus smallest validation error over a whole sweep, by seed."""
    found: dict[int, list[float]] = {}
    for times in r.TIMES:
        for one in records.get(r.trial(data, setting, method, times), ()):
            if (value := validation(one)) is not None:
                found.setdefault(int(one["seed"]), []).append(value)
    return {s: max(each) - min(each) for s, each in found.items() if len(each) == len(r.TIMES)}


def _called(records: Records, data: str) -> str:
    """A data set's name as its records have it."""
    of_it = (one for row, found in records.items() if data in row.split("-") for one in found)
    record = next(of_it, None)
    return data if record is None else data_name(record)
