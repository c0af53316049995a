"""Calling the command as a user does: within this process, or as a program of its own."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from onward import checkpoint, record
from onward.cli import main

TINY = (
    *("--dataset", "synthetic", "--width", "16", "--cells", "2", "--epochs", "3"),
    *("--batch", "60", "--checkpoint_every", "1", "--threads", "1"),
)


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that a bad input is answered with, without its beginning."""
        assert self.code == 2, f"exit {self.code}: {self.err}"
        assert "Traceback" not in self.err, self.err
        (line,) = [line for line in self.err.splitlines() if line.startswith("onward: ")]
        assert self.err.endswith(line + "\n"), self.err
        return line.removeprefix("onward: ")


def onward(*words: object) -> Done:
    """The command within this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def program(*words: object, python: Sequence[str] = ("-m", "onward"), **more: Any) -> Done:
    """The command as a process of its own."""
    done = subprocess.run(
        [sys.executable, *python, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
        **more,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def environment(**more: str) -> dict[str, str]:
    """One thread, and no terminal's width."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **more}


def save_npz(path: Path | str, arrays: Mapping[str, Any]) -> None:
    """numpy.savez, with names that are not known beforehand."""
    save: Any = np.savez
    save(path, **arrays)


def weights(run: Path) -> dict[str, Tensor]:
    """Every tensor of a run's newest checkpoint, by file and name."""
    newest = checkpoint.positions(run / "checkpoint")[-1]
    files = sorted(newest.glob("*.safetensors"))
    return {f"{f.stem}/{name}": t for f in files for name, t in load_file(f).items()}


def essence(run: Path) -> dict[str, Any]:
    """A run's record without times, and without the source tree, which may change between two."""
    return {k: v for k, v in record.without_times(record.read(run)).items() if k != "commit"}


def same(one: Path, other: Path) -> None:
    """Two runs are equal: their records, and their weights bit for bit."""
    a, b = essence(one), essence(other)
    assert a.keys() == b.keys()
    for key in a:
        assert a[key] == b[key], key
    mine, yours = weights(one), weights(other)
    assert mine.keys() == yours.keys()
    for name in mine:
        assert mine[name].equal(yours[name]), name
