"""The convolutional auto-encoder cell.  x [B, C, H, W] -> z [B, M, H/p, W/p].

    z = pool(s(W * x_hat + b))       convolution k x k with zeros around, maximum over p x p
    r = V * up(z) + a                nearest neighbour up to the input's size, convolution k x k
    L = mean (r - x_hat)^2

(Hwang, Seo and Jung 2024, arXiv:2404.14664, cell CAEFF; its geometry is not known, and this is the
smallest usual one: digest UFF-A7.) Up-sampling goes to the input's stored size, since a map of odd
size is not twice its pooled one.

B = samples, C, H, W = input shape, M = maps, k = kernel, p = pool.
"""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import max_pool2d

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
from .upsampling import convolve_enlarged


class ConvAutoEncoder(nn.Module):
    """``maps`` pooled feature maps from which samples of ``shape`` (C, H, W) are restored.

    ``kernel`` is odd; ``pool`` 1 for none. The options of :class:`AutoEncoder`, tied weights aside;
    ``restores`` is the shape (C', H', W') of what is restored where that is not the cell's own
    input. Samples of another shape with as many numbers are reshaped, so that this cell may follow
    a dense one.

    >>> cell = ConvAutoEncoder((1, 28, 28), 32)
    >>> x = torch.rand(2, 1, 28, 28)
    >>> cell(x).shape, cell.outputs, cell.reconstruct(x).shape
    (torch.Size([2, 32, 14, 14]), 6272, torch.Size([2, 1, 28, 28]))
    """

    def __init__(
        self,
        shape: Sequence[int],
        maps: int,
        *,
        kernel: int = 3,
        pool: int = 2,
        normalise: Normalise = layer_norm,
        activation: str = "relu",
        noise: Corruption | None = None,
        sparsity: Sparsity | None = None,
        l1: float = 0.0,
        loss: LossName = "mse",
        restores: Sequence[int] | None = None,
        rng: Generator | None = None,
    ):
        super().__init__()
        check_loss(loss, normalise, own_target=restores is None)
        self.shape = image_shape(shape, pool)
        check_kernel(kernel=kernel)
        self.normalise, self.noise, self.sparsity = normalise, noise, sparsity
        self.l1, self.kind, self._activation = l1, loss, find_activation(activation)
        self.pool, self.restores = pool, self.shape if restores is None else image_shape(restores)
        self.encoder = nn.Conv2d(self.shape[0], maps, kernel, padding=kernel // 2)
        self.decoder = nn.Conv2d(maps, self.restores[0], kernel, padding=kernel // 2)
        for layer in (self.encoder, self.decoder):
            uniform_(layer, rng)

    @property
    def inputs(self) -> int:
        """The numbers of one sample that come in, C * H * W."""
        return prod(self.shape)

    @property
    def maps(self) -> tuple[int, int, int]:
        """The shape of a latent, (M, H // p, W // p)."""
        _, height, width = self.shape
        return self.encoder.out_channels, height // self.pool, width // self.pool

    @property
    def outputs(self) -> int:
        """The numbers of a latent."""
        return prod(self.maps)

    def forward(self, x: Tensor) -> Tensor:
        """The latent: :meth:`encode`."""
        return self.encode(x)

    def encode(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> z [B, M, H // p, W // p], without noise or sparsity."""
        return self._latent(self.seen(x))

    def decode(self, z: Tensor) -> Tensor:
        """z [B, M, H // p, W // p] -> r [B, C, H, W], on the scale of what the cell sees."""
        return restored(self.kind, self._answer(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """r of clean samples.  x [B, C, H, W] -> the same shape."""
        return self.decode(self.encode(x))

    def seen(self, x: Tensor) -> Tensor:
        """The normalised input, which is the target too.  x [B, *D] -> [B, C, H, W]."""
        return self.normalise(as_images(x, self.shape))

    def loss(self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """How badly x [B, C, H, W] is restored, a scalar; arguments as for the dense cell."""
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
        return (self.decode(self._latent(seen)) - seen).square().flatten(1).mean(1)

    def _latent(self, seen: Tensor) -> Tensor:
        maps = self._activation(self.encoder(seen))
        return max_pool2d(maps, self.pool) if self.pool > 1 else maps

    def _answer(self, z: Tensor) -> Tensor:
        return convolve_enlarged(z, self.decoder.weight, self.decoder.bias, list(self.restores[1:]))


def image_shape(shape: Sequence[int], pool: int = 1) -> tuple[int, int, int]:
    """(C, H, W) checked, with room for at least one pooled number."""
    if len(shape) != 3 or min(shape) < 1:
        raise BadInput(
            f"a convolutional cell wants samples (C, H, W), and was given {tuple(shape)}: take a "
            "dense cell for rows of features"
        )
    if not 1 <= pool <= min(shape[1:]):
        raise BadInput(
            f"a map of {shape[1]} x {shape[2]} can't be pooled by {pool}: take fewer cells, or a "
            "smaller pool"
        )
    return shape[0], shape[1], shape[2]


def check_kernel(**kernels: int) -> None:
    """Only odd kernels keep a map's size with as many zeros on both sides."""
    for name, kernel in kernels.items():
        if kernel < 1 or kernel % 2 == 0:
            raise BadInput(f"{name} should be an odd number above 0, and is {kernel}")


def as_images(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Samples of C * H * W numbers in any shape.  [B, *D] -> [B, C, H, W]."""
    if x[0].numel() != prod(shape):
        raise BadInput(
            f"a convolutional cell on samples {shape} was given {tuple(x.shape[1:])}: build it for "
            "that shape"
        )
    # Channels last: on a CPU, pooling is ten times faster so, and convolutions two to four times.
    return x.reshape(x.shape[0], *shape).to(memory_format=torch.channels_last)
