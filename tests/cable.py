"""A cable between two network namespaces whose every frame passes through this process.

Its ends are TAP devices; what one sends comes to the other after a while, or never. Unlike netem
it wants no module of the kernel.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import threading
import time
from contextlib import suppress
from typing import Any

_SET, _TAP, _BARE = 0x400454CA, 0x0002, 0x1000
FRAME = 2**16


class Cable:
    """Two ends, by name: give each to its host. ``delay`` in seconds each way, ``loss`` a share."""

    def __init__(self, ends: tuple[str, str], delay: float, loss: float, seed: int = 0):
        self.ends, self.delay, self.loss = ends, delay, loss
        self.carried = self.dropped = 0
        self._rng = random.Random(seed)
        self._files: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> "Cable":
        """Raises OSError where this process may make no such ends."""
        try:
            for end in self.ends:
                file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                self._files.append(file)
                fcntl.ioctl(file, _SET, struct.pack("16sH", end.encode(), _TAP | _BARE))
        except OSError:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._end.set()
        self._thread.join()
        self._close()

    def _close(self) -> None:
        for file in self._files:
            os.close(file)

    def _carry(self) -> None:
        other = dict(zip(self._files, reversed(self._files), strict=True))
        waiting: list[tuple[float, int, int, bytes]] = []  # due, in order, to whom
        while not self._end.is_set():
            wait = min(max(waiting[0][0] - time.monotonic(), 0.0), 0.1) if waiting else 0.1
            for file in select.select(self._files, [], [], wait)[0]:
                frame = os.read(file, FRAME)
                self.carried += 1
                if self._rng.random() < self.loss:
                    self.dropped += 1
                    continue
                due = time.monotonic() + self.delay
                heapq.heappush(waiting, (due, self.carried, other[file], frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, file, frame = heapq.heappop(waiting)
                with suppress(OSError):  # that end is down, or full: a cable makes no promises
                    os.write(file, frame)
