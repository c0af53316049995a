"""Blocks of cells in processes, and on hosts, of their own; what passes between them goes forward.

messages.py what is sent · links.py over what · shared.py through memory · tls.py encrypted, with
outgoing.py, frames.py and certificates.py · meeting.py how places find each other · shares.py which
cells where · forecast.py what it would take · worker.py a place · driver.py the run's loop. The
mathematics is in ``blocks.py``, which knows of none of these.
"""

import math
import os
import signal
import statistics
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from .. import data
from ..data import Dataset
from ..errors import BadInput
from ..plan import Machine, Plan
from ..progress import Progress
from ..recipes import running
from ..recipes.recipe import Recipe
from ..record import Record, read
from . import certificates, forecast, shares
from .driver import Pipelined
from .links import QUEUE, LinkLost
from .meeting import LOCAL, Meeting, Network, meet
from .tls import Ended
from .worker import Worker, about

__all__ = [
    "LOCAL",
    "LinkLost",
    "Meeting",
    "Network",
    "certificates",
    "meet",
    "plan",
    "serve",
    "start",
]


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
    meeting: Meeting | None = None,
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
    would write it behind ``onward pipeline``; ``meeting`` says where places meet, and over what
    they speak: this machine's memory by default. Raises BadInput for what can't be cut in this way.
    """
    name, meeting = name or recipe.name, meeting or meet(Network(), stages)
    hello = {"about": about(name, settings, seed, machine)}
    placed: list[Pipelined] = []

    def place(made: Plan, dataset: Dataset) -> None:
        schedule = getattr(made.schedule, "func", made.schedule)
        if getattr(schedule, "__name__", "") != "simultaneous":
            if getattr(schedule, "__name__", "") == "separated":
                raise BadInput(
                    "a pipeline serves positives and negatives in one update, and here they are "
                    "separated in time: take phases mixed"
                )
            raise BadInput(
                f"a pipeline serves the schedule simultaneous, and this run has "
                f"{getattr(schedule, '__name__', schedule)}: take regime or schedule simultaneous. "
                "Cells that learn one after another are trained at several sites by `onward relay`"
            )
        if not sizes and (stages == 1 or split is not None):
            sizes.extend(_given(len(made.row.stations), stages, split))
        if not sizes:
            shares.check(len(made.row.stations), stages)
            costs, reading, *_ = _measured(recipe, settings, dataset, seed, machine)
            sizes.extend(shares.balanced([cost.seconds for cost in costs], stages))
            tell(_shown(costs, reading, sizes))
        pipelined = Pipelined(sizes, {**hello, "data": dataset.describe()}, words, meeting)
        made.schedule = pipelined
        placed.append(pipelined)

    sizes: list[int] = []
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    going_on = again and (out / "record.json").exists()
    while True:
        lost = False
        shown = progress() if progress is not None else None
        try:
            if going_on and read(out)["status"] == "finished":
                return read(out)
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
            why = ", ".join(filter(None, [each.ended() for each in placed])) or str(error)
            then = "; what has ended is to be started again" if meeting.by_hand else ""
            tell(f"a stage is lost ({why}); all go on from the last checkpoint{then}")
            restarts, going_on, lost = restarts - 1, True, True
        finally:
            for pipelined in placed:
                pipelined.close(again=lost)
            placed.clear()


def serve(
    recipe: Recipe,
    settings: Any,
    *,
    seed: int,
    machine: Machine,
    name: str,
    meeting: Meeting,
    restarts: int = 0,
    tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> None:
    """Be one of the places that a driver counts on: a block of cells, or the readout.

    A place that was started by hand meets the others again, up to ``restarts`` times, where one of
    them is lost.
    """
    if not meeting.by_hand:  # a Ctrl-C is the driver's, which ends the rest
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        link, lost = meeting.link(), False
        try:
            worker = Worker(link, meeting.place, recipe, settings, machine)
            return worker.serve(about(name, settings, seed, machine), seed)
        except LinkLost as error:
            if isinstance(error, Ended) or restarts < 1 or not meeting.by_hand:
                raise
            tell(f"a place is lost ({error}); this one waits for the driver to go on")
            restarts, lost = restarts - 1, True
        finally:
            link.close(again=lost)


def plan(
    recipe: Recipe,
    settings: Any,
    *,
    stages: int,
    split: str | None = None,
    seed: int,
    machine: Machine,
    data_path: str | None = None,
    wire: forecast.Wire = forecast.NEAR,
) -> forecast.Forecast:
    """What an epoch of a recipe would take in a pipeline, over links like ``wire``.

    Costs of cells are measured here, on this machine, as :func:`start` does it; and how much slower
    all becomes where as many places as it has room for work at once.
    """
    machine.resolve()
    dataset = recipe.data(settings, data.load(settings.dataset, data_path))
    costs, reading, entering, batch = _measured(recipe, settings, dataset, seed, machine)
    shares.check(len(costs), stages)
    if split is None:
        sizes = shares.balanced([cost.seconds for cost in costs], stages)
    else:
        sizes = _given(len(costs), stages, split)
    batches = math.ceil(len(dataset.train) / batch)
    cores = os.cpu_count() or 1
    at_once = min(stages, cores // torch.get_num_threads())
    slowed = 1.0
    if machine.resolve().type == "cpu" and at_once > 1:
        loaded = _at_once(at_once, recipe, settings, dataset, seed, machine)
        slowed = max(1.0, loaded / sum(cost.seconds for cost in costs))
    return forecast.forecast(costs, reading, entering, sizes, batches, wire, cores, QUEUE, slowed)


def _at_once(
    count: int, recipe: Recipe, settings: Any, dataset: Dataset, seed: int, machine: Machine
) -> float:
    """Seconds of a batch in all cells of a row while ``count`` rows learn, the mean over rows.

    In threads: what they take from each other is memory and caches, as processes do, for kernels
    hold no lock of Python's.
    """
    begin = threading.Barrier(count, timeout=60)

    def whole(_: int) -> float:
        costs, *_rest = _measured(recipe, settings, dataset, seed, machine, begin.wait)
        return sum(cost.seconds for cost in costs)

    with ThreadPoolExecutor(count) as rows:
        return statistics.fmean(rows.map(whole, range(count)))


def _measured(
    recipe: Recipe,
    settings: Any,
    dataset: Dataset,
    seed: int,
    machine: Machine,
    begin: Callable[[], object] = lambda: None,
) -> tuple[list[shares.Cost], shares.Cost | None, int, int]:
    """Costs of cells and readout, bytes of a batch, and its samples, on a row made for that.

    ``begin`` is called once it is made.
    """
    spare = recipe.build(settings, dataset, seed)
    device = machine.resolve()
    for station in spare.row.everyone:
        station.cell.to(device)
    spare.row.fast = machine.fast == "auto"
    batch = spare.training.batch
    x, y = dataset.train.x[:batch].to(device), dataset.train.y[:batch].to(device)
    begin()
    with machine.arithmetic(device):
        return (*shares.measured(spare.row, x, y, batch), batch)


def _given(cells: int, stages: int, split: str | None) -> list[int]:
    """How many cells each block has, where that needs no measuring."""
    shares.check(cells, stages)
    if split is None:
        return [cells]
    sizes = shares.split_of(split, cells)
    if len(sizes) != stages:
        raise BadInput(f"--split {split} names {len(sizes)} stages, and --stages is {stages}")
    return sizes


def _shown(costs: Sequence[shares.Cost], reading: shares.Cost | None, sizes: list[int]) -> str:
    """Which cells go where, and what they cost."""
    lines, first = [], 0
    for number, size in enumerate(sizes, 1):
        names = ", ".join(f"cell-{cell}" for cell in range(first, first + size))
        cost = sum(cost.seconds for cost in costs[first : first + size])
        lines.append(f"stage {number}: {names}  {1e3 * cost:.2f} ms a batch")
        first += size
    if reading is not None:
        lines.append(f"readout: a stage of its own  {1e3 * reading.seconds:.2f} ms a batch")
    return "\n".join(lines)
