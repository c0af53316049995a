"""Readers of the file formats data sets come in: IDX, CIFAR binary, .npz.

Each reader knows beforehand what the file has to hold, checks sizes before it allocates, and
unpickles nothing. Everything wrong with a file is a `BadInput` that names the file.

Shapes: N samples, C channels, H rows and W columns of pixels, D features.
"""

import gzip
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from onward.errors import BadInput, not_finite

Bytes = NDArray[np.uint8]

CIFAR_SHAPE = (3, 32, 32)
CIFAR_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR_TEST = "test_batch.bin"
CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR_INSIDE = "cifar-10-batches-bin"  # the folder inside the archive

_CHANNELS = (1, 3, 4)

# What the standard library raises on a damaged or unreadable file.
_BROKEN = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


def read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """An IDX file of unsigned bytes, plain or gzip, as an array of exactly `shape`.

    The layout: two zero bytes, 8 for "unsigned byte", the number of axes, each axis as a
    big-endian 32-bit integer, then the bytes. Raises `BadInput` for anything else: another
    magic number, other sizes, too few bytes, bytes left over, a damaged gzip stream.
    """
    magic = bytes((0, 0, 8, len(shape)))
    with _broken_means(path), path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        # The name says nothing: people unpack a .gz and keep its name, or the other way round.
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file) if packed else file)
        head = stream.read(4 + 4 * len(shape))
        if head[:4] != magic:
            raise BadInput(
                f"{path} is not the IDX file it should be: it starts with {_hex(head[:4])}, "
                f"wanted {_hex(magic)}; take the original file"
            )
        if len(head) < 4 + 4 * len(shape):
            raise _truncated(path, 4 + 4 * len(shape), len(head))
        came = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
        if came != shape:
            raise BadInput(
                f"{path} holds {_times(came)} (samples first), wanted {_times(shape)}; "
                "take the original file"
            )
        return _exactly(stream, math.prod(shape), path).reshape(shape)


def read_cifar(folder: Path, train: int, test: int) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """The binary version of CIFAR-10: train images and labels, test images and labels.

    `folder` holds data_batch_1.bin .. data_batch_5.bin with `train` records together and
    test_batch.bin with `test`, or the archive cifar-10-binary.tar.gz with these inside. A
    record is one label byte, then 3 x 32 x 32 pixel bytes. Images come back as
    [N, 3, 32, 32], labels as [N]. Raises `BadInput` for missing, short, long or damaged files.
    """
    counts = {name: train // len(CIFAR_TRAIN) for name in CIFAR_TRAIN} | {CIFAR_TEST: test}
    if any((folder / name).is_file() for name in counts):
        records = {}
        for name, count in counts.items():
            path = folder / name
            with _broken_means(path), path.open("rb") as stream:
                records[name] = _records(stream, path.stat().st_size, count, path)
    else:
        records = _archived(folder / CIFAR_ARCHIVE, counts)
    train_records = np.concatenate([records[name] for name in CIFAR_TRAIN])
    test_records = records[CIFAR_TEST]
    return (
        train_records[:, 1:].reshape(-1, *CIFAR_SHAPE),
        train_records[:, 0],
        test_records[:, 1:].reshape(-1, *CIFAR_SHAPE),
        test_records[:, 0],
    )


def check_labels(labels: NDArray[Any], classes: int, source: str) -> None:
    """Raise `BadInput` unless all labels [N] lie in 0..classes-1; `source` says whose they are."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise BadInput(
            f"{source}: labels run from {low} to {high}, wanted 0 to {classes - 1}; "
            "number the classes from 0 without gaps"
        )


def check_gaps(labels: NDArray[Any], classes: int, source: str) -> None:
    """Raise `BadInput` unless each of the `classes` is among the labels [N]."""
    missing = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(missing):
        raise BadInput(
            f"{source}: labels run from 0 to {classes - 1}, and no sample has "
            f"{_some([str(label) for label in missing])}; number the classes from 0 without gaps, "
            "e.g. by np.unique(y, return_inverse=True), or save floats if y is a number to predict"
        )


def read_npz(
    path: Path, splits: Sequence[str] = ("train", "test")
) -> dict[str, tuple[NDArray[np.float32], NDArray[Any]]]:
    """The splits of an .npz file: `train`, `test` and, if the file has it, `validation`.

    Wanted keys: x_train, y_train, x_test, y_test, and perhaps x_validation with y_validation.
    x is floats, kept as they are, or uint8, divided by 255; [N, D] and [N, C, H, W] stay,
    [N, H, W] becomes [N, 1, H, W], and [N, H, W, C] with C in 1, 3, 4 becomes [N, C, H, W]
    (where the axis after N could be channels too, it is taken for them). y is [N]: integers are
    classes, floats are numbers to predict, and come out as int64 and float32. `splits` are those
    that a file must have.

    Raises `BadInput` for a file that is no zip, a missing key, pickled objects, no samples,
    other ranks or types, missing values (NaN), infinity, negative labels, and splits that do not
    fit together.
    """
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path} is not an .npz file (no zip archive); write it with numpy.savez")
    with _broken_means(path), zipfile.ZipFile(path) as archive:
        keys = sorted(name.removesuffix(".npy") for name in archive.namelist())
        if "test" in splits and {"x_validation", "y_validation"} & set(keys):
            splits = [*splits, "validation"]
        wanted = [f"{part}_{split}" for split in splits for part in ("x", "y")]
        if missing := [key for key in wanted if key not in keys]:
            raise BadInput(
                f"{path}: {', '.join(missing)} missing, the file holds {_some(keys)}; "
                f"save {', '.join(wanted)}"
            )
        read = {}
        for split in splits:
            x = _samples(_member(archive, f"x_{split}", path), f"{path}: x_{split}")
            y = _targets(_member(archive, f"y_{split}", path), f"{path}: y_{split}")
            if len(x) != len(y):
                raise BadInput(
                    f"{path}: x_{split} has {len(x):,} samples but y_{split} has {len(y):,} "
                    "labels; save one label a sample"
                )
            read[split] = (x, y)
    shape, kind = read["train"][0].shape[1:], read["train"][1].dtype
    for split, (x, y) in read.items():
        if y.dtype != kind:
            said = {"i": "classes (integers)", "f": "numbers (floats)"}
            raise BadInput(
                f"{path}: y_{split} holds {said[y.dtype.kind]} and y_train {said[kind.kind]}; save "
                "integers for classes or floats for numbers to predict, the same in all splits"
            )
        if x.shape[1:] != shape:
            raise BadInput(
                f"{path}: a sample of x_{split} is {_times(x.shape[1:])}, one of x_train is "
                f"{_times(shape)}; give all splits the same shape"
            )
    return read


def _member(archive: zipfile.ZipFile, key: str, path: Path) -> NDArray[Any]:
    """One array of an .npz; its header is held against the size of the member first."""
    name = key if key in archive.namelist() else f"{key}.npy"
    size = archive.getinfo(name).file_size
    try:
        with archive.open(name) as stream:
            version = np.lib.format.read_magic(stream)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(stream)
            at = stream.tell()
        if dtype.hasobject:
            raise BadInput(
                f"{path}: {key} holds pickled Python objects, which are never read; "
                "save plain numbers of one shape"
            )
        if at + math.prod(shape) * dtype.itemsize != size:
            raise _truncated(path, at + math.prod(shape) * dtype.itemsize, size, key)
        with archive.open(name) as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except BadInput:
        raise
    except (ValueError, RuntimeError, NotImplementedError, MemoryError) as error:
        # A foreign header, a password, an unknown compression, more than the memory holds.
        raise BadInput(
            f"{path}: {key} cannot be read ({_line(error)}); write the file with numpy.savez"
        ) from None
    return array


def _samples(array: NDArray[Any], source: str) -> NDArray[np.float32]:
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        raise BadInput(
            f"{source} is {array.dtype}, wanted floats or uint8 (0 to 255); convert it with astype"
        )
    if array.ndim not in (2, 3, 4):
        raise BadInput(
            f"{source} has shape {list(array.shape)}, wanted [N, D], [N, H, W], [N, C, H, W] or "
            "[N, H, W, C]; reshape it"
        )
    if not array.size:
        raise BadInput(f"{source} is empty (shape {list(array.shape)}), wanted samples")
    with np.errstate(over="ignore"):  # too large for float32 shows as infinity just below
        x = array.astype(np.float32)
    if array.dtype == np.uint8:
        x /= np.float32(255)
    elif not np.isfinite(x).all():
        raise BadInput(
            f"{source} has NaN or infinity ({not_finite(x, 'sample')}), wanted finite float32 "
            "numbers; missing values are not filled in: fill or drop them"
        )
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in _CHANNELS and x.shape[1] not in _CHANNELS:
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x


def _targets(array: NDArray[Any], source: str) -> NDArray[Any]:
    """Classes as int64, numbers as float32."""
    if array.dtype.kind in "US":
        raise BadInput(
            f"{source} is text ({array.dtype}), wanted integers (classes) or floats (numbers to "
            "predict); number words by np.unique(labels, return_inverse=True)[1], over all splits "
            "together, or convert digits with astype"
        )
    if array.dtype.kind not in "iuf":
        raise BadInput(
            f"{source} is {array.dtype}, wanted integers (classes) or floats (numbers to "
            "predict); convert it with astype('int64') or astype('float32')"
        )
    if array.ndim != 1:
        raise BadInput(
            f"{source} has shape {list(array.shape)}, wanted [N], one class number or one number "
            "to predict a sample; flatten it or take argmax"
        )
    if not array.size:
        raise BadInput(f"{source} is empty, wanted labels")
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    with np.errstate(over="ignore"):  # too large for float32 shows as infinity just below
        y = array.astype(np.float32)
    if not np.isfinite(y).all():
        raise BadInput(
            f"{source} has NaN or infinity ({not_finite(y, 'sample')}), wanted a finite float32 "
            "number a sample; drop the samples whose target is missing"
        )
    return y


def _archived(path: Path, counts: dict[str, int]) -> dict[str, Bytes]:
    """The records of each named member; found by name, one pass, nothing written to disk."""
    records: dict[str, Bytes] = {}
    with _broken_means(path), tarfile.open(path, "r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if name in counts and folder.removeprefix("./") == CIFAR_INSIDE:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    records[name] = _records(stream, member.size, counts[name], path, name)
    if missing := [name for name in counts if name not in records]:
        raise BadInput(
            f"{path}: {', '.join(missing)} missing in the archive; take the original file"
        )
    return records


def _records(
    stream: IO[bytes], size: int, count: int, path: Path, member: str | None = None
) -> Bytes:
    wanted = count * (1 + math.prod(CIFAR_SHAPE))
    if size < wanted:
        raise _truncated(path, wanted, size, member)
    if size > wanted:
        raise BadInput(
            f"{path}{_inside(member)} has {size:,} bytes, wanted {wanted:,}; take the original "
            "file of the binary version"
        )
    return _exactly(stream, wanted, path).reshape(count, -1)


def _exactly(stream: IO[bytes], size: int, path: Path) -> Bytes:
    """`size` bytes and the end of the stream after them."""
    array = np.empty(size, np.uint8)
    view, filled = array.data, 0
    while filled < size:
        got: int = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            raise _truncated(path, size, filled)
        filled += got
    if stream.read(1):
        raise BadInput(f"{path} goes on after its {size:,} bytes of data; take the original file")
    return array


@contextmanager
def _broken_means(path: Path) -> Iterator[None]:
    """Turn what the standard library raises on a damaged file into `BadInput`."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; put the original file there") from None
    except _BROKEN as error:
        raise BadInput(
            f"{path} cannot be read, it is truncated or damaged ({_line(error)}); "
            "take the original file"
        ) from None


def _truncated(path: Path, wanted: int, came: int, member: str | None = None) -> BadInput:
    return BadInput(
        f"{path}{_inside(member)} is truncated: {came:,} bytes, wanted {wanted:,}; "
        "take the original file"
    )


def _inside(member: str | None) -> str:
    return "" if member is None else f" ({member})"


def _hex(data: bytes) -> str:
    return data.hex() or "nothing"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__
