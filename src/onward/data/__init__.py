"""Data sets as tensors: embedded, made on the spot, from a local folder, a file or a download.

| name | samples | train / validation / test |
|---|---|---|
| `digits` | (1, 8, 8), scikit-learn's | 1,197 / 300 / 300, stratified, a fixed permutation |
| `synthetic` | (1, 8, 8), made | 600 / 200 / 200 |
| `diabetes` | (10,), scikit-learn's, a number to predict | 294 / 74 / 74, a fixed permutation |
| `cancer` | (30,), scikit-learn's, two classes | 379 / 95 / 95, stratified, a fixed permutation |
| `mnist`, `fashion_mnist` | (1, 28, 28) | first 50,000, last 10,000 of the training file / 10,000 |
| `cifar10` | (3, 32, 32) | first 45,000, last 5,000 of the training files / 10,000 |
| `aesop`, any text file | (10, 30), windows of symbols | 80 / 10 / 10 % of the text |
| an .npz file | as saved | as saved; without a validation split the last sixth of train |
| a .csv or .tsv file | (D,), a column each | 2/3, 1/6, 1/6: a fixed permutation, stratified |

The official test set is always the test split, whole and in its order. Pixels are in [0, 1];
features of tables are in the units they were measured in; a text is folded to 30 symbols (text.py).
Nothing is downloaded at import, and nothing is ever unpickled.

Shapes: x [N, *shape] float32, y [N] int64, or float32 where it is a number to predict; images are
(C, H, W), rows of a table (D,).
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from onward import sheet
from onward.data import builtin, formats, sources, text
from onward.data.dataset import Dataset, Split
from onward.data.sources import MIRRORS
from onward.data.table import SETS, entry
from onward.errors import BadInput

__all__ = [
    "MIRRORS",
    "SETS",
    "Dataset",
    "Split",
    "catalogue",
    "download",
    "is_own_file",
    "is_table",
    "load",
    "load_part",
    "load_test",
    "verify",
]


def load(name: str = "digits", path: str | Path | None = None, *, gaps: bool = False) -> Dataset:
    """Load a data set by name, or from `path`.

    `path` is a folder in the set's original layout (MNIST and Fashion-MNIST: four IDX files,
    plain or .gz; CIFAR-10: the binary version, unpacked or as its .tar.gz), a folder with such a
    folder inside that is named as the set, or an .npz file with x_train, y_train, x_test, y_test
    and perhaps x_validation, y_validation (`onward.data.formats.read_npz` has the shapes). An
    .npz file is named by its stem, whatever `name` says; without a validation split its last
    sixth of train becomes one. With `gaps` its labels may leave out classes, as data to test a
    trained network on may. A .csv or .tsv file is a table with a line of names
    (`onward.sheet`); a .txt file, or any file where the set is a text, is read as text
    (`onward.data.text`): named by their stems, too. The first line of a NOTE.txt in the folder
    becomes the note.

    Without `path`, the folder in the environment variable ONWARD_DATA is looked into, then the
    cache of downloads; then the set is downloaded.

    Raises `BadInput` for an unknown name, a missing or damaged file, numbers out of range, and
    a failed download, saying what to do.

    >>> data = load("synthetic")
    >>> data.shape, data.classes, len(data.train), len(data.validation), len(data.test)
    ((1, 8, 8), 10, 600, 200, 200)
    """
    if path is not None:
        place = Path(path).expanduser()
        if place.suffix.lower() == ".npz":
            return _from_npz(place, gaps)
        if is_table(place):
            return _from_sheet(place)
        if _is_text(name, place):
            return text.read(place, place.stem, "file")
        return _from_folder(name, sources.local_folder(name, place), "folder")
    if not entry(name).files:
        return _built_in(name)
    if (folder := sources.environment_folder(name)) is not None:
        return _from_folder(name, folder, "folder")
    return _from_folder(name, sources.fetch(name), "download")


def is_own_file(name: str, path: str | Path) -> bool:
    """Whether `load` reads `path` as a file of one's own, which is named by itself."""
    place = Path(path)
    return place.suffix.lower() == ".npz" or is_table(place) or _is_text(name, place)


def is_table(path: str | Path) -> bool:
    """Whether `load` reads `path` as a table: a .csv or .tsv file."""
    return Path(path).suffix.lower() in sheet.ENDINGS


def load_test(path: str | Path, about: Mapping[str, Any]) -> Dataset:
    """All rows of a .csv or .tsv file as the test set of a run that was trained on such a table.

    `about` is the `data` object of its record (docs/record.md), which says what the columns and the
    classes are; the other splits are empty. Raises `BadInput` where the file lacks one of them.
    """
    place = Path(path).expanduser()
    read = sheet.read(place, fewest=1)  # nothing is split
    x = sheet.read_features(place, about["columns"])
    none = _split(x[:0], np.zeros(0, dtype=np.int64))
    return Dataset(
        *(place.stem, none, none, _split(x, sheet.known_targets(read, about))),
        *(about["classes"], tuple(about["label_names"])),
        origin="file",
        target=about.get("target", "classes"),
        columns=tuple(about["columns"]),
    )


def catalogue() -> list[dict[str, object]]:
    """All named data sets, and where each would come from now; nothing is read or downloaded.

    Each row has `name`, `what` (a line of text), `shape` (of one sample), `classes` (1 where a
    number is to be predicted), `sizes` (samples by split; 0 for a text, which has as many as it is
    long) and `source`: `embedded`, `made`, `folder PATH`, `cache`, `download`, or `file` for a text
    that is to be named.

    >>> [row["name"] for row in catalogue()]
    ['digits', 'synthetic', 'diabetes', 'cancer', 'mnist', 'fashion_mnist', 'cifar10', 'aesop']
    """
    return [
        {
            "name": name,
            "what": row.what,
            "shape": list(row.shape),
            "classes": row.classes,
            "sizes": {"train": row.train, "validation": row.validation, "test": row.test},
            "source": _source(name),
        }
        for name, row in SETS.items()
    ]


def download(name: str) -> str:
    """Bring a data set into the cache, so that `load` needs no network; returns what was done.

    Files that are in the cache with the right checksum are not fetched again. Raises `BadInput`
    for an unknown name, or when no mirror gives the files.
    """
    if entry(name).text:
        if _source(name) == "file":
            sources.fetch(name)  # which says what to do
        return f"{name}: {_source(name)}, nothing to download"
    if not entry(name).downloads:
        return f"{name}: {_source(name)}, nothing to download"
    return f"{name}: complete in {sources.fetch(name)}"


def verify(name: str, path: str | Path | None = None) -> str:
    """Read all of a data set where it lies now and return one line on what was found.

    Looks where `load` would, but downloads nothing. Cached downloads are held against the
    official md5 sums; files in a local folder are checked for magic numbers, sizes and labels.
    Raises `BadInput` for whatever is wrong, and if the set isn't there.

    >>> verify("digits")[:62]
    'digits: 1,197 train, 300 validation, 300 test of shape 1 x 8 x'
    """
    checked = "sizes and labels right"
    if path is None and _source(name) == "file":
        sources.fetch(name)  # which says what to do
    if path is None and _source(name) == "download":
        raise BadInput(
            f"{name} is not on this machine: download it, or name its folder with --data PATH or "
            f"{sources.ENVIRONMENT}=PATH"
        )
    if path is None and _source(name) == "cache":
        sources.check_sums(name)
        checked = "md5 sums, " + checked
    data = load(name, path)
    where = _source(name) if path is None else f"{data.origin} {path}"
    note = f"; note: {data.note}" if data.note else ""
    what = f"{data.classes} classes" if data.target == "classes" else "a number to predict"
    values = [edge for s in (data.train, data.validation, data.test) for edge in s.x.aminmax()]
    return (
        f"{data.name}: {len(data.train):,} train, {len(data.validation):,} validation, "
        f"{len(data.test):,} test of shape {' x '.join(map(str, data.shape))}, values "
        f"from {float(min(values)):.4g} to {float(max(values)):.4g}, {what}; "
        f"{where}; {checked}; fingerprint {data.fingerprint()[:12]}{note}"
    )


def load_part(path: str | Path, like: Dataset) -> Split:
    """The training samples, all of them, of an .npz that is one owner's part of a data set.

    Wanted keys: x_train and y_train, as :func:`load` has them; labels may be missing, and others
    than those of the data set that it is to be ``like`` are refused. Raises `BadInput`.
    """
    place = Path(path)
    if not place.is_file():
        raise BadInput(f"there is no file {place}; wanted an .npz file written by numpy.savez")
    x, y = formats.read_npz(place, ("train",))["train"]
    kind = "numbers" if y.dtype.kind == "f" else "classes"
    if tuple(x.shape[1:]) != like.shape or kind != like.target:
        raise BadInput(
            f"{place} has samples of shape {list(x.shape[1:])} and {kind}, where "
            f"{list(like.shape)} and {like.target} are wanted, as in {like.name}"
        )
    if kind == "classes":
        formats.check_labels(y, like.classes, f"{place}: y_train")
    return _split(x, y)


def _source(name: str) -> str:
    if not entry(name).files:
        return "made" if name == "synthetic" else "embedded"
    if sources.environment_folder(name) is not None:
        return f"folder {os.environ[sources.ENVIRONMENT]}"
    if entry(name).text:
        return "file"
    return "cache" if sources.is_cached(name) else "download"


def _built_in(name: str) -> Dataset:
    row = SETS[name]
    samples = row.train + row.validation + row.test
    x, y = builtin.MAKERS[name](samples)
    ends = (0, row.train, row.train + row.validation, samples)
    train, validation, test = (_split(x[start:end], y[start:end]) for start, end in pairwise(ends))
    return Dataset(
        *(name, train, validation, test, row.classes, row.label_names),
        origin=_source(name),
        target=row.target,
    )


def _from_folder(name: str, folder: Path, origin: str) -> Dataset:
    row = SETS[name]
    if row.text:
        made = text.read(sources.find_file(folder, row.files[0]), name, origin)
        notes = [made.note, sources.read_note(folder)]
        return replace(made, note="; ".join(note for note in notes if note))
    known = row.train + row.validation
    if name == "cifar10":
        x, y, x_test, y_test = formats.read_cifar(folder, known, row.test)
    else:
        images, labels, test_images, test_labels = (
            sources.find_file(folder, file) for file in row.files
        )
        # Labels first: they are small, and a wrong count shows before the images are read.
        y, y_test = formats.read_idx(labels, (known,)), formats.read_idx(test_labels, (row.test,))
        x = formats.read_idx(images, (known, *row.shape[1:]))
        x_test = formats.read_idx(test_images, (row.test, *row.shape[1:]))
    formats.check_labels(y, row.classes, f"{folder}, training labels")
    formats.check_labels(y_test, row.classes, f"{folder}, test labels")
    return Dataset(
        name,
        _split(x[: row.train].reshape(-1, *row.shape), y[: row.train]),
        _split(x[row.train :].reshape(-1, *row.shape), y[row.train :]),
        _split(x_test.reshape(-1, *row.shape), y_test),
        row.classes,
        row.label_names,
        origin,
        note=sources.read_note(folder) if origin == "folder" else None,
    )


def _from_npz(path: Path, gaps: bool) -> Dataset:
    if not path.is_file():
        raise BadInput(f"there is no file {path}; wanted an .npz file written by numpy.savez")
    splits = formats.read_npz(path)
    x, y = splits["train"]
    if len(x) < 2 and "validation" not in splits:
        raise BadInput(
            f"{path}: one training sample cannot be split; save more, or x_validation too"
        )
    numbers = y.dtype.kind == "f"
    if numbers and not np.ptp(y) > 0:
        raise BadInput(
            f"{path}: y_train is {y[0]:g} in all samples, wanted numbers that differ; save what is "
            "to be predicted"
        )
    classes = 1 if numbers else _classes(splits, path, gaps)
    if "validation" not in splits:
        kept = len(x) - max(1, len(x) // 6)
        splits |= {"train": (x[:kept], y[:kept]), "validation": (x[kept:], y[kept:])}
    train, validation, test = (_split(*splits[key]) for key in ("train", "validation", "test"))
    names = ("value",) if numbers else tuple(str(label) for label in range(classes))
    return Dataset(
        *(path.stem, train, validation, test, classes, names),
        origin="file",
        target="numbers" if numbers else "classes",
    )


def _from_sheet(path: Path) -> Dataset:
    read = sheet.read(path)
    y, names = sheet.targets(read)
    numbers = y.dtype.kind == "f"
    order = np.random.RandomState(0).permutation(len(y)) if numbers else builtin.stratified(y)
    ends = (0, *(len(y) * part // 6 for part in (4, 5, 6)))
    parts = (order[start:end] for start, end in pairwise(ends))
    train, validation, test = (_split(read.x[part], y[part]) for part in parts)
    return Dataset(
        *(path.stem, train, validation, test, 1 if numbers else len(names), names),
        origin="file",
        note=f"{'a number' if numbers else 'classes'} to predict: column {read.target!r}",
        target="numbers" if numbers else "classes",
        columns=read.columns,
    )


def _is_text(name: str, path: Path) -> bool:
    return path.suffix.lower() == ".txt" or (path.is_file() and entry(name).text)


def _classes(splits: dict[str, tuple[NDArray[Any], NDArray[Any]]], path: Path, gaps: bool) -> int:
    """How many classes the labels of an .npz file number."""
    y = splits["train"][1]
    classes = int(y.max()) + 1
    if not 2 <= classes <= max(2, len(y)):
        raise BadInput(
            f"{path}: y_train runs up to {classes - 1} in {len(y):,} samples, wanted two classes "
            "or more, numbered from 0 without gaps"
        )
    for split, (_, labels) in splits.items():
        formats.check_labels(labels, classes, f"{path}: y_{split}")
    if not gaps:
        labels = np.concatenate([labels for _, labels in splits.values()])
        formats.check_gaps(labels, classes, str(path))
    return classes


_ALIGNED = 64
"""Bytes: a multiple of it is where torch's own tensors begin."""


def _split(x: NDArray[Any], y: NDArray[Any]) -> Split:
    """Tensors of their own, contiguous, in the two types of a split; bytes become [0, 1].

    Samples lie where torch puts its own: a product may round otherwise where memory is aligned
    otherwise, and NumPy aligns to 16 bytes, differently in each process.
    """
    samples = torch.from_numpy(np.ascontiguousarray(x))
    if samples.dtype == torch.uint8:
        samples = samples.to(torch.float32).div_(255)
    elif samples.data_ptr() % _ALIGNED:
        samples = samples.clone()
    kind = np.float32 if y.dtype.kind == "f" else np.int64
    return Split(samples, torch.from_numpy(y.astype(kind)))
