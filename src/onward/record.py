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
_WHOLE, _OPTIONAL_NUMBER = (int,), (int, float, type(None))
FIELDS: dict[str, tuple[type, ...]] = {
    "schema": _WHOLE,
    "status": _TEXT,
    "recipe": _OPTIONAL_TEXT,
    "claim": _OPTIONAL_TEXT,
    "source": _OPTIONAL_TEXT,
    "command": _TEXT,
    "algorithm": _TEXT,
    "schedule": _TEXT,
    "settings": _OBJECT,
    "seed": _WHOLE,
    "data": _OBJECT,
    "machine": _OBJECT,
    "versions": _OBJECT,
    "commit": _OBJECT,
    "parameters": _OBJECT,
    "cells": _LIST,
    "epochs": _WHOLE,
    "curves": _OBJECT,
    "validation_error": (dict, type(None)),
    "test_error": (dict, type(None)),
    "confusion": (dict, type(None)),
    "cost": _OBJECT,
    "started": _TEXT,
    "ended": _OPTIONAL_TEXT,
}
INSIDE: dict[str, dict[str, tuple[type, ...]]] = {
    "data": {
        "name": _TEXT,
        "shape": _LIST,
        "classes": _WHOLE,
        "train": _WHOLE,
        "validation": _WHOLE,
        "test": _WHOLE,
        "origin": _TEXT,
        "label_names": _LIST,
        "note": _OPTIONAL_TEXT,
        "fingerprint": _TEXT,
    },
    "machine": {
        "device": _TEXT,
        "precision": _TEXT,
        "threads": _WHOLE,
        "processor": _TEXT,
        "cores": (int, type(None)),
        "memory_gib": _OPTIONAL_NUMBER,
    },
    "versions": dict.fromkeys(("onward", "python", "torch", "numpy"), _TEXT),
    "commit": {"id": _OPTIONAL_TEXT, "clean": (bool, type(None))},
    "parameters": {"cells": _LIST, "readout": _WHOLE},
    "curves": {
        **dict.fromkeys(("epoch", "stage", "rate", "seconds", "cells", "readout_loss"), _LIST),
        "readouts": _OBJECT,
    },
    "cost": dict.fromkeys(
        (
            *("train_seconds", "evaluation_seconds", "samples_per_second", "data_passes", "flops"),
            *("peak_memory_bytes", "energy_joules", "bytes_between_stations"),
        ),
        _OPTIONAL_NUMBER,
    ),
}
OPTIONAL: dict[str, dict[str, tuple[type, ...]]] = {
    "": {
        **{"measure": _TEXT, "text": _OBJECT, "places": _LIST},
        **{"part": _TEXT, "latents": _OBJECT, "parts": _LIST},
        **{"federation": _OBJECT, "rounds": _LIST},
    },
    "data": {"target": _TEXT, "symbols": _TEXT, "columns": _LIST},
    "machine": {"note": _TEXT},
}
"""Keys that are there only where they say something unusual: of the record, and inside."""
ADDED: dict[str, dict[str, tuple[type, ...]]] = {
    "": {"contributions": (dict, type(None))},
    "data": {"range": _LIST},
    "machine": {"fast": _TEXT},
    "cost": {
        "warmup_seconds": _OPTIONAL_NUMBER,
        "limit_flops_per_second": _OPTIONAL_NUMBER,
        "share_of_limit": _OPTIONAL_NUMBER,
        "energy_source": _OPTIONAL_TEXT,
    },
}
"""What older records lack, at the end of its object: written always, read where it is there."""
CELL: dict[str, tuple[type, ...]] = {
    "name": _TEXT,
    "kind": _TEXT,
    "inputs": _WHOLE,
    "outputs": _WHOLE,
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
    # A file name that is no text would else be refused; as an escape it stays what it was.
    write_atomically(path, text.encode(errors="backslashreplace") + b"\n")


def read(path: Path) -> Record:
    """A record from a file or from a run's folder. Raises BadInput where it is not one."""
    path = path / "record.json" if path.is_dir() else path
    if not path.exists():
        raise BadInput(f"a run's folder holds record.json, and there is none at {path}")
    try:
        record = parsed(path.read_bytes())
    except (ValueError, OSError, RecursionError) as error:
        there = not isinstance(error, OSError) and _copied(path)
        way_out = f". `onward resume {path.parent}` puts the last checkpoint's copy back"
        raise BadInput(
            f"{path} is not a readable record ({error}): it was cut short or changed"
            f"{way_out if there else ''}"
        ) from error
    check(record, str(path))
    return dict(record)


def parsed(content: bytes) -> Any:
    """A record's JSON. Raises ValueError or RecursionError for what is none."""
    return json.loads(content, parse_constant=_refuse_constant)


def _copied(path: Path) -> bool:
    """Whether it is a run's record, beside whole checkpoints that have a copy of it."""
    if path.name != "record.json":
        return False
    return any(one.name.isdigit() for one in path.parent.glob("checkpoint/*"))


def check(record: object, where: str) -> None:
    """Raise BadInput where a record lacks a key, has one of a wrong type, or is too new."""
    if not isinstance(record, dict) or not _is(record.get("schema"), _WHOLE):
        raise BadInput(f"{where} is not a record of Onward: it has no schema number")
    if record["schema"] > SCHEMA:
        raise BadInput(
            f"{where} is of schema {record['schema']}, and this Onward knows up to {SCHEMA}: "
            "read it with a newer Onward"
        )
    _check(record, FIELDS, "", where)
    for key, inner in INSIDE.items():
        _check(record[key], inner, f"{key}.", where)
    for key, inner in OPTIONAL.items():
        part = record[key] if key else record
        there = {name: types for name, types in inner.items() if name in part}
        _check(part, there, f"{key}." if key else "", where)
    if (target := record["data"].get("target", "classes")) not in ("classes", "numbers"):
        raise BadInput(f"{where}: data.target is {target!r}, not one of classes, numbers")
    for key, added in ADDED.items():
        part = record[key] if key else record
        there = {name: types for name, types in added.items() if name in part}
        _check(part, there, f"{key}." if key else "", where)
    for number, cell in enumerate(record["cells"]):
        _check(cell, CELL, f"cells[{number}].", where)
    lists = (
        *(("shape", _WHOLE), ("label_names", _TEXT), ("columns", _TEXT)),
        ("range", _OPTIONAL_NUMBER),
    )
    for key, types in lists:
        if not all(_is(value, types) for value in record["data"].get(key, ())):
            raise BadInput(f"{where}: data.{key} should be a list of {_names(types)}")
    if record["status"] not in STATUSES:
        raise BadInput(f"{where}: status is {record['status']!r}, not one of {', '.join(STATUSES)}")


def without_times(record: Record) -> Record:
    """What must be equal in two runs of the same settings: everything but when and how long."""
    apart = ("started", "ended", "cost", "command", "places")
    kept = {k: v for k, v in record.items() if k not in apart}
    if "rounds" in record:
        timed = ("seconds", "wall_seconds")
        kept["rounds"] = [
            {k: v for k, v in each.items() if k not in timed} for each in record["rounds"]
        ]
    kept["curves"] = {k: v for k, v in record["curves"].items() if k != "seconds"}
    steady = ("data_passes", "flops", "bytes_between_stations")
    kept["cost"] = {k: record["cost"][k] for k in steady}
    return kept


def _check(part: Any, fields: dict[str, tuple[type, ...]], prefix: str, where: str) -> None:
    for key, types in fields.items():
        if not isinstance(part, dict) or key not in part:
            raise BadInput(f"{where} is not a whole record: {prefix}{key} is missing")
        if not _is(part[key], types):
            came = _NAMES.get(type(part[key]), type(part[key]).__name__)
            raise BadInput(f"{where}: {prefix}{key} should be {_names(types)}, and is {came}")


def _is(value: object, types: tuple[type, ...]) -> bool:
    # A boolean is an int to Python, and not to a reader.
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


_NAMES: dict[type, str] = {
    **{str: "text", dict: "an object", list: "a list", int: "a whole number", float: "a number"},
    **{bool: "true or false", type(None): "null"},
}


def _names(types: tuple[type, ...]) -> str:
    return " or ".join(_NAMES[kind] for kind in types if kind is not int or float not in types)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no JSON")


def _plain(value: Any) -> Any:
    """JSON without NaN or infinity, and without tuples or paths."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
