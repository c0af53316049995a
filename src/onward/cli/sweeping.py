"""``onward sweep RECIPE --grid NAME=V,V ...``: every combination with every seed, and a table."""

import argparse
import dataclasses
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, nearest
from . import tables

if TYPE_CHECKING:
    from ..recipes import Recipe


def add_flags(verb: argparse.ArgumentParser) -> None:
    """The verb's words."""
    verb.add_argument("recipe", metavar="RECIPE", help="its name, or anyone's module:attribute")
    verb.add_argument(
        "--grid", metavar="NAME=V,V", nargs="+", default=[], help="settings, each with its values"
    )
    tables.add_running(verb)
    verb.add_argument("--out", metavar="DIR", type=Path, help="runs/sweep-RECIPE")
    verb.add_argument("--dry", action="store_true", help="say what would be run, and what is done")


def run(given: argparse.Namespace) -> int:
    """Run what is missing, then print the table. Returns 1 where a run has failed."""
    from ..recipes import find
    from ..recipes.sweep_page import sweep_table

    recipe = find(given.recipe)
    table = sweep_table(given.recipe, grid(recipe, given.recipe, given.grid))
    out = given.out or Path("runs", f"sweep-{recipe.name}")
    # Records lie beside the folders of their runs: OUT/ROW/seed-N.json and OUT/ROW/seed-N.
    given.out, given.results, given.only, given.write = out, out, None, False
    code = tables.make(table, given, {})
    if not given.dry and code != 130:
        print((out / f"{table.name}.md").read_text(), end="")
    return code


def grid(recipe: "Recipe", name: str, words: list[str]) -> list[dict[str, Any]]:
    """Every combination of settings written NAME=V,V; [{}], the recipe as it is, without any.

    Values are of the setting's type; those of a list are written NAME=[1,2],[3,4].
    Raises BadInput for a setting that the recipe does not have, or that comes twice or without a
    value, and for a value that it can't have.
    """
    from ..recipes.limits import unheard
    from .settings import value_of

    known = [field.name for field in dataclasses.fields(recipe.defaults)]
    found: dict[str, list[Any]] = {}
    for word in words:
        setting, equals, text = word.partition("=")
        if setting not in known:
            raise BadInput(f"--grid: {name} has no setting {setting!r}: {nearest(setting, known)}")
        values = re.split(r",(?![^\[]*\])", text)  # commas outside of brackets
        if not equals or not all(value.strip() for value in values):
            raise BadInput(f"--grid wants NAME=VALUE,VALUE,..., and one is {word!r}")
        if setting in found:
            raise BadInput(
                f"--grid names {setting} twice: write all its values behind one {setting}="
            )
        typed: list[Any] = []
        for value in values:
            taken = value_of(recipe, name, setting, value.strip())
            if taken not in typed:
                typed.append(taken)
        found[setting] = typed
    points = [dict(zip(found, point, strict=True)) for point in product(*found.values())]
    for point in points:
        unheard(dataclasses.replace(recipe.defaults, **point), recipe.defaults)
    return points
