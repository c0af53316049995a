"""A file of latents: all that one site hands to the next when cells are trained apart.

One safetensors file. Its tensors are "train", "validation" and "test", float32 [N, *F]: what a
trained cell answers to each sample, in the data set's order. Its header holds, as JSON, which cell
of which row answered, what the samples were, and the SHA-256 of each tensor. There is no label in
it, no weight and no gradient.

The file is written and read piece by piece and memory-mapped, so that it may be larger than memory.
The format is written here by hand because the sums go into a header that stands before the numbers.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import BadInput
from .files import sync_folder

FORMAT = 1
SPLITS = ("train", "validation", "test")
KEY = "onward-latents"
_NO_SUM = "0" * 64
_HEADER_MOST = 2**20
_ROWS = 1000

Answers = Mapping[str, tuple[tuple[int, ...], Iterator[Tensor]]]
"""Split -> the shape [N, *F] of its tensor, and its rows in pieces."""


@dataclass(frozen=True)
class Latents:
    """A file as read: ``about`` it, and ``tensors`` by split, memory-mapped."""

    path: Path
    about: dict[str, Any]
    tensors: dict[str, Tensor]
    identity: str
    """One sum for the sums of all tensors."""

    @property
    def cell(self) -> int:
        """Which cell of its row answered, counted from 0."""
        return int(self.about["cell"])


def write(path: Path, about: Mapping[str, Any], answers: Answers) -> str:
    """Write a file of latents whole or not at all; ``about`` is plain JSON.  -> its identity.

    Raises BadInput where the disk refuses, and where a number is not finite.
    """
    beside = path.parent / f".{path.name}.{os.getpid()}.tmp"
    shapes = {split: shape for split, (shape, _) in answers.items()}
    try:
        with open(beside, "wb") as file:
            file.write(_header(about, shapes, dict.fromkeys(shapes, _NO_SUM)))
            sums = {}
            for split, (shape, pieces) in answers.items():
                digest, rows = hashlib.sha256(), 0
                for piece in pieces:
                    if not bool(torch.isfinite(piece).all()):
                        raise BadInput(
                            f"the latents of the {split} split hold numbers that are not finite: "
                            "the cell diverged. Train it with a smaller learning rate (lr)"
                        )
                    content = piece.float().cpu().contiguous().numpy().astype("<f4").tobytes()
                    digest.update(content)
                    file.write(content)
                    rows += len(piece)
                assert rows == shape[0], (split, rows, shape)
                sums[split] = digest.hexdigest()
            file.seek(0)
            file.write(_header(about, shapes, sums))  # as long as the first one
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(path.parent)
        return _identity(sums)
    except OSError as error:
        raise BadInput(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def signed(path: Path) -> bytes:
    """What a signature of a file is over: its header, which has the sum of every tensor.

    Raises BadInput for what :func:`read` refuses.
    """
    read(path)
    with open(path, "rb") as file:
        return file.read(int.from_bytes(file.read(8), "little"))


def read(path: Path) -> Latents:
    """A file of latents, every number of it checked, then memory-mapped.

    Raises BadInput where it is not whole, not such a file, or not what its sums say.
    """
    again = "fetch it again from where it was written"
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= _HEADER_MOST or 8 + length > size:
                raise ValueError("no header")
            header = json.loads(file.read(length))
            about = json.loads(header.pop("__metadata__")[KEY])
            shapes = {split: tuple(header[split]["shape"]) for split in SPLITS}
            sums = about.pop("sha256")
            plain = all(type(n) is int and n >= 0 for s in shapes.values() for n in s)
            if header.keys() != set(SPLITS) or not plain or type(about["cell"]) is not int:
                raise ValueError("other tensors")
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{path} is not a file of latents ({error}): wanted one that `onward relay` wrote"
        ) from error
    if about.get("format") != FORMAT:
        raise BadInput(
            f"{path} is of format {about.get('format')}, and this Onward knows {FORMAT}: take the "
            "same version at all sites"
        )
    start, tensors = 8 + length, {}
    wanted = start + sum(4 * prod(shape) for shape in shapes.values())
    if size != wanted:
        raise BadInput(
            f"{path} should have {wanted:,} bytes and has {size:,}: it was cut short or changed; "
            f"{again}"
        )
    for split, shape in shapes.items():
        # Copy on write: a tensor wants memory it may write to, and the file stays as it is.
        rows = (
            np.memmap(path, "<f4", "c", offset=start, shape=shape)
            if prod(shape)
            else np.zeros(shape, "<f4")
        )
        digest = hashlib.sha256()
        for at in range(0, len(rows), _ROWS):
            piece = np.ascontiguousarray(rows[at : at + _ROWS])
            digest.update(piece.data)
            if not np.isfinite(piece).all():
                raise BadInput(f"{path}: the {split} split holds numbers that are not finite")
        if digest.hexdigest() != sums.get(split):
            raise BadInput(f"{path} is damaged: the {split} split is not what was written; {again}")
        tensors[split] = torch.from_numpy(rows)
        start += 4 * prod(shape)
    return Latents(path, about, tensors, _identity(sums))


def _identity(sums: Mapping[str, str]) -> str:
    return hashlib.sha256(" ".join(sums[split] for split in SPLITS).encode()).hexdigest()


def _header(
    about: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], sums: Mapping[str, str]
) -> bytes:
    start, tensors = 0, {}
    for split, shape in shapes.items():
        end = start + 4 * prod(shape)
        tensors[split] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
        start = end
    whole = json.dumps({"format": FORMAT, **about, "sha256": dict(sums)})
    text = json.dumps({"__metadata__": {KEY: whole}, **tensors}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
