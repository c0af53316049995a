"""Where the places of a run find each other, and over what they speak then.

:class:`Meeting` is all that the driver and its places know. Through shared memory they need
not meet: the driver makes their connections before it starts them. Over gloo they meet in a store,
a file of this machine or torchrun's. Over TLS each has an address, from a file that is the same
everywhere, or on this machine's loopback from the driver. A driver starts the other places itself
unless somebody has started them.
"""

import contextlib
import json
import os
import socket
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from torch.distributed import FileStore, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from ..errors import BadInput, nearest
from . import certificates
from .links import MEETING, Gloo, Link, LinkLost
from .outgoing import DRIVER
from .shared import Shared
from .tls import PATIENCE, Tls

LOCAL = "ONWARD_LOCAL_PLACE"
"""Set for places that a driver has started itself: how they meet on this machine."""

LINKS = ("memory", "gloo", "tls")

Watch = Callable[[Collection[int]], None]
"""Called while places are waited for, with those that need no more watching. Raises LinkLost."""


@dataclass(frozen=True)
class Network:
    """What a user says of the network.

    ``link`` is one of LINKS, null for the fastest that serves; the rest is for tls: the folder of
    ``certificates``; the file of ``places`` and the ``name`` of this one, where places are started
    by hand; an address to ``listen`` at, where it isn't the one that others use; seconds of
    ``patience``.
    """

    link: str | None = None
    certificates: Path | None = None
    places: Path | None = None
    name: str | None = None
    listen: str | None = None
    patience: float = PATIENCE


class Meeting(ABC):
    """Where places meet, and which of them this is: 0 is the driver."""

    place: int
    invites: bool
    """Whether the driver is to start the other places."""
    by_hand = False
    """Whether places are started one by one, and may be again."""

    @abstractmethod
    def expect(self, size: int) -> None:
        """So many places are to come. Raises BadInput where others were started."""

    @abstractmethod
    def invitation(self, place: int) -> tuple[dict[str, str], list[int]]:
        """What to start a place with: its environment, and open files that it gets."""

    @abstractmethod
    def link(self, watch: Watch = lambda finished: None) -> Link:
        """This place's links. Raises LinkLost."""

    @abstractmethod
    def close(self) -> None:
        """Nobody else is to come, until others are expected."""


def meet(network: Network, stages: int) -> Meeting:
    """The meeting that a user's words, and the environment, ask for. Raises BadInput."""
    link = network.link or fastest()
    if link not in LINKS:
        raise BadInput(f"there is no link {link!r}: {nearest(link, LINKS)}")
    if link == "tls":
        return OverTls(network, stages)
    for flag in ("certificates", "places", "name", "listen"):
        if getattr(network, flag) is not None:
            told = "as" if flag == "name" else flag
            raise BadInput(f"--{told} is of --link tls, and the link is {link}: add --link tls")
    return OverMemory() if link == "memory" else OverGloo()


def fastest() -> str:
    """The link for places of which nothing is said: memory, where a driver starts them itself."""
    local = os.environ.get(LOCAL)
    if local is not None:
        return "memory" if local.startswith(_PAIRS) else "gloo"
    return "memory" if sys.platform == "linux" and "RANK" not in os.environ else "gloo"


_PAIRS = "pairs "
"""What the invitation to shared memory begins with."""


class OverMemory(Meeting):
    """By pairs of sockets that the driver makes, an end of each for the place that it starts."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise BadInput("--link memory is for Linux: take --link gloo")
        local = os.environ.get(LOCAL)
        if local is None and "RANK" in os.environ:
            raise BadInput(
                "torchrun starts places over gloo, and --link memory is for those that the driver "
                "starts itself: leave out one of them"
            )
        self.place, self.invites = _rank(), local is None
        self._size = 0
        self._ends: dict[int, Ends] = {}  # by place
        if local is not None:
            going, coming = json.loads(local.removeprefix(_PAIRS))
            self._ends[self.place] = Ends(
                {int(place): end for place, end in going.items()},
                {int(place): end for place, end in coming.items()},
            )

    def expect(self, size: int) -> None:
        """A pair for each two of them that may speak: the driver and all, neighbours, the last."""
        self._size = size
        self._ends = {place: Ends({}, {}) for place in range(size)}
        for source in range(size):
            spoken_to = set(range(1, size)) if source == 0 else {0, source + 1, size - 1}
            for to in sorted(spoken_to - {source, size}):
                one, other = socket.socketpair()
                self._ends[source].going[to] = one.detach()
                self._ends[to].coming[source] = other.detach()

    def invitation(self, place: int) -> tuple[dict[str, str], list[int]]:
        """Its ends."""
        own = self._ends[place]
        local = _PAIRS + json.dumps([own.going, own.coming])
        told = {"RANK": str(place), "WORLD_SIZE": str(self._size), LOCAL: local}
        return {**os.environ, **told}, [*own.going.values(), *own.coming.values()]

    def link(self, watch: Watch = lambda finished: None) -> Link:
        """At once: whoever ends, or never begins, ends its sockets."""
        own = self._ends.pop(self.place)
        self.close()  # the ends of others are theirs alone from now on
        return Shared(
            {place: socket.socket(fileno=end) for place, end in own.going.items()},
            {place: socket.socket(fileno=end) for place, end in own.coming.items()},
        )

    def close(self) -> None:
        """Ends that nobody has taken."""
        for ends in self._ends.values():
            for end in (*ends.going.values(), *ends.coming.values()):
                os.close(end)
        self._ends.clear()


class Ends(NamedTuple):
    """Descriptors of one place's sockets, by the place at the other end."""

    going: dict[int, int]
    coming: dict[int, int]


class OverGloo(Meeting):
    """In a store of torch.distributed."""

    def __init__(self) -> None:
        self.place = _rank()
        self.invites = "RANK" not in os.environ
        self.size = int(os.environ.get("WORLD_SIZE", "0"))
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def expect(self, size: int) -> None:
        """Of torchrun as many processes; else a new file to meet in."""
        if not self.invites and self.size != size:
            raise BadInput(
                f"the stages, the driver and the readout, if there is one, are {size} processes, "
                f"and {self.size} were started: take as many"
            )
        self.size = size
        if self.invites:
            self._folder = tempfile.TemporaryDirectory(prefix="onward-")
            # Nobody but this machine is to reach what its own places listen on.
            if sys.platform == "linux":
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")

    def invitation(self, place: int) -> tuple[dict[str, str], list[int]]:
        """The file's name."""
        told = {"RANK": str(place), "WORLD_SIZE": str(self.size), LOCAL: self._there()}
        return {**os.environ, **told}, []

    def link(self, watch: Watch = lambda finished: None) -> Link:
        """Once all have met."""
        return Gloo(self._store(), self.place, self.size, watch=lambda: watch(()))

    def close(self) -> None:
        """Away with the file."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _there(self) -> str:
        assert self._folder is not None
        return os.path.join(self._folder.name, "places")

    def _store(self) -> Store:
        there = self._there() if self.invites else os.environ.get(LOCAL)
        if there is not None:
            return PrefixStore(_prefix("0"), FileStore(there, self.size))
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        held = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" or self.place > 0
        try:
            store = TCPStore(
                host, port, self.size, not held, timeout=MEETING, wait_for_workers=False
            )
        except (RuntimeError, ValueError) as error:
            raise LinkLost(f"nobody answers at {host}:{port}") from error
        return PrefixStore(_prefix(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")), store)


class OverTls(Meeting):
    """At the address of each, which shows a certificate of its name."""

    def __init__(self, network: Network, stages: int):
        self.network, self.names = network, certificates.names(stages)
        if network.certificates is None:
            raise BadInput(
                "--link tls wants the folder with this place's certificate: --certificates DIR"
            )
        local = os.environ.get(LOCAL)
        if local is None and "RANK" in os.environ:
            raise BadInput(
                "torchrun starts places over gloo: with --link tls start each by itself, with "
                "--places and --as"
            )
        if (network.places is None) != (network.name is None):
            raise BadInput(
                "--places and --as go together: the file of all addresses, and the place that is "
                f"started here, one of {', '.join(self.names)}"
            )
        if network.listen is not None and network.name is None:
            raise BadInput("--listen is for a place that --as names")
        self.addresses: dict[int, tuple[str, int]] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._driver: int | None = None  # the process that has started this one
        self.invites = local is None and network.name is None
        self.by_hand = network.name is not None
        self.place = DRIVER
        if network.places is not None and network.name is not None:
            if network.name not in self.names:
                which = nearest(network.name, self.names)
                raise BadInput(f"--as {network.name} is no place of this run: {which}")
            self.place = self.names.index(network.name)
            self.addresses = read(network.places, self.names)
            for place in {*range(stages + 1), self.place}:  # a readout is not in every run
                self._has(place)
        elif local is not None:
            self.place, told = _rank(), json.loads(local)
            self._driver = told["driver"]
            self.addresses = {n: ("127.0.0.1", port) for n, port in enumerate(told["ports"])}
            self._listeners[self.place] = socket.socket(fileno=told["listening"])
        self.identity = certificates.load(network.certificates, self.names[self.place])
        if self.by_hand:  # a port that is taken is told before anything else is done
            self._listeners[self.place] = self._listening()

    def expect(self, size: int) -> None:
        """All of them have addresses; where they are started here, sockets that listen."""
        if not self.invites:
            for place in range(size):
                self._has(place)
            return
        for place in range(size):
            self._listeners[place] = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.addresses[place] = "127.0.0.1", self._listeners[place].getsockname()[1]

    def invitation(self, place: int) -> tuple[dict[str, str], list[int]]:
        """Everyone's ports, and its own socket, which already listens."""
        ports = [port for _, port in self.addresses.values()]
        own = self._listeners[place].fileno()
        local = json.dumps({"ports": ports, "listening": own, "driver": os.getpid()})
        told = {"RANK": str(place), "WORLD_SIZE": str(len(ports)), LOCAL: local}
        return {**os.environ, **told}, [own]

    def link(self, watch: Watch = lambda finished: None) -> Link:
        """At once: places are waited for when something is said to them."""
        if self.place not in self._listeners:
            self._listeners[self.place] = self._listening()
        own = self._listeners.pop(self.place)
        self.close()  # of others': they have theirs, and when they are gone nobody is to answer
        return Tls(
            self.place,
            self.names,
            self.addresses,
            self.identity,
            own,
            patience=self.network.patience,
            watch=watch if self._driver is None else partial(_with_driver, self._driver),
            tell=_tell if self.by_hand else lambda line: None,
        )

    def close(self) -> None:
        """Sockets that nobody has taken."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    def _has(self, place: int) -> None:
        if place not in self.addresses:
            raise BadInput(
                f"{self.network.places} lacks {self.names[place]}: it wants a line NAME: HOST:PORT "
                "for every place of the run"
            )

    def _listening(self) -> socket.socket:
        given = self.network.listen
        host, port = _address(given, "--listen") if given else self.addresses[self.place]
        try:
            family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(where[:2], family=family, backlog=64)
        except OSError as error:
            # Of the bare number: the library's own text repeats the address.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else error.strerror or error
            raise BadInput(
                f"{self.names[self.place]} can't listen at {host}:{port} "
                f"({why}): end who is there, or name an address of this host "
                "with --listen HOST:PORT"
            ) from error


def read(file: Path, names: Collection[str]) -> dict[int, tuple[str, int]]:
    """Addresses by number of place, from a file of lines NAME: HOST:PORT. Raises BadInput."""
    try:
        found: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        told = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BadInput(f"{file} could not be read as YAML: {told}") from error
    if not isinstance(found, Mapping):
        raise BadInput(f"{file} should have a line NAME: HOST:PORT for every place of the run")
    order = list(names)
    for name in found:
        if name not in order:
            raise BadInput(
                f"{file} has {name!r}, no place of this run: {nearest(str(name), names)}"
            )
    made = {order.index(name): _address(value, f"{file}, {name}") for name, value in found.items()}
    if len(set(made.values())) < len(made):
        raise BadInput(f"{file} gives one address to two places: each wants a port of its own")
    return made


def _address(text: Any, where: str) -> tuple[str, int]:
    host, _, port = str(text).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise BadInput(f"{where} wants an address HOST:PORT, and has {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _with_driver(driver: int, finished: Collection[int]) -> None:
    if os.getppid() != driver:
        raise LinkLost("the driver has ended")


def _tell(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # whoever read it may have left
        print(f"onward: {line}", file=sys.stderr, flush=True)


def _rank() -> int:
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


def _prefix(again: str) -> str:
    """Of what the places tell each other in the store, that of one attempt apart from others'."""
    return f"onward/{again}"
