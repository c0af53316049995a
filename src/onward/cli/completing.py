"""Completion in a shell, by argcomplete: verbs, recipes, flags, a recipe's settings, their values.

The shell runs ``onward`` with the line so far in the environment, and reads what could follow.
"""

import argparse
import dataclasses
import os
import shlex
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .. import recipes
from ..errors import BadInput


def complete(parser: argparse.ArgumentParser, verbs: dict[str, argparse.ArgumentParser]) -> None:
    """Answer the shell, and end the process."""
    import argcomplete  # the shell's hook comes with it

    from . import RECIPES

    line = _words(os.environ.get("COMP_LINE", ""))
    for verb in RECIPES:
        _rest_away(verbs[verb])
        verbs[verb].add_argument("recipe", choices=recipes.NAMES)
        if line[1:2] == [verb] and len(line) > 2:
            _add_settings(verbs[verb], verb, line[2])
    for action in [action for verb in verbs.values() for action in verb._actions]:
        told = str(action.metavar or "")  # what help shows of a choice: one|other
        known = recipes.NAMES if action.dest == "recipe" else told.split("|")
        if len(known) > 1:
            action.completer = lambda known=known, **_: known  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quotation that is not closed yet
        return line.split()


def _rest_away(parser: argparse.ArgumentParser) -> None:
    """The words that are left to a recipe's own parser, which is not asked here."""
    rest = [action for action in parser._actions if action.nargs == argparse.REMAINDER]
    for action in rest:
        parser._remove_action(action)


def _add_settings(parser: argparse.ArgumentParser, verb: str, name: str) -> None:
    """The recipe's flags, where it is known by now."""
    from . import settings as cli_settings

    try:
        recipe = recipes.find(name)
    except BadInput:
        return
    kinds: dict[str, Any] = {flag: kind for flag, (kind, _, _) in cli_settings.OWN.items()}
    owners = [recipe.defaults]
    if verb == "federate":
        from ..federated.terms import Federation

        owners.append(Federation())
    for owner in owners:
        hints = get_type_hints(type(owner))
        kinds |= {field.name: hints[field.name] for field in dataclasses.fields(owner)}
    for flag, kind in kinds.items():
        values = get_args(kind) if get_origin(kind) is Literal else None
        choices = {"choices": list(values)} if values else {}
        parser.add_argument(f"--{flag}", **choices)  # type: ignore[arg-type]
    for switch in (*cli_settings.SWITCHES, "help"):
        parser.add_argument(f"--{switch}", action="store_true")
