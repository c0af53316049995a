"""Forward-Forward through black boxes between cells: the settings, and the row they make."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from ..errors import BadInput

if TYPE_CHECKING:
    from torch import nn

    from ..data import Dataset
    from ..plan import Plan


@dataclass(frozen=True)
class BlackBoxSettings:
    """Settings of a row with a fixed, noisy function without a gradient between its cells.

    Attributes:
        dataset: name of the data set (see `onward data`)
        cells: how many dense cells in a row
        width: units of each cell
        box: between every two cells; spikes lets one bit through, steps rounds by chance
        level: of the box: how often it spikes, or the height of a step
        regime: how the row learns; frozen and backprop are its controls
        epochs: passes over the training samples
        batch: samples a batch
        optimizer: of every cell
        lr: learning rate of the cells, per step
        momentum: of sgd
        decay: decoupled weight decay of the cells: a weight loses lr * decay of itself a step
        rate: how the learning rates go down over the epochs
        negatives: wrong labels, drawn uniformly or in proportion to the readout's softmax
        peers: strength of peer normalisation, 0 for none
        readout_lr: learning rate of the linear readout, with momentum 0.9
        readout_decay: decoupled weight decay of the linear readout
        read: cells that the linear readout reads, counted from 0; null for the last
        counted: cells that count when every label is tried; null for all but the first
        evaluate_every: epochs between two measurements of the readouts
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    cells: int = 3
    width: int = 1000
    box: Literal["none", "spikes", "steps"] = "spikes"
    level: float = 1.0
    regime: Literal["local", "frozen", "backprop"] = "local"
    epochs: int = 20
    batch: int = 100
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.001
    momentum: float = 0.9
    decay: float = 0.02
    rate: Literal["constant", "cooldown", "cosine"] = "cooldown"
    negatives: Literal["hard", "wrong"] = "hard"
    peers: float = 0.03
    readout_lr: float = 0.01
    readout_decay: float = 0.03
    read: list[int] | None = None
    counted: list[int] | None = None
    evaluate_every: int = 5
    checkpoint_every: int = 1


def build(s: BlackBoxSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn."""
    from .. import negatives, schedules
    from ..algorithms import Clean, ForwardForward
    from ..optimizers import RATE_SCHEDULES, adamw, sgd
    from ..plan import Plan, Training
    from ..row import build_row

    _check(s)
    local = s.regime == "local"
    makers = {"sgd": sgd(s.lr, s.momentum, s.decay), "adamw": adamw(s.lr, decay=s.decay)}
    row = build_row(
        _cells(s, data, seed),
        ForwardForward(data.classes, negatives=negatives.BY_NAME[s.negatives])
        if local
        else Clean(),
        makers[s.optimizer],
        classes=data.classes,
        readout=sgd(s.readout_lr, 0.9, s.readout_decay),
        read=[s.cells - 1] if s.read is None else s.read,
        counted=s.counted if local else None,
    )
    by_regime = {
        "local": schedules.simultaneous,
        "frozen": schedules.frozen,
        "backprop": schedules.backprop,
    }
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, by_regime[s.regime], training)


def _cells(s: BlackBoxSettings, data: "Dataset", seed: int) -> "list[nn.Module]":
    from ..cells import BehindBox, Dense
    from ..cells.black_box import BY_NAME
    from ..seeds import generator

    rng = generator(seed, "cells")
    sizes = [data.train.x[0].numel()] + [s.width] * s.cells
    cells: list[nn.Module] = [Dense(a, b, peers=s.peers, rng=rng) for a, b in pairwise(sizes)]
    if s.box == "none":
        return cells
    box = BY_NAME[s.box]
    behind = [BehindBox(cell, box, s.level, seed, n) for n, cell in enumerate(cells[1:], 1)]
    return [cells[0], *behind]


def _check(s: BlackBoxSettings) -> None:
    """Refuse, by name, settings out of their range."""
    from .limits import above_zero, at_least, zero_or_more

    at_least(1, cells=s.cells, width=s.width, epochs=s.epochs, batch=s.batch)
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    above_zero(lr=s.lr, readout_lr=s.readout_lr, level=s.level)
    zero_or_more(momentum=s.momentum, decay=s.decay, readout_decay=s.readout_decay, peers=s.peers)
    if s.box == "none" and s.level != BlackBoxSettings.level:
        raise BadInput(f"level={s.level} is of a box, and box=none: leave one out")
