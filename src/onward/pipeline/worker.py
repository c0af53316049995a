"""A place that holds a block of cells, or the readout, and does as the messages say.

It knows its recipe and settings from its own command line, never from what it is sent; what it is
sent first only has to agree with them. Weights and optimisers come from the driver, which has them
from the recipe's seed or a checkpoint, and go back when it asks for them at the end of an epoch.

    hello    driver -> each     what the run is; answered by "ready", or "refused" and why
    load     driver -> each     weights and optimisers of its stations
    begin    along the row      an epoch begins or goes on: rate, sums of losses so far
    batch    along the row      learn from it
    labels   driver -> readout  the labels of a batch, whose answers come from the blocks
    settle   along the row      send weights, optimisers, sums and costs to the driver
    stop     along the row      the end; each says "bye" to whom it has sent by itself, or
                                "failed" and why
"""

import dataclasses
import json
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import checkpoint
from ..blocks import Block, Reader, Way
from ..errors import BadInput
from ..flops import counted
from ..local import Station
from ..meter import own_peak_bytes
from ..optimizers import set_rate
from ..plan import Machine
from ..recipes import recorded
from ..recipes.recipe import Recipe
from ..row import Row
from ..stages import Losses
from ..version import __version__
from .links import Link, LinkLost
from .messages import Message

DRIVER = 0

KEPT = 24
"""Steps of which a place tells when they were, the last ones before it is asked: a timeline."""


def about(recipe: str, settings: Any, seed: int, machine: Machine) -> dict[str, Any]:
    """What places must agree on before they work together."""
    return {
        "version": __version__,
        "recipe": recipe,
        "settings": json.loads(json.dumps(dataclasses.asdict(settings))),
        "seed": seed,
        "precision": machine.precision,
        "fast": machine.fast,
    }


def differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Names of what two places do not agree on, or nothing."""
    names = [name for name in mine if name != "settings" and mine[name] != theirs.get(name)]
    ours, others = mine["settings"], theirs.get("settings", {})
    names += [name for name in ours.keys() | others.keys() if ours.get(name) != others.get(name)]
    return ", ".join(sorted(names))


class Worker:
    """One place's stations and their work."""

    def __init__(self, link: Link, place: int, recipe: Recipe, settings: Any, machine: Machine):
        self.link, self.place, self.machine = link, place, machine
        self.recipe, self.settings = recipe, settings
        self.device = machine.resolve()
        self.sums: dict[str, Tensor] = {}
        self.first: tuple[int, int] | None = None  # FLOPs and samples of the first step here
        self.busy = 0.0
        self.steps: deque[tuple[float, float]] = deque(maxlen=KEPT)  # began and ended, by the clock

    def serve(self, mine: Mapping[str, Any], seed: int) -> None:
        """Everything, from the first message to the last. Raises BadInput, and LinkLost."""
        hello = self.link.receive(DRIVER)
        try:
            self._meet(hello, mine, seed)
        except BadInput as error:
            self.link.send(DRIVER, Message("refused", info=str(error)))
            self.link.flush()
            raise
        self.link.send(DRIVER, Message("ready"))
        load(self.link.receive(DRIVER), self.stations, f"what place {DRIVER} sent")
        try:
            with self.machine.arithmetic(self.device):
                while self._obey():
                    pass
        except LinkLost:
            raise
        except Exception as error:
            # It would come again: the driver is told why, and starts nobody anew.
            line = " ".join(str(error).split())
            self._end(Message("failed", info=f"place {self.place} failed: {line}"))
            raise
        self._end(Message("bye"))

    def _end(self, last: Message) -> None:
        """The last message to everyone who waits for one."""
        self.link.send(DRIVER, last)
        if self.reader_place is not None and self.block is not None and self.block.shows:
            self.link.send(self.reader_place, last)
        self.link.flush()

    def _meet(self, hello: Message, mine: Mapping[str, Any], seed: int) -> None:
        theirs = hello.info
        if changed := differing(mine, theirs["about"]):
            raise BadInput(
                f"the driver's run and this place's differ: {changed}. Start every place with the "
                "same Onward, recipe and settings"
            )
        row = self.recipe.build(self.settings, recorded.blank(theirs), seed).row
        row.fast = self.machine.fast == "auto"
        way, first, count = Way(**theirs["way"]), theirs["first"], theirs["count"]
        self.previous, self.next = theirs["previous"], theirs["next"]
        self.reader_place, self.blocks = theirs["reader"], theirs["blocks"]
        self.block: Block | None = None
        self.reader: Reader | None = None
        if count:
            self.stations = row.stations[first : first + count]
            self.block = Block(self.stations, first, row, way)
        else:
            assert row.readout is not None
            self.stations = [row.readout]
            self.reader = Reader(Row([], row.algorithm, row.readout, ()), way)
        del row  # the other cells
        for station in self.stations:
            station.cell.to(self.device)

    def _obey(self) -> bool:
        """Do what the next message says; False at the end."""
        came = self.link.receive(self.previous)
        if came.kind == "begin":
            self._begin(came.info)
        elif came.kind in ("batch", "labels"):
            self._learn(came)
            return True  # it has been handed on, by what it became
        elif came.kind == "settle":
            self._settle()
        elif came.kind != "stop":
            raise BadInput(f"place {self.previous} sent a {came.kind!r}, which nobody knows here")
        if self.next is not None:
            self.link.send(self.next, came)
        return came.kind != "stop"

    def _begin(self, info: Mapping[str, Any]) -> None:
        for station in self.stations:
            for optimizer in station.optimizers.values():
                set_rate(optimizer, info["rate"])
        wide = partial(torch.tensor, dtype=torch.float64, device=self.device)
        mine = {station.name for station in self.stations}
        self.sums = {name: wide(total) for name, total in info["sums"].items() if name in mine}

    def _learn(self, came: Message) -> None:
        size = int(came.info)
        tensors = {name: t.to(self.device) for name, t in came.tensors.items()}
        if self.reader is not None:
            answers: dict[str, Tensor] = {}
            for block in self.blocks:
                found = self.link.receive(block)
                if found.kind != "answers":
                    raise LinkLost(f"place {block} ended before its time")
                answers.update(found.tensors)
            answers = {name: t.to(self.device) for name, t in answers.items()}
            losses = self._timed(size, partial(self._read, answers, tensors["y"]))
        else:
            losses = self._timed(size, partial(self._pass, tensors, size))
        for name, loss in losses.items():
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss.double()

    def _timed(self, size: int, work: "partial[Losses]") -> Losses:
        began, waited, clock = time.perf_counter(), self.link.waited, time.time()
        if self.first is None:
            losses, flops = counted(work)
            self.first = flops, size
        else:
            losses = work()
        took = time.perf_counter() - began
        self.busy += took - (self.link.waited - waited)
        self.steps.append((clock, clock + took))
        return losses

    def _read(self, answers: dict[str, Tensor], y: Tensor) -> Losses:
        assert self.reader is not None
        return self.reader.step(answers, y)

    def _pass(self, tensors: dict[str, Tensor], size: int) -> Losses:
        assert self.block is not None
        losses, goes, answers = self.block.step(tensors)
        if self.next is not None:
            self.link.send(self.next, Message("batch", goes, size))
        if self.reader_place is not None and self.block.shows:
            self.link.send(self.reader_place, Message("answers", answers))
        return losses

    def _settle(self) -> None:
        costs = {
            "busy_seconds": round(self.busy, 3),
            "waiting_seconds": round(self.link.waited, 3),
            "bytes_in": self.link.received,
            "bytes_out": self.link.sent,
            "peak_memory_bytes": own_peak_bytes(),
            "steps": list(self.steps),
        }
        sums = {name: float(total) for name, total in self.sums.items()}
        info = {"sums": sums, "first": self.first, "costs": costs}
        self.link.send(DRIVER, pack("state", self.stations, info))


def pack(kind: str, stations: list[Station], info: Mapping[str, Any]) -> Message:
    """Weights and optimisers of stations, and something beside them."""
    tensors = {
        f"{station.name}/{name}": tensor
        for station in stations
        for name, tensor in checkpoint.tensors_of(station).items()
    }
    optimizers = {station.name: checkpoint.settings_of(station) for station in stations}
    return Message(kind, tensors, {**info, "optimizers": optimizers})


def load(message: Message, stations: list[Station], where: str) -> None:
    """Put weights and optimisers from a message into stations. Raises BadInput for others."""
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in message.tensors.items():
        station, _, rest = name.partition("/")
        tensors.setdefault(station, {})[rest] = tensor
    state = {"optimizers": message.info["optimizers"]}
    checkpoint.restore(checkpoint.Saved(Path(where), state, tensors), stations)
