"""Showing long work: a bar on a terminal, plain lines elsewhere, nothing in tests."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """What training tells about itself."""

    def stage(self, name: str, epochs: int, samples: int) -> None:
        """A stage of ``epochs`` passes over ``samples`` begins or goes on."""

    def step(self, epoch: int, samples: int) -> None:
        """``samples`` more of this stage are done (counted over its epochs)."""

    def epoch(self, epoch: int, summary: dict[str, float | None]) -> None:
        """An epoch is over; errors as fractions, None where not measured."""

    def close(self) -> None:
        """Nothing more comes."""


def stopping(progress: Progress) -> None:
    """Let it tell that a stop was asked for, if it has something to say of that."""
    if tell := getattr(progress, "stopping", None):
        tell()


class Silent:
    """Shows nothing."""

    def stage(self, name: str, epochs: int, samples: int) -> None:
        """Nothing."""

    def step(self, epoch: int, samples: int) -> None:
        """Nothing."""

    def epoch(self, epoch: int, summary: dict[str, float | None]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """A plain line at most every ``every`` seconds, and one at the end of each stage."""

    def __init__(self, stream: TextIO | None = None, every: float = 5.0):
        self.stream, self.every = stream or sys.stderr, every
        self.last = -1e9
        self.name, self.epochs, self.samples, self.rate = "", 0, 0, _Rate()
        self.late = _Late(lambda: print(STOPPING, file=self.stream, flush=True))

    def stage(self, name: str, epochs: int, samples: int) -> None:
        """Remember what is under way."""
        self.name, self.epochs, self.samples, self.rate = name, epochs, samples, _Rate()

    def step(self, epoch: int, samples: int) -> None:
        """Count."""
        self.rate.add(samples)

    def epoch(self, epoch: int, summary: dict[str, float | None]) -> None:
        """Print, if it is time."""
        told = any(value is not None for value in summary.values())
        if time.monotonic() - self.last < self.every and epoch < self.epochs and not told:
            return
        self.last = time.monotonic()
        left = (self.epochs - epoch) * self.samples
        words = [f"{self.name}  epoch {epoch}/{self.epochs}", *_errors(summary)]
        words += [f"{self.rate.per_second():,.0f} samples/s", f"{self.rate.left(left)} left"]
        print("  ".join(words), file=self.stream, flush=True)

    def stopping(self) -> None:
        """Print so, unless it ends at once."""
        self.late.begin()

    def close(self) -> None:
        """Nothing is open."""
        self.late.cancel()


class Bar:
    """A live bar with rate, time left and the last errors."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.bar: Any = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self.task: Any = None
        self.name, self.epochs, self.samples, self.detail = "", 0, 0, ""
        self.rate, self.done = _Rate(), 0
        self.late = _Late(lambda: self.bar.console.print(STOPPING))

    def stage(self, name: str, epochs: int, samples: int) -> None:
        """A new line of the display; the first one opens it (bad input comes before)."""
        self.bar.start()
        self.name, self.epochs, self.samples = name, epochs, samples
        self.rate, self.done = _Rate(), 0
        self.task = self.bar.add_task(name, total=epochs * samples, detail="")

    def step(self, epoch: int, samples: int) -> None:
        """Move the bar."""
        self.rate.add(samples)
        self.done = (epoch - 1) * self.samples + self.rate.in_epoch(epoch, samples)
        left = self.rate.left(self.epochs * self.samples - self.done)
        detail = f"{self.rate.per_second():,.0f} samples/s  {left} left  {self.detail}"
        name = f"{self.name}  epoch {epoch}/{self.epochs}"
        self.bar.update(self.task, completed=self.done, description=name, detail=detail)

    def epoch(self, epoch: int, summary: dict[str, float | None]) -> None:
        """Show the newest errors."""
        self.detail = "  ".join(_errors(summary)) or self.detail

    def stopping(self) -> None:
        """Print so, unless it ends at once."""
        self.late.begin()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.late.cancel()
        self.bar.stop()


STOPPING = "stopping after what is under way; Ctrl-C once more stops at once"
PATIENCE = 2.0
"""Seconds after which a stop that has not come is told of."""


class _Late:
    """Says something a while after it was asked to, unless that is cancelled before."""

    def __init__(self, say: Callable[[], None]):
        self.say = say
        self.timer: threading.Timer | None = None

    def begin(self) -> None:
        self.timer = threading.Timer(PATIENCE, self.say)
        self.timer.daemon = True
        self.timer.start()

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class _Rate:
    """Samples a second since the stage began in this process."""

    def __init__(self) -> None:
        self.began, self.count = time.monotonic(), 0
        self.current, self.within = 0, 0

    def add(self, samples: int) -> None:
        self.count += samples

    def in_epoch(self, epoch: int, samples: int) -> int:
        if epoch != self.current:
            self.current, self.within = epoch, 0
        self.within += samples
        return self.within

    def per_second(self) -> float:
        return self.count / max(time.monotonic() - self.began, 1e-9)

    def left(self, samples: int) -> str:
        seconds = int(samples / max(self.per_second(), 1e-9))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _errors(summary: dict[str, float | None]) -> list[str]:
    known = [f"{name} {100 * value:.2f} %" for name, value in summary.items() if value is not None]
    return ["validation error: " + ", ".join(known)] if known else []


def progress_for(stream: TextIO) -> Progress:
    """A bar where ``stream`` is a terminal, lines where it is not."""
    return Bar() if stream.isatty() else Lines(stream)
