"""A record's curves as event files for TensorBoard, which draws several runs over each other.

Made from the record and not while training, so that any run can be shown, a resumed one too, and
training waits for nothing. The time of an epoch is the run's start and its training seconds so far.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..record import read
from .quantities import number, numbers
from .records import Record, items, mapping

FOLDER = "tensorboard"


def write(run: Path) -> Path:
    """Write the curves of the run folder `run` to `run`/tensorboard/, in place of older ones.

    Raises `BadInput` where the record is missing or damaged, tensorboard is not installed, or the
    folder cannot be written.
    """
    record = read(run)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BadInput(
            "--tensorboard needs tensorboard, and it is not installed: "
            "pip install 'onward[tensorboard]'"
        ) from error
    final, beside = run / FOLDER, run / f".{FOLDER}.{os.getpid()}.tmp"
    began = datetime.fromisoformat(str(record["started"])).timestamp()
    seconds = [0.0]
    for one in numbers(mapping(record, "curves").get("seconds")):
        seconds.append(seconds[-1] + (one or 0.0))
    try:
        writer: Any = SummaryWriter(str(beside))
        for name, epoch, value in scalars(record):
            writer.add_scalar(name, value, epoch, walltime=began + seconds[epoch])
        writer.close()
        shutil.rmtree(final, ignore_errors=True)
        beside.rename(final)
    except OSError as error:
        raise BadInput(f"{final} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return final


def scalars(record: Record) -> Iterator[tuple[str, int, float]]:
    """(name, epoch from 1, value) of every number on a record's curves; errors are fractions."""
    curves = mapping(record, "curves")
    lines: dict[str, Any] = {key: curves.get(key) for key in ("readout_loss", "rate", "seconds")}
    for cell in items(curves, "cells"):
        lines |= {f"{key}/{cell['name']}": v for key, v in cell.items() if key != "name"}
    for readout, splits in mapping(curves, "readouts").items():
        lines |= {f"error_{readout}/{split}": values for split, values in splits.items()}
    for name, values in lines.items():
        for epoch, value in enumerate(values or [], 1):
            if (known := number(value)) is not None:
                yield name, epoch, known
