"""One training run: batches, epochs, curves, checkpoints, and the record that is left.

The loop knows nothing of cells or losses: a schedule yields stages, a stage has a step, and this
file calls it on batch after batch, measures at the end of each epoch and saves. Everything that
decides what comes next is in a checkpoint, so a run that is killed at any moment and resumed equals
one that was never interrupted.

N = training samples, B = samples of a batch.
"""

import itertools
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import characters, checkpoint, evaluate, meter, record
from .contributions import contributions
from .data import Dataset
from .demands import refuse_unfit
from .energy import Energy, counters
from .errors import BadInput
from .fast import linear_scores
from .files import alone
from .flops import counted
from .graphs import replayed
from .interrupts import interruptible
from .optimizers import set_rate
from .plan import Machine, Plan
from .progress import Progress, Silent, stopping
from .record import Record
from .schedules import Losses, Stage, frozen, greedy
from .seeds import generator


class Interrupted(Exception):
    """Ctrl-C: the run has stopped after a checkpoint, if it has a folder to put one in."""


class Diverged(BadInput):
    """A loss or a weight is no longer a number."""


PROBE = 1000
"""The first training samples, on which goodness, dead units and training errors are measured."""


@dataclass
class _Position:
    """Where a run stands, and the sums of the epoch under way."""

    stage: int = 0
    epoch: int = 0  # epochs of this stage that are over
    batch: int = 0  # batches of the current epoch that are over
    steps: int = 0  # over the whole run
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0  # training seconds of the current epoch
    flops_a_sample: float | None = None  # of this stage's step
    warm: int = 0  # samples of the steps that were warm-up
    flops: float = 0.0  # of all steps that were not


class Run:
    """One training run, from wherever it stands to its end."""

    def __init__(
        self,
        plan: Plan,
        data: Dataset,
        machine: Machine,
        result: Record,
        out: Path | None = None,
        progress: Progress | None = None,
    ):
        refuse_unfit(plan, data)
        self.plan, self.data, self.machine, self.record, self.out = plan, data, machine, result, out
        self.row = plan.row
        self.row.fast = machine.fast == "auto"
        self.progress = progress or Silent()
        self.device = machine.resolve()
        for station in self.row.everyone:
            station.cell.to(self.device)
        self.x = data.train.x.to(self.device)
        self.y = data.train.y.to(self.device)
        # What schedules read, at a batch's step and no earlier: its rows are augmented just before.
        self.seen = self.x if plan.augment is None else self.x.clone()
        self.rng = generator(result["seed"], "negatives", device=self.device)
        self.at = _Position()
        self.energy = Energy(counters(self.device))
        self._joules_before: float | None = 0.0  # of the processes before this one
        self._stop = False
        self._resident = 0  # bytes of this process when the run began in it
        self._warm = False  # whether the stage under way has made a step in this process
        self._trained = 0  # cells that have learned
        self._memory: dict[str, Tensor] = {}  # of the stage under way, and of the algorithm
        self._saved: checkpoint.Saved | None = None  # whose memory is to be recalled
        # A schedule that can't serve this row says so here, before a folder is made.
        plan.schedule(self.row, self.seen, self.y, self.rng)

    def resume(self, saved: checkpoint.Saved) -> None:
        """Go back to a checkpoint: weights, optimisers, generators, position, record.

        Bits depend on the number of threads, so the record says where it is another than before.
        """
        checkpoint.restore(saved, self.row.everyone)
        try:
            self.rng.set_state(saved.tensors["random"]["negatives"])
            self.at = _Position(**saved.state["position"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise BadInput(f"{saved.path} lacks where its run stood ({error})") from error
        self._saved = saved
        self.record.clear()
        self.record.update(saved.state["record"])
        about, threads = self.record["machine"], torch.get_num_threads()
        if threads != about["threads"]:
            told = f"threads {about['threads']} until step {self.at.steps:,}, then {threads}"
            about.update(threads=threads, note="; ".join(filter(None, (about.get("note"), told))))

    def train(self) -> Record:
        """Train to the end; returns the finished record (and writes it, with a folder)."""
        with alone(self.out) if self.out is not None else nullcontext():
            return self._train()

    def _train(self) -> Record:
        self._resident, cost = meter.resident_bytes(), self.record["cost"]
        self._joules_before = cost["energy_joules"] if self.at.steps else 0.0
        if "warmup_seconds" in cost:
            cost["energy_source"] = self.energy.source
        self.record["status"] = "running"
        if self.out is not None:
            for left in (*self.out.glob(".*.tmp"), *self.out.glob("frozen-*")):
                shutil.rmtree(left) if left.is_dir() else left.unlink()  # by a killed run
            record.write(self.out / "record.json", self.record)
        try:
            with self.machine.arithmetic(self.device), interruptible(self.stop):
                self._train_stages()
                self._finish()
        except Exception as error:  # of a part, perhaps; no process is at work here any longer
            with suppress(BadInput):  # a full disk, perhaps: what came first is what is told
                path = self.out / "record.json" if self.out is not None else None
                if path is not None and (found := record.read(path))["status"] == "running":
                    record.write(path, {**found, "status": "interrupted"})
            if self._stop and not isinstance(error, Interrupted | BadInput | OSError):
                # Whoever asked to stop is not to see it go on, as after a lost place it would; what
                # is told in words of its own is told as ever.
                raise Interrupted(f"stopped, at the last checkpoint ({error})") from error
            raise
        finally:
            self.progress.close()
        return self.record

    def stop(self) -> None:
        """Ask the run to stop, with a checkpoint, after the step under way; twice, at once."""
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        stopping(self.progress)

    def stages(self) -> Iterator[Stage]:
        """What the schedule has the row do, one after another."""
        schedule = self.plan.schedule
        if self.out is not None and getattr(schedule, "func", schedule) in (greedy, frozen):
            # Frozen outputs go where the run lives: disk that it may fill.
            schedule = partial(schedule, folder=self.out)  # type: ignore[call-arg]
        return schedule(self.row, self.seen, self.y, self.rng)

    def _train_stages(self) -> None:
        stages = self.stages()
        for number in itertools.count():
            # What a schedule computes between two stages (outputs of frozen cells) is work too.
            stage, flops = counted(lambda: next(stages, None))
            if stage is None:
                return
            self._trained = stage.trained
            self._warm = False
            if number >= self.at.stage:
                if number > self.at.stage or self.at.steps == 0:
                    self._begin_stage(number, stage, flops)
                self._memory = {**stage.memory, **self.row.algorithm.memory}
                if self._saved is not None:
                    checkpoint.recall(self._saved, self._memory)
                    self._saved = None
                self._train_stage(replayed(stage, self.device, self.rng))

    def _begin_stage(self, number: int, stage: Stage, flops: int) -> None:
        at, cost = self.at, self.record["cost"]
        at.stage, at.epoch, at.flops_a_sample = number, 0, None
        cost["flops"] += flops
        cost["data_passes"] = round(cost["data_passes"] + stage.passes_before, 4)
        cost["bytes_between_stations"] += stage.bytes_before

    def _train_stage(self, stage: Stage) -> None:
        training, at = self.plan.training, self.at
        self.progress.stage(stage.name, training.epochs, len(self.x))
        while at.epoch < training.epochs:
            rate = training.rate(at.epoch + 1, training.epochs)
            for station in stage.stations:
                for optimizer in station.optimizers.values():
                    set_rate(optimizer, rate)
            self.train_epoch(stage, rate)
            at.epoch += 1
            last = at.epoch == training.epochs
            self._end_epoch(stage, rate, last)
            if last or at.epoch % training.checkpoint_every == 0:
                self.save()

    def train_epoch(self, stage: Stage, rate: float) -> None:
        """One epoch of a stage, from wherever it stands; sums and seconds go to the position."""
        at, size = self.at, self.plan.training.batch
        order = generator(self.record["seed"], "order", stage.order, at.epoch)
        permutation = torch.randperm(len(self.x), generator=order).to(self.device)
        batches = [permutation[i : i + size] for i in range(0, len(self.x), size)]
        # fp64 and continued from the position, so that it does not matter where a run was cut.
        wide = partial(torch.tensor, dtype=torch.float64, device=self.device)
        sums: dict[str, Tensor] = {name: wide(total) for name, total in at.sums.items()}
        self.energy.begin()
        began = time.perf_counter()
        if at.batch == 0:
            self._renew()
        if stage.elsewhere is not None:
            stage.elsewhere.begin(rate, at.sums)
        for index, after in itertools.zip_longest(batches[at.batch :], batches[at.batch + 1 :]):
            self._augment(stage, index)
            if stage.ahead is not None and after is not None:
                stage.ahead(after)
            if not self._warm:
                losses = self._first_step(stage, index)
            else:
                losses = stage.step(index)
                if stage.elsewhere is None:
                    at.flops += (at.flops_a_sample or 0.0) * len(index)
            for name, loss in losses.items():
                sums[name] = sums[name] + loss if name in sums else loss.double()
            at.batch += 1
            at.steps += 1
            self.progress.step(at.epoch + 1, len(index))
            if self._stop:
                self._gather(stage, sums, began)
                self._interrupt(stage)
        self._gather(stage, sums, began)

    def _renew(self) -> None:
        """What an algorithm makes out of the row's own answers before an epoch, if anything."""
        if not self.row.algorithm.memory:
            return
        renew, predict = self.row.algorithm.renew, partial(linear_scores, self.row)
        rows, flops = counted(partial(renew, self.x, predict, self.rng))
        cost = self.record["cost"]
        cost["flops"] += flops
        cost["data_passes"] = round(cost["data_passes"] + rows / len(self.x), 4)

    def _augment(self, stage: Stage, index: Tensor) -> None:
        """Draw a batch's training samples anew, from its place in the run and nothing before it."""
        if self.plan.augment is not None:
            counters = stage.order, self.at.epoch, self.at.batch
            rng = generator(self.record["seed"], "augment", *counters, device=self.device)
            self.seen[index] = self.plan.augment(self.x[index], rng)

    def _first_step(self, stage: Stage, index: Tensor) -> Losses:
        """The first step of a stage in this process: buffers are made, and products counted."""
        began = time.perf_counter()
        losses, flops = counted(partial(stage.step, index))
        if self.at.flops_a_sample is None and stage.elsewhere is None:
            self.at.flops_a_sample = flops / len(index)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self._warm = True
        self.at.warm += len(index)
        cost = self.record["cost"]
        took = time.perf_counter() - began
        # A run begun by an older version goes on as it began; a step elsewhere is no warm-up.
        if "warmup_seconds" in cost and stage.elsewhere is None:
            cost["warmup_seconds"] = round(cost["warmup_seconds"] + took, 4)
        return losses

    def _gather(self, stage: Stage, sums: dict[str, Tensor], began: float) -> None:
        """Move an epoch's sums so far to the position, where a checkpoint finds them."""
        settled = None if stage.elsewhere is None else stage.elsewhere.settle()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.at.seconds += time.perf_counter() - began
        self.energy.end()
        cost = self.record["cost"]
        cost["energy_joules"] = _sum(self._joules_before, self.energy.joules)
        self.at.sums = {name: float(total) for name, total in sums.items()}
        if settled is not None:
            self.at.sums = settled.sums
            cost["data_passes"] = round(cost["data_passes"] + settled.passes, 4)
            self.at.flops_a_sample = settled.flops or self.at.flops_a_sample
            if settled.places:
                self.record["places"] = settled.places
            if settled.rounds:
                self.record["rounds"] = [*self.record.get("rounds", ()), *settled.rounds]

    def _interrupt(self, stage: Stage) -> None:
        self.record["status"] = "interrupted"
        self._refuse_divergence(stage, self.at.epoch + 1)
        self.save()
        raise Interrupted(
            f"stopped in {stage.name}, epoch {self.at.epoch + 1}, "
            f"after {self.at.batch} batch{'' if self.at.batch == 1 else 'es'}"
        )

    def _end_epoch(self, stage: Stage, rate: float, last: bool) -> None:
        """Curves and costs of the epoch that is over; the position moves on."""
        began = time.perf_counter()
        self._refuse_divergence(stage, self.at.epoch)
        at, curves, cost = self.at, self.record["curves"], self.record["cost"]
        epoch = len(curves["epoch"]) + 1
        curves["epoch"].append(epoch)
        curves["stage"].append(stage.name)
        curves["rate"].append(rate)
        curves["seconds"].append(round(at.seconds, 4))
        steps = math.ceil(len(self.x) / self.plan.training.batch)
        means = {name: total / steps for name, total in at.sums.items()}
        curves["readout_loss"].append(means.get("readout"))
        probed = self._probe(epoch)
        for index, curve in enumerate(curves["cells"]):
            measured = {"loss": means.get(curve["name"]), **probed[index]}
            for key in measured:  # a measure new to this record was null until now
                curve.setdefault(key, [None] * (epoch - 1))
            for key, values in curve.items():
                if key != "name":
                    values.append(measured.get(key))
        due = last or at.epoch % self.plan.training.evaluate_every == 0
        found = self._errors(stage) if due else {}
        for name, readout in curves["readouts"].items():
            for split in ("train", "validation"):
                readout[split].append(found.get((name, split)))
        samples = len(self.x)
        cost["train_seconds"] = round(cost["train_seconds"] + at.seconds, 4)
        cost["data_passes"] = round(cost["data_passes"] + stage.passes, 4)
        cost["flops"] += round((at.flops_a_sample or 0.0) * samples)
        cost["bytes_between_stations"] += stage.rows_handed_on * samples * self._wall_bytes()
        cost["samples_per_second"] = meter.rate(cost, samples * epoch, at.warm)
        cost["evaluation_seconds"] += round(time.perf_counter() - began, 4)
        self.record["epochs"] = epoch
        at.batch, at.sums, at.seconds = 0, {}, 0.0
        summary = {name: found.get((name, "validation")) for name in curves["readouts"]}
        self.progress.epoch(at.epoch, summary)

    def _probe(self, epoch: int) -> list[dict[str, float]]:
        rng = generator(self.record["seed"], "probe", epoch, device=self.device)
        return evaluate.probe(self.row, self.x[:PROBE], self.y[:PROBE], rng)

    def _errors(self, stage: Stage) -> dict[tuple[str, str], float]:
        """(readout, split) -> error, of readouts and cells that have learned."""
        splits = {"train": (self.x[:PROBE], self.y[:PROBE])}
        if len(self.data.validation):
            splits["validation"] = (self.data.validation.x, self.data.validation.y)
        untrained = self.row.readout is not None and self.row.readout not in stage.stations
        return {
            (name, split): value
            for split, (x, y) in splits.items()
            for name, value in evaluate.errors(
                self.row, x, y, stage.trained, linear=not untrained
            ).items()
            if not isinstance(value, list)
        }

    def _refuse_divergence(self, stage: Stage, epoch: int) -> None:
        """Stop a run in which a loss or a weight is not a finite number, first cell first."""
        for station in self.row.everyone:
            loss = self.at.sums.get(station.name, 0.0)
            sound = all(bool(torch.isfinite(p).all()) for p in station.cell.parameters())
            if math.isfinite(loss) and sound:
                continue
            self.record["status"] = "diverged"
            where = f"{station.name} diverged in {stage.name}, epoch {epoch}"
            words = [f"{where}: its loss or a weight is not a finite number."]
            if self.out is not None:
                kept = checkpoint.positions(self.out / "checkpoint")
                words += [f"The last good checkpoint is {kept[-1]}." if kept else "No checkpoint."]
                record.write(self.out / "record.json", self.record)
            raise Diverged(" ".join([*words, "Take a smaller learning rate (lr)"]))

    def _wall_bytes(self) -> int:
        """Bytes of one row over all walls."""
        itemsize = 2 if self.machine.precision == "bf16" else 4
        cells = self.record["cells"]
        beside = int(cells[0]["inputs"]) if self.row.algorithm.originals else 0
        return itemsize * sum(int(cell["outputs"]) + beside for cell in cells[:-1])

    def _finish(self) -> None:
        row, trained = self.row, self._trained
        added: dict[str, Any] = {}
        scores: dict[str, Tensor] = {}
        for name in ("validation", "test"):
            split = getattr(self.data, name)
            if not len(split):
                continue
            # One pass over the samples serves all that is said of them.
            verdicts = evaluate.judge(row, split.x)
            found = evaluate.errors_of(row, verdicts, split.y, trained)
            self.record[f"{name}_error"] = found
            if verdicts.linear is not None:
                scores[name] = verdicts.linear
            if verdicts.goodness is not None and trained:
                added[name] = contributions(verdicts.goodness[:trained], split.y.cpu())
            if name == "test":
                counts = evaluate.confusion_of(row, verdicts, split.y, self.data.classes, trained)
                self.record["confusion"] = counts or None
        self.record["contributions"] = added or None
        if self.data.symbols is not None:
            self.record["text"] = characters.told(row, self.data, scores, self.record["seed"])
        rows = self.plan.training.batch * row.algorithm.count
        work = meter.Work(self.at.flops, self._trained, meter.products(row.cells, rows))
        meter.measure_limit(self.record, work, self.device, self.machine.precision)
        self.record["status"] = "finished"
        self.record["ended"] = now()
        self.save()

    def save(self) -> None:
        """Write where the run stands into its folder, where it has one."""
        # Its last evaluation is no training, and who made no step only ends what another trained.
        if self._warm and self.record["status"] != "finished":
            meter.measure_memory(self.record, self.device, self._resident)
        if self.out is None:
            return
        state = {"position": vars(self.at), "record": self.record}
        random, folder = {"negatives": self.rng.get_state()}, self.out / "checkpoint"
        checkpoint.save(folder, self.at.steps, self.row.everyone, random, state, self._memory)
        record.write(self.out / "record.json", self.record)


def _sum(before: float | None, now: float | None) -> float | None:
    """Joules of a run's processes together, unknown where those of one are."""
    return None if before is None or now is None else round(before + now, 3)


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
