"""What a run's folder says of it: its recipe and settings, machine and data."""

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch

from .. import data, train
from ..data import Dataset
from ..errors import BadInput
from ..plan import Machine
from ..record import Record
from . import find
from .recipe import Recipe

TWIN = "twin"
"""The folder of the backprop twin, inside that of its run."""


def command(
    recipe: Recipe, name: str, settings: Any, seed: int, machine: Machine, verb: str = "run"
) -> str:
    """The command line that repeats a run: what differs from the recipe's own settings."""
    words = ["onward", *verb.split(), name]
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value != getattr(recipe.defaults, field.name):
            words += [f"--{field.name}", "null" if value is None else str(value)]
    words += ["--seed", str(seed)]
    for field in dataclasses.fields(machine):
        value = getattr(machine, field.name)
        if value != field.default and field.name != "threads":
            words += [f"--{field.name}", str(value)]
    # Always said: bits depend on it.
    words += ["--threads", str(machine.threads or torch.get_num_threads())]
    return shlex.join(words)


def recipe_of(record: Record, folder: Path) -> tuple[Recipe, Any]:
    """The recipe of a run's record, and its settings."""
    if record["recipe"] is None:
        raise BadInput(
            f"{folder} was made by onward.fit(), not by a recipe: only the program that built its "
            "cells can rebuild them (onward.fit(..., resume=True) goes on with it)"
        )
    recipe = find(record["recipe"])
    return recipe, settings_of(recipe, record["settings"], str(folder))


def settings_of(recipe: Recipe, values: dict[str, Any], where: str) -> Any:
    """A recipe's settings from JSON. Raises BadInput for names and values that it does not know."""
    known = {field.name for field in dataclasses.fields(recipe.defaults)}
    if unknown := sorted(values.keys() - known):
        raise BadInput(
            f"{where} has settings that {recipe.name} does not know: {', '.join(unknown)}; "
            "it was made by another version"
        )
    kinds = get_type_hints(type(recipe.defaults))
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            raise BadInput(f"{where}: the record's setting {name} can't be {value!r}")
    return dataclasses.replace(recipe.defaults, **values)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value from JSON is of a setting's type; types not known here are let pass."""
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, inner) for inner in get_args(kind))
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_fits(item, get_args(kind)[0]) for item in value)
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, kind) if kind in (str, bool, NoneType) else True


def machine_of(record: Mapping[str, Any], threads: int | None = None) -> Machine:
    """The machine settings of a run, for one like it, or one with other ``threads``."""
    device = "cpu" if record["machine"]["device"] == "cpu" else "cuda"
    about = record["machine"]
    fast = about.get("fast", "off")  # a record from before there were closed forms
    number = about["threads"] if threads is None else threads
    return Machine(device, about["precision"], number, fast)  # type: ignore[arg-type]  # checked there


def same_data(folder: Path, record: Record, data_path: str | None) -> Dataset:
    """The data a run began with, from ``data_path`` or where the run found them."""
    dataset = run_data(folder, record, data_path)
    if dataset.fingerprint() != record["data"]["fingerprint"]:
        raise BadInput(
            f"the data are not those the run began with ({record['data']['name']}): their "
            "fingerprints differ. Name the original with --data PATH"
        )
    return dataset


def run_data(folder: Path, record: Record, data_path: str | None) -> Dataset:
    """The run's data set by name, from ``data_path`` or from where the run read it.

    As the run had it: prepared, where its recipe prepares data.
    """
    recipe, settings = recipe_of(record, folder)
    named = data.load(settings.dataset, data_path or local_of(folder).get("data"), gaps=True)
    return recipe.data(settings, named)


def test_data(folder: Path, record: Record, data_path: str | None) -> Dataset:
    """Data whose test set a run is judged on: its own, from ``data_path`` or where it read them.

    Another table (.csv) than the one that the run read is test samples from top to bottom.
    """
    own = local_of(folder).get("data")
    if (
        data_path is None
        or not data.is_table(data_path)
        or Path(data_path).resolve() == Path(own or "")
    ):
        return run_data(folder, record, data_path)
    if not record["data"].get("columns"):
        raise BadInput(
            f"the run was not trained on a table, whose columns {data_path} could be held against: "
            "name data of the run's kind"
        )
    return data.load_test(data_path, record["data"])


def local_of(folder: Path) -> dict[str, Any]:
    """What only this machine needs to know of a run; empty where it left nothing."""
    path = folder / train.LOCAL
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or not isinstance(found.get("data", ""), str):
            raise ValueError("it is not an object with a path of data")
        beside = found.setdefault("beside", [TWIN] if found.get("twin") else [])
        if not isinstance(beside, list) or any(Path(str(n)).name != n for n in beside):
            raise ValueError("beside should be a list of folders in this one")
    except (ValueError, OSError, RecursionError) as error:
        raise BadInput(f"{path} is damaged ({error}): remove it, and name --data PATH") from error
    return found


def blank(record: Mapping[str, Any]) -> Dataset:
    """Data of the right shape and no content, to rebuild cells without the data at hand."""
    about = record["data"]
    target = about.get("target", "classes")
    y = torch.zeros(2, dtype=torch.long if target == "classes" else torch.float32)
    split, names = data.Split(torch.zeros(2, *about["shape"]), y), tuple(about["label_names"])
    return Dataset(
        *(about["name"], split, split, split, about["classes"], names, about["origin"]),
        target=target,
        symbols=about.get("symbols"),
        columns=tuple(about.get("columns", ())),
    )
