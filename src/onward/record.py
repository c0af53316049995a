"""The record of a run: ``record.json``, as docs/record.md describes it."""

import json
import math
from pathlib import Path
from typing import Any

from .errors import BadInput
from .files import write_atomically

SCHEMA = 1

Record = dict[str, Any]

_TEXT, _OPTIONAL_TEXT, _OBJECT, _LIST = (str,), (str, type(None)), (dict,), (list,)
FIELDS: dict[str, tuple[type, ...]] = {
    "schema": (int,),
    "status": _TEXT,
    "recipe": _OPTIONAL_TEXT,
    "claim": _OPTIONAL_TEXT,
    "source": _OPTIONAL_TEXT,
    "command": _TEXT,
    "algorithm": _TEXT,
    "schedule": _TEXT,
    "settings": _OBJECT,
    "seed": (int,),
    "data": _OBJECT,
    "machine": _OBJECT,
    "versions": _OBJECT,
    "commit": _OBJECT,
    "parameters": _OBJECT,
    "cells": _LIST,
    "epochs": (int,),
    "curves": _OBJECT,
    "validation_error": (dict, type(None)),
    "test_error": (dict, type(None)),
    "confusion": (dict, type(None)),
    "cost": _OBJECT,
    "started": _TEXT,
    "ended": _OPTIONAL_TEXT,
}
INSIDE: dict[str, tuple[str, ...]] = {
    "data": (
        *("name", "shape", "classes", "train", "validation", "test", "origin", "label_names"),
        *("note", "fingerprint"),
    ),
    "machine": ("device", "precision", "threads", "processor", "cores", "memory_gib"),
    "versions": ("onward", "python", "torch", "numpy"),
    "commit": ("id", "clean"),
    "parameters": ("cells", "readout"),
    "curves": ("epoch", "stage", "rate", "seconds", "cells", "readout_loss", "readouts"),
    "cost": (
        *("train_seconds", "evaluation_seconds", "samples_per_second", "data_passes", "flops"),
        *("peak_memory_bytes", "energy_joules", "bytes_between_stations"),
    ),
}
STATUSES = ("running", "interrupted", "diverged", "finished")


def empty_curves(cells: list[str], readouts: list[str]) -> dict[str, Any]:
    """Curves of no epoch yet."""
    return {
        "epoch": [],
        "stage": [],
        "rate": [],
        "seconds": [],
        "cells": [{"name": name, "loss": [], "dead_units": []} for name in cells],
        "readout_loss": [],
        "readouts": {name: {"train": [], "validation": []} for name in readouts},
    }


def write(path: Path, record: Record) -> None:
    """Checked, then written atomically. Numbers that do not exist become null."""
    check(record, str(path))
    text = json.dumps(_plain(record), indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(path, text.encode() + b"\n")


def read(path: Path) -> Record:
    """A record from a file or from a run's folder. Raises BadInput where it is not one."""
    path = path / "record.json" if path.is_dir() else path
    if not path.exists():
        raise BadInput(f"a run's folder holds record.json, and there is none at {path}")
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise BadInput(
            f"{path} is not a readable record ({error}): it was cut short or changed"
        ) from error
    check(record, str(path))
    return dict(record)


def check(record: object, where: str) -> None:
    """Raise BadInput where a record lacks a key, has one of a wrong type, or is too new."""
    if not isinstance(record, dict) or not isinstance(record.get("schema"), int):
        raise BadInput(f"{where} is not a record of Onward: it has no schema number")
    if record["schema"] > SCHEMA:
        raise BadInput(
            f"{where} is of schema {record['schema']}, and this Onward knows up to {SCHEMA}: "
            "read it with a newer Onward"
        )
    for key, types in FIELDS.items():
        if key not in record:
            raise BadInput(f"{where} is not a whole record: {key} is missing")
        if not isinstance(record[key], types):
            raise BadInput(
                f"{where}: {key} should be {' or '.join(t.__name__ for t in types)}, "
                f"and is {type(record[key]).__name__}"
            )
    for key, inner in INSIDE.items():
        missing = [name for name in inner if name not in record[key]]
        if missing:
            raise BadInput(f"{where} is not a whole record: {key}.{missing[0]} is missing")
    if record["status"] not in STATUSES:
        raise BadInput(f"{where}: status is {record['status']!r}, not one of {', '.join(STATUSES)}")


def without_times(record: Record) -> Record:
    """What must be equal in two runs of the same settings: everything but when and how long."""
    kept = {k: v for k, v in record.items() if k not in ("started", "ended", "cost", "command")}
    kept["curves"] = {k: v for k, v in record["curves"].items() if k != "seconds"}
    steady = ("data_passes", "flops", "bytes_between_stations")
    kept["cost"] = {k: record["cost"][k] for k in steady}
    return kept


def _plain(value: Any) -> Any:
    """JSON without NaN or infinity, and without tuples or paths."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
