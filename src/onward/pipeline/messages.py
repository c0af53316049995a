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
from math import prod
from typing import Any

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
        self._tensors = {name: t.detach().cpu() for name, t in message.tensors.items()}
        about = [
            [name, str(t.dtype).removeprefix("torch."), list(t.shape)]
            for name, t in self._tensors.items()
        ]
        told = {"kind": message.kind, "info": message.info, "tensors": about}
        text = json.dumps(told).encode()
        self._head = len(text).to_bytes(8, "little") + text
        sizes = (t.numel() * t.element_size() for t in self._tensors.values())
        self.length = _up(len(self._head)) + sum(map(_up, sizes))

    def write(self, out: Tensor) -> None:
        """Into ``out``, uint8 [length]; each tensor is copied once."""
        out.numpy()[: len(self._head)] = bytearray(self._head)
        at = _up(len(self._head))
        for tensor in self._tensors.values():
            size = tensor.numel() * tensor.element_size()
            if size:
                out[at : at + size].view(tensor.dtype).view(tensor.shape).copy_(tensor)
            at += _up(size)


def encode(message: Message) -> Tensor:
    """A message as bytes, uint8 [length]."""
    laid = Laid(message)
    found = torch.empty(laid.length, dtype=torch.uint8)
    laid.write(found)
    return found


def decode(raw: Tensor) -> Message:
    """A message from bytes [length]; its tensors are views of them. Raises BadInput for others."""
    try:
        length = int.from_bytes(raw[:8].numpy().tobytes(), "little")
        if not 0 < length <= len(raw) - 8:
            raise ValueError(f"its head should have {length} bytes")
        text = json.loads(raw[8 : 8 + length].numpy().tobytes())
        at, tensors = _up(8 + length), {}
        for name, kind, shape in text["tensors"]:
            dtype = _DTYPES[kind]
            if any(not isinstance(side, int) or side < 0 for side in shape):
                raise ValueError(f"{name} has the shape {shape}")
            size = prod(shape) * dtype.itemsize
            if at + size > len(raw):
                raise ValueError(f"{name} {shape} goes beyond its end")
            tensors[str(name)] = raw[at : at + size].view(dtype).view(shape)
            at += _up(size)
        return Message(str(text["kind"]), tensors, text["info"])
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        raise BadInput(
            f"what came over a link is no message of Onward ({error}): is the same version at "
            "both ends?"
        ) from error


def in_line(said: object) -> str:
    """What another place, or an error, says: one line that can be shown."""
    text = "".join(c if c.isprintable() else " " for c in str(said))
    return " ".join(text.split())[:200]


def _up(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
