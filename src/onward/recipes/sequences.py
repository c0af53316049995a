"""Forward-Forward on sequences of symbols: the settings, the data, and the row they make."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from ..errors import BadInput
from .forward_forward import GoodnessName

if TYPE_CHECKING:
    from ..algorithms import Sequences
    from ..data import Dataset
    from ..plan import Plan


@dataclass(frozen=True)
class SequenceSettings:
    """Settings of a row that tells real windows of a text from made-up ones.

    Attributes:
        dataset: name of a text (see `onward data`), or the file that --data names
        strings: at most so many strings of the training text are used, from its start; null for all
        length: symbols of a string
        cells: how many dense cells in a row
        width: units of each cell
        regime: how the row learns; frozen and backprop are its controls
        negatives: last symbol predicted by the readout or drawn uniformly, or whole roll-outs of it
        phases: positives and negatives in one update, or separated in time
        phase_length: updates of each sign before the other's turn, where phases are separated
        epochs: passes over the training windows
        batch: windows a batch
        optimizer: of every cell
        lr: learning rate of the cells, per step
        momentum: of sgd
        decay: decoupled weight decay of the cells: a weight loses lr * decay of itself a step
        rate: how the learning rates go down over the epochs
        goodness: what a cell makes large on positives and small on negatives
        theta: the goodness threshold; null for that of a cell whose units are all 1
        temperature: of the logistic; of pairs the margin, over the goodness of a cell of ones
        objective: of each cell; symba and swish compare a positive with its negative
        normalise: length normalisation of every cell's input
        peers: strength of peer normalisation, 0 for none
        readout_lr: learning rate of the linear readout, with momentum 0.9
        readout_decay: decoupled weight decay of the linear readout
        read: cells that the linear readout reads, counted from 0; null for all but the first
        memory_gib: above this, outputs of frozen cells go to a memory-mapped file
        evaluate_every: epochs between two measurements of the readout
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "aesop"
    strings: int | None = 248
    length: int = 100
    cells: int = 3
    width: int = 2000
    regime: Literal["local", "frozen", "backprop"] = "local"
    negatives: Literal["predicted", "rollout", "wrong"] = "predicted"
    phases: Literal["mixed", "separated"] = "mixed"
    phase_length: int = 1
    epochs: int = 12
    batch: int = 100
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.001
    momentum: float = 0.9
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cooldown"
    goodness: GoodnessName = "sum_of_squares"
    theta: float | None = None
    temperature: float = 0.1
    objective: Literal["logistic", "symba", "swish"] = "swish"
    normalise: Literal["rms", "l2", "none"] = "rms"
    peers: float = 0.03
    readout_lr: float = 0.001
    readout_decay: float = 0.03
    read: list[int] | None = None
    memory_gib: float = 2.0
    evaluate_every: int = 5
    checkpoint_every: int = 1


def prepare(s: SequenceSettings, data: "Dataset") -> "Dataset":
    """The training windows of the first strings: those inside one, each with what comes next.

    The note says where the text has fewer strings than were asked for. Raises BadInput for data
    that are no text, and for a text without one string.
    """
    import torch

    from ..data import Split
    from .limits import at_least

    if data.symbols is None:
        raise BadInput(
            f"this recipe learns from text, and {data.name} is none: name a text file (--data "
            "FILE.txt), or a folder with aesop.txt in it"
        )
    width = data.shape[0]
    at_least(1, strings=1 if s.strings is None else s.strings)
    if s.length <= width:
        raise BadInput(f"length should be above the {width} symbols of a window, and is {s.length}")
    there = (len(data.train) + width) // s.length
    if there < 1:
        raise BadInput(
            f"{data.name} has {len(data.train) + width:,} symbols for training, and a string has "
            f"length={s.length}: take shorter strings, or a longer text"
        )
    count, note = there, data.note
    if s.strings is not None:
        count = min(s.strings, there)
        note = data.note if s.strings <= there else f"{data.note}; {there} strings, all there are"
    inside = torch.arange(s.length - width)
    index = (torch.arange(count)[:, None] * s.length + inside).flatten()
    return replace(data, train=Split(data.train.x[index], data.train.y[index]), note=note)


def build(s: SequenceSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn."""
    from functools import partial

    from .. import schedules
    from ..algorithms import Clean
    from ..cells import Dense
    from ..cells.lengths import BY_NAME as LENGTHS
    from ..optimizers import RATE_SCHEDULES, adamw, sgd
    from ..plan import Plan, Training
    from ..row import build_row
    from ..schedules import Schedule
    from ..seeds import generator

    _check(s)
    rng = generator(seed, "cells")
    sizes = [data.train.x[0].numel()] + [s.width] * s.cells
    cells = [
        Dense(a, b, normalise=LENGTHS[s.normalise], peers=s.peers, rng=rng)
        for a, b in pairwise(sizes)
    ]
    makers = {"sgd": sgd(s.lr, s.momentum, s.decay), "adamw": adamw(s.lr, decay=s.decay)}
    by_regime: dict[str, Schedule] = {
        "local": schedules.simultaneous,
        "frozen": partial(schedules.frozen, budget=s.memory_gib),
        "backprop": schedules.backprop,
    }
    schedule = by_regime[s.regime]
    if s.phases == "separated":
        schedule = partial(schedules.separated, length=s.phase_length)
    row = build_row(
        cells,
        _algorithm(s, data) if s.regime == "local" else Clean(),
        makers[s.optimizer],
        classes=data.classes,
        readout=sgd(s.readout_lr, 0.9, s.readout_decay),
        read=s.read,
    )
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, schedule, training)


def _algorithm(s: SequenceSettings, data: "Dataset") -> "Sequences":
    import torch

    from .. import goodness, objectives
    from ..algorithms import Sequences
    from ..negatives import hard_label, wrong_label

    every = s.length - data.shape[0]
    strings = None
    if s.negatives == "rollout":
        count = -(-len(data.train) // every)
        strings = torch.zeros(count, s.length, dtype=torch.long)
    return Sequences(
        data.classes,
        goodness=goodness.BY_NAME[s.goodness],
        theta=s.theta,
        temperature=s.temperature,
        loss=objectives.BY_NAME[s.objective],
        negatives=wrong_label if s.negatives == "wrong" else hard_label,
        strings=strings,
        every=every,
    )


def _check(s: SequenceSettings) -> None:
    """Settings out of their range, or that mean nothing together, each by name."""
    from .limits import above_zero, at_least, finite, judged, phased, zero_or_more

    at_least(1, cells=s.cells, width=s.width, epochs=s.epochs, batch=s.batch)
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    above_zero(lr=s.lr, readout_lr=s.readout_lr, temperature=s.temperature)
    finite(theta=s.theta)
    judged(s.objective, s.theta)
    zero_or_more(momentum=s.momentum, decay=s.decay, readout_decay=s.readout_decay, peers=s.peers)
    zero_or_more(memory_gib=s.memory_gib)
    phased(s.phases, s.phase_length)
    if s.regime != "local" and (s.phases != "mixed" or s.negatives != "predicted"):
        raise BadInput(
            f"regime={s.regime} has no negatives: leave out negatives={s.negatives} and "
            f"phases={s.phases}"
        )
    if s.phases == "separated" and s.objective != "logistic":
        raise BadInput(
            f"objective={s.objective} compares a positive with its negative, and phases=separated "
            "has them at different times: take objective=logistic with temperature=1"
        )
