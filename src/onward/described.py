"""What a row is made of, in words and numbers that go into a record.

Names of functions, not their code: two functions of one name are told apart by nothing here. Nor
are cells: a record has their kinds and sizes, and not what else they were built with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch.optim import Optimizer

from .local import Algorithm
from .row import Row

_OF_OPTIMIZERS = ("lr", "momentum", "betas")


def described(row: Row) -> dict[str, Any]:
    """The algorithm's own settings by name, and the optimisers of cells and readout.

    >>> import onward
    >>> cells = [onward.Dense(8, 4)]
    >>> algorithm = onward.ForwardForward(3, theta=2.0)
    >>> found = described(onward.build_row(cells, algorithm, onward.sgd(0.1, 0.5), classes=3))
    >>> found["goodness"], found["theta"], found["optimizer"]
    ('sum_of_squares', 2.0, 'DecoupledSGD(lr=0.1, momentum=0.5, decay=0.0)')
    """
    makers = {_optimizer(o) for station in row.stations for o in station.optimizers.values()}
    reading = row.readout.optimizers.values() if row.readout is not None else ()
    return {
        **_own(row.algorithm),
        "optimizer": ", ".join(sorted(makers)),
        "readout": ", ".join(map(_optimizer, reading)) or None,
    }


def called(part: Any) -> str:
    """A function's name, with what a partial of it sets; of anything else its class's."""
    words = [f"{name}={_told(value)}" for name, value in getattr(part, "keywords", {}).items()]
    name = getattr(getattr(part, "func", part), "__name__", type(part).__name__)
    return f"{name}({', '.join(words)})" if words else name


def _own(algorithm: Algorithm) -> dict[str, Any]:
    """Settings of an algorithm: its fields, or what its instance holds."""
    if is_dataclass(algorithm):
        own = {field.name: getattr(algorithm, field.name) for field in fields(algorithm)}
    else:
        own = {name: value for name, value in vars(algorithm).items() if name[:1] != "_"}
    return {name: _told(value) for name, value in own.items()}


def _optimizer(optimizer: Optimizer) -> str:
    group = optimizer.param_groups[0]
    decay = "decay" if "decay" in group else "weight_decay"  # onward.sgd's own, decoupled
    words = [f"{name}={_told(group[name])}" for name in (*_OF_OPTIMIZERS, decay) if name in group]
    return f"{type(optimizer).__name__}({', '.join(words)})"


def _told(value: Any) -> Any:
    """A number or a word as it is; the rest by name, never by address."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _told(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [_told(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _told(getattr(value, field.name)) for field in fields(value)}
    return called(value)
