"""The terms of a federation: who has which samples, what is averaged how, and when it is given up.

Nothing here needs Flower.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

from ..errors import BadInput

Partition = Literal["iid", "dirichlet", "labels", "files"]
Server = Literal["fedavg", "fedavgm", "fedadagrad", "fedadam", "fedyogi"]
Head = Literal["along", "last", "server", "exact"]


@dataclass(frozen=True)
class Federation:
    """How a recipe's cells are trained across data owners.

    Attributes:
        clients: data owners (of partition=files as many as there are files)
        rounds: of every stage, each a like part of its epochs; null for one epoch a round
        partition: how training samples are shared out
        alpha: of partition=dirichlet; the smaller, the less alike the clients' labels
        labels_each: labels a client has, about, of partition=labels
        files: folder of .npz files, one a client, in order of their names, of partition=files
        sampled: share of the clients that learn in a round, drawn anew each round
        server: how the server goes from its weights to the mean of the clients'
        server_lr: its step size; null for the optimiser's own
        server_momentum: of fedavgm
        proximal: pull of every client's weights to those it was sent (FedProx's mu)
        head: readout learns along, or last on frozen cells: at clients, at server, or exactly, from
            sums over the clients' samples
        ridge: pull of an exact readout to zero, for each sample
        server_share: share of the training samples that are the server's own
        clip: longest change of a client in a round, by norm; null for any (differential privacy)
        dp_noise: noise beside clipped changes, a multiple of clip for each client in the round
        wait: seconds in which a client must answer, or a first one appear
    """

    clients: int = 10
    rounds: int | None = None
    partition: Partition = "iid"
    alpha: float = 0.3
    labels_each: int = 2
    files: str | None = None
    sampled: float = 1.0
    server: Server = "fedavg"
    server_lr: float | None = None
    server_momentum: float = 0.9
    proximal: float = 0.0
    head: Head = "along"
    ridge: float = 2e-4
    server_share: float = 0.0
    clip: float | None = None
    dp_noise: float = 0.0
    wait: float = 60.0

    def __post_init__(self) -> None:
        whole = {"clients": self.clients, "labels_each": self.labels_each}
        whole |= {} if self.rounds is None else {"rounds": self.rounds}
        for name, number in whole.items():
            if number < 1:
                raise BadInput(f"{name} should be 1 or more, and is {number}")
        for name in ("alpha", "sampled", "wait", "server_lr", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise BadInput(f"{name} should be a number above 0, and is {value}")
        for name in ("server_momentum", "proximal", "dp_noise", "server_share", "ridge"):
            if not 0 <= getattr(self, name) < math.inf:
                raise BadInput(f"{name} should be 0 or more, and is {getattr(self, name)}")
        for name in ("sampled", "server_share", "server_momentum"):
            if getattr(self, name) > 1:
                raise BadInput(f"{name} should be 1 at most, and is {getattr(self, name)}")
        self._refuse_apart()

    def _refuse_apart(self) -> None:
        """Refuse, by name, what means nothing without another."""
        if self.partition == "files" and not self.files:
            raise BadInput("partition=files wants a folder of .npz files: give --files DIR")
        # A flag that would change nothing is somebody's mistake.
        apart = {
            "files": ("partition", "files"),
            "alpha": ("partition", "dirichlet"),
            "labels_each": ("partition", "labels"),
            "server_momentum": ("server", "fedavgm"),
            "server_share": ("head", "server"),
            "ridge": ("head", "exact"),
        }
        usual = {field.name: field.default for field in fields(self)}
        for name, (other, wanted) in apart.items():
            if getattr(self, name) != usual[name] and getattr(self, other) != wanted:
                raise BadInput(
                    f"{name} is of {other}={wanted}, and {other} is {getattr(self, other)}: leave "
                    "one out"
                )
        if self.server == "fedavg" and self.server_lr is not None:
            raise BadInput(
                "server=fedavg takes the mean as it is, without a server_lr: leave it out"
            )
        if self.dp_noise and self.clip is None:
            raise BadInput("dp_noise is beside clipped changes: give a clip as well")
        if self.head == "exact" and self.clip is not None:
            raise BadInput(
                "clip bounds changes of weights, and head=exact sends sums over samples: take "
                "another head, or no clip"
            )
        if self.head == "exact" and self.sampled < 1:
            raise BadInput(
                f"head=exact wants sums of every client, and sampled is {self.sampled:g}: leave "
                "one out"
            )
        if self.head == "server" and not self.server_share:
            raise BadInput(
                "head=server has the readout learn from the server's own samples, and it has none: "
                "give it a share (server_share=0.05)"
            )

    def epochs_a_round(self, epochs: int) -> int:
        """Of every client.  Raises BadInput where rounds do not divide a stage's epochs."""
        rounds = self.rounds or epochs
        if epochs % rounds:
            raise BadInput(
                f"{epochs} epochs are not {rounds} rounds of as many each: take epochs that "
                f"{rounds} divides, or other rounds"
            )
        return epochs // rounds


NO_SECURE_AGGREGATION = (
    "secure aggregation is not to be had: Flower 1.41 has none for messages that carry some cells "
    "only (its SecAgg+ is of the older interface). The server sees each client's weights; clip and "
    "dp_noise bound what one client can change"
)
