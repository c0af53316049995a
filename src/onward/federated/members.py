"""Who takes part: clients that Flower's grid has, asked once what they are like, then for turns."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import BadInput
from ..seeds import generator
from ..version import __version__
from . import flower
from .owner import Turn, Weights
from .terms import Federation

LOOK = 0.5
"""Seconds between two looks for clients that are not there yet."""


@dataclass
class Asked:
    """What came of one round's questions, by client."""

    answers: dict[int, Weights] = field(default_factory=dict)
    replies: dict[int, Any] = field(default_factory=dict)  # Flower's messages
    refused: dict[int, str] = field(default_factory=dict)
    down: dict[int, int] = field(default_factory=dict)  # bytes
    up: dict[int, int] = field(default_factory=dict)
    told: dict[int, dict[str, Any]] = field(default_factory=dict)


class Members:
    """The clients of a run, by their own numbers. ``wanted`` is what all must be like."""

    def __init__(self, grid: Any, terms: Federation, turn: Turn, wanted: Mapping[str, Any]):
        self.grid, self.terms, self.turn = grid, terms, turn
        self.wanted = {"onward": __version__, **wanted}
        self.nodes: dict[int, int] = {}  # client -> Flower's node
        self.strangers: dict[int, str] = {}  # node -> why it takes no part
        self.holds: dict[int, set[str]] = {}  # client -> frozen stations that it has
        self.begun = False

    def chosen(self, round_: int) -> list[int]:
        """The clients of a round, drawn from the seed. Raises BadInput where none is there."""
        late = time.monotonic() + self.terms.wait
        while True:
            self._look()
            enough = len(self.nodes) >= (1 if self.begun else self.terms.clients)
            if enough or time.monotonic() > late:
                break
            time.sleep(LOOK)
        if not self.nodes:
            why = next(iter(self.strangers.values()), "none has come")
            raise BadInput(
                f"no client is there after {self.terms.wait:g} s ({why}): start them, or give them "
                "longer (--wait)"
            )
        self.begun = True
        there = sorted(self.nodes)
        count = max(1, round(self.terms.sampled * len(there)))
        rng = generator(self.turn.seed, "clients", round_)
        picked = torch.randperm(len(there), generator=rng)[:count].tolist()
        return sorted(there[i] for i in picked)

    def ask(
        self,
        strategy: Any,
        round_: int,
        turn: Turn,
        sent: Weights,
        still: Weights,
        chosen: Sequence[int],
    ) -> Asked:
        """One turn of each chosen client: what came, and what did not."""
        clients = {self.nodes[client]: client for client in chosen}
        arrays = flower.arrays(sent)
        messages = flower.messages(strategy, round_, arrays, list(clients))
        asked = Asked()
        for message in messages:
            client = clients[message.metadata.dst_node_id]
            has = self.holds.setdefault(client, set())
            frozen = {name: found for name, found in still.items() if name not in has}
            message.content = flower.ask(turn, sent, frozen)
            asked.down[client] = flower.size(arrays) + flower.size(flower.arrays(frozen))
        messages.sort(key=lambda message: clients[message.metadata.dst_node_id])
        for reply in self.grid.send_and_receive(messages, timeout=self.terms.wait):
            if reply.metadata.src_node_id in clients:
                self._read(asked, clients[reply.metadata.src_node_id], reply, still)
        for client in chosen:
            if client not in asked.replies and client not in asked.refused:
                asked.refused[client] = f"no answer within {self.terms.wait:g} s"
                self.holds[client] = set()  # whoever comes back may have forgotten
        asked.replies = dict(sorted(asked.replies.items()))
        asked.answers = dict(sorted(asked.answers.items()))
        return asked

    def _read(self, asked: Asked, client: int, reply: Any, still: Weights) -> None:
        if reply.has_error():
            asked.refused[client] = reply.error.reason
            self.holds[client] = set()
            return
        content = reply.content
        if "refused" in content:
            asked.refused[client] = str(content["refused"]["why"])
            self.holds[client] = set()
            return
        try:
            metrics, came = dict(content["metrics"]), content["arrays"]
            asked.up[client] = flower.size(came)
            asked.answers[client] = flower.tensors(came)
            samples = metrics["num-examples"]
            if not samples > 0:
                raise BadInput(f"it learned from {samples} samples")
            asked.told[client] = {
                "samples": int(samples),
                "seconds": float(metrics["seconds"]),
                "flops": float(metrics["flops"]),
            }
        except (BadInput, KeyError, TypeError, ValueError) as error:
            asked.answers.pop(client, None)
            asked.refused[client] = f"its answer can't be read ({error})"
            return
        asked.replies[client] = reply
        self.holds[client] |= set(still)

    def _look(self) -> None:
        """Greet whoever is new, and forget who has left."""
        there = set(self.grid.get_node_ids())
        self.nodes = {client: node for client, node in self.nodes.items() if node in there}
        new = sorted(there - set(self.nodes.values()) - set(self.strangers))
        if not new:
            return
        messages = [flower.hello(self.turn, node) for node in new]
        for reply in self.grid.send_and_receive(messages, timeout=self.terms.wait):
            node = reply.metadata.src_node_id
            why = self._greet(node, reply)
            if why and not self.begun:
                raise BadInput(why)
            if why:
                self.strangers[node] = why

    def _greet(self, node: int, reply: Any) -> str:
        """Take a client in; or say why not."""
        if reply.has_error():
            return f"a client can't take part: {reply.error.reason}"
        try:
            about = json.loads(str(reply.content["hello"]["about"]))
            client = int(about["client"])
        except (KeyError, TypeError, ValueError) as error:
            return f"a client answered with what is no greeting ({error})"
        if about.get("refused"):
            return f"client {client} can't take part: {about['refused']}"
        for key, wanted in self.wanted.items():
            if about.get(key) != wanted:
                return _unlike(client, key, wanted, about.get(key))
        if client in self.nodes:
            return f"two clients are number {client}: give each its own (partition-id)"
        self.nodes[client] = node
        self.holds[client] = set()
        return ""


def _unlike(client: int, key: str, wanted: Any, came: Any) -> str:
    if key == "onward":
        return f"client {client} has Onward {came}, and the server {wanted}: take the same"
    if key == "drawn":
        return (
            f"client {client} draws other cells than the server: another recipe, another version "
            "of torch, or settings that look at training samples, which a federation does not "
            "share (samples=standardised: take pixels or layer_norm)"
        )
    return f"client {client}'s samples have {key} {came}, and the server's {wanted}"
