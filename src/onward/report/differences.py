"""In what runs that stand beside each other differ, so that nobody has to compare two tables."""

from collections.abc import Callable, Sequence
from typing import Any

from . import quantities as q
from .records import Record, mapping
from .tables import table

_FACTS: dict[str, Callable[[Record], Any]] = {
    "recipe": lambda r: r["recipe"],
    "algorithm": lambda r: r["algorithm"],
    "schedule": lambda r: r["schedule"],
    "seed": lambda r: r["seed"],
    "data": lambda r: mapping(r, "data").get("name"),
    "fingerprint of the data": lambda r: mapping(r, "data").get("fingerprint"),
    "threads": lambda r: mapping(r, "machine").get("threads"),
    "precision": lambda r: mapping(r, "machine").get("precision"),
    "processor": lambda r: mapping(r, "machine").get("processor"),
    "commit": lambda r: mapping(r, "commit").get("id"),
}


def section(runs: Sequence[tuple[str, Record]]) -> str:
    """A table of facts and settings that are not the same in all `runs`; empty text without any.

    Settings that only one of the runs has are left out: that is the difference of their recipes.
    """
    rows = [[what, *(q.text(say(record)) for _, record in runs)] for what, say in _FACTS.items()]
    settings = [mapping(record, "settings") for _, record in runs]
    for name in dict.fromkeys(name for each in settings for name in each):
        if sum(name in each for each in settings) > 1:
            told = [q.text(each[name]) if name in each else q.NONE for each in settings]
            rows.append([name, *told])
    differ = [row for row in rows if len(set(row[1:])) > 1]
    return table("What differs", ["", *(name for name, _ in runs)], differ, "numbers loose")
