"""Tables of papers: rows of recipes, each over several seeds, and the page their records make.

A table says which runs it wants and how their finished records read as one page with figures.
table_runs.py makes the runs; records lie in results/ROW/seed-N.json and nowhere else, so a page can
be written again at any time, with rows missing too.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import named
from ..errors import BadInput, nearest
from ..files import write_atomically
from ..record import Record, read
from ..report import restored
from . import find as find_recipe

MODULES = {
    "uff": "uff_table",
    "collaboration": "collab_table",
    "theta": "theta_table",
    "goodness": "goodness_table",
    "blackbox": "blackbox_table",
    "phases": "phases_table",
    "hinton": "hinton_table",
    "federation": "federation_table",
    "cost": "cost",
}
"""Table -> the file it is in."""

Records = Mapping[str, Sequence[Record]]
"""By row, its finished records, by seed."""


@dataclass(frozen=True)
class Row:
    """One row: the folder of its records under results/, a recipe, and what it changes of it.

    With ``terms`` it is federated, on these and otherwise the usual ones. Where it ``may_diverge``,
    a run that does is a result like any other.
    """

    name: str
    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)
    may_diverge: bool = False

    def over(self, record: Record) -> bool:
        """Whether a run of this row is at its end."""
        status = record["status"]
        return status == "finished" or (self.may_diverge and status == "diverged")

    def settings(self, more: Mapping[str, Any] | None = None) -> Any:
        """The row's settings; of ``more``, those that its recipe has, win."""
        defaults = find_recipe(self.recipe).defaults
        known = {f.name for f in dataclasses.fields(defaults)}
        asked = {k: v for k, v in (more or {}).items() if k in known}
        return dataclasses.replace(defaults, **{**self.changes, **asked})


@dataclass(frozen=True)
class Table:
    """Rows, and what their records are read as.

    ``page`` turns the records, and the names of the figures that there are, into Markdown;
    ``figures`` makes pictures from records, by file name. Both work with any rows missing. Of the
    rows ``pictured``, what the cells of the lowest seed at hand restore is shown too. ``reads`` are
    rows of other tables that this page reads and does not run. ``fixed`` are settings that make a
    row what its name says, so that nobody may set them for all rows.
    """

    name: str
    rows: Sequence[Row]
    page: Callable[[Records, Collection[str]], str]
    figures: Callable[[Records], Mapping[str, bytes]] = lambda records: {}
    pictured: Collection[str] = ()
    reads: Sequence[Row] = ()
    fixed: Collection[str] = ()


def find(name: str) -> Table:
    """A table by its name, or anyone's by ``module:attribute``.

    >>> len(find("uff").rows) > 40
    True
    """
    if ":" in name:
        found = named.find(name)
        if not isinstance(found, Table):
            raise BadInput(f"{name} should be a Table, and is a {type(found).__name__}")
        return found
    if name not in MODULES:
        raise BadInput(f"there is no table {name!r}: {nearest(name, MODULES)}")
    found = import_module("." + MODULES[name], __package__).table
    assert isinstance(found, Table)
    return found


def gather(table: Table, results: Path) -> dict[str, list[Record]]:
    """The records of a table's rows, at their end, that lie in a folder of results, by seed.

    Raises BadInput for a file that is no record, or not of its row and seed, and for a row whose
    records differ in more than their seeds.
    """
    found: dict[str, list[Record]] = {}
    for row in (*table.rows, *table.reads):
        records = []
        for path in (results / row.name).glob("seed-*.json"):
            record = read(path)
            if record["recipe"] != row.recipe or path.stem != f"seed-{record['seed']}":
                raise BadInput(
                    f"{path} holds {record['recipe']}, seed {record['seed']}, and its place is "
                    f"that of {row.recipe}: move it away"
                )
            if row.over(record):
                records.append(record)
        if records:
            found[row.name] = sorted(records, key=lambda record: int(record["seed"]))
            _refuse_mixture(found[row.name], results / row.name)
    return found


def _refuse_mixture(records: Sequence[Record], folder: Path) -> None:
    """A mean is over seeds, and over nothing else."""
    first = records[0]
    for record in records[1:]:
        names = first["settings"].keys() & record["settings"].keys()
        differ = [n for n in names if first["settings"][n] != record["settings"][n]]
        if first["data"]["fingerprint"] != record["data"]["fingerprint"]:
            differ.append("the data")
        if precision_of(first) != precision_of(record):
            differ.append("precision")
        if differ:
            raise BadInput(
                f"{folder} mixes runs: seeds {first['seed']} and {record['seed']} differ in "
                f"{', '.join(sorted(differ))}; keep those of one kind"
            )


def precision_of(record: Record) -> str:
    """The precision that a record's products were taken in."""
    return str(record["machine"].get("precision", "fp32"))


def departures(record: Record, settings: Any) -> dict[str, tuple[Any, Any]]:
    """Settings in which a record differs from others: name -> (the record's, the other).

    A setting younger than the record is not looked at.
    """
    wanted = json.loads(json.dumps(dataclasses.asdict(settings)))
    return {
        name: (value, wanted[name])
        for name, value in record["settings"].items()
        if name in wanted and value != wanted[name]
    }


def page(table: Table, results: Path) -> str:
    """A table's page from the records in ``results``, with the figures that lie beside it."""
    records = gather(table, results)
    parts = [
        table.page(records, figures_in(table, results)),
        _narrower(table, records),
        _departed(table, records),
    ]
    return "\n".join(part for part in parts if part)


def _narrower(table: Table, records: Records) -> str:
    """Rows whose products were not taken in fp32."""
    rows: dict[str, list[str]] = {}
    for row in table.rows:
        for record in records.get(row.name, ())[:1]:
            if (precision := precision_of(record)) != "fp32":
                rows.setdefault(precision, []).append(f"`{row.name}`")
    told = [
        f"In {precision}, factors of products rounded to it, all else fp32 (docs/cost.md): "
        f"{', '.join(names)}."
        for precision, names in rows.items()
    ]
    return "\n".join(["## Precision", "", *told, ""]) if told else ""


def _departed(table: Table, records: Records) -> str:
    """Rows that were run with other settings than the table's own, so that nobody has to look."""
    lines = []
    for row in table.rows:
        for record in records.get(row.name, ())[:1]:
            differ = departures(record, row.settings())
            told = ", ".join(f"{k} {was} (here {own})" for k, (was, own) in differ.items())
            lines += [f"* `{row.name}`: {told}"] if told else []
    if not lines:
        return ""
    return "\n".join(["## Settings other than the table's", "", *lines, ""])


def figures_in(table: Table, results: Path) -> set[str]:
    """The names of the figures of a table that there are."""
    return {p.name for p in (results / table.name).glob("*.*") if p.suffix in (".svg", ".png")}


def write(table: Table, results: Path, runs: Path | None = None) -> Path:
    """Write ``results``/NAME.md and its figures in ``results``/NAME/; returns the page's path.

    ``runs`` is where the runs are: what their cells restore is not in their records.
    """
    records = gather(table, results)
    place = results / table.name
    drawn = {**table.figures(records), **_sheets(table, records, runs)}
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{place} can't be made ({error.strerror}): name other --results") from error
    for name, content in drawn.items():
        write_atomically(place / name, content)
    path = results / f"{table.name}.md"
    write_atomically(path, page(table, results).encode())
    return path


def _sheets(table: Table, records: Records, runs: Path | None) -> dict[str, bytes]:
    """What cells restore, of the pictured rows whose runs are at hand and are those recorded."""
    found = {}
    for row in table.pictured if runs is not None else ():
        for record in records.get(row, ()):
            folder = Path(runs or "", row, f"seed-{record['seed']}")
            try:
                same = read(folder)["started"] == record["started"]
            except BadInput:
                continue
            if same and (drawn := restored.sheet(folder)):
                found[f"{row}.png"] = drawn
                break
    return found
