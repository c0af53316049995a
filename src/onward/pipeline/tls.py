"""Links over networks that are not trusted: encrypted, both ends known by name, nothing lost.

:class:`Tls` speaks TLS 1.3 with certificates at both ends (certificates.py) over a connection for
each ordered pair of places, dialled by the one that sends (frames.py). A message is kept until the
receiver has said that it has it, at most ``queue`` of them; after a broken connection the receiver
says what it last had, and the sender goes on from there. What comes twice is known by its number.
So a connection that is cut, delayed or stopped for a while changes nothing. A place is lost when
it says so, when another process has its name, or when it is silent for longer than ``patience``.

Every attempt of a run has a number, drawn by the driver. A place learns it from the driver's first
word and speaks to others only of that one, so that what is left of an earlier attempt is not heard.

Threads: one for each place sent to, which alone holds that connection; one for each connection that
came; one that listens, and watches the clock. ``changed`` guards what they share.
"""

import contextlib
import json
import secrets
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..errors import BadInput
from ..version import __version__
from .certificates import Identity, name_of
from .frames import ACK, BEAT, DATA, END, GONE, HELLO, LATER, LONGEST, REFUSED, WELCOME, Line
from .links import LAST, MEETING, QUEUE, Link, LinkLost
from .messages import Message, decode, encode, in_line
from .outgoing import DRIVER, HANDSHAKE, PROTOCOL, Outgoing

PATIENCE = 60.0
"""Seconds of silence after which a place is lost."""

NEWCOMERS = 64
"""Who may be about that at once; the one who has waited longest makes room."""

Address = tuple[str, int]


class Ended(LinkLost):
    """The driver has ended the run, and will not come again."""


class Incoming:
    """What comes from one place, whatever connection it comes by."""

    def __init__(self) -> None:
        self.inbox: deque[Message] = deque()
        self.last = 0  # number of the last message that is here, or was
        self.session = ""  # of the process there
        self.line: Line | None = None  # the connection that is heard
        self.heard: float | None = None
        self.asked: float | None = None  # when somebody first waited for it
        self.over = False  # there is nothing more to come, and the sender knows


class Tls(Link):
    """Over TLS 1.3, for place number ``place`` among ``names``, each at its one of ``addresses``.

    ``listener`` is bound to this place's own address. ``watch`` is called while this place waits,
    with the places that have said their last word, and raises LinkLost where another has ended.
    """

    def __init__(
        self,
        place: int,
        names: Sequence[str],
        addresses: Mapping[int, Address],
        identity: Identity,
        listener: socket.socket,
        *,
        patience: float = PATIENCE,
        meeting: float = MEETING.total_seconds(),
        queue: int = QUEUE,
        longest: int = LONGEST,
        watch: Callable[[Collection[int]], None] = lambda finished: None,
        tell: Callable[[str], None] = lambda line: None,
    ):
        super().__init__()
        self.place, self.names, self.addresses = place, list(names), addresses
        self.identity, self.watch, self.tell = identity, watch, tell
        self.patience, self.meeting, self.queue, self.longest = patience, meeting, queue, longest
        self.silence, self.beat = patience / 6, patience / 30  # of a connection
        self.session = secrets.token_hex(8)
        self.attempt = secrets.token_hex(8) if place == DRIVER else ""
        self.changed = threading.Condition()
        self.closing = 0.0  # since when
        self.again = self._draining = False
        self.finished: set[int] = set()  # places that have said their last word
        self.left: set[int] = set()  # those of them that listen to nobody any more
        self._failed: str | None = None  # what one of them said
        self._broken: Exception | None = None
        self._outgoing: dict[int, Outgoing] = {}
        others = [number for number in range(len(names)) if number != place]
        self._incoming = {number: Incoming() for number in others}
        self._newcomers: dict[ssl.SSLSocket, float] = {}
        self._refused: set[str] = set()
        self._listener = listener
        listener.settimeout(0.25)
        listener.listen(NEWCOMERS)
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def send(self, to: int, message: Message) -> None:
        """Hand over a message; waits while ``queue`` of them are not acknowledged."""
        raw = encode(message)
        if len(raw) > self.longest:
            raise BadInput(
                f"a message to {self.names[to]} would have {len(raw):,} bytes, and a link carries "
                f"{self.longest:,} at most: take more stages"
            )
        if to not in self._outgoing:
            self._outgoing[to] = Outgoing(self, to)
            self._outgoing[to].start()
        there = self._outgoing[to]
        self._wait(lambda: self._broken is None and (len(there.window) < self.queue or there.over))
        with self.changed:
            there.count += 1
            there.window.append((there.count, raw))
            there.last = message.kind in LAST
        there.ring()
        self.sent += len(raw)

    def receive(self, source: int) -> Message:
        """The next message from there."""
        there = self._incoming[source]
        if there.asked is None:
            there.asked = time.monotonic()
        self._wait(lambda: bool(there.inbox))
        with self.changed:
            message = there.inbox.popleft()
            self.changed.notify_all()
        return message

    def flush(self) -> None:
        """Wait until all that was sent has been acknowledged."""
        self._wait(lambda: all(o.over or not o.window for o in self._outgoing.values()))

    def close(self, again: bool = False) -> None:
        """The end. Where all is said, others are heard out first; else they are told."""
        with self.changed:
            self._draining = True
            self.changed.notify_all()
            said = all(o.last for o in self._outgoing.values()) and bool(self._outgoing)
            if said and self._broken is None:
                met = [i for i in self._incoming.values() if i.session]
                self.changed.wait_for(
                    lambda: self._broken is not None or all(i.over for i in met), self.patience
                )
            self.closing, self.again = time.monotonic(), again
            self.changed.notify_all()
        for outgoing in self._outgoing.values():
            outgoing.ring()
        for thread in (self._keeper, *self._outgoing.values()):
            thread.join(max(0.1, self.closing + 2 - time.monotonic()))
        self._listener.close()
        with self.changed:
            for line in [i.line for i in self._incoming.values() if i.line is not None]:
                _shut(line.tls)
            for newcomer in self._newcomers:
                _shut(newcomer)

    def give_up(self, error: Exception) -> None:
        """The first thing that goes wrong is what everyone who waits is told."""
        with self.changed:
            if self._broken is None and not self.closing:
                self._broken = error
            self.changed.notify_all()

    def _gone(self, place: int, again: int) -> LinkLost:
        """What it means that a place says it ends."""
        if place == DRIVER and not again:
            return Ended("the driver has ended the run")
        return LinkLost(f"{self.names[place]} has ended")

    def _wait(self, ready: Callable[[], bool]) -> None:
        began = time.perf_counter()
        with self.changed:
            while not ready():
                if self._failed is not None:
                    raise BadInput(self._failed)
                if self._broken is not None:
                    raise self._broken
                self.watch(self.finished)
                self.changed.wait(0.2)
        self.waited += time.perf_counter() - began

    def _keep(self) -> None:
        """Let newcomers in, each with a thread of its own; and look at the clock."""
        while not self.closing:
            try:
                raw, address = self._listener.accept()
                raw.settimeout(HANDSHAKE)
                tls = self.identity.server.wrap_socket(
                    raw, server_side=True, do_handshake_on_connect=False
                )
            except TimeoutError:
                pass
            except OSError:  # the newcomer has left again, or there are too many files
                time.sleep(0.02)
            else:
                with self.changed:
                    self._newcomers[tls] = time.monotonic() + HANDSHAKE
                named = f"{address[0]}:{address[1]}"
                try:
                    threading.Thread(target=self._greet, args=(tls, named), daemon=True).start()
                except RuntimeError:  # no more threads: it may come again
                    with self.changed:
                        self._newcomers.pop(tls, None)
                    tls.close()
            now = time.monotonic()
            with self.changed:
                many = list(self._newcomers)[: max(0, len(self._newcomers) - NEWCOMERS)]
                for tls in [*many, *(t for t, late in self._newcomers.items() if late < now)]:
                    _shut(tls)  # its own thread sees that, and closes it
            self._look(now)

    def _look(self, now: float) -> None:
        """Give up on those who are silent for too long."""
        for place, there in self._incoming.items():
            if place in self.finished:
                continue
            heard = max(there.heard or 0.0, there.line.heard if there.line else 0.0)
            if heard and now - heard > self.patience:
                self.give_up(LinkLost(f"{self.names[place]} was silent for {self.patience:.0f} s"))
            elif not heard and there.asked and now - there.asked > self.meeting:
                self.give_up(LinkLost(f"{self.names[place]} has not come"))

    def _greet(self, tls: ssl.SSLSocket, address: str) -> None:
        """Hear who it is, and then what it says."""
        with Line(tls, self.beat, self.longest) as line:
            try:
                source, there = self._met(line)
            except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
                self._say_refused(address, error)
                if isinstance(error, BadInput):
                    with contextlib.suppress(OSError):
                        line.write(REFUSED, 0, in_line(error).encode()[:500])
                _farewell(tls)
                return
            finally:
                with self.changed:
                    self._newcomers.pop(tls, None)
            try:
                if there is None:
                    line.write(LATER)
                    return
                tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                tls.settimeout(self.silence)
                line.write(WELCOME, there.last, self.session.encode())
                self._hear(line, source, there)
            except OSError:
                pass  # it will come again, or be missed
            except (LinkLost, BadInput) as error:
                self.give_up(error)
            except Exception as error:  # whatever it is, the one who waits has to know
                self.give_up(LinkLost(in_line(error)))

    def _met(self, line: Line) -> tuple[int, Incoming | None]:
        """Who has come, once it has shown and said so; and nothing where it is to come again."""
        line.tls.do_handshake()
        name = name_of(line.tls.getpeercert())
        kind, _, body = line.read()
        hello: dict[str, Any] = json.loads(bytes(body.tolist()))
        if kind != HELLO or hello["protocol"] != PROTOCOL:
            raise BadInput(
                f"Onward {hello['onward']} there and {__version__} here speak to places in another "
                "way: install the same one"
            )
        if name not in self.names or name == self.names[self.place]:
            raise BadInput(f"{name or 'nobody'} has no link to {self.names[self.place]}")
        if hello["to"] != self.names[self.place]:
            raise BadInput(f"this is {self.names[self.place]}, not {hello['to']}")
        if hello["places"] != len(self.names):
            raise BadInput(
                f"the run has {hello['places']} places there and {len(self.names)} here: start "
                "every place with the same --stages"
            )
        source = self.names.index(name)
        with self.changed:
            there = self._incoming[source]
            if not self.attempt and source == DRIVER:
                self.attempt = hello["attempt"]
            if hello["attempt"] != self.attempt:
                if source == DRIVER:
                    self.give_up(LinkLost("the driver has begun anew"))
                return source, None
            if there.session and hello["session"] != there.session:
                self.give_up(LinkLost(f"{name} was started anew"))
                return source, None
            if there.line is not None:
                _shut(there.line.tls)  # the older connection, whatever state it is in
            there.line, there.session, there.heard = line, hello["session"], time.monotonic()
            self.changed.notify_all()
        return source, there

    def _hear(self, line: Line, source: int, there: Incoming) -> None:
        while not self.closing:
            kind, number, raw = line.read()
            there.heard = time.monotonic()
            if kind == DATA:
                if number == there.last + 1:
                    self._take(line, source, there, raw)
                elif number > there.last:
                    raise LinkLost(f"message {there.last + 1} from {self.names[source]} is lost")
                line.write(ACK, there.last)
            elif kind == BEAT:
                line.write(BEAT)
            elif kind in (END, GONE):
                line.write(ACK, there.last)
                with self.changed:
                    there.over = True
                    self.changed.notify_all()
                if kind == GONE and source not in self.finished:
                    raise self._gone(source, number)
                return

    def _take(self, line: Line, source: int, there: Incoming, raw: Tensor) -> None:
        """Put a message where it is asked for, once there is room; beat meanwhile."""
        message = decode(raw)

        def settled() -> bool:
            return len(there.inbox) < self.queue or self._draining or there.line is not line

        while True:
            with self.changed:
                if self.changed.wait_for(settled, self.beat):
                    if there.line is not line:
                        raise ConnectionError("another connection has taken over")
                    there.last += 1
                    there.inbox.append(message)
                    self.received += len(raw)
                    if message.kind == "failed":
                        self._failed = str(message.info)
                    if message.kind in LAST:
                        self.finished.add(source)
                    if message.kind in ("refused", "failed"):
                        self.left.add(source)
                    self.changed.notify_all()
                    return
            line.write(BEAT)
            there.heard = time.monotonic()  # it can't be heard, while we do not listen

    def _say_refused(self, address: str, error: Exception) -> None:
        """A stranger ends nothing; but whoever looks for an own mistake should see it."""
        what = str(getattr(error, "verify_message", "") or error)
        shows = isinstance(error, BadInput | ssl.SSLCertVerificationError)
        if shows and what not in self._refused and len(self._refused) < 20:
            self._refused.add(what)
            self.tell(f"refused a connection from {address}: {in_line(what)}")


def _shut(tls: ssl.SSLSocket) -> None:
    """End a connection under the thread that holds it, not touching its encryption."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(tls, socket.SHUT_RDWR)


def _farewell(tls: ssl.SSLSocket) -> None:
    """Let what was said arrive: to close on unread bytes would take it back."""
    with contextlib.suppress(OSError, ValueError):
        socket.socket.shutdown(tls, socket.SHUT_WR)
        tls.settimeout(1)
        while socket.socket.recv(tls, 4096):
            pass
