"""Links between places of one machine, through memory that two of them share.

A message that passes with every batch is laid into a slot in memory, once, and read where it lies:
no thread carries it and no socket copies it. Everything else goes over a Unix socket, a pair for
each direction, which the driver has made before it starts the places. Heads of 10 bytes come first:

    S   slot   bytes    that slot holds a message of so many bytes
    M   0      bytes    a message of so many bytes follows here
    R   count  bytes    so many slots of so many bytes each, in new memory, whose descriptor comes
                        along

and back goes the number of every slot that is free again, a byte. The slot that was freed last is
taken first: as much memory is touched as there are messages waiting. A socket ends with its
process, at once, and so whoever waits there is told.
"""

import mmap
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from ..errors import BadInput
from .links import LAST, QUEUE, Link, LinkLost
from .messages import Laid, Message, decode, in_line

HEAD = struct.Struct("<cBQ")
SLOT, HERE, NEW = b"S", b"M", b"R"

SHORT = 4096
"""Bytes of a message, at most, that are not worth a slot."""

REPEATED = ("batch", "answers")
"""Kinds of message that pass with every batch; labels do, too, and are short."""


class Shared(Link):
    """This place's ends: ``going`` to and ``coming`` from others, a connected socket for each.

    At most ``slots`` messages that pass with every batch wait in each direction. What was received
    may be overwritten once the next message from there is asked for.
    """

    def __init__(
        self,
        going: Mapping[int, socket.socket],
        coming: Mapping[int, socket.socket],
        slots: int = 2 * QUEUE,  # either end's
    ):
        super().__init__()
        self._going = {place: Going(line, slots) for place, line in going.items()}
        self._coming = {place: Coming(line) for place, line in coming.items()}

    def send(self, to: int, message: Message) -> None:
        """Hand over a message; waits while there is no slot, or no room in the socket."""
        going, laid = self._going[to], Laid(message)
        self.sent += laid.length
        with self._told(to):
            try:
                if message.kind in REPEATED and laid.length > SHORT:
                    self.waited += going.lay(laid)
                else:
                    self.waited += going.write(laid)
            except OSError:
                if message.kind not in LAST:  # who has ended needs no last word
                    raise

    def receive(self, source: int) -> Message:
        """The next message from there. Its tensors may lie in a slot, until one more is asked."""
        began = time.perf_counter()
        with self._told(source):
            raw = self._coming[source].next()
        self.waited += time.perf_counter() - began
        self.received += len(raw)
        return decode(raw)

    def flush(self) -> None:
        """Nothing is left to do: what was sent lies where its receiver finds it."""

    def close(self, again: bool = False) -> None:
        """End all connections: whoever waits for this place is told."""
        lines = [going.line for going in self._going.values()]
        for line in lines + [coming.line for coming in self._coming.values()]:
            line.close()
        self._going.clear()
        self._coming.clear()

    @contextmanager
    def _told(self, place: int) -> Iterator[None]:
        """A lost connection as LinkLost; or what a place said of itself before it ended."""
        try:
            yield
        except OSError as error:
            if (said := self._last_words()) is not None:
                raise BadInput(said) from error
            raise LinkLost(f"place {place} is gone ({in_line(error)})") from error

    def _last_words(self) -> str | None:
        """Why a place failed, or refused, if one said so."""
        late = time.monotonic() + 1
        with selectors.DefaultSelector() as eyes:
            for coming in self._coming.values():
                eyes.register(coming.line, selectors.EVENT_READ, coming)
            while eyes.get_map() and (left := late - time.monotonic()) > 0:
                for key, _ in eyes.select(left):
                    coming = key.data
                    try:
                        coming.line.settimeout(max(0.01, late - time.monotonic()))
                        message = decode(coming.next())
                    except (OSError, BadInput):
                        eyes.unregister(coming.line)
                        continue
                    if message.kind in ("failed", "refused"):
                        return str(message.info)
        return None


class Going:
    """The sending end of a connection, and the slots that go with it."""

    def __init__(self, line: socket.socket, slots: int):
        self.line, self.slots = line, slots
        self._size = 0
        self._free = list(range(slots))
        self._memory = torch.empty(0, dtype=torch.uint8)

    def lay(self, laid: Laid) -> float:
        """A message into a slot, waited for; seconds of waiting."""
        began = time.perf_counter()
        if laid.length > self._size:
            self._wait_for(self.slots)
            self._renew(laid.length)
        self._wait_for(1)
        waited = time.perf_counter() - began
        slot = self._free.pop()
        at = slot * self._size
        laid.write(self._memory[at : at + laid.length])
        self.line.sendall(HEAD.pack(SLOT, slot, laid.length))
        return waited

    def write(self, laid: Laid) -> float:
        """A message over the connection itself; seconds of waiting until it has taken it."""
        raw = laid.written()
        began = time.perf_counter()
        head = HEAD.pack(HERE, 0, laid.length)
        if laid.length <= SHORT:
            self.line.sendall(head + raw.numpy().tobytes())
        else:
            self.line.sendall(head)
            self.line.sendall(raw.numpy().data)
        return time.perf_counter() - began

    def _wait_for(self, count: int) -> None:
        """So many free slots; all that are free already are taken note of."""
        with suppress(BlockingIOError):
            self._freed(socket.MSG_DONTWAIT)
        while len(self._free) < count:
            self._freed()

    def _freed(self, flags: int = 0) -> None:
        if not (came := self.line.recv(self.slots, flags)):
            raise ConnectionError("the connection was closed")
        self._free += came

    def _renew(self, length: int) -> None:
        size = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
        with _own_fault():
            memory = os.memfd_create("onward")
        try:
            with _own_fault():
                os.ftruncate(memory, self.slots * size)
                self._memory = _mapped(memory)
            socket.send_fds(self.line, [HEAD.pack(NEW, self.slots, size)], [memory])
        finally:
            os.close(memory)
        self._size = size


class Coming:
    """The receiving end of a connection."""

    def __init__(self, line: socket.socket):
        self.line = line
        self._size = 0
        self._held: int | None = None  # the slot that the last message lies in
        self._memory = torch.empty(0, dtype=torch.uint8)

    def next(self) -> Tensor:
        """The bytes [length] of the next message. The slot of the one before is free again."""
        if self._held is not None:
            with suppress(OSError):  # who has ended needs no slots, and what it sent is still here
                self.line.sendall(bytes([self._held]))
            self._held = None
        kind, slot, number = self._head()
        if kind == HERE:
            raw = torch.empty(number, dtype=torch.uint8)
            _fill(self.line, raw.numpy().data)
            return raw
        at = slot * self._size
        there = at + self._size <= len(self._memory)
        if kind != SLOT or not there or not 0 < number <= self._size:
            raise ConnectionError(f"a head {kind!r} {slot} {number:,} came, which can't be")
        self._held = slot
        return self._memory[at : at + number]

    def _head(self) -> tuple[bytes, int, int]:
        """The next head that is not of new memory."""
        while True:
            raw, memories, _, _ = socket.recv_fds(self.line, HEAD.size, 1)
            try:
                if not raw:
                    raise ConnectionError("the connection was closed")
                rest = bytearray(HEAD.size - len(raw))
                _fill(self.line, memoryview(rest))
                kind, slot, number = HEAD.unpack(raw + rest)
                if kind != NEW:
                    return kind, slot, number
                if not memories or os.fstat(memories[0]).st_size != slot * number:
                    raise ConnectionError("new memory came, and is not there")
                with _own_fault():
                    self._memory, self._size = _mapped(memories[0]), number
            finally:
                for memory in memories:
                    os.close(memory)


@contextmanager
def _own_fault() -> Iterator[None]:
    """No memory, or no descriptor, at this end: not a lost link, and it would come again."""
    try:
        yield
    except OSError as error:
        raise MemoryError(f"no memory to share with another place ({in_line(error)})") from error


def _mapped(memory: int) -> Tensor:
    """All of a file in memory, uint8, for as long as anything looks at it."""
    return torch.frombuffer(mmap.mmap(memory, 0), dtype=torch.uint8)


def _fill(line: socket.socket, view: memoryview) -> None:
    at = 0
    while at < len(view):
        if not (count := line.recv_into(view[at:])):
            raise ConnectionError("the connection was closed")
        at += count
