"""Places of a pipeline that are started by hand, and a network between them that can fail."""

import contextlib
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from command import environment

NAMES = ("driver", "stage-1", "stage-2", "readout")


def free(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody has at the moment."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server((host, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in held]


class Proxy:
    """Stands before one address: passes bytes on after ``delay`` seconds; cuts; goes away."""

    def __init__(self, to: int, delay: float = 0.0):
        self.to, self.delay = to, delay
        self.away = False  # refuses everyone
        self.stuck = False  # takes bytes, and keeps them
        self.cuts = self.passed = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.away = True
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Every connection ends now, with what is on its way."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        self.cuts += len(pairs)
        for one in [each for pair in pairs for each in pair]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                came, _ = self._server.accept()
            except OSError:
                return
            try:
                if self.away:
                    raise OSError("away")
                there = socket.create_connection(("127.0.0.1", self.to), timeout=5)
            except OSError:
                came.close()
                continue
            there.settimeout(None)
            with self._lock:
                self._pairs.append((came, there))
            threading.Thread(target=self._pass, args=(came, there), daemon=True).start()

    def _pass(self, came: socket.socket, there: socket.socket) -> None:
        waiting: list[tuple[float, socket.socket, bytes]] = []
        with selectors.DefaultSelector() as eyes, came, there:
            eyes.register(came, selectors.EVENT_READ, there)
            eyes.register(there, selectors.EVENT_READ, came)
            with contextlib.suppress(OSError):
                more = True
                while more or waiting:
                    for key, _ in eyes.select(0.002 if waiting else 0.2) if more else ():
                        source: Any = key.fileobj
                        raw = source.recv(1 << 16)
                        if not raw:
                            more = False
                            break
                        waiting.append((time.monotonic() + self.delay, key.data, raw))
                    while waiting and waiting[0][0] <= time.monotonic() and not self.stuck:
                        _, to, raw = waiting.pop(0)
                        to.sendall(raw)
                        self.passed += len(raw)


class Places:
    """Processes, one for each place, that find each other by a file of addresses."""

    def __init__(
        self,
        folder: Path,
        words: Sequence[object],
        certificates: Path,
        listen: Mapping[str, str],
        reached: Mapping[str, str] | None = None,
        before: Mapping[str, Sequence[str]] | None = None,
    ):
        self.folder, self.words, self.certificates = folder, words, certificates
        self.listen, self.before = listen, before or {}
        self.file = folder / "places.yaml"
        lines = [f"{name}: {where}" for name, where in (reached or listen).items()]
        self.file.write_text("\n".join(lines) + "\n")
        self.running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.kill()
            process.communicate()

    def start(self, *names: str) -> None:
        for name in names or tuple(self.listen):
            own = ["--as", name, "--listen", self.listen[name], "--places", self.file]
            own += ["--certificates", self.certificates]
            out = ["--out", self.folder / name]
            command = [*self.before.get(name, ()), sys.executable, "-m", "onward", "pipeline"]
            self.running[name] = subprocess.Popen(
                [*command, *map(str, [*self.words, "--link", "tls", *own, *out])],
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )

    def ended(self, seconds: float = 100) -> dict[str, tuple[int, str]]:
        """Exit codes and what was said, once all have ended."""
        late, found = time.monotonic() + seconds, {}
        for name, process in self.running.items():
            _, told = process.communicate(timeout=max(1.0, late - time.monotonic()))
            found[name] = (process.returncode, told)
        return found
