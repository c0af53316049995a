"""Which cells go into which block: consecutive ones, by what they cost."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import torch
from torch import Generator, Tensor

from .. import checkpoint
from ..blocks import Block, Reader, Source, way
from ..errors import BadInput
from ..row import Row

TRIES = 7
"""Batches that costs are measured on."""


def balanced(costs: Sequence[float], stages: int) -> list[int]:
    """How many consecutive cells each of the blocks has, so that the dearest costs least.

    Among divisions that are equally good there, the one with the least sum of squares.

    >>> balanced([3, 1, 1, 1], 2), balanced([1, 1, 1], 3)
    ([1, 3], [1, 1, 1])
    """
    check(len(costs), stages)
    sums = [0.0, *accumulate(costs)]
    best: dict[tuple[int, int], tuple[float, float, list[int]]] = {(0, 0): (0.0, 0.0, [])}
    for blocks in range(1, stages + 1):
        for end in range(blocks, len(costs) - (stages - blocks) + 1):
            best[blocks, end] = min(
                (max(dearest, cost), squares + cost**2, [*sizes, end - start])
                for start in range(blocks - 1, end)
                if (blocks - 1, start) in best
                for dearest, squares, sizes in [best[blocks - 1, start]]
                for cost in [sums[end] - sums[start]]
            )
    return best[stages, len(costs)][2]


def check(cells: int, stages: int) -> None:
    """Refuse a number of blocks that a row can't be cut into."""
    if not 1 <= stages <= cells:
        raise BadInput(
            f"stages should be 1 to {cells}, the cells of this row, and is {stages}: each stage "
            "holds one cell at least"
        )


def split_of(text: str, cells: int) -> list[int]:
    """Cells of each block as a user writes them, "2,1".  Raises BadInput for another row's."""
    try:
        sizes = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise BadInput(
            f"--split wants the number of cells of each stage, like 2,1, and is {text}"
        ) from error
    if min(sizes) < 1 or sum(sizes) != cells:
        raise BadInput(
            f"--split {text} should name {cells} cells in all, the cells of this row, and at least "
            f"one for each stage; it names {sum(sizes)}"
        )
    return sizes


@dataclass(frozen=True)
class Cost:
    """What a cell, or the readout, takes for a batch: seconds, and the bytes that it sends on."""

    seconds: float
    onward: int = 0  # to the next cell
    shown: int = 0  # to the readout
    kept: int = 0  # bytes of its weights and of its optimisers' state


def measured(row: Row, x: Tensor, y: Tensor, batch: int) -> tuple[list[Cost], Cost | None, int]:
    """Every cell's cost, the readout's, and the bytes of an entering batch.  x [N, *D], y [N].

    The row learns meanwhile: hand in one that is not needed. Each is timed by itself, in this
    process, so that what they take from each other on one machine is not in it.
    """
    rng = Generator(x.device).manual_seed(0)
    how = way(row, x, y, rng)
    source = Source(row, x, y, rng, how)
    parts = [Block([station], number, row, how) for number, station in enumerate(row.stations)]
    reader = Reader(row, how) if row.readout else None
    seconds: list[list[float]] = [[] for _ in range(len(parts) + 1)]
    sizes: list[tuple[int, int]] = []
    for _ in range(TRIES):
        message, labels = source.batch(torch.arange(min(batch, len(x)), device=x.device))
        entering, sizes = _bytes(message), []
        read: dict[str, Tensor] = {}
        for number, part in enumerate(parts):
            began = time.perf_counter()
            _, message, answers = part.step(message)
            seconds[number].append(time.perf_counter() - began)
            sizes.append((_bytes(message), _bytes(answers)))
            read |= answers
        if reader is not None:
            began = time.perf_counter()
            reader.step(read, labels)
            seconds[-1].append(time.perf_counter() - began)
    # The first two are warm-up.
    costs = [
        Cost(median(times[2:]), *sent, _bytes(checkpoint.tensors_of(station)))
        for times, sent, station in zip(seconds, sizes, row.stations, strict=False)
    ]
    reading = None
    if row.readout is not None:
        reading = Cost(median(seconds[-1][2:]), kept=_bytes(checkpoint.tensors_of(row.readout)))
    return costs, reading, entering


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors.values())
