"""Federation: cells trained across data owners, whose samples stay where they are.

Every client trains the cells it is sent on its own samples for an epoch or so, the server takes the
mean of what comes back, cell by cell, and so on, round after round (FedAvg, McMahan et al. 2017).
What is a stage of the recipe's schedule is a stage here: under *simultaneous* all cells travel in
each round; under *greedy* (``regime=separate``) one cell learns over its rounds and is then frozen,
and only the one that learns travels. Any recipe can be federated, backprop too.

Engine: Flower (extra ``federated``). terms.py and partitions.py say who has what; owner.py is a
client's turn; server.py and rounds.py the server, a schedule to the run's own loop; flower.py
speaks Flower.
"""

from importlib import import_module
from typing import Any

_HOME = {
    **{"Federation": "terms", "start": "server", "resume": "server"},
    **{"share_out": "server", "rehearse": "server"},
}

__all__ = [*sorted(_HOME)]  # imported when asked for: terms can be read without torch


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
