"""The sending end of tls.py: messages to one place, and the connection that they go by."""

import contextlib
import json
import select
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import BadInput
from ..version import __version__
from .certificates import name_of
from .frames import ACK, BEAT, DATA, END, GONE, HELLO, LATER, REFUSED, WELCOME, Leaving, Line
from .links import LinkLost
from .messages import in_line

if TYPE_CHECKING:
    from .tls import Tls

CONNECT = 3.0
"""Seconds to be let in; then it is tried anew, for a lost packet is sent again ever more rarely."""

HANDSHAKE = 10.0
"""Seconds in which a newcomer has to show who it is."""

RENEWED = 1 << 36
"""Bytes after which a connection is made anew: one key should not encrypt more than 2^38."""

PROTOCOL = 1
DRIVER = 0


class Outgoing(threading.Thread):
    """The messages to one place, and the connection that they go by."""

    def __init__(self, link: "Tls", to: int):
        super().__init__(daemon=True)
        self.link, self.to, self.name_there = link, to, link.names[to]
        self.window: deque[tuple[int, Tensor]] = deque()  # not yet acknowledged
        self.count = 0  # messages so far
        self.last = False  # whether there will be no more
        self.over = False
        self.session = ""
        self.heard = time.monotonic()
        self.why = "nobody answers"
        self.bell, self._ring = socket.socketpair()
        self.bell.setblocking(False)
        self._ring.setblocking(False)

    def ring(self) -> None:
        """There is something new to do."""
        with contextlib.suppress(OSError):
            self._ring.send(b"!")

    def run(self) -> None:
        """Until all is acknowledged, or lost."""
        try:
            self._run()
        except (LinkLost, BadInput) as error:
            self.link.give_up(error)
        except Exception as error:  # whatever it is, the one who waits has to know
            self.link.give_up(LinkLost(in_line(error)))
        finally:
            self.bell.close()
            self._ring.close()

    def _run(self) -> None:
        link, pause = self.link, 0.05
        began, told = time.monotonic(), False
        while not self.over:
            with link.changed:
                link.changed.wait_for(lambda: bool(link.attempt or link.closing))
                if link.closing:
                    return
            try:
                with self._dialled() as line:
                    pause = 0.05
                    self._converse(line)
            except OSError as error:  # errors of TLS are such, too
                self.why = in_line(error)
            if self.over or link.closing:
                return
            silent = time.monotonic() - self.heard
            if silent > (link.patience if self.session else link.meeting):
                raise LinkLost(f"{self._there()} was silent for {silent:.0f} s ({self.why})")
            if not told and not self.session and time.monotonic() - began > 5:
                link.tell(f"waiting for {self._there()} ({self.why})")
                told = True
            with link.changed:
                link.changed.wait_for(lambda: bool(link.closing), pause)
            pause = min(2 * pause, 0.5)

    def _there(self) -> str:
        host, port = self.link.addresses[self.to]
        return f"{self.name_there} at {host}:{port}"

    def _dialled(self) -> Line:
        """A connection to the one we mean, who has said what it last had."""
        link = self.link
        raw = socket.create_connection(link.addresses[self.to], timeout=CONNECT)
        raw.settimeout(HANDSHAKE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            tls = link.identity.client.wrap_socket(raw, do_handshake_on_connect=False)
        except BaseException:
            raw.close()
            raise
        line = Line(tls, link.beat)
        try:
            try:
                tls.do_handshake()
            except ssl.SSLCertVerificationError as error:
                raise self._stranger(
                    f"shows a certificate that is not to be trusted: {error.verify_message}. Every "
                    "place wants one of the same CA, valid today"
                ) from error
            if (found := name_of(tls.getpeercert())) != self.name_there:
                raise self._stranger(f"shows the certificate of {found or 'nobody'}")
            hello = {"protocol": PROTOCOL, "onward": __version__}
            hello |= {"attempt": link.attempt, "session": link.session}
            hello |= {"to": self.name_there, "places": len(link.names)}
            try:
                line.write(HELLO, 0, json.dumps(hello).encode())
                self._answered(*line.read())
            except ssl.SSLError as error:
                if "ALERT" in str(error.reason):  # what it says of us comes after the handshake
                    said = str(error.reason).partition("ALERT_")[2].replace("_", " ").lower()
                    raise self._stranger(f"refuses this place's certificate: {said}") from error
                raise
            return line
        except BaseException:
            tls.close()
            raise

    def _stranger(self, what: str) -> Exception:
        """At the start somebody's mistake, to be told; later on it may be somebody in between."""
        text = f"{self._there()} {what}"
        return ConnectionError(text) if self.session else BadInput(text)

    def _answered(self, kind: bytes, number: int, body: Tensor) -> None:
        text = bytes(body.tolist()).decode(errors="replace")
        if kind == REFUSED:
            raise BadInput(f"{self._there()} refuses: {in_line(text)}")
        if kind == LATER and self.to == DRIVER:
            raise LinkLost("the driver has begun anew")
        if kind != WELCOME:
            raise ConnectionError("it is not ready yet")
        if self.session and text != self.session:
            raise LinkLost(f"{self.name_there} was started anew")
        self.session = text
        self._acknowledged(number)

    def _acknowledged(self, number: int) -> None:
        with self.link.changed:
            self.heard = time.monotonic()
            if not self.count - len(self.window) <= number <= self.count:
                raise LinkLost(f"{self.name_there} has message {number}, which can't be")
            while self.window and self.window[0][0] <= number:
                self.window.popleft()
            self.link.changed.notify_all()

    def _converse(self, line: Line) -> None:
        """Send what there is, and hear what is said of it, until the connection breaks."""
        link, tls = self.link, line.tls
        tls.setblocking(False)
        leaving: Leaving | None = None
        ending = False
        volume = 0
        with link.changed:
            sent = self.count - len(self.window)  # number of the last message on this connection
        while True:
            for kind, number in line.arrived():
                self.heard = time.monotonic()
                if kind == ACK:
                    self._acknowledged(number)
                    self.over = ending
            if self.over or (link.closing and link.closing < time.monotonic() - 1):
                return  # what does not get through now is not waited for
            if leaving is None and not ending:
                with link.changed:
                    waiting = next((w for w in self.window if w[0] > sent), None)
                    ending = (self.last and not self.window) or self.to in link.left
                if ending:
                    leaving = Leaving(END)
                elif link.closing:
                    leaving, ending = Leaving(GONE, int(link.again)), True
                elif volume > RENEWED:
                    return
                elif waiting is not None:
                    sent, raw = waiting
                    leaving = Leaving(DATA, sent, raw.numpy().data)
                    volume += len(raw)
                elif time.monotonic() - line.wrote > link.beat:
                    leaving = Leaving(BEAT)
            if leaving is not None and leaving.go(tls):
                leaving, line.wrote = None, time.monotonic()
                continue
            writes = [tls] if leaving is not None else []
            ready, _, _ = select.select([tls, self.bell], writes, [], link.beat / 2)
            if self.bell in ready:
                with contextlib.suppress(BlockingIOError):
                    self.bell.recv(4096)
            if (silent := time.monotonic() - self.heard) > link.silence:
                raise TimeoutError(f"no word for {silent:.0f} s")
