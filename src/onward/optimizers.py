"""Optimisers of a station and learning-rate schedules.

Weight decay is decoupled and touches weights only (tensors of two or more dimensions, never biases
or gains): each step first multiplies a weight by 1 - rate * decay.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

Maker = Callable[[Iterable[nn.Parameter]], Optimizer]
RateSchedule = Callable[[int, int], float]


class DecoupledSGD(SGD):
    """SGD with momentum whose ``decay`` is decoupled, as in AdamW: w <- w (1 - rate * decay)."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Decay, then the step of :class:`torch.optim.SGD`."""
        for group in self.param_groups:
            if group["decay"] > 0 and any(p.grad is not None for p in group["params"]):
                moved = [p for p in group["params"] if p.grad is not None]
                torch._foreach_mul_(moved, 1 - group["lr"] * group["decay"])
        return super().step(closure)  # type: ignore[no-any-return]


def sgd(rate: float, momentum: float = 0.9, decay: float = 0.0) -> Maker:
    """SGD with momentum (the velocity starts at 0, no dampening) and decoupled decay.

    A gradient smoothed as 0.9 old + 0.1 new with rate eps, as in the author's MATLAB, is this with
    momentum 0.9 and rate eps / 10.
    """

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        groups = _groups(parameters, "decay", decay)
        return DecoupledSGD(groups, lr=rate, momentum=momentum, fused=True)

    return make


def adamw(
    rate: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), decay: float = 1e-2
) -> Maker:
    """AdamW, fused, with decay on weights only."""

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        return AdamW(_groups(parameters, "weight_decay", decay), lr=rate, betas=betas, fused=True)

    return make


def _groups(parameters: Iterable[nn.Parameter], key: str, decay: float) -> list[dict[str, Any]]:
    every = list(parameters)
    weights = [p for p in every if p.dim() >= 2]
    others = [p for p in every if p.dim() < 2]
    return [{"params": ps, key: d} for ps, d in ((weights, decay), (others, 0.0)) if ps]


def set_rate(optimizer: Optimizer, multiplier: float) -> None:
    """The optimiser's own rate times the schedule's multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("base_lr", group["lr"]) * multiplier


def constant(epoch: int, epochs: int) -> float:
    """1 throughout.  epoch in 1..epochs."""
    return 1.0


def cooldown(epoch: int, epochs: int) -> float:
    """1 for the first half, then linearly towards 0: (1 + 2 (E - e)) / E, as in the MATLAB.

    >>> [cooldown(epoch, 100) for epoch in (50, 51, 100)]
    [1.0, 0.99, 0.01]
    """
    return 1.0 if epoch <= epochs / 2 else (1 + 2 * (epochs - epoch)) / epochs


def cosine(epoch: int, epochs: int) -> float:
    """Half a cosine from 1 down to nearly 0, constant within an epoch."""
    from math import cos, pi

    return 0.5 * (1 + cos(pi * (epoch - 1) / epochs))


RATE_SCHEDULES: dict[str, RateSchedule] = {
    "constant": constant,
    "cooldown": cooldown,
    "cosine": cosine,
}
