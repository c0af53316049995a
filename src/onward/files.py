"""Writing files so that a reader, or a killed writer, never leaves or finds half of one."""

import os
from pathlib import Path

from .errors import BadInput


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or the file of before: written beside, flushed to disk, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_through(beside, content)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BadInput(f"{path} could not be written: {error.strerror or error}") from error


def write_through(path: Path, content: bytes) -> None:
    """A new file, on the disk before this returns. Raises OSError."""
    with open(path, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
