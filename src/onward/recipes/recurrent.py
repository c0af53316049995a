"""Recurrent Forward-Forward, dense or of local fields: the settings, and the row they make."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import BadInput
from .forward_forward import GoodnessName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from ..data import Dataset
    from ..plan import Plan


@dataclass(frozen=True)
class RecurrentSettings:
    """Settings of a recurrent Forward-Forward row, the label above the last cell.

    Attributes:
        dataset: name of the data set (see `onward data`)
        cells: how many recurrent cells in a row
        width: units of each cell, at each place of the picture where cells have fields
        field: side of the fields below and above, cut off at the border; null for dense cells
        epochs: passes over the training samples
        batch: samples a batch
        schedule: who learns when; frozen leaves the cells as drawn
        optimizer: of every cell
        lr: learning rate of the cells, per step, of which a batch has several
        momentum: of sgd
        decay: decoupled weight decay of the cells: a weight loses lr * decay of itself a step
        rate: how the learning rates go down over the epochs
        iterations: how often all cells move, after one pass from below
        damping: the share of its old state that a cell keeps at each iteration
        learn_from: the first iteration at which cells learn, counted from 1, to the last
        judge_from: the first iteration whose goodness counts when every label is tried
        judge_to: the last one
        damped: whether goodness is that of the state after damping, not of what is newly computed
        joint: whether what is below and above is normalised together, not each on its own
        goodness: what a cell makes large on positives and small on negatives
        theta: the goodness threshold; null for that of a cell whose units are all 1
        temperature: of the logistic; of pairs the margin, over the goodness of a cell of ones
        objective: of each cell; symba and swish compare a positive with its negative
        negatives: wrong labels, drawn uniformly or in proportion to the readout's softmax
        label_value: the number that marks a label (only joint normalisation sees its scale)
        peers: strength of peer normalisation, 0 for none
        jitter: training images move by up to so many pixels each way, anew each time; 0 for none
        linear: whether a linear readout of the pass from below learns along, for hard negatives
        readout_lr: learning rate of the linear readout, with momentum 0.9
        readout_decay: decoupled weight decay of the linear readout
        read: cells that the linear readout reads, counted from 0; null for all but the first
        counted: cells that count when every label is tried; null for all
        memory_gib: above this, outputs of frozen cells go to a memory-mapped file
        evaluate_every: epochs between two measurements of the readouts
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    cells: int = 2
    width: int = 2000
    field: int | None = None
    epochs: int = 60
    batch: int = 100
    schedule: Literal["recurrent", "frozen"] = "recurrent"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.0001
    momentum: float = 0.9
    decay: float = 0.02
    rate: Literal["constant", "cooldown", "cosine"] = "cooldown"
    iterations: int = 8
    damping: float = 0.3
    learn_from: int = 3
    judge_from: int = 3
    judge_to: int = 5
    damped: bool = False
    joint: bool = False
    goodness: GoodnessName = "sum_of_squares"
    theta: float | None = None
    temperature: float = 1.0
    objective: Literal["logistic", "symba", "swish"] = "logistic"
    negatives: Literal["hard", "wrong"] = "hard"
    label_value: float = 1.0
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


def build(s: RecurrentSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn."""
    from functools import partial

    from .. import goodness, negatives, objectives, schedules
    from ..algorithms import RecurrentForwardForward
    from ..optimizers import RATE_SCHEDULES, adamw, sgd
    from ..plan import Plan, Training
    from ..row import build_row
    from ..sweep import Sweep
    from .jittered import augmentation
    from .limits import above_zero, at_least, finite, judged, zero_or_more

    at_least(1, cells=s.cells, width=s.width, epochs=s.epochs, batch=s.batch)
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    above_zero(lr=s.lr, readout_lr=s.readout_lr, temperature=s.temperature)
    above_zero(label_value=s.label_value)
    finite(theta=s.theta)
    judged(s.objective, s.theta)
    zero_or_more(momentum=s.momentum, decay=s.decay, readout_decay=s.readout_decay, peers=s.peers)
    zero_or_more(memory_gib=s.memory_gib)
    # In words of the settings; Sweep's own speak of pairs.
    at_least(1, iterations=s.iterations, learn_from=s.learn_from, judge_from=s.judge_from)
    _refuse(s)

    algorithm = RecurrentForwardForward(
        data.classes,
        goodness=goodness.BY_NAME[s.goodness],
        loss=objectives.BY_NAME[s.objective],
        theta=s.theta,
        temperature=s.temperature,
        negatives=negatives.BY_NAME[s.negatives],
        label_value=s.label_value,
        sweep=Sweep(
            s.iterations,
            s.damping,
            learned=(s.learn_from, s.iterations),
            judged=(s.judge_from, s.judge_to),
            damped=s.damped,
        ),
    )
    makers = {"sgd": sgd(s.lr, s.momentum, s.decay), "adamw": adamw(s.lr, decay=s.decay)}
    row = build_row(
        _cells(s, data, seed),
        algorithm,
        makers[s.optimizer],
        classes=data.classes,
        readout=sgd(s.readout_lr, 0.9, s.readout_decay) if s.linear else None,
        read=s.read,
        counted=range(s.cells) if s.counted is None else s.counted,
    )
    schedule = schedules.BY_NAME[s.schedule]
    if s.schedule == "frozen":
        schedule = partial(schedules.frozen, budget=s.memory_gib)
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, schedule, training, augmentation(s.jitter, data.shape))


def _cells(s: RecurrentSettings, data: "Dataset", seed: int) -> "list[nn.Module]":
    """Cells that see what is below and above, first to last; the label is above the last."""
    from ..cells import Fields, Recurrent
    from ..seeds import generator

    rng = generator(seed, "cells")
    if s.field is None:
        sizes = [data.train.x[0].numel(), *[s.width] * s.cells, data.classes]
        return [
            Recurrent(*around, joint=s.joint, peers=s.peers, rng=rng)
            for around in zip(sizes, sizes[1:], sizes[2:], strict=False)
        ]
    field = s.field
    if len(data.shape) != 3:
        raise BadInput(
            f"field={field} is of pictures, and these samples are {list(data.shape)}: leave it out"
        )

    def fields(shape: "Sequence[int]") -> Fields:
        return Fields(shape, s.width, field, truncated=True, bias=False, rng=rng)

    made: list[nn.Module] = []
    maps = (s.width, *data.shape[1:])
    for number in range(s.cells):
        below = fields(maps if number else data.shape)
        last = number == s.cells - 1
        made.append(
            Recurrent(
                maps if number else data.shape,
                maps,
                data.classes if last else maps,
                up=below,
                down=None if last else fields(maps),
                joint=s.joint,
                peers=s.peers,
                rng=rng,
            )
        )
    return made


def _refuse(s: RecurrentSettings) -> None:
    """Iterations and fields that there are not, each by name."""
    if s.field is not None and (s.field < 1 or s.field % 2 == 0):
        raise BadInput(f"field should be an odd number above 0, or null, and is {s.field}")
    if not 0 <= s.damping < 1:
        raise BadInput(f"damping should be a number from 0 to below 1, and is {s.damping}")
    if s.learn_from > s.iterations:
        raise BadInput(
            f"learn_from={s.learn_from} is after the last of {s.iterations} iterations: "
            "no cell would learn"
        )
    if not s.judge_from <= s.judge_to <= s.iterations:
        raise BadInput(
            f"judge_from={s.judge_from} and judge_to={s.judge_to} should be the first and the last "
            f"of iterations 1 to {s.iterations}"
        )
