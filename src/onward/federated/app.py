"""What Flower starts on hosts of their own: the server's app, and a client's.

The app folder that ``onward federate init`` writes imports these two; Onward itself is installed on
every host. A client is told nothing to run but recipes that Onward has.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import recipes
from ..errors import BadInput
from ..files import write_atomically
from ..plan import Machine
from ..recipes import recorded
from ..record import read
from . import flower
from .owner import Learned, Local, Turn, Weights, load_samples
from .server import resume, start
from .terms import Federation

DATA = "ONWARD_CLIENT_DATA"
"""Where a client's samples lie: an .npz with x_train and y_train."""

THREADS = "ONWARD_CLIENT_THREADS"


@dataclass(frozen=True)
class Site:
    """A client of its own: ``client`` is its number, ``path`` its samples."""

    client: int
    path: Path
    threads: int

    def about(self, turn: Turn) -> dict[str, Any]:
        """As :meth:`Local.about`."""
        return self._local(turn).about(turn)

    def learn(self, turn: Turn, came: Weights) -> Learned:
        """As :meth:`Local.learn`."""
        return self._local(turn).learn(turn, came)

    def _local(self, turn: Turn) -> Local:
        if ":" in turn.recipe:
            raise BadInput(
                f"the server asks for {turn.recipe}, code of its own, and this client runs no "
                "recipes but Onward's"
            )
        recipe = recipes.find(turn.recipe)
        data = load_samples(turn, self.path)
        return Local(recipe, self.client, data, Machine("auto", threads=self.threads))


def site(context: Any) -> Site:
    """The client that a context and the environment describe.  Raises BadInput."""
    number, path = context.node_config.get("partition-id"), os.environ.get(DATA)
    if not isinstance(number, int) or number < 0:
        raise BadInput(f"a client wants a number (partition-id=0, 1, ...), and has {number!r}")
    if not path:
        raise BadInput(f"client {number} has no samples: set {DATA} to an .npz file")
    threads = os.environ.get(THREADS, "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise BadInput(f"{THREADS} should be a whole number from 1 on, and is {threads!r}")
    return Site(number, Path(path), int(threads))


client = flower.client_app(site)
"""The client's app."""


def serve(grid: Any, context: Any) -> None:
    """Make the run that the app's configuration describes, or go on with it in its folder.

    What is refused is left in a file beside the folder, for run.sh: Flower shows errors of its own.
    """
    config = context.run_config
    out = Path(str(config["out"]))
    beside = out.with_name(out.name + ".error")
    beside.unlink(missing_ok=True)
    try:
        _run(grid, config, out)
    except BadInput as error:
        write_atomically(beside, f"onward: {error}\n".encode())
        raise
    tell(f"finished, {out}")


def tell(line: str) -> None:
    """A line in the run's stream."""
    print(f"onward: {line}", flush=True)


class Lines:
    """Progress as lines of the run's stream."""

    def stage(self, name: str, epochs: int, samples: int) -> None:
        """A stage begins."""
        self.name, self.rounds = name, epochs

    def step(self, epoch: int, samples: int) -> None:
        """A round is over; what it came to is told when it has been measured."""

    def epoch(self, epoch: int, errors: Mapping[str, float | None]) -> None:
        """A round is measured."""
        known = [
            f"{name} {100 * error:.2f} %" for name, error in errors.items() if error is not None
        ]
        came = f"validation error {', '.join(known)}" if known else "learned"
        tell(f"{self.name}, round {epoch} of {self.rounds}: {came}")

    def close(self) -> None:
        """The end."""


def _run(grid: Any, config: Mapping[str, Any], out: Path) -> None:
    data_path = str(config["data"]) or None
    shared: dict[str, Any] = {"data_path": data_path, "grid": grid, "tell": tell}
    shared["progress"] = Lines()
    if (out / "record.json").exists() and read(out)["status"] != "finished":
        resume(out, **shared)
        return
    name = str(config["recipe"])
    recipe = recipes.find(name)
    start(
        recipe,
        recorded.settings_of(recipe, json.loads(str(config["settings"])), "the app"),
        Federation(**json.loads(str(config["federation"]))),
        seed=int(config["seed"]),
        machine=Machine("auto", config["precision"], int(config["threads"]), config["fast"]),
        out=out,
        name=name,
        **shared,
    )


server = flower.server_app(serve)
"""The server's app."""
