"""A recipe's settings as typed flags and YAML files: ``onward run RECIPE --config FILE --FLAG V``.

jsonargparse reads the types from the recipe's dataclass; this file only names what it found wrong
in words of our own.
"""

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from ..errors import BadInput, nearest
from ..recipes import Recipe

OWN = ("config", "print_config", "seed", "device", "precision", "threads", "data", "out", "twin")


def run_parser(recipe: Recipe, name: str) -> ArgumentParser:
    """The parser of ``onward run RECIPE``."""
    parser = ArgumentParser(
        prog=f"onward run {name}",
        description=recipe.claim,
        exit_on_error=False,
        default_env=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of settings; flags win")
    parser.add_argument("--data", type=str | None, help="folder in the original layout, or .npz")
    parser.add_argument("--out", type=str | None, help="folder of the run (runs/RECIPE/seed-N)")
    parser.add_argument("--seed", type=int, default=0, help="all generators derive from it")
    parser.add_argument("--device", type=_choice("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", type=_choice("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int | None, help="threads of the processor to use")
    if recipe.twin:
        parser.add_argument(
            "--twin", action="store_true", help=f"also run {recipe.twin} into OUT/twin"
        )
    parser.add_class_arguments(type(recipe.defaults), fail_untyped=False)
    parser.set_defaults(dataclasses.asdict(recipe.defaults))
    return parser


def parse(recipe: Recipe, name: str, words: Sequence[str]) -> tuple[Any, Namespace]:
    """(settings of the recipe, everything else).  Raises BadInput in one line."""
    parser = run_parser(recipe, name)
    names = [field.name for field in dataclasses.fields(recipe.defaults)]
    _refuse_missing_config(words)
    try:
        given = parser.parse_args(list(words))
    except ArgumentError as error:
        raise BadInput(_in_words(str(error), [*names, *OWN], name)) from error
    settings = type(recipe.defaults)(**{name: given[name] for name in names})
    return settings, given


def describe(settings: Any) -> list[tuple[str, str, str, str]]:
    """(name, type, default, meaning) of every setting, the meaning from the class docstring."""
    text = type(settings).__doc__ or ""
    meanings = dict(re.findall(r"^ {8}(\w+): (.+)$", text, flags=re.MULTILINE))
    rows = []
    for field in dataclasses.fields(settings):
        kind = field.type if isinstance(field.type, str) else _type_name(field.type)
        value = getattr(settings, field.name)
        rows.append((field.name, kind, _shown(value), meanings.get(field.name, "")))
    return rows


def _choice(*names: str) -> Any:
    from typing import Literal

    return Literal[names]


def _type_name(kind: Any) -> str:
    args = getattr(kind, "__args__", ())
    if getattr(kind, "__origin__", None) is not None and "Literal" in str(kind):
        return " | ".join(map(str, args))
    return (
        str(getattr(kind, "__name__", kind)).replace("None", "null")
        if not args
        else " | ".join("null" if a is type(None) else _type_name(a) for a in args)
        if getattr(kind, "__origin__", None) is not list
        else f"list of {_type_name(args[0])}"
    )


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _refuse_missing_config(words: Sequence[str]) -> None:
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        name, _, inline = flag.partition("=")
        if name == "--config" and not Path(inline or value).is_file():
            raise BadInput(f"--config wants a YAML file, and {inline or value!r} is none")


def _in_words(message: str, valid: list[str], recipe: str) -> str:
    """jsonargparse's message, said in one line with the setting's name first."""
    if found := re.search(r"(?:Unrecognized arguments|unrecognized arguments): (.*)", message):
        flag = found[1].split()[0]
        if not flag.startswith("-"):
            return f"{flag!r} is not a flag: settings are written --NAME VALUE"
        came = flag.lstrip("-").split("=")[0]
        return f"{recipe} has no setting {came!r}: {nearest(came, valid)}"
    keyed = r"(?:Key|key|option|Option) ['\"]?([\w.]+)['\"]? (?:is not expected|not)"
    if found := re.search(keyed, message):
        return f"{recipe} has no setting {found[1]!r}: {nearest(found[1], valid)}"
    if found := re.search(r"Parser key \"([\w.]+)\"", message):
        return _bad_value(found[1], message)
    if found := re.search(r"argument --([\w.]+): (.*)", message, flags=re.DOTALL):
        return _bad_value(found[1], message)
    return " ".join(message.split())


def _bad_value(key: str, message: str) -> str:
    value = re.search(r"(?:Got value|given value|value)[: ]+(.+?)(?:$|\n|\. )", message)
    wanted = re.search(r"Expected an? (.+?)(?:\. Got|$|\n)", message)
    options = re.findall(r"Literal\[([^\]]+)\]", message)
    came = value[1].strip() if value else "not that"
    if options:
        names = [name.strip().strip("'\"") for name in options[0].split(",")]
        return f"{key} should be one of {', '.join(names)}, and is {came}: " + nearest(
            came.strip("'\""), names
        )
    what = wanted[1].strip("<>") if wanted else "another type"
    kinds = {"class 'int'": "a whole number", "class 'float'": "a number", "class 'str'": "text"}
    return f"{key} should be {kinds.get(what, what)}, and is {came}"


def print_help(recipe: Recipe, name: str) -> None:
    """The flags of a recipe."""
    run_parser(recipe, name).print_help(sys.stdout)
