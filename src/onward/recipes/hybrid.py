"""Forward-Forward without labels, on hybrids of two images: the settings, and the row they make."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from ..errors import BadInput
from .forward_forward import GoodnessName

if TYPE_CHECKING:
    from torch import nn

    from ..data import Dataset
    from ..local import Algorithm
    from ..plan import Plan
    from ..schedules import Schedule


@dataclass(frozen=True)
class HybridSettings:
    """Settings of an unsupervised Forward-Forward row. Defaults: the author's MATLAB where it says.

    Attributes:
        dataset: name of the data set (see `onward data`)
        cell: the kind of every cell; local has fields of its own weights at each place
        widths: units of each cell, of a local one at each place
        fields: side of the fields of each local cell
        strides: from one field to the next, of each local cell
        truncated: whether local fields stand on every place, those at the border cut off there
        regime: how the row learns; frozen and backprop are its controls
        epochs: passes over the training samples, for each stage of the schedule
        batch: samples a batch
        optimizer: of every cell
        lr: learning rate of the cells, per step
        momentum: of sgd
        decay: decoupled weight decay of the cells: a weight loses lr * decay of itself a step
        rate: how the learning rates go down over the epochs
        goodness: what a cell makes large on positives and small on negatives
        theta: the goodness threshold; null for that of a cell whose units are all 1
        temperature: of the logistic; of pairs the margin, over the goodness of a cell of ones
        objective: of each cell; symba and swish compare a positive with its negative
        blurs: how often the random bits of a mask are blurred
        padding: what is beyond their border: the outermost bits, their mirror image, or zeros
        normalise: length normalisation of what a cell sees: as a whole, or of the place's channels
        peers: strength of peer normalisation, 0 for none
        jitter: training images move by up to so many pixels each way, anew each time; 0 for none
        readout_lr: learning rate of the linear readout, with momentum 0.9
        readout_decay: decoupled weight decay of the linear readout
        read: cells that the linear readout reads, counted from 0; null for all but the first
        memory_gib: above this, outputs of frozen cells go to a memory-mapped file
        evaluate_every: epochs between two measurements of the readout
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    cell: Literal["dense", "local"] = "dense"
    widths: list[int] = field(default_factory=lambda: [2000, 2000, 2000, 2000])
    fields: list[int] = field(default_factory=list)
    strides: list[int] = field(default_factory=list)
    truncated: bool = False
    regime: Literal["simultaneous", "greedy", "frozen", "backprop"] = "simultaneous"
    epochs: int = 100
    batch: int = 100
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.001
    momentum: float = 0.9
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cooldown"
    goodness: GoodnessName = "sum_of_squares"
    theta: float | None = None
    temperature: float = 1.0
    objective: Literal["logistic", "symba", "swish"] = "logistic"
    blurs: int = 6
    padding: Literal["edge", "reflect", "zero"] = "edge"
    normalise: Literal["whole", "place"] = "whole"
    peers: float = 0.03
    jitter: int = 0
    readout_lr: float = 0.01
    readout_decay: float = 0.03
    read: list[int] | None = None
    memory_gib: float = 2.0
    evaluate_every: int = 5
    checkpoint_every: int = 5


def build(s: HybridSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn."""
    from ..optimizers import RATE_SCHEDULES, adamw, sgd
    from ..plan import Plan, Training
    from ..row import build_row
    from .jittered import augmentation

    _check(s)
    algorithm, schedule = _regime(s)
    makers = {"sgd": sgd(s.lr, s.momentum, s.decay), "adamw": adamw(s.lr, decay=s.decay)}
    row = build_row(
        _cells(s, data, seed),
        algorithm,
        makers[s.optimizer],
        classes=data.classes,
        readout=sgd(s.readout_lr, 0.9, s.readout_decay),
        read=s.read,
    )
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, schedule, training, augmentation(s.jitter, data.shape))


def _regime(s: HybridSettings) -> "tuple[Algorithm, Schedule]":
    """What flows, and who learns when."""
    from functools import partial

    from .. import goodness, objectives, schedules
    from ..algorithms import Clean, HybridForwardForward

    if s.regime == "backprop":
        return Clean(), schedules.backprop
    if s.regime == "frozen":
        return Clean(), partial(schedules.frozen, budget=s.memory_gib)
    algorithm = HybridForwardForward(
        goodness=goodness.BY_NAME[s.goodness],
        theta=s.theta,
        temperature=s.temperature,
        blurs=s.blurs,
        padding=s.padding,
        loss=objectives.BY_NAME[s.objective],
    )
    if s.regime == "greedy":
        return algorithm, partial(schedules.greedy, budget=s.memory_gib)
    return algorithm, schedules.simultaneous


def _cells(s: HybridSettings, data: "Dataset", seed: int) -> "list[nn.Module]":
    """The cells of a row, first to last."""
    from ..cells import Dense, LocalFields, rms, rms_by_place
    from ..seeds import generator

    rng = generator(seed, "cells")
    if s.cell == "dense":
        sizes = [data.train.x[0].numel(), *s.widths]
        return [Dense(a, b, peers=s.peers, rng=rng) for a, b in pairwise(sizes)]
    made: list[nn.Module] = []
    shape: tuple[int, ...] = data.shape
    for units, side, stride in zip(s.widths, s.fields, s.strides, strict=True):
        # One channel has no length of its own: an image is normalised as a whole.
        by_place = s.normalise == "place" and made
        cell = LocalFields(
            shape,
            units,
            side,
            stride,
            truncated=s.truncated,
            normalise=rms_by_place if by_place else rms,
            peers=s.peers,
            rng=rng,
        )
        made.append(cell)
        shape = cell.maps
    return made


def _check(s: HybridSettings) -> None:
    """Refuse, by name, settings out of their range, or that mean nothing together."""
    from .limits import above_zero, at_least, finite, judged, zero_or_more

    if not s.widths:
        raise BadInput("widths should name the units of at least one cell, and is empty")
    at_least(1, epochs=s.epochs, batch=s.batch)
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    for name in ("widths", "fields", "strides"):
        at_least(1, **{f"{name}[{i}]": value for i, value in enumerate(getattr(s, name))})
    above_zero(lr=s.lr, readout_lr=s.readout_lr, temperature=s.temperature)
    finite(theta=s.theta)
    judged(s.objective, s.theta)
    zero_or_more(momentum=s.momentum, decay=s.decay, readout_decay=s.readout_decay, peers=s.peers)
    zero_or_more(memory_gib=s.memory_gib, blurs=s.blurs)
    wanted = len(s.widths) if s.cell == "local" else 0
    for name in ("fields", "strides"):
        if len(getattr(s, name)) != wanted:
            told = f"{wanted} numbers, one a cell" if wanted else "empty: dense cells have none"
            raise BadInput(f"{name} should be {told}, and is {getattr(s, name)}")
    if s.cell == "dense" and s.truncated:
        raise BadInput("truncated=true is of local fields: take cell=local")
    if s.cell == "dense" and s.normalise == "place":
        raise BadInput("normalise=place is of cells that have places: take cell=local")
