"""Running a recipe in a folder, going on with one, and opening one that is trained."""

import dataclasses
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import checkpoint, data, files, train
from ..data import Dataset
from ..errors import BadInput
from ..files import write_atomically
from ..plan import Machine, Plan
from ..progress import Progress
from ..record import Record, check, parsed, read, write
from ..run import Run
from . import find, pictures
from .recipe import Recipe
from .recorded import TWIN, blank, command, local_of, machine_of, recipe_of, same_data

Place = Callable[[Plan, Dataset], None]
"""Changes a plan so that its stations learn somewhere else."""


@dataclass(frozen=True)
class Opened:
    """A run's folder, rebuilt: its record, its plan with trained weights, and its recipe.

    ``place`` is how far these weights are trained, in words.
    """

    record: Record
    plan: Plan
    recipe: Recipe
    place: str


def start(
    recipe: Recipe,
    settings: Any,
    *,
    seed: int,
    machine: Machine,
    out: Path,
    data_path: str | None = None,
    progress: Progress | None = None,
    name: str | None = None,
    beside: Sequence[str] = (),
    place: Place | None = None,
    verb: str = "run",
    flags: Sequence[str] = (),
    about: Mapping[str, Any] = MappingProxyType({}),
) -> Record:
    """Run a recipe from the beginning into the folder ``out``. Returns its record.

    ``name`` is how it was asked for, where that is not its own name (``module:attribute``);
    ``beside`` are runs, as :func:`companions` names them, that :func:`train_beside` is to make
    later: the folder remembers them. ``place`` puts the plan's stations where they are to learn;
    ``verb`` and ``flags`` are of the command that does so, and ``about`` is for the record.
    Raises BadInput before the folder is touched where settings, data or machine can't be used.
    """
    name = name or recipe.name
    if seed < 0:
        raise BadInput(f"seed should be 0 or more, and is {seed}")
    machine.resolve()
    own_file = data_path is not None and data.is_own_file(settings.dataset, data_path)
    dataset = recipe.data(settings, data.load(settings.dataset, data_path))
    plan = recipe.build(settings, dataset, seed)
    if place is not None:
        place(plan, dataset)
    # A file of one's own is its own name; which named set it replaced does not matter.
    named = {"dataset": recipe.defaults.dataset} if own_file else {}
    words = [command(recipe, name, dataclasses.replace(settings, **named), seed, machine, verb)]
    words += [shlex.join(flags)] if flags else []
    words += [shlex.join(["--data", Path(str(data_path)).name])] if own_file else []
    words += ["--twin"] if TWIN in beside else []
    record = train.new_record(
        plan,
        dataset,
        machine,
        seed,
        dataclasses.asdict(settings),
        recipe=name,
        claim=recipe.claim,
        source=recipe.source,
        command=" ".join(words),
    )
    record.update(about)
    run = Run(plan, dataset, machine, record, out, progress)
    train.claim_folder(out, resume=False)
    # Beside the record, not in it: a record may be published, a path of this machine not.
    local = {"data": str(Path(data_path).resolve())} if data_path is not None else {}
    if local or beside:
        content = {**local, "beside": list(beside)}
        write_atomically(out / train.LOCAL, json.dumps(content).encode())
    return _finished(run, plan, dataset, out)


def put_back(folder: Path) -> str | None:
    """Put the last checkpoint's copy in the place of a record that is gone, or no JSON.

    -> What was done; None where nothing was. What was there stays as record.json.damaged. Raises
    BadInput where a record is damaged and there is no copy.
    """
    path, places = folder / "record.json", checkpoint.positions(folder / "checkpoint")
    wrong = "gone"
    if path.exists():
        try:
            parsed(path.read_bytes())
            return None
        except OSError:  # no damage: it could not be read just now
            read(folder)  # which says so
        except (ValueError, RecursionError) as error:
            wrong = f"not a readable record ({error})"
    if not places:
        read(folder)  # which says what is wrong
        return None
    copy = checkpoint.load(folder / "checkpoint").state.get("record")
    check(copy, str(places[-1]))
    with files.alone(folder):
        if path.exists():
            path.replace(path.with_name("record.json.damaged"))
            wrong += ", and is record.json.damaged now"
        write(path, dict(copy or {}))
    return f"{path} was {wrong}: that of {places[-1]} is in its place"


def resume(
    folder: Path,
    *,
    data_path: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    place: Place | None = None,
) -> Record:
    """Go on with an interrupted run, from its last checkpoint or its beginning.

    The run's own settings, device and precision are used, and its thread count unless ``threads``
    says another: then it will not equal an uninterrupted run bit for bit, and its record says so.
    Raises BadInput where it is finished, damaged, or its data are not those it began with.
    """
    record = read(folder)
    if record.get("part"):
        from . import relay

        if record["status"] != "finished" or relay.waits(folder):
            return relay.resume(folder, data_path=data_path, threads=threads, progress=progress)
    if record["status"] == "finished":
        raise BadInput(
            f"{folder} holds a finished run, and nothing is left to do: "
            f"`onward report {folder}` shows it"
        )
    if record["status"] == "diverged":
        raise BadInput(
            f"{folder} holds a run that diverged, and it would again: start another with a smaller "
            "learning rate (its last good checkpoint can be evaluated)"
        )
    if "federation" in record and place is None:
        raise BadInput(f"{folder} holds a federation: onward.federated.resume goes on with it")
    recipe, settings = recipe_of(record, folder)
    machine = machine_of(record, threads)
    dataset = same_data(folder, record, data_path)
    plan = recipe.build(settings, dataset, record["seed"])
    if place is not None:
        place(plan, dataset)
    places = folder / "checkpoint"
    saved = checkpoint.load(places) if checkpoint.positions(places) else None
    if saved is None:
        record = _begun_again(record, plan, dataset, machine)
    run = Run(plan, dataset, machine, record, folder, progress)
    if saved is not None:
        _refuse_foreign(saved, record)
        run.resume(saved)
    return _finished(run, plan, dataset, folder)


def _finished(run: Run, plan: Plan, dataset: Dataset, folder: Path) -> Record:
    """Train to the end, and leave pictures of what cells do while the samples are at hand."""
    record = run.train()
    pictures.keep(folder, plan.row, dataset)
    return record


def companions(recipe: Recipe, settings: Any, *, twin: bool, alone: bool) -> tuple[str, ...]:
    """The runs to make beside one of these settings: its controls, and its twin where asked.

    A run that is itself a control has none.
    """
    changed = [dataclasses.replace(settings, **changes) for changes in recipe.controls.values()]
    controls = () if alone or settings in changed else tuple(recipe.controls)
    return controls + ((TWIN,) if twin and recipe.twin else ())


def waiting(folder: Path) -> list[str]:
    """Runs that a folder remembers to make beside its own, and that are not finished."""
    return [
        name
        for name in local_of(folder).get("beside", ())
        if not (folder / name / "record.json").exists()
        or read(folder / name)["status"] != "finished"
    ]


def train_beside(
    folder: Path,
    name: str,
    *,
    data_path: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Record:
    """Run, or go on with, a control or the twin of the run in ``folder``, into ``folder``/name.

    It has the run's data, seed and machine. A control has its settings too, but for what makes it
    one. The twin, backprop on the same cells, has its cells, and its epochs and batch where those
    are not the recipe's own; how fast it learns is its own.
    """
    record = read(folder)
    recipe, settings = recipe_of(record, folder)
    place = folder / name
    if (place / "record.json").exists():
        return resume(place, data_path=data_path, threads=threads, progress=progress)
    if name in recipe.controls:
        other, called = recipe, record["recipe"]
        changed = dataclasses.replace(settings, **recipe.controls[name])
    elif name == TWIN and recipe.twin is not None:
        other, called = find(recipe.twin), recipe.twin
        changed = _twin_settings(recipe, settings, other)
    else:
        raise BadInput(f"{recipe.name} has no {name} to run beside it")
    return start(
        other,
        changed,
        seed=record["seed"],
        machine=machine_of(record, threads),
        out=place,
        data_path=data_path or local_of(folder).get("data"),
        progress=progress,
        name=called,
    )


def _twin_settings(recipe: Recipe, settings: Any, twin: Recipe) -> Any:
    if twin.name == recipe.name:
        return dataclasses.replace(settings, **recipe.twin_changes)
    shared = {
        name: getattr(settings, name, None) for name in ("dataset", "width", "cells", "jitter")
    }
    for name in ("epochs", "batch", "evaluate_every", "checkpoint_every"):
        if getattr(settings, name, None) != getattr(recipe.defaults, name, None):
            shared[name] = getattr(settings, name)
    known = {field.name for field in dataclasses.fields(twin.defaults)}
    shared = {k: v for k, v in shared.items() if k in known and v is not None}
    return dataclasses.replace(twin.defaults, **shared, **recipe.twin_changes)


def open_run(folder: Path, *, device: str = "auto", threads: int | None = None) -> Opened:
    """A run's row with its last checkpoint's weights, ready to evaluate or predict."""
    record = read(folder)
    if record.get("part"):
        raise BadInput(
            f"{folder} holds one part of a row ({record['part']}), trained at a site of its own, "
            "and a whole row is wanted"
        )
    recipe, settings = recipe_of(record, folder)
    machine = Machine(device, "fp32", threads)  # type: ignore[arg-type]  # checked there
    plan = recipe.build(settings, blank(record), record["seed"])
    saved = checkpoint.load(folder / "checkpoint")
    _refuse_foreign(saved, record)
    checkpoint.restore(saved, plan.row.everyone, optimizers=False)
    where = machine.resolve()
    for station in plan.row.everyone:
        station.cell.to(where)
    epochs, position = saved.state["record"]["epochs"], saved.state.get("position", {})
    batches = position.get("batch", 0)  # of an epoch that is not over
    place = f"in epoch {epochs + 1}, after {batches:,} batches" if batches else f"epoch {epochs}"
    return Opened(record, plan, recipe, place)


def _refuse_foreign(saved: checkpoint.Saved, record: Record) -> None:
    """A checkpoint holds the record of its run, which must be this one."""
    before = saved.state.get("record")
    check(before, str(saved.path / "state.json"))
    assert before is not None
    other = train.changes(before, record)
    if not other and before["data"]["fingerprint"] != record["data"]["fingerprint"]:
        other = "data"
    if other:
        raise BadInput(
            f"{saved.path} is of another run than the record beside it (other: {other}); put the "
            "folder's own checkpoint back"
        )


def _begun_again(record: Record, plan: Plan, dataset: Dataset, machine: Machine) -> Record:
    keys = ("recipe", "claim", "source", "command")
    fixed = {key: record[key] for key in keys}
    threads = f"--threads {machine.threads}"
    fixed["command"] = re.sub(r"--threads \d+", threads, record["command"], count=1)
    new = train.new_record(plan, dataset, machine, record["seed"], record["settings"], **fixed)
    return new | {key: record[key] for key in ("federation",) if key in record}
