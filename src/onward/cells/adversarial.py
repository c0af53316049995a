"""The GAN cell: an auto-encoder as generator, and a critic.  x [B, *D] -> z [B, *F].

    r   = D(E(x_hat))                                          E, D the auto-encoder's halves
    L_K = BCE(K(x_hat), 1) + BCE(K(r), 0)                      the critic learns, r held fixed
    L_G = BCE(K(r), 1) + lambda * mean (r - x_hat)^2           then the generator, K held fixed

(Hwang, Seo and Jung 2024, arXiv:2404.14664, cell GANFF, whose structure is not known: digest
UFF-A9.) The generator is an encoder-decoder, for a latent must exist. With lambda = 0 nothing ties
a latent to its sample but the input itself.

B = samples, D = input shape, F = latent's shape.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

from .autoencoder import AutoEncoder
from .conv_autoencoder import ConvAutoEncoder
from .lengths import Normalise
from .reconstruction import as_target, distance, restored, uniform_


class Adversarial(nn.Module):
    """``generator``'s cell with an adversarial loss beside ``weight`` >= 0 times its own.

    ``critic`` maps samples [B, *] as the generator sees them to logits [B]. Two parameter groups,
    "critic" and "generator", with an optimiser each, which step in that order.

    >>> cell = Adversarial(AutoEncoder(64, 20), Critic(64, 30))
    >>> [group for group, loss in cell.losses(torch.rand(5, 64))]
    ['critic', 'generator']
    """

    def __init__(
        self, generator: AutoEncoder | ConvAutoEncoder, critic: nn.Module, weight: float = 1.0
    ):
        super().__init__()
        self.generator, self.critic, self.weight = generator, critic, weight

    @property
    def normalise(self) -> Normalise:
        """The generator's."""
        return self.generator.normalise

    @property
    def inputs(self) -> int:
        """The numbers of one sample that come in."""
        return self.generator.inputs

    @property
    def outputs(self) -> int:
        """The numbers of a latent."""
        return self.generator.outputs

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The critic's parameters, and the generator's."""
        return {
            "critic": list(self.critic.parameters()),
            "generator": list(self.generator.parameters()),
        }

    def forward(self, x: Tensor) -> Tensor:
        """The generator's latent."""
        return self.encode(x)

    def encode(self, x: Tensor) -> Tensor:
        """x [B, *D] -> z [B, *F]."""
        return self.generator.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, *F] -> r [B, *D]."""
        return self.generator.decode(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """r of clean samples.  x [B, *D] -> the same shape."""
        return self.generator.reconstruct(x)

    def errors(self, x: Tensor) -> Tensor:
        """Each clean sample's mean squared error of reconstruction.  x [B, *D] -> [B]."""
        return self.generator.errors(x)

    def loss(self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """The generator's loss, with the critic as it is."""
        seen, z, answer = self.generator.answer(x, z)
        return self._fooling(answer, as_target(target, seen, answer), z)

    def losses(
        self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """The critic's loss; once it has stepped, the generator's."""
        seen, z, answer = self.generator.answer(x, z)
        wanted = as_target(target, seen, answer)
        fake = restored(self.generator.kind, answer.detach())
        yield "critic", _says(self.critic(wanted), True) + _says(self.critic(fake), False)
        yield "generator", self._fooling(answer, wanted, z)

    def _fooling(self, answer: Tensor, wanted: Tensor, z: Tensor) -> Tensor:
        """L_G; the critic's weights are constants, so that no gradient is computed for them."""
        fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
        fake = restored(self.generator.kind, answer)
        loss = _says(functional_call(self.critic, fixed, (fake,)), True)
        if self.weight:
            own = distance(self.generator.kind, answer, wanted)
            if self.generator.l1:
                own = own + self.generator.l1 * z.abs().mean()
            loss = loss + self.weight * own
        return loss


class Critic(nn.Module):
    """Two dense layers with a leaky ReLU between them.  x [B, *D] -> logits [B], D = inputs."""

    def __init__(self, inputs: int, width: int, rng: Generator | None = None):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, 1)
        uniform_(self.first, rng)
        uniform_(self.last, rng)

    def forward(self, x: Tensor) -> Tensor:
        """Above 0: taken for a true sample."""
        hidden = nn.functional.leaky_relu(self.first(x.flatten(1)), 0.2)
        return torch.as_tensor(self.last(hidden)).squeeze(1)


def _says(logits: Tensor, true: bool) -> Tensor:
    """The critic's cross-entropy where all its samples are true, or none."""
    wanted = torch.full_like(logits, float(true))
    return binary_cross_entropy_with_logits(logits, wanted)
