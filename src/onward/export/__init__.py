"""A trained row as a file that other programs read, and a model card beside it.

What is written is the prediction alone (``graph.py``), for batches of any size, in one of three
formats (``formats.py``). Before anything is written the file's bytes are read back by the runtime
they are for, and its answers compared with the library's own.

B = samples, D = sample shape.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadInput, nearest
from ..files import write_atomically
from ..record import Record
from ..row import Row
from ..seeds import generator
from .card import card
from .formats import FORMATS, Answer
from .graph import Prediction, prediction

BATCHES = (1, 7, 256)
"""Sizes of the batches on which a file is checked."""

WITHIN = 1e-5
"""How far its answers may be from the library's, as a share of the largest (of 1 at least)."""


@dataclass(frozen=True)
class Exported:
    """What was written, and by how much its answers differ from the library's, as a share."""

    files: tuple[Path, ...]
    difference: float


def export(row: Row, record: Record, to: str, out: Path, readout: str | None = None) -> Exported:
    """Write a trained row's prediction to ``out``, and a card beside it.

    ``record`` is that of its run (docs/record.md), ``to`` one of ``FORMATS``, ``readout`` as for
    :func:`~onward.export.graph.prediction`. The row is moved to the CPU.
    Raises BadInput for a format there is not, a file of another ending, a row that can't be
    exported, a package that is not installed, and where the file answers otherwise than the row.
    """
    if to not in FORMATS:
        raise BadInput(f"there is no format {to!r}: {nearest(to, FORMATS)}")
    if out.suffix != f".{to}":
        raise BadInput(f"a file of the format {to} ends in .{to}, and {out.name} does not")
    for station in row.everyone:
        station.cell.to("cpu")
    said = prediction(row, readout)
    content, answer = FORMATS[to](said, _samples(record, 2))
    difference = _checked(row, said, record, answer)
    described = _described(said, record, content)
    told = card(record, described, out.name, BATCHES, difference)
    files = {out: content, out.with_name(f"{out.name}.md"): told.encode()}
    if to == "safetensors":
        files[out.with_name(f"{out.name}.json")] = (json.dumps(described, indent=1) + "\n").encode()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{out.parent} can't be made ({error.strerror}): name other --out"
        ) from error
    for path, bytes_ in files.items():
        write_atomically(path, bytes_)
    return Exported(tuple(files), difference)


def _samples(record: Record, count: int) -> Tensor:
    """Noise of the shape and in the range of the run's samples.  -> [B, *D]."""
    low, high = _range(record) or (0.0, 1.0)
    rng = generator(record["seed"], "export", count)
    return low + (high - low) * torch.rand(count, *record["data"]["shape"], generator=rng)


def _range(record: Record) -> tuple[float, float] | None:
    """The smallest and the largest number in the training samples, where the record knows them."""
    ends = record["data"].get("range") or []
    return (ends[0], ends[1]) if len(ends) == 2 and None not in ends else None


def _checked(row: Row, said: Prediction, record: Record, answer: Answer) -> float:
    """The largest difference over the batches. Raises BadInput where it is too large."""
    worst = 0.0
    for count in BATCHES:
        x = _samples(record, count)
        with torch.no_grad():
            wanted, came = said.of(row, x).float(), answer(x).float()
        if came.shape != wanted.shape:
            raise BadInput(
                f"the exported file answers {tuple(came.shape)} to {count} samples, and the run "
                f"{tuple(wanted.shape)}: nothing was written"
            )
        size = max(1.0, float(wanted.abs().max()))
        worst = max(worst, float((wanted - came).abs().max()) / size)
    if not worst <= WITHIN:
        raise BadInput(
            f"the exported file does not answer as the run does: {worst:.1e} apart, as a share of "
            f"the largest answer, and {WITHIN:.0e} is allowed: nothing was written"
        )
    return worst


def _described(said: Prediction, record: Record, content: bytes) -> dict[str, Any]:
    """What the file is, as JSON: the description beside a file of weights."""
    about = record["data"]
    return {
        "format": 1,
        "sha256": hashlib.sha256(content).hexdigest(),
        "readout": said.readout,
        "input": {"name": "x", "shape": ["batch", *about["shape"]], "range": _range(record)},
        "output": {"name": said.output, "labels": about["label_names"]},
        "recipe": record["recipe"],
        "algorithm": record["algorithm"],
        "settings": record["settings"],
        "seed": record["seed"],
        "cells": record["cells"],
        "tensors": {k: list(v.shape) for k, v in said.graph.state_dict().items()},
        "versions": record["versions"],
        "commit": record["commit"],
    }
