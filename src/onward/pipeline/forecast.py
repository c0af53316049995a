"""What a pipeline would take: time, traffic and memory, from measured costs and a link's own.

A model of queues, batch after batch. Place i begins batch b once it is free and b has come; what it
makes leaves when there is room behind the link, and the link carries one message at a time:

    begin[i, b] = max(free[i, b - 1], come[i, b])
    end[i, b]   = begin[i, b] + seconds[i]
    free[i, b]  = max(end[i, b], begin[i + 1, b - room])
    come[i+1,b] = max(free[i, b], come[i + 1, b - 1]) + latency + bytes[i] / bandwidth

(without the latency in the wait for the message before: it is on its way, not in the way). Places
are taken to have a processor each; ``shared`` says what that is not, on one machine whose cores are
fewer than its places, or slower when all are at work. The driver's own work and the readout's
answers, which come from several blocks, are left out: both are small beside a cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .shares import Cost


@dataclass(frozen=True)
class Wire:
    """A link: bytes and seconds."""

    bandwidth: float = 1e9  # bytes a second
    latency: float = 1e-4  # seconds


NEAR = Wire()
"""About that of a cable between two hosts of one room."""


@dataclass(frozen=True)
class Stage:
    """One place: seconds and bytes sent on of each batch, and bytes of memory it keeps."""

    name: str
    seconds: float
    sends: int
    keeps: int


@dataclass(frozen=True)
class Forecast:
    """Of one epoch: seconds in a pipeline, in one process, and on so many cores that are shared."""

    stages: list[Stage]
    entering: int  # bytes of a batch from the driver
    batches: int
    seconds: float
    alone: float
    cores: int
    slowed: float = 1.0  # seconds of a batch where the cores are all at work, over those of one

    @property
    def shared(self) -> float:
        """Seconds where all places are on one machine of ``cores``: no less than its work."""
        return self.slowed * max(self.seconds, self.alone / self.cores)


def forecast(
    costs: Sequence[Cost],
    reading: Cost | None,
    entering: int,
    sizes: Sequence[int],
    batches: int,
    wire: Wire,
    cores: int,
    queue: int,
    slowed: float = 1.0,
) -> Forecast:
    """What an epoch of ``batches`` takes where blocks have so many cells (``sizes``)."""
    stages = []
    first = 0
    for size in sizes:
        block = costs[first : first + size]
        arriving = entering if first == 0 else costs[first - 1].onward
        names = f"cell-{first}" if size == 1 else f"cell-{first} to cell-{first + size - 1}"
        stages.append(
            Stage(
                names,
                sum(cost.seconds for cost in block),
                block[-1].onward + sum(cost.shown for cost in block),
                sum(cost.kept for cost in block) + queue * arriving,
            )
        )
        first += size
    if reading is not None:
        came = sum(cost.shown for cost in costs)
        stages.append(Stage("readout", reading.seconds, 0, reading.kept + queue * came))
    seconds = [stage.seconds for stage in stages]
    # What a message waits for: all that its place sends of a batch.
    sent = [entering, *(stage.sends for stage in stages[:-1])]
    total = simulated(seconds, sent, batches, wire, 2 * queue)
    return Forecast(stages, entering, batches, total, batches * sum(seconds), cores, slowed)


def simulated(
    seconds: Sequence[float], sent: Sequence[int], batches: int, wire: Wire, room: int
) -> float:
    """The time of the last batch's end.  ``sent[i]`` are the bytes of a message to place i.

    >>> free = Wire(float("inf"), 0.0)
    >>> simulated([1.0, 2.0], [0, 0], 10, free, 4)
    21.0
    """
    carry = [size / wire.bandwidth for size in sent]
    begun: list[list[float]] = [[] for _ in seconds]
    free = [0.0] * len(seconds)
    carried = [0.0] * len(seconds)  # when the link to a place is free again
    leaves = 0.0
    for batch in range(batches):
        leaves = 0.0 if batch < room else begun[0][batch - room]  # the driver's own message
        for place, took in enumerate(seconds):
            carried[place] = max(leaves, carried[place]) + carry[place]
            begin = max(free[place], carried[place] + wire.latency)
            begun[place].append(begin)
            leaves = begin + took
            if place + 1 < len(seconds) and batch >= room:
                leaves = max(leaves, begun[place + 1][batch - room])
            free[place] = leaves
    return leaves


def told(found: Forecast) -> list[str]:
    """Lines for a reader."""
    lines = [f"driver: sends {_mb(found.entering)} a batch, {_mb(found.entering * found.batches)}"]
    lines[0] += " an epoch"
    for number, stage in enumerate(found.stages, 1):
        name = stage.name if stage.name == "readout" else f"stage {number}: {stage.name}"
        lines.append(
            f"{name}  {1e3 * stage.seconds:.2f} ms and sends {_mb(stage.sends)} a batch, "
            f"{_mb(stage.sends * found.batches)} an epoch; keeps {_mb(stage.keeps)}"
        )
    ratio = found.alone / found.seconds
    lines.append(
        f"an epoch of {found.batches:,} batches: {_seconds(found.alone)} in one process, "
        f"{_seconds(found.seconds)} in a pipeline whose places have a processor each "
        f"({ratio:.2f}x), {_seconds(found.shared)} at best on the {found.cores} cores of this "
        f"machine ({found.alone / found.shared:.2f}x; at work together each is "
        f"{found.slowed:.2f} times as slow)"
    )
    return lines


def _mb(size: float) -> str:
    return f"{size / 1e6:,.2f} MB" if size < 1e8 else f"{size / 1e6:,.0f} MB"


def _seconds(time: float) -> str:
    """Of seconds, or of milliseconds where there is not one tenth.

    >>> _seconds(24.13), _seconds(0.0312)
    ('24.1 s', '31.2 ms')
    """
    return f"{time:.1f} s" if time >= 0.1 else f"{1000 * time:.1f} ms"
