"""RESULTS.md out of the committed records: results/RECIPE/seed-N.json, one table row a recipe.

    python -m onward.report.results results RESULTS.md

The numbers stand in the records and nowhere else; this file only collects, averages and writes.
The spread is the sample standard deviation over seeds (divisor n - 1).
"""

import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..files import write_atomically
from ..record import read
from . import quantities as q
from .records import Record, mapping

COMMAND = "python -m onward.report.results results RESULTS.md"

_SEED = re.compile(r"seed-(\d+)\.json")

_HEAD = f"""\
# Results

This file is generated from the records under `results/` by `{COMMAND}`; don't edit it.

Errors are of the last epoch, on the test set, in percent: mean ± sample standard deviation over the
seeds, then each seed by itself. Validation errors are means over the seeds. Nothing was chosen on
the test set. The command is the one of the lowest seed. Training times are of shared machines with
other work beside them, and comparable within a factor of two at best; `benchmarks/` has ratios.
"""

_COLUMNS = (
    "recipe",
    "data",
    "readout",
    "test error, %",
    "validation error, %",
    "epochs",
    "training s/epoch",
    "hardware",
    "commit",
    "command",
)


@dataclass(frozen=True)
class Committed:
    """One record under results/: the folder it lay in, its seed, its file and what it says."""

    recipe: str
    seed: int
    path: Path
    record: Record


def collect(folder: Path) -> list[Committed]:
    """All records `folder`/RECIPE/seed-N.json, by recipe, then by seed; other files are passed by.

    Raises `BadInput` if there is no such folder, if a record cannot be read, or if the seed in a
    record is not the one in its file name.
    """
    if not folder.is_dir():
        raise BadInput(f"wanted a folder of records, found none at {folder}: name one, or make it")
    found = []
    for path in folder.glob("*/seed-*.json"):
        seed = _SEED.fullmatch(path.name)
        if seed is None:
            continue
        record = read(path)
        if record["seed"] != int(seed[1]):
            raise BadInput(f"{path} holds seed {record['seed']}: rename it or repeat the run")
        found.append(Committed(path.parent.name, int(seed[1]), path, record))
    return sorted(found, key=lambda one: (one.recipe, one.seed))


def markdown(folder: Path) -> str:
    """RESULTS.md as text, the same for the same records.

    Runs that did not finish are named below the table and are in no mean.

    Raises `BadInput` as `collect` does.
    """
    runs = collect(folder)
    finished = [run for run in runs if run.record["status"] == "finished"]
    parts = [_HEAD]
    if finished:
        lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
        for recipe in dict.fromkeys(run.recipe for run in finished):
            lines.append(_line(_row(recipe, [run for run in finished if run.recipe == recipe])))
        parts.append("\n".join(lines) + "\n")
    else:
        parts.append("There are no records of finished runs yet.\n")
    left = [f"{run.recipe}, seed {run.seed} ({run.record['status']})" for run in runs]
    left = [name for name, run in zip(left, runs, strict=True) if run not in finished]
    if left:
        parts.append(f"Not finished, and in no mean: {_escape('; '.join(left))}.\n")
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Write the table of the folder named first to the file named second; returns an exit code."""
    if len(arguments) != 2:
        print(f"usage: {COMMAND}", file=sys.stderr)
        return 2
    try:
        write_atomically(Path(arguments[1]), markdown(Path(arguments[0])).encode())
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _row(recipe: str, runs: Sequence[Committed]) -> list[str]:
    records = [run.record for run in runs]
    readouts = sorted(
        name
        for name in {name for record in records for name in mapping(record, "test_error")}
        if not name.endswith("_cells")
    )
    kinds = ", ".join(dict.fromkeys(q.measure(record) for record in records if q.measure(record)))
    kinds = f" ({_escape(kinds)})" if kinds else ""
    return [
        _escape(recipe),
        _distinct(records, _data),
        _stacked(_escape(name) + kinds for name in readouts) or q.NONE,
        _stacked(_spread(records, name) for name in readouts) or q.NONE,
        _stacked(_mean(_errors(records, "validation_error", name)) for name in readouts) or q.NONE,
        _distinct(records, lambda record: q.count(record["epochs"])),
        _pace(records),
        _distinct(records, _hardware),
        _distinct(records, _commit),
        _code(records[0]["command"]) if records[0]["command"] else q.NONE,
    ]


def _errors(records: Iterable[Record], key: str, readout: str) -> list[float]:
    found = [q.number(mapping(record, key).get(readout)) for record in records]
    return [100 * error for error in found if error is not None]


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.2f}" if values else q.NONE


def _spread(records: Sequence[Record], readout: str) -> str:
    values = _errors(records, "test_error", readout)
    if len(values) < 2:
        return f"{_mean(values)} (n = {len(values)})"
    each = ", ".join(f"{value:.2f}" for value in values)
    return f"{_mean(values)} ± {statistics.stdev(values):.2f} (n = {len(values)}: {each})"


def _pace(records: Iterable[Record]) -> str:
    paces = []
    for record in records:
        spent = q.number(mapping(record, "cost").get("train_seconds"))
        epochs = q.number(record["epochs"])
        if spent is not None and epochs:
            paces.append(spent / epochs)
    return f"{statistics.fmean(paces):.3g}" if paces else q.NONE


def _data(record: Record) -> str:
    data = mapping(record, "data")
    note = data.get("note")
    return q.text(data.get("name")) + (f" ({note})" if note else "")


def _hardware(record: Record) -> str:
    machine = mapping(record, "machine")
    told = [q.text(machine.get("device")), q.text(machine.get("processor"))]
    if machine.get("threads") is not None:
        told.append(f"{machine['threads']} threads")
    return ", ".join(part for part in dict.fromkeys(told) if part != q.NONE) or q.NONE


def _commit(record: Record) -> str:
    commit = mapping(record, "commit")
    changed = " with changes" if commit.get("clean") is False else ""
    return f"{str(commit['id'])[:10]}{changed}" if commit.get("id") else q.NONE


def _distinct(records: Iterable[Record], tell: Callable[[Record], str]) -> str:
    return _stacked(_escape(text) for text in dict.fromkeys(tell(record) for record in records))


def _stacked(lines: Iterable[str]) -> str:
    return "<br>".join(lines)


def _escape(text: Any) -> str:
    """Text that stays inside its cell of a Markdown table, and stays text."""
    plain = " ".join(str(text).split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _code(text: Any) -> str:
    # Inside a code span Markdown decodes no entities, and GitHub's tables still want \\|.
    return "`" + " ".join(str(text).split()).replace("`", "'").replace("|", "\\|") + "`"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
