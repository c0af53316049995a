"""Checkpoints: everything that decides what comes next, so that a resumed run equals the rest.

```
checkpoint/
  0000012500/               training steps done; the last two positions are kept
    cell-0.safetensors      cell/NAME its parameters and buffers, optimizer/GROUP/I/NAME their state
    ...
    readout.safetensors
    random.safetensors      states of the random generators
    state.json              position, sums of the epoch under way, optimiser settings, the record
    manifest.json           SHA-256 of each of these files
```

A position is written under a name that starts with a dot and renamed when it is whole. Nothing is
ever unpickled: a file that is not safetensors or JSON with the right checksum is refused.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor

from .errors import BadInput
from .files import write_through
from .local import Station

FORMAT = 1
KEPT = 2
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


@dataclass(frozen=True)
class Saved:
    """A checkpoint as read: ``state`` from JSON, ``tensors`` file stem -> name -> tensor."""

    path: Path
    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def save(
    folder: Path,
    position: int,
    stations: list[Station],
    random: dict[str, Tensor],
    state: dict[str, Any],
) -> Path:
    """Write a position (training steps done) into ``folder`` and forget all but the last two.

    Raises BadInput where the disk refuses; what was there before is untouched.
    """
    files = {f"{s.name}.safetensors": serialise(_tensors(s)) for s in stations}
    files["random.safetensors"] = serialise(random)
    settings = {s.name: _settings(s) for s in stations}
    whole = {"format": FORMAT, "optimizers": settings, **state}
    files["state.json"] = json.dumps(whole, allow_nan=True).encode()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files["manifest.json"] = json.dumps(sums, indent=1).encode()

    final = folder / f"{position:010d}"
    beside = folder / f".{final.name}.{os.getpid()}"
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            write_through(beside / name, content)
        if final.exists():  # a resumed run passes its own positions again
            final.rename(folder / f".old-{final.name}.{os.getpid()}")
        beside.rename(final)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        kept = positions(folder)
        last = f"the last good one is {kept[-1]}" if kept else "there is none before it"
        raise BadInput(
            f"the checkpoint {final} could not be written ({error.strerror or error}); {last}. "
            "Mend that, and go on with `onward resume`"
        ) from error
    for old in positions(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    for left in folder.glob(".*"):
        shutil.rmtree(left, ignore_errors=True)
    return final


def positions(folder: Path) -> list[Path]:
    """The whole checkpoints in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name.isdigit())


def load(folder: Path) -> Saved:
    """The newest checkpoint in a run's ``checkpoint`` folder, checked byte for byte."""
    found = positions(folder)
    if not found:
        raise BadInput(f"{folder} holds no checkpoint")
    path = found[-1]
    way_out = (
        f"remove {path} to go back to {found[-2]}" if len(found) > 1 else "it is the only one there"
    )
    sums = _json(path / "manifest.json", way_out)
    tensors: dict[str, dict[str, Tensor]] = {}
    state: dict[str, Any] = {}
    _refuse_pickles(path)
    for name, wanted in sums.items():
        content = _bytes(path / name, way_out)
        if content[:2] in (b"\x80\x02", b"\x80\x04", b"PK"):
            raise BadInput(f"{path / name} holds a pickle, and Onward never unpickles; {way_out}")
        if hashlib.sha256(content).hexdigest() != wanted:
            raise BadInput(
                f"{path / name} is damaged: its SHA-256 is not the one in manifest.json; {way_out}"
            )
        if name == "state.json":
            state = json.loads(content)
            continue
        try:
            tensors[Path(name).stem] = parse(content)
        except SafetensorError as error:
            raise BadInput(f"{path / name} is not safetensors ({error}); {way_out}") from error
    if "format" not in state:
        raise BadInput(f"{path} is not a checkpoint of Onward: it has no state.json; {way_out}")
    if state["format"] > FORMAT:
        raise BadInput(
            f"{path} is of format {state['format']}, and this Onward knows up to {FORMAT}: "
            "go on with a newer Onward"
        )
    return Saved(path, state, tensors)


def restore(saved: Saved, stations: list[Station], *, optimizers: bool = True) -> None:
    """Put a checkpoint's cells, readout and (for training on) optimisers into stations."""
    for station in stations:
        tensors = saved.tensors.get(station.name)
        if tensors is None:
            raise BadInput(f"{saved.path} is of another run: it has no {station.name}")
        cell = {k.removeprefix("cell/"): v for k, v in tensors.items() if k.startswith("cell/")}
        own = station.cell.state_dict()
        for name in sorted(own.keys() | cell.keys()):
            came = tuple(cell[name].shape) if name in cell else "nothing"
            wanted = tuple(own[name].shape) if name in own else "nothing"
            if came != wanted:
                raise BadInput(
                    f"{saved.path} is of another run: {station.name} has {name} {wanted}, "
                    f"and the file holds {came}"
                )
        station.cell.load_state_dict(cell)
        if optimizers:
            _restore_optimizers(station, tensors, saved.state["optimizers"][station.name])


def _restore_optimizers(station: Station, tensors: dict[str, Tensor], settings: Any) -> None:
    for group, optimizer in station.optimizers.items():
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            kind, *rest = key.split("/")
            if kind == "optimizer" and rest[0] == group:
                state.setdefault(int(rest[1]), {})[rest[2]] = value
        for index, numbers in settings[group]["numbers"].items():
            state.setdefault(int(index), {}).update(numbers)
        optimizer.load_state_dict({"state": state, "param_groups": settings[group]["groups"]})


def _tensors(station: Station) -> dict[str, Tensor]:
    found = {f"cell/{k}": v for k, v in station.cell.state_dict().items()}
    for group, optimizer in station.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    found[f"optimizer/{group}/{index}/{name}"] = value
    return {k: v.detach().cpu().contiguous() for k, v in found.items()}


def _settings(station: Station) -> dict[str, Any]:
    """What of an optimiser is not a tensor."""
    found: dict[str, Any] = {}
    for group, optimizer in station.optimizers.items():
        whole = optimizer.state_dict()
        numbers = {
            str(index): {k: v for k, v in state.items() if not isinstance(v, Tensor)}
            for index, state in whole["state"].items()
        }
        found[group] = {"groups": whole["param_groups"], "numbers": numbers}
    return found


def _bytes(path: Path, way_out: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror or error}); {way_out}") from error


def _json(path: Path, way_out: str) -> dict[str, str]:
    try:
        sums = json.loads(_bytes(path, way_out))
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}); {way_out}") from error
    plain = isinstance(sums, dict) and all(
        isinstance(v, str) and Path(k).name == k for k, v in sums.items()
    )
    if not plain:
        raise BadInput(f"{path} is not a checkpoint's list of files; {way_out}")
    return dict(sums)


def _refuse_pickles(path: Path) -> None:
    for file in sorted(path.iterdir()):
        if file.suffix in _PICKLES:
            raise BadInput(
                f"{file} looks like a pickle (torch.save), and Onward never unpickles: a "
                "checkpoint holds safetensors and JSON only. Remove it if you trust the rest"
            )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
