"""The server: a schedule whose every step is a round of turns, at clients.

To the run's own loop a round is an epoch of one batch, taken elsewhere: it measures, saves, resumes
and stops as it would in one process. Only the stations that learn in a stage travel in its rounds;
those that are frozen were sent to each client once.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ..data import Dataset
from ..errors import BadInput
from ..plan import Machine
from ..recipes.recipe import Recipe
from ..row import Row
from ..schedules import Schedule
from ..seeds import generator
from ..stages import Losses, Settled, Stage
from . import flower, partitions
from .accepted import refusals
from .exact import Fit
from .members import Asked, Members
from .owner import SERVER, Turn, Weights, learn, learned, load, schedule_of, weights
from .sums import refuse
from .terms import Federation

PATIENCE = 3
"""Rounds in a row without one answer that counts, after which a run is given up."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What all rounds have in common. ``turn`` is the first, ``each`` a round's epochs."""

    recipe: Recipe
    turn: Turn
    each: int
    terms: Federation
    machine: Machine
    own: Dataset | None = None  # the server's own samples
    rehearsed: bool = False  # clients of this process: noise is drawn from the seed, too
    tell: Callable[[str], None] = lambda line: None  # what the user should hear of, at once


class Federated:
    """A schedule's stages, each learned in rounds at clients."""

    def __init__(self, inner: Schedule, task: Task, members: Members):
        self.inner = schedule_of(inner, task.turn.head)
        name = getattr(getattr(inner, "func", inner), "__name__", "schedule")
        self.__name__ = str(name)
        self.task, self.members = task, members

    def __call__(self, row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
        """Refuses at once what the schedule refuses."""
        if self.task.turn.head == "exact":
            refuse(row)
        # Its stages are asked of two samples: here nobody learns from them.
        return self._stages(row, self.inner(row, x[:2], y[:2], generator(0, "unused")))

    def _stages(self, row: Row, few: Iterator[Stage]) -> Iterator[Stage]:
        frozen: list[str] = []
        before = 0
        for number, stage in enumerate(few):
            rounds = Rounds(self.task, self.members, row, stage, number, before, tuple(frozen))
            yield dataclasses.replace(
                stage,
                step=rounds.step,
                passes=0,
                rows_handed_on=0,
                bytes_before=0,
                memory=rounds.memory,
                elsewhere=rounds,
            )
            before += self.task.turn.epochs // self.task.each
            frozen += [station.name for station in stage.stations]


class Rounds:
    """One stage's rounds."""

    def __init__(
        self,
        task: Task,
        members: Members,
        row: Row,
        stage: Stage,
        number: int,
        before: int,
        frozen: tuple[str, ...],
    ):
        self.task, self.members, self.row, self.stage = task, members, row, stage
        self.number, self.before = number, before  # of the stage; rounds before it
        self.frozen = frozen
        clients = max(1, round(task.terms.sampled * task.terms.clients))
        self.memory: dict[str, Tensor] = {"round": torch.zeros(1, dtype=torch.int64)}
        head, self.fit = row.linear(), None
        if task.terms.head == "exact" and self._reads() and head is not None:
            name = stage.stations[0].name
            self.fit = Fit(head, name, task.terms.clients, task.terms.ridge)
            self.memory |= self.fit.memory
        own = task.terms if self.fit is None else Federation()  # whose means are not asked for
        self.strategy = flower.strategy(own, clients)
        if own.server != "fedavg":
            self.memory |= _moments(task.terms, weights(stage.stations))
        self.sums: dict[str, float] = {}
        self.flops = self.passes = 0.0
        self.told: list[dict[str, Any]] = []
        self.empty = 0

    def begin(self, rate: float, sums: Mapping[str, float]) -> None:
        """A round begins, or is over but for what comes after it."""
        self.sums, self.flops, self.passes = dict(sums), 0.0, 0.0

    def step(self, index: Tensor) -> Losses:
        """One round; ``index`` is that of all samples, and nothing here looks at them."""
        done = int(self.memory["round"])
        first = done * self.task.each
        turn = dataclasses.replace(
            self.task.turn,
            stage=self.number,
            round=self.before + done,
            first=first,
            last=first + self.task.each,
            frozen=self.frozen,
        )
        began = time.perf_counter()
        told: dict[str, Any] = {"stage": self.stage.name, "round": turn.round + 1}
        if self.task.terms.head == "server" and self._reads():
            told |= self._at_home(turn)
        elif self.fit is not None:
            told |= self._fitted(turn, done, self.fit)
        else:
            told |= self._at_clients(turn, done)
        self.told.append({**told, "wall_seconds": round(time.perf_counter() - began, 3)})
        self.flops, self.passes = self.flops / len(index), self.passes / len(index)
        self.memory["round"] += 1
        return {}

    def settle(self) -> Settled:
        """The round's losses and costs."""
        told, self.told = self.told, []
        return Settled(self.sums, self.flops, rounds=told, passes=self.passes)

    def _reads(self) -> bool:
        return self.row.readout is not None and self.stage.stations == (self.row.readout,)

    def _at_home(self, turn: Turn) -> dict[str, Any]:
        """The server's own turn, on its own samples."""
        task, row = self.task, self.row
        assert task.own is not None
        came = weights(tuple(row.everyone))
        found = learn(task.recipe, turn, SERVER, task.own, came, task.machine)
        load(found.weights, row)
        self.sums, self.flops = found.losses, found.flops
        self.passes = self.stage.passes * task.each * found.samples
        return _columns({SERVER: {"samples": found.samples, "seconds": found.seconds}}, {})

    def _at_clients(self, turn: Turn, done: int) -> dict[str, Any]:
        sent = weights(self.stage.stations)
        chosen = self.members.chosen(turn.round)
        flower.remind(self.strategy, self.memory, sent)
        asked = self.members.ask(self.strategy, done + 1, turn, sent, self._still(), chosen)
        samples = {client: int(told["samples"]) for client, told in asked.told.items()}
        refused = {**asked.refused, **refusals(sent, asked.answers, samples)}
        self.passes = self.stage.passes * self.task.each * sum(samples.values())
        good = [client for client in asked.answers if client not in refused]
        if good:
            self._take(asked, good, done + 1, turn.round)
        return self._over(done, chosen, asked, refused, bool(good))

    def _fitted(self, turn: Turn, done: int, fit: Fit) -> dict[str, Any]:
        """A step of an exact readout, by sums over the clients' samples."""
        chosen, still = self.members.chosen(turn.round), self._still()
        ask = dataclasses.replace(turn, sums="slope")
        asked = self.members.ask(
            *(self.strategy, done + 1, ask, fit.point(), still, chosen), gram=fit.lacking(chosen)
        )
        name = self.stage.stations[0].name
        samples = {client: int(told["samples"]) for client, told in asked.told.items()}
        came = {client: found.get(name, {}) for client, found in asked.answers.items()}
        unsound = fit.refusals(came, samples)
        refused = {**asked.refused, **unsound}
        good = [client for client in came if client not in refused]
        for client in unsound:
            fit.forget(client)
        for client in good:
            fit.take(client, came[client], samples[client])
        if good:
            fit.step()
            self._mean_losses(asked, {client: samples[client] for client in good})
        self.passes = sum(samples.values())  # cells answer anew in every round
        return self._over(done, chosen, asked, refused, bool(good))

    def _over(
        self,
        done: int,
        chosen: Sequence[int],
        asked: Asked,
        refused: Mapping[int, str],
        counted: bool,
    ) -> dict[str, Any]:
        """A round at clients is over: what it cost, and who was left out."""
        for client, why in refused.items():
            self.task.tell(f"{self.stage.name}, round {done + 1}: left out client {client}: {why}")
        told = {
            client: {
                "bytes_down": asked.down[client],
                "bytes_up": asked.up.get(client, 0),
                **asked.told.get(client, {}),
            }
            for client in chosen
        }
        self.flops = sum(float(each["flops"]) for each in asked.told.values())
        if counted:
            self.empty = 0
        else:
            self._nothing(refused)
        return _columns(told, refused)

    def _take(self, asked: Asked, good: Sequence[int], round_: int, number: int) -> None:
        """Flower's mean, or step, of the answers; the row has it from now on."""
        # Where changes are clipped, each client counts for the same: else more samples are more
        # influence than the noise hides.
        alike = self.task.terms.clip is not None
        counts = {client: 1 if alike else int(asked.told[client]["samples"]) for client in good}
        replies = [flower.clean(asked.replies[c], asked.answers[c], counts[c]) for c in good]
        with _noise(self.task, number):
            new = flower.mean(self.strategy, round_, replies)
        for station in self.stage.stations:
            own = learned(station.cell)
            like = {k: new[station.name][k].to(own[k].dtype).reshape(own[k].shape) for k in own}
            load({station.name: like}, self.row)
        for key, value in flower.remembered(self.strategy).items():
            self.memory[key].copy_(value)
        self._mean_losses(asked, counts)

    def _mean_losses(self, asked: Asked, counts: Mapping[int, int]) -> None:
        """Each station's loss over the clients that count, for as much as each does."""
        good, whole = list(counts), sum(counts.values())
        self.sums = {
            name: sum(asked.told[c]["losses"].get(name, 0.0) * counts[c] / whole for c in good)
            for name in asked.told[good[0]]["losses"]
            if name in {station.name for station in self.stage.stations}
        }

    def _nothing(self, refused: Mapping[int, str]) -> None:
        self.empty += 1
        if self.empty >= PATIENCE:
            client, why = next(iter(refused.items()), (None, "no client is there"))
            who = "" if client is None else f"client {client}: "
            raise BadInput(
                f"{PATIENCE} rounds in a row brought no answer that counts ({who}{why}). What was "
                "learned before is in the last checkpoint: mend that, and go on with "
                "`onward resume`"
            )

    def _still(self) -> Weights:
        """The stations that are frozen by now."""
        return weights(tuple(s for s in self.row.everyone if s.name in self.frozen))


def _columns(told: Mapping[int, Mapping[str, Any]], refused: Mapping[int, str]) -> dict[str, Any]:
    """A round's clients as columns, for the record."""
    found: dict[str, Any] = {"clients": list(told)}
    for key in ("samples", "bytes_down", "bytes_up", "seconds"):
        values = [each.get(key, 0) for each in told.values()]
        found[key] = [round(value, 3) for value in values]
    return {**found, "refused": {str(client): why for client, why in refused.items()}}


def _moments(terms: Federation, sent: Weights) -> dict[str, Tensor]:
    """Zeros, of the shapes that a server optimiser's moments will have."""
    flat = {f"{s}/{k}": tensor for s, found in sent.items() for k, tensor in found.items()}
    zeros = {key: torch.zeros_like(tensor, dtype=torch.float32) for key, tensor in flat.items()}
    if terms.server == "fedavgm":
        return {f"momentum/{i}": zero for i, zero in enumerate(zeros.values())}
    return {f"{part}/{key}": zero.clone() for part in ("m_t", "v_t") for key, zero in zeros.items()}


@contextmanager
def _noise(task: Task, number: int) -> Iterator[None]:
    """In a rehearsal Flower draws its noise, from NumPy's own generator, as the seed says."""
    if not (task.rehearsed and task.terms.dp_noise):
        yield
        return
    before = np.random.get_state()
    drawn = partitions.random(task.turn.seed, f"noise/{number}").integers(2**32)
    np.random.seed(int(drawn))
    try:
        yield
    finally:
        np.random.set_state(before)
