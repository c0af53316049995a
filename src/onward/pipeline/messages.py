"""What is sent between places: a kind, a little JSON, and tensors by name, in one run of bytes.

    8 bytes    length of the JSON, little-endian
    JSON       {"kind", "info", "tensors": [[name, dtype, shape], ...]}
    tensors    raw, in that order, each from a multiple of 64 bytes on

Nothing is ever unpickled. Tensors lie where products like them to: a product may round otherwise
where memory is aligned otherwise, and a row would not be the same bit for bit at every place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import BadInput

ALIGNED = 64
_DTYPES = {
    str(kind).removeprefix("torch."): kind
    for kind in (
        *(torch.float32, torch.float64, torch.bfloat16, torch.float16),
        *(torch.int64, torch.int32, torch.uint8, torch.bool),
    )
}


@dataclass(frozen=True)
class Message:
    """``kind`` says what is to be done with it; ``info`` is anything that JSON can hold."""

    kind: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    info: Any = None


class Laid:
    """A message as bytes that are not written yet: ``length`` of them."""

    def __init__(self, message: Message):
        self._tensors = [t.detach().cpu() for t in message.tensors.values()]
        about = tuple(
            (name, str(t.dtype).removeprefix("torch."), tuple(t.shape))
            for name, t in message.tensors.items()
        )
        self._head, self._places, self.length = _planned(
            message.kind, json.dumps(message.info), about
        )

    def write(self, out: Tensor) -> None:
        """Into ``out``, uint8 [length]; each tensor is copied once."""
        raw = out.numpy()
        raw[: len(self._head)] = np.frombuffer(self._head, dtype=np.uint8)
        for tensor, place in zip(self._tensors, self._places, strict=True):
            if tensor.numel():
                raw[place] = tensor.contiguous().view(-1).view(torch.uint8).numpy()
                raw[place.stop : _up(place.stop)] = 0  # nobody else's bytes leave with it

    def written(self) -> Tensor:
        """In memory of its own, uint8 [length]."""
        found = torch.empty(self.length, dtype=torch.uint8)
        self.write(found)
        return found


@lru_cache(maxsize=256)
def _planned(
    kind: str, info: str, about: tuple[tuple[str, str, tuple[int, ...]], ...]
) -> tuple[bytes, list[slice], int]:
    """The head of a message, where its tensors lie, and the length of it all.

    What passes with every batch is planned once.
    """
    told = f'{{"kind": {json.dumps(kind)}, "info": {info}, "tensors": {json.dumps(about)}}}'
    text = told.encode()
    at, places = _up(8 + len(text)), []
    for _, dtype, shape in about:
        size = prod(shape) * _DTYPES[dtype].itemsize
        places.append(slice(at, at + size))
        at += _up(size)
    head = len(text).to_bytes(8, "little") + text
    return head.ljust(_up(len(head)), b"\0"), places, at


def encode(message: Message) -> Tensor:
    """A message as bytes, uint8 [length]."""
    return Laid(message).written()


def decode(raw: Tensor) -> Message:
    """A message from bytes [length]; its tensors are views of them. Raises BadInput for others."""
    try:
        buffer = raw.numpy()
        length = int.from_bytes(buffer[:8].tobytes(), "little")
        if not 0 < length <= len(raw) - 8:
            raise ValueError(f"its head should have {length} bytes")
        kind, told, placed, end = _placed(buffer[8 : 8 + length].tobytes())
        if end > len(raw):
            raise ValueError(f"it should have {end} bytes")
        tensors = {name: _seen(buffer, at, dtype, shape) for name, at, dtype, shape in placed}
        return Message(kind, tensors, json.loads(told))
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        raise BadInput(
            f"what came over a link is no message of Onward ({error}): is the same version at "
            "both ends?"
        ) from error


def _seen(
    buffer: npt.NDArray[np.uint8], at: int, dtype: torch.dtype, shape: tuple[int, ...]
) -> Tensor:
    """A tensor where it lies."""
    count = prod(shape)
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(buffer, dtype=dtype, count=count, offset=at).view(shape)


@lru_cache(maxsize=256)
def _placed(
    head: bytes,
) -> tuple[str, str, list[tuple[str, int, torch.dtype, tuple[int, ...]]], int]:
    """What a head says: kind, info as JSON, where which tensor lies, and the end of the last."""
    text = json.loads(head)
    at, end = _up(8 + len(head)), 0
    placed = []
    for name, kind, shape in text["tensors"]:
        dtype = _DTYPES[kind]
        if any(not isinstance(side, int) or side < 0 for side in shape):
            raise ValueError(f"{name} has the shape {shape}")
        end = at + prod(shape) * dtype.itemsize
        placed.append((str(name), at, dtype, tuple(shape)))
        at = _up(end)
    return str(text["kind"]), json.dumps(text["info"]), placed, end


def in_line(said: object) -> str:
    """What another place, or an error, says: one line that can be shown."""
    text = "".join(c if c.isprintable() else " " for c in str(said))
    return " ".join(text.split())[:200]


def _up(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
