"""Unsupervised Forward-Forward: the settings, and the row they make."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..data import Dataset
    from ..local import Algorithm
    from ..plan import Plan
    from ..schedules import Schedule


Activation = Literal["relu", "normed_relu", "leaky_relu", "gelu", "tanh", "sigmoid", "linear"]


@dataclass(frozen=True)
class UnsupervisedSettings:
    """Settings of a row of unsupervised cells with a linear readout on their latents.

    Attributes:
        dataset: name of the data set (see `onward data`)
        cell: the kind of every cell; dae is ae with noise, wta is ae with lifetime sparsity
        widths: units of each cell, or maps of a convolutional one
        regime: how the row learns; frozen, raw and backprop are its controls
        epochs: passes over the training samples, for each cell and the readout where separate
        batch: samples a batch
        lr: learning rate of the cells (AdamW), per step
        beta1: of AdamW, the share of the first moment that is kept
        decay: decoupled weight decay of the cells
        rate: how the learning rates go down over the epochs
        samples: first cell sees values as they come, standardised by channel, or each layer-normed
        activation: of the latents
        noise: what the encoder's input is corrupted by in training
        noise_level: standard deviation of gaussian noise, or probability of the others
        sparsity: of latents in training: a sample's largest, or a unit's (a map's) over the batch
        sparsity_level: k of k_sparse, or the share of the batch of the lifetimes
        l1: weight of the mean absolute latent
        tied: decoders use the encoders' weights, transposed
        bias: dense encoders have biases
        loss: of the first cell; bce for samples in [0, 1]. Later cells always have mse
        target: what each cell restores: its own input, or the original sample
        reconstruction: weight lambda of it in a gan cell, beside its adversarial loss; 0 for none
        critic: units of a gan cell's critic
        kernel: of convolutions
        pool: of convolutional cells
        stride: of convwta's pooling; null for the same as pool
        decoder_kernel: of convwta
        read: cells that the readout reads, counted from 0; null for all
        readout_lr: learning rate of the linear readout (AdamW)
        readout_decay: decoupled weight decay of the linear readout
        memory_gib: above this, outputs of frozen cells go to a memory-mapped file
        evaluate_every: epochs between two measurements of the readout
        checkpoint_every: epochs between two checkpoints
    """

    dataset: str = "mnist"
    cell: Literal["ae", "dae", "wta", "gan", "cae", "convwta"] = "ae"
    widths: list[int] = field(default_factory=lambda: [1000, 1000, 1000])
    regime: Literal["simultaneous", "separate", "frozen", "raw", "backprop"] = "simultaneous"
    epochs: int = 12
    batch: int = 100
    lr: float = 0.001
    beta1: float = 0.9
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cosine"
    samples: Literal["pixels", "standardised", "layer_norm"] = "pixels"
    activation: Activation = "relu"
    noise: Literal["none", "gaussian", "masking", "salt_and_pepper"] = "none"
    noise_level: float = 0.3
    sparsity: Literal["none", "k_sparse", "lifetime", "map_lifetime"] = "none"
    sparsity_level: float = 0.05
    l1: float = 0.0
    tied: bool = False
    bias: bool = True
    loss: Literal["mse", "bce"] = "mse"
    target: Literal["own", "original"] = "own"
    reconstruction: float = 1.0
    critic: int = 500
    kernel: int = 3
    pool: int = 2
    stride: int | None = None
    decoder_kernel: int = 11
    read: list[int] | None = None
    readout_lr: float = 0.001
    readout_decay: float = 0.3
    memory_gib: float = 2.0
    evaluate_every: int = 1
    checkpoint_every: int = 1


def build(s: UnsupervisedSettings, data: "Dataset", seed: int) -> "Plan":
    """The row that the settings describe, freshly drawn; each cell from a generator of its own."""
    from functools import partial

    from ..cells import layer_norm, unchanged
    from ..optimizers import RATE_SCHEDULES, adamw
    from ..plan import Plan, Training
    from ..readouts import LinearReadout
    from ..row import build_row
    from ..tasks import suited
    from .unsupervised_cells import cells

    check(s)
    algorithm, schedule = regime(s)
    # Across the few features of a table a layer norm would take away what a linear model needs.
    bare = s.regime == "raw" and s.samples == "standardised"
    row = build_row(
        cells(s, data, seed),
        algorithm,
        adamw(s.lr, (s.beta1, 0.999), s.decay),
        classes=data.classes,
        readout=adamw(s.readout_lr, decay=s.readout_decay),
        read=range(1 if s.regime == "raw" else len(s.widths)) if s.read is None else s.read,
        head=partial(
            LinearReadout,
            normalise=unchanged if bare else layer_norm,
            bias=True,
            task=suited(data.target, data.train.y),
        ),
    )
    rate = RATE_SCHEDULES[s.rate]
    training = Training(s.epochs, s.batch, rate, s.evaluate_every, s.checkpoint_every)
    return Plan(row, schedule, training)


def check(s: UnsupervisedSettings) -> None:
    """Refuse, by name, settings out of their range. What cells refuse, they refuse themselves."""
    from ..errors import BadInput
    from .limits import above_zero, at_least, zero_or_more

    if not s.widths:
        raise BadInput("widths should name the units of at least one cell, and is empty")
    at_least(1, epochs=s.epochs, batch=s.batch, critic=s.critic)
    at_least(1, evaluate_every=s.evaluate_every, checkpoint_every=s.checkpoint_every)
    for number, width in enumerate(s.widths):
        at_least(1, **{f"widths[{number}]": width})
    at_least(1, kernel=s.kernel, pool=s.pool, decoder_kernel=s.decoder_kernel)
    at_least(1, stride=s.pool if s.stride is None else s.stride)
    above_zero(lr=s.lr, readout_lr=s.readout_lr, sparsity_level=s.sparsity_level)
    zero_or_more(decay=s.decay, readout_decay=s.readout_decay, noise_level=s.noise_level)
    zero_or_more(l1=s.l1, reconstruction=s.reconstruction, memory_gib=s.memory_gib, beta1=s.beta1)
    _check_kind(s)
    if s.beta1 >= 1:
        raise BadInput(f"beta1 should be below 1, and is {s.beta1}")
    sparse = s.sparsity if s.cell != "convwta" else "lifetime"
    if sparse in ("lifetime", "map_lifetime") and s.sparsity_level > 1:
        raise BadInput(
            f"sparsity_level is a share of the batch for {sparse}, 1 at most, and is "
            f"{s.sparsity_level}"
        )
    if sparse == "k_sparse" and s.sparsity_level != int(s.sparsity_level):
        raise BadInput(
            f"sparsity_level is a number of units for k_sparse, and is {s.sparsity_level}"
        )


def _check_kind(s: UnsupervisedSettings) -> None:
    """Refuse what a kind of cell would not look at, and the kinds without what makes them one."""
    from ..errors import BadInput

    usual = UnsupervisedSettings()
    blind = {
        "cae": ("tied", "bias"),
        "convwta": ("activation", "noise", "sparsity", "l1", "tied", "bias", "loss", "target"),
    }
    for name in blind.get(s.cell, ()):
        if getattr(s, name) != getattr(usual, name):
            raise BadInput(
                f"a {s.cell} cell has no {name}: leave it out, and not {name}={getattr(s, name)}"
            )
    if s.cell == "dae" and s.noise == "none":
        raise BadInput("a dae cell is denoising, and noise is none: take noise=masking, or cell=ae")
    if s.cell == "wta" and s.sparsity != "lifetime":
        raise BadInput(
            f"a wta cell has the sparsity lifetime, and it is {s.sparsity}: take cell=ae"
        )


def regime(s: UnsupervisedSettings) -> "tuple[Algorithm, Schedule]":
    """What flows, and who learns when."""
    from functools import partial

    from .. import schedules
    from ..algorithms import Clean, UnsupervisedForwardForward

    if s.regime == "simultaneous":
        return UnsupervisedForwardForward(s.target), schedules.simultaneous
    if s.regime == "separate":
        schedule = partial(schedules.greedy, budget=s.memory_gib)
        return UnsupervisedForwardForward(s.target), schedule
    if s.regime == "backprop":
        return Clean(), schedules.backprop
    return Clean(), partial(schedules.frozen, budget=s.memory_gib)
