"""The convolutional winner-take-all cell.  x [B, C, H, W] -> z [B, M, H', W'].

    a    = max(0, W * x_hat + b)         convolution k x k with zeros around; x_hat = N(x)
    v    = spatial winners of a          of each map the one largest activity, else 0
    v    = lifetime winners of v         of each map its largest rate of those over the batch
    r    = V * v + c                     transposed convolution d x d, d > k
    L    = mean (r - x_hat)^2
    z    = pool(a)                       handed on: all of a, maximum over p x p every t

(Makhzani and Frey 2015, arXiv:1409.2752, sections 3 and 4, CONV-WTA.) As a cell of Unsupervised
Forward-Forward it is a convolutional auto-encoder with another sparsity.

Only winners restore, and only winners get a gradient. So training runs the dense convolution once
without a graph to find them, and then computes their activities again from their own k x k windows,
n = M * rate * B of them: the same loss and gradient as dense layers, at a fraction of the work.

Departs from the paper: one convolution a cell (theirs has two or three), which stacks as cells do.

B = samples, C, H, W = input shape, M = maps, n = winners.
"""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import max_pool2d, pad

from .conv_autoencoder import as_images, check_kernel, image_shape
from .lengths import Normalise, layer_norm
from .reconstruction import as_target, uniform_
from .sparsity import share


class ConvWinners(nn.Module):
    """``maps`` feature maps of samples ``shape`` (C, H, W), each map sparse in space and time.

    ``rate`` in (0, 1] is the share of a batch in which a map may win; ``kernel`` and
    ``decoder_kernel`` are odd; maps are handed on as maxima over ``pool`` x ``pool`` every
    ``stride``.

    >>> cell = ConvWinners((1, 28, 28), 16)
    >>> x = torch.rand(4, 1, 28, 28)
    >>> cell(x).shape, cell.reconstruct(x).shape
    (torch.Size([4, 16, 14, 14]), torch.Size([4, 1, 28, 28]))
    """

    def __init__(
        self,
        shape: Sequence[int],
        maps: int,
        *,
        kernel: int = 5,
        decoder_kernel: int = 11,
        rate: float = 0.05,
        pool: int = 2,
        stride: int = 2,
        normalise: Normalise = layer_norm,
        rng: Generator | None = None,
    ):
        super().__init__()
        self.shape = image_shape(shape, pool)
        check_kernel(kernel=kernel, decoder_kernel=decoder_kernel)
        self.normalise, self.rate, self.pool, self.stride = normalise, rate, pool, stride
        channels = self.shape[0]
        self.encoder = nn.Conv2d(channels, maps, kernel, padding=kernel // 2)
        self.decoder = nn.ConvTranspose2d(
            maps, channels, decoder_kernel, padding=decoder_kernel // 2
        )
        uniform_(self.encoder, rng)
        uniform_(self.decoder, rng)

    @property
    def inputs(self) -> int:
        """The numbers of one sample that come in, C * H * W."""
        return prod(self.shape)

    @property
    def maps(self) -> tuple[int, int, int]:
        """The shape of a latent, (M, H', W')."""
        _, height, width = self.shape
        size = [(side - self.pool) // self.stride + 1 for side in (height, width)]
        return self.encoder.out_channels, size[0], size[1]

    @property
    def outputs(self) -> int:
        """The numbers of a latent."""
        return prod(self.maps)

    def forward(self, x: Tensor) -> Tensor:
        """The latent: :meth:`encode`."""
        return self.encode(x)

    def encode(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> z [B, M, H', W'], pooled and not sparse."""
        return max_pool2d(torch.relu(self.encoder(self.seen(x))), self.pool, self.stride)

    def decode(self, v: Tensor) -> Tensor:
        """Maps before pooling, v [B, M, H, W] -> r [B, C, H, W]."""
        return torch.as_tensor(self.decoder(v))

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the spatial winners restore.  x [B, C, H, W] -> the same shape."""
        maps = torch.relu(self.encoder(self.seen(x)))
        flat = maps.flatten(2)
        return self.decode((flat * (flat >= flat.amax(2, keepdim=True))).view(maps.shape))

    def seen(self, x: Tensor) -> Tensor:
        """The normalised input, which is the target too.  x [B, *D] -> [B, C, H, W]."""
        return self.normalise(as_images(x, self.shape))

    def loss(self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """The loss of the file's head, a scalar.  ``z`` is not used: its maps are pooled."""
        seen = self.seen(x)
        sample, row, column = self._winners(seen)  # each [k, M], k winners a map
        value = self._activities(seen, sample, row, column)
        restored = self._restore(value, seen.shape, sample, row, column)
        return (restored - as_target(target, seen, restored)).square().mean()

    def losses(
        self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """The one loss, for its one parameter group."""
        yield "cell", self.loss(x, z, target)

    def errors(self, x: Tensor) -> Tensor:
        """Each sample's mean squared error of reconstruction.  x [B, *D] -> [B]."""
        return (self.reconstruct(x) - self.seen(x)).square().flatten(1).mean(1)

    @torch.no_grad()
    def _winners(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where each map wins: sample, row and column, [k, M] each."""
        drives = self.encoder(seen)
        strongest = drives.amax((2, 3))  # [B, M]
        sample = strongest.topk(share(self.rate, len(seen)), dim=0).indices
        mine = torch.arange(drives.shape[1], device=drives.device)
        place = drives[sample, mine].flatten(2).argmax(2)  # looked for in winning maps only
        return sample, place // self.shape[2], place % self.shape[2]

    def _activities(self, seen: Tensor, sample: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The winners' activities, from their own windows.  -> [k, M]."""
        size = self.encoder.kernel_size[0]
        around = pad(seen, [size // 2] * 4)
        windows = around.unfold(2, size, 1).unfold(3, size, 1)  # [B, C, H, W, k, k], no copy
        mine = windows[sample, :, row, column].flatten(2)  # [k, M, C*k*k]
        assert self.encoder.bias is not None
        drive = (mine * self.encoder.weight.flatten(1)).sum(2) + self.encoder.bias
        return torch.relu(drive)

    def _restore(
        self, value: Tensor, shape: torch.Size, sample: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """Each winner's value times its map's d x d kernel, added up where it stands."""
        size = self.decoder.kernel_size[0]
        batch, channels, height, width = shape
        tall, wide = height + size - 1, width + size - 1
        stamps = value[..., None] * self.decoder.weight.flatten(1)  # [k, M, C*d*d]
        side = torch.arange(size, device=value.device)
        inside = side[:, None] * wide + side  # [d, d]
        planes = torch.arange(channels, device=value.device)[:, None, None] * (tall * wide)
        corner = sample * (channels * tall * wide) + row * wide + column
        places = corner[..., None] + (planes + inside).flatten()  # [k, M, C*d*d]
        canvas = value.new_zeros(batch * channels * tall * wide)
        canvas = canvas.index_add(0, places.flatten(), stamps.flatten())
        edge = size // 2
        whole = canvas.view(batch, channels, tall, wide)
        assert self.decoder.bias is not None
        inner = whole[..., edge : edge + height, edge : edge + width]
        return inner + self.decoder.bias[:, None, None]
