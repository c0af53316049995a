"""Checkpoints: whole or not there, checked byte for byte, and never unpickled."""

import ast
import builtins
import hashlib
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import TINY, onward, weights
from safetensors import safe_open
from safetensors.torch import save as serialise
from torch import nn

import onward as ow
from onward import checkpoint
from onward.errors import BadInput
from onward.local import Station
from onward.optimizers import adamw, sgd

SOURCE = Path(ow.__file__).parent


def stations(seed: int = 0) -> list[Station]:
    """Two cells that have learned a little, with the state of both kinds of optimiser."""
    torch.manual_seed(seed)
    found = []
    for number, maker in enumerate((sgd(0.1), adamw(0.1))):
        cell = nn.Linear(3, 3)
        optimizer = maker(cell.parameters())
        cell(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        found.append(Station(f"cell-{number}", cell, {"cell": optimizer}))
    return found


RANDOM = {"negatives": torch.arange(9, dtype=torch.uint8)}


def save(folder: Path, position: int, seed: int = 0) -> Path:
    state = {"position": {"steps": position}, "record": {}}
    return checkpoint.save(folder, position, stations(seed), RANDOM, state)


def tensors_of(station: Station) -> dict[str, torch.Tensor]:
    return checkpoint.tensors_of(station)


def test_a_round_trip(tmp_path: Path) -> None:
    save(tmp_path, 5)
    saved = checkpoint.load(tmp_path)
    assert saved.state["position"] == {"steps": 5}
    assert saved.tensors["random"]["negatives"].equal(RANDOM["negatives"])
    wanted, fresh = stations(), stations(seed=1)
    checkpoint.restore(saved, fresh)
    for one, other in zip(wanted, fresh, strict=True):
        before, after = tensors_of(one), tensors_of(other)
        assert before.keys() == after.keys()
        assert all(before[name].equal(after[name]) for name in before)
        settings = (checkpoint.settings_of(station) for station in (one, other))
        first, second = (json.dumps(one, sort_keys=True) for one in settings)
        assert first == second


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for position in (3, 20, 100, 1000):
        save(tmp_path, position)
        assert checkpoint.load(tmp_path).state["position"] == {"steps": position}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0000000100", "0000001000"]


def test_a_position_that_is_there_stays(tmp_path: Path) -> None:
    """A run comes by its own positions again, with the same weights: nothing is taken apart."""
    first = save(tmp_path, 3)
    before = {p: p.stat().st_mtime_ns for p in first.iterdir()}
    assert save(tmp_path, 3) == first
    assert {p: p.stat().st_mtime_ns for p in first.iterdir()} == before


def test_what_a_killed_writer_left_is_no_hindrance(tmp_path: Path) -> None:
    """The same process number comes again, in a container for example."""
    left = tmp_path / f".{5:010d}.{os.getpid()}"
    left.mkdir()
    (left / "cell-0.safetensors").write_bytes(b"half")
    assert checkpoint.positions(tmp_path) == []
    save(tmp_path, 5)
    assert [p.name for p in tmp_path.iterdir()] == [f"{5:010d}"]


def failing(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Make the at-th call to the operating system fail; returns the calls as they come."""
    seen: list[str] = []

    def guard(name: str, sound: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            seen.append(name)
            if len(seen) == at:
                raise OSError(5, "Input/output error")
            return sound(*args, **more)

        return call

    for name in ("mkdir", "rename"):
        monkeypatch.setattr(Path, name, guard(name, getattr(Path, name)))
    monkeypatch.setattr(os, "fsync", guard("fsync", os.fsync))
    monkeypatch.setattr(os, "open", guard("os.open", os.open))
    monkeypatch.setattr(builtins, "open", guard("open", builtins.open))
    return seen


def test_a_failure_at_every_call_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "count", 1)
    with monkeypatch.context() as watched:
        calls = failing(watched, at=0)
        save(tmp_path / "count", 2)
    assert {"mkdir", "open", "fsync", "os.open", "rename"} <= set(calls)
    for at in range(1, len(calls) + 1):
        folder = tmp_path / str(at)
        save(folder, 1)
        with monkeypatch.context() as broken:
            seen = failing(broken, at)
            with pytest.raises(BadInput, match="Input/output error") as refused:
                save(folder, 2)
        assert "could not be written" in str(refused.value)
        # Where only the last flush failed the new one is there, and whole.
        renamed = "rename" in seen[: at - 1]
        assert checkpoint.load(folder).state["position"] == {"steps": 2 if renamed else 1}
        assert not list(folder.glob(".*"))
        save(folder, 3)
        assert checkpoint.load(folder).state["position"] == {"steps": 3}


def newest(run: Path) -> Path:
    return checkpoint.positions(run / "checkpoint")[-1]


NAMES = ["cell-0.safetensors", "cell-1.safetensors", "readout.safetensors", "random.safetensors"]
FILES = [*NAMES, "state.json", "manifest.json"]


@pytest.mark.parametrize("name", FILES)
def test_one_bit_flipped(copied: Path, name: str) -> None:
    file, dice = newest(copied) / name, random.Random(name)
    sound = file.read_bytes()
    for _ in range(12):
        bit = dice.randrange(8 * len(sound))
        spoiled = bytearray(sound)
        spoiled[bit // 8] ^= 1 << bit % 8
        file.write_bytes(spoiled)
        said = onward("eval", copied).complaint
        assert str(newest(copied)) in said
        if name != "manifest.json":
            assert f"{file} is damaged: its SHA-256 is not the one in manifest.json" in said
        assert "0000000020" in said or "is of another run" in said, "the way back is told"
    file.write_bytes(sound)
    assert onward("eval", copied).code == 0


def test_the_way_back_leads_to_a_whole_checkpoint(copied: Path) -> None:
    older, newer = checkpoint.positions(copied / "checkpoint")
    (newer / "cell-0.safetensors").write_bytes(b"")
    assert f"remove {newer} to go back to {older}" in onward("eval", copied).complaint
    (older / "cell-1.safetensors").write_bytes(b"")
    said = onward("eval", copied).complaint
    assert f"and {older}, the one before, is damaged too: none is left" in said
    assert "remove" not in said


@pytest.mark.parametrize("name", FILES)
def test_truncated_or_missing(copied: Path, name: str) -> None:
    file = newest(copied) / name
    content = file.read_bytes()
    for spoiled in (content[: len(content) // 2], b""):
        file.write_bytes(spoiled)
        assert str(file) in onward("eval", copied).complaint
    file.unlink()
    said = onward("eval", copied).complaint
    assert (
        f"{file} can't be read (No such file or directory); remove {newest(copied)} to go" in said
    )
    shutil.rmtree(newest(copied))
    assert onward("eval", copied).code == 0, "what the message says helps"


def resigned(run: Path, name: str, content: bytes) -> None:
    """A file replaced by somebody who also knows how to write the manifest."""
    place = newest(run)
    (place / name).write_bytes(content)
    sums = json.loads((place / "manifest.json").read_text())
    sums[name] = hashlib.sha256(content).hexdigest()
    (place / "manifest.json").write_text(json.dumps(sums))


def state_with(run: Path, **changes: Any) -> bytes:
    state = json.loads((newest(run) / "state.json").read_text())
    return json.dumps({**state, **changes}).encode()


class Boom:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os._exit, (99,))


def test_pickles_are_refused_unread(copied: Path) -> None:
    file = newest(copied) / "cell-0.safetensors"
    sound = file.read_bytes()
    torch.save({"a": torch.zeros(1)}, newest(copied) / "model.pt")
    assert (
        "model.pt looks like a pickle (torch.save), and Onward never"
        in onward("eval", copied).complaint
    )
    (newest(copied) / "model.pt").unlink()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps(Boom(), protocol))
        assert "cell-0.safetensors holds a pickle" in onward("eval", copied).complaint
        resigned(copied, file.name, pickle.dumps(Boom(), protocol))
        assert "cell-0.safetensors is not safetensors" in onward("eval", copied).complaint
    resigned(copied, file.name, sound)
    torch.save(Boom(), file)
    assert "cell-0.safetensors holds a pickle" in onward("eval", copied).complaint


@pytest.mark.parametrize("length", [0x280, 0x480])
def test_a_sound_file_that_begins_like_a_pickle(tmp_path: Path, length: int) -> None:
    """safetensors begin with the length of their header: 0x280 is written as bytes 80 02 ..."""
    for size in range(1, 300):
        cell = nn.Module()
        for number in range(9):
            cell.register_buffer(f"b{number}_{'x' * size}"[: 20 + size], torch.zeros(1))
        station = Station("cell-0", cell, {})
        content = serialise(checkpoint.tensors_of(station))
        if content[:2] == length.to_bytes(2, "little"):
            break
    else:
        pytest.fail("no header of that length")
    checkpoint.save(tmp_path, 1, [station], RANDOM, {})
    checkpoint.restore(checkpoint.load(tmp_path), [station])


BAD_STATES: list[tuple[dict[str, Any], str]] = [
    ({"format": 2}, "is of format 2, and this Onward knows up to 1: go on with a newer Onward"),
    ({"format": "x"}, "has no format number"),
    ({"position": {"stages": 1}}, "lacks where its run stood"),
    ({"position": 3}, "lacks where its run stood"),
    ({"record": {}}, "is not a record of Onward"),
    ({"record": None}, "is not a record of Onward"),
    ({"optimizers": {}}, "the optimiser of cell-0 is not like that"),
    ({"optimizers": {"cell-0": {"cell": {"groups": [], "numbers": {}}}}}, "optimiser of cell-0"),
]


@pytest.mark.parametrize(("changes", "says"), BAD_STATES)
def test_states_that_do_not_fit(copied: Path, changes: dict[str, Any], says: str) -> None:
    resigned(copied, "state.json", state_with(copied, **changes))
    path = copied / "record.json"
    path.write_text(path.read_text().replace('"status": "finished"', '"status": "running"'))
    assert says in onward("resume", copied).complaint


def test_manifests_that_point_elsewhere(copied: Path) -> None:
    manifest = newest(copied) / "manifest.json"
    sound = json.loads(manifest.read_text())
    for name in ("../x", "/etc/passwd", "a/../b", "..", "."):
        manifest.write_text(json.dumps({**sound, name: "0" * 64}))
        said = onward("eval", copied).complaint
        assert "is not a checkpoint's list of files" in said or "can't be read" in said
    for text in ("[]", "3", "null", '{"a": 1}', "[" * 100_000, "{}"):
        manifest.write_text(text)
        assert str(newest(copied)) in onward("eval", copied).complaint
    manifest.write_text(json.dumps({k: v for k, v in sound.items() if k != "random.safetensors"}))
    path = copied / "record.json"
    path.write_text(path.read_text().replace('"status": "finished"', '"status": "running"'))
    assert "lacks where its run stood" in onward("resume", copied).complaint


def test_a_checkpoint_of_another_run(copied: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert onward("run", "ff-digits", *TINY, "--width", 17, "--out", other).code == 0
    shutil.rmtree(copied / "checkpoint")
    assert "holds no checkpoint" in onward("eval", copied).complaint
    shutil.copytree(other / "checkpoint", copied / "checkpoint")
    said = onward("eval", copied).complaint
    assert "is of another run than the record beside it (other: " in said


def test_one_cell_is_readable_alone(finished: Path) -> None:
    with safe_open(newest(finished) / "cell-1.safetensors", framework="pt") as file:
        names = set(file.keys())
        assert {"cell/linear.weight", "cell/linear.bias"} <= names
        assert file.get_tensor("cell/linear.weight").shape == (16, 16)
    assert weights(finished)["cell-1/cell/linear.weight"].shape == (16, 16)


def test_nothing_in_the_source_unpickles_or_runs_text() -> None:
    modules = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert not modules & {alias.name for alias in node.names}, where
            if isinstance(node, ast.ImportFrom):
                assert node.module not in modules, where
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("eval", "exec", "torch.load"), where
                for keyword in node.keywords:
                    assert keyword.arg != "allow_pickle" or not ast.literal_eval(keyword.value)
