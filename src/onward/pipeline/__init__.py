"""Blocks of cells in processes, and on hosts, of their own; what passes between them goes forward.

messages.py what is sent · links.py over what · shares.py which cells where · worker.py a place ·
driver.py the run's loop. The mathematics is in ``blocks.py``, which knows of none of these.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..data import Dataset
from ..errors import BadInput
from ..plan import Machine, Plan
from ..progress import Progress
from ..recipes import running
from ..recipes.recipe import Recipe
from ..record import Record
from . import shares
from .driver import LOCAL, Pipelined, joined
from .links import Gloo, LinkLost
from .worker import Worker, about

__all__ = ["LOCAL", "LinkLost", "serve", "start"]


def start(
    recipe: Recipe,
    settings: Any,
    *,
    stages: int,
    split: str | None = None,
    restarts: int = 3,
    seed: int,
    machine: Machine,
    out: Path,
    words: Sequence[str],
    data_path: str | None = None,
    progress: Callable[[], Progress] | None = None,
    name: str | None = None,
    beside: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> Record:
    """Run a recipe into the folder ``out``, its cells in ``stages`` processes. Returns its record.

    Weights and record are those of ``running.start``, bit for bit on one kind of machine with as
    many threads. ``split`` says how many cells each stage has ("2,1"); else they are balanced by
    measured cost. A process that is lost is started again up to ``restarts`` times, from the last
    checkpoint. ``words`` are the command line that a stage's process is started with, as a user
    would write it behind ``onward pipeline``. Raises BadInput for what can't be cut in this way.
    """
    name = name or recipe.name
    hello = {"about": about(name, settings, seed, machine)}
    placed: list[Pipelined] = []

    def place(plan: Plan, dataset: Dataset) -> None:
        schedule = getattr(plan.schedule, "func", plan.schedule)
        if getattr(schedule, "__name__", "") != "simultaneous":
            raise BadInput(
                f"a pipeline serves the schedule simultaneous, and this run has "
                f"{getattr(schedule, '__name__', schedule)}: take regime or schedule simultaneous. "
                "Cells that learn one after another are trained at several sites by `onward relay`"
            )
        if not sizes:
            shares.check(len(plan.row.stations), stages)
            sizes.extend(_sizes(recipe, settings, dataset, seed, machine, stages, split, tell))
        plan.schedule = Pipelined(sizes, {**hello, "data": dataset.describe()}, words)
        placed.append(plan.schedule)

    sizes: list[int] = []
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    going_on = again and (out / "record.json").exists()
    while True:
        shown = progress() if progress is not None else None
        try:
            if going_on:
                return running.resume(out, data_path=data_path, progress=shown, place=place)
            return running.start(
                recipe,
                settings,
                seed=seed,
                machine=machine,
                out=out,
                data_path=data_path,
                progress=shown,
                name=name,
                beside=beside,
                place=place,
            )
        except LinkLost as error:
            if restarts < 1 or "RANK" in os.environ:
                raise
            tell(f"a stage is lost ({error}); all go on from the last checkpoint")
            restarts, going_on = restarts - 1, True
        finally:
            for pipelined in placed:
                pipelined.close()
            placed.clear()


def serve(recipe: Recipe, settings: Any, *, seed: int, machine: Machine, name: str) -> None:
    """Be one of the places that a driver counts on: a block of cells, or the readout."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    link = Gloo(joined(), rank, size)
    try:
        worker = Worker(link, rank, recipe, settings, machine)
        worker.serve(about(name, settings, seed, machine), seed)
    finally:
        link.close()


def _sizes(
    recipe: Recipe,
    settings: Any,
    dataset: Dataset,
    seed: int,
    machine: Machine,
    stages: int,
    split: str | None,
    tell: Callable[[str], None],
) -> list[int]:
    """How many cells each block has, as asked for or as measured, told beforehand."""
    spare = recipe.build(settings, dataset, seed)
    device = machine.resolve()
    for station in spare.row.everyone:
        station.cell.to(device)
    spare.row.fast = machine.fast == "auto"
    x, y = dataset.train.x[:1000].to(device), dataset.train.y[:1000].to(device)
    with machine.arithmetic(device):
        costs, reading = shares.measured(spare.row, x, y, spare.training.batch)
    if split is None:
        sizes = shares.balanced(costs, stages)
    else:
        sizes = shares.split_of(split, len(costs))
        if len(sizes) != stages:
            raise BadInput(f"--split {split} names {len(sizes)} stages, and --stages is {stages}")
    names = [station.name for station in spare.row.stations]
    for number, end in enumerate(sum(sizes[: i + 1]) for i in range(stages)):
        first = end - sizes[number]
        cost = sum(costs[first:end])
        tell(f"stage {number + 1}: {', '.join(names[first:end])}  {1e3 * cost:.2f} ms a batch")
    if spare.row.readout is not None:
        tell(f"readout: a stage of its own  {1e3 * reading:.2f} ms a batch")
    return sizes
