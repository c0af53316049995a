"""The sections of the page, in its order: each a function from records to HTML.

A section without anything to show is empty text, or one line that says why.
`runs` are (name, record) pairs, the run the page is about first.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import guessing
from . import quantities as q
from .curves import charts, side_by_side
from .fields import NEGATIVE, POSITIVE, NoPicturesError, first_weights, gallery
from .records import Record, items, mapping
from .tables import escape, matrix, table

Runs = Sequence[tuple[str, Record]]


def result(runs: Runs) -> str:
    """The numbers a reader comes for: tiles, the table of all runs, each cell alone."""
    names = _readouts(record for _, record in runs)
    head = ["run", *(f"test error, {name},\u00a0%" for name in names)]
    head += [f"validation error, {name},\u00a0%" for name in names]
    head += ["epochs", "training, s", "samples/s", "parameters"]
    rows = []
    for name, record in runs:
        cost = mapping(record, "cost")
        status = "" if record["status"] == "finished" else f" ({record['status']})"
        rows.append(
            [
                name + status,
                *(q.percent(mapping(record, "test_error").get(r)) for r in names),
                *(q.percent(mapping(record, "validation_error").get(r)) for r in names),
                q.count(record["epochs"]),
                q.rate(cost.get("train_seconds")),
                q.rate(cost.get("samples_per_second")),
                q.count(_parameters(record)),
            ]
        )
    told = (
        '<p class="soft">Errors are those of the last epoch. Readout “goodness” tries every '
        "label and takes the one the cells that count, together, like best; “linear” is a softmax "
        "on the cells' outputs"
        f"{_kinds(runs)}.</p>"
    )
    numbers = _tiles(runs) + _verdict(runs) + table("Every run", head, rows) + _cells_alone(runs)
    return numbers + (told if names else "")


def _verdict(runs: Runs) -> str:
    """What a run's end said of its errors beside guessing and its controls."""
    own, before = runs[0][1], "control: "
    beside = {n.removeprefix(before): r for n, r in runs[1:] if n.startswith(before)}
    if own["status"] != "finished":
        return ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in guessing.verdict(own, beside))
    return f'<div class="banner" role="note">{lines}</div>' if lines else ""


def _kinds(runs: Runs) -> str:
    """The end of a sentence on errors that are no shares of wrong answers, run by run."""
    kinds = [(name, q.measure(record)) for name, record in runs if q.measure(record)]
    return "".join(f"; the errors of {escape(name)} are {escape(kind)}" for name, kind in kinds)


def _tiles(runs: Runs) -> str:
    record = runs[0][1]
    test, cost = mapping(record, "test_error"), mapping(record, "cost")
    samples = q.number(mapping(record, "data").get("test"))
    tiles = []
    for name in _readouts([record]):
        error = q.number(test.get(name))
        if error is None:
            continue
        wrong = f"{q.count(error * samples)} of {q.count(samples)} wrong" if samples else ""
        wrong = q.measure(record) or wrong
        tiles.append((f"Test error, {name}", f"{q.percent(error)} %", wrong))
    for name, other in runs[1:2]:
        theirs = mapping(other, "test_error")
        for readout in _readouts([other]):
            error = q.number(theirs.get(readout))
            if error is not None:
                gap = _gap(test, readout, error)
                tiles.append((f"{name}, {readout}", f"{q.percent(error)} %", gap))
    spent, rate = cost.get("train_seconds"), cost.get("samples_per_second")
    if q.number(spent):
        told, _, more = q.seconds(spent).partition(" (")
        tiles.append(("Training", told, more.rstrip(")") or f"{q.rate(rate)} samples/s"))
    amount, cells = _parameters(record), len(items(record, "cells"))
    if amount is not None:
        tiles.append(("Parameters", q.short(amount), f"in {cells} cells and the readout"))
    inner = "".join(
        f'<div><dt>{escape(what[:1].upper() + what[1:])}</dt><dd class="value">{escape(value)}</dd>'
        f"<dd>{escape(more)}</dd></div>"
        for what, value, more in tiles
    )
    return f'<dl class="tiles">{inner}</dl>'


def _gap(ours: Record, readout: str, theirs: float) -> str:
    """How far this run is from another, by the same readout, or by its only one."""
    known = [name for name in ours if q.number(ours[name]) is not None]
    name = readout if readout in known else known[0] if len(known) == 1 else None
    if name is None:
        return ""
    points = f"{100 * (ours[name] - theirs):+.2f}".replace("-", "−")
    return f"this run, {name}: {points} points"


def _cells_alone(runs: Runs) -> str:
    rows = []
    for name, record in runs:
        for split in ("test", "validation"):
            for errors in mapping(record, f"{split}_error").values():
                if isinstance(errors, list) and errors:
                    rows.append([f"{name}, {split}", *(q.percent(error) for error in errors)])
    widest = max((len(row) for row in rows), default=1)
    head = ["run", *(f"cell-{i}" for i in range(widest - 1))]
    padded = [row + [q.NONE] * (widest - len(row)) for row in rows]
    return table("Each cell alone: error, %", head, padded)


def curves(runs: Runs) -> str:
    """The charts of the first run, and the validation errors of all."""
    figures = charts(runs[0][1])
    # The comparison stands next to the run's own errors, which are the first chart.
    figures.insert(1, side_by_side(runs))
    drawn = "".join(figures)
    if not drawn:
        return '<p class="soft">No epoch has been measured yet.</p>'
    return (
        '<p class="soft">By epoch. “Train” errors and goodness are measured on the probe rows, '
        "the first training samples. The number in a legend is the last value.</p>"
        f'<div class="grid">{drawn}</div>'
    )


def confusion(record: Record) -> str:
    """Confusion matrices on the test set; the readout better on validation first, open."""
    by_readout, data = mapping(record, "confusion"), mapping(record, "data")
    names = [str(name) for name in items(data, "label_names")]
    # Chosen on the validation set, as everything is that the test set could be bent by.
    errors = mapping(record, "validation_error")
    order = sorted(by_readout, key=lambda name: _rank(errors.get(name)))
    drawn = [
        (name, square)
        for name in order
        if (square := matrix(f"Readout {name}, test set", by_readout[name], names))
    ]
    if not drawn:
        return ""
    told = (
        '<p class="soft">Counts on the test set. Blue is right, orange is a mistake, the stronger '
        "the larger its share of the row (mistakes by the square root of the share).</p>"
    )
    rest = "".join(
        f"<details><summary>The same for readout {escape(name)}</summary>{square}</details>"
        for name, square in drawn[1:]
    )
    return told + drawn[0][1] + rest


def _rank(error: Any) -> float:
    known = q.number(error)
    return math.inf if known is None else known


def fields(run: Path, record: Record) -> str:
    """Pictures of the first cell's weights from the checkpoint in the folder `run`."""
    shape = items(mapping(record, "data"), "shape")
    try:
        weight = first_weights(run, shape)
    except NoPicturesError as why:
        return f'<p class="soft">No pictures: {escape(why)}.</p>'
    pictures = gallery(weight, shape)
    images = "".join(
        f'<img src="{uri}" alt="" title="unit {unit}" loading="lazy">' for unit, uri in pictures
    )
    if len(shape) == 3 and shape[0] == 3:
        meaning = "as colours around grey, which is zero"
    else:
        meaning = (
            f"{_key(POSITIVE, 'positive')} and {_key(NEGATIVE, 'negative')}, "
            "the stronger the larger"
        )
    return (
        '<figure class="panel"><figcaption>Weights of cell-0 '
        f"<small>{len(pictures)} of {len(weight):,} units, evenly chosen</small></figcaption>"
        f'<p class="soft">Each picture holds the weights of one unit, laid out like a sample: '
        f"{meaning}. Each unit has its own scale.</p>"
        f'<div class="fields" role="img" aria-label="Weights of {len(pictures)} units of the first '
        f'cell as small pictures">{images}</div></figure>'
    )


def _key(color: tuple[int, int, int], name: str) -> str:
    red, green, blue = color
    swatch = f'<span class="key" style="background:rgb({red} {green} {blue})"></span>'
    return f'<span class="whole">{swatch}{name}</span>'


def cost(runs: Runs) -> str:
    """What each run took, a column a run, in units people use."""
    rows: list[list[str]] = []
    costs = [mapping(record, "cost") for _, record in runs]
    for what, key, told in (
        ("training", "train_seconds", q.seconds),
        ("of it warm-up", "warmup_seconds", q.seconds),
        ("evaluation", "evaluation_seconds", q.seconds),
        ("speed, samples/s", "samples_per_second", q.rate),
        ("passes of the training set", "data_passes", q.count),
        ("arithmetic of all training steps", "flops", q.flops),
        ("share of the machine's speed at such products, %", "share_of_limit", q.percent),
        ("peak memory", "peak_memory_bytes", q.memory),
        ("handed on between cells", "bytes_between_stations", q.memory),
        ("energy", "energy_joules", q.energy),
    ):
        rows.append([what, *(told(cost.get(key)) for cost in costs)])
    return table("What it took", ["quantity", *(name for name, _ in runs)], rows, "numbers loose")


def settings(record: Record) -> str:
    """The network, the recipe's settings and the data."""
    data = mapping(record, "data")
    settings = [
        [name, "none" if value is None else q.text(value)]
        for name, value in mapping(record, "settings").items()
    ]
    shape = " × ".join(str(n) for n in items(data, "shape"))
    facts = [
        ["name", q.text(data.get("name"))],
        ["sample", shape or q.NONE],
        ["classes", q.text(data.get("classes"))],
        ["training", q.count(data.get("train"))],
        ["validation", q.count(data.get("validation"))],
        ["test", q.count(data.get("test"))],
        ["origin", q.text(data.get("origin"))],
        ["note", q.text(data.get("note"))],
        ["fingerprint", q.text(data.get("fingerprint"))],
    ]
    amounts = items(mapping(record, "parameters"), "cells")
    network = [
        [
            q.text(cell.get("name")),
            q.text(cell.get("kind")),
            q.count(cell.get("inputs")),
            q.count(cell.get("outputs")),
            q.count(amounts[i] if i < len(amounts) else None),
        ]
        for i, cell in enumerate(items(record, "cells"))
    ]
    readout = q.number(mapping(record, "parameters").get("readout"))
    if readout:
        network.append(["readout", "linear", q.NONE, q.NONE, q.count(readout)])
    left = table("Settings of the recipe", ["", ""], settings, "facts")
    right = table("Data", ["", ""], facts, "facts")
    return (
        table("Network", ["cell", "kind", "inputs", "outputs", "parameters"], network)
        + f'<div class="pairs"><div>{left or _NO_SETTINGS}</div><div>{right}</div></div>'
    )


_NO_SETTINGS = '<p class="soft">No settings were recorded.</p>'


def machine(record: Record) -> str:
    """Where and with which versions and commit it ran."""
    machine = mapping(record, "machine")
    memory = q.number(machine.get("memory_gib"))
    facts = [
        [name, q.text(machine.get(name))]
        for name in ("device", "precision", "processor", "cores", "threads", "note")
        if name != "note" or name in machine
    ]
    facts.append(["memory", q.NONE if memory is None else f"{memory:.4g} GiB"])
    commit = mapping(record, "commit")
    state = ", with uncommitted changes" if commit.get("clean") is False else ""
    versions = [[name, q.text(value)] for name, value in mapping(record, "versions").items()]
    versions.append(["commit", f"{q.text(commit.get('id'))}{state}"])
    versions.append(["started", q.text(record["started"])])
    versions.append(["ended", q.text(record["ended"])])
    left = table("Machine", ["", ""], facts, "facts")
    right = table("Versions", ["", ""], versions, "facts")
    return f'<div class="pairs"><div>{left}</div><div>{right}</div></div>'


def command(record: Record) -> str:
    """The command that repeats the run."""
    if not record["command"]:
        return ""
    return f"<pre><code>{escape(record['command'])}</code></pre>"


def _readouts(records: Any) -> list[str]:
    """Readouts with an error on some set, the goodness first; `goodness_cells` is no readout."""
    found = {
        name
        for record in records
        for split in ("test_error", "validation_error")
        for name, error in mapping(record, split).items()
        if not isinstance(error, list)
    }
    return sorted(found)


def _parameters(record: Record) -> float | None:
    parameters = mapping(record, "parameters")
    cells = [q.number(amount) for amount in items(parameters, "cells")]
    known = [
        amount for amount in [*cells, q.number(parameters.get("readout"))] if amount is not None
    ]
    return sum(known) if known else None
