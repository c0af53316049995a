"""Verdicts of tables: what was claimed, and whether the records there are say so.

Each is a pure function of the records, by row; its rule stands in words beside it. Nothing is
decided on fewer than three seeds, or between runs that can't be compared. "Far" is more than three
standard errors of a difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..record import Record
from .tables import Records

Outcome = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """What was claimed, by which rule it was judged, what came out, and on which numbers."""

    name: str
    claim: str
    rule: str
    outcome: Outcome
    numbers: tuple[str, ...]


Judged = tuple[Outcome, str]


def data_name(record: Record) -> str:
    """What a record's data are to be called; re-coded ones by another name (their note says so).

    >>> data_name({"data": {"name": "cifar10", "note": "re-coded as JPEG, quality 75"}})
    'cifar10-jpeg'
    """
    name, note = str(record["data"]["name"]), str(record["data"].get("note") or "")
    return f"{name}-jpeg" if "jpeg" in note.lower() else name


def unlike(records: Records, one: str, other: str) -> str:
    """Why two rows can't be compared, or nothing."""
    missing = [row for row in (one, other) if not records.get(row)]
    if missing:
        return f"no records of {' and '.join(missing)}"
    prints = {r["data"]["fingerprint"] for row in (one, other) for r in records[row]}
    if len(prints) > 1:
        return "other data"
    first, second = (_epochs(records, row) for row in (one, other))
    if first != second:
        told = [", ".join(map(str, sorted(found, key=str))) for found in (first, second)]
        return f"other epochs, {told[0]} and {told[1]}"
    return ""


def handicapped(records: Records, one: str, other: str) -> bool:
    """Whether all that makes two rows unlike is that the first has fewer epochs.

    Being ahead then says what it says, and being behind says nothing.
    """
    if not unlike(records, one, other).startswith("other epochs"):
        return False
    fewer, more = ([n for n in _epochs(records, row) if n is not None] for row in (one, other))
    return bool(fewer and more) and max(fewer) < min(more)


def _epochs(records: Records, row: str) -> set[int | None]:
    return {record["settings"].get("epochs") for record in records[row]}


def outcome(sign: int | None) -> Outcome:
    """Of a difference that is claimed to be above 0 (``measures.Gap.sign``)."""
    return "holds" if sign == 1 else "does not hold" if sign == -1 else "undecided"


def together(judged: Iterable[Judged]) -> tuple[Outcome, tuple[str, ...]]:
    """All must hold, and one failing is enough."""
    found = list(judged)
    outcomes = {outcome for outcome, _ in found}
    numbers = tuple(f"{told} – {outcome}" for outcome, told in found)
    if "does not hold" in outcomes:
        return "does not hold", numbers
    return ("holds" if outcomes == {"holds"} else "undecided"), numbers


def seeds(count: int) -> str:
    """A number of seeds in words."""
    return "1 seed" if count == 1 else f"{count} seeds"
