"""Links: messages from place to place.

:class:`Link` is all that the rest knows. :class:`Gloo` goes over torch.distributed, whose network
is trusted: it neither encrypts nor asks who is there, as tls.py does. A message is two sends, its
length and its bytes. At most ``queue`` messages wait at either end of a link, then the sender
waits.
"""

import queue as queues
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import Store  # type: ignore[attr-defined]

from ..errors import BadInput
from .messages import Message, decode, encode, in_line

PATIENCE = timedelta(days=30)
"""How long a place waits for a message. Whole epochs lie between two; a peer's death is told by
its closed socket, at once."""

MEETING = timedelta(minutes=30)
"""How long places wait for each other at the start: the driver reads, or downloads, data first."""

QUEUE = 4
"""Messages that wait at either end of a link, at most."""

LAST = ("stop", "bye", "failed", "refused")
"""Kinds of a message after which no other comes from there."""


class LinkLost(Exception):
    """A place at the other end of a link is gone, or silent for too long."""


class Link(ABC):
    """This place's ends of all its links. Places are numbered from 0, the driver."""

    def __init__(self) -> None:
        self.sent = 0  # bytes
        self.received = 0
        self.waited = 0.0  # seconds, for messages to come and to leave

    @abstractmethod
    def send(self, to: int, message: Message) -> None:
        """Hand over a message, whose tensors are copied at once; may wait until there is room.

        Raises LinkLost.
        """

    @abstractmethod
    def receive(self, source: int) -> Message:
        """The next message from there, in the order sent. Raises LinkLost.

        Its tensors may be overwritten once another one from there is asked for.
        """

    @abstractmethod
    def flush(self) -> None:
        """Wait until all that was sent has left. Raises LinkLost."""

    @abstractmethod
    def close(self, again: bool = False) -> None:
        """No more messages; ``again`` where another link is to follow in this process."""


class Gloo(Link):
    """Over torch.distributed's gloo, from processor memory to processor memory.

    ``store`` is where the ``size`` places meet, of which this is number ``rank``; ``watch`` is
    called meanwhile, and raises LinkLost where somebody will not come.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        size: int,
        queue: int = QUEUE,
        watch: Callable[[], None] = lambda: None,
    ):
        super().__init__()
        try:
            store.set(f"here/{rank}", "yes")
            _meet(store, [f"here/{place}" for place in range(size)], watch)
            dist.init_process_group(
                "gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE
            )
        except (RuntimeError, ValueError) as error:
            raise LinkLost(f"the {size} places did not meet ({in_line(error)})") from error
        self.queue = queue
        self._leaving: dict[int, deque[tuple[Any, Any, Tensor, Tensor]]] = defaultdict(deque)
        self._inboxes: dict[int, queues.Queue[Message | Exception]] = {}
        self._threads: list[threading.Thread] = []
        self._failed: str | None = None  # what a place said before it ended

    def send(self, to: int, message: Message) -> None:
        """Hand over a message; waits while ``queue`` of them have not left."""
        raw = encode(message)
        leaving = self._leaving[to]
        began = time.perf_counter()
        while len(leaving) >= self.queue:
            self._leave(leaving)
        self.waited += time.perf_counter() - began
        length = torch.tensor([len(raw)])
        works = self._try(lambda: (dist.isend(length, to), dist.isend(raw, to)))
        leaving.append((*works, length, raw))
        self.sent += len(raw)

    def receive(self, source: int) -> Message:
        """The next message from there. A thread for each source takes them in beforehand."""
        if source not in self._inboxes:
            self._inboxes[source] = queues.Queue(self.queue)
            thread = threading.Thread(target=self._take_in, args=(source,), daemon=True)
            self._threads.append(thread)
            thread.start()
        began = time.perf_counter()
        came = self._inboxes[source].get()
        self.waited += time.perf_counter() - began
        if isinstance(came, Exception):
            self._inboxes[source].put(came)  # whoever asks again is told again
            raise self._told(came)
        return came

    def flush(self) -> None:
        """Wait until all has left."""
        for leaving in self._leaving.values():
            while leaving:
                self._leave(leaving)

    def close(self, again: bool = False) -> None:
        """Leave the group, once every thread has had the last message, or the loss, of its link."""
        for inbox in self._inboxes.values():
            with suppress(queues.Empty):
                while True:  # room for what a thread still holds
                    inbox.get_nowait()
        for thread in self._threads:
            thread.join(timeout=10)
        if dist.is_initialized():
            dist.destroy_process_group()

    def _take_in(self, source: int) -> None:
        inbox = self._inboxes[source]
        try:
            while True:
                length = torch.zeros(1, dtype=torch.int64)
                dist.recv(length, source)
                raw = torch.empty(int(length), dtype=torch.uint8)
                dist.recv(raw, source)
                self.received += len(raw)
                message = decode(raw)
                if message.kind == "failed":
                    self._failed = str(message.info)
                inbox.put(message)
                if message.kind in LAST:
                    return
        except Exception as error:  # whatever it is, the one who waits has to know
            with suppress(queues.Full):
                inbox.put(LinkLost(in_line(error)), timeout=60)

    def _leave(self, leaving: "deque[tuple[Any, Any, Tensor, Tensor]]") -> None:
        first, second, *_ = leaving.popleft()
        self._try(lambda: (first.wait(), second.wait()))

    def _try(self, what: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
        try:
            return what()
        except (RuntimeError, ValueError) as error:
            raise self._told(LinkLost(in_line(error))) from error

    def _told(self, lost: Exception) -> Exception:
        """A lost link; or what a place said of itself, where that is why it is lost."""
        late = time.monotonic() + 1
        while self._failed is None and time.monotonic() < late:
            time.sleep(0.05)
        return lost if self._failed is None else BadInput(self._failed)


def _meet(store: Store, signs: list[str], watch: Callable[[], None]) -> None:
    """Wait until every place has left its sign. Raises RuntimeError where one does not come."""
    late = time.monotonic() + MEETING.total_seconds()
    while not store.check(signs):
        watch()
        if time.monotonic() > late:
            raise RuntimeError(f"not all were there after {MEETING.total_seconds():.0f} s")
        time.sleep(0.05)
