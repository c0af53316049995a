"""The model card: what a file holds, what it was trained on, how good it is, and where that ends.

Every number on it is the run's own record; it says nothing that the record does not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..record import Record
from ..report import quantities as q
from ..report import spent
from ..report.records import items, mapping, name_of

_ANSWERS = {
    "scores": "`scores` [batch, {classes}], one number a class, the largest is the answer. They "
    "are no probabilities",
    "number": "`number` [batch], {label} in the units of the training targets",
    "strangeness": "`strangeness` [batch], the larger, the less a sample is like those of training",
}

_READOUTS = {
    "goodness": "every label is tried, {classes} passes of a sample in one batch, and the goodness "
    "of the counted cells is summed",
    "linear": "a linear readout on the cells' answers to the sample with no label in it, one pass",
    "reconstruction": "the mean of the cells' errors of restoring what reaches them",
}


def card(
    record: Record,
    described: Mapping[str, Any],
    file: str,
    batches: Sequence[int],
    difference: float,
) -> str:
    """The card of ``file`` in Markdown, from a run's record and the description of the file.

    ``difference`` is the largest between the file's answers and the library's, on ``batches``.
    """
    data, readout = mapping(record, "data"), str(described["readout"])
    facts = {"classes": data["classes"], "label": ", ".join(map(str, data["label_names"][:1]))}
    shape = ", ".join(str(n) for n in data["shape"])
    low, high = described["input"]["range"] or (None, None)
    scale = "" if low is None else f", in training from {low:.4g} to {high:.4g}"
    labels = ", ".join(str(name) for name in data["label_names"])
    sizes = ", ".join(str(n) for n in batches)
    parts = [
        f"# {name_of(record)} on {data['name']}",
        f"`{file}`, SHA-256 `{described['sha256']}`.",
        "## Use",
        f"* Input: `x` [batch, {shape}], float32{scale}. No other scaling is done or wanted.\n"
        f"* Output: {_ANSWERS[described['output']['name']].format(**facts)}.\n"
        f"* Readout `{readout}`: {_READOUTS[readout].format(**facts)}.\n"
        + (f"* Classes, in order: {labels}.\n" if described["output"]["name"] == "scores" else "")
        + f"* Read back and compared with the library on batches of {sizes}: at most "
        f"{difference:.1e} apart, as a share of the largest answer.",
        "## Data",
        f"{data['name']} ({data['origin']}): {q.count(data['train'])} samples for training, "
        f"{q.count(data['validation'])} for validation, {q.count(data['test'])} for the test. "
        f"{data['note'] or ''}".strip()
        + f"\n\nFingerprint `{data['fingerprint']}`.",
        "## Training",
        f"{record['algorithm']}, schedule {record['schedule']}, {record['epochs']} epochs, seed "
        f"{record['seed']}: {_cells(record)}."
        + (f"\n\nSource: {record['source']}." if record["source"] else "")
        + f"\n\n```sh\n{record['command']}\n```\n\n{_commit(record)}",
        "## Error",
        _errors(record, readout),
        "## Cost",
        f"{spent.line(record)}; {mapping(record, 'machine').get('processor')}.",
        "## Limits",
        f"* One run with one seed, trained on {data['name']} alone; how it does on other data "
        "was not measured.\n"
        "* Any input is answered, one that belongs to no class too.\n"
        + (
            "* Samples in another scale than that above are not recognised as such.\n"
            if scale
            else ""
        )
        + (_PASSES.format(**facts) if readout == "goodness" else ""),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_PASSES = (
    "* Every label tried is {classes} passes a sample, and this graph makes each of them in full; "
    "the library shares the first product."
)


def _cells(record: Record) -> str:
    told = [f"{c['kind']} {c['inputs']} to {c['outputs']}" for c in items(record, "cells")]
    return ", ".join(told)


def _commit(record: Record) -> str:
    commit, versions = mapping(record, "commit"), mapping(record, "versions")
    state = " with uncommitted changes" if commit.get("clean") is False else ""
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Commit {q.text(commit.get('id'))}{state}; {told}."


def _errors(record: Record, readout: str) -> str:
    kind = q.measure(record) or "share of wrong answers"
    rows = [f"| readout | validation, % | test, % |\n|---|---|---|\n| {readout} (this file) "]
    for split in ("validation", "test"):
        rows.append(f"| {q.percent(mapping(record, f'{split}_error').get(readout))} ")
    return f"Of the last epoch, {kind}.\n\n" + "".join(rows) + "|"
