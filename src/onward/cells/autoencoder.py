"""The dense auto-encoder cell, plain, denoising, sparse or tied.  x [B, *D] -> z [B, F].

    x_hat = N(x)                                 what the cell sees: N a layer norm, by default
    z     = s(W x_hat + b)                       its latent, which is handed on and read
    r     = V k(s(W c(x_hat) + b)) + a           c its noise, k its sparsity: in training only
    L     = mean (r - x_hat)^2 + l1 mean |z|

(Hwang, Seo and Jung 2024, arXiv:2404.14664, cells AEFF and DAEFF.) With ``tied`` V is W
transposed. With a lifetime sparsity it is the winner-take-all auto-encoder of Makhzani and Frey
2015, arXiv:1409.2752.

Departs from the paper, as far as is known: the layer norm between two cells is the first thing the
later one does, so that what travels is the raw latent; the decoder sees that latent too.

B = samples, D = input shape, F = units of the latent.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from ..errors import BadInput
from .lengths import Normalise, layer_norm
from .noise import Corruption
from .reconstruction import (
    LossName,
    as_target,
    check_loss,
    distance,
    find_activation,
    restored,
    uniform_,
)
from .sparsity import Sparsity


class AutoEncoder(nn.Module):
    """A latent of ``outputs`` units from which ``inputs`` numbers are restored.

    ``noise`` corrupts what the encoder sees in training, never the target; ``sparsity`` acts on
    the latent in training; ``l1`` >= 0 weighs its mean absolute value; ``loss`` is "mse", or "bce"
    for targets in [0, 1] with ``normalise=unchanged``. ``restores`` is how many numbers the decoder
    makes where the target is not the cell's own input; ``bias`` is the encoder's. Weights and
    biases are uniform within 1/sqrt(fan-in), drawn from ``rng`` (torch's global generator where
    none is given).

    >>> cell = AutoEncoder(784, 100)
    >>> x = torch.rand(3, 1, 28, 28)
    >>> cell(x).shape, cell.reconstruct(x).shape, cell.loss(x).shape
    (torch.Size([3, 100]), torch.Size([3, 1, 28, 28]), torch.Size([]))
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        normalise: Normalise = layer_norm,
        activation: str = "relu",
        noise: Corruption | None = None,
        sparsity: Sparsity | None = None,
        l1: float = 0.0,
        tied: bool = False,
        bias: bool = True,
        loss: LossName = "mse",
        restores: int | None = None,
        rng: Generator | None = None,
    ):
        super().__init__()
        check_loss(loss, normalise, own_target=restores is None)
        if tied and restores not in (None, inputs):
            raise BadInput(
                f"tied weights restore the cell's own {inputs} inputs, not {restores} numbers: "
                "take tied=False"
            )
        self.normalise, self.noise, self.sparsity = normalise, noise, sparsity
        self.l1, self.kind, self._activation = l1, loss, find_activation(activation)
        self.encoder = nn.Linear(inputs, outputs, bias=bias)
        uniform_(self.encoder, rng)
        self.decoder = None if tied else nn.Linear(outputs, restores or inputs)
        self.bias = nn.Parameter(torch.zeros(inputs)) if tied else None  # of the tied decoder
        if self.decoder is not None:
            uniform_(self.decoder, rng)

    @property
    def inputs(self) -> int:
        """D, the numbers of one sample that come in."""
        return self.encoder.in_features

    @property
    def outputs(self) -> int:
        """F, the units of the latent."""
        return self.encoder.out_features

    def forward(self, x: Tensor) -> Tensor:
        """The latent: :meth:`encode`."""
        return self.encode(x)

    def encode(self, x: Tensor) -> Tensor:
        """x [B, *D] -> z [B, F], without noise or sparsity."""
        return self._latent(self.seen(x))

    def decode(self, z: Tensor) -> Tensor:
        """z [B, F] -> r [B, D], on the scale of what the cell sees."""
        return restored(self.kind, self._answer(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """r of a clean sample.  x [B, *D] -> [B, *D]."""
        r = self.decode(self.encode(x))
        return r.view(x.shape) if r.shape[1] == x[0].numel() else r

    def seen(self, x: Tensor) -> Tensor:
        """The normalised input, which is the target too.  x [B, *D] -> [B, D]."""
        flat = x.flatten(1)
        if flat.shape[1] != self.inputs:
            raise BadInput(
                f"an auto-encoder cell of {self.inputs} inputs was given samples of "
                f"{flat.shape[1]} numbers {tuple(x.shape[1:])}: build it with "
                f"{flat.shape[1]} inputs"
            )
        # Normalised in its own shape: standardisation is by channel.
        return self.normalise(x).flatten(1)

    def loss(self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """How badly x [B, *D] is restored, a scalar.

        ``z`` is what ``forward(x)`` answered, with its graph, where it is at hand: a cell without
        noise then costs one pass. ``target`` [B, *] stands in for the cell's own input.
        """
        seen, z, answer = self.answer(x, z)
        loss = distance(self.kind, answer, as_target(target, seen, answer))
        return loss + self.l1 * z.abs().mean() if self.l1 else loss

    def answer(self, x: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """In training: what the cell sees, its latent, and what its decoder's last layer says."""
        seen = self.seen(x)
        if self.noise is not None:
            z = self._latent(self.noise(seen))
        elif z is None:
            z = self._latent(seen)
        return seen, z, self._answer(z if self.sparsity is None else self.sparsity(z))

    def losses(
        self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """The one loss, for its one parameter group."""
        yield "cell", self.loss(x, z, target)

    def errors(self, x: Tensor) -> Tensor:
        """Each clean sample's mean squared error of reconstruction.  x [B, *D] -> [B]."""
        seen = self.seen(x)
        return (self.decode(self._latent(seen)) - seen).square().mean(1)

    def _latent(self, seen: Tensor) -> Tensor:
        return self._activation(self.encoder(seen))

    def _answer(self, z: Tensor) -> Tensor:
        if self.decoder is None:
            return nn.functional.linear(z, self.encoder.weight.T, self.bias)
        return torch.as_tensor(self.decoder(z))
