"""Join the parts of a relay: one run of the whole row, that predicts.

Each site of a relay keeps the part that it trained. Whoever is handed all of their folders puts
weights, optimisers and curves together as they would stand at the end of the same run under
*greedy*, measures the whole row on the samples, and writes the folder of such a run.
"""

import copy
import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import checkpoint, data, schedules, train
from ..data import Dataset
from ..errors import BadInput
from ..files import alone, write_atomically
from ..meter import rate
from ..plan import Machine, Plan
from ..progress import Progress
from ..record import Record, empty_curves, read
from ..run import Run
from . import NAMES, find, pictures, recorded
from .recipe import Recipe
from .relay import HEAD, own_data

ALIKE = ("recipe", "settings", "seed")
EACH = ("stage", "rate", "seconds", "readout_loss")
"""Of curves: what a run has of every epoch, beside its number."""
LAST = ("random", "memory")
"""What of a checkpoint is the run's, not a station's: the last part's stands."""


@dataclasses.dataclass(frozen=True)
class _Part:
    folder: Path
    record: Record

    @property
    def name(self) -> str:
        return str(self.record["part"])


def join(
    folders: Sequence[Path],
    *,
    out: Path,
    device: str = "auto",
    threads: int | None = None,
    data_path: str | None = None,
    recipe: str | None = None,
    progress: Progress | None = None,
) -> Record:
    """The run of a whole row from the folders of its parts, in any order. Returns its record.

    Nothing is trained, and nothing is written before all of it is there. ``data_path`` is where the
    samples and labels are that the row began with; ``recipe`` allows a recipe of one's own
    (``module:attribute``), by the name that the parts have: a folder's word is not enough to run
    code. Raises BadInput, by name, where a part is missing, twice there, not finished, of another
    row, or learned from other latents than the part before it wrote.
    """
    parts = [_part(folder) for folder in folders]
    first = _of_one_row(parts)
    _refuse_recipe(folders[0], first["recipe"], recipe)
    known = find(first["recipe"])
    settings = recorded.settings_of(known, first["settings"], str(folders[0]))
    wanted = [s.name for s in known.build(settings, _blank(parts), first["seed"]).row.everyone]
    parts = _in_order(parts, wanted)
    _refuse_unlinked(parts)
    if out.exists():
        train.claim_folder(out, resume=False)
    about = parts[-1].record["machine"]
    machine = Machine(device, about["precision"], threads)  # type: ignore[arg-type]
    machine.resolve()
    dataset = _samples(parts[0], known, settings, data_path)
    plan = known.build(settings, dataset, first["seed"])
    plan = dataclasses.replace(plan, schedule=schedules.greedy)
    typed = ["onward", "relay", "join", *_named([part.folder for part in parts])]
    typed += ["--recipe", recipe] if recipe else []
    typed += ["--threads", str(machine.threads)] if machine.threads else []
    typed += own_data(settings, data_path)
    record = train.new_record(
        plan,
        dataset,
        machine,
        first["seed"],
        first["settings"],
        recipe=first["recipe"],
        claim=known.claim,
        source=known.source,
        command=shlex.join([*typed, "--out", out.name]),
    )
    saved = [checkpoint.load(part.folder / "checkpoint") for part in parts]
    record.update(_history(parts, saved, record))
    run = Run(plan, dataset, machine, record, None, progress)
    run.resume(_checkpoint(parts, saved, plan, record))
    run.train()
    train.claim_folder(out, resume=False)
    with alone(out):
        pictures.keep(out, plan.row, dataset)
        if data_path is not None:
            where = {"data": str(Path(data_path).resolve())}
            write_atomically(out / train.LOCAL, json.dumps(where).encode())
        run.out = out
        run.save()
    return run.record


def _refuse_recipe(folder: Path, of: str, told: str | None) -> None:
    if of in NAMES and told is not None:
        raise BadInput(f"{folder} is of {of}, a recipe of Onward: leave --recipe out")
    if of not in NAMES and told != of:
        raise BadInput(
            f"{folder} is of {of!r}, no recipe of Onward: say --recipe {of} if you have its file "
            "and trust it"
        )


def _blank(parts: Sequence[_Part]) -> Dataset:
    """Data like those that the row began with, for the names of what it is made of."""
    begun = [part for part in parts if part.name == "cell-0"]
    if not begun:
        raise BadInput("the folder of cell-0, which has seen the samples, is not among them")
    return recorded.blank(begun[0].record)


def _samples(first: _Part, recipe: Recipe, settings: Any, data_path: str | None) -> Dataset:
    about = first.record["data"]
    if data_path is None and about["origin"] == "file":
        raise BadInput(f"the row began with data of one's own ({about['name']}): name --data PATH")
    dataset = recipe.data(settings, data.load(settings.dataset, data_path))
    if dataset.fingerprint() != about["fingerprint"]:
        raise BadInput(
            f"the data are not those that the row began with ({about['name']}): their fingerprints "
            "differ. Name the original with --data PATH"
        )
    return dataset


def _named(folders: Sequence[Path]) -> list[str]:
    """Folders in a command that anyone may read: their names, and where they lie if names meet.

    >>> _named([Path("/x/A"), Path("/x/B")]), _named([Path("/x/A/cell"), Path("/x/B/cell")])
    (['A', 'B'], ['A/cell', 'B/cell'])
    """
    names = [folder.resolve().name for folder in folders]
    alike = len(set(names)) < len(names)
    return [str(Path(*f.resolve().parts[-2:])) for f in folders] if alike else names


def _part(folder: Path) -> _Part:
    """A part as read. It comes from another site, so that what is used of it is looked at here."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: the folders of parts are wanted")
    record = read(folder)
    if "part" not in record:
        raise BadInput(f"{folder} is no part of a relay but a whole run: nothing is to be joined")
    if record["status"] != "finished":
        raise BadInput(
            f"{folder} is not finished ({record['status']}): `onward resume {folder}` goes on"
        )
    latents: Any = record.get("latents")
    curves = record["curves"]
    try:
        sums = [*latents["read"], latents["written"] or ""]
        if not all(isinstance(one, str) for one in sums) or len(curves["cells"]) != 1:
            raise ValueError("latents, or cells, are not those of a part")
        columns = [curves[key] for key in ("epoch", *EACH)]
        columns += [v for k, v in curves["cells"][0].items() if k != "name"]
        columns += [v for readout in curves["readouts"].values() for v in readout.values()]
        if any(len(column) != record["epochs"] for column in columns):
            raise ValueError("curves are of another number of epochs")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{folder} is no whole part ({error}): relay it anew with this version of Onward"
        ) from error
    return _Part(folder, record)


def _of_one_row(parts: Sequence[_Part]) -> Record:
    first = parts[0]
    for other in parts[1:]:
        for key in ALIKE:
            if other.record[key] != first.record[key]:
                raise BadInput(
                    f"{first.folder} and {other.folder} are not of one row: they differ in {key}"
                )
    return first.record


def _in_order(parts: Sequence[_Part], wanted: Sequence[str]) -> list[_Part]:
    found: dict[str, _Part] = {}
    for part in parts:
        if part.name in found:
            raise BadInput(f"{found[part.name].folder} and {part.folder} are both {part.name}")
        found[part.name] = part
    if missing := [name for name in wanted if name not in found]:
        raise BadInput(
            f"the folders of {', '.join(wanted)} are wanted, and {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not among them"
        )
    if more := sorted(found.keys() - set(wanted)):
        raise BadInput(f"this row has {', '.join(wanted)}, and no {', '.join(more)}")
    return [found[name] for name in wanted]


def _refuse_unlinked(parts: Sequence[_Part]) -> None:
    """Every part has to have learned from just what the ones before it wrote."""
    written: list[str] = []
    for number, part in enumerate(parts):
        latents = part.record.get("latents", {})
        if latents.get("read") != (written if part.name == HEAD else written[-1:]):
            before = parts[:number] if part.name == HEAD else parts[number - 1 : number]
            raise BadInput(
                f"{part.folder} ({part.name}) did not learn from what "
                f"{', '.join(str(one.folder) for one in before)} wrote: take parts of one relay"
            )
        if part.name != HEAD:
            if not latents.get("written"):
                raise BadInput(
                    f"{part.folder} has not written its latents: `onward resume {part.folder}` does"
                )
            written.append(latents["written"])


def _history(
    parts: Sequence[_Part], saved: Sequence[checkpoint.Saved], blank: Record
) -> dict[str, Any]:
    """What the record says of training: curves one after another, costs together."""
    cells = [part.name for part in parts if part.name != HEAD]
    curves = empty_curves(cells, list(blank["curves"]["readouts"]))
    for part in parts:
        _append(curves, part)
    costs = [part.record["cost"] for part in parts]
    cost, samples = dict(blank["cost"]), blank["data"]["train"]
    for key in ("train_seconds", "evaluation_seconds", "flops", "warmup_seconds"):
        cost[key] = round(sum(one.get(key) or 0 for one in costs), 4)
    cost["peak_memory_bytes"] = max(one["peak_memory_bytes"] or 0 for one in costs) or None
    # A part's pass is one through its cell alone; the readout's part is one pass through all.
    passes = [
        (one["data_passes"] or 0) / (1 if part.name == HEAD else len(cells))
        for part, one in zip(parts, costs, strict=True)
    ]
    cost["data_passes"] = round(sum(passes), 4)
    widths = sum(int(cell["outputs"]) for cell in blank["cells"][:-1])
    cost["bytes_between_stations"] = 4 * samples * widths
    warm = sum(int(one.state["position"].get("warm", 0)) for one in saved)
    cost["samples_per_second"] = rate(cost, samples * len(curves["epoch"]), warm)
    each = [
        {key: part.record[key] for key in ("part", "machine", "versions", "commit")}
        | {"train_seconds": one["train_seconds"]}
        for part, one in zip(parts, costs, strict=True)
    ]
    return {
        "epochs": len(curves["epoch"]),
        "curves": curves,
        "cost": cost,
        "started": min(part.record["started"] for part in parts),
        "parts": each,
    }


def _append(curves: dict[str, Any], part: _Part) -> None:
    """A part's curves after those that are there; what it did not measure is null."""
    own = part.record["curves"]
    done, more = len(curves["epoch"]), len(own["epoch"])
    curves["epoch"] += [done + epoch for epoch in own["epoch"]]
    for key in EACH:
        curves[key] += own[key]
    for name, readout in curves["readouts"].items():
        for split in readout:
            readout[split] += own["readouts"].get(name, {}).get(split, [None] * more)
    for curve in curves["cells"]:
        measured = own["cells"][0] if curve["name"] == part.name else {}
        for key in measured:  # a measure of this kind of cell was null until now
            curve.setdefault(key, [None] * done)
        for key in curve.keys() - {"name"}:
            curve[key] += measured.get(key, [None] * more)


def _checkpoint(
    parts: Sequence[_Part], saved: Sequence[checkpoint.Saved], plan: Plan, record: Record
) -> checkpoint.Saved:
    """What one run of all cells would have saved as its last."""
    tensors: dict[str, dict[str, Tensor]] = {}
    optimizers: dict[str, Any] = {}
    try:
        for part, one in zip(parts, saved, strict=True):
            tensors[part.name] = one.tensors[part.name]
            optimizers[part.name] = one.state["optimizers"][part.name]
        steps = sum(int(one.state["position"]["steps"]) for one in saved)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{one.path} is not of {part.name} ({error}): another run's") from error
    last = {name: saved[-1].tensors[name] for name in LAST if name in saved[-1].tensors}
    position = {"stage": len(parts) - 1, "epoch": plan.training.epochs, "steps": steps}
    state = {"position": position, "optimizers": optimizers, "record": copy.deepcopy(record)}
    return checkpoint.Saved(saved[-1].path, state, {**tensors, **last})
