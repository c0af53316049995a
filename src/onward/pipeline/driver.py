"""The driver: the run's own loop, whose steps are taken elsewhere.

It has the samples, draws the streams and sends them to the first block; labels go to the readout.
At the end of an epoch every place sends it weights and optimisers, and the loop measures, saves and
stops as it would in one process. A place that is lost costs the work since the last checkpoint:
all others are started anew with it, and the end is the same, bit for bit.
"""

import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Generator, Tensor

from ..blocks import Source, way
from ..errors import BadInput
from ..interrupts import held_back
from ..local import Station
from ..row import Row
from ..stages import Losses, Settled, Stage
from .links import Link, LinkLost
from .meeting import Meeting
from .messages import Message
from .worker import load, pack


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
    the command ``words``, or have been by somebody else, as the ``meeting`` says.
    """

    __name__ = "simultaneous"

    def __init__(
        self, sizes: Sequence[int], hello: Mapping[str, Any], words: Sequence[str], meeting: Meeting
    ):
        self.sizes, self.hello, self.words = list(sizes), hello, list(words)
        self.meeting = meeting
        self.workers: list[subprocess.Popen[bytes]] = []
        self.link: Link | None = None

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
        self.meeting.expect(size)
        if self.meeting.invites:
            for place in range(1, size):
                environment, files = self.meeting.invitation(place)
                # A Ctrl-C at the terminal is the driver's to handle: the place has a session of its
                # own, and until it has one, none reaches it.
                with held_back():
                    worker = subprocess.Popen(
                        [sys.executable, "-m", "onward", "pipeline", *self.words],
                        env=environment,
                        pass_fds=files,
                        start_new_session=True,
                    )
                self.workers.append(worker)
        self.link = self.meeting.link(self._watch)
        return self.link

    def _watch(self, finished: Collection[int]) -> None:
        if ended := self.ended(finished):
            raise LinkLost(ended)

    def ended(self, finished: Collection[int] = ()) -> str:
        """Which of the places started here have ended by themselves, or nothing."""
        return ", ".join(
            f"stage {place} ended with {worker.returncode}"
            if place <= len(self.sizes)
            else f"the readout's stage ended with {worker.returncode}"
            for place, worker in enumerate(self.workers, 1)
            if worker.poll() not in (None, 0) and place not in finished
        )

    def close(self, again: bool = False) -> None:
        """End every place that was started here; at once, if it has more to do."""
        for worker in self.workers:
            worker.terminate()  # its sockets close, and what waits for it here is told
        for worker in self.workers:
            worker.wait()
        self.workers = []
        if self.link is not None:
            self.link.close(again)
            self.link = None
        self.meeting.close()
