"""What the records of the table of phases say, as a page in Markdown."""

import statistics
from collections.abc import Collection, Sequence

from ..record import Record
from ..report import measures as m
from ..report import quantities as q
from ..report.records import mapping
from . import phases_rows as r
from . import phases_verdicts as v
from .pages import rules, table, verdicts
from .tables import Records
from .verdicts import seeds

HEAD = """\
# Positives and negatives, mixed or separated in time

Written by `onward table phases` from the records under `results/`; don't edit it. A draft of Hinton
2022 (arXiv:2212.13345) reported that Forward-Forward learns about as well where positives and
negatives have phases of their own ("sleep"); the published version takes that back: it could not be
reproduced, and long phases work with a very low learning rate and a very high momentum only
(second-hand). What is done here: [docs/sequences.md](../docs/sequences.md).

Test accuracy of the last epoch in percent, mean ± standard deviation over seeds; nothing was chosen
on the test set. *Every label*: the label with the largest goodness. *Linear*: a readout that learns
along at every update, on all cells but the first. Phases count updates: n on positives alone, then
n on negatives alone. A run ends wherever its epochs do, in either phase. *Slow* is a hundredth of
the learning rate, a momentum of 0.999 for 0.9, and the same decay a step. At as many epochs,
separated phases show the cells each sample as a positive or as a negative, mixed ones as both.
"Far" is beyond three standard errors, and on fewer than three seeds nothing is decided.
"""

TITLES = {
    "mnist": "MNIST, wrong labels",
    "fashion": "Fashion-MNIST, wrong labels",
    "aesop": "Aesop's fables, predicted negatives",
    "aesop-rollout": "Aesop's fables, negatives from roll-outs",
}

REPORTED: dict[str, dict[int | None, float]] = {
    "mnist": {
        **{None: 97.7, 1: 89, 2: 88, 4: 81, 8: 63},
        **{16: 35, 32: 11, 64: 10, 128: 9},
    },
    "fashion": {
        **{None: 88.7, 1: 73, 2: 63, 4: 59, 8: 54},
        **{16: 20, 32: 14, 64: 10, 128: 10},
    },
}
"""Accuracies of Lica and Dinucu-Jianu, ICLR 2023 Tiny Papers: another net, and other settings."""


def page(records: Records, figures: Collection[str]) -> str:
    """The table's page; ``figures`` are the names of the pictures that lie in its folder."""
    found = v.verdicts(records)
    parts = [HEAD, verdicts(found)]
    for study, title in TITLES.items():
        if any(records.get(row.name) for row in r.rows(study)):
            parts.append(_study(records, study, title, figures))
    return "\n".join([*parts, _costs(records), rules(found)])


def _study(records: Records, study: str, title: str, figures: Collection[str]) -> str:
    labelled, known = study in v.LABELLED, REPORTED.get(study, {})
    head = ["phases"]
    head += ["every label, %"] if labelled else []
    head += ["linear, %"]
    head += ["reported, %"] if known else []
    head += [] if labelled else ["bits a character"]
    head += ["seeds"]
    lines: list[tuple[str, str, int | str | None]] = [("frozen as drawn", r.frozen(study), "")]
    lines += [("mixed", r.name(study, None), None)]
    lines += [(str(n), r.name(study, n), n) for n in r.LENGTHS]
    for n in r.SLOW:
        lines.append((f"{n or 'mixed'}, slow", r.name(study, n, slow=True), ""))
    rows = []
    for told, row, key in lines:
        if not (mine := records.get(row)):
            continue
        cells = [told]
        cells += [_spread(mine, "goodness")] if labelled else []
        cells += [_spread(mine, "linear")]
        if known:
            cells += [f"{known[key]:g}" if key != "" and key in known else q.NONE]
        cells += [] if labelled else [m.spread(bits(mine))]
        rows.append([*cells, seeds(len(mine))])
    about = next(records[row.name][0] for row in r.rows(study) if records.get(row.name))
    settings = about["settings"]
    parts = [
        f"## {title}",
        "",
        f"{settings['cells']} cells of {settings['width']} units, {settings['epochs']} epochs of "
        f"{about['data']['train']:,} samples, batches of {settings['batch']}.",
    ]
    if known:
        parts[-1] += (
            " *Reported* are accuracies of Lica and Dinucu-Jianu 2023 with another net and other "
            "settings."
        )
    if not labelled:
        parts += ["", _counting(about)]
    parts += ["", table(head, rows)]
    if f"{study}.svg" in figures:
        parts += [f"![Accuracy against phase length, {title}](phases/{study}.svg)", ""]
    return "\n".join(parts)


def bits(records: Sequence[Record]) -> list[float]:
    """Bits a character of the test text, by record that tells them."""
    tests = [mapping(mapping(record, "text"), "test") for record in records]
    found = [q.number(mapping(test, "linear").get("bits")) for test in tests]
    return [number for number in found if number is not None]


def _counting(record: Record) -> str:
    """What n-grams counted on the same training text reach."""
    grams = mapping(mapping(record, "text"), "test").get("ngrams") or []
    told = [
        f"n = {gram['n']}: {100 * gram['accuracy']:.2f} %, {gram['bits']:.2f} bits"
        for gram in grams
    ]
    return f"Counted n-grams of the same training text: {'; '.join(told)}." if told else ""


def _spread(records: Sequence[Record], by: str) -> str:
    found = list(m.accuracies(records, by).values())
    return m.spread(found) if found else q.NONE


def _costs(records: Records) -> str:
    rows = []
    for study in r.STUDIES:
        for row in r.rows(study):
            if mine := records.get(row.name):
                passes = m.cost(mine, "data_passes")
                rows.append([f"`{row.name}`", m.spread(m.cost(mine, "train_seconds"), 0)])
                rows[-1] += [f"{statistics.fmean(passes):.4g}" if passes else q.NONE]
    head = ["row", "training, s", "data passes"]
    return (
        "## Time and passes\n\nMachines may have had other work beside; mixed rows with labels are "
        "in closed form, separated ones by autograd.\n\n" + table(head, rows)
    )
