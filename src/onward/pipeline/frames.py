"""Frames: what goes over one encrypted connection of tls.py, and nothing else does.

    1 byte     kind
    8 bytes    number, big-endian
    8 bytes    length, big-endian
    length     bytes

A connection goes from the place that sends messages to the one that receives them, and each end is
read and written by one thread alone.

    sender                                       receiver
    HELLO    JSON: who it takes itself for       WELCOME  number of the last message it has,
    DATA     number of a message, its bytes               and its session
    BEAT     nothing to say, and still there     ACK      it has this one and all before
    END      all has been acknowledged                    as it has this frame
    GONE     this place ends (1: to come again)  BEAT     still there
                                                 LATER    not in this attempt of the run: ask again
                                                 REFUSED  and why
"""

import ssl
import struct
import time
from typing import Self

import torch
from torch import Tensor

from ..errors import BadInput

HEAD = struct.Struct(">cQQ")
HELLO, DATA, BEAT, END, GONE = b"H", b"D", b"B", b"E", b"G"
WELCOME, ACK, LATER, REFUSED = b"W", b"A", b"L", b"R"

LONGEST = 1 << 32
"""Bytes of a message, at most: as much as a block's weights and optimisers may hold."""

SHORT = 1000
"""Bytes of every other frame, at most."""

RECORD = 1 << 14
"""Bytes that TLS encrypts at a time."""


class Line:
    """One end of a connection that has been encrypted, for one thread.

    ``beat`` seconds at most lie between two signs of life of this end, as long as it is reading.
    """

    def __init__(self, tls: ssl.SSLSocket, beat: float, longest: int = LONGEST):
        self.tls, self.beat, self.longest = tls, beat, longest
        self.wrote = self.heard = time.monotonic()
        self._came = bytearray()  # of heads that :meth:`arrived` has by half

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tls.close()

    def write(self, kind: bytes, number: int = 0, body: bytes = b"") -> None:
        """A short frame, whole. Raises OSError."""
        self.tls.sendall(HEAD.pack(kind, number, len(body)) + body)
        self.wrote = time.monotonic()

    def read(self) -> tuple[bytes, int, Tensor]:
        """The next frame, waited for: kind, number and bytes. Raises OSError, and BadInput."""
        head = bytearray(HEAD.size)
        self._fill(memoryview(head))
        kind, number, length = HEAD.unpack(head)
        most = self.longest if kind == DATA else SHORT
        if length > most:
            raise BadInput(
                f"a frame of {length:,} bytes came, and one of its kind has {most:,} at most"
            )
        body = torch.empty(length, dtype=torch.uint8)
        self._fill(body.numpy().data)
        return kind, number, body

    def _fill(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            count = self.tls.recv_into(view[at:])
            if not count:
                raise ConnectionError("the connection was closed")
            at += count
            self.heard = time.monotonic()
            # A long message over a slow network: its sender wants to know that we are there.
            if at < len(view) and self.heard - self.wrote > self.beat:
                self.write(BEAT)

    def arrived(self) -> list[tuple[bytes, int]]:
        """Frames without bytes that have come, not waiting for any. Raises OSError."""
        closed = False
        while not closed:
            try:
                came = self.tls.recv(4096)
            except ssl.SSLWantReadError:
                break
            closed = not came
            self._came += came
        found = []
        while len(self._came) >= HEAD.size:
            kind, number, length = HEAD.unpack_from(self._came)
            del self._came[: HEAD.size]
            if length:
                raise ConnectionError("a frame came that should be short")
            found.append((kind, number))
        if closed and not found:
            raise ConnectionError("the connection was closed")
        return found


class Leaving:
    """A frame on its way out, a record at a time, without waiting."""

    def __init__(self, kind: bytes, number: int = 0, body: memoryview | None = None):
        body = memoryview(b"") if body is None else body
        first = RECORD - HEAD.size
        head = HEAD.pack(kind, number, len(body)) + bytes(body[:first])
        self._parts = [memoryview(head), body[first:]]

    def go(self, tls: ssl.SSLSocket) -> bool:
        """Write what the connection takes now; whether all is written. Raises OSError."""
        while self._parts:
            part = self._parts[0]
            if len(part):
                try:
                    self._parts[0] = part[tls.send(part[:RECORD]) :]
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    return False
            else:
                self._parts.pop(0)
        return True
