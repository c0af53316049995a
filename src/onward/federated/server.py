"""Starting a federation, and going on with one."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import data as sets
from ..checkpoint import load as load_checkpoint
from ..checkpoint import positions
from ..data import Dataset, Split
from ..errors import BadInput
from ..plan import Machine, Plan
from ..progress import Progress
from ..recipes import recorded, running
from ..recipes.recipe import Recipe
from ..record import Record, read
from ..seeds import generator
from . import partitions
from .owner import Local, Turn, alike
from .terms import Federation


def start(
    recipe: Recipe,
    settings: Any,
    terms: Federation,
    *,
    seed: int,
    machine: Machine,
    out: Path,
    data_path: str | None = None,
    progress: Progress | None = None,
    name: str | None = None,
    grid: Any = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Record:
    """Federate a recipe into the folder ``out``. Returns its record, with every round.

    A stage's ``epochs`` are those of every client, in ``terms.rounds`` like parts. Without a
    ``grid`` of Flower's, the clients are in this process, each with its part of the training
    samples (``terms.partition``); with one, they are wherever it reaches, with their own. ``tell``
    is called with a line on each answer that is left out.
    Raises BadInput before the folder is touched where settings, data or machine can't be used.
    """
    name = name or recipe.name
    if terms.partition == "files":
        files = len(_files(terms))
        if terms.clients not in (files, Federation.clients):
            raise BadInput(
                f"clients={terms.clients}, and {terms.files} holds {files} .npz files, one a "
                "client: leave clients out"
            )
        terms = dataclasses.replace(terms, clients=files)
    server = _Server(recipe, settings, terms, seed, machine, name, grid, tell)
    return running.start(
        recipe,
        settings,
        seed=seed,
        machine=machine,
        out=out,
        data_path=data_path,
        progress=progress,
        name=name,
        place=server.place,
        verb="federate" if grid is None else "federate init DIR",
        flags=_words(terms),
        about={"federation": dataclasses.asdict(terms), "rounds": []},
    )


def resume(
    folder: Path,
    *,
    data_path: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    grid: Any = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Record:
    """Go on with an interrupted federation, from the round of its last checkpoint."""
    record = read(folder)
    recipe, settings = recorded.recipe_of(record, folder)
    try:
        terms = Federation(**record["federation"])
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"{folder} was not left by a federation of this version ({error}): go on with the "
            "version that began it"
        ) from error
    machine = recorded.machine_of(record, threads)
    if positions(folder / "checkpoint"):
        saved = load_checkpoint(folder / "checkpoint")
        _refuse_other_terms(saved.state.get("record", {}).get("federation"), terms, folder)
    server = _Server(recipe, settings, terms, record["seed"], machine, record["recipe"], grid, tell)
    return running.resume(
        folder, data_path=data_path, threads=threads, progress=progress, place=server.place
    )


def share_out(data: Dataset, terms: Federation, seed: int) -> tuple[list[Dataset], Dataset | None]:
    """The clients' data, and the server's own where it has a share. Nothing but training samples.

    Raises BadInput where there are too few.
    """
    own, rest = None, data.train
    if terms.server_share:
        order = torch.randperm(len(rest), generator=generator(seed, "server share"))
        count = round(terms.server_share * len(rest))
        if not 0 < count < len(rest):
            raise BadInput(
                f"server_share={terms.server_share:g} of {len(rest):,} training samples is "
                f"{count}: leave some to the server and some to the clients"
            )
        own = _only(data, rest, order[:count].sort().values)
        keep = order[count:].sort().values
        rest = Split(rest.x[keep], rest.y[keep])
    if terms.partition == "files":
        each = [sets.load_part(path, data) for path in _files(terms)]
        return [dataclasses.replace(data, train=train) for train in each], own
    if data.target != "classes" and terms.partition != "iid":
        raise BadInput(
            f"partition={terms.partition} goes by labels, and {data.name} has numbers to predict: "
            "take partition=iid"
        )
    parts = {
        "iid": lambda: partitions.iid(rest.y, terms.clients, seed),
        "dirichlet": lambda: partitions.dirichlet(rest.y, terms.clients, terms.alpha, seed),
        "labels": lambda: partitions.by_label(rest.y, terms.clients, terms.labels_each, seed),
    }[terms.partition]()
    return [_only(data, rest, part) for part in parts], own


class _Server:
    """What makes a plan's schedule a federation of it."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Any,
        terms: Federation,
        seed: int,
        machine: Machine,
        name: str,
        grid: Any,
        tell: Callable[[str], None],
    ):
        self.recipe, self.settings, self.terms = recipe, settings, terms
        self.seed, self.machine, self.name, self.grid = seed, machine, name, grid
        self.tell = tell

    def place(self, plan: Plan, data: Dataset) -> None:
        """Have the plan's stages learned in rounds, at clients."""
        from .members import Members  # Flower is needed from here on
        from .rounds import Federated, Task

        terms, training = self.terms, plan.training
        each = terms.epochs_a_round(training.epochs)
        turn = Turn(
            recipe=self.name,
            settings=json.loads(json.dumps(dataclasses.asdict(self.settings))),
            seed=self.seed,
            stage=0,
            round=0,
            first=0,
            last=each,
            epochs=training.epochs,
            data=_kind(data),
            head=terms.head,
            proximal=terms.proximal,
            precision=self.machine.precision,
            fast=self.machine.fast,
        )
        grid, own = self.grid, None
        if grid is None:
            parts, own = share_out(data, terms, self.seed)
            grid = rehearse(self.recipe, parts, self.machine)
        elif terms.server_share:
            own = _only(data, data.train, torch.arange(len(data.train)))
        task = Task(self.recipe, turn, each, terms, self.machine, own, self.grid is None, self.tell)
        wanted, strict = alike(plan, data), self.grid is None
        members = Members(grid, terms, turn, wanted, strict=strict, tell=self.tell)
        plan.schedule = Federated(plan.schedule, task, members)
        plan.augment = None  # the clients'
        # A round is an epoch of one batch to the run's loop.
        plan.training = dataclasses.replace(
            training,
            epochs=training.epochs // each,
            batch=len(data.train),
            evaluate_every=max(1, training.evaluate_every // each),
            checkpoint_every=1,  # a round is dear: others did its work
        )


def rehearse(recipe: Recipe, parts: Sequence[Dataset], machine: Machine) -> Any:
    """Flower's grid of clients of this process, one for each data set."""
    from . import flower

    def owner(context: Any) -> Local:
        client = int(context.node_config["partition-id"])
        return Local(recipe, client, parts[client], machine)

    contexts = [flower.context(client, len(parts)) for client in range(len(parts))]
    return flower.InProcess(flower.client_app(owner), {c.node_id: c for c in contexts})


def _kind(data: Dataset) -> dict[str, Any]:
    """What samples a client needs, for it to hold its own against."""
    return {
        "name": data.name,
        "shape": list(data.shape),
        "classes": data.classes,
        "label_names": list(data.label_names),
        "target": data.target,
        "origin": "file",
        "note": None,
    }


def _only(data: Dataset, split: Split, index: torch.Tensor) -> Dataset:
    """A data set with these training samples alone."""
    none = Split(split.x[:0], split.y[:0])
    train = Split(split.x[index], split.y[index])
    return dataclasses.replace(data, train=train, validation=none, test=none)


def _files(terms: Federation) -> list[Path]:
    """A client's each, in order of their names.  Raises BadInput where there is none."""
    assert terms.files is not None
    folder = Path(terms.files)
    found = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if not found:
        raise BadInput(f"files wants a folder with an .npz of each client, and {folder} has none")
    return found


def _words(terms: Federation) -> list[str]:
    """The flags that say these terms."""
    words: list[str] = []
    for field in dataclasses.fields(terms):
        value = getattr(terms, field.name)
        if value != field.default:
            words += [f"--{field.name}", str(value)]
    return words


def _refuse_other_terms(before: Any, terms: Federation, folder: Path) -> None:
    usual = dataclasses.asdict(Federation())  # of what was not there to be set before
    if not isinstance(before, dict) or {**usual, **before} != dataclasses.asdict(terms):
        raise BadInput(f"{folder}'s checkpoint is of a federation on other terms: put its own back")
