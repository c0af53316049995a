"""What can stand for the next step: a step that does the same at every batch, but for its tensors.

Asked where steps are recorded (``graphs.py``). By what a row is made of (:func:`steady`): nothing
is known of somebody's own parts, which may count their calls; and by what a step does
(:class:`Watch`): it reads no number off the device, and fetches none from the host.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from .algorithms import (
    Clean,
    Collaborative,
    ForwardForward,
    HybridForwardForward,
    RecurrentForwardForward,
    UnsupervisedForwardForward,
)
from .cells import (
    Adversarial,
    AutoEncoder,
    ConvAutoEncoder,
    ConvWinners,
    Dense,
    LocalFields,
    Recurrent,
)
from .optimizers import DecoupledSGD
from .readouts import LinearReadout
from .row import Row

_CELLS = (
    *(Dense, LocalFields, Recurrent, AutoEncoder, ConvAutoEncoder, ConvWinners, Adversarial),
    LinearReadout,
)
_ALGORITHMS = (
    Clean,
    Collaborative,
    ForwardForward,
    HybridForwardForward,
    RecurrentForwardForward,
    UnsupervisedForwardForward,
)


def steady(row: Row) -> bool:
    """Whether a step of this row does the same at every batch, whatever schedule it is of.

    Cells, algorithm, optimisers and every function in them have to be Onward's or torch's, with no
    hook on them. With :attr:`~onward.row.Row.fast` off no row is steady.
    """
    cells = [station.cell for station in row.everyone]
    known = all(type(cell) in _CELLS for cell in cells) and type(row.algorithm) in _ALGORITHMS
    parts = [row.algorithm, *(part for cell in cells for part in cell.modules())]
    optimizers = [o for station in row.everyone for o in station.optimizers.values()]
    return row.fast and known and all(map(_ours, parts)) and all(map(_moves, optimizers))


def _moves(optimizer: Optimizer) -> bool:
    """Whether an optimiser's step is on the device, all of it: none counts its steps in Python."""
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return type(optimizer) in (DecoupledSGD, AdamW) and fused


def _ours(part: Any) -> bool:
    """Whether a part, and all that it was given, is of Onward or of torch, without a hook."""
    own = vars(part)
    hooked = any(held for name, held in own.items() if name.endswith("_hooks"))
    if hooked or own.get("_compiled_call_impl") is not None:  # torch.compile has its own graphs
        return False
    return _home(type(part)) and all(_known(held) for held in own.values())


def _known(held: Any) -> bool:
    """Whether what a part holds is no function, or one that is known, whatever it is wrapped in."""
    if isinstance(held, partial):
        return all(map(_known, (held.func, *held.args, *held.keywords.values())))
    if isinstance(held, list | tuple | dict):
        return all(map(_known, held.values() if isinstance(held, dict) else held))
    return not callable(held) or isinstance(held, Tensor) or _home(held)


def _home(thing: Any) -> bool:
    own = getattr(thing, "__module__", None) or type(thing).__module__
    return str(own).partition(".")[0] in ("onward", "torch")


_aten = torch.ops.aten
READS = (
    *(_aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.equal),
    *(_aten.lift_fresh, _aten.unique_dim, _aten._unique2),
)
"""What waits for a number, whose shape is one, or what is made of Python's numbers."""


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at a step while it is taken: ``found`` says why it can't be recorded, if anything."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: str | None = None

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in READS:
            self.found = f"{func} reads a number"
        elif func.overloadpacket in (_aten._to_copy, _aten.copy_):
            places = [one.device.type for one in (*args[:2], out) if isinstance(one, Tensor)]
            if len(set(places)) > 1:
                self.found = f"{func} moves numbers from {places[0]} to {places[-1]}"
        return out
