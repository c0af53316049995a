"""The promises, public: run them over a part of your own, as the tests do over every part here.

Each ``check_...`` function raises :class:`BrokenPromise`, saying what was promised and what was
seen, or returns the promises it found kept. ``onward check MODULE:ATTRIBUTE`` runs the ones that
fit an object.

B = samples, D = input shape, F = output shape, K = classes.
"""

import inspect
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from .. import data, named
from ..errors import BadInput
from ..local import Algorithm
from ..optimizers import sgd
from ..plan import Plan, Training
from ..row import build_row
from ..schedules import backprop, recurrent, simultaneous
from ..seeds import generator
from ..tasks import Task
from .parts import (
    check_algorithm,
    check_box,
    check_cell,
    check_goodness,
    check_negatives,
    check_objective,
    check_scores,
    check_task,
)
from .promises import BrokenPromise, Promises
from .runs import check_plan, check_schedule, check_settings

__all__ = [
    "BrokenPromise",
    "Promises",
    "check_algorithm",
    "check_box",
    "check_cell",
    "check_goodness",
    "check_named",
    "check_negatives",
    "check_objective",
    "check_plan",
    "check_schedule",
    "check_scores",
    "check_settings",
    "check_task",
]


def check_named(name: str, shape: Sequence[int] | None = None) -> Promises:
    """The promises that fit the object ``module:attribute``. Raises BadInput for other names."""
    found = named.find(name)
    if isinstance(found, Task):
        return check_task(found, 1 if found.target == "numbers" else 5)
    if isinstance(found, nn.Module):
        size = shape or ((found.inputs,) if hasattr(found, "inputs") else None)
        if size is None:
            raise BadInput(f"{name} is a cell: say the shape of one input, e.g. --shape 1,28,28")
        return check_cell(found, size)  # type: ignore[arg-type]
    if isinstance(found, Algorithm):
        return _check_any_algorithm(found)
    if hasattr(found, "build") and hasattr(found, "defaults"):
        return check_settings(found)
    if callable(found) and not isinstance(found, type):
        wanted = _parameters(found)
        if len(wanted) == 1:
            return check_goodness(found)
        if len(wanted) == 4 and wanted[0] != "row":
            return check_negatives(found)
        if len(wanted) == 3:
            return check_box(found) if wanted[2] == "level" else check_objective(found)
    raise BadInput(
        f"{name} is a {type(found).__name__}; by name can be checked: a goodness (h), an objective "
        "(g, theta, temperature), negatives (y, classes, scores, rng), a black box (x, u, level), "
        "a cell, a task, an algorithm, a recipe. Call the functions of onward.check from Python "
        "for other parts"
    )


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters that a caller must give."""
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in every if p.default is p.empty and p.kind is not p.VAR_KEYWORD]


def _check_any_algorithm(algorithm: Algorithm) -> Promises:
    from ..cells import Dense, Recurrent

    rng = generator(0, "check")
    x, y = torch.rand(16, 30, generator=rng), torch.arange(16) % max(algorithm.candidates, 2)
    entering = algorithm.view(x, torch.zeros(16, dtype=torch.long))[0].numel()

    def cells() -> list[nn.Module]:
        return row_of([entering, 20, 20, 20])

    def row_of(sizes: Sequence[int]) -> list[nn.Module]:
        if algorithm.sweep is None:
            return [Dense(*around) for around in pairwise(sizes)]
        top = algorithm.top(torch.zeros(1, dtype=torch.long)).shape[1]
        below, units, above = sizes[:-1], sizes[1:], [*sizes[2:], top]
        return [Recurrent(*around) for around in zip(below, units, above, strict=True)]

    kept = check_algorithm(algorithm, cells, x, y)

    def plan() -> Plan:
        torch.manual_seed(0)
        sample = data.load("synthetic").train.x[:1]
        width = algorithm.view(sample, torch.zeros(1, dtype=torch.long))[0].numel()
        row = build_row(
            row_of([width, 20, 20]),
            algorithm,
            sgd(1e-3),
            classes=10,
            readout=sgd(1e-2),
        )
        schedule = simultaneous if algorithm.local else backprop
        if algorithm.sweep is not None:
            schedule = recurrent
        return Plan(row, schedule, Training(epochs=2, batch=60))

    if algorithm.candidates in (0, 10):
        kept += check_plan(plan)
    return list(dict.fromkeys(kept))
