"""``onward federate``: a recipe's cells across data owners."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from ..errors import BadInput, nearest
from .verbs import see_through

HELP = """\
usage: onward federate RECIPE [--clients N] [--rounds N] [--partition KIND] [--SETTING VALUE ...]

Train a recipe's cells across data owners: each trains what it is sent on its own samples, and the
server takes the mean, cell by cell. Here all clients are in one process, each with its part of the
training samples; docs/federation.md has the way to hosts of their own (`onward federate init`).

A stage's epochs are those of every client, in as many rounds (--epochs 12 --rounds 12: one each).
Under the schedule simultaneous all cells travel in each round; under greedy (uff-*: --regime
separate) one after another, and only the one that learns. One client and one round are the run
that `onward run` makes, bit for bit. Nothing runs beside a federation, no controls either.

"""


def run(given: argparse.Namespace) -> int:
    """Federate a recipe; or write what hosts of their own need."""
    from .. import recipes
    from . import settings as cli_settings

    words: list[str] = list(given.words)
    if not words or words[0] in ("-h", "--help"):
        print(HELP + _flags(), end="")
        return 0
    name, *rest = words
    if name == "init":
        from .deploying import run as deploy

        return deploy(rest)
    if name.startswith("-"):
        raise BadInput(
            f"`onward federate` wants a recipe first, and got {name}: onward federate RECIPE ..."
        )
    recipe = recipes.find(name)
    if "-h" in rest or "--help" in rest:
        print(HELP + _flags())
        cli_settings.print_help(recipe, name)
        return 0
    from .. import federated
    from ..plan import Machine
    from ..progress import progress_for

    terms, rest = terms_of(recipe, rest)
    settings, flags = cli_settings.parse(recipe, name, rest)
    if flags.get("twin", False):
        raise BadInput("a federation runs nothing beside it: leave --twin out")
    machine = Machine(flags.device, flags.precision, flags.threads or 1, flags.fast)
    out = Path(flags.out or Path("runs", f"{recipe.name}-federated", f"seed-{flags.seed}"))

    def train() -> None:
        federated.start(
            recipe,
            settings,
            terms,
            seed=flags.seed,
            machine=machine,
            out=out,
            data_path=flags.data,
            progress=progress_for(sys.stderr),
            name=name,
            tell=lambda line: print(f"onward: {line}", file=sys.stderr),
        )

    return see_through(train, out)


def terms_of(recipe: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The federation's own flags, as its terms, and the words that are the recipe's."""
    from ..federated.terms import NO_SECURE_AGGREGATION, Federation
    from . import settings as cli_settings

    own = {field.name for field in dataclasses.fields(Federation)}
    mine, rest = cli_settings.apart(words, own)
    known = cli_settings.names(recipe)
    for word in rest:
        flag = word.removeprefix("--").partition("=")[0]
        if flag in ("secure_aggregation", "secagg"):
            raise BadInput(NO_SECURE_AGGREGATION)
        if word.startswith("--") and flag not in known:
            near = nearest(flag, [*own, *known])
            raise BadInput(f"{recipe.name} has no setting {flag!r}, nor a federation: {near}")
    taken = own & {field.name for field in dataclasses.fields(recipe.defaults)}
    if taken:
        raise BadInput(
            f"{recipe.name} has a setting called {sorted(taken)[0]}, and so has every federation: "
            "rename it"
        )
    # The terms are read as a recipe's settings are.
    as_recipe = dataclasses.replace(recipe, defaults=Federation(), twin=None, controls={})
    found, _ = cli_settings.parse(as_recipe, "a federation", mine)
    return found, rest


def _flags() -> str:
    from ..federated.terms import Federation
    from . import settings as cli_settings

    rows = cli_settings.describe(Federation())
    return "".join(f"  --{name:<18}{text} ({value}; {kind})\n" for name, kind, value, text in rows)
