"""Links between places of one machine, through memory that two of them share.

A message that passes with every batch is laid into a slot of a ring in memory, once, and read where
it lies: no thread carries it and no socket copies it. Everything else goes over a Unix socket, from
the place that sends to the one that receives:

    4 bytes    who is there, little-endian
    then       a head of 9 bytes each, kind and number
               R    slots of so many bytes follow, in new memory, whose descriptor comes along
               S    the next slot holds a message of so many bytes
               M    a message of so many bytes follows here
    back       a byte for every slot that is free again

A connection ends with its process, and so does its memory.
"""

import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..errors import BadInput
from .links import QUEUE, Link, LinkLost
from .messages import Laid, Message, decode, in_line

WHO = struct.Struct("<I")
HEAD = struct.Struct("<cQ")
RING, SLOT, HERE = b"R", b"S", b"M"

SHORT = 4096
"""Bytes of a message, at most, that are not worth a slot."""

REPEATED = ("batch", "answers")
"""Kinds of message that pass with every batch."""

LOOK = 0.2
"""Seconds between two looks at whether those who have not come yet will come at all."""


class Shared(Link):
    """This place's ends: it listens with ``listener``, the socket N of ``folder``, N its number.

    At most ``queue`` messages that repeat wait in a ring. ``watch`` is called while somebody is
    waited for who has not come yet, and raises LinkLost where he will not. What was received may
    be overwritten once the next message from there is asked for.
    """

    def __init__(
        self,
        folder: str,
        place: int,
        listener: socket.socket,
        queue: int = 2 * QUEUE,  # either end's
        watch: Callable[[], None] = lambda: None,
    ):
        super().__init__()
        self.folder, self.place, self.queue, self.watch = folder, place, queue, watch
        self._listener = listener
        self._listener.settimeout(LOOK)
        self._going: dict[int, Going] = {}
        self._coming: dict[int, Coming] = {}

    def send(self, to: int, message: Message) -> None:
        """Hand over a message; waits while there is no slot, or no room in the socket."""
        laid = Laid(message)
        self.sent += laid.length
        with self._told():
            if to not in self._going:
                line = socket.socket(socket.AF_UNIX)
                line.connect(where(self.folder, to))
                line.sendall(WHO.pack(self.place))
                self._going[to] = Going(line, self.queue)
            going = self._going[to]
            if message.kind in REPEATED and laid.length > SHORT:
                self.waited += going.lay(laid)
            else:
                self.waited += going.write(laid)

    def receive(self, source: int) -> Message:
        """The next message from there. Its tensors may lie in a slot, until one more is asked."""
        began = time.perf_counter()
        with self._told():
            raw = self._from(source).next()
        self.waited += time.perf_counter() - began
        self.received += len(raw)
        return decode(raw)

    def flush(self) -> None:
        """Nothing is left to do: what was sent lies where its receiver finds it."""

    def close(self, again: bool = False) -> None:
        """End all connections: whoever waits for this place is told."""
        lines = [end.line for end in self._going.values()]
        for line in lines + [end.line for end in self._coming.values()]:
            line.close()
        self._listener.close()

    def _from(self, source: int) -> "Coming":
        """The connection from there; others who come meanwhile are kept."""
        while source not in self._coming:
            try:
                line, _ = self._listener.accept()
            except TimeoutError:
                self.watch()
                continue
            line.setblocking(True)
            (number,) = WHO.unpack(_exactly(line, WHO.size))
            self._coming[number] = Coming(line, self.queue)
        return self._coming[source]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A lost connection as LinkLost; or what a place said of itself before it ended."""
        try:
            yield
        except OSError as error:
            if (said := self._last_words()) is not None:
                raise BadInput(said) from error
            raise LinkLost(in_line(error)) from error

    def _last_words(self) -> str | None:
        """Why a place that has come here failed, if it said so."""
        late = time.monotonic() + 1
        there = {coming.line: coming for coming in self._coming.values()}
        while there and (left := late - time.monotonic()) > 0:
            for line in select.select(list(there), [], [], left)[0]:
                try:
                    message = decode(there[line].next())
                except (OSError, BadInput):
                    del there[line]
                    continue
                if message.kind == "failed":
                    return str(message.info)
        return None


class Going:
    """The sending end of a connection, and the ring of slots that goes with it."""

    def __init__(self, line: socket.socket, slots: int):
        self.line, self.slots = line, slots
        self._size = 0
        self._free = 0
        self._next = 0
        self._ring = torch.empty(0, dtype=torch.uint8)

    def lay(self, laid: Laid) -> float:
        """A message into the next slot, waited for; seconds of waiting."""
        began = time.perf_counter()
        if laid.length > self._size:
            while self._free < self.slots and self._size:
                self._freed()
            self._renew(laid.length)
        while not self._free:
            self._freed()
        waited = time.perf_counter() - began
        at = self._next * self._size
        laid.write(self._ring[at : at + laid.length])
        self._free -= 1
        self._next = (self._next + 1) % self.slots
        self.line.sendall(HEAD.pack(SLOT, laid.length))
        return waited

    def write(self, laid: Laid) -> float:
        """A message over the connection itself; seconds of waiting until it has taken it."""
        raw = torch.empty(laid.length, dtype=torch.uint8)
        laid.write(raw)
        began = time.perf_counter()
        self.line.sendall(HEAD.pack(HERE, laid.length) + raw[:SHORT].numpy().tobytes())
        self.line.sendall(raw[SHORT:].numpy().data)
        return time.perf_counter() - began

    def _freed(self) -> None:
        if not (came := self.line.recv(self.slots)):
            raise ConnectionError("the connection was closed")
        self._free += len(came)

    def _renew(self, length: int) -> None:
        self._size = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = os.memfd_create("onward")
        try:
            os.ftruncate(memory, self.slots * self._size)
            self._ring = _mapped(memory)
            socket.send_fds(self.line, [HEAD.pack(RING, self._size)], [memory])
        finally:
            os.close(memory)
        self._free, self._next = self.slots, 0


class Coming:
    """The receiving end of a connection."""

    def __init__(self, line: socket.socket, slots: int):
        self.line, self.slots = line, slots
        self._size = 0
        self._next = 0
        self._held = False  # whether the last message lies in a slot
        self._ring = torch.empty(0, dtype=torch.uint8)

    def next(self) -> Tensor:
        """The bytes [length] of the next message. The slot of the one before is free again."""
        if self._held:
            self._held = False
            self.line.sendall(b"!")
        while True:
            kind, number = self._head()
            if kind == HERE:
                raw = torch.empty(number, dtype=torch.uint8)
                _fill(self.line, raw.numpy().data)
                return raw
            if kind == SLOT and number <= self._size:
                at = self._next * self._size
                self._next, self._held = (self._next + 1) % self.slots, True
                return self._ring[at : at + number]
            raise ConnectionError(f"a head {kind!r} with {number:,} came, which can't be")

    def _head(self) -> tuple[bytes, int]:
        """The next head that is not of new memory."""
        while True:
            raw, memories, _, _ = socket.recv_fds(self.line, HEAD.size, 1)
            try:
                raw += _exactly(self.line, HEAD.size - len(raw)) if raw else b""
                if not raw:
                    raise ConnectionError("the connection was closed")
                kind, number = HEAD.unpack(raw)
                if kind != RING:
                    return kind, number
                if not memories or os.fstat(memories[0]).st_size != self.slots * number:
                    raise ConnectionError("new memory came, and is not there")
                self._ring, self._size, self._next = _mapped(memories[0]), number, 0
            finally:
                for memory in memories:
                    os.close(memory)


def where(folder: str, place: int) -> str:
    """The socket at which a place listens."""
    return os.path.join(folder, str(place))


def _mapped(memory: int) -> Tensor:
    """All of a file in memory, uint8, for as long as anything looks at it."""
    return torch.frombuffer(mmap.mmap(memory, 0), dtype=torch.uint8)


def _exactly(line: socket.socket, count: int) -> bytes:
    found = bytearray(count)
    _fill(line, memoryview(found))
    return bytes(found)


def _fill(line: socket.socket, view: memoryview) -> None:
    at = 0
    while at < len(view):
        if not (count := line.recv_into(view[at:])):
            raise ConnectionError("the connection was closed")
        at += count
