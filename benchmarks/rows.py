"""What is timed: a recipe's first stage on MNIST or random images, and blocks of its steps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

import onward
from onward import recipes
from onward.data import Dataset
from onward.graphs import replayed
from onward.schedules import Stage
from onward.seeds import generator


def images(
    path: str | None,
    samples: int = 5000,
    classes: int = 10,
    shape: tuple[int, int, int] = (1, 28, 28),
) -> Dataset:
    """MNIST from a folder, or random images of a shape, its own by default, without one."""
    if path is not None:
        return onward.load("mnist", path)
    rng = generator(0, "cells")
    x = torch.rand(samples, *shape, generator=rng)
    split = onward.Split(x, torch.arange(samples) % classes)
    names = tuple(str(label) for label in range(classes))
    return onward.Dataset("random", split, split, split, classes, names, "made")


def stage(
    name: str, data: Dataset, *, fast: bool = True, device: str = "cpu", **changes: Any
) -> Stage:
    """What a recipe does first, with some settings changed; on a GPU its steps are replayed."""
    recipe = recipes.find(name)
    plan = recipe.build(replace(recipe.defaults, **changes), data, 0)
    plan.row.fast = fast
    for station in plan.row.everyone:
        station.cell.to(device)
    x, y = data.train.x.to(device), data.train.y.to(device)
    rng = generator(0, "negatives", device=device)
    return replayed(next(iter(plan.schedule(plan.row, x, y, rng))), torch.device(device), rng)


def block(
    made: Stage, data: Dataset, batch: int, steps: int, device: str = "cpu"
) -> Callable[[], None]:
    """Some steps on batches drawn once."""
    batches = torch.randint(0, len(data.train), (steps, batch)).to(device)

    def work() -> None:
        for index in batches:
            made.step(index)

    return work
