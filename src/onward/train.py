"""``fit``: train a row of cells on a data set from Python, with the record of what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from . import checkpoint, evaluate, meter
from . import record as records
from .algorithms.contrast import Contrast
from .augment import Augment
from .cells import BehindBox, Recurrent
from .data import Dataset
from .demands import refuse_broken, refuse_samples
from .described import called, described
from .errors import BadInput
from .files import alone
from .local import Algorithm
from .optimizers import Maker, RateSchedule, adamw, constant
from .plan import Machine, Plan, Precision, Training
from .progress import Progress
from .readouts import LinearReadout, strangeness
from .record import SCHEMA, Record, empty_curves
from .row import Head, Row, build_row
from .run import Run, now
from .schedules import Schedule, simultaneous
from .tasks import WRONG, Task, suited

LOCAL = "local.json"
"""What only this machine needs to know of a run: where its data lie. A file beside the record."""


ELSEWHERE = {"part", "federation", "places"}
"""Keys of records whose runs keep more than checkpoints, or keep it elsewhere."""


@dataclass(frozen=True)
class Trained:
    """What ``fit`` returns: the row as trained, and the record of the run (docs/record.md)."""

    row: Row
    record: Record

    @property
    def test_error(self) -> dict[str, Any]:
        """Last epoch's error on the test set as a fraction, by readout (``evaluate.measure``)."""
        return dict(self.record["test_error"] or {})

    def scores(self, x: Tensor) -> Tensor:
        """Class scores of new samples, from the linear readout where there is one.

        x [B, *D] -> [B, K]; the largest wins. Else the goodness of every label, summed over the
        row's counted cells. [B, 1], a standardised number, where the data have numbers to predict.
        Floats of another precision are taken as the cells' own, float32. Raises BadInput for
        samples that are not finite floats in it, or of another shape.
        """
        x = self._taken(x)
        found = evaluate.judge(self.row, x).scores(self.row, len(self.row.stations))
        return found.get("linear", found.get("goodness", torch.empty(0)))

    def predict(self, x: Tensor) -> Tensor:
        """Classes of new samples, or numbers in the targets' own units.  x [B, *D] -> [B]."""
        return self.row.task.answer(self.scores(x))

    def strangeness(self, x: Tensor) -> Tensor:
        """How unlike its training samples the row finds new ones, the larger the stranger.

        x [B, *D] -> [B], any real numbers. Raises BadInput for cells that restore nothing.
        """
        x = self._taken(x)
        each = evaluate.judge(replace(self.row, detects=True), x).restoring
        assert each is not None
        return strangeness(each)

    def _taken(self, x: Tensor) -> Tensor:
        """Samples in the precision of the cells; BadInput for others than the row was trained on.

        As arrays in files are (inputs.py), and held against infinity after that: what is too large
        for the cells' precision shows as such.
        """
        if isinstance(x, Tensor) and x.is_floating_point():
            weights = (p.dtype for cell in self.row.cells for p in cell.parameters())
            x = x.to(next(weights, torch.float32))
        refuse_samples(x, "x")
        if len(x) == 0:
            raise BadInput("x holds no sample")
        wanted = self.record["data"]["shape"]
        if prod(x.shape[1:]) != prod(wanted):
            raise BadInput(
                f"the row was trained on samples of shape {tuple(wanted)}, and x is "
                f"{tuple(x.shape)}: wanted [N, {', '.join(map(str, wanted))}], a single sample is "
                "x[None]"
            )
        return x


_DEFAULT = adamw()


def fit(
    cells: Sequence[nn.Module],
    algorithm: Algorithm,
    data: Dataset,
    *,
    epochs: int,
    batch: int = 100,
    optimizer: Maker = _DEFAULT,
    readout: Maker | None = _DEFAULT,
    read: Sequence[int] | None = None,
    counted: Sequence[int] | None = None,
    head: Head = LinearReadout,
    task: Task | None = None,
    schedule: Schedule = simultaneous,
    rate: RateSchedule = constant,
    augment: Augment | None = None,
    evaluate_every: int = 1,
    checkpoint_every: int = 1,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    fast: Literal["auto", "off"] = "auto",
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train cells, in place, and a linear readout that learns along.

    ``optimizer`` makes each cell's optimiser and ``readout`` the readout's (AdamW at 1e-3 for
    both; ``readout=None`` for no linear readout); ``read`` are the cells that it reads,
    ``counted`` those that count when every label is tried (both: all but the first); ``head``
    makes the readout itself (:func:`onward.build_row`), and ``task`` is what it is to answer: by
    default what ``head`` gave it, or else the classes, or numbers, that the data have. ``epochs``
    passes of batches of ``batch`` samples, per stage of the schedule; ``rate`` maps (epoch, epochs)
    to a multiplier of every learning rate; ``augment`` changes the training samples of each batch
    before anything sees them (augment.py). ``fast="off"`` keeps to autograd where closed forms
    would give the same numbers to rounding (fast.py).
    ``seed`` decides batch order and negatives; initial weights are the cells' own. With ``out`` a
    folder is left (docs/record.md), and with ``resume=True`` an interrupted run there goes on.

    Raises BadInput for settings that can't be used together, before anything is computed, and
    where training diverges.

    >>> import onward
    >>> data = onward.load("synthetic")
    >>> rng = onward.generator(0, "cells")
    >>> cells = [onward.Dense(64, 100, rng=rng), onward.Dense(100, 100, rng=rng)]
    >>> algorithm = onward.ForwardForward(data.classes)
    >>> run = onward.fit(cells, algorithm, data, epochs=20, batch=20, threads=1)
    >>> run.test_error["linear"] < 0.3
    True
    """
    weights = (p.dtype for cell in cells for p in cell.parameters())
    refuse_broken(data, next(weights, torch.float32))
    settings = {
        **{"epochs": epochs, "batch": batch, "evaluate_every": evaluate_every},
        **{"checkpoint_every": checkpoint_every, "rate": getattr(rate, "__name__", repr(rate))},
    }
    if augment is not None:
        settings["augment"] = called(augment)
    for what, part, example in (
        ("schedule", schedule, "onward.schedules.greedy"),
        ("optimizer", optimizer, "onward.optimizers.sgd(0.1)"),
        ("readout", readout, "onward.optimizers.adamw(), or None"),
        ("rate", rate, "onward.optimizers.cosine"),
    ):
        if not callable(part) and not (what == "readout" and part is None):
            raise BadInput(f"{what} wants a function, e.g. {example}, and {part!r} is none")
    noises = [(cell.seed, cell.number) for cell in cells if isinstance(cell, BehindBox)]
    if len(set(noises)) < len(noises):
        raise BadInput(
            "two cells behind black boxes draw the same noise: give each its place in the row, "
            "BehindBox(cell, box, level, seed=seed, number=place)"
        )
    from_below = algorithm.sweep is None and isinstance(algorithm, Contrast)
    if from_below and any(isinstance(cell, Recurrent) for cell in cells):
        raise BadInput(
            f"{type(algorithm).__name__} makes one pass from below, and a Recurrent cell is there "
            "to see the one above as well: take RecurrentForwardForward and the schedule "
            "recurrent, or Dense cells"
        )
    row = build_row(
        cells,
        algorithm,
        optimizer,
        widths=_widths(cells, algorithm, data),
        classes=data.classes,
        readout=readout,
        read=read,
        counted=counted,
        head=head,
    )
    linear = row.linear()
    if linear is not None and (task is not None or linear.task.target != data.target):
        linear.task = task or suited(data.target, data.train.y)
    training = Training(epochs, batch, rate, evaluate_every, checkpoint_every)
    plan = Plan(row, schedule, training, augment)
    machine = Machine(device, precision, threads, fast)
    folder = None if out is None else Path(out)
    result = new_record(plan, data, machine, seed, {**described(row), **settings})
    run = Run(plan, data, machine, result, folder, progress)
    if folder is not None:
        claim_folder(folder, resume=resume)
        if resume and checkpoint.positions(folder / "checkpoint"):
            refuse_changes(records.read(folder), result)
            run.resume(checkpoint.load(folder / "checkpoint"))
    return Trained(row, run.train())


def new_record(
    plan: Plan,
    data: Dataset,
    machine: Machine,
    seed: int,
    settings: dict[str, Any],
    *,
    recipe: str | None = None,
    claim: str | None = None,
    source: str | None = None,
    command: str = "onward.fit(...)",
) -> Record:
    """The record of a run that has not begun."""
    row = plan.row
    sizes = _widths(row.cells, row.algorithm, data)
    inputs = [_entering(row.algorithm, data), *sizes[:-1]]
    readouts = ["goodness"] if row.algorithm.candidates else []
    readouts += ["linear"] if row.readout is not None else []
    readouts += ["reconstruction"] if row.detects else []
    measured = evaluate.measure(row)
    device = machine.resolve()
    schedule = getattr(plan.schedule, "func", plan.schedule)  # the one inside a partial
    return {
        "schema": SCHEMA,
        "status": "running",
        "recipe": recipe,
        "claim": claim,
        "source": source,
        "command": command,
        "algorithm": type(row.algorithm).__name__,
        "schedule": getattr(schedule, "__name__", type(schedule).__name__),
        "settings": settings,
        "seed": seed,
        "data": data.describe(),
        "machine": meter.machine(device, machine.precision, machine.fast),
        "versions": meter.versions(),
        "commit": meter.commit(),
        "parameters": {
            "cells": [_parameters(cell) for cell in row.cells],
            "readout": _parameters(row.readout.cell) if row.readout else 0,
        },
        "cells": [
            {"name": s.name, "kind": type(s.cell).__name__, "inputs": i, "outputs": o}
            for s, i, o in zip(row.stations, inputs, sizes, strict=True)
        ],
        "epochs": 0,
        "curves": empty_curves([s.name for s in row.stations], readouts),
        "validation_error": None,
        "test_error": None,
        "confusion": None,
        "cost": {
            "train_seconds": 0.0,
            "evaluation_seconds": 0.0,
            "samples_per_second": None,
            "data_passes": 0,
            "flops": 0,
            "peak_memory_bytes": None,
            "energy_joules": None,
            "bytes_between_stations": 0,
            "warmup_seconds": 0.0,
            "limit_flops_per_second": None,
            "share_of_limit": None,
            "energy_source": None,
        },
        "started": now(),
        "ended": None,
        "contributions": None,
        # Said only where it is another one, as in every record from before there was a choice.
        **({"measure": measured} if measured != WRONG else {}),
    }


def claim_folder(folder: Path, *, resume: bool) -> None:
    """Make a run's folder, or refuse one in which something else would be overwritten.

    A run that ended before its first checkpoint has left nothing to go on from: another may begin
    in its folder.
    """
    record = folder / "record.json"
    if record.exists() and not resume:
        found = records.read(record)
        status = found["status"]
        if _left_nothing(folder, found):
            (folder / LOCAL).unlink(missing_ok=True)
            return
        way_out = (
            f"`onward report {folder}` shows it, and another --out starts another"
            if status == "finished"
            else f"`onward resume {folder}` goes on with it"
        )
        raise BadInput(f"{folder} already holds a run ({status}): {way_out}")
    try:
        if not record.exists() and folder.is_dir() and _foreign(folder):
            raise BadInput(
                f"{folder} is not empty and holds no run: take another folder (--out DIR)"
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} can't be made ({error.strerror}): take another --out") from error


def _left_nothing(folder: Path, found: Record) -> bool:
    """Whether nobody is at work here, and nobody has got as far as a checkpoint."""
    if found["status"] not in ("running", "interrupted") or found.keys() & ELSEWHERE:
        return False
    if checkpoint.positions(folder / "checkpoint"):
        return False
    try:
        with alone(folder):
            return True
    except BadInput:
        return False


def _foreign(folder: Path) -> bool:
    """Whether there is more in a folder than what a run killed at its very start leaves."""
    return any(f.name != LOCAL and not f.name.startswith(".") for f in folder.iterdir())


def changes(before: Record, after: Record) -> str:
    """Names of what makes two records those of different runs, or nothing."""
    for key in ("settings", "seed", "algorithm", "schedule", "cells"):
        old, new = _as_json(before[key]), _as_json(after[key])
        if old != new:
            names = old.keys() | new.keys() if key == "settings" else ()
            return ", ".join(sorted(n for n in names if old.get(n) != new.get(n))) or key
    return ""


def refuse_changes(before: Record, after: Record) -> None:
    """Raise BadInput, by name, where a run would be resumed with other settings or data."""
    if changed := changes(before, after):
        raise BadInput(
            f"a run is resumed with its own settings, and these differ: {changed}. "
            "Start a new run for other settings"
        )
    if before["data"]["fingerprint"] != after["data"]["fingerprint"]:
        raise BadInput(
            f"the data differ from those the run began with ({before['data']['name']}): "
            "their fingerprints are not the same. Hand in the original data"
        )


def _as_json(value: Any) -> Any:
    import json

    return json.loads(json.dumps(value, default=str))


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def _widths(cells: Sequence[nn.Module], algorithm: Algorithm, data: Dataset) -> list[int]:
    """Output features of every cell, by a dry run on two samples."""
    rows = algorithm.view(data.train.x[:2], torch.zeros(2, dtype=torch.long))
    sizes = []
    for cell in cells:
        device = next((p.device for p in cell.parameters()), torch.device("cpu"))
        rows = cell(rows.to(device))
        sizes.append(rows[0].numel())
    return sizes


def _entering(algorithm: Algorithm, data: Dataset) -> int:
    return algorithm.view(data.train.x[:1], torch.zeros(1, dtype=torch.long))[0].numel()
