"""What a reconstruction is held against, and by which measure.

B = samples, D = the shape of what is restored.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from ..errors import BadInput, nearest
from .lengths import Normalise, layer_norm, unchanged

LossName = Literal["mse", "bce"]


def _normed_relu(drive: Tensor) -> Tensor:
    """max(0, LN(drive) - 1): units that stand out by a standard deviation among those of a sample.

    About one in six is active, whatever the sample, so that a cell can't copy its input through all
    of its units. What it brought, and where it brought nothing, is in docs/log.md.
    """
    return torch.relu(layer_norm(drive) - 1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "normed_relu": _normed_relu,
    "leaky_relu": partial(nn.functional.leaky_relu, negative_slope=0.1),
    "gelu": nn.functional.gelu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": unchanged,
}


def find_activation(name: str) -> Callable[[Tensor], Tensor]:
    """One of ACTIVATIONS by its name."""
    if name not in ACTIVATIONS:
        raise BadInput(f"there is no activation {name!r}: {nearest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


def check_loss(loss: str, normalise: Normalise, own_target: bool) -> None:
    """Refuse a loss that does not exist, and "bce" where the target can't be in [0, 1].

    A layer norm's numbers are signed, and a sigmoid can't restore them (digest UFF-A5, P3).
    """
    if loss not in ("mse", "bce"):
        raise BadInput(f"there is no loss {loss!r}: {nearest(loss, ('mse', 'bce'))}")
    if loss == "bce" and own_target and normalise is not unchanged:
        raise BadInput(
            "the loss bce wants a target in [0, 1], and this cell restores its normalised input: "
            "take loss=mse, or normalise=unchanged for a first cell on pixels"
        )


def as_target(target: Tensor | None, seen: Tensor, answer: Tensor) -> Tensor:
    """What an answer [B, *D] is held against: the target in its shape, or what the cell sees.

    Refused where the numbers of a sample are not as many: they would be broadcast.
    """
    wanted = seen if target is None else target
    if wanted[0].numel() != answer[0].numel():
        raise BadInput(
            f"a cell that restores {tuple(answer.shape[1:])} was given a target of "
            f"{tuple(wanted.shape[1:])}: build it with restores= for that shape, or take "
            'target="own"'
        )
    return wanted.reshape(answer.shape)


def distance(loss: LossName, answer: Tensor, wanted: Tensor) -> Tensor:
    """Mean over all numbers; ``answer`` are logits where the loss is "bce".  [B, *D] x 2 -> []."""
    if loss == "mse":
        return mse_loss(answer, wanted)
    # Looked at on a CPU only: a GPU would have to be waited for at every step.
    if wanted.device.type == "cpu" and not (wanted.amin() >= 0 and wanted.amax() <= 1):
        raise BadInput(
            f"the loss bce wants targets in [0, 1], and got {float(wanted.amin()):.3g} to "
            f"{float(wanted.amax()):.3g}: scale the data, or take loss=mse"
        )
    return binary_cross_entropy_with_logits(answer, wanted)


def restored(loss: LossName, answer: Tensor) -> Tensor:
    """What a decoder's last layer says, as a sample: logits become probabilities."""
    return torch.sigmoid(answer) if loss == "bce" else answer


def uniform_(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, rng: Generator | None) -> None:
    """Weights and biases uniform within 1/sqrt(fan-in): torch's own law, from a given generator."""
    transposed = isinstance(layer, nn.ConvTranspose2d)
    fan_in = layer.weight.transpose(0, 1)[0].numel() if transposed else layer.weight[0].numel()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5, generator=rng)
