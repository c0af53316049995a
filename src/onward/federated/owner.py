"""A data owner's turn: some epochs of one stage, on samples that stay where they are.

A client keeps nothing between turns but the cells that are frozen: weights come with a turn and go
with its answer, optimisers are new each time, and what is random (batches, negatives, noise) is
drawn from the run's seed, the client's number and the round. So a client that is killed and comes
back costs its turn alone. Counters of cells, such as how often noise was drawn, stay where they
are: what travels is what is learned.
"""

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from ..data import Dataset, Split, load_part
from ..errors import BadInput
from ..flops import counted
from ..local import Station
from ..optimizers import set_rate
from ..plan import Machine, Plan, Precision
from ..recipes.recipe import Recipe
from ..row import Row
from ..run import Run
from ..schedules import Schedule, frozen, greedy, simultaneous
from ..seeds import generator
from ..stages import Losses, Stage
from .sums import sums

Weights = dict[str, dict[str, Tensor]]
"""Station -> name in its state_dict -> tensor."""

SERVER = -1
"""The server as a client of its own, where it has samples."""


@dataclass(frozen=True)
class Turn:
    """What a client is asked to do: epochs ``first`` to ``last`` of ``epochs``, of one stage.

    ``recipe``, ``settings`` and ``seed`` are the run's; ``round`` counts over all stages;
    ``frozen`` are the stations that have learned before; ``proximal`` is FedProx's mu; ``sums``
    asks for sums over samples in place of weights, a slope, or the Gram matrix as well (sums.py);
    ``data`` is what a client's samples must be like.
    """

    recipe: str
    settings: dict[str, Any]
    seed: int
    stage: int
    round: int
    first: int
    last: int
    epochs: int
    frozen: Sequence[str] = ()
    head: str = "along"
    proximal: float = 0.0
    sums: Literal["", "slope", "gram"] = ""
    data: dict[str, Any] = field(default_factory=dict)
    precision: Precision = "fp32"
    fast: Literal["auto", "off"] = "auto"


@dataclass(frozen=True)
class Learned:
    """A client's answer: the weights of the stations that learned, of so many samples.

    Of an exact readout they are sums over its samples. ``losses`` are each station's mean over the
    turn's steps, ``flops`` all its products'.
    """

    weights: Weights
    samples: int
    losses: dict[str, float]
    flops: float
    seconds: float


def schedule_of(schedule: Schedule, head: str) -> Schedule:
    """The recipe's own schedule; or the same with the readout last, on frozen cells."""
    own = getattr(schedule, "func", schedule)
    if head == "along" or (head == "exact" and own in (greedy, frozen)):  # whose readout is last
        return schedule
    if own is not simultaneous:
        more = "s simultaneous, greedy and frozen" if head == "exact" else " simultaneous"
        raise BadInput(
            f"head={head} is of the schedule{more}, and the schedule is "
            f"{getattr(own, '__name__', 'another')}, which has its own place for the readout: "
            "leave it out"
        )
    return _head_last


def _head_last(row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
    """All cells together, without labels unless they need them; then the readout, on all of them.

    Settings are refused at once, as by every schedule.
    """
    cells = simultaneous(dataclasses.replace(row, readout=None), x, y, rng)
    head = frozen(row, x, y, rng, order=len(row.stations))

    def both() -> Iterator[Stage]:
        yield from cells
        for stage in head:
            yield dataclasses.replace(stage, trained=len(row.stations))

    return both()


@dataclass(frozen=True)
class Local:
    """A client: its number, its samples (``data.train`` alone is looked at), and its machine."""

    recipe: Recipe
    client: int
    data: Dataset
    machine: Machine

    def about(self, turn: Turn) -> dict[str, Any]:
        """What has to be alike at all clients and the server, and its number."""
        samples = len(self.data.train)
        return {
            "client": self.client,
            "samples": samples,
            **alike(prepared(self.recipe, turn, self.data), self.data),
        }

    def learn(self, turn: Turn, came: Weights) -> Learned:
        """Take a turn (:func:`learn`)."""
        return learn(self.recipe, turn, self.client, self.data, came, self.machine)


def load_samples(turn: Turn, path: Path) -> Dataset:
    """A client's own samples, of the kind that a turn wants.  Raises BadInput for others."""
    from ..recipes.recorded import blank

    like = blank({"data": turn.data})
    return dataclasses.replace(like, train=load_part(path, like))


def alike(plan: Plan, data: Dataset) -> dict[str, Any]:
    """What a federation's places must agree on: samples of one kind, and the cells as drawn."""
    digest = hashlib.sha256()
    for name, found in weights(tuple(plan.row.everyone)).items():
        for key, tensor in sorted(found.items()):
            digest.update(f"{name}/{key} {list(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    shape = list(data.shape)
    return {"shape": shape, "classes": data.classes, "drawn": digest.hexdigest()}


def learn(
    recipe: Recipe, turn: Turn, client: int, data: Dataset, came: Weights, machine: Machine
) -> Learned:
    """Take a turn with the weights that ``came``; only ``data.train`` is looked at.

    The first turn of client 0 is, bit for bit, what a run would do on these data in its first
    epochs. Raises BadInput for weights of another row, and where training diverges.
    """
    machine = dataclasses.replace(machine, precision=turn.precision, fast=turn.fast)
    own = seed_of(turn, client)
    if lacking := [name for name in turn.frozen if name not in came]:
        raise BadInput(f"it lacks {', '.join(lacking)}, frozen by now: they are sent with its next")
    plan = prepared(recipe, turn, data, own)
    if own != turn.seed:  # cells that have not learned are those of everyone; their noise is not
        load(weights(tuple(prepared(recipe, turn, data).row.everyone)), plan.row)
    load(came, plan.row)
    about = {"seed": own, "cost": {"warmup_seconds": 0.0, **_NO_COST}}
    if turn.sums:  # over all samples, of which no last batch is too small
        whole = dataclasses.replace(plan.training, batch=len(data.train))
        plan = dataclasses.replace(plan, training=whole)
        return _summed(turn, Run(plan, data, machine, about))
    data = _in_batches(data, plan, own)
    run = Run(plan, data, machine, about)
    seconds, flops, sums = 0.0, 0.0, dict[str, float]()
    stages = run.stages()  # what a step reads (stored latents) is there as long as this
    with machine.arithmetic(run.device):
        stage, before = _reach(stages, turn.stage)
        if turn.proximal:
            stage = dataclasses.replace(stage, step=_pulled(stage, turn.proximal))
        for run.at.epoch in range(turn.first, turn.last):
            rate = plan.training.rate(run.at.epoch + 1, turn.epochs)
            for optimizer in [o for s in stage.stations for o in s.optimizers.values()]:
                set_rate(optimizer, rate)
            run.train_epoch(stage, rate)
            _refuse_divergence(stage, run)
            for name, total in run.at.sums.items():
                sums[name] = sums.get(name, 0.0) + total
            seconds, flops = seconds + run.at.seconds, flops + len(data.train) * _flops(run)
            run.at.batch, run.at.sums, run.at.seconds = 0, {}, 0.0
    steps = math.ceil(len(data.train) / plan.training.batch) * (turn.last - turn.first)
    losses = {name: total / steps for name, total in sums.items()}
    return Learned(weights(stage.stations), len(data.train), losses, before + flops, seconds)


def _summed(turn: Turn, run: Run) -> Learned:
    """A turn of an exact readout: sums over all samples, at the weights that came."""
    head, began = run.row.readout, time.perf_counter()
    assert head is not None
    with run.machine.arithmetic(run.device):
        (found, loss), flops = counted(
            lambda: sums(run.row, run.x, run.y, gram=turn.sums == "gram")
        )
    seconds = time.perf_counter() - began
    return Learned({head.name: found}, len(run.y), {head.name: loss}, flops, seconds)


def seed_of(turn: Turn, client: int) -> int:
    """What a client draws from in a turn; in the very first turn client 0 is the run itself."""
    if client == 0 and turn.round == 0:
        return turn.seed
    text = f"{turn.seed}/client/{client}/round/{turn.round}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def prepared(recipe: Recipe, turn: Turn, data: Dataset, seed: int | None = None) -> Plan:
    """The recipe's plan for a client's data, drawn from the run's own seed or another."""
    from ..recipes.recorded import settings_of

    settings = settings_of(recipe, turn.settings, "the server's turn")
    plan = recipe.build(settings, data, turn.seed if seed is None else seed)
    training = dataclasses.replace(
        plan.training, epochs=turn.epochs, batch=min(plan.training.batch, len(data.train))
    )
    return dataclasses.replace(
        plan, schedule=schedule_of(plan.schedule, turn.head), training=training
    )


def _in_batches(data: Dataset, plan: Plan, seed: int) -> Dataset:
    """The data without as many samples as would be too small a last batch for the algorithm."""
    left = len(data.train) % plan.training.batch
    if not 0 < left < plan.row.algorithm.fewest:
        return data
    order = torch.randperm(len(data.train), generator=generator(seed, "left out"))
    kept = order[left:].sort().values
    return dataclasses.replace(data, train=Split(data.train.x[kept], data.train.y[kept]))


def learned(cell: nn.Module) -> dict[str, Tensor]:
    """What of a cell's state is learned: numbers with a fraction, and no counters."""
    return {
        name: tensor
        for name, tensor in cell.state_dict().items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point()
    }


def weights(stations: "tuple[Station, ...]") -> Weights:
    """Copies of all that stations have learned."""
    return {
        s.name: {k: v.detach().cpu().clone() for k, v in learned(s.cell).items()} for s in stations
    }


def load(came: Weights, row: Row) -> None:
    """Put weights into stations. Raises BadInput, by name, for those of another row."""
    there = {station.name: station for station in row.everyone}
    for name, tensors in came.items():
        if name not in there:
            raise BadInput(f"weights came for {name}, and this row has {', '.join(there)}")
        cell = there[name].cell
        refuse_unlike(name, learned(cell), tensors)
        cell.load_state_dict({**cell.state_dict(), **tensors})


def refuse_unlike(name: str, own: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> None:
    """Raise BadInput, by name, where a station's tensors are not of the names and shapes wanted."""
    for key in sorted(own.keys() | came.keys()):
        shape = list(came[key].shape) if key in came else "nothing"
        wanted = list(own[key].shape) if key in own else "nothing"
        if shape != wanted or (key in own and own[key].dtype != came[key].dtype):
            raise BadInput(f"{name} has {key} {wanted}, and what came has {shape}: another row's")


def _reach(stages: Iterator[Stage], wanted: int) -> tuple[Stage, float]:
    """The stage, and the products it cost to get there: frozen cells are run on all samples."""
    before, stage = 0.0, None
    for _ in range(wanted + 1):
        stage, flops = counted(lambda: next(stages, None))
        before += flops
        if stage is None:
            raise BadInput(f"the server asks for stage {wanted}, and this row has fewer")
    assert stage is not None
    return stage, before


def _refuse_divergence(stage: Stage, run: Run) -> None:
    for station in stage.stations:
        loss = run.at.sums.get(station.name, 0.0)
        if not math.isfinite(loss) or not all(
            bool(torch.isfinite(p).all()) for p in station.cell.parameters()
        ):
            raise BadInput(f"{station.name} diverged here: take a smaller learning rate (lr)")


def _pulled(stage: Stage, mu: float) -> Any:
    """A stage's step with FedProx's pull: w <- w - lr mu (w - w0), decoupled as weight decay is.

    Departs from the paper (Li et al. 2020, section 3.2), whose pull is a term of the loss, and so
    goes through momentum and Adam's scaling.
    """
    groups = [g for s in stage.stations for o in s.optimizers.values() for g in o.param_groups]
    anchors = [[p.detach().clone() for p in group["params"]] for group in groups]

    def step(index: Tensor) -> Losses:
        losses = stage.step(index)
        with torch.no_grad():
            for group, anchor in zip(groups, anchors, strict=True):
                torch._foreach_lerp_(group["params"], anchor, min(1.0, group["lr"] * mu))
        return losses

    return step


def _flops(run: Run) -> float:
    return run.at.flops_a_sample or 0.0


_NO_COST = {"energy_joules": None, "flops": 0, "data_passes": 0}
