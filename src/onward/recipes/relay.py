"""Relay: a row's cells trained at different sites, a file of latents from each to the next.

The first site has the samples, trains cell 0 and writes what it answers. The next site has nothing
but that file, trains cell 1 on it, and so on; the last one has all files and the labels, and trains
the readout. Weights and readout equal those of the same row under ``--regime separate`` in one
process, bit for bit on the same kind of machine.

What travels is n * dim(z) numbers once for each cell (digest UFF section 6): no label, weight or
gradient.
"""

import dataclasses
import json
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import checkpoint, data, latents, schedules, signatures, train
from ..algorithms import Clean
from ..cells import Untouched
from ..cells.lengths import Normalise
from ..data import Dataset, Split
from ..errors import BadInput
from ..files import write_atomically
from ..flops import counted
from ..latents import Latents
from ..local import Station
from ..plan import Machine, Plan
from ..prefix import CHUNK
from ..progress import Progress
from ..record import Record, read, write
from ..row import Row
from ..run import Run
from ..version import __version__
from . import NAMES, find, recorded
from .recipe import Recipe

FILE = "latents.safetensors"
"""What a site hands on, in the folder of its run."""

HEAD = "readout"


@dataclasses.dataclass(frozen=True)
class _Site:
    """One part of a row: where it stands, its own plan and what it learns from."""

    part: int | str  # a cell's number, or HEAD
    plan: Plan
    dataset: Dataset
    about: dict[str, Any]  # of the row: recipe, settings, seed, samples
    read: Sequence[str] = ()  # identities of the files of latents that it learns from

    @property
    def name(self) -> str:
        """cell-0, cell-1, ..., readout."""
        return HEAD if self.part == HEAD else f"cell-{self.part}"


def first(
    recipe: Recipe,
    settings: Any,
    *,
    seed: int,
    machine: Machine,
    out: Path,
    data_path: str | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Record:
    """Train cell 0 of a recipe's row on the samples, and write its latents into ``out``."""
    if seed < 0:
        raise BadInput(f"seed should be 0 or more, and is {seed}")
    machine.resolve()
    dataset = recipe.data(settings, data.load(settings.dataset, data_path))
    if getattr(settings, "regime", None) == "simultaneous":  # a relay's cells are not
        settings = dataclasses.replace(settings, regime="separate")
    about = {
        "recipe": name or recipe.name,
        "settings": dataclasses.asdict(settings),
        "seed": seed,
        "data": dataset.describe(),
    }
    site = _cell_site(recipe, settings, seed, 0, dataset, about)
    return _train(site, machine, out, _local(data_path), progress)


def following(
    files: Sequence[Path],
    *,
    machine: Machine,
    out: Path,
    data_path: str | None = None,
    recipe: str | None = None,
    progress: Progress | None = None,
) -> Record:
    """Train what follows on files of latents: the next cell on one, the readout on those of all.

    ``data_path`` is where the labels are, for the readout alone; ``recipe`` names a recipe of one's
    own (``module:attribute``), which is never taken from a file. Raises BadInput where the files
    are not of one row, or not those that something can follow.
    """
    machine.resolve()
    site = _site([latents.read(path) for path in files], data_path, recipe)
    local: dict[str, Any] = {"latents": [str(path.resolve()) for path in files]}
    local |= _local(data_path)
    return _train(site, machine, out, local, progress)


def _local(data_path: str | None) -> dict[str, Any]:
    return {} if data_path is None else {"data": str(Path(data_path).resolve())}


def sign(path: Path, key: Path) -> Path:
    """Sign a file of latents into PATH.sig with a private key.  -> where the signature is.

    Raises BadInput for what is no such file, whole and as it was written, and no such key.
    """
    return signatures.sign(path, latents.signed(path), key)


def signer(path: Path, keys: Sequence[Path]) -> Path:
    """Which of the public ``keys`` signed a file of latents. Raises BadInput where none did."""
    return signatures.signer(path, latents.signed(path), keys)


def resume(
    folder: Path,
    *,
    data_path: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Record:
    """Go on with an interrupted part, and write the latents that it had not yet written."""
    record, local = read(folder), recorded.local_of(folder)
    recipe, settings = recorded.recipe_of(record, folder)
    machine, place = recorded.machine_of(record, threads), data_path or local.get("data")
    if record["part"] == "cell-0":
        dataset = recipe.data(settings, data.load(settings.dataset, place))
        about = {"recipe": record["recipe"], "settings": record["settings"]}
        about |= {"seed": record["seed"], "data": dataset.describe()}
        site = _cell_site(recipe, settings, record["seed"], 0, dataset, about)
    else:
        files = [latents.read(Path(path)) for path in local.get("latents", [])]
        if not files:
            raise BadInput(f"{folder} does not say which latents it learned from: start it anew")
        site = _site(files, place, record["recipe"])
    if site.dataset.fingerprint() != record["data"]["fingerprint"]:
        raise BadInput(f"{folder} began with other data or latents: put those back")
    run = Run(site.plan, site.dataset, machine, record, folder, progress)
    if checkpoint.positions(folder / "checkpoint"):
        run.resume(checkpoint.load(folder / "checkpoint"))
    if record["status"] != "finished":
        run.train()
    _hand_on(site, folder)
    return read(folder)


def waits(folder: Path) -> bool:
    """Whether a part's training is over and its latents are not written."""
    record = read(folder)
    if record.get("part", HEAD) == HEAD:
        return False
    return not (folder / FILE).exists() or not record.get("latents", {}).get("written")


def _site(files: Sequence[Latents], data_path: str | None, own: str | None) -> _Site:
    """What follows on some files."""
    about = _one_row(files)
    if own is None and about["recipe"] not in NAMES:
        raise BadInput(
            f"{files[0].path} is of {about['recipe']!r}, no recipe of Onward: name it with "
            "--recipe MODULE:ATTRIBUTE if you have its file and trust it"
        )
    recipe = find(own or about["recipe"])
    settings = recorded.settings_of(recipe, about["settings"], str(files[0].path))
    plan = recipe.build(settings, recorded.blank(about), about["seed"])
    cells, have = len(plan.row.stations), [file.cell for file in files]
    if have == list(range(cells)):
        if plan.row.readout is None:
            raise BadInput(f"{about['recipe']} has no readout to train")
        site = _head_site(recipe, settings, files, about, data_path)
        return dataclasses.replace(site, read=[file.identity for file in files])
    if len(files) > 1:
        raise BadInput(
            f"the readout wants the latents of all {cells} cells, in order, and got those of "
            f"{', '.join(f'cell-{n}' for n in have)}; the next cell wants one file"
        )
    number = have[0] + 1
    if number >= cells:
        raise BadInput(f"cell-{have[0]} is the row's last: the readout wants the files of all")
    if data_path is not None:
        raise BadInput("--data is for the first cell and for the readout: leave it out")
    tensors = files[0].tensors
    splits = [Split(x, torch.zeros(len(x), dtype=torch.long)) for x in tensors.values()]
    name = f"{about['data']['name']}, latents of cell-{number - 1}"
    dataset = Dataset(name, splits[0], splits[1], splits[2], 1, (), "latents")
    site = _cell_site(recipe, settings, about["seed"], number, dataset, about)
    return dataclasses.replace(site, read=[files[0].identity])


def _one_row(files: Sequence[Latents]) -> dict[str, Any]:
    """What is said of the row in all files. Raises BadInput where they are not of one."""
    about = files[0].about
    for one, other in pairwise(files):
        for key in ("recipe", "settings", "seed", "data"):
            if one.about.get(key) != other.about.get(key):
                raise BadInput(
                    f"{one.path} and {other.path} are not of one row: they differ in {key}"
                )
    try:
        fields = {key: about[key] for key in ("recipe", "settings", "seed", "data")}
        int(fields["seed"]), dict(fields["settings"]), list(fields["data"]["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{files[0].path} does not say of which row it is ({error})") from error
    return fields


def _cell_site(
    recipe: Recipe, settings: Any, seed: int, number: int, dataset: Dataset, about: dict[str, Any]
) -> _Site:
    source = dataset if number == 0 else recorded.blank(about)
    whole = recipe.build(settings, source, seed)
    station = whole.row.stations[number]
    wanted, came = getattr(station.cell, "inputs", None), dataset.train.x[0].numel()
    if number > 0 and wanted is not None and wanted != came:
        raise BadInput(f"{station.name} takes {wanted} numbers a sample, and the file has {came}")
    row = Row([station], whole.row.algorithm, None, counted=(0,))
    schedule = partial(schedules.alone, order=number)
    plan = Plan(row, schedule, whole.training, whole.augment)
    return _Site(number, plan, dataset, about)


def _head_site(
    recipe: Recipe,
    settings: Any,
    files: Sequence[Latents],
    about: dict[str, Any],
    data_path: str | None,
) -> _Site:
    labelled = recipe.data(settings, data.load(settings.dataset, data_path))
    if labelled.fingerprint() != about["data"]["fingerprint"]:
        raise BadInput(
            f"the labels are of other data than the latents ({about['data']['name']}): their "
            "fingerprints differ. Name the original with --data PATH"
        )
    # Built on the labels: a readout of a number keeps their mean and spread.
    plan = recipe.build(settings, labelled, about["seed"])
    row = plan.row
    head = row.linear()
    assert head is not None
    chosen = [files[i] for i in head.read]
    widths = [file.tensors["train"][0].numel() for file in chosen]
    if sum(widths) != head.linear.in_features:
        raise BadInput(
            f"the readout reads {head.linear.in_features} numbers, and the files have {sum(widths)}"
        )
    splits: dict[str, Any] = {}
    for split in latents.SPLITS:
        parts = [file.tensors[split].flatten(1) for file in chosen]
        y = getattr(labelled, split).y
        if any(len(part) != len(y) for part in parts):
            raise BadInput(f"the {split} split has {len(y)} labels and other counts of latents")
        splits[split] = Split(torch.cat(parts, dim=1), y)
    dataset = dataclasses.replace(labelled, **splits, origin="latents")
    # The same readout, on one cell that hands it all latents side by side.
    head.normalise = partial(_each, widths, head.normalise)
    head.read = (0,)
    beside = Station("answers", Untouched(sum(widths)), {})
    single = Row([beside], Clean(), row.readout, counted=(0,))
    schedule = partial(schedules.frozen, order=len(row.stations))
    return _Site(HEAD, Plan(single, schedule, plan.training), dataset, about)


def _each(widths: Sequence[int], normalise: Normalise, x: Tensor) -> Tensor:
    """Each cell's latents normalised by themselves.  x [B, F] -> [B, F], F = sum of ``widths``."""
    return torch.cat([normalise(part) for part in torch.split(x, list(widths), dim=1)], dim=1)


def _train(
    site: _Site, machine: Machine, out: Path, local: dict[str, Any], progress: Progress | None
) -> Record:
    about = site.about
    recipe = find(about["recipe"])
    record = train.new_record(
        site.plan,
        site.dataset,
        machine,
        about["seed"],
        about["settings"],
        recipe=about["recipe"],
        claim=recipe.claim,
        source=recipe.source,
        command=_command(site, recipe, machine, local, out),
    )
    record["part"] = site.name
    record["latents"] = {"read": list(site.read), "written": None, "bytes": 0}
    run = Run(site.plan, site.dataset, machine, record, out, progress)
    train.claim_folder(out, resume=False)
    if local:
        write_atomically(out / train.LOCAL, json.dumps(local).encode())
    run.train()
    _hand_on(site, out)
    return read(out)


def _command(
    site: _Site, recipe: Recipe, machine: Machine, local: dict[str, Any], out: Path
) -> str:
    """What anyone could type in the folder that holds the sites' folders."""
    if site.part == 0:
        settings = recorded.settings_of(recipe, site.about["settings"], "the settings")
        typed = [
            recorded.command(
                recipe, site.about["recipe"], settings, site.about["seed"], machine, "relay"
            ),
            shlex.join([*own_data(settings, local.get("data")), "--out", out.name]),
        ]
        return " ".join(typed)
    files = [Path(path) for path in local["latents"]]
    typed = ["onward", "relay", *(f"{file.parent.name}/{file.name}" for file in files)]
    typed += ["--threads", str(machine.threads)] if machine.threads else []
    settings = recorded.settings_of(recipe, site.about["settings"], "the settings")
    typed += own_data(settings, local.get("data"))
    return shlex.join([*typed, "--out", out.name])


def own_data(settings: Any, place: str | None) -> list[str]:
    """The words that name a file of one's own, in a command that anyone may read."""
    if place is None or not data.is_own_file(settings.dataset, place):
        return []
    return ["--data", Path(place).name]


def _hand_on(site: _Site, folder: Path) -> None:
    """Write what a trained cell answers to every sample, for the next site."""
    if site.part == HEAD:
        return
    cell = site.plan.row.cells[0]
    splits = {split: getattr(site.dataset, split).x for split in latents.SPLITS}
    shape = _answer(cell, splits["train"][:1]).shape[1:]
    _, flops = counted(lambda: _answer(cell, splits["train"][:1]))
    answers = {split: ((len(x), *shape), _answers(cell, x)) for split, x in splits.items()}
    about = {**site.about, "cell": site.part, "onward": __version__}
    written = latents.write(folder / FILE, about, answers)
    record = read(folder)
    if not record.get("latents", {}).get(
        "written"
    ):  # frozen outputs are work of the training, as in one run
        record["cost"]["flops"] += flops * len(splits["train"])
    size = (folder / FILE).stat().st_size
    record["latents"] = {"read": list(site.read), "written": written, "bytes": size}
    write(folder / "record.json", record)


def _answers(cell: nn.Module, x: Tensor) -> Iterator[Tensor]:
    """Piece by piece, of the size in which a row in one process stores them."""
    for at in range(0, len(x), CHUNK):
        yield _answer(cell, x[at : at + CHUNK])


@torch.no_grad()
def _answer(cell: nn.Module, x: Tensor) -> Tensor:
    device = next((p.device for p in cell.parameters()), x.device)
    return torch.as_tensor(cell(x.to(device)))
