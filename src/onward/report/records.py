"""Looking things up in a record whose parts may be absent: a readout, a curve, a twin.

A record is the JSON object described in `docs/record.md`, as `onward.record.read` returns it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]


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


def companions(run: Path) -> list[Path]:
    """The run folders inside a run's own: its controls by name, then its backprop twin.

    One without a record has not reached its first checkpoint.
    """
    found = [place.parent for place in sorted(run.glob("*/record.json"))]
    return sorted(found, key=lambda place: place.name == "twin")
