"""Augmentation: training samples changed at random before anything else sees them.

An augmentation is any function of a batch and a generator, x [B, *D] -> [B, *D]; nothing is
registered. A run calls it on every batch, on the device, before the algorithm makes its streams, so
that a label is written into what it returns; with a generator of its own for each batch, derived
from the seed, so that other draws stay as they were and a resumed run sees the same samples.
Samples that are judged are never changed.

Hinton 2022, section 3.3: MNIST jittered by up to two pixels each way, 25 versions of each image.

B = samples, C = channels, H, W = rows and columns.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .errors import BadInput

Augment = Callable[[Tensor, Generator], Tensor]


def jitter(x: Tensor, rng: Generator, pixels: int = 2) -> Tensor:
    """Each image moved by up to ``pixels`` down or up and right or left, as likely any way.

    x [B, C, H, W] -> [B, C, H, W]. Zeros move in and what is moved out is lost: nothing wraps.
    Raises BadInput for samples that are no images, and where an image could be moved out whole.

    >>> jitter(torch.ones(1, 1, 4, 4), torch.Generator().manual_seed(3), 1)[0, 0].sum()
    tensor(12.)
    """
    if x.dim() != 4:
        raise BadInput(
            f"jitter moves images [C, H, W], and was given samples {list(x.shape[1:])}: leave it "
            "out (jitter=0), or hand in images"
        )
    count, channels, high, wide = x.shape
    if not 0 <= pixels < min(high, wide):
        raise BadInput(
            f"jitter should be 0 to {min(high, wide) - 1} pixels on images of {high} x {wide}, "
            f"and is {pixels}"
        )
    moves = torch.randint(0, 2 * pixels + 1, (2, count), generator=rng, device=rng.device)
    down, right = moves.to(x.device)
    padded = torch.nn.functional.pad(x, (pixels,) * 4)
    # Row r of an image moved down by d - pixels is row r + 2 pixels - d of the padded one.
    rows = torch.arange(high, device=x.device) + 2 * pixels - down[:, None]  # [B, H]
    columns = torch.arange(wide, device=x.device) + 2 * pixels - right[:, None]  # [B, W]
    places = rows[:, :, None] * (wide + 2 * pixels) + columns[:, None, :]  # [B, H, W]
    found = padded.flatten(2).gather(2, places.view(count, 1, -1).expand(-1, channels, -1))
    return found.view(x.shape)
