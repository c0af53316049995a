"""What the units of the first cell look for: rows of a weight matrix as small pictures.

Shapes: weight [F, D] with D = prod(data.shape); data.shape is [H, W], [1, H, W] or [3, H, W].
One channel is drawn in two colours whose opacity is |w|: zero is the page itself, in light and in
dark. Three channels are drawn as colours around grey. Each unit has its own scale, the 99th
percentile of its |w|, so that a few large weights (a written label) don't bleach the rest.
"""

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

POSITIVE, NEGATIVE = (224, 98, 18), (42, 132, 210)
"""RGB; both keep 3:1 against a white and against a near-black page."""

_PIXELS = 64 * 4096


class NoPicturesError(Exception):
    """Why there is nothing to see; its text goes on the page."""


def first_weights(run: Path, shape: list[int]) -> Floats:
    """The first cell's weight [F, D] out of the last checkpoint of the folder `run`.

    Raises `NoPicturesError` if the data are no pictures, or if the checkpoint is missing, damaged
    or without a matrix of prod(shape) columns; those of a label behind the picture are left out.
    """
    if len(_pictured(shape)) != 3:
        raise NoPicturesError("the samples are not pictures with one or three channels")
    try:
        folders = sorted(
            folder for folder in (run / "checkpoint").iterdir() if folder.name[0] != "."
        )
    except OSError:
        folders = []
    if not folders:
        raise NoPicturesError("this folder holds no checkpoint")
    file = folders[-1] / "cell-0.safetensors"
    if not file.is_file():
        raise NoPicturesError("the checkpoint holds no cell-0.safetensors")
    try:
        return _matrix(file, math.prod(shape))
    except NoPicturesError:
        raise
    except Exception as error:  # a damaged file fails in many ways, and none may cost the page
        raise NoPicturesError(
            f"the weights of cell-0 can't be read ({type(error).__name__})"
        ) from error


def gallery(weight: Floats, shape: list[int]) -> list[tuple[int, str]]:
    """Up to 64 evenly chosen rows of weight [F, D] as (unit, data URI of a PNG).

    Large pictures are fewer, so that the page stays small.
    """
    channels, height, width = _pictured(shape)
    most = min(64, max(16, _PIXELS // (height * width)))
    chosen = np.linspace(0, len(weight) - 1, min(most, len(weight))).round().astype(int)
    pictures = []
    for unit in chosen:
        row = np.nan_to_num(weight[unit].reshape(channels, height, width))
        scale = float(np.percentile(np.abs(row), 99)) or float(np.abs(row).max()) or 1.0
        pictures.append((int(unit), picture(row[0] if channels == 1 else row, scale)))
    return pictures


def picture(values: Any, scale: float) -> str:
    """Numbers [H, W] or [3, H, W] as the data URI of a PNG, from -`scale` to `scale`."""
    from PIL import Image

    values = np.clip(np.asarray(values, dtype=np.float32) / scale, -1, 1)
    if values.ndim == 3:
        pixels = np.round(127.5 * (1 + values.transpose(1, 2, 0))).astype(np.uint8)
    else:
        pixels = np.empty((*values.shape, 4), dtype=np.uint8)
        pixels[..., :3] = np.where(values[..., None] > 0, POSITIVE, NEGATIVE)
        pixels[..., 3] = np.round(255 * np.abs(values))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _pictured(shape: list[Any]) -> tuple[int, ...]:
    """`shape` as (channels, height, width), or nothing if that is no picture."""
    if not all(isinstance(n, int) and n > 0 for n in shape):
        return ()
    whole = (1, *shape) if len(shape) == 2 else tuple(shape)
    return whole if len(whole) == 3 and whole[0] in (1, 3) else ()


def _matrix(file: Path, columns: int) -> Floats:
    from safetensors import safe_open

    # Through torch, not numpy: numpy has no bfloat16.
    with safe_open(file, framework="pt") as tensors:
        # An optimiser's moments lie in the same file and have the shape of the weight.
        keys = [key for key in tensors.keys() if not key.startswith("optimizer")]  # noqa: SIM118
        for key in sorted(keys, key=lambda key: not key.endswith("linear.weight")):
            piece = tensors.get_slice(key)
            shape = piece.get_shape()
            # A label appended to the picture has its columns behind the picture's.
            wide_enough = len(shape) == 2 and shape[1] >= columns
            exact = wide_enough and shape[1] == columns
            if (exact or (wide_enough and key.endswith("linear.weight"))) and (
                "F" in piece.get_dtype()
            ):
                weight: Floats = tensors.get_tensor(key)[:, :columns].float().numpy()
                if len(weight):
                    return weight
    raise NoPicturesError(f"cell-0 has no weight matrix with {columns} inputs")
