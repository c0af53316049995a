"""Data sets: what every source promises, and what is refused.

The sets' sizes are shrunk for most tests (`small`), so that whole data sets in the original
layout can be written in a moment. The real files are read where they are at hand.
"""

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onward import data
from onward.data import sources
from onward.errors import BadInput

TRAIN, VALIDATION, TEST = 40, 10, 20
IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
REAL = Path(os.environ.get("ONWARD_DATA") or "the folder that ONWARD_DATA should name").absolute()
CIFAR = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the real cache, the real folder or the real network."""
    monkeypatch.delenv("ONWARD_DATA", raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    for name in data.MIRRORS:
        monkeypatch.setitem(data.MIRRORS, name, ("http://127.0.0.1:9/",))
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mnist", "fashion_mnist", "cifar10"):
        row = replace(data.SETS[name], train=TRAIN, validation=VALIDATION, test=TEST)
        monkeypatch.setitem(data.SETS, name, row)


def idx(array: np.ndarray[Any, Any], kind: int = 8) -> bytes:
    return (
        bytes((0, 0, kind, array.ndim))
        + struct.pack(f">{array.ndim}I", *array.shape)
        + (array.astype(np.uint8).tobytes())
    )


def mnist_files(seed: int = 0) -> dict[str, bytes]:
    random = np.random.RandomState(seed)
    files = {}
    for part, count in (("train", TRAIN + VALIDATION), ("t10k", TEST)):
        files[f"{part}-images-idx3-ubyte"] = idx(random.randint(0, 256, (count, 28, 28)))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    return files


def cifar_files() -> dict[str, bytes]:
    random = np.random.RandomState(1)
    files = {}
    for name in CIFAR:
        count = TEST if name == CIFAR[-1] else (TRAIN + VALIDATION) // 5
        records = random.randint(0, 256, (count, 3073))
        records[:, 0] = np.arange(count) % 10
        files[name] = records.astype(np.uint8).tobytes()
    return files


def cifar_archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {"readme.html": b"hello", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


# Every data set


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_built_in_sets_keep_their_promises(name: str) -> None:
    loaded = data.load(name)
    row = data.SETS[name]
    assert loaded.shape == row.shape == (1, 8, 8)
    assert loaded.classes == len(loaded.label_names) == 10
    whole = torch.cat([s.y for s in (loaded.train, loaded.validation, loaded.test)]).bincount()
    for split, size in (
        (loaded.train, row.train),
        (loaded.validation, row.validation),
        (loaded.test, row.test),
    ):
        assert len(split) == len(split.x) == size
        assert split.x.dtype == torch.float32
        assert split.y.dtype == torch.int64
        assert split.x.is_contiguous()
        assert split.x.min() == 0
        assert split.x.max() == 1
        share = torch.bincount(split.y, minlength=10) / size - whole / whole.sum()
        assert share.abs().max() <= 1.5 / size


def test_digits_are_all_of_scikit_learn_once() -> None:
    from sklearn.datasets import load_digits

    loaded = data.load()
    assert (loaded.name, loaded.origin) == ("digits", "embedded")
    assert [len(loaded.train), len(loaded.validation), len(loaded.test)] == [1197, 300, 300]
    ours = torch.cat([s.x.flatten(1) for s in (loaded.train, loaded.validation, loaded.test)]) * 16
    labels = torch.cat([s.y for s in (loaded.train, loaded.validation, loaded.test)])
    images, wanted = load_digits(return_X_y=True)
    rows = sorted(zip(ours.int().tolist(), labels.tolist(), strict=True))
    assert rows == sorted(zip(images.astype(int).tolist(), wanted.tolist(), strict=True))


def test_the_built_in_sets_never_change() -> None:
    # Numbers in results/ stand on these; another fingerprint makes them incomparable.
    assert (
        data.load("digits").fingerprint()
        == "d72eb2a45bdd3154e7e1691df148bd5e70efc1413371985f9abcbc9e57ff3c68"
    )
    assert (
        data.load("synthetic").fingerprint()
        == "249f51921fe3e3dfc4438ea62d18a54ce07864618befe4c06862ab8ef5f05280"
    )
    assert (
        data.load("diabetes").fingerprint()
        == "7e993eeda28eb8f47ef4fdbbd7b90cf4638509b8ceb43f7de1cbd63cf49617b9"
    )
    assert (
        data.load("cancer").fingerprint()
        == "2e3af2066949c12b89419f658791ac8b41853c063f9de532dbdeb2e5cd4c1ae0"
    )


def test_the_made_set_can_be_learned_but_not_for_nothing() -> None:
    made = data.load("synthetic")
    assert made.origin == "made"
    nearest = torch.cdist(made.test.x.flatten(1), made.train.x.flatten(1)).argmin(dim=1)
    right = (made.train.y[nearest] == made.test.y).float().mean()
    assert 0.9 < right < 1


def test_describe_is_the_data_object_of_the_record() -> None:
    made = data.load("synthetic")
    described = made.describe()
    assert described == {
        "name": "synthetic",
        "shape": [1, 8, 8],
        "classes": 10,
        "train": 600,
        "validation": 200,
        "test": 200,
        "origin": "made",
        "label_names": list("0123456789"),
        "note": None,
        "fingerprint": made.fingerprint(),
        "range": [float(made.train.x.min()), float(made.train.x.max())],
    }
    assert json.loads(json.dumps(described)) == described


def test_the_fingerprint_sees_every_change() -> None:
    made = data.load("synthetic")
    first = made.fingerprint()
    assert first == data.load("synthetic").fingerprint()
    assert len(first) == 64
    assert first == replace(made, name="other", note="x").fingerprint()
    x = made.train.x.clone()
    x[599, 0, 7, 7] += 1e-3
    others = [
        replace(made, train=data.Split(x, made.train.y)),
        replace(made, train=data.Split(made.train.x.flatten(1), made.train.y)),
        replace(made, test=made.validation, validation=made.test),
        replace(made, test=data.Split(made.test.x, made.test.y.roll(1))),
    ]
    assert len({first, *(other.fingerprint() for other in others)}) == 5


def test_the_fingerprint_of_many_samples_is_that_of_all_bytes() -> None:
    x, y = torch.rand(5000, 3), torch.zeros(5000, dtype=torch.int64)
    empty = data.Split(x[:0], y[:0])
    made = data.Dataset("many", data.Split(x, y), empty, empty, 2, ("a", "b"), "made")
    digest = hashlib.sha256()
    for name, split in (("train", made.train), ("validation", empty), ("test", empty)):
        for part, tensor in (("x", split.x), ("y", split.y)):
            digest.update(f"{name}/{part} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.numpy().tobytes())
    assert made.fingerprint() == digest.hexdigest()


def test_importing_loads_no_downloader() -> None:
    code = "import sys, onward.data; sys.exit(bool({'pooch', 'sklearn', 'rich'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name() -> None:
    for call in (data.load, data.verify, data.download):
        refused(lambda call=call: call("fashion-mnist"), "fashion-mnist", "fashion_mnist'?")  # type: ignore[misc]
    refused(lambda: data.load("zebra"), "choose from aesop, cancer, cifar10, diabetes, digits")


# Local folders


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("below", [False, True])
def test_idx_folders(tmp_path: Path, name: str, compressed: bool, below: bool) -> None:
    files = mnist_files()
    folder = tmp_path / name if below else tmp_path / "any"
    written(folder, packed(files) if compressed else files)
    loaded = data.load(name, tmp_path if below else folder)
    assert (loaded.name, loaded.origin, loaded.shape) == (name, "folder", (1, 28, 28))
    assert [len(loaded.train), len(loaded.validation), len(loaded.test)] == [40, 10, 20]
    pixels = np.frombuffer(files[IDX[0]], np.uint8, offset=16).reshape(50, 1, 28, 28)
    x = torch.from_numpy(pixels.astype(np.float32)) / 255
    assert torch.equal(loaded.train.x, x[:40])
    assert torch.equal(loaded.validation.x, x[40:])
    assert torch.equal(loaded.validation.y, torch.arange(40, 50) % 10)
    assert loaded.label_names[9] == ("9" if name == "mnist" else "Ankle boot")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("layout", [".", "cifar10", "cifar-10-batches-bin", "archive"])
def test_cifar_folders(tmp_path: Path, layout: str) -> None:
    files = cifar_files()
    if layout == "archive":
        written(tmp_path, {"cifar-10-binary.tar.gz": cifar_archive(files)})
    else:
        written(tmp_path / layout, files)
    loaded = data.load("cifar10", tmp_path)
    assert (loaded.origin, loaded.shape, loaded.classes) == ("folder", (3, 32, 32), 10)
    assert [len(loaded.train), len(loaded.validation), len(loaded.test)] == [40, 10, 20]
    records = np.frombuffer(b"".join(files[name] for name in CIFAR[:5]), np.uint8).reshape(50, 3073)
    x = torch.from_numpy(records[:, 1:].astype(np.float32)).reshape(50, 3, 32, 32) / 255
    assert torch.equal(loaded.train.x, x[:40])
    assert torch.equal(loaded.validation.x, x[40:])
    assert loaded.train.y.tolist() == [*range(10)] * 4
    assert loaded.label_names[0] == "airplane"


@pytest.mark.usefixtures("small")
def test_a_note_comes_along(tmp_path: Path) -> None:
    written(tmp_path, mnist_files())
    assert data.load("mnist", tmp_path).note is None
    (tmp_path / "NOTE.txt").write_text("re-coded as JPEG\nsecond line\n")
    assert data.load("mnist", tmp_path).note == "re-coded as JPEG"
    assert "note: re-coded as JPEG" in data.verify("mnist", tmp_path)
    (tmp_path / "NOTE.txt").write_bytes(b"\xff" * 1000)
    assert len(data.load("mnist", tmp_path).note or "") == 200
    (tmp_path / "NOTE.txt").write_text("\n")
    assert data.load("mnist", tmp_path).note is None


@pytest.mark.usefixtures("small")
def test_the_environment_folder_is_looked_into_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "sets" / "mnist", mnist_files())
    monkeypatch.setenv("ONWARD_DATA", str(tmp_path / "sets"))
    assert data.load("mnist").origin == "folder"
    assert data.load("digits").origin == "embedded"
    refused(lambda: data.load("fashion_mnist"), "could not download")  # not there: goes on
    written(tmp_path / "other", mnist_files(seed=5))
    given = data.load("mnist", tmp_path / "other")
    assert given.fingerprint() != data.load("mnist").fingerprint()
    monkeypatch.setenv("ONWARD_DATA", str(tmp_path / "sets" / "mnist"))
    assert data.load("mnist").origin == "folder"
    refused(lambda: data.load("fashion_mnist"), "could not download")
    monkeypatch.setenv("ONWARD_DATA", str(tmp_path / "absent"))
    refused(lambda: data.load("mnist"), "could not download")


@pytest.mark.usefixtures("small")
def test_folders_that_are_not_the_data_set(tmp_path: Path) -> None:
    refused(lambda: data.load("mnist", tmp_path / "absent"), "no folder", "absent", IDX[0])
    empty = written(tmp_path / "empty", {})
    refused(lambda: data.load("mnist", empty), "empty", IDX[0], "it is empty")
    wrong = written(tmp_path / "wrong", {"cat.png": b"", "dog.png": b""})
    refused(lambda: data.load("mnist", wrong), IDX[3], "cat.png, dog.png")
    refused(lambda: data.load("cifar10", wrong), "data_batch_1.bin", "cat.png, dog.png")
    refused(lambda: data.load("mnist", wrong / "cat.png"), "is a file", "folder")
    refused(lambda: data.load("digits", wrong), "digits needs no files", "mnist")
    named = written(tmp_path / "mnist", mnist_files())
    refused(lambda: data.load("fashion_mnist", named), "named for mnist", "fashion_mnist")
    written(named / "fashion_mnist", mnist_files(seed=3))
    assert data.load("fashion_mnist", named).name == "fashion_mnist"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("missing", IDX)
def test_a_missing_idx_file(tmp_path: Path, missing: str) -> None:
    files = mnist_files()
    del files[missing]
    written(tmp_path, files)
    refused(lambda: data.load("mnist", tmp_path), missing, "missing", next(iter(sorted(files))))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("file", IDX)
@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_idx_files(tmp_path: Path, file: str, compressed: bool) -> None:
    good = mnist_files()
    whole = good[file]
    axes = 3 if "images" in file else 1
    cases = {
        "truncated": whole[:-1],
        "goes on after": whole + b"\0",
        f"wanted 0000080{axes}": b"\0\0\x0d" + whole[3:],
        "starts with 89504e47": b"\x89PNG" + whole[4:],
        "starts with nothing": b"",
        f"wanted 0000080{axes} ": b"\0\0\x08",
    }
    for words, content in cases.items():
        bad = good | {file: content}
        written(tmp_path, packed(bad) if compressed else bad)
        refused(lambda: data.load("mnist", tmp_path), file, words.strip())
    written(tmp_path, {file: whole[:7]})
    if compressed:
        (tmp_path / file).unlink()
        written(tmp_path, packed({file: whole[:7]}))
    refused(lambda: data.load("mnist", tmp_path), file, "truncated: 7 bytes")


@pytest.mark.usefixtures("small")
def test_damaged_gzip_files(tmp_path: Path) -> None:
    files = packed(mnist_files())
    file = f"{IDX[0]}.gz"
    whole = files[file]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (whole[:100], whole[: len(whole) // 2], whole[:-4], bytes(flipped), whole[:5]):
        written(tmp_path, files | {file: content})
        refused(lambda: data.load("mnist", tmp_path), file)
    # A name that lies about the compression does no harm.
    written(tmp_path, files | {file: gzip.decompress(whole)})
    assert len(data.load("mnist", tmp_path).train) == 40


@pytest.mark.usefixtures("small")
def test_counts_that_do_not_fit_are_refused_before_reading(tmp_path: Path) -> None:
    good = mnist_files()
    for file, array, words in (
        (IDX[1], np.zeros(49), "holds 49 (samples first), wanted 50"),
        (IDX[0], np.zeros((49, 28, 28)), "holds 49 x 28 x 28 (samples first), wanted 50 x 28 x 28"),
        (IDX[2], np.zeros((20, 27, 28)), "holds 20 x 27 x 28"),
        (IDX[3], np.zeros(21), "holds 21"),
    ):
        written(tmp_path, good | {file: idx(array)})
        refused(lambda: data.load("mnist", tmp_path), file, words)
    vast = b"\0\0\x08\x03" + b"\xff" * 12
    written(tmp_path, good | {IDX[0]: vast})
    refused(lambda: data.load("mnist", tmp_path), IDX[0], "4,294,967,295")


@pytest.mark.usefixtures("small")
def test_labels_out_of_range(tmp_path: Path) -> None:
    labels = np.arange(50) % 10
    labels[7] = 10
    written(tmp_path, mnist_files() | {IDX[1]: idx(labels)})
    refused(lambda: data.load("mnist", tmp_path), "training labels", "0 to 10, wanted 0 to 9")
    files = cifar_files()
    files["test_batch.bin"] = b"\xff" + files["test_batch.bin"][1:]
    written(tmp_path / "cifar10", files)
    refused(lambda: data.load("cifar10", tmp_path), "test labels", "255")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("archived", [False, True])
def test_damaged_cifar_files(tmp_path: Path, archived: bool) -> None:
    good = cifar_files()

    def put(files: dict[str, bytes]) -> None:
        if archived:
            written(tmp_path, {"cifar-10-binary.tar.gz": cifar_archive(files)})
        else:
            written(tmp_path, files)

    whole = good["data_batch_3.bin"]
    for content, words in ((whole[:-1], "truncated: 30,729"), (whole + b"\0", "30,731 bytes")):
        put(good | {"data_batch_3.bin": content})
        refused(lambda: data.load("cifar10", tmp_path), "data_batch_3.bin", words, "wanted 30,730")
    put(good)
    if archived:
        put({name: content for name, content in good.items() if name != "data_batch_3.bin"})
    else:
        (tmp_path / "data_batch_3.bin").unlink()
    refused(lambda: data.load("cifar10", tmp_path), "data_batch_3.bin", "missing")


@pytest.mark.usefixtures("small")
def test_damaged_archives(tmp_path: Path) -> None:
    whole = cifar_archive(cifar_files())
    for content in (b"", b"no archive", whole[:100], whole[: len(whole) // 2], gzip.compress(b"x")):
        written(tmp_path, {"cifar-10-binary.tar.gz": content})
        refused(lambda: data.load("cifar10", tmp_path), "cifar-10-binary.tar.gz")


@pytest.mark.parametrize("pickled", ["data_batch_1", "test_batch", "cifar-10-python.tar.gz"])
def test_python_pickles_are_refused_and_the_binary_version_named(
    tmp_path: Path, pickled: str
) -> None:
    for folder in (tmp_path / "a", tmp_path / "b" / "cifar-10-batches-py", tmp_path / "c/cifar10"):
        written(folder, {pickled: pickle.dumps({b"labels": [0]})})
    for path in ("a", "b", "b/cifar-10-batches-py", f"a/{pickled}", "c"):
        refused(
            lambda path=path: data.load("cifar10", tmp_path / path),  # type: ignore[misc]
            "pickle",
            "binary version",
            "data_batch_1.bin",
            "cifar-10-binary.tar.gz",
        )


# .npz files


def arrays(**changes: Any) -> dict[str, Any]:
    random = np.random.RandomState(0)
    made = {
        "x_train": random.rand(60, 7).astype(np.float32),
        "y_train": np.arange(60) % 3,
        "x_test": random.rand(9, 7).astype(np.float32),
        "y_test": np.arange(9) % 3,
    }
    return {key: value for key, value in (made | changes).items() if value is not None}


def npz(path: Path, **changes: Any) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def test_npz_without_validation_gives_the_last_sixth_of_train(tmp_path: Path) -> None:
    loaded = data.load("mnist", npz(tmp_path / "plants.npz"))
    assert (loaded.name, loaded.origin, loaded.shape) == ("plants", "file", (7,))
    assert (loaded.classes, loaded.label_names) == (3, ("0", "1", "2"))
    assert [len(loaded.train), len(loaded.validation), len(loaded.test)] == [50, 10, 9]
    x = torch.from_numpy(arrays()["x_train"])
    assert torch.equal(torch.cat([loaded.train.x, loaded.validation.x]), x)
    assert loaded.train.y.dtype == torch.int64
    two = npz(
        tmp_path / "two.npz",
        x_train=np.eye(2),
        y_train=np.arange(2),
        x_test=np.eye(2)[:1],
        y_test=np.zeros(1, int),
    )
    loaded = data.load("zebra", str(two))
    assert (len(loaded.train), len(loaded.validation)) == (1, 1)


def test_npz_with_validation(tmp_path: Path) -> None:
    x = np.random.RandomState(1).rand(4, 7)
    path = npz(tmp_path / "a.npz", x_validation=x, y_validation=np.array([0, 1, 2, 0], np.uint8))
    loaded = data.load(path=path)
    assert [len(loaded.train), len(loaded.validation), len(loaded.test)] == [60, 4, 9]
    assert torch.equal(loaded.validation.x, torch.from_numpy(x.astype(np.float32)))


@pytest.mark.parametrize(
    ("came", "shape"),
    [
        ((5,), (5,)),
        ((5, 6), (1, 5, 6)),
        ((5, 6, 1), (1, 5, 6)),
        ((5, 6, 3), (3, 5, 6)),
        ((5, 6, 4), (4, 5, 6)),
        ((3, 5, 6), (3, 5, 6)),
        ((2, 5, 6), (2, 5, 6)),
        ((1, 5, 3), (1, 5, 3)),
    ],
)
def test_npz_layouts(tmp_path: Path, came: tuple[int, ...], shape: tuple[int, ...]) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (60, *came)).astype(np.uint8)
    loaded = data.load(path=npz(tmp_path / "a.npz", x_train=pixels, x_test=pixels[:9]))
    assert loaded.shape == shape
    x = torch.from_numpy(pixels.astype(np.float32)) / 255
    if shape != came and len(came) == 3:
        x = x.permute(0, 3, 1, 2)
    assert torch.equal(loaded.test.x, x[:9].reshape(9, *shape))
    assert loaded.train.x.is_contiguous()


def test_npz_floats_are_kept_as_they_are(tmp_path: Path) -> None:
    x = np.random.RandomState(0).randn(60, 7) * 1000
    for kind in ("float16", "float32", ">f8"):
        loaded = data.load(path=npz(tmp_path / "a.npz", x_train=x.astype(kind)))
        wanted = torch.from_numpy(x.astype(kind).astype(np.float32))
        assert torch.equal(loaded.train.x, wanted[:50])


def changed(array: np.ndarray[Any, Any], value: Any) -> np.ndarray[Any, Any]:
    array = array.copy()
    array[3] = value
    return array


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test": None}, ["x_test missing", "x_train, y_test, y_train"]),
        ({"x_validation": np.zeros((2, 7))}, ["y_validation missing"]),
        ({"x_train": changed(arrays()["x_train"], np.nan)}, ["x_train", "NaN", "sample 3"]),
        ({"x_test": changed(arrays()["x_test"], -np.inf)}, ["x_test", "infinity", "sample 3"]),
        ({"x_test": np.full((9, 2, 3), np.nan)}, ["(in 9 of 9 samples, first in sample 0), want"]),
        ({"x_train": np.full((60, 7), 1e300)}, ["infinity", "float32"]),
        ({"x_train": np.zeros(60)}, ["x_train", "[60]", "[N, D]"]),
        ({"x_train": np.zeros((60, 1, 1, 1, 7))}, ["[60, 1, 1, 1, 7]"]),
        ({"x_train": np.zeros((60, 7), int)}, ["x_train", "int64", "uint8"]),
        ({"x_train": np.zeros((60, 7), bool)}, ["bool"]),
        ({"x_train": np.zeros((60, 7), complex)}, ["complex128"]),
        ({"x_train": np.zeros((59, 7))}, ["59 samples", "60 labels"]),
        ({"x_test": np.zeros((9, 8))}, ["x_test is 8", "x_train is 7"]),
        ({"x_train": np.zeros((0, 7)), "y_train": np.zeros(0, int)}, ["x_train is empty"]),
        ({"x_test": np.zeros((9, 0))}, ["x_test is empty"]),
        ({"y_test": np.zeros(0, int)}, ["y_test is empty"]),
        ({"y_train": np.arange(60) / 2}, ["y_test holds classes (integers) and y_train numbers"]),
        ({"y_train": np.zeros(60, bool)}, ["y_train", "bool", "integers"]),
        ({"y_train": np.array(["a"] * 60)}, ["y_train is text (<U1)", "return_inverse=True)[1]"]),
        ({"y_test": np.array([b"a"] * 9)}, ["y_test is text (|S1)", "over all splits"]),
        ({"y_train": np.zeros((60, 3), int)}, ["y_train", "[60, 3]", "argmax"]),
        ({"y_train": np.arange(60) % 3 - 1}, ["y_train", "from -1 to 1"]),
        ({"y_test": np.arange(9)}, ["y_test", "0 to 8, wanted 0 to 2"]),
        ({"y_train": np.full(60, 10**12)}, ["y_train", "1000000000000"]),
        ({"y_train": np.full(60, 2**64 - 1, np.uint64)}, ["y_train"]),
        ({"y_train": np.zeros(60, int), "y_test": np.zeros(9, int)}, ["two classes"]),
        ({"x_train": np.zeros((1, 7)), "y_train": np.zeros(1, int)}, ["one training sample"]),
        ({"x_train": np.array([{}] * 60, object)}, ["x_train", "pickled Python objects"]),
        ({"y_test": np.array([None] * 9, object)}, ["y_test", "pickled Python objects"]),
    ],
)
def test_npz_files_that_are_refused(
    tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    path = npz(tmp_path / "bad.npz", **changes)
    refused(lambda: data.load(path=path), "bad.npz", *words)


def test_npz_files_that_are_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    refused(lambda: data.load(path=path), "no file", "bad.npz")
    for content in (b"", b"no zip", pickle.dumps([1])):
        path.write_bytes(content)
        refused(lambda: data.load(path=path), "bad.npz", "numpy.savez")
    whole = npz(path).read_bytes()
    for length in (10, 500, len(whole) - 5):
        path.write_bytes(whole[:length])
        refused(lambda: data.load(path=path), "bad.npz")
    flipped = bytearray(whole)
    flipped[300] ^= 1
    path.write_bytes(flipped)
    refused(lambda: data.load(path=path), "bad.npz", "cannot be read")
    with zipfile.ZipFile(path, "w") as archive:
        for key in arrays():
            archive.writestr(f"{key}.npy", b"no array")
    refused(lambda: data.load(path=path), "x_train cannot be read")
    np.savez_compressed(path, **arrays())
    assert len(data.load(path=path).train) == 50


def test_an_npz_header_that_claims_too_much_is_refused_unread(tmp_path: Path) -> None:
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        claim, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50, 7)}
    )
    with zipfile.ZipFile(npz(tmp_path / "bad.npz", x_train=None), "a") as archive:
        archive.writestr("x_train.npy", claim.getvalue() + b"\0" * 28)
    refused(lambda: data.load(path=tmp_path / "bad.npz"), "x_train", "truncated")


# Downloads, from a server of our own


class Server:
    """A loopback server of a few files; `asked` counts the requests by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.broken = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                content = outer.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if outer.broken else content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def offered(
    server: Server, small: None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, bytes]]:
    """Small sets on the server, with their sums in the table, behind a mirror that is dead."""
    sets = {
        "mnist": packed(mnist_files()),
        "cifar10": {"cifar-10-binary.tar.gz": cifar_archive(cifar_files())},
    }
    for name, files in sets.items():
        sums = {file: hashlib.md5(content).hexdigest() for file, content in files.items()}
        monkeypatch.setitem(data.SETS, name, replace(data.SETS[name], downloads=sums))
        monkeypatch.setitem(data.MIRRORS, name, ("http://127.0.0.1:9/", server.url))
        server.files |= files
    return sets


def cached(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_download_comes_once_from_the_mirror_that_works(
    tmp_path: Path, name: str, server: Server, offered: dict[str, dict[str, bytes]]
) -> None:
    loaded = data.load(name)
    assert (loaded.name, loaded.origin, loaded.note) == (name, "download", None)
    assert [len(loaded.train), len(loaded.validation), len(loaded.test)] == [40, 10, 20]
    assert cached(tmp_path) == sorted(offered[name])
    assert sorted(server.asked) == sorted(f"/{file}" for file in offered[name])
    again = data.load(name)
    assert again.fingerprint() == loaded.fingerprint()
    assert len(server.asked) == len(offered[name])


def test_download_and_verify_and_catalogue(
    tmp_path: Path,
    server: Server,
    offered: dict[str, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def source(name: str) -> object:
        return next(row["source"] for row in data.catalogue() if row["name"] == name)

    assert source("mnist") == "download"
    refused(lambda: data.verify("mnist"), "mnist", "not on this machine", "--data", "ONWARD_DATA")
    assert server.asked == []
    assert "cache" in data.download("mnist")
    assert source("mnist") == "cache"
    assert "\n" not in data.verify("mnist")
    told = data.verify("mnist")
    assert "40 train, 10 validation, 20 test of shape 1 x 28 x 28, values from 0 to" in told
    assert "md5" in data.verify("mnist")
    asked = len(server.asked)
    file = tmp_path / "cache" / "mnist" / f"{IDX[1]}.gz"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    refused(lambda: data.verify("mnist"), str(file), "damaged", "md5")
    assert len(server.asked) == asked
    data.download("mnist")  # fetches the damaged file only
    assert server.asked[asked:] == [f"/{file.name}"]
    assert "md5" in data.verify("mnist")

    written(tmp_path / "sets" / "mnist", mnist_files())
    monkeypatch.setenv("ONWARD_DATA", str(tmp_path / "sets"))
    assert source("mnist") == f"folder {tmp_path / 'sets'}"
    assert "md5" not in data.verify("mnist")
    assert data.download("digits") == "digits: embedded, nothing to download"
    assert (source("digits"), source("synthetic")) == ("embedded", "made")


def test_the_catalogue_is_complete() -> None:
    rows = {str(row["name"]): row for row in data.catalogue()}
    assert list(rows) == [
        *("digits", "synthetic", "diabetes", "cancer", "mnist", "fashion_mnist", "cifar10", "aesop")
    ]
    assert (rows["diabetes"]["classes"], rows["cancer"]["classes"]) == (1, 2)
    assert rows["mnist"]["sizes"] == {"train": 50_000, "validation": 10_000, "test": 10_000}
    assert rows["cifar10"]["sizes"] == {"train": 45_000, "validation": 5_000, "test": 10_000}
    assert rows["cifar10"]["shape"] == [3, 32, 32]
    for row in rows.values():
        assert set(row) == {"name", "what", "shape", "classes", "sizes", "source"}
    json.dumps(list(rows.values()))


def failing(tmp_path: Path, *words: str) -> None:
    refused(
        lambda: data.load("mnist"),
        "could not download",
        f"{IDX[0]}.gz, {IDX[1]}.gz, {IDX[2]}.gz, {IDX[3]}.gz",
        "--data PATH",
        "ONWARD_DATA=PATH",
        *words,
    )
    assert cached(tmp_path) == []


@pytest.mark.usefixtures("offered")
def test_a_download_with_a_wrong_checksum(tmp_path: Path, server: Server) -> None:
    server.files[f"{IDX[0]}.gz"] += b"x"
    failing(tmp_path, "wrong checksum", f"{IDX[0]}.gz of mnist")
    assert len(server.asked) == 2  # tried once more, then given up


@pytest.mark.usefixtures("offered")
def test_a_download_that_is_not_there(tmp_path: Path, server: Server) -> None:
    server.files.clear()
    failing(tmp_path, "answered 404", "no connection")


@pytest.mark.usefixtures("offered")
def test_a_download_that_breaks_off(tmp_path: Path, server: Server) -> None:
    server.broken = True
    failing(tmp_path, "broke off")


@pytest.mark.usefixtures("offered")
def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    data.download("cifar10")
    assert capfd.readouterr() == ("", "")
    (tmp_path / "cache" / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    monkeypatch.setenv("FORCE_COLOR", "1")
    data.download("cifar10")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "cifar10/cifar-10-binary.tar.gz" in shown.err
    data.download("cifar10")
    assert "cifar10/" not in capfd.readouterr().err


def test_no_network(tmp_path: Path) -> None:
    failing(tmp_path, "127.0.0.1:9: no connection")


@pytest.mark.usefixtures("offered")
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "file" / "cache")
    refused(lambda: data.load("mnist"), "could not download", "Not a directory")


def test_the_official_sums_and_mirrors_are_complete() -> None:
    for name, row in data.SETS.items():
        if row.files and not row.text:
            assert all(len(md5) == 32 for md5 in row.downloads.values())
            assert len(row.downloads) == (1 if name == "cifar10" else 4)
            assert name in data.MIRRORS


# The real files, where they are at hand


@pytest.mark.parametrize(
    ("name", "first", "raw"),
    [
        ("mnist", 5, "6bbc9ace898e44ae57da46a324031adb"),
        ("fashion_mnist", 9, "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    ],
)
def test_the_real_files(name: str, first: int, raw: str) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"no {name} in {REAL}; set ONWARD_DATA to a folder that holds it")
    loaded = data.load(name, REAL)
    splits = (loaded.train, loaded.validation, loaded.test)
    assert [len(split) for split in splits] == [50_000, 10_000, 10_000]
    assert loaded.shape == (1, 28, 28)
    assert loaded.train.y[0] == first
    pixels = torch.cat([loaded.train.x, loaded.validation.x]).mul(255).round().to(torch.uint8)
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 60_000, 28, 28)
    assert hashlib.md5(header + pixels.numpy().tobytes()).hexdigest() == raw
    assert all(split.y.bincount().numel() == 10 for split in splits)
