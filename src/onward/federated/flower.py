"""The only file that speaks Flower: turns as its messages, its strategies as the mean.

Built on Flower's message interface (flwr.app, flwr.clientapp, flwr.serverapp), 1.41. One thing here
is private to Flower: who a process is (TaskIdentity), which :class:`InProcess` has to say where no
SuperLink does.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..version import __version__
from .owner import Learned, Turn, Weights
from .terms import Federation

QUIET = {
    **{"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"},
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
"""Nothing is sent to anybody but the federation's own hosts, and nothing is installed."""

for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

try:
    from flwr.app import (
        Array,
        ArrayRecord,
        ConfigRecord,
        Context,
        Error,
        Message,
        MetricRecord,
        RecordDict,
    )
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import (
        DifferentialPrivacyServerSideFixedClipping,
        FedAdagrad,
        FedAdam,
        FedAvg,
        FedAvgM,
        FedYogi,
        Strategy,
    )
    from flwr.supercore.task_identity import TaskIdentity
except ImportError as error:
    raise BadInput(
        "a federation runs on Flower, which is not installed, or in another version: "
        "pip install 'onward[federated]'"
    ) from error


def _in_words(told: logging.LogRecord) -> bool:
    """What Onward refuses is told without a traceback, which Flower adds to all that it logs."""
    if told.exc_info and isinstance(told.exc_info[1], BadInput):
        told.exc_info = None
    return True


logging.getLogger("flwr").setLevel(logging.ERROR)  # what it would tell is in the record
logging.getLogger("flwr").addFilter(_in_words)


class Owner(Protocol):
    """A client, as Flower's messages need one."""

    def about(self, turn: Turn) -> dict[str, Any]:
        """What it is like. Raises BadInput where it can't take such turns."""

    def learn(self, turn: Turn, came: Weights) -> Learned:
        """Take a turn. Raises BadInput where it can't."""


def hello(turn: Turn, node: int) -> Message:
    """The question what a client is like."""
    return Message(ask(turn, {}, {}), node, "query")


def messages(strategy: Any, round_: int, sent: ArrayRecord, nodes: Sequence[int]) -> list[Any]:
    """A round's messages as the strategy makes them, one to each of these nodes."""
    return list(strategy.configure_train(round_, sent, ConfigRecord(), _Chosen(nodes)))


def ask(turn: Turn, weights: Weights, frozen: Weights) -> RecordDict:
    """A turn as Flower's content: what is averaged, what was and stays frozen, and the rest."""
    return RecordDict(
        {
            "arrays": arrays(weights),
            "frozen": arrays(frozen),
            "turn": ConfigRecord({"turn": json.dumps(asdict(turn)), "onward": __version__}),
        }
    )


def client_app(owner: Callable[[Context], Owner]) -> ClientApp:
    """A client's app. What goes wrong is answered in words: Flower's own errors give no reason."""
    app = ClientApp()

    @app.query()
    def hello(message: Message, context: Context) -> Message:
        about: dict[str, Any] = {"client": context.node_config.get("partition-id")}
        try:
            turn = _turn(message.content)
            about |= {"onward": __version__, **owner(context).about(turn)}
        except BadInput as error:
            about["refused"] = str(error)
        told = ConfigRecord({"about": json.dumps(about)})
        return Message(RecordDict({"hello": told}), reply_to=message)

    @app.train()
    def learn(message: Message, context: Context) -> Message:
        try:
            content = _answer(message.content, context, owner(context))
        except BadInput as error:
            content = RecordDict({"refused": ConfigRecord({"why": str(error)})})
        return Message(content, reply_to=message)

    return app


def clean(reply: Message, weights: Weights, weight: float) -> Message:
    """A client's answer with what a mean needs and nothing else that came."""
    metrics = MetricRecord({"num-examples": weight})
    return Message(RecordDict({"arrays": arrays(weights), "metrics": metrics}), reply_to=reply)


def mean(strategy: Any, round_: int, replies: Sequence[Message]) -> Weights:
    """What the strategy makes of the answers that count."""
    if isinstance(strategy, DifferentialPrivacyServerSideFixedClipping):
        strategy.num_sampled_clients = len(replies)  # that many share the noise
    found, _ = strategy.aggregate_train(round_, replies)
    assert found is not None
    return tensors(found)


def server_app(serve: Callable[[Grid, Context], None]) -> ServerApp:
    """The server's app, whose main is ``serve``."""
    app = ServerApp()
    app.main()(serve)
    return app


def _turn(content: Any) -> Turn:
    config = content["turn"]
    if config["onward"] != __version__:
        raise BadInput(
            f"the server is Onward {config['onward']}, and this client {__version__}: take the "
            "same at both ends"
        )
    return Turn(**json.loads(str(config["turn"])))


def _answer(content: Any, context: Any, owner: Owner) -> RecordDict:
    turn = _turn(content)
    kept = context.state.get("frozen") or ArrayRecord()
    for name, array in content["frozen"].items():
        kept[name] = array
    context.state["frozen"] = kept
    found = owner.learn(turn, {**tensors(kept), **tensors(content["arrays"])})
    metrics: dict[str, Any] = {
        "num-examples": found.samples,
        "seconds": found.seconds,
        "flops": found.flops,
    }
    metrics |= {f"loss/{name}": loss for name, loss in found.losses.items()}
    return RecordDict({"arrays": arrays(found.weights), "metrics": MetricRecord(metrics)})


def arrays(weights: Weights) -> ArrayRecord:
    """Weights as Flower's arrays, named STATION/TENSOR."""
    return ArrayRecord(
        {
            f"{station}/{name}": Array(tensor.detach().cpu().numpy())
            for station, found in weights.items()
            for name, tensor in found.items()
        }
    )


def tensors(record: ArrayRecord) -> Weights:
    """And back. Raises BadInput for what is no array of plain numbers."""
    found: Weights = {}
    for key, array in record.items():
        station, _, name = key.partition("/")
        try:
            found.setdefault(station, {})[name] = torch.from_numpy(np.array(array.numpy()))
        except (ValueError, TypeError, EOFError, OSError) as error:
            raise BadInput(f"{key} is no array of numbers ({error})") from error
    return found


def size(record: ArrayRecord) -> int:
    """Bytes of all arrays, as they travel."""
    return sum(len(array.data) for array in record.values())


def strategy(terms: Federation, clients: int) -> Strategy:
    """Flower's strategy for one stage: how the server's weights follow those of its clients."""
    common: dict[str, Any] = dict.fromkeys(
        ("min_train_nodes", "min_evaluate_nodes", "min_available_nodes"), 1
    )
    step = {} if terms.server_lr is None else {"eta": terms.server_lr}
    if terms.server == "fedavgm":
        rate = 1.0 if terms.server_lr is None else terms.server_lr
        found: Strategy = FedAvgM(
            **common, server_learning_rate=rate, server_momentum=terms.server_momentum
        )
    else:
        kinds = {"fedadagrad": FedAdagrad, "fedadam": FedAdam, "fedyogi": FedYogi}
        kind = kinds.get(terms.server)
        found = FedAvg(**common) if kind is None else kind(**common, **step)
    if terms.clip is not None:
        return DifferentialPrivacyServerSideFixedClipping(
            found, terms.dp_noise, terms.clip, num_sampled_clients=clients
        )
    return found


_REMEMBERED = ("m_t", "v_t")


def remembered(strategy: Strategy) -> dict[str, Tensor]:
    """What a server optimiser keeps from round to round, for a checkpoint."""
    own = getattr(strategy, "strategy", strategy)  # the one inside differential privacy
    found = {
        f"{part}/{key}": torch.from_numpy(np.array(value))
        for part in _REMEMBERED
        for key, value in (getattr(own, part, None) or {}).items()
    }
    momentum = getattr(own, "momentum_vector", None) or []
    return found | {f"momentum/{i}": torch.from_numpy(np.array(v)) for i, v in enumerate(momentum)}


def remind(strategy: Strategy, kept: Mapping[str, Tensor], sent: Weights) -> None:
    """Give a server optimiser back what it kept, and what it starts from in this round."""
    own: Any = getattr(strategy, "strategy", strategy)
    own.current_arrays = arrays(sent)  # FedAvgM takes its own, from before noise and rounding
    for part in _REMEMBERED:
        mine = {k.removeprefix(f"{part}/"): v for k, v in kept.items() if k.startswith(f"{part}/")}
        if mine:
            setattr(own, part, {k: v.numpy() for k, v in mine.items()})
    momentum = [kept[f"momentum/{i}"] for i in range(len(kept)) if f"momentum/{i}" in kept]
    if momentum:
        own.momentum_vector = [v.numpy() for v in momentum]


class InProcess(Grid):
    """Every client in this process, one after another: Flower's grid without a network.

    ``contexts`` are the clients', by node; one that raises is an error reply, as from a SuperNode.
    """

    def __init__(self, app: ClientApp, contexts: Mapping[int, Context]):
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
        self.app, self.contexts = app, dict(contexts)
        self._count = 0

    @property
    def run(self) -> Any:
        """No SuperLink knows of this run."""
        raise NotImplementedError("an in-process federation has no run of a SuperLink")

    def set_run(self, run: Any) -> None:
        """Nothing to set."""

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to one client."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """The clients' numbers, from 1: 0 is the server's own."""
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Not needed: a message is answered at once."""
        raise NotImplementedError("an in-process federation answers at once: send_and_receive")

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Not needed."""
        raise NotImplementedError("an in-process federation answers at once: send_and_receive")

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """The clients' answers, in the order asked."""
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            self._count += 1
            message.metadata.__dict__["_message_id"] = str(self._count)
            try:
                replies.append(self.app(message, self.contexts[node]))
            except Exception as error:  # a client's mistake is no mistake of the server's
                reason = f"{type(error).__name__}: {error}"
                replies.append(Message(Error(code=2, reason=reason), reply_to=message))
        return replies


class _Chosen:
    """What a strategy of Flower's draws its clients from: those that are chosen, all of them."""

    def __init__(self, nodes: Sequence[int]):
        self.nodes = nodes

    def get_node_ids(self) -> Iterable[int]:
        return self.nodes


def context(client: int, clients: int) -> Context:
    """The context of one client of this process."""
    about: Any = {"partition-id": client, "num-partitions": clients}
    return Context(
        run_id=1, node_id=client + 1, node_config=about, state=RecordDict(), run_config={}
    )
