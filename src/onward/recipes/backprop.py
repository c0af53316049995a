"""End-to-end backprop on the same dense cells: the yardstick beside every local row."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..data import Dataset
    from ..plan import Plan


@dataclass(frozen=True)
class BackpropSettings:
    """Settings of a backprop row.

    Attributes:
        dataset: name of the data set (see `onward data`)
        cells: how many dense cells in a row
        width: units of each cell
        epochs: passes over the training samples
        batch: samples a batch
        optimizer: of every cell and the readout
        lr: learning rate, per step
        momentum: of sgd
        decay: decoupled weight decay: a weight loses lr * decay of itself a step
        rate: how the learning rate goes down over the epochs
        normalise: length normalisation of every cell's input
        read: cells that the linear readout reads, counted from 0; null for all but the first
        jitter: training images move by up to so many pixels each way, anew each time; 0 for none
        recompute: keep only what cells answer and run a cell again for its gradient (checkpointing)
        pieces: parts of a batch whose gradients are summed before a step (accumulation)
        evaluate_every: epochs between two measurements of the readout
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    cells: int = 3
    width: int = 1000
    epochs: int = 15
    batch: int = 100
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 0.001
    momentum: float = 0.9
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cosine"
    normalise: Literal["rms", "l2", "none"] = "rms"
    read: list[int] | None = None
    jitter: int = 0
    recompute: bool = False
    pieces: int = 1
    evaluate_every: int = 1
    checkpoint_every: int = 1


def build(s: BackpropSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn as its Forward-Forward twin is."""
    from functools import partial

    from .. import schedules
    from ..algorithms import Clean
    from ..cells import Dense
    from ..cells.lengths import BY_NAME as LENGTHS
    from ..errors import BadInput
    from ..optimizers import RATE_SCHEDULES, adamw, sgd
    from ..plan import Plan, Training
    from ..readouts import LinearReadout
    from ..row import build_row
    from ..seeds import generator
    from ..tasks import suited
    from .jittered import augmentation
    from .limits import above_zero, at_least, zero_or_more

    at_least(1, cells=s.cells, width=s.width, epochs=s.epochs, batch=s.batch)
    at_least(1, pieces=s.pieces)
    if s.pieces > s.batch:
        raise BadInput(f"pieces should be at most the batch of {s.batch}, and is {s.pieces}")
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    above_zero(lr=s.lr)
    zero_or_more(momentum=s.momentum, decay=s.decay)

    rng = generator(seed, "cells")
    sizes = [data.train.x[0].numel()] + [s.width] * s.cells
    cells = [Dense(a, b, normalise=LENGTHS[s.normalise], rng=rng) for a, b in pairwise(sizes)]
    makers = {"sgd": sgd(s.lr, s.momentum, s.decay), "adamw": adamw(s.lr, decay=s.decay)}
    maker = makers[s.optimizer]
    head = partial(LinearReadout, task=suited(data.target, data.train.y))
    row = build_row(
        cells, Clean(), maker, classes=data.classes, readout=maker, read=s.read, head=head
    )
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    schedule = partial(schedules.backprop, recompute=s.recompute, pieces=s.pieces)
    return Plan(row, schedule, training, augmentation(s.jitter, data.shape))
