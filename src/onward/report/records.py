"""Records in, whole files out.

A record is the JSON object described in `docs/record.md`. The report only reads it: whatever may
be absent there (a readout, a curve, a twin) is looked up with `.get` by the callers.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput

SCHEMA = 1

Record = Mapping[str, Any]

_KEYS = (
    "schema",
    "status",
    "recipe",
    "claim",
    "source",
    "command",
    "algorithm",
    "schedule",
    "settings",
    "seed",
    "data",
    "machine",
    "versions",
    "commit",
    "parameters",
    "cells",
    "epochs",
    "curves",
    "validation_error",
    "test_error",
    "confusion",
    "cost",
    "started",
    "ended",
)


def read(path: Path) -> Record:
    """One record from a JSON file.

    Raises `BadInput` if there is no such file, if it is not a JSON object, if a key of the schema
    is missing, or if it was written with a newer schema than this version knows.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"wanted the record of a run at {path}, could not read it ({error.strerror}): "
            "name a folder that `onward run` has written"
        ) from error
    except ValueError as error:
        raise BadInput(
            f"wanted a record as JSON in {path}, came something else ({error}): repeat the run"
        ) from error
    if not isinstance(record, dict):
        raise BadInput(f"wanted a JSON object in {path}, came {type(record).__name__}")
    schema = record.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise BadInput(
            f"wanted a record of schema {SCHEMA} or older in {path}, came schema {schema!r}: "
            "read it with the version of onward that wrote it, or a newer one"
        )
    missing = [key for key in _KEYS if key not in record]
    if missing:
        raise BadInput(f"wanted a whole record in {path}, missing: {', '.join(missing)}")
    return record


def replace(path: Path, text: str) -> None:
    """Write `text` as UTF-8, so that a reader sees the old file or the new one, never a part.

    Raises `OSError` if the folder cannot be written; nothing is left behind then.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        # mkstemp makes the file private; a page is for others to read.
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def mapping(record: Record, key: str) -> Record:
    """The object under `key`; an empty one for null, for another type, and for no such key."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def items(record: Record, key: str) -> list[Any]:
    """The list under `key`; an empty one for null, for another type, and for no such key."""
    value = record.get(key)
    return value if isinstance(value, list) else []


def name_of(record: Record) -> str:
    """What to call a run: its recipe, or its algorithm if it was a bare fit()."""
    return str(record["recipe"] or record["algorithm"])
