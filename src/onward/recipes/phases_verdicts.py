"""What the records of the table of phases say of what was claimed of them.

Accuracies are of the test set, last epoch, in percent: every label tried where labels are in the
image, the linear readout where the next symbol is predicted.
"""

import statistics

from ..report import measures as m
from . import phases_rows as r
from .tables import Records
from .verdicts import Judged, Outcome, Verdict, outcome, seeds, together, unlike

LABELLED = ("mnist", "fashion")
"""Studies with wrong labels."""

CHANCE = 10.0
NEAR = 10.0
"""Points above chance within which an accuracy is called near it: a rule of ours."""


def readout(study: str) -> str:
    """What a study is judged by."""
    return "goodness" if study in LABELLED else "linear"


def verdicts(records: Records) -> list[Verdict]:
    """Each claim over the studies."""
    return [
        _over(
            *("S1", "Separated phases lose to mixed ones, at a length of 1 and at one of 128."),
            "Mixed minus separated, at both lengths, in every study.",
            [
                _above(records, r.name(study, None), r.name(study, length), readout(study))
                for study in r.STUDIES
                for length in (1, 128)
            ],
        ),
        _over(
            *("S2", "Accuracy falls with the phase length."),
            "Length 1 minus length 128, in every study.",
            [
                _above(records, r.name(study, 1), r.name(study, 128), readout(study))
                for study in r.STUDIES
            ],
        ),
        _over(
            *("S3", "With wrong labels it is near chance from phases of 32 on."),
            f"The mean over seeds is at most {CHANCE + NEAR:g} %, at 32, 64 and 128.",
            [
                _near_chance(records, r.name(study, length))
                for study in LABELLED
                for length in (32, 64, 128)
            ],
        ),
        _over(
            *("S4", "A very low learning rate with a very high momentum brings long phases back."),
            "At a length of 128, slow minus usual, in every study.",
            [
                _above(records, r.name(study, 128, slow=True), r.name(study, 128), readout(study))
                for study in r.STUDIES
            ],
        ),
        _over(
            *("S5", "Cells that learned in long phases serve a linear readout better than frozen."),
            "At a length of 128, the linear readout, separated minus frozen, in every study.",
            [_above(records, r.name(study, 128), r.frozen(study), "linear") for study in r.STUDIES],
        ),
    ]


def _over(name: str, claim: str, rule: str, judged: list[Judged]) -> Verdict:
    found, numbers = together(judged)
    return Verdict(name, claim, rule, found, numbers)


def _above(records: Records, one: str, other: str, by: str) -> Judged:
    if why := unlike(records, one, other):
        return "undecided", f"`{one}` and `{other}`: {why}"
    gap = m.gap(m.accuracies(records[one], by), m.accuracies(records[other], by))
    if gap is None:
        return "undecided", f"`{one}` and `{other}`: no such readout"
    told = f"`{one}` minus `{other}`: {m.signed(gap)} points ({seeds(gap.seeds)})"
    return outcome(gap.sign), told


def _near_chance(records: Records, row: str) -> Judged:
    found = list(m.accuracies(records.get(row, ()), "goodness").values())
    if not found:
        return "undecided", f"no records of {row}"
    near = statistics.fmean(found) <= CHANCE + NEAR
    decided: Outcome = "undecided"
    if len(found) >= m.SEEDS:
        decided = "holds" if near else "does not hold"
    return decided, f"`{row}`: {m.spread(found)} % ({seeds(len(found))})"
