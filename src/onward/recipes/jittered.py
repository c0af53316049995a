"""Jitter as a recipe's setting: the augmentation it stands for."""

from collections.abc import Sequence
from functools import partial

from ..augment import Augment, jitter
from ..errors import BadInput


def augmentation(pixels: int, shape: Sequence[int]) -> Augment | None:
    """Moves of up to ``pixels`` of samples of a shape; None for 0. Raises BadInput for no images.

    >>> augmentation(0, (13,)) is None
    True
    """
    if pixels == 0:
        return None
    if len(shape) != 3:
        raise BadInput(
            f"jitter={pixels} moves images, and these samples are {list(shape)}: take jitter=0"
        )
    if not 0 < pixels < min(shape[1:]):
        raise BadInput(
            f"jitter should be 0 to {min(shape[1:]) - 1} on images of {shape[1]} x {shape[2]}, "
            f"and is {pixels}"
        )
    return partial(jitter, pixels=pixels)
