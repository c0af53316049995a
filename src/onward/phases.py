"""Positives and negatives apart in time: the draft's "sleep" (Hinton 2022, section 5).

With n the phase length and t = 0, 1, 2, ... the steps of the run, every step is an update on

    positives alone  where floor(t / n) is even       L = 1/2 mean softplus((theta - g_pos) / T)
    negatives alone  where it is odd                  L = 1/2 mean softplus((g_neg - theta) / T)

in place of one update on the sum. A draft of the paper reported both as about equal; its published
version takes that back: the result could not be reproduced, and long phases work with a very low
learning rate and a very high momentum only (second-hand). So this is here for the experiment
(decision A19), and *simultaneous* for all else.

A phase has as many steps as it is long, whatever an epoch has, and every step has a batch of its
own: an epoch shows the cells each sample once, as a positive or as a negative, where *simultaneous*
shows it as both. A linear readout learns along at every step, from the neutral pass, as ever.

B = samples of a batch, N = training samples.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Generator, Tensor

from .errors import BadInput
from .local import Streams
from .row import Row
from .stages import Losses, Stage, every_cell, read, serve

Alone = Literal["positive", "negative"]


def separated(
    row: Row, x: Tensor, y: Tensor, rng: Generator, *, length: int = 1
) -> Iterator[Stage]:
    """``length`` steps on positives alone, then as many on negatives alone.  x [N, *D], y [N].

    Raises BadInput for an algorithm whose loss can't be taken apart.
    """
    serve("separated", row, hints=("none", "earlier", "all"))
    algorithm = row.algorithm
    if length < 1:
        raise BadInput(f"a phase has 1 step or more (phase_length), and {length} came")
    if not algorithm.signed:
        raise BadInput(
            f"the schedule separated can't serve {type(algorithm).__name__}: its loss is no sum "
            "over positives and negatives. Take mixed phases (schedule simultaneous), or the "
            "logistic objective"
        )
    done = torch.zeros(1, dtype=torch.long)  # steps

    def step(index: Tensor) -> Losses:
        sign: Alone = "positive" if int(done) // length % 2 == 0 else "negative"
        done.add_(1)
        losses, scores = read(row, x[index], y[index])
        # Negatives are drawn in either phase, so that the generator goes the same way.
        ins = algorithm.streams(x[index], y[index], rng, scores)
        return losses | every_cell(row, only(ins, sign))

    passes = 1 + (1 if row.readout else 0)
    stage = Stage("cells", tuple(row.everyone), step, len(row.stations), passes, rows_handed_on=1)
    return iter([replace(stage, memory={"steps": done})])


def only(streams: Streams, sign: Alone) -> Streams:
    """One of the two signs' rows.  [2B, *D] -> [B, *D]."""
    half = 0 if sign == "positive" else 1
    original = None if streams.original is None else streams.original.chunk(2)[half]
    return replace(streams, rows=streams.split()[half], count=1, original=original, sign=sign)
