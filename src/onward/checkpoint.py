"""Checkpoints: everything that decides what comes next, so that a resumed run equals the rest.

```
checkpoint/
  0000012500/               training steps done; the last two positions are kept
    cell-0.safetensors      cell/NAME its parameters and buffers, optimizer/GROUP/I/NAME their state
    ...
    readout.safetensors
    random.safetensors      states of the random generators
    memory.safetensors      what schedule and algorithm keep from step to step, where they do
    state.json              position, sums of the epoch under way, optimiser settings, the record
    manifest.json           SHA-256 of each of these files
```

A position is written under a name that starts with a dot and renamed when it is whole; a whole one
is never written again. Nothing is ever unpickled: a file that is not safetensors or JSON with the
right checksum is refused.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor

from .errors import BadInput
from .files import sync_folder, write_through
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
    memory: Mapping[str, Tensor] = MappingProxyType({}),
) -> Path:
    """Write a position (training steps done) into ``folder`` and forget all but the last two.

    A position that is there already stays: a run comes by the same one with the same weights, and
    goes on from it to the same end. Raises BadInput where the disk refuses; what was there before
    is untouched.
    """
    final = folder / f"{position:010d}"
    if final.exists():
        return final
    files = {f"{s.name}.safetensors": serialise(tensors_of(s)) for s in stations}
    files["random.safetensors"] = serialise(random)
    if memory:
        kept = {k: v.detach().cpu().contiguous() for k, v in memory.items()}
        files["memory.safetensors"] = serialise(kept)
    settings = {s.name: settings_of(s) for s in stations}
    whole = {"format": FORMAT, "optimizers": settings, **state}
    files["state.json"] = json.dumps(whole, allow_nan=True).encode()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files["manifest.json"] = json.dumps(sums, indent=1).encode()

    for left in folder.glob(".*"):  # by a writer that was killed
        shutil.rmtree(left, ignore_errors=True)
    beside = folder / f".{final.name}.{os.getpid()}"
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            write_through(beside / name, content)
        sync_folder(beside)
        beside.rename(final)
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        there = positions(folder)
        last = f"the last good one is {there[-1]}" if there else "there is none before it"
        raise BadInput(
            f"the checkpoint {final} could not be written ({error.strerror or error}); {last}. "
            "Mend that, and go on with `onward resume`"
        ) from error
    for old in positions(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
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
    try:
        return _whole(found[-1], "")
    except BadInput:  # only now the one before is read, to say whether it would do
        return _whole(found[-1], _way_out(found))


def _way_out(found: list[Path]) -> str:
    """What to do where the newest of these checkpoints is damaged."""
    if len(found) < 2:
        return "it is the only one there"
    path, before = found[-1], found[-2]
    try:
        _whole(before, "")
    except BadInput:
        return f"and {before}, the one before, is damaged too: none is left to go on from"
    return f"remove {path} to go back to {before}"


def _whole(path: Path, way_out: str) -> Saved:
    """One checkpoint, checked byte for byte."""
    _refuse_pickles(path)
    sums = _manifest(path / "manifest.json", way_out)
    files = {name: _checked(path / name, wanted, way_out) for name, wanted in sums.items()}
    if "state.json" not in files:
        raise BadInput(f"{path} is not a checkpoint of Onward: it has no state.json; {way_out}")
    state = _state(path, files.pop("state.json"), way_out)
    tensors = {Path(n).stem: _parsed(path / n, content, way_out) for n, content in files.items()}
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
        if not optimizers:
            continue
        try:
            _restore_optimizers(station, tensors, saved.state["optimizers"][station.name])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise BadInput(
                f"{saved.path} is of another run: the optimiser of {station.name} is not like that"
            ) from error


def recall(saved: Saved, memory: Mapping[str, Tensor]) -> None:
    """Put what a schedule and an algorithm had kept back into their tensors."""
    before = saved.tensors.get("memory", {})
    for name, tensor in memory.items():
        if name not in before or before[name].shape != tensor.shape:
            raise BadInput(f"{saved.path} is of another run: its memory has no {name} like this")
        tensor.copy_(before[name])


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


def tensors_of(station: Station) -> dict[str, Tensor]:
    """A station's weights, buffers and optimiser states, by the names they have in its file."""
    found = {f"cell/{k}": v for k, v in station.cell.state_dict().items()}
    for group, optimizer in station.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    found[f"optimizer/{group}/{index}/{name}"] = value
    return {k: v.detach().cpu().contiguous() for k, v in found.items()}


def settings_of(station: Station) -> dict[str, Any]:
    """What of a station's optimisers is not a tensor, by group."""
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


def _checked(path: Path, wanted: str, way_out: str) -> bytes:
    """A file's bytes, if their sum is the manifest's."""
    content = _bytes(path, way_out)
    if hashlib.sha256(content).hexdigest() == wanted:
        return content
    # Looked at only now: a sound safetensors file may begin with the same bytes, its length.
    if content[:1] == b"\x80" or content[:2] == b"PK":
        raise BadInput(f"{path} holds a pickle, and Onward never unpickles; {way_out}")
    raise BadInput(f"{path} is damaged: its SHA-256 is not the one in manifest.json; {way_out}")


def _parsed(path: Path, content: bytes, way_out: str) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = parse(content)
    except SafetensorError as error:
        why = " ".join(str(error).split())
        raise BadInput(f"{path} is not safetensors ({why}); {way_out}") from error
    return found


def _state(path: Path, content: bytes, way_out: str) -> dict[str, Any]:
    try:
        state = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path / 'state.json'} is damaged ({error}); {way_out}") from error
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise BadInput(f"{path / 'state.json'} has no format number; {way_out}")
    if state["format"] > FORMAT:
        raise BadInput(
            f"{path} is of format {state['format']}, and this Onward knows up to {FORMAT}: "
            "go on with a newer Onward"
        )
    return state


def _manifest(path: Path, way_out: str) -> dict[str, str]:
    try:
        sums = json.loads(_bytes(path, way_out))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is damaged ({error}); {way_out}") from error
    plain = isinstance(sums, dict) and all(
        isinstance(v, str) and Path(k).name == k for k, v in sums.items()
    )
    if not plain:
        raise BadInput(f"{path} is not a checkpoint's list of files; {way_out}")
    return dict(sums)


def _refuse_pickles(path: Path) -> None:
    """A folder with a file of torch.save in it was not written here."""
    for file in sorted(path.iterdir()):
        if file.suffix in _PICKLES:
            raise BadInput(
                f"{file} looks like a pickle (torch.save), and Onward never unpickles: a "
                "checkpoint holds safetensors and JSON only. Remove it if you trust the rest"
            )
