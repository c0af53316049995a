"""Runs that many tests look at, made once, and copies of them that a test may spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command import TINY, onward

Copy = Callable[[], Path]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run with its twin. Not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    done = onward("run", "ff-digits", *TINY, "--out", out)
    assert done.code == 0, done.err
    twin = onward("run", "bp-digits", *TINY, "--out", out / "twin")
    assert twin.code == 0, twin.err
    return out


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
