"""Inputs for prediction: arrays and images from files, in the scale of the training data.

Nothing is resized, cropped or inverted on the quiet: an input that does not fit is refused.
Nothing is unpickled.

Shapes: N inputs of `shape`; images are (C, H, W), rows of features are (D,).
"""

import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onward import sheet
from onward.errors import BadInput, not_finite

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

# 8 bits a channel or fewer. Pillow clips deeper ones (I;16, I, F) to white without a word.
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")

# What numpy, zipfile and Pillow raise on a damaged or foreign file.
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def read_inputs(
    path: str | Path, shape: tuple[int, ...], columns: Sequence[str] = ()
) -> tuple[list[str], Tensor]:
    """Read inputs for a network trained on samples of `shape`: their names, x [N, *shape] float32.

    `path` is one of

    - an .npy file, or an .npz file with the key `x` or a single array: floats, kept as they are,
      or uint8, divided by 255, as training data is; [N, *shape], flat rows
      [N, product of shape], [N, H, W] for one channel, or [N, H, W, C]. A row's name is the
      file's with the row's number, `rows.npy[0]`;
    - for a network trained on a table, whose features are `columns`: a .csv or .tsv file with these
      names in its first line, in any order. Other columns are passed over. A row's name is the
      file's with the row's number below that line, from 0 on;
    - an image (PNG, JPEG or BMP, 8 bits a channel) of exactly H x W pixels, turned to grey
      (C = 1), RGB (C = 3) or RGBA (C = 4) and scaled to [0, 1]. Its name is the file's. Bright
      ink on a dark ground or the reverse: as in the training data, nothing inverts it;
    - a folder of such images, read in the order of their names; other files in it are passed
      over.

    Raises `BadInput` for anything missing or unreadable, another shape, size or type, NaN or
    infinity, pickled objects, transparent pixels (for C = 1 and C = 3) and an empty folder.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        files = sorted(
            file
            for file in place.iterdir()
            if file.suffix.lower() in _IMAGES and not file.name.startswith(".") and file.is_file()
        )
        if not files:
            raise BadInput(f"{place} holds no images; put PNG, JPEG or BMP files there")
        return [file.name for file in files], _read_images(files, shape)
    if not place.is_file():
        raise BadInput(
            f"there is no file or folder {place}; wanted an .npy, .npz or .csv file, an image or a "
            "folder of images"
        )
    suffix = place.suffix.lower()
    if suffix in _IMAGES:
        return [place.name], _read_images([place], shape)
    if suffix in sheet.ENDINGS:
        if not columns:
            raise BadInput(
                f"{place} is a table, and the run was not trained on one, whose columns it could "
                "be held against; save the inputs as .npy"
            )
        x = sheet.read_features(place, columns)
    elif suffix in (".npy", ".npz"):
        array = _read_npy(place) if suffix == ".npy" else _read_npz(place)
        x = _arranged(_scaled(array, place), shape, place)
    else:
        raise BadInput(
            f"{place} is no known kind of input; wanted .npy, .npz, "
            f"{', '.join((*sheet.ENDINGS, *_IMAGES))} or a folder of images. A run on text goes on "
            "with a text by `onward generate`"
        )
    return [f"{place.name}[{row}]" for row in range(len(x))], torch.from_numpy(x)


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        # Mapped, so that the size the header claims is held against the file's, not allocated.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _BROKEN as error:
        raise _unreadable(path, error) from None
    if not isinstance(array, np.ndarray):
        raise BadInput(f"{path} is an .npz file by its content; give it that ending")
    return array


def _read_npz(path: Path) -> NDArray[Any]:
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path} is not an .npz file (no zip archive); write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = sorted(archive.files)
            if "x" not in keys and len(keys) != 1:
                raise BadInput(
                    f"{path} holds {', '.join(keys) or 'nothing'}; save the inputs under the key x"
                )
            array: NDArray[Any] = np.asarray(archive["x" if "x" in keys else keys[0]])
    except BadInput:
        raise
    except (*_BROKEN, RuntimeError, NotImplementedError) as error:
        raise _unreadable(path, error) from None
    return array


def _scaled(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Floats as they are, bytes divided by 255, with finite numbers only."""
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        raise BadInput(
            f"{path} is {array.dtype}, wanted floats in the training data's scale or uint8 "
            "(0 to 255); convert it with astype"
        )
    with np.errstate(over="ignore"):  # too large for float32 shows as infinity just below
        x = array.astype(np.float32)
    if array.dtype == np.uint8:
        x /= np.float32(255)
    elif x.ndim and not np.isfinite(x).all():
        raise BadInput(
            f"{path} has NaN or infinity ({not_finite(x, 'row')}), wanted finite float32 numbers; "
            "missing values are not filled in: fill or drop them"
        )
    return x


def _arranged(x: NDArray[np.float32], shape: tuple[int, ...], path: Path) -> NDArray[np.float32]:
    """The rows as [N, *shape], from any of the layouts that mean it without doubt."""
    image = len(shape) == 3
    row = x.shape[1:]
    if x.ndim >= 2 and len(x):
        if row == shape:
            return np.ascontiguousarray(x)
        if row == (math.prod(shape),) or (image and row == shape[1:] and shape[0] == 1):
            return np.ascontiguousarray(x.reshape(-1, *shape))
        if image and row == (*shape[1:], shape[0]):
            return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    single = "; for a single input save x[None]" if x.shape in (shape, shape[1:]) else ""
    raise BadInput(
        f"{path} has shape {list(x.shape)}, wanted {_axes(shape)}, at least one row: the network "
        f"takes inputs of {' x '.join(map(str, shape))}{single or '; reshape it'}"
    )


def _read_images(files: list[Path], shape: tuple[int, ...]) -> Tensor:
    if len(shape) != 3 or shape[0] not in _MODES:
        raise BadInput(
            f"{files[0]} is an image, but the network takes inputs of shape {list(shape)}; "
            f"give an .npy file with {_axes(shape)}"
        )
    x = np.empty((len(files), *shape), np.float32)
    for row, file in enumerate(files):
        x[row] = _read_image(file, shape)
    return torch.from_numpy(x)


def _read_image(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    from PIL import Image, ImageOps

    channels, height, width = shape
    try:
        with warnings.catch_warnings():
            # A picture of absurd size is refused just below, before it is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=("PNG", "JPEG", "BMP"))
        with opened:
            if sorted(opened.size) != sorted((width, height)):
                raise _other_size(path, opened.size, shape)
            if opened.mode not in _EIGHT_BITS:
                raise BadInput(
                    f"{path} has more than 8 bits a channel (mode {opened.mode}), wanted 8; save "
                    "it with 8, or give the numbers as an .npy file"
                )
            # Cameras store a turned picture with a mark; read it the way viewers show it.
            picture: Image.Image = ImageOps.exif_transpose(opened)
            if picture.size != (width, height):
                raise _other_size(path, picture.size, shape)
            see_through = picture.mode.endswith("A") or "transparency" in picture.info
            if channels != 4 and see_through:
                if picture.convert("RGBA").getchannel("A").getextrema() != (255, 255):
                    raise BadInput(
                        f"{path} has transparent pixels, wanted opaque ones; lay it on the "
                        "background the training data has"
                    )
                picture = picture.convert("RGBA")
            pixels = np.asarray(picture.convert(_MODES[channels]), np.float32)
    except BadInput:
        raise
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise _unreadable(path, error, "a PNG, JPEG or BMP image") from None
    pixels = pixels / np.float32(255)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _other_size(path: Path, size: tuple[int, int], shape: tuple[int, ...]) -> BadInput:
    return BadInput(
        f"{path} is {size[0]} pixels wide and {size[1]} high, wanted {shape[2]} wide and "
        f"{shape[1]} high; resize it the way the training data was made"
    )


def _unreadable(path: Path, error: BaseException, wanted: str = "an array of numbers") -> BadInput:
    text = str(error).partition("\n")[0]
    if "pickle" in text or "Python objects" in text:
        # numpy takes every file it does not know for a pickle.
        return BadInput(
            f"{path} is no array, or holds pickled Python objects, which are never read; save "
            "plain numbers of one shape with numpy.save"
        )
    return BadInput(
        f"{path} cannot be read as {wanted} ({text or type(error).__name__}); write it again"
    )


def _axes(shape: tuple[int, ...]) -> str:
    """The accepted layouts of an array, for messages: `[N, 1, 8, 8], [N, 64] or [N, 8, 8]`."""
    layouts = [shape]
    if len(shape) > 1:
        layouts.append((math.prod(shape),))
    if len(shape) == 3:
        layouts.append(shape[1:] if shape[0] == 1 else (*shape[1:], shape[0]))
    texts = [f"[N, {', '.join(map(str, layout))}]" for layout in layouts]
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
