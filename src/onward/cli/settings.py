"""A recipe's settings as typed flags and YAML files: ``onward run RECIPE --config FILE --FLAG V``.

jsonargparse reads the types from the recipe's dataclass, converts and prints. What a user got wrong
is found here, from names and values and never from the text of another library's message: names
first, then, where a value was refused, by trying the values one by one.
"""

import dataclasses
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from ..errors import BadInput, nearest
from ..recipes import Recipe
from ..recipes.limits import unheard

OWN: dict[str, tuple[Any, Any, str]] = {
    "data": (str | None, None, "folder in the original layout, .npz, .csv or text"),
    "out": (str | None, None, "folder of the run (runs/RECIPE/seed-N)"),
    "seed": (int, 0, "all generators derive from it"),
    "device": (Literal["auto", "cpu", "cuda"], "auto", "where to compute"),
    "precision": (
        Literal["fp32", "tf32", "bf16"],
        "fp32",
        "of matrix products; weights are fp32",
    ),
    "threads": (int | None, None, "threads of the processor to use"),
    "fast": (Literal["auto", "off"], "auto", "closed forms where they apply, or autograd only"),
}
"""Flags that every recipe has: name -> type, default, meaning."""

SWITCHES = ("twin", "alone")
"""Flags without a value."""


def _switches(recipe: Recipe) -> dict[str, str]:
    """Those that a recipe has, with their meaning."""
    found = {"twin": f"also run {recipe.twin} into OUT/twin"} if recipe.twin else {}
    if recipe.twin == recipe.name:
        found = {"twin": "also run end-to-end backprop, its yardstick, into OUT/twin"}
    if recipe.controls:
        names = " and ".join(recipe.controls)
        found["alone"] = f"leave out the controls ({names}) that else run into OUT"
    return found


def run_parser(recipe: Recipe, name: str) -> ArgumentParser:
    """The parser of ``onward run RECIPE``."""
    parser = ArgumentParser(
        prog=f"onward run {name}",
        description=recipe.claim,
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of settings; flags win")
    for flag, (kind, default, meaning) in OWN.items():
        parser.add_argument(f"--{flag}", type=kind, default=default, help=meaning)
    for switch, meaning in _switches(recipe).items():
        parser.add_argument(f"--{switch}", action="store_true", help=meaning)
    parser.add_class_arguments(type(recipe.defaults), fail_untyped=False)
    parser.set_defaults(dataclasses.asdict(recipe.defaults))
    return parser


def parse(recipe: Recipe, name: str, words: Sequence[str]) -> tuple[Any, Namespace]:
    """(settings of the recipe, everything else).  Raises BadInput in one line.

    What nothing would look at is refused.
    """
    settings, given = _parsed(recipe, name, words)
    unheard(settings, recipe.defaults)
    return settings, given


def value_of(recipe: Recipe, name: str, setting: str, written: str) -> Any:
    """One value of one setting, of its type.  Raises BadInput where it can't have it."""
    settings, _ = _parsed(recipe, name, [f"--{setting}={written}"])
    return getattr(settings, setting)


def _parsed(recipe: Recipe, name: str, words: Sequence[str]) -> tuple[Any, Namespace]:
    kinds = _kinds(recipe, name)
    flags = _flags(words, [*kinds, "config", "print_config"], name)
    files = [(flag, value) for flag, value in flags if flag == "config"]
    rest = [(flag, _listed(kinds.get(flag), value)) for flag, value in flags if flag != "config"]
    from_files = [pair for _, value in files for pair in _file(value, list(kinds), name)]
    try:
        # Files first, so that flags win wherever they stand.
        given = run_parser(recipe, name).parse_args([_word(*pair) for pair in [*files, *rest]])
    except (ArgumentError, TypeError, ValueError) as error:
        for flag, value in [*from_files, *rest]:
            if not _fits(recipe, name, flag, value):
                raise BadInput(_bad_value(flag, kinds[flag], value)) from error
        raise BadInput(" ".join(str(error).split())) from error
    names = [field.name for field in dataclasses.fields(recipe.defaults)]
    return type(recipe.defaults)(**{name: given[name] for name in names}), given


def parse_relay(words: Sequence[str]) -> Namespace:
    """The flags of a relay's later parts, whose settings are in a file.  Raises BadInput."""
    own = {flag: OWN[flag] for flag in ("data", "out", "device", "precision", "threads")}
    own["recipe"] = (str | None, None, "a recipe of your own")
    own["signed_by"] = (str | None, None, "public keys of those whose files are taken")
    return _few(words, own, "onward relay on latents")


def parse_join(words: Sequence[str]) -> tuple[Namespace, list[str]]:
    """The flags of a relay's join, and the folders among them.  Raises BadInput."""
    own = {flag: OWN[flag] for flag in ("data", "out", "device", "threads")}
    own["recipe"] = (str | None, None, "a recipe of your own")
    mine, rest = apart(words, own)
    _flags([word for word in rest if word.startswith("-")], list(own), "onward relay join")
    return _few(mine, own, "onward relay join"), rest


def _few(words: Sequence[str], own: dict[str, tuple[Any, Any, str]], who: str) -> Namespace:
    """These flags and no others."""
    parser = ArgumentParser(exit_on_error=False, default_env=False, allow_abbrev=False)
    for flag, (kind, default, meaning) in own.items():
        parser.add_argument(f"--{flag}", type=kind, default=default, help=meaning)
    pairs = _flags(words, list(own), who)
    for flag, value in pairs:
        try:
            parser.parse_args([_word(flag, value)])
        except (ArgumentError, TypeError, ValueError) as error:
            raise BadInput(_bad_value(flag, own[flag][0], value)) from error
    return parser.parse_args([_word(*pair) for pair in pairs])


def describe(settings: Any) -> list[tuple[str, str, str, str]]:
    """(name, type, default, meaning) of every setting, the meaning from the class docstring."""
    text = type(settings).__doc__ or ""
    meanings = dict(re.findall(r"^ {8}(\w+): (.+)$", text, flags=re.MULTILINE))
    kinds = get_type_hints(type(settings))
    rows = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        shown = "null" if value is None else str(value)
        rows.append((field.name, _type(kinds[field.name]), shown, meanings.get(field.name, "")))
    return rows


def describe_flags(recipe: Recipe) -> list[tuple[str, str, str]]:
    """(flag, default, meaning) of what is no setting, as the recipe has it."""
    rows = [("--config", "", "YAML file of settings; flags win (FILE)")]
    for flag, (kind, default, meaning) in OWN.items():
        told = _type(kind).removesuffix(" | null")
        rows.append((f"--{flag}", "" if default is None else str(default), f"{meaning} ({told})"))
    return rows + [(f"--{switch}", "", text) for switch, text in _switches(recipe).items()]


def print_help(recipe: Recipe, name: str) -> None:
    """The flags of a recipe."""
    run_parser(recipe, name).print_help(sys.stdout)


def apart(words: Sequence[str], own: Collection[str]) -> tuple[list[str], list[str]]:
    """The words of these flags, with their values, and all others.

    >>> apart(["--lr", "1", "--clients=3", "--twin"], {"clients"})
    (['--clients=3'], ['--lr', '1', '--twin'])
    """
    mine: list[str] = []
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, inline, _ = word.removeprefix("--").partition("=")
        goes = mine if word.startswith("--") and flag in own else rest
        goes.append(word)
        if not inline and waiting and not waiting[0].startswith("--"):
            goes.append(waiting.pop(0))
    return mine, rest


def names(recipe: Recipe) -> list[str]:
    """Every flag that a recipe knows."""
    return [*_kinds(recipe, recipe.name), "config", "print_config", "help"]


def _kinds(recipe: Recipe, name: str) -> dict[str, Any]:
    """Every name that can be set, by flag or in a file, with its type."""
    hints = get_type_hints(type(recipe.defaults))
    settings = {field.name: hints[field.name] for field in dataclasses.fields(recipe.defaults)}
    own: dict[str, Any] = {flag: kind for flag, (kind, _, _) in OWN.items()}
    own |= dict.fromkeys(_switches(recipe), bool)
    if taken := sorted(settings.keys() & {*own, "config", "print_config"}):
        raise BadInput(f"{name} has a setting called {taken[0]}, and so has every run: rename it")
    return {**own, **settings}


def _flags(words: Sequence[str], valid: list[str], recipe: str) -> list[tuple[str, str | None]]:
    """Flags with their values; None for a flag that stands alone. Raises BadInput for names."""
    found: list[tuple[str, str | None]] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            raise BadInput(f"{word!r} is not a flag: settings are written --NAME VALUE")
        flag, inline, value = word.lstrip("-").partition("=")
        if flag not in valid or not word.startswith("--"):
            raise BadInput(f"{recipe} has no setting {flag!r}: {nearest(flag, valid)}")
        if flag in (*SWITCHES, "print_config"):
            if inline and flag in SWITCHES:
                raise BadInput(f"{flag} takes no value: write --{flag}, or leave it out")
            found.append((flag, value if inline else None))
        elif inline:
            found.append((flag, value))
        elif waiting and not waiting[0].startswith("--"):
            found.append((flag, waiting.pop(0)))
        else:
            raise BadInput(f"{flag} wants a value, and none came: write --{flag} VALUE")
    return found


def _listed(kind: Any, value: str | None) -> str | None:
    """A value as its type is written: the brackets of a list may be left out.

    >>> _listed(list[int], "500,200"), _listed(list[int] | None, "null"), _listed(int, "500")
    ('[500,200]', 'null', '500')
    """
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    bare = value is not None and re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", value)
    return f"[{value}]" if bare and any(get_origin(k) is list for k in kinds) else value


def _word(flag: str, value: str | None) -> str:
    return f"--{flag}" if value is None else f"--{flag}={value}"


def _file(path: str | None, valid: list[str], recipe: str) -> list[tuple[str, str | None]]:
    """The settings in a YAML file, each as one would write it behind its flag."""
    if not path or not Path(path).is_file():
        raise BadInput(f"--config wants a YAML file, and there is none at {path or 'that place'!r}")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, RecursionError) as error:
        why = " ".join(str(error).split())
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            why = f"line {error.problem_mark.line + 1}: {error.problem}"
        raise BadInput(f"{path} can't be read as YAML ({why}): wanted lines NAME: VALUE") from error
    if not isinstance(content, dict):
        came = "nothing" if content is None else f"a {type(content).__name__}"
        raise BadInput(f"{path} should hold lines NAME: VALUE, and holds {came}")
    for name in content:
        if name not in valid:
            raise BadInput(f"{path}: {recipe} has no setting {name!r}: {nearest(str(name), valid)}")
    for name in SWITCHES:
        if not isinstance(content.get(name, False), bool):
            raise BadInput(f"{path}: {name} should be true or false, and is {content[name]!r}")
    return [(name, _plain(value)) for name, value in content.items()]


def _plain(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("...\n").strip()


def _fits(recipe: Recipe, name: str, flag: str, value: str | None) -> bool:
    """Whether a value is accepted where it is the only one."""
    if flag in SWITCHES:
        return True
    try:
        run_parser(recipe, name).parse_args([_word(flag, value)])
    except (ArgumentError, TypeError, ValueError):
        return False
    return True


def _bad_value(flag: str, kind: Any, value: str | None) -> str:
    choices = [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []
    if choices:
        return f"{flag} can't be {value!r}: {nearest(value or '', choices)}"
    return f"{flag} should be {_in_words(kind)}, and is {value!r}"


def _type(kind: Any) -> str:
    """A type as the settings' table shows it: ``float | null``, ``list of int``, ``sgd | adamw``.

    >>> _type(float | None), _type(list[int] | None), _type(Literal["sgd", "adamw"])
    ('float | null', 'list of int | null', 'sgd | adamw')
    """
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(_type(inner) for inner in get_args(kind))
    if get_origin(kind) is Literal:
        return " | ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is list:
        return f"list of {_type(get_args(kind)[0])}"
    return "null" if kind is NoneType else str(getattr(kind, "__name__", kind))


def _in_words(kind: Any) -> str:
    """A type in a sentence.

    >>> _in_words(int), _in_words(float | None), _in_words(list[int] | None)
    ('a whole number', 'a number or null', 'a list like 1,2 or null')
    """
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_in_words(inner) for inner in get_args(kind))
    if get_origin(kind) is list:
        return "a list like 1,2"
    known = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return known.get(kind, _type(kind))
