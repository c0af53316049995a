"""Who takes part: clients that Flower's grid has, asked once what they are like, then for turns."""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import BadInput
from ..seeds import generator
from ..version import __version__
from . import flower
from .owner import Turn, Weights
from .terms import Federation

AGAIN = 5
"""Rounds after which clients that were left out are asked anew what they are like."""

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
    """The clients of a run, by their own numbers. ``wanted`` is what all must be like.

    One that is not is told of and left out; where it must not be (``strict``), an error.
    """

    def __init__(
        self,
        grid: Any,
        terms: Federation,
        turn: Turn,
        wanted: Mapping[str, Any],
        *,
        strict: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ):
        self.grid, self.terms, self.turn = grid, terms, turn
        self.strict, self.tell = strict, tell
        self.looks = 0
        self.samples: dict[int, int] = {}  # that each client says it has
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
        if not self.begun and len(self.nodes) < self.terms.clients:
            missing = sorted(set(range(self.terms.clients)) - set(self.nodes))
            self.tell(
                f"beginning without clients {', '.join(map(str, missing))}: they have not come"
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
        gram: Collection[int] = (),
    ) -> Asked:
        """One turn of each chosen client: what came, and what did not.

        Where sums are asked for, those of ``gram`` are asked for that as well.
        """
        clients = {self.nodes[client]: client for client in chosen}
        arrays = flower.arrays(sent)
        messages = flower.messages(strategy, round_, arrays, list(clients))
        asked = Asked()
        for message in messages:
            client = clients[message.metadata.dst_node_id]
            has = self.holds.setdefault(client, set())
            frozen = {name: found for name, found in still.items() if name not in has}
            own = dataclasses.replace(turn, sums="gram") if client in gram else turn
            message.content = flower.ask(own, sent, frozen)
            asked.down[client] = flower.size(arrays) + flower.size(flower.arrays(frozen))
        messages.sort(key=lambda message: clients[message.metadata.dst_node_id])
        for reply in self.grid.send_and_receive(messages, timeout=self.terms.wait):
            # Of a node that has left Flower itself answers: by the message, not by who sends.
            asked_of = {m.metadata.message_id: m.metadata.dst_node_id for m in messages}
            node = asked_of.get(reply.metadata.reply_to_message_id)
            if node is not None:
                self._read(asked, clients[node], reply, still)
        for client in chosen:
            if client not in asked.replies and client not in asked.refused:
                late = f"no answer within {self.terms.wait:g} s: give it longer (--wait)"
                asked.refused[client] = late
                self.holds[client] = set()  # whoever comes back may have forgotten
        asked.replies = dict(sorted(asked.replies.items()))
        asked.answers = dict(sorted(asked.answers.items()))
        return asked

    def _read(self, asked: Asked, client: int, reply: Any, still: Weights) -> None:
        self.holds[client] = set()  # whoever failed may have forgotten what it was sent
        if reply.has_error():
            asked.refused[client] = reply.error.reason
            return
        try:
            content = reply.content
            if "refused" in content:
                asked.refused[client] = str(content["refused"]["why"])[:500]
                return
            metrics, came = content["metrics"], content["arrays"]
            asked.up[client] = flower.size(came)
            told = {key: float(metrics[key]) for key in ("num-examples", "seconds", "flops")}
            losses = {
                str(key).removeprefix("loss/"): float(value)
                for key, value in metrics.items()
                if str(key).startswith("loss/")
            }
            bad = [k for k, v in (told | losses).items() if not (math.isfinite(v) and v > -1e30)]
            if bad or not 0 < told["num-examples"] <= self.samples[client] or told["flops"] < 0:
                raise BadInput(
                    f"{', '.join(bad) or 'what it cost'} can't be: {told}, and it greeted with "
                    f"{self.samples[client]} samples"
                )
            asked.answers[client] = flower.tensors(came)
            asked.told[client] = {
                "samples": int(told["num-examples"]),
                "seconds": told["seconds"],
                "flops": told["flops"],
                "losses": losses,
            }
        except Exception as error:  # whatever a client sends, the round goes on with the others
            asked.answers.pop(client, None)
            asked.refused[client] = (
                f"its answer can't be read ({' '.join(str(error).split())[:300]})"
            )
            return
        asked.replies[client] = reply
        self.holds[client] = set(still)

    def _look(self) -> None:
        """Greet whoever is new, and forget who has left."""
        there = set(self.grid.get_node_ids())
        self.nodes = {client: node for client, node in self.nodes.items() if node in there}
        self.looks += 1
        # Who was refused may have mended it, and be the same node to Flower.
        again = self.looks % AGAIN == 0
        known = {*self.nodes.values(), *(() if again else self.strangers)}
        new = sorted(there - known)
        if not new:
            return
        messages = [flower.hello(self.turn, node) for node in new]
        self.strangers = {n: why for n, why in self.strangers.items() if n not in new}
        silent = set(new)
        for reply in self.grid.send_and_receive(messages, timeout=self.terms.wait):
            asked_of = {m.metadata.message_id: m.metadata.dst_node_id for m in messages}
            node = asked_of.get(reply.metadata.reply_to_message_id)
            if node is None:
                continue
            silent.discard(node)
            try:
                why = self._greet(node, reply)
            except Exception as error:  # whatever it sends
                why = f"a client answered with what is no greeting ({error})"
            if why:
                self._leave_out(node, why)
        for node in silent:
            self._leave_out(node, f"a client did not answer a greeting in {self.terms.wait:g} s")

    def _leave_out(self, node: int, why: str) -> None:
        if self.strict:
            raise BadInput(why)
        self.strangers[node] = why
        self.tell(why)

    def _greet(self, node: int, reply: Any) -> str:
        """Take a client in; or say why not."""
        if reply.has_error():
            return f"a client can't take part: {reply.error.reason}"
        about = json.loads(str(reply.content["hello"]["about"]))
        client = about["client"]
        if not isinstance(client, int) or not 0 <= client < self.terms.clients:
            return (
                f"a client says it is number {client!r}: give each its own, from 0 on, below the "
                f"{self.terms.clients} clients of the run"
            )
        if about.get("refused"):
            return f"client {client} can't take part: {about['refused']}"
        for key, wanted in self.wanted.items():
            if about.get(key) != wanted:
                return _unlike(client, key, wanted, about.get(key))
        if client in self.nodes:
            return f"two clients are number {client}: give each its own (partition-id)"
        if not isinstance(about["samples"], int) or about["samples"] < 1:
            raise BadInput(f"it has {about['samples']!r} samples")
        self.nodes[client], self.samples[client] = node, about["samples"]
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
