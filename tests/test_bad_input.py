"""Whatever is wrong in what a user hands in: exit 2, one line that helps, nothing lost."""

import dataclasses
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import TINY, environment, onward, program, same, save_npz, weights
from PIL import Image

from onward import data, recipes, record
from onward.files import alone
from onward.recipes import limits, tables

RUN = ("run", "ff-digits", *TINY)

YAML = {
    "broken.yaml": "epochs: [1\nb: }",
    "list.yaml": "- epochs\n",
    "empty.yaml": "",
    "name.yaml": "epoch: 3\n",
    "value.yaml": "epochs: many\n",
    "twin.yaml": "twin: often\n",
    "nested.yaml": "epochs: {a: 1}\n",
    "config.yaml": "config: other.yaml\n",
    "nan.yaml": "lr: .nan\n",
}
WORDS: list[tuple[str, str]] = [
    # Names
    ("rnu ff-digits", "there is no verb 'rnu': did you mean 'run'?"),
    ("zebra", "there is no verb 'zebra': choose from bench, check, data"),
    ("", "the following arguments are required: VERB (see `onward --help`)"),
    ("--vresion", "the following arguments are required: VERB"),
    ("run ff-mnits", "there is no recipe 'ff-mnits': did you mean 'ff-mnist'?"),
    ("run --epochs 5", "`onward run` wants a recipe first, and got --epochs"),
    ("run nowhere:recipe", "nowhere:recipe could not be imported (ModuleNotFoundError"),
    ("run math:pi", "math:pi should be a Recipe, and is a float"),
    ("show ff-digts", "there is no recipe 'ff-digts': did you mean 'ff-digits'?"),
    ("show", "the following arguments are required: RECIPE (see `onward show --help`)"),
    ("eval X --dta Y", "`onward eval` has no flag --dta: did you mean '--data'?"),
    ("eval X Y", "`onward eval` has no place for 'Y'"),
    ("ls --all", "`onward ls` has no flag --all"),
    ("predict X Y --format xml", "--format: there is no 'xml': choose from csv, json"),
    ("predict X Y --readout lineal", "--readout: there is no 'lineal': did you mean 'linear'?"),
    ("predict X Y --format", "--format: expected one argument (see `onward predict --help`)"),
    ("data lst", "there is no 'lst': did you mean 'list'?"),
    ("data download", "`onward data download` wants the name of a data set"),
    ("data download mnits", "no data set is called 'mnits': did you mean 'mnist'?"),
    ("data verify digts", "no data set is called 'digts': did you mean 'digits'?"),
    ("resume X --epochs 5", "a run is resumed with its own settings, and --epochs came"),
    ("resume X --threads many", "--threads: invalid int value: 'many'"),
    ("data verify empty", "no data set is called 'empty'"),
    ("data verify list.yaml", "list.yaml is no known kind of data; wanted an .npz, .csv or .tsv"),
    # Settings
    ("run ff-digits --epoch 5", "ff-digits has no setting 'epoch': did you mean 'epochs'?"),
    ("run ff-digits --witdh=5", "ff-digits has no setting 'witdh': did you mean 'width'?"),
    ("run bp-digits --twin", "bp-digits has no setting 'twin'"),
    ("run ff-digits 5", "'5' is not a flag: settings are written --NAME VALUE"),
    ("run ff-digits -e 5", "ff-digits has no setting 'e'"),
    ("run ff-digits --epochs", "epochs wants a value, and none came: write --epochs VALUE"),
    ("run ff-digits --epochs --lr 1", "epochs wants a value, and none came"),
    ("run ff-digits --epochs many", "epochs should be a whole number, and is 'many'"),
    ("run ff-digits --epochs 1.5", "epochs should be a whole number, and is '1.5'"),
    ("run ff-digits --lr fast", "lr should be a number, and is 'fast'"),
    ("run ff-digits --theta x", "theta should be a number or null, and is 'x'"),
    ("run ff-digits --read 1,b", "read should be a list like 1,2 or null, and is '1,b'"),
    ("run ff-digits --read [a]", "read should be a list like 1,2 or null, and is '[a]'"),
    ("run ff-digits --schedule gredy", "schedule can't be 'gredy': did you mean 'greedy'?"),
    ("run ff-digits --optimizer lion", "optimizer can't be 'lion': choose from adamw, sgd"),
    ("run ff-digits --device gpu", "device can't be 'gpu': did you mean 'cpu'?"),
    ("run ff-digits --seed x", "seed should be a whole number, and is 'x'"),
    ("run ff-digits --threads 2.5", "threads should be a whole number or null, and is '2.5'"),
    ("run ff-digits --twin=yes", "twin takes no value"),
    ("run ff-digits --dataset synthetik", "no data set is called 'synthetik': did you mean"),
    # Files of settings
    ("run ff-digits --config", "config wants a value"),
    (
        "run ff-digits --config none.yaml",
        "--config wants a YAML file, and there is none at 'none.",
    ),
    ("run ff-digits --config .", "--config wants a YAML file, and there is none at '.'"),
    ("run ff-digits --config broken.yaml", "broken.yaml can't be read as YAML (line 2: "),
    ("run ff-digits --config list.yaml", "list.yaml should hold lines NAME: VALUE, and holds a l"),
    ("run ff-digits --config empty.yaml", "empty.yaml should hold lines NAME: VALUE, and holds no"),
    ("run ff-digits --config bytes.yaml", "bytes.yaml can't be read as YAML"),
    ("run ff-digits --config name.yaml", "name.yaml: ff-digits has no setting 'epoch': did you "),
    ("run ff-digits --config config.yaml", "config.yaml: ff-digits has no setting 'config'"),
    ("run ff-digits --config value.yaml", "epochs should be a whole number, and is 'many'"),
    ("run ff-digits --config nested.yaml", "epochs should be a whole number, and is '{a: 1}'"),
    ("run ff-digits --config twin.yaml", "twin should be true or false, and is 'often'"),
    ("run ff-digits --config nan.yaml", "lr should be a number above 0, and is nan"),
    # Ranges
    ("TINY --epochs 0", "epochs should be 1 or more, and is 0"),
    ("TINY --width -3", "width should be 1 or more, and is -3"),
    ("TINY --cells 0", "cells should be 1 or more, and is 0"),
    ("TINY --batch 0", "batch should be 1 or more, and is 0"),
    ("TINY --batch 601", "a batch of 601 is larger than the 600 training samples: take batch=600"),
    ("TINY --lr 0", "lr should be a number above 0, and is 0.0"),
    ("TINY --lr -1e3", "lr should be a number above 0, and is -1000.0"),
    ("TINY --lr .inf", "lr should be a number above 0, and is inf"),
    ("TINY --theta .nan", "theta should be a finite number, and is nan"),
    ("TINY --decay -1", "decay should be 0 or more, and is -1.0"),
    ("TINY --momentum .nan", "momentum should be 0 or more, and is nan"),
    ("TINY --peers -1", "peers should be 0 or more"),
    ("TINY --temperature 0", "temperature should be a number above 0"),
    ("TINY --label_value 0", "label_value should be a number above 0"),
    ("TINY --memory_gib -1", "memory_gib should be 0 or more"),
    ("TINY --evaluate_every 0", "evaluate_every should be 1 or more"),
    ("TINY --checkpoint_every 0", "checkpoint_every should be 1 or more"),
    ("TINY --read [5]", "read names cell 5, but the row has 0 to 1"),
    ("TINY --read []", "read should name cells, each once, and is []"),
    ("TINY --counted [1,1]", "counted should name cells, each once, and is [1, 1]"),
    ("TINY --seed -1", "seed should be 0 or more, and is -1"),
    ("TINY --threads 0", "threads should be 1 to 1024, and is 0"),
    ("TINY --threads 99999999999", "threads should be 1 to 1024, and is 99999999999"),
    ("TINY --width 99999999999999999999", "width should be at most 2147483647"),
    ("TINY --schedule greedy", "the schedule greedy can't draw hard negatives"),
    ("pipeline ff-digits --stages 2 --restarts -1", "restarts should be 0 or more, and is '-1'"),
    ("run mine.py:recipe", "a module has no .py: mine:recipe"),
    # Settings that nothing would look at
    ("TINY --optimizer adamw --momentum 0.5", "momentum is of optimizer=sgd, and optimizer is ad"),
    ("TINY --scale 2", "scale is of gamma=earlier or all, and gamma is none: it wou"),
    ("TINY --linear false --read [1]", "read is of linear=true, and linear is false"),
    ("run uff-ae-mnist --noise_level 0.2", "noise_level is of noise=gaussian or masking or salt"),
    ("run uff-dae-mnist --kernel 5", "kernel is of cell=cae or convwta, and cell is dae"),
    ("sweep ff-digits --grid optimizer=sgd,adamw momentum=0.5,0.9", "momentum is of optimizer=sgd"),
    # Folders
    ("TINY --data here", "synthetic needs no files, but the path here came with it"),
    ("TINY --dataset mnist --data nowhere", "there is no folder nowhere; wanted one with train-im"),
    ("TINY --dataset mnist --data empty", "empty does not hold mnist: wanted train-images"),
    ("TINY --dataset mnist --data list.yaml", "list.yaml is a file, wanted a folder"),
    ("TINY --out list.yaml", "list.yaml can't be made (File exists): take another --out"),
    ("TINY --out list.yaml/in", "list.yaml/in can't be made (Not a directory)"),
    ("TINY --out full", "full is not empty and holds no run: take another folder (--out DIR)"),
    ("resume nowhere", "a run's folder holds record.json, and there is none at nowhere"),
    ("resume empty", "a run's folder holds record.json, and there is none at empty/record.json"),
    ("eval empty", "there is none at empty/record.json"),
    ("predict empty list.yaml", "there is none at empty/record.json"),
    ("report empty", "there is none at empty/record.json"),
    ("check math", "a part is named module:attribute, and 'math' is not"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with files of all kinds in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in YAML.items():
        Path(name).write_text(text)
    Path("bytes.yaml").write_bytes(bytes(range(256)))
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full", "mine.txt").write_text("mine")
    return tmp_path


@pytest.mark.parametrize(("words", "says"), WORDS)
def test_words(here: Path, words: str, says: str) -> None:
    before = sorted(here.rglob("*"))
    given = [*RUN, *words.split()[1:]] if words.startswith("TINY") else words.split()
    complaint = onward(*given).complaint
    assert says in complaint
    assert len(complaint) < 600
    assert sorted(here.rglob("*")) == before, "nothing is made and nothing is lost"


def test_every_row_of_every_table_sets_what_something_looks_at() -> None:
    rows = [row for name in tables.MODULES for row in tables.find(name).rows]
    for row in rows:
        recipe = recipes.find(row.recipe)
        limits.unheard(dataclasses.replace(recipe.defaults, **row.changes), recipe.defaults)
    assert len(rows) > 300


def test_a_wide_margin_is_allowed_and_told(here: Path) -> None:
    wide = onward(*RUN, "--objective", "swish", "--out", "wide")
    assert wide.code == 0
    assert "objective=swish takes temperature=1 as its margin" in wide.err
    usual = onward(*RUN, "--objective", "swish", "--temperature", "0.1", "--out", "usual")
    assert usual.code == 0
    assert "margin" not in usual.err


def test_cuda_where_there_is_none(here: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    said = onward(*RUN, "--device", "cuda", "--out", "run").complaint
    assert said.startswith("device cuda was asked for, and torch finds no CUDA device here")
    assert not Path("run").exists()


def test_a_wrong_name_is_answered_before_torch_is_loaded() -> None:
    done = program(
        "import sys; from onward.cli import main; main(['run', 'ff-digits', '--epoch', '3']);"
        "assert 'torch' not in sys.modules",
        python=("-c",),
    )
    assert done.code == 0
    assert done.err == "onward: ff-digits has no setting 'epoch': did you mean 'epochs'?\n"


def test_more_than_memory_holds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*anything: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate much")

    monkeypatch.setattr(data, "load", refuse)
    said = onward(*RUN, "--out", "run").complaint
    assert said == "this does not fit into memory: take narrower cells or smaller batches"


# Data


def idx(path: Path, shape: tuple[int, ...], content: bytes | None = None, magic: int = 8) -> None:
    """An MNIST file: two zeros, type, dimensions, sizes, bytes."""
    head = bytes([0, 0, magic, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    path.write_bytes(head + (bytes(int(np.prod(shape))) if content is None else content))


def mnist(folder: Path) -> None:
    folder.mkdir()
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        idx(folder / f"{name}-labels-idx1-ubyte", (count,))
        (folder / f"{name}-images-idx3-ubyte").touch()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: idx(f / "t10k-labels-idx1-ubyte", (9_999,)), "t10k-labels-idx1-ubyte"),
        (lambda f: idx(f / "train-labels-idx1-ubyte", (60_000,), b"short"), "train-labels"),
        (lambda f: idx(f / "train-labels-idx1-ubyte", (60_000,), magic=13), "train-labels"),
        (lambda f: (f / "train-labels-idx1-ubyte").write_bytes(b"PK no labels"), "train-labels"),
        (lambda f: (f / "t10k-labels-idx1-ubyte").unlink(), "is missing; the folder holds"),
        (lambda f: None, "train-images-idx3-ubyte"),
    ],
)
def test_damaged_folders(here: Path, damage: Callable[[Path], object], says: str) -> None:
    mnist(here / "mnist")
    damage(here / "mnist")
    done = onward(*RUN, "--dataset", "mnist", "--data", "mnist", "--out", "run")
    assert says in done.complaint
    assert not Path("run").exists()


def arrays(**changes: Any) -> dict[str, Any]:
    made = data.load("synthetic")
    found = {"x_train": made.train.x.numpy(), "y_train": made.train.y.numpy()}
    found |= {"x_test": made.test.x.numpy(), "y_test": made.test.y.numpy()}
    return {k: v for k, v in {**found, **changes}.items() if v is not None}


NPZ: list[tuple[dict[str, Any], str]] = [
    ({"x_train": np.full((600, 64), np.nan, np.float32)}, "NaN"),
    ({"x_test": np.zeros((200, 63), np.float32)}, "x_test"),
    ({"x_train": np.zeros((599, 1, 8, 8), np.float32)}, "x_train"),
    ({"y_train": np.full(600, -1)}, "y_train"),
    ({"y_test": np.full(200, 77)}, "y_test"),
    ({"y_train": np.array([0, 2, 5] * 200), "y_test": np.array([2, 5] * 100)}, "has 1, 3, 4; numb"),
    ({"y_test": None}, "y_test"),
    ({"x_train": np.array([{}] * 600)}, "pickle"),
]


@pytest.mark.parametrize(("changes", "says"), NPZ)
def test_damaged_npz(here: Path, changes: dict[str, Any], says: str) -> None:
    save_npz("own.npz", arrays(**changes))
    assert says in onward(*RUN, "--data", "own.npz", "--out", "run").complaint
    assert not Path("run").exists()


def test_a_run_is_tested_on_data_without_some_of_its_classes(finished: Path, here: Path) -> None:
    few = {k: np.full(len(v), 5) if k[0] == "y" else v for k, v in arrays().items()}
    save_npz("few.npz", few)
    assert onward("eval", finished, "--data", "few.npz").code == 0


def test_truncated_npz(here: Path) -> None:
    save_npz("own.npz", arrays())
    Path("own.npz").write_bytes(Path("own.npz").read_bytes()[:5000])
    assert "own.npz" in onward(*RUN, "--data", "own.npz", "--out", "run").complaint


def test_no_network(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*anything: object, **more: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    monkeypatch.delenv("ONWARD_DATA", raising=False)
    said = onward(*RUN, "--dataset", "mnist", "--out", "run").complaint
    assert "could not download train-images-idx3-ubyte.gz of mnist" in said
    assert "--data PATH" in said
    assert not Path("run").exists()


def test_a_label_wider_than_the_input(here: Path) -> None:
    few = {k: v.reshape(len(v), -1)[:, :5] if k[0] == "x" else v for k, v in arrays().items()}
    save_npz("narrow.npz", few)
    words = ("--data", "narrow.npz", "--label", "first", "--out", "run")
    said = onward(*RUN, *words).complaint
    assert said.startswith("a label of 10 classes needs 10 inputs to be written over, but a sample")
    assert not Path("run").exists()


# Folders of runs


def test_a_folder_with_a_run_is_not_run_into_again(copied: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*")}
    said = onward(*RUN, "--out", copied).complaint
    assert f"{copied} already holds a run (finished): `onward report {copied}` shows it" in said
    assert {p: p.stat().st_mtime_ns for p in copied.rglob("*")} == before
    change(copied, status="interrupted")
    assert f"`onward resume {copied}` goes on with it" in onward(*RUN, "--out", copied).complaint


def test_what_a_run_killed_at_its_start_leaves_is_no_hindrance(here: Path) -> None:
    Path("run").mkdir()
    Path("run", "local.json").write_text('{"data": "somewhere"}')
    Path("run", ".record.json.77.tmp").write_text('{"sch')
    assert onward(*RUN, "--epochs", 1, "--out", "run").code == 0
    assert not list(Path("run").glob(".*"))


def change(run: Path, **values: Any) -> None:
    """A record edited by hand; names like data__name go one level down."""
    path = run / "record.json"
    made = json.loads(path.read_text())
    for name, value in values.items():
        first, _, second = name.partition("__")
        if second:
            made[first][second] = value
        else:
            made[first] = value
    path.write_text(json.dumps(made))


def without(run: Path, name: str) -> None:
    path = run / "record.json"
    made = json.loads(path.read_text())
    del made[name]
    path.write_text(json.dumps(made))


def replace(run: Path, old: bytes, new: bytes) -> None:
    path = run / "record.json"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def cut(run: Path) -> None:
    path = run / "record.json"
    path.write_bytes(path.read_bytes()[:700])


RECORDS: list[tuple[Callable[[Path], object], str]] = [
    (lambda r: (r / "record.json").unlink(), "there is none at"),
    (lambda r: (r / "record.json").write_bytes(b""), "is not a readable record"),
    (lambda r: (r / "record.json").write_bytes(b"\x80\x04K\x01."), "is not a readable record"),
    (lambda r: (r / "record.json").write_bytes(b"[" * 100_000), "is not a readable record"),
    (lambda r: (r / "record.json").write_text('{"a": 1}'), "is not a record of Onward"),
    (lambda r: (r / "record.json").write_text("[1, 2]"), "is not a record of Onward"),
    (cut, "is not a readable record"),
    (lambda r: replace(r, b'"epochs"', b'"e\xf0ochs"'), "is not a readable record"),
    (lambda r: replace(r, b'"status"', b'"statws"'), "is not a whole record: status is missing"),
    (
        lambda r: replace(r, b'"classes"', b'"classis"'),
        "is not a whole record: data.classes is",
    ),
    (lambda r: replace(r, b'"rate": [', b'"rate": [NaN,'), "it holds NaN"),
    (lambda r: change(r, schema=2), "is of schema 2, and this Onward knows up to 1"),
    (lambda r: change(r, schema=True), "is not a record of Onward: it has no schema number"),
    (lambda r: change(r, status="over"), "status is 'over', not one of running, interrupted"),
    (lambda r: change(r, settings=[1]), "settings should be an object, and is a list"),
    (lambda r: change(r, seed="0"), "seed should be a whole number, and is text"),
    (lambda r: change(r, seed=True), "seed should be a whole number, and is true or false"),
    (lambda r: change(r, data__shape="1x8x8"), "data.shape should be a list, and is text"),
    (lambda r: change(r, data__shape=[1, "8"]), "data.shape should be a list of a whole number"),
    (lambda r: change(r, data__range=["0", 1]), "data.range should be a list of a number or null"),
    (lambda r: change(r, data__label_names=[1]), "data.label_names should be a list of text"),
    (lambda r: change(r, cells=[1, 2]), "is not a whole record: cells[0].name is missing"),
    (lambda r: change(r, cost__flops="many"), "cost.flops should be a number or null, and is text"),
    (lambda r: without(r, "curves"), "is not a whole record: curves is missing"),
]


BACK = ("there is none at", "is not a readable record", "it holds NaN")


@pytest.mark.parametrize(("damage", "says"), RECORDS)
def test_damaged_records(copied: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(copied)
    np.save(copied / "x.npy", np.zeros((1, 64), np.float32))
    for words in ("eval", "report"):
        assert says in onward(words, copied).complaint
    assert says in onward("predict", copied, copied / "x.npy").complaint
    done = onward("resume", copied)
    # What is no JSON, or gone, is put back from the last checkpoint; what it says is not doubted.
    assert (says if says not in BACK else "is in its place") in done.err.splitlines()[0]
    assert done.code == (0 if says in BACK else 2)


SETTINGS: list[tuple[Callable[[Path], None], str]] = [
    (lambda r: change(r, settings__width="16"), "the record's setting width can't be '16'"),
    (lambda r: change(r, settings__width=True), "the record's setting width can't be True"),
    (lambda r: change(r, settings__label="last"), "the record's setting label can't be 'last'"),
    (lambda r: change(r, settings__read=["a"]), "the record's setting read can't be ['a']"),
    (lambda r: change(r, settings__speed=3), "has settings that ff-digits does not know: speed"),
    (lambda r: change(r, settings__width=17), "(other: width)"),
    (lambda r: change(r, settings__lr=0.5), "(other: lr)"),
    (lambda r: change(r, seed=1), "(other: seed)"),
    (lambda r: change(r, data__fingerprint="0" * 64), "fingerprints differ"),
    (lambda r: change(r, recipe=None), "was made by onward.fit(), not by a recipe"),
    (lambda r: change(r, recipe="ff-digts"), "there is no recipe 'ff-digts'"),
    (lambda r: change(r, machine__precision="fp8"), "precision can't be 'fp8'"),
    (lambda r: change(r, machine__threads=0), "threads should be 1 to 1024, and is 0"),
]


@pytest.mark.parametrize(("damage", "says"), SETTINGS)
def test_records_of_another_run(copied: Path, damage: Callable[[Path], object], says: str) -> None:
    change(copied, status="interrupted")
    damage(copied)
    assert says in onward("resume", copied).complaint
    assert record.read(copied)["status"] == "interrupted"


def test_resume_refuses_what_is_over_or_not_its_own(copied: Path, tmp_path: Path) -> None:
    assert "holds a finished run, and nothing is left to do" in onward("resume", copied).complaint
    change(copied, status="interrupted")
    save_npz(tmp_path / "other.npz", arrays(x_train=np.zeros((600, 1, 8, 8), np.float32)))
    said = onward("resume", copied, "--data", tmp_path / "other.npz").complaint
    assert said.startswith("the data are not those the run began with (synthetic)")
    (copied / "local.json").write_text("[1]")
    assert "local.json is damaged" in onward("resume", copied).complaint


def test_eval_and_predict_on_other_shapes(finished: Path, tmp_path: Path) -> None:
    zeros = {"x_train": np.zeros((600, 70), np.float32), "x_test": np.zeros((200, 70), np.float32)}
    save_npz(tmp_path / "wide.npz", arrays(**zeros))
    said = onward("eval", finished, "--data", tmp_path / "wide.npz").complaint
    assert "the run was trained on samples (1, 8, 8) of 10 classes, and wide has (70,)" in said
    more = {k: np.arange(len(v)) % 11 if k[0] == "y" else v for k, v in arrays().items()}
    save_npz(tmp_path / "more.npz", more)
    said = onward("eval", finished, "--data", tmp_path / "more.npz").complaint
    assert "and more has (1, 8, 8) of 11" in said
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    said = onward("predict", finished, tmp_path / "wide.png").complaint
    assert "wide.png is 9 pixels wide and 8 high, wanted 8 wide and 8 high" in said
    assert "no file or folder" in onward("predict", finished, tmp_path / "none.png").complaint


def test_predict_refuses_what_it_cannot_do(finished: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 64), np.float32))
    words = ("predict", finished / "twin", tmp_path / "x.npy", "--readout", "goodness")
    assert "this run has no readout goodness: it has linear" in onward(*words).complaint
    for out in (tmp_path, tmp_path / "none" / "out.csv", ""):
        given = ("predict", finished, tmp_path / "x.npy", "--out", out)
        assert "could not be written" in onward(*given).complaint
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_a_report_that_cannot_be_written(copied: Path) -> None:
    (copied / "report.html").unlink()
    (copied / "report.html").mkdir()
    assert "report.html could not be written: Is a directory" in onward("report", copied).complaint


# Trouble in the middle of a run


def test_divergence_keeps_the_last_good_checkpoint(here: Path) -> None:
    words = (*RUN, "--epochs", 6, "--optimizer", "adamw", "--lr", "1e30", "--out", "run")
    done = onward(*words)
    assert "cell-0 diverged in cells, epoch " in done.complaint
    assert "Take a smaller learning rate (lr)" in done.complaint
    assert record.read(Path("run"))["status"] == "diverged"
    assert (Path("run") / "checkpoint").exists() == ("The last good checkpoint is" in done.err)


def test_divergence_after_some_epochs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onward import optimizers

    def explode(epoch: int, epochs: int) -> float:
        return 1.0 if epoch < 3 else 1e38

    monkeypatch.setitem(optimizers.RATE_SCHEDULES, "constant", explode)
    words = (*RUN, "--epochs", 6, "--rate", "constant", "--lr", 1, "--out", "run")
    said = onward(*words).complaint
    assert "diverged in cells, epoch 3" in said
    assert "The last good checkpoint is run/checkpoint/0000000020" in said
    assert onward("eval", "run").code == 0
    assert all(bool(torch.isfinite(t.double()).all()) for t in weights(Path("run")).values())


def test_a_full_disk_costs_only_the_newest_checkpoint(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert onward(*RUN, "--out", "whole").code == 0
    sound, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 14:
            raise OSError(28, "No space left on device")
        sound(handle)

    monkeypatch.setattr(os, "fsync", full)
    said = onward(*RUN, "--out", "run").complaint
    assert "could not be written (No space left on device)" in said
    assert "the last good one is run/checkpoint/0000000010" in said
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert onward("eval", "run").code == 0
    assert onward("resume", "run").code == 0
    same(Path("run"), Path("whole"))


def test_a_disk_that_really_is_full(here: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))

    done = program(*RUN, "--width", 64, "--out", "run", cwd=here, preexec_fn=limit)
    assert "could not be written (File too large); there is none before it" in done.complaint
    assert record.read(Path("run"))["status"] == "interrupted"
    assert onward("resume", "run").code == 0
    assert onward(*RUN, "--width", 64, "--out", "whole").code == 0
    same(Path("run"), Path("whole"))


def test_standard_output_that_is_full() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "onward", "show", "ff-mnist"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "onward: No space left on device\n"


def test_a_foreign_folder_is_left_alone(copied: Path, tmp_path: Path) -> None:
    """A checkpoint of a run with other weights of the same shapes is no checkpoint of this one."""
    other = tmp_path / "other"
    assert onward(*RUN, "--seed", 9, "--out", other).code == 0
    shutil.rmtree(copied / "checkpoint")
    shutil.copytree(other / "checkpoint", copied / "checkpoint")
    for verb in ("eval", "resume"):
        if verb == "resume":
            change(copied, status="running")
        said = onward(verb, copied).complaint
        assert "is of another run than the record beside it (other: seed)" in said


# Somebody's own recipe that raises

RAISING = """
import os
from dataclasses import dataclass, replace
import onward
from onward.recipes import Recipe
from onward.recipes.forward_forward import ForwardForwardSettings, build
class Cell(onward.Dense):
    def forward(self, x):
        if os.environ.get("FAIL") == "cell": x.reshape(7, -1, 7)
        if os.environ.get("FAIL") == "step" and len(x) == 120: x.reshape(7, -1, 7)
        return super().forward(x)
def built(settings, data, seed):
    if os.environ.get("FAIL") == "build": raise ValueError("two\\nlines")
    if os.environ.get("FAIL") == "file": open("none.txt")
    plan = build(settings, data, seed)
    if os.environ.get("FAIL") == "onward": onward.Recurrent(-1, 3, 2)
    for station in plan.row.stations: station.cell.__class__ = Cell
    return plan
recipe = Recipe("raising", "none", "here", ForwardForwardSettings(dataset="synthetic", width=16,
    cells=2, epochs=2, batch=60, evaluate_every=1), built)
@dataclass(frozen=True)
class Bare:
    epochs: int = 1
bare = replace(recipe, defaults=Bare())
"""


@pytest.fixture
def raising(here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    Path("raising.py").write_text(RAISING)
    monkeypatch.delitem(sys.modules, "raising", raising=False)
    return "raising:recipe"


@pytest.mark.parametrize(
    ("fail", "says"),
    [
        ("build", "ValueError: two lines (raising.py, line 13)"),
        ("file", "FileNotFoundError: [Errno 2] No such file or directory: 'none.txt' (raising.py"),
        ("cell", "RuntimeError: shape '[7, -1, 7]' is invalid for input of size "),
    ],
)
def test_what_a_part_of_ones_own_raises_is_one_line(
    raising: str, monkeypatch: pytest.MonkeyPatch, fail: str, says: str
) -> None:
    from test_resume import press_after

    with monkeypatch.context() as patch:
        press_after(patch, steps=5)
        assert onward("run", raising, "--threads", 1, "--out", "run").code == 130
    np.save("x.npy", np.zeros((1, 64), np.float32))
    monkeypatch.setenv("FAIL", fail)
    for words in (
        ("run", raising, "--out", "other"),
        ("relay", raising, "--out", "other"),
        ("resume", "run"),
        ("eval", "run"),
        ("predict", "run", "x.npy"),
    ):
        said = onward(*words).complaint
        assert said.startswith(f"{raising} raised {says}"), words
        assert "(raising.py, line " in said
        assert said.endswith("; ONWARD_TRACEBACK=1 shows the whole traceback")
    assert onward("check", raising).out.startswith("broken  it raised ")
    monkeypatch.setenv("ONWARD_TRACEBACK", "1")
    done = onward("eval", "run")
    assert done.code == 2
    assert done.err.startswith("Traceback (most recent call last)")
    assert done.err.splitlines()[-1].startswith(f"onward: {raising} raised ")


def test_what_onward_can_not_do_with_is_one_line(
    raising: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = onward("run", "raising:bare", "--out", "run").complaint
    assert said.startswith("Onward can't do with what raising:bare gives it: AttributeError: ")
    assert "dataset" in said
    monkeypatch.setenv("FAIL", "onward")
    said = onward("run", raising, "--out", "run").complaint
    assert "RuntimeError: " in said
    assert ", from raising.py, line 16." in said
    assert said.endswith("; ONWARD_TRACEBACK=1 shows the whole traceback")


def test_a_run_that_fell_before_its_first_checkpoint_is_in_nobodys_way(
    raising: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("FAIL", "step")  # positives and negatives of 60 samples
        assert onward("run", raising, "--seed", 3, "--out", "run").code == 2
        assert json.loads(Path("run/record.json").read_text())["status"] == "interrupted"
        with alone(Path("run")):  # somebody is at work there
            said = onward("run", raising, "--out", "run").complaint
            assert "already holds a run (interrupted): `onward resume run` goes on with it" in said
    assert onward("run", raising, "--out", "run").code == 0
    found = json.loads(Path("run/record.json").read_text())
    assert (found["status"], found["seed"]) == ("finished", 0)


def test_an_error_of_onwards_own_keeps_its_traceback(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AttributeError("a mistake of ours")

    monkeypatch.setattr("onward.recipes.running.start", broken)
    with pytest.raises(AttributeError, match="a mistake of ours"):
        onward("run", "ff-digits", "--out", "run")


def test_a_part_that_fails_while_it_is_imported_says_where(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("failing.py").write_text("\n\n1 / 0\n")
    said = onward("run", "failing:recipe").complaint
    assert said == (
        "failing:recipe could not be imported (ZeroDivisionError: division by zero; failing.py, "
        "line 3)"
    )
