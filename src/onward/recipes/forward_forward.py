"""Supervised Forward-Forward on dense cells: the settings, and the row they make."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from ..errors import BadInput

if TYPE_CHECKING:
    from ..algorithms import ForwardForward
    from ..data import Dataset
    from ..plan import Plan

GoodnessName = Literal[
    "sum_of_squares",
    "mean_of_squares",
    "negative_sum_of_squares",
    "negative_mean_of_squares",
    "sum_of_activities",
    "negative_sum_of_activities",
    "top_k",
]


@dataclass(frozen=True)
class ForwardForwardSettings:
    """Settings of a supervised Forward-Forward row. Defaults: the author's MATLAB.

    Attributes:
        dataset: name of the data set (see `onward data`)
        cells: how many dense cells in a row
        width: units of each cell
        epochs: passes over the training samples, for each stage of the schedule
        batch: samples a batch
        schedule: who learns when; greedy trains each cell to its end, pairwise has no walls
        fresh: whether each cell in its turn has a batch of its own (schedule alternating)
        phases: positives and negatives in one update, or separated in time (schedule simultaneous)
        phase_length: updates of each sign before the other's turn, where phases are separated
        optimizer: of every cell
        lr: learning rate of the cells, per step
        momentum: of sgd
        decay: decoupled weight decay of the cells: a weight loses lr * decay of itself a step
        rate: how the learning rates go down over the epochs
        goodness: what a cell makes large on positives and small on negatives
        theta: the goodness threshold; null for that of a cell whose units are all 1
        temperature: of the logistic; of pairs the margin, over the goodness of a cell of ones
        gamma: other cells whose goodness a cell is told of, and adds to its own
        scale: how much each of them counts
        coupling: whether a cell learns how much they count (between 0 and 1, in place of scale)
        objective: of each cell; symba and swish compare a sample's two rows, entropy is of all rows
        negatives: wrong labels, drawn uniformly or in proportion to the readout's softmax
        label: where the label is written: over the first inputs, or appended
        label_value: the number that marks a label
        normalise: length normalisation of every cell's input
        peers: strength of peer normalisation, 0 for none; 0.03 suits the slope of a sum at T = 1
        jitter: training images move by up to so many pixels each way, anew each time; 0 for none
        linear: whether a linear readout learns along; hard negatives need one
        readout_lr: learning rate of the linear readout, with momentum 0.9
        readout_decay: decoupled weight decay of the linear readout
        read: cells that the linear readout reads, counted from 0; null for all but the first
        counted: cells that count when every label is tried; null for all but the first
        memory_gib: above this, outputs of frozen cells (greedy) go to a memory-mapped file
        evaluate_every: epochs between two measurements of the readouts
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    cells: int = 3
    width: int = 1000
    epochs: int = 100
    batch: int = 100
    schedule: Literal["simultaneous", "alternating", "greedy", "pairwise", "frozen"] = (
        "simultaneous"
    )
    fresh: bool = False
    phases: Literal["mixed", "separated"] = "mixed"
    phase_length: int = 1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.001
    momentum: float = 0.9
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cooldown"
    goodness: GoodnessName = "sum_of_squares"
    theta: float | None = None
    temperature: float = 1.0
    gamma: Literal["none", "earlier", "all"] = "none"
    scale: float = 1.0
    coupling: Literal["fixed", "learned"] = "fixed"
    objective: Literal["logistic", "symba", "swish", "entropy"] = "logistic"
    negatives: Literal["hard", "wrong"] = "hard"
    label: Literal["first", "appended"] = "first"
    label_value: float = 1.0
    normalise: Literal["rms", "l2", "none"] = "rms"
    peers: float = 0.03
    jitter: int = 0
    linear: bool = True
    readout_lr: float = 0.01
    readout_decay: float = 0.03
    read: list[int] | None = None
    counted: list[int] | None = None
    memory_gib: float = 2.0
    evaluate_every: int = 10
    checkpoint_every: int = 1


def build(s: ForwardForwardSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn."""
    from functools import partial

    from .. import schedules
    from ..cells import Dense
    from ..cells.lengths import BY_NAME as LENGTHS
    from ..optimizers import RATE_SCHEDULES, adamw, sgd
    from ..plan import Plan, Training
    from ..row import build_row
    from ..seeds import generator
    from .jittered import augmentation
    from .limits import above_zero, at_least, finite, zero_or_more

    at_least(1, cells=s.cells, width=s.width, epochs=s.epochs, batch=s.batch)
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    above_zero(lr=s.lr, readout_lr=s.readout_lr, temperature=s.temperature)
    above_zero(label_value=s.label_value)
    finite(theta=s.theta, scale=s.scale)
    _refuse(s)
    zero_or_more(momentum=s.momentum, decay=s.decay, readout_decay=s.readout_decay, peers=s.peers)
    zero_or_more(memory_gib=s.memory_gib)

    rng = generator(seed, "cells")
    inputs = data.train.x[0].numel() + (data.classes if s.label == "appended" else 0)
    sizes = [inputs] + [s.width] * s.cells
    cells = [
        Dense(a, b, normalise=LENGTHS[s.normalise], peers=s.peers, hears=_hears(s, i), rng=rng)
        for i, (a, b) in enumerate(pairwise(sizes))
    ]
    makers = {"sgd": sgd(s.lr, s.momentum, s.decay), "adamw": adamw(s.lr, decay=s.decay)}
    row = build_row(
        cells,
        _algorithm(s, data.classes),
        makers[s.optimizer],
        classes=data.classes,
        readout=sgd(s.readout_lr, 0.9, s.readout_decay) if s.linear else None,
        read=s.read,
        counted=s.counted,
    )
    schedule = schedules.BY_NAME[s.schedule]
    if s.schedule == "greedy":
        schedule = partial(schedules.greedy, budget=s.memory_gib)
    if s.fresh:
        schedule = partial(schedules.alternating, fresh=True)
    if s.phases == "separated":
        schedule = partial(schedules.separated, length=s.phase_length)
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, schedule, training, augmentation(s.jitter, data.shape))


def _algorithm(s: ForwardForwardSettings, classes: int) -> "ForwardForward":
    """Forward-Forward, or its collaborative form where cells are told of each other."""
    from functools import partial

    from .. import goodness, labels, negatives, objectives
    from ..algorithms import Collaborative, ForwardForward

    make = ForwardForward
    if s.objective == "entropy":
        make = partial(Collaborative, gamma=s.gamma, scale=s.scale, objective="entropy")  # type: ignore[assignment]
    elif s.gamma != "none":
        make = partial(Collaborative, gamma=s.gamma, scale=s.scale)  # type: ignore[assignment]
    return make(
        classes,
        goodness=goodness.BY_NAME[s.goodness],
        theta=s.theta,
        temperature=s.temperature,
        negatives=negatives.BY_NAME[s.negatives],
        writer=labels.BY_NAME[s.label],
        label_value=s.label_value,
        loss=objectives.BY_NAME.get(s.objective, objectives.logistic),
    )


def _hears(s: ForwardForwardSettings, cell: int) -> list[int]:
    """The cells whose goodness a cell weighs by factors that it learns."""
    if s.coupling == "fixed":
        return []
    last = s.cells if s.gamma == "all" else cell
    return [other for other in range(last) if other != cell]


def _refuse(s: ForwardForwardSettings) -> None:
    """Settings that mean nothing together, each by name."""
    from .limits import judged, phased

    phased(s.phases, s.phase_length)
    if s.phases == "separated" and s.schedule != "simultaneous":
        raise BadInput(
            f"phases=separated is of schedule=simultaneous, and schedule is {s.schedule}: leave "
            "one out"
        )
    if s.coupling == "learned" and s.gamma == "none":
        raise BadInput("coupling=learned wants cells to listen to: take gamma=all or earlier")
    if s.coupling == "learned" and s.scale != 1:
        raise BadInput(
            f"coupling=learned learns what scale would be, and scale is {s.scale}: leave one out"
        )
    if s.coupling == "learned" and s.objective == "entropy":
        raise BadInput("objective=entropy takes goodness as it is: take coupling=fixed")
    judged(s.objective, s.theta)
    if s.fresh and s.schedule != "alternating":
        raise BadInput(f"fresh=true is of schedule=alternating, and schedule is {s.schedule}")
