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
from ..errors import BadInput
from ..files import write_atomically
from ..plan import Machine, Plan
from ..progress import Progress
from ..record import Record, empty_curves, read
from ..row import Row
from ..run import Run
from . import NAMES, find, running
from .relay import HEAD

ALIKE = ("recipe", "settings", "seed")
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
    machine: Machine,
    out: Path,
    data_path: str | None = None,
    recipe: str | None = None,
    progress: Progress | None = None,
) -> Record:
    """The run of a whole row from the folders of its parts, in any order. Returns its record.

    Nothing is trained. ``data_path`` is where the samples and labels are that the row began with;
    ``recipe`` names a recipe of one's own (``module:attribute``), which is never taken from a
    folder. Raises BadInput, by name, where a part is missing, twice there, not finished, of another
    row, or learned from other latents than the part before it wrote.
    """
    machine.resolve()
    parts = [_part(folder) for folder in folders]
    first = _of_one_row(parts)
    if recipe is None and first["recipe"] not in NAMES:
        raise BadInput(
            f"{folders[0]} is of {first['recipe']!r}, no recipe of Onward: name it with "
            "--recipe MODULE:ATTRIBUTE if you have its file and trust it"
        )
    known = find(recipe or first["recipe"])
    settings = running.settings_of(known, first["settings"], str(folders[0]))
    dataset = known.data(settings, data.load(settings.dataset, data_path))
    plan = known.build(settings, dataset, first["seed"])
    plan = dataclasses.replace(plan, schedule=schedules.greedy)
    parts = _in_order(parts, plan.row)
    _refuse_unlinked(parts)
    if dataset.fingerprint() != parts[0].record["data"]["fingerprint"]:
        raise BadInput(
            "the data are not those that the row began with "
            f"({parts[0].record['data']['name']}): their fingerprints differ. Name the original "
            "with --data PATH"
        )
    typed = ["onward", "relay", "join", *_named([part.folder for part in parts])]
    typed += ["--threads", str(machine.threads)] if machine.threads else []
    record = train.new_record(
        plan,
        dataset,
        machine,
        first["seed"],
        first["settings"],
        recipe=recipe or first["recipe"],
        claim=known.claim,
        source=known.source,
        command=shlex.join([*typed, "--out", out.name]),
    )
    record.update(_history(parts, record))
    run = Run(plan, dataset, machine, record, out, progress)
    run.resume(_checkpoint(parts, plan, record))
    train.claim_folder(out, resume=False)
    if data_path is not None:
        where = {"data": str(Path(data_path).resolve())}
        write_atomically(out / train.LOCAL, json.dumps(where).encode())
    return run.train()


def _named(folders: Sequence[Path]) -> list[str]:
    """Folders in a command that anyone may read: their names, and where they lie if names meet.

    >>> _named([Path("/x/A"), Path("/x/B")]), _named([Path("/x/A/cell"), Path("/x/B/cell")])
    (['A', 'B'], ['A/cell', 'B/cell'])
    """
    names = [folder.resolve().name for folder in folders]
    alike = len(set(names)) < len(names)
    return [str(Path(*f.resolve().parts[-2:])) for f in folders] if alike else names


def _part(folder: Path) -> _Part:
    record = read(folder)
    if "part" not in record:
        raise BadInput(f"{folder} is no part of a relay but a whole run: nothing is to be joined")
    if record["status"] != "finished":
        raise BadInput(
            f"{folder} is not finished ({record['status']}): `onward resume {folder}` goes on"
        )
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


def _in_order(parts: Sequence[_Part], row: Row) -> list[_Part]:
    wanted = [station.name for station in row.stations] + ([HEAD] if row.readout else [])
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


def _history(parts: Sequence[_Part], blank: Record) -> dict[str, Any]:
    """What the record says of training: curves one after another, costs together."""
    cells = [part.name for part in parts if part.name != HEAD]
    curves = empty_curves(cells, list(blank["curves"]["readouts"]))
    for part in parts:
        _append(curves, part)
    costs = [part.record["cost"] for part in parts]
    cost = dict(blank["cost"])
    for key in ("train_seconds", "evaluation_seconds", "flops", "warmup_seconds"):
        cost[key] = round(sum(one[key] for one in costs), 4)
    # A part's pass is one through its cell alone; the readout's part is one pass through all.
    passes = [
        one["data_passes"] / (1 if part.name == HEAD else len(cells))
        for part, one in zip(parts, costs, strict=True)
    ]
    cost["data_passes"] = round(sum(passes), 4)
    cost["bytes_between_stations"] = sum(part.record["latents"]["bytes"] for part in parts)
    each = [
        {key: part.record[key] for key in ("part", "machine", "versions", "commit")}
        | {"train_seconds": one["train_seconds"], "bytes": part.record["latents"]["bytes"]}
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
    for key in ("stage", "rate", "seconds", "readout_loss"):
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


def _checkpoint(parts: Sequence[_Part], plan: Plan, record: Record) -> checkpoint.Saved:
    """What one run of all cells would have saved as its last."""
    saved = [checkpoint.load(part.folder / "checkpoint") for part in parts]
    tensors: dict[str, dict[str, Tensor]] = {}
    optimizers: dict[str, Any] = {}
    for part, one in zip(parts, saved, strict=True):
        if part.name not in one.tensors:
            raise BadInput(f"{one.path} is of another run: it has no {part.name}")
        tensors[part.name] = one.tensors[part.name]
        optimizers[part.name] = one.state["optimizers"][part.name]
    last = {name: saved[-1].tensors[name] for name in LAST if name in saved[-1].tensors}
    position = {
        "stage": len(parts) - 1,
        "epoch": plan.training.epochs,
        "steps": sum(one.state["position"]["steps"] for one in saved),
    }
    state = {"position": position, "optimizers": optimizers, "record": copy.deepcopy(record)}
    return checkpoint.Saved(saved[-1].path, state, {**tensors, **last})
