"""Cells trained at sites of their own, with nothing but a file of latents between them."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import onward, save_npz
from safetensors import safe_open
from torch import Tensor

from onward import BadInput, checkpoint, data, latents, record
from onward.recipes import joining, relay

TINY = ("--dataset", "synthetic", "--epochs", "2", "--batch", "50", "--threads", "1", "--seed", "3")
WIDTHS = {"dae": "[20, 16, 12]", "cae": "[4, 6, 8]", "gan": "[20, 16, 12]"}
NAMES = ("cell-0", "cell-1", "cell-2", "readout")


def file(site: Path) -> Path:
    return site / relay.FILE


def relayed(kind: str, folder: Path) -> list[Path]:
    """The four sites of a row, each with nothing but what the ones before it left."""
    a, b, c, d = sites = [folder / name for name in "abcd"]
    words = ("relay", f"uff-{kind}-mnist", *TINY, "--widths", WIDTHS[kind], "--regime", "separate")
    for step in (
        (*words, "--out", a),
        ("relay", file(a), "--out", b, "--threads", "1"),
        ("relay", file(b), "--out", c, "--threads", "1"),
        ("relay", file(a), file(b), file(c), "--out", d, "--threads", "1"),
    ):
        done = onward(*step)
        assert done.code == 0, done.err
    return sites


def learned(folder: Path, name: str) -> dict[str, Tensor]:
    found = checkpoint.load(folder / "checkpoint").tensors[name]
    return {key: value for key, value in found.items() if key.startswith("cell/")}


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The sites of a denoising row. Not to be changed."""
    return relayed("dae", tmp_path_factory.mktemp("relay"))


@pytest.mark.parametrize("kind", WIDTHS)
def test_sites_learn_what_one_separate_run_learns(kind: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    words = ("run", f"uff-{kind}-mnist", *TINY, "--widths", WIDTHS[kind], "--regime", "separate")
    assert onward(*words, "--alone", "--out", whole).code == 0
    for site, name in zip(relayed(kind, tmp_path), NAMES, strict=True):
        wanted, came = learned(whole, name), learned(site, name)
        assert wanted.keys() == came.keys()
        assert all(torch.equal(wanted[key], came[key]) for key in wanted), name
        assert record.read(site)["part"] == name
    assert record.read(tmp_path / "d")["test_error"] == record.read(whole)["test_error"]


def test_a_number_is_read_off_relayed_latents(tmp_path: Path) -> None:
    words = (
        *("uff-regression-diabetes", "--widths", "[8, 6]", "--regime", "separate"),
        *("--epochs", "2", "--batch", "60", "--threads", "1"),
    )
    a, b, c, whole = (tmp_path / name for name in ("a", "b", "c", "whole"))
    assert onward("run", *words, "--alone", "--out", whole).code == 0
    assert onward("relay", *words, "--out", a).code == 0
    assert onward("relay", file(a), "--out", b, "--threads", "1").code == 0
    assert onward("relay", file(a), file(b), "--out", c, "--threads", "1").code == 0
    wanted, came = learned(whole, "readout"), learned(c, "readout")
    assert {"cell/task.mean", "cell/task.spread"} < wanted.keys() == came.keys()
    assert all(torch.equal(wanted[key], came[key]) for key in wanted)
    assert record.read(c)["test_error"] == record.read(whole)["test_error"]
    assert record.read(c)["measure"] == "1 - R2"


def test_a_row_that_detects_has_no_readout_to_relay(tmp_path: Path) -> None:
    words = ("uff-anomaly-mnist", "--dataset", "synthetic", "--widths", "[8]", "--epochs", "1")
    a = tmp_path / "a"
    done = onward("relay", *words, "--regime", "separate", "--threads", "1", "--out", a)
    assert done.code == 0, done.err
    assert latents.read(file(a)).about["data"]["classes"] == 2
    said = onward("relay", file(a), "--out", tmp_path / "b").complaint
    assert said == "uff-anomaly-mnist has no readout to train"


def test_a_file_holds_answers_and_no_labels(row: list[Path]) -> None:
    found = latents.read(file(row[0]))
    samples = data.load("synthetic")
    assert found.cell == 0
    assert {k: tuple(v.shape) for k, v in found.tensors.items()} == {
        "train": (600, 20),
        "validation": (200, 20),
        "test": (200, 20),
    }
    assert set(found.about) == {"format", "recipe", "settings", "seed", "data", "cell", "onward"}
    assert found.about["data"]["fingerprint"] == samples.fingerprint()
    with safe_open(file(row[0]), framework="pt") as opened:  # any reader of safetensors reads it
        assert torch.equal(opened.get_tensor("test"), found.tensors["test"])


def test_a_killed_site_goes_on(row: list[Path], tmp_path: Path) -> None:
    """Killed before its file was written, and, with one epoch done, in the middle of its cell."""
    site = tmp_path / "b"
    shutil.copytree(row[1], site)
    file(site).unlink()
    assert relay.waits(site)
    assert onward("resume", site).code == 0
    assert file(site).read_bytes() == file(row[1]).read_bytes()
    first = min(checkpoint.positions(site / "checkpoint"))
    for place in checkpoint.positions(site / "checkpoint"):
        if place != first:
            shutil.rmtree(place)
    state = json.loads((first / "state.json").read_text())
    record.write(site / "record.json", state["record"])
    file(site).unlink()
    assert onward("resume", site).code == 0
    assert file(site).read_bytes() == file(row[1]).read_bytes()
    assert onward("resume", site).code == 2  # nothing is left to do


def test_latents_may_exceed_memory(row: list[Path]) -> None:
    """What is read is mapped, not loaded, and changing it leaves the file alone."""
    before = file(row[0]).read_bytes()
    latents.read(file(row[0])).tensors["train"].zero_()
    assert file(row[0]).read_bytes() == before


def rewritten(path: Path, to: Path, **changes: Any) -> Path:
    """The same latents, with other things said of them or other numbers in them."""
    found = latents.read(path)
    about = {k: v for k, v in found.about.items() if k not in ("format", "sha256")}
    tensors = changes.pop("tensors", found.tensors)
    answers = {split: (tuple(x.shape), iter([x])) for split, x in tensors.items()}
    latents.write(to, {**about, **changes}, answers)
    return to


def cut(path: Path, to: Path) -> Path:
    to.write_bytes(path.read_bytes()[:-100])
    return to


def flipped(path: Path, to: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    to.write_bytes(content)
    return to


def poisoned(path: Path, to: Path) -> Path:
    """NaN in its numbers, with a sum that agrees."""
    import hashlib

    found, nan = latents.read(path), float("nan")
    found.tensors["test"][0, 0] = nan
    content = path.read_bytes()
    tail = found.tensors["test"].numpy().tobytes()
    before = json.loads(
        json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"][
            latents.KEY
        ]
    )["sha256"]["test"]
    after = hashlib.sha256(tail).hexdigest()
    to.write_bytes(content[: -len(tail)].replace(before.encode(), after.encode()) + tail)
    return to


def narrow(path: Path, to: Path) -> Path:
    found = latents.read(path).tensors
    return rewritten(path, to, tensors={split: x[:, :7] for split, x in found.items()})


def pickled(path: Path, to: Path) -> Path:
    torch.save({"train": torch.zeros(3)}, to)
    return to


BAD = {
    "cut short": (cut, "cut short or changed"),
    "a changed number": (flipped, "damaged: the test split"),
    "not finite": (poisoned, "not finite"),
    "another width": (narrow, "cell-1 takes 20 numbers a sample, and the file has 7"),
    "a pickle": (pickled, "is not a file of latents"),
    "another recipe": (
        lambda path, to: rewritten(path, to, recipe="somebody:recipe"),
        "no recipe of Onward",
    ),
    "unknown settings": (
        lambda path, to: rewritten(path, to, settings={"no_such": 1}),
        "does not know: no_such",
    ),
    "a setting out of range": (
        lambda path, to: rewritten(path, to, settings={"epochs": "many"}),
        "epochs can't be 'many'",
    ),
    "beyond the row": (lambda path, to: rewritten(path, to, cell=2), "is the row's last"),
    "without its row": (lambda path, to: rewritten(path, to, seed=None), "of which row"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_will_not_do(name: str, row: list[Path], tmp_path: Path) -> None:
    spoil, said = BAD[name]
    bad = spoil(file(row[0]), tmp_path / "bad.safetensors")
    done = onward("relay", bad, "--out", tmp_path / "out")
    assert (done.code, said in done.err) == (2, True), done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("relay", "usage"),
        ("relay nothing.safetensors --out x", "can't be read"),
        ("relay uff-dae-mnist --dataset synthetic", "--out DIR"),
        ("relay uff-dea-mnist --out x", "uff-dae-mnist"),
        ("relay ff-digits --negatives wrong --dataset synthetic --out x", "can't serve"),
        ("relay a.safetensors --seed 1 --out x", "has no setting 'seed'"),
        ("relay a.safetensors --threads many --out x", "threads should be"),
    ],
)
def test_words_that_will_not_do(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = onward(*words.split())
    assert said in done.out + done.err
    assert done.code == (0 if said == "usage" else 2)
    assert not (tmp_path / "x").exists()


def test_files_of_two_rows_are_refused(row: list[Path], tmp_path: Path) -> None:
    other = rewritten(file(row[1]), tmp_path / "other.safetensors", seed=4)
    done = onward("relay", file(row[0]), other, file(row[2]), "--out", tmp_path / "x")
    assert (done.code, "they differ in seed" in done.err) == (2, True)
    done = onward("relay", file(row[0]), file(row[2]), "--out", tmp_path / "x")
    assert (done.code, "the latents of all 3 cells, in order" in done.err) == (2, True)


def test_a_part_is_no_row(row: list[Path]) -> None:
    done = onward("predict", row[1], "nothing.npy")
    assert (done.code, "holds one part of a row (cell-1)" in done.err) == (2, True)


def test_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "latents.safetensors"
    bad = {"train": ((2, 3), iter([torch.full((2, 3), torch.inf)]))}
    with pytest.raises(BadInput, match="not finite"):
        latents.write(path, {"cell": 0}, bad)
    assert not list(tmp_path.iterdir())


def test_samples_that_stay_at_the_first_site(tmp_path: Path) -> None:
    """A later cell can't restore the original sample: it is not there."""
    words = ("relay", "uff-ae-mnist", *TINY, "--widths", "[8, 8]", "--target", "original")
    assert onward(*words, "--tied", "false", "--out", tmp_path / "a").code == 0
    done = onward("relay", file(tmp_path / "a"), "--out", tmp_path / "b")
    assert (done.code, "target=own" in done.err) == (2, True)


def test_the_recorded_commands_do_it_again(
    row: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for site, name in zip(row, NAMES, strict=True):
        words = shlex.split(record.read(site)["command"])
        assert words[0] == "onward"
        done = onward(*words[1:])
        assert done.code == 0, done.err
        wanted, came = learned(site, name), learned(tmp_path / site.name, name)
        assert all(torch.equal(wanted[key], came[key]) for key in wanted)
        assert ("test error" in done.out) == (name == "readout")
        assert f"uff-dae-mnist, {name} on synthetic" in done.out


# --- signatures


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of two sites, a and b. Not to be changed."""
    pytest.importorskip("cryptography", reason="the extra tls is not installed")
    folder = tmp_path_factory.mktemp("keys")
    for name in "ab":
        made = onward("relay", "keys", folder / name)
        assert made.code == 0, made.err
    return folder


def test_a_signed_file_is_trained_on(row: list[Path], keys: Path, tmp_path: Path) -> None:
    assert (keys / "a.key").stat().st_mode & 0o777 == 0o600
    shutil.copy(file(row[0]), tmp_path / "a.safetensors")
    signed = onward("relay", "sign", tmp_path / "a.safetensors", keys / "a.key")
    assert (signed.code, signed.out) == (0, f"{tmp_path / 'a.safetensors.sig'}\n")
    both = f"{keys / 'b.pub'},{keys / 'a.pub'}"
    words = ("relay", tmp_path / "a.safetensors", "--threads", "1", "--out", tmp_path / "b")
    done = onward(*words, "--signed_by", both)
    assert done.code == 0, done.err
    assert f"a.safetensors: signed by {keys / 'a.pub'}" in done.err
    mine, theirs = learned(tmp_path / "b", "cell-1"), learned(row[1], "cell-1")
    assert all(theirs[key].equal(value) for key, value in mine.items())


def test_what_others_signed_or_changed_is_refused(
    row: list[Path], keys: Path, tmp_path: Path
) -> None:
    out, copy = tmp_path / "out", tmp_path / "a.safetensors"
    shutil.copy(file(row[0]), copy)
    words = ("relay", copy, "--out", out, "--signed_by")
    assert "is not signed: a.safetensors.sig is missing" in onward(*words, keys / "a.pub").complaint
    assert onward("relay", "sign", copy, keys / "a.key").code == 0
    assert "not what" in onward(*words, keys / "b.pub").complaint
    assert "is no public key" in onward(*words, keys / "a.key").complaint
    assert "can't be read" in onward(*words, keys / "none.pub").complaint
    assert "wants files of public keys" in onward(*words, ",").complaint
    # Another file of the same kind under this signature; the same file, said to be another seed's.
    shutil.copy(file(row[1]), copy)
    assert "not what" in onward(*words, keys / "a.pub").complaint
    whole = file(row[0]).read_bytes()
    assert whole.count(rb"\"seed\": 3") == 1
    copy.write_bytes(whole.replace(rb"\"seed\": 3", rb"\"seed\": 4"))
    assert latents.read(copy).about["seed"] == 4
    assert "not what" in onward(*words, keys / "a.pub").complaint
    (tmp_path / "a.safetensors.sig").write_text("?")
    assert "is no signature" in onward(*words, keys / "a.pub").complaint
    assert not out.exists()


def test_without_the_package_a_line_says_what_to_install(
    row: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cryptography", "cryptography.exceptions", "cryptography.hazmat.primitives"):
        monkeypatch.setitem(sys.modules, name, None)
    said = onward("relay", file(row[0]), "--signed_by", "a.pub", "--out", tmp_path / "x")
    assert "pip install 'onward[tls]'" in said.complaint


def test_keys_and_words_that_will_not_do(row: list[Path], keys: Path, tmp_path: Path) -> None:
    before = (keys / "a.key").read_bytes()
    assert "is there already" in onward("relay", "keys", keys / "a").complaint
    assert (keys / "a.key").read_bytes() == before
    assert "wants NAME" in onward("relay", "keys").complaint
    assert "wants LATENTS and NAME.key" in onward("relay", "sign", file(row[0])).complaint
    no_key = onward("relay", "sign", file(row[0]), keys / "a.pub").complaint
    assert "is no private key" in no_key
    (tmp_path / "x.safetensors").write_bytes(b"no latents")
    not_latents = onward("relay", "sign", tmp_path / "x.safetensors", keys / "a.key").complaint
    assert "not a file of latents" in not_latents
    assert not list(tmp_path.glob("*.sig"))


def join(*words: object) -> Any:
    return onward("relay", "join", *words, "--threads", "1")


@pytest.mark.parametrize("kind", WIDTHS)
def test_parts_are_joined_into_the_run_of_the_whole_row(kind: str, tmp_path: Path) -> None:
    """In any order, and without the files that travelled: weights, optimisers, costs and all."""
    whole, out = tmp_path / "whole", tmp_path / "joined"
    words = ("run", f"uff-{kind}-mnist", *TINY, "--widths", WIDTHS[kind], "--regime", "separate")
    assert onward(*words, "--alone", "--out", whole).code == 0
    parts = relayed(kind, tmp_path)[::-1]
    for part in parts:
        file(part).unlink(missing_ok=True)
    done = join(*parts[:2], "--out", out, *parts[2:])
    assert done.code == 0, done.err
    wanted, came = (checkpoint.load(folder / "checkpoint") for folder in (whole, out))
    assert wanted.tensors.keys() == came.tensors.keys()
    for name, tensors in wanted.tensors.items():
        assert tensors.keys() == came.tensors[name].keys()
        assert all(torch.equal(tensors[key], came.tensors[name][key]) for key in tensors), name
    assert wanted.state["optimizers"] == came.state["optimizers"]
    told, found = record.read(whole), record.read(out)
    for key in ("epochs", "data", "seed", "settings", "schedule", "test_error", "confusion"):
        assert told[key] == found[key], key
    for key in ("epoch", "stage", "rate", "readout_loss", "readouts"):
        assert told["curves"][key] == found["curves"][key], key
    for theirs, ours in zip(told["curves"]["cells"], found["curves"]["cells"], strict=True):
        assert theirs["loss"] == ours["loss"]
        assert theirs.keys() == ours.keys()
    assert {path.name for path in whole.iterdir()} == {path.name for path in out.iterdir()}
    costs, ours = told["cost"], found["cost"]
    assert ours["data_passes"] == pytest.approx(costs["data_passes"], abs=1e-3)
    assert ours["flops"] == costs["flops"]
    assert ours["bytes_between_stations"] == costs["bytes_between_stations"]
    assert ours["samples_per_second"] > 0
    assert [part["part"] for part in found["parts"]] == list(NAMES)
    assert "part" not in found
    assert found["command"] == "onward relay join a b c d --threads 1 --out joined"
    samples = tmp_path / "x.npy"
    np.save(samples, data.load("synthetic").test.x.numpy())
    assert onward("predict", out, samples).out == onward("predict", whole, samples).out
    assert f"{100 * told['test_error']['linear']:.2f}" in onward("eval", out).out
    assert "already holds a run" in join(*parts, "--out", out).complaint
    assert "nothing is left to do" in onward("resume", out).complaint
    (out / "record.json").write_text("{")
    assert onward("resume", out).code == 0
    assert record.read(out) == found


def test_a_relay_is_separate_whatever_was_asked_for(tmp_path: Path) -> None:
    words = ("relay", "uff-dae-mnist", *TINY, "--widths", "[8]", "--out", tmp_path / "a")
    assert onward(*words).code == 0
    done = onward("relay", file(tmp_path / "a"), "--threads", "1", "--out", tmp_path / "b")
    assert done.code == 0
    assert join(tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c").code == 0
    found = record.read(tmp_path / "c")
    assert (found["settings"]["regime"], found["schedule"]) == ("separate", "greedy")
    assert found["cost"]["bytes_between_stations"] == 0


def test_a_join_that_is_cut_off_leaves_nothing(
    row: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("onward.evaluate.judge", cut)
    with pytest.raises(KeyboardInterrupt):
        joining.join(row, out=tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()


def test_a_row_without_a_readout_is_joined(tmp_path: Path) -> None:
    words = (
        *("uff-anomaly-mnist", "--dataset", "synthetic", "--widths", "[8, 6]", "--epochs", "1"),
        *("--regime", "separate", "--threads", "1"),
    )
    a, b, out, whole = (tmp_path / name for name in ("a", "b", "out", "whole"))
    assert onward("run", *words, "--out", whole).code == 0
    assert onward("relay", *words, "--out", a).code == 0
    assert onward("relay", file(a), "--threads", "1", "--out", b).code == 0
    assert join(a, b, "--out", out).code == 0
    assert record.read(out)["test_error"] == record.read(whole)["test_error"]


def test_what_can_not_be_joined_is_refused(row: list[Path], tmp_path: Path) -> None:
    def said(*parts: object) -> str:
        complaint: str = join(*parts, "--out", tmp_path / "out").complaint
        assert not (tmp_path / "out").exists()
        return complaint

    a, b, c, d = row
    assert "wants the folders of all parts" in said()
    assert "readout is not among them" in said(a, b, c)
    assert "cell-1, cell-2 are not among them" in said(a, d)
    assert "cell-0, which has seen the samples, is not among" in said(b, d)
    assert f"{a} and {a} are both cell-0" in said(a, a, b, c, d)
    assert "nowhere is no folder" in said(a, b, c, tmp_path / "nowhere")
    assert "is no folder: the folders of parts" in said(file(a), b, c, d)
    for flag in ("--signed_by", "--seed", "--precision"):
        assert f"join has no setting '{flag[2:]}'" in said(a, b, c, d, flag, "1")
    assert "leave --recipe out" in said(a, b, c, d, "--recipe", "uff-ae-mnist")

    # The same row by its settings, on other samples: its cell 0 is not the one that b learned from.
    samples, mine = data.load("synthetic"), tmp_path / "mine.npz"
    save_npz(
        mine,
        {
            **{"x_train": samples.train.x[:400].numpy(), "y_train": samples.train.y[:400].numpy()},
            **{"x_test": samples.test.x.numpy(), "y_test": samples.test.y.numpy()},
        },
    )
    words = ("relay", "uff-dae-mnist", *TINY, "--widths", WIDTHS["dae"], "--regime", "separate")
    assert onward(*words, "--data", mine, "--out", tmp_path / "mine").code == 0
    assert "--data mine.npz" in record.read(tmp_path / "mine")["command"]
    assert "did not learn from what" in said(tmp_path / "mine", b, c, d)
    assert "the data are not those that the row began with" in said(a, b, c, d, "--data", mine)
    assert onward(*words, "--lr", "0.01", "--out", tmp_path / "lr").code == 0
    assert "they differ in settings" in said(tmp_path / "lr", b, c, d)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"status": "interrupted"}, "is not finished (interrupted): `onward resume"),
    ({"recipe": "mine:recipe"}, "differ in recipe"),
    ({"part": "cell-7"}, "cell-1 is not among them"),
    ({"latents": {"read": [], "written": None, "bytes": 0}}, "did not learn from what"),
    ({"latents": {}}, "is no whole part ('read'): relay it anew"),
    ({"latents": {"read": [1], "written": None}}, "is no whole part (latents"),
    ({"epochs": 7}, "is no whole part (curves are of another number of epochs)"),
]


@pytest.mark.parametrize(("changes", "says"), BROKEN)
def test_a_part_that_is_none_is_refused(
    changes: dict[str, Any], says: str, row: list[Path], tmp_path: Path
) -> None:
    a, b, c, d = row
    cut = tmp_path / "cut"
    shutil.copytree(b, cut)
    record.write(cut / "record.json", {**record.read(b), **changes})
    assert says in join(a, cut, c, d, "--out", tmp_path / "out").complaint
    assert not (tmp_path / "out").exists()


def test_a_part_that_waits_or_is_damaged_is_refused(row: list[Path], tmp_path: Path) -> None:
    a, b, c, d = row
    cut = tmp_path / "cut"
    shutil.copytree(b, cut)
    found = record.read(b)
    waiting = {**found, "latents": {**found["latents"], "written": None}}
    record.write(cut / "record.json", waiting)
    words = (a, cut, c, d, "--out", tmp_path / "out")
    assert "has not written its latents" in join(*words).complaint
    assert relay.waits(cut)
    assert onward("resume", cut).code == 0
    assert record.read(cut)["latents"] == found["latents"]
    assert record.read(cut)["cost"]["flops"] == found["cost"]["flops"]
    newest = checkpoint.positions(cut / "checkpoint")[-1]
    (newest / "cell-1.safetensors").write_bytes(b"\x80")
    assert "holds a pickle" in join(*words).complaint


def test_a_recipe_of_ones_own_is_never_taken_from_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_relayed.py").write_text(
        "from dataclasses import replace\n"
        "from onward.recipes import find\n"
        "recipe = replace(find('uff-dae-mnist'), name='own')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    a, b, out, own = tmp_path / "a", tmp_path / "b", tmp_path / "out", "own_relayed:recipe"
    assert onward("relay", own, *TINY, "--widths", "[8]", "--out", a).code == 0
    done = onward("relay", file(a), "--recipe", own, "--threads", "1", "--out", b)
    assert done.code == 0
    said = join(a, b, "--out", out).complaint
    assert f"no recipe of Onward: say --recipe {own} if you have" in said
    assert join(a, b, "--recipe", own, "--out", out).code == 0
    assert record.read(out)["recipe"] == own
