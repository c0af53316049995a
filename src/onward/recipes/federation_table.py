"""The table of federations: cells across ten data owners, the less alike the harder.

Every client has as many epochs as the central run, in rounds of one; progressive rows, whose cells
learn one after another, in half as many rounds of two, so that each sends half of the bytes. Cells
of Unsupervised Forward-Forward learn without labels, and their readout last, by federation.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..record import Record
from ..report import measures as m
from .drawing import drawing, svg
from .pages import table as markdown
from .tables import Records, Row, Table
from .uff import BACKPROP, CONV_BACKPROP

DATA = {"mnist": "mnist", "fashion": "fashion_mnist"}
CLIENTS, EPOCHS = 10, 10

METHODS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "ff": ("Forward-Forward", "ff-mnist", {}, {}),
    "dae": ("denoising cells", "uff-dae-{}", {}, {"head": "last"}),
    "dae-progressive": (
        *("denoising cells, progressive", "uff-dae-{}"),
        *({"regime": "separate"}, {"rounds": EPOCHS // 2}),
    ),
    "backprop": ("backprop, the same encoders", "uff-ae-{}", BACKPROP, {}),
    "cae": ("convolutional cells", "uff-cae-{}", {}, {"head": "last"}),
    "cae-progressive": (
        *("convolutional cells, progressive", "uff-cae-{}"),
        *({"regime": "separate"}, {"rounds": EPOCHS // 2}),
    ),
    "cae-backprop": ("backprop, the same encoders", "uff-cae-{}", CONV_BACKPROP, {}),
}
"""Row -> what it is, its recipe, what it changes of it, and its own terms."""

_MANY = {"batch": 50, "lr": 0.004}
AMONG: dict[str, dict[str, Any]] = {"dae": _MANY, "dae-progressive": _MANY}
"""What changes among many owners: a client has few batches a round, and wants larger steps.

Chosen on validation data of owners alike, MNIST, seed 0 (docs/log.md); not yet for other methods.
"""

EXACT = {"head": "exact"}
"""How readouts of cells that learn without labels are fitted among many (federated/exact.py)."""
FITTED = ("dae", "dae-progressive", "cae", "cae-progressive")

SHARES: dict[str, tuple[str, dict[str, Any]]] = {
    "central": ("one owner", {"clients": 1, "rounds": 1}),
    "iid": ("alike", {"clients": CLIENTS}),
    "1": ("Dirichlet 1", {"clients": CLIENTS, "partition": "dirichlet", "alpha": 1.0}),
    "0.3": ("0.3", {"clients": CLIENTS, "partition": "dirichlet", "alpha": 0.3}),
    "0.1": ("0.1", {"clients": CLIENTS, "partition": "dirichlet", "alpha": 0.1}),
}
"""Column -> how it is told, and its terms: from samples in one hand to owners all unlike."""

HEAD = """\
# Federations

Written by `onward table federation` from the records under `results/`; don't edit it. Ten owners of
samples that stay where they are (docs/federation.md), 10 epochs at each, by the mean of their
weights, cell by cell. All cells travel in each of 10 rounds; progressive cells learn one after
another, 5 rounds each of two epochs. A readout that learns last has as many rounds of its own.
Shares are alike, or drawn for each label from a Dirichlet distribution: the smaller its parameter,
the less alike the owners. With one owner settings are the recipes' own; among ten, denoising cells
have batches of 50 and larger rates, chosen on validation data of owners alike, other rows theirs
from central training. Readouts of cells that learn without labels are fitted to all owners'
samples, by sums over each one's (`--head exact`).

Test accuracy in percent of the linear readout, last round, mean ± standard deviation over seeds.
"""


def name(method: str, data: str, share: str) -> str:
    """The folder of a row.

    >>> name("dae", "mnist", "0.3")
    'federated-dae-mnist-0.3'
    """
    return f"federated-{method}-{data}-{share}"


def _rows(data: str) -> list[Row]:
    rows = []
    for share, (_, shared) in SHARES.items():
        for method, (_, recipe, changes, own) in METHODS.items():
            settings = {"dataset": DATA[data], "epochs": EPOCHS, "evaluate_every": 1, **changes}
            settings |= AMONG.get(method, {}) if share != "central" else {}
            terms = {**own, **shared}  # one owner has one round, progressive or not
            terms |= EXACT if method in FITTED and share != "central" else {}
            rows.append(Row(name(method, data, share), recipe.format(data), settings, terms))
    return rows


def page(records: Records, figures: Collection[str]) -> str:
    """The table's page."""
    parts = [HEAD]
    for data in DATA:
        found = {
            (method, share): records.get(name(method, data, share), ())
            for method in METHODS
            for share in SHARES
        }
        if not any(found.values()):
            parts.append(f"## {data}\n\nNot run yet.\n")
            continue
        parts += [f"## {data}\n", _accuracies(found), "Minus the row's own with one owner:\n"]
        parts += [_gaps(found), _traffic(found)]
        if f"{data}.svg" in figures:
            parts.append(f"![Accuracy by share](federation/{data}.svg)\n")
    return "\n".join(parts)


Found = Mapping[tuple[str, str], Sequence[Record]]


def _accuracies(found: Found) -> str:
    head = ["row", *(told for told, _ in SHARES.values()), "seeds"]
    lines = []
    for method, (told, *_) in METHODS.items():
        if any(found[method, share] for share in SHARES):
            seeds = max(len(found[method, share]) for share in SHARES)
            each = [m.spread([*_of(found[method, share]).values()]) for share in SHARES]
            lines.append([told, *each, str(seeds)])
    return markdown(head, lines)


def _gaps(found: Found) -> str:
    shares = [share for share in SHARES if share != "central"]
    lines = []
    for method, (told, *_) in METHODS.items():
        gaps = [m.gap(_of(found[method, s]), _of(found[method, "central"])) for s in shares]
        if any(gaps):
            lines.append([told, *("–" if gap is None else m.signed(gap) for gap in gaps)])
    return markdown(["row", *(SHARES[share][0] for share in shares)], lines)


def _traffic(found: Found) -> str:
    lines = []
    for method, (told, *_) in METHODS.items():
        record = next((r for s in SHARES if s != "central" for r in found[method, s]), None)
        if record is None:
            continue
        rounds = record["rounds"]
        each = [
            sum(sum(one[key]) for one in rounds) / CLIENTS / 1e6
            for key in ("bytes_down", "bytes_up")
        ]
        lines.append([told, str(len(rounds)), *(f"{megabytes:.1f}" for megabytes in each)])
    head = ["row", "rounds", "MB to a client", "MB from a client"]
    return markdown(head, lines)


def _of(records: Sequence[Record]) -> dict[int, float]:
    return m.accuracies(records, "linear")


def figures(records: Records) -> Mapping[str, bytes]:
    """Accuracy against how unlike the owners are, a line a method."""
    made = {}
    for data in DATA:
        lines = {
            method: [
                (at, statistics.fmean(known.values()))
                for at, share in enumerate(SHARES)
                if (known := _of(records.get(name(method, data, share), ())))
            ]
            for method in METHODS
        }
        if not any(lines.values()):
            continue
        with drawing(6.0, 3.4, 1) as (figure, (axis,)):
            for method, line in lines.items():
                if line:
                    style = "--" if "progressive" in method else "-"
                    label = f"{METHODS[method][0]} ({'conv' if 'cae' in method else 'dense'})"
                    axis.plot(*zip(*line, strict=True), style, marker="o", label=label)
            axis.set_xticks(range(len(SHARES)), [told for told, _ in SHARES.values()])
            axis.set_ylabel("test accuracy, %")
            axis.set_title("Ten owners, ever less alike", loc="left")
            axis.legend(fontsize=7)
            made[f"{data}.svg"] = svg(figure)
    return made


table = Table("federation", [row for data in DATA for row in _rows(data)], page, figures)
