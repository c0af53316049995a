"""The driver: the run's own loop, whose steps are taken elsewhere.

It has the samples, draws the streams and sends them to the first block; labels go to the readout.
At the end of an epoch every place sends it weights and optimisers, and the loop measures, saves and
stops as it would in one process. A place that is lost costs the work since the last checkpoint:
all others are started anew with it, and the end is the same, bit for bit.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Generator, Tensor
from torch.distributed import FileStore, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from ..blocks import Source, way
from ..errors import BadInput
from ..local import Station
from ..row import Row
from ..stages import Losses, Settled, Stage
from .links import MEETING, Gloo, Link, LinkLost
from .messages import Message
from .worker import load, pack

LOCAL = "ONWARD_LOCAL_PLACE"
"""Set for places that a driver has started itself: a file of this machine, where they meet."""


class Places:
    """The places of a row, as the driver sees them: it sends to the first, and asks them all."""

    def __init__(self, link: Link, row: Row, sizes: Sequence[int], hello: Mapping[str, Any]):
        self.link, self.row = link, row
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        self.stations: dict[int, list[Station]] = {
            place: row.stations[end - size : end]
            for place, (size, end) in enumerate(zip(sizes, ends, strict=True), 1)
        }
        self.reader = len(sizes) + 1 if row.readout is not None else None
        linear = row.linear()
        read = () if linear is None else linear.read
        shows = [
            place
            for place, end in enumerate(ends, 1)
            if any(end - sizes[place - 1] <= number < end for number in read)
        ]
        for place, stations in self.stations.items():
            last = place == len(sizes)
            link.send(
                place,
                Message(
                    "hello",
                    info={
                        **hello,
                        "first": ends[place - 1] - len(stations),
                        "count": len(stations),
                        "previous": place - 1,
                        "next": None if last else place + 1,
                        "reader": self.reader,
                        "blocks": [],
                    },
                ),
            )
        if self.reader is not None and row.readout is not None:
            self.stations[self.reader] = [row.readout]
            about = {"first": 0, "count": 0, "previous": 0, "next": None, "reader": None}
            link.send(self.reader, Message("hello", info={**hello, **about, "blocks": shows}))
        for place in self.stations:
            answer = link.receive(place)
            if answer.kind != "ready":
                raise BadInput(f"place {place} refused: {answer.info}")
        for place, stations in self.stations.items():
            link.send(place, pack("load", stations, {}))

    def begin(self, rate: float, sums: Mapping[str, float]) -> None:
        """Tell everyone that an epoch begins, or goes on."""
        self._tell(Message("begin", info={"rate": rate, "sums": dict(sums)}))

    def learn(self, message: Mapping[str, Tensor], y: Tensor) -> None:
        """Send one batch on its way."""
        size = len(y)
        self.link.send(1, Message("batch", message, size))
        if self.reader is not None:
            self.link.send(self.reader, Message("labels", {"y": y}, size))

    def settle(self) -> Settled:
        """Wait for everyone's last step; weights, optimisers, sums and costs come home."""
        self._tell(Message("settle"))
        sums: dict[str, float] = {}
        flops, size = 0, 1
        told: list[dict[str, Any]] = []
        for place, stations in self.stations.items():
            came = self.link.receive(place)
            if came.kind != "state":
                raise BadInput(str(came.info) if came.kind == "failed" else f"place {place} ended")
            load(came, stations, f"what place {place} sent")
            sums |= came.info["sums"]
            if came.info["first"]:
                flops, size = flops + came.info["first"][0], came.info["first"][1]
            told.append({"stations": [s.name for s in stations], **came.info["costs"]})
        first = min((each["steps"][0][0] for each in told if each["steps"]), default=0.0)
        for each in told:
            each["steps"] = [[round(t - first, 4) for t in pair] for pair in each["steps"]]
        return Settled(sums, flops / size, told)

    def stop(self) -> None:
        """The end."""
        self._tell(Message("stop"))
        for place in self.stations:
            if place not in (1, self.reader):
                self.link.send(place, Message("bye"))
        self.link.flush()
        for place in self.stations:
            self.link.receive(place)  # "bye"

    def _tell(self, message: Message) -> None:
        self.link.send(1, message)
        if self.reader is not None:
            self.link.send(self.reader, message)


class Pipelined:
    """The schedule *simultaneous*, its blocks in processes of their own.

    ``sizes`` are the cells of each block; ``hello`` what the run is. Workers are started here, by
    the command ``words``, or have been by torchrun.
    """

    __name__ = "simultaneous"

    def __init__(self, sizes: Sequence[int], hello: Mapping[str, Any], words: Sequence[str]):
        self.sizes, self.hello, self.words = list(sizes), hello, list(words)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.link: Link | None = None
        self.meeting: tempfile.TemporaryDirectory[str] | None = None

    def __call__(self, row: Row, x: Tensor, y: Tensor, rng: Generator) -> Iterator[Stage]:
        """Refuses at once what can't be cut; starts places when the first stage is asked for."""
        how = way(row, x, y, rng)
        return self._stages(row, Source(row, x, y, rng, how), {"way": asdict(how)})

    def _stages(self, row: Row, source: Source, how: Mapping[str, Any]) -> Iterator[Stage]:
        places = Places(self._meet(len(row.everyone)), row, self.sizes, {**self.hello, **how})

        def step(index: Tensor) -> Losses:
            places.learn(*source.batch(index))
            return {}

        algorithm, cells = row.algorithm, len(row.stations)
        passes = algorithm.count + (1 if row.readout and source.how.shown is None else 0)
        yield Stage(
            *("cells", tuple(row.everyone), step, cells, passes),
            rows_handed_on=algorithm.count,
            elsewhere=places,
        )
        places.stop()
        for worker in self.workers:
            worker.wait()
        self.close()

    def _meet(self, stations: int) -> Link:
        size = 1 + len(self.sizes) + (1 if stations > sum(self.sizes) else 0)
        if "RANK" in os.environ:
            started = int(os.environ["WORLD_SIZE"])
            if started != size:
                raise BadInput(
                    f"{len(self.sizes)} stages, the driver and the readout, if there is one, are "
                    f"{size} processes, and {started} were started: take as many"
                )
            self.link = Gloo(joined(), 0, size)
            return self.link
        self.meeting = tempfile.TemporaryDirectory(prefix="onward-")
        there = os.path.join(self.meeting.name, "places")
        # Nobody but this machine is to reach what its own places listen on.
        near = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
        os.environ.update({k: v for k, v in near.items() if k not in os.environ})
        for rank in range(1, size):
            environment = {
                **os.environ,
                **{"RANK": str(rank), "WORLD_SIZE": str(size), LOCAL: there},
            }
            command = [sys.executable, "-m", "onward", "pipeline", *self.words]
            # In a session of its own: a Ctrl-C at the terminal is the driver's to handle.
            worker = subprocess.Popen(command, env=environment, start_new_session=True)
            self.workers.append(worker)
        store = PrefixStore(_prefix("0"), FileStore(there, size))
        self.link = Gloo(store, 0, size, watch=self._watch)
        return self.link

    def _watch(self) -> None:
        if ended := self.ended():
            raise LinkLost(ended)

    def ended(self) -> str:
        """Which of the places started here have ended by themselves, or nothing."""
        return ", ".join(
            f"stage {place} ended with {worker.returncode}"
            if place <= len(self.sizes)
            else f"the readout's stage ended with {worker.returncode}"
            for place, worker in enumerate(self.workers, 1)
            if worker.poll() is not None
        )

    def close(self) -> None:
        """End every place that was started here; at once, if it has more to do."""
        for worker in self.workers:
            worker.terminate()  # its sockets close, and what waits for it here is told
        for worker in self.workers:
            worker.wait()
        self.workers = []
        if self.link is not None:
            self.link.close()
            self.link = None
        if self.meeting is not None:
            self.meeting.cleanup()
            self.meeting = None


def rank() -> int:
    """Which place this is, where torchrun or a driver has started it; 0 elsewhere.

    Raises BadInput where the environment says so by half.
    """
    if "RANK" not in os.environ:
        return 0
    needed = ["WORLD_SIZE"] + ([] if LOCAL in os.environ else ["MASTER_ADDR", "MASTER_PORT"])
    numbers = [os.environ.get(name, "0") for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")]
    if not all(map(str.isdecimal, numbers)) or any(name not in os.environ for name in needed):
        raise BadInput(
            f"RANK is {numbers[0]!r}, which makes this one place of several, and "
            f"{', '.join(needed)} should say the rest: start places with torchrun, or unset RANK"
        )
    return int(numbers[0])


def joined() -> Store:
    """Where the places that torchrun, or a driver, has started meet.  Raises LinkLost."""
    mine, size = rank(), int(os.environ["WORLD_SIZE"])
    if (local := os.environ.get(LOCAL)) is not None:
        return PrefixStore(_prefix("0"), FileStore(local, size))
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    held = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" or mine > 0
    try:
        store = TCPStore(host, port, size, not held, timeout=MEETING, wait_for_workers=False)
    except (RuntimeError, ValueError) as error:
        raise LinkLost(f"nobody answers at {host}:{port}") from error
    return PrefixStore(_prefix(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")), store)


def _prefix(again: str) -> str:
    """Of what the places tell each other in the store, that of one attempt apart from others'."""
    return f"onward/{again}"
