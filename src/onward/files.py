"""Writing files so that a reader, or a killed writer, never leaves or finds half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import BadInput


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or the file of before: written beside, flushed to disk, then renamed."""
    beside = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        write_through(beside, content)
        os.replace(beside, path)
    except OSError as error:
        raise BadInput(f"{path} could not be written: {error.strerror or error}") from error
    finally:  # also when Ctrl-C comes in between
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else works in this folder meanwhile. Raises BadInput where somebody does.

    The lock goes with the process, so a killed run leaves nothing to clean up.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system: no lock
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise BadInput(
            f"another process is at work in {folder}: wait for it, or stop it"
        ) from error
    try:
        yield
    finally:
        os.close(handle)


def write_through(path: Path, content: bytes) -> None:
    """A new file, on the disk before this returns. Raises OSError."""
    with open(path, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A file that wasn't there, with these rights from its first moment on. Raises BadInput."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise BadInput(f"{path} is there already, and is not overwritten: move it away") from error
    except OSError as error:
        raise BadInput(f"{path} could not be written: {error.strerror or error}") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """A folder's list of names, on the disk before this returns. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
