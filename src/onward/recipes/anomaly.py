"""A row of cells that restore usual samples, judged by how well it tells strange ones from them."""

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from .unsupervised import Activation

if TYPE_CHECKING:
    from ..data import Dataset
    from ..plan import Plan
    from .unsupervised import UnsupervisedSettings


@dataclass(frozen=True)
class AnomalySettings:
    """Settings of a row of unsupervised cells that detects a class it has never seen.

    Attributes:
        dataset: name of the data set (see `onward data`), one of classes
        digit: the class that is strange: in no training sample, and to be detected
        cell: the kind of every cell; dae is ae with noise
        widths: units of each cell, or maps of a convolutional one
        regime: how the row learns: all cells on every batch, or one after the other
        epochs: passes over the training samples, for each cell where separate
        batch: samples a batch
        lr: learning rate of the cells (AdamW), per step
        decay: decoupled weight decay of the cells
        rate: how the learning rate goes down over the epochs
        samples: first cell sees values as they come, standardised by channel, or each layer-normed
        activation: of the latents
        noise: what the encoder's input is corrupted by in training
        noise_level: standard deviation of gaussian noise, or probability of the others
        memory_gib: above this, outputs of frozen cells go to a memory-mapped file
        evaluate_every: epochs between two measurements of the errors
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    digit: int = 0
    cell: Literal["ae", "dae", "cae"] = "ae"
    widths: list[int] = field(default_factory=lambda: [16, 8])
    regime: Literal["simultaneous", "separate"] = "simultaneous"
    epochs: int = 10
    batch: int = 100
    lr: float = 0.001
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cooldown"
    samples: Literal["pixels", "standardised", "layer_norm"] = "layer_norm"
    activation: Activation = "leaky_relu"
    noise: Literal["none", "gaussian", "masking", "salt_and_pepper"] = "none"
    noise_level: float = 0.3
    memory_gib: float = 2.0
    evaluate_every: int = 1
    checkpoint_every: int = 1


def prepare(s: AnomalySettings, data: "Dataset") -> "Dataset":
    """The data set with two labels: 0 for usual samples, 1 for those of the class ``digit``.

    No training sample is strange. Validation and test sets are whole and in their order; the
    strange samples of the validation set are there to choose settings by, as its labels are in any
    other recipe. Raises BadInput where there is no such class, or no other.
    """
    from ..data import Split
    from ..errors import BadInput

    if data.target != "classes" or data.classes < 3:
        raise BadInput(
            f"one class of three or more is made the strange one, and {data.name} has "
            f"{data.classes if data.target == 'classes' else 'numbers'}: take other data"
        )
    if not 0 <= s.digit < data.classes:
        raise BadInput(
            f"digit should be a class of {data.name}, 0 to {data.classes - 1}, and is {s.digit}"
        )
    usual = data.train.y != s.digit
    strange = {name: (getattr(data, name).y == s.digit).long() for name in ("validation", "test")}
    if not strange["test"].any():
        raise BadInput(f"{data.name} has no test sample of class {s.digit}: take another digit")
    return replace(
        data,
        train=Split(data.train.x[usual], (~usual[usual]).long()),
        validation=Split(data.validation.x, strange["validation"]),
        test=Split(data.test.x, strange["test"]),
        classes=2,
        label_names=("usual", f"class {data.label_names[s.digit]}"),
    )


def build(s: AnomalySettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn: no readout, its cells' errors judge."""
    from ..optimizers import RATE_SCHEDULES, adamw
    from ..plan import Plan, Training
    from ..row import build_row
    from .unsupervised import check, regime
    from .unsupervised_cells import cells

    whole = _whole(s)
    check(whole)
    algorithm, schedule = regime(whole)
    row = build_row(cells(whole, data, seed), algorithm, adamw(s.lr, decay=s.decay), detects=True)
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, schedule, training)


def _whole(s: AnomalySettings) -> "UnsupervisedSettings":
    """The same cells as a row with a readout has."""
    from .unsupervised import UnsupervisedSettings

    return UnsupervisedSettings(**{k: v for k, v in asdict(s).items() if k != "digit"})
