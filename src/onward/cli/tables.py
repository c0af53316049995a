"""``onward table NAME``: make the runs of a table that are missing, and write its page."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, nearest

if TYPE_CHECKING:
    from ..recipes.tables import Row, Table


def add_flags(verb: argparse.ArgumentParser) -> None:
    """The verb's words."""
    told = (
        "uff, collaboration, theta, goodness, phases, blackbox, hinton, federation, cost, or "
        "anyone's module:attribute"
    )
    verb.add_argument("name", metavar="NAME", help=told)
    add_shared(verb)
    verb.add_argument(
        "--set", metavar='"NAME VALUE"', nargs="+", help="settings for all rows that have them"
    )


def add_shared(verb: argparse.ArgumentParser) -> None:
    """What says which runs are made, how, and where."""
    verb.add_argument(
        "--only",
        metavar="TEXT",
        nargs="+",
        help="rows with one of these in a name; =NAME is that row alone",
    )
    add_running(verb)
    verb.add_argument("--out", metavar="DIR", type=Path, default=Path("runs"), help="runs (runs)")
    verb.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        default=Path("results"),
        help="records, page and figures (results)",
    )
    verb.add_argument("--dry", action="store_true", help="say what would be run, and what is done")
    verb.add_argument("--write", action="store_true", help="write the page from what is done")


def add_running(verb: argparse.ArgumentParser) -> None:
    """With which seeds, and how, runs are made."""
    verb.add_argument("--seeds", metavar="0-2|0,1", default="0-2", help="of every row (0-2)")
    verb.add_argument("--jobs", metavar="N", default="1", help="runs at a time (1)")
    verb.add_argument("--threads", metavar="N", default="1", help="threads of each run (1)")
    verb.add_argument("--device", metavar="auto|cpu|cuda", default="auto", help="where to compute")
    verb.add_argument(
        "--precision", metavar="fp32|tf32|bf16", default="fp32", help="of products (fp32)"
    )
    verb.add_argument("--data", metavar="PATH", help="folder of the data sets' folders")


def run(given: argparse.Namespace) -> int:
    """Run what is missing, then write the page. Returns 1 where a run has failed."""
    from ..recipes import tables

    table = tables.find(given.name)
    return make(table, given, _settings(table, given.set or []))


def make(table: "Table", given: argparse.Namespace, more: dict[str, Any]) -> int:
    """The missing runs of a table, as :func:`add_shared` flags say, and its page."""
    from ..plan import Machine
    from ..recipes import table_runs as runs
    from ..recipes import tables

    rows = runs.chosen(table.rows, given.only or [])
    seeds = runs.seeds(given.seeds)
    if not given.threads.isdecimal():
        raise BadInput(f"--threads wants a number of threads, and is {given.threads!r}")
    Machine(given.device, given.precision, int(given.threads)).resolve()
    how = runs.How(int(given.threads), given.device, given.data, given.precision)
    at_once = runs.at_once(given.jobs)
    jobs = runs.survey(rows, seeds, given.out, given.results, more, given.precision)
    if given.dry:
        print(runs.plan(jobs, how))
        return 0
    failed = []
    if not given.write:
        try:
            failed = runs.run(jobs, how, at_once, _say)
        except KeyboardInterrupt:
            print("onward: stopped; the same command goes on", file=sys.stderr)
            return 130
    if tables.gather(table, given.results):
        print(tables.write(table, given.results, given.out))
    else:
        print(f"no record of this table lies in {given.results}: no page is written")
    for job, why in failed:
        print(f"onward: {job.name} failed: {why}", file=sys.stderr)
    return 1 if failed else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _settings(table: "Table", pairs: list[str]) -> dict[str, Any]:
    """Settings written "NAME VALUE" as typed values. Raises BadInput where no row has one."""
    from ..recipes import find
    from .settings import value_of

    found: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.strip().replace("=", " ", 1).partition(" ")
        if not value.strip():
            raise BadInput(f'--set wants "NAME VALUE", and one is {pair!r}')
        if name in table.fixed:
            raise BadInput(
                f"--set: rows of the table {table.name} are what they are by their {name}. Copy "
                "its file to a table of your own (docs/tutorials/a_table.md), or take `onward "
                "sweep`"
            )
        having = {row.recipe: row for row in table.rows if name in _names(row)}
        if not having:
            known = {setting for row in table.rows for setting in _names(row)}
            raise BadInput(f"--set: no row has a setting {name!r}: {nearest(name, known)}")
        for recipe in having:
            found[name] = value_of(find(recipe), recipe, name, value.strip())
    return found


def _names(row: "Row") -> list[str]:
    from ..recipes import find

    return [field.name for field in dataclasses.fields(find(row.recipe).defaults)]
