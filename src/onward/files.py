"""Writing files so that a reader, or a killed writer, never leaves or finds half of one."""

import os
from contextlib import suppress
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


def write_through(path: Path, content: bytes) -> None:
    """A new file, on the disk before this returns. Raises OSError."""
    with open(path, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """A folder's list of names, on the disk before this returns. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
