"""The command: verbs and flags as promised, and what each verb does."""

import csv
import io
import json
import os
import pty
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command import TINY, environment, onward, program, same, save_npz
from PIL import Image

from onward import data, record
from onward.cli import VERBS, parser, pipelines
from onward.cli.settings import describe, parse, run_parser
from onward.recipes import NAMES, find

FLAGS = {
    "ls": "",
    "show": "recipe",
    "run": "words",
    "relay": "words",
    "pipeline": "words",
    "federate": "words",
    "resume": "folder --data --threads",
    "eval": "folder --data",
    "predict": "folder input --format --readout --out",
    "generate": "folder --length --seed --prompt --temperature",
    "report": "folders --tensorboard",
    "check": "what --shape",
    "data": "action name --data",
    "table": "name --only --seeds --jobs --threads --device --precision --data --out --results "
    "--dry --write --set",
    "bench": "what --dataset --protocol --epochs --target --only --seeds --jobs --threads --device "
    "--precision --data --out --results --dry --write",
    "export": "folder --to --readout --out",
    "exits": "folder --lose --data",
    "sweep": "recipe --grid --seeds --jobs --threads --device --precision --data --out --dry",
}
PIPELINE_FLAGS: dict[str, Any] = {
    **{"stages": None, "split": None, "restarts": 3, "plan": False},
    **{"bandwidth": 1000.0, "latency": 0.1, "link": None, "certificates": None},
    **{"places": None, "as": None, "listen": None, "patience": 60.0},
}
RUN_FLAGS = "config print_config data out seed device precision threads fast"

RATES = "constant | cooldown | cosine"
LENGTHS = "rms | l2 | none"
GOODNESS = (
    "sum_of_squares | mean_of_squares | negative_sum_of_squares | negative_mean_of_squares | "
    "sum_of_activities | negative_sum_of_activities | top_k"
)
FORWARD_FORWARD: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "mnist"),
    "cells": ("int", 3),
    "width": ("int", 1000),
    "epochs": ("int", 100),
    "batch": ("int", 100),
    "schedule": ("simultaneous | alternating | greedy | pairwise | frozen", "simultaneous"),
    "fresh": ("bool", False),
    "phases": ("mixed | separated", "mixed"),
    "phase_length": ("int", 1),
    "optimizer": ("sgd | adamw", "sgd"),
    "lr": ("float", 0.001),
    "momentum": ("float", 0.9),
    "decay": ("float", 0.01),
    "rate": (RATES, "cooldown"),
    "goodness": (GOODNESS, "sum_of_squares"),
    "theta": ("float | null", None),
    "temperature": ("float", 1.0),
    "gamma": ("none | earlier | all", "none"),
    "scale": ("float", 1.0),
    "coupling": ("fixed | learned", "fixed"),
    "objective": ("logistic | symba | swish | entropy", "logistic"),
    "negatives": ("hard | wrong", "hard"),
    "label": ("first | appended", "first"),
    "label_value": ("float", 1.0),
    "normalise": (LENGTHS, "rms"),
    "peers": ("float", 0.03),
    "jitter": ("int", 0),
    "linear": ("bool", True),
    "readout_lr": ("float", 0.01),
    "readout_decay": ("float", 0.03),
    "read": ("list of int | null", None),
    "counted": ("list of int | null", None),
    "memory_gib": ("float", 2.0),
    "evaluate_every": ("int", 10),
    "checkpoint_every": ("int", 1),
}
SEQUENCES: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "aesop"),
    "strings": ("int | null", 248),
    "length": ("int", 100),
    "cells": ("int", 3),
    "width": ("int", 2000),
    "regime": ("local | frozen | backprop", "local"),
    "negatives": ("predicted | rollout | wrong", "predicted"),
    "phases": ("mixed | separated", "mixed"),
    "phase_length": ("int", 1),
    "epochs": ("int", 12),
    "batch": ("int", 100),
    "optimizer": ("sgd | adamw", "sgd"),
    "lr": ("float", 0.001),
    "momentum": ("float", 0.9),
    "decay": ("float", 0.01),
    "rate": (RATES, "cooldown"),
    "goodness": (GOODNESS, "sum_of_squares"),
    "theta": ("float | null", None),
    "temperature": ("float", 0.1),
    "objective": ("logistic | symba | swish", "swish"),
    "normalise": (LENGTHS, "rms"),
    "peers": ("float", 0.03),
    "readout_lr": ("float", 0.001),
    "readout_decay": ("float", 0.03),
    "read": ("list of int | null", None),
    "memory_gib": ("float", 2.0),
    "evaluate_every": ("int", 5),
    "checkpoint_every": ("int", 1),
}
HYBRID: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "mnist"),
    "cell": ("dense | local", "dense"),
    "widths": ("list of int", [2000, 2000, 2000, 2000]),
    "fields": ("list of int", []),
    "strides": ("list of int", []),
    "truncated": ("bool", False),
    "regime": ("simultaneous | greedy | frozen | backprop", "simultaneous"),
    "epochs": ("int", 100),
    "batch": ("int", 100),
    "optimizer": ("sgd | adamw", "sgd"),
    "lr": ("float", 0.001),
    "momentum": ("float", 0.9),
    "decay": ("float", 0.01),
    "rate": (RATES, "cooldown"),
    "goodness": (GOODNESS, "sum_of_squares"),
    "theta": ("float | null", None),
    "temperature": ("float", 1.0),
    "objective": ("logistic | symba | swish", "logistic"),
    "blurs": ("int", 6),
    "padding": ("edge | reflect | zero", "edge"),
    "normalise": ("whole | place", "whole"),
    "peers": ("float", 0.03),
    "jitter": ("int", 0),
    "readout_lr": ("float", 0.01),
    "readout_decay": ("float", 0.03),
    "read": ("list of int | null", None),
    "memory_gib": ("float", 2.0),
    "evaluate_every": ("int", 5),
    "checkpoint_every": ("int", 5),
}
RECURRENT: dict[str, tuple[str, Any]] = {
    **{name: FORWARD_FORWARD[name] for name in ("dataset", "batch", "optimizer", "momentum")},
    "lr": ("float", 0.0001),
    "cells": ("int", 2),
    "width": ("int", 2000),
    "field": ("int | null", None),
    "epochs": ("int", 60),
    "schedule": ("recurrent | frozen", "recurrent"),
    "decay": ("float", 0.02),
    "iterations": ("int", 8),
    "damping": ("float", 0.3),
    "learn_from": ("int", 3),
    "judge_from": ("int", 3),
    "judge_to": ("int", 5),
    "damped": ("bool", False),
    "joint": ("bool", False),
    **{name: FORWARD_FORWARD[name] for name in ("rate", "goodness", "theta", "temperature")},
    "objective": ("logistic | symba | swish", "logistic"),
    **{
        name: FORWARD_FORWARD[name]
        for name in ("negatives", "label_value", "peers", "jitter", "linear")
    },
    **{name: FORWARD_FORWARD[name] for name in ("readout_lr", "readout_decay", "read", "counted")},
    **{name: FORWARD_FORWARD[name] for name in ("memory_gib", "evaluate_every")},
    "checkpoint_every": ("int", 1),
}
BACKPROP: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "mnist"),
    "cells": ("int", 3),
    "width": ("int", 1000),
    "epochs": ("int", 15),
    "batch": ("int", 100),
    "optimizer": ("sgd | adamw", "adamw"),
    "lr": ("float", 0.001),
    "momentum": ("float", 0.9),
    "decay": ("float", 0.01),
    "rate": (RATES, "cosine"),
    "normalise": (LENGTHS, "rms"),
    "read": ("list of int | null", None),
    "jitter": ("int", 0),
    "recompute": ("bool", False),
    "pieces": ("int", 1),
    "evaluate_every": ("int", 1),
    "checkpoint_every": ("int", 1),
}
UNSUPERVISED: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "mnist"),
    "cell": ("ae | dae | wta | gan | cae | convwta", "ae"),
    "widths": ("list of int", [1000, 1000, 1000]),
    "regime": ("simultaneous | separate | frozen | raw | backprop", "simultaneous"),
    "epochs": ("int", 12),
    "batch": ("int", 100),
    "lr": ("float", 0.001),
    "beta1": ("float", 0.9),
    "decay": ("float", 0.01),
    "rate": (RATES, "cosine"),
    "samples": ("pixels | standardised | layer_norm", "pixels"),
    "activation": ("relu | normed_relu | leaky_relu | gelu | tanh | sigmoid | linear", "relu"),
    "noise": ("none | gaussian | masking | salt_and_pepper", "none"),
    "noise_level": ("float", 0.3),
    "sparsity": ("none | k_sparse | lifetime | map_lifetime", "none"),
    "sparsity_level": ("float", 0.05),
    "l1": ("float", 0.0),
    "tied": ("bool", False),
    "bias": ("bool", True),
    "loss": ("mse | bce", "mse"),
    "target": ("own | original", "own"),
    "reconstruction": ("float", 1.0),
    "critic": ("int", 500),
    "kernel": ("int", 3),
    "pool": ("int", 2),
    "stride": ("int | null", None),
    "decoder_kernel": ("int", 11),
    "read": ("list of int | null", None),
    "readout_lr": ("float", 0.001),
    "readout_decay": ("float", 0.3),
    "memory_gib": ("float", 2.0),
    "evaluate_every": ("int", 1),
    "checkpoint_every": ("int", 1),
}
DETECTOR: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "mnist"),
    "digit": ("int", 0),
    "cell": ("ae | dae | cae", "ae"),
    "widths": ("list of int", [16, 8]),
    "regime": ("simultaneous | separate", "simultaneous"),
    **{name: UNSUPERVISED[name] for name in ("batch", "lr", "decay")},
    "rate": (RATES, "cooldown"),
    "activation": (UNSUPERVISED["activation"][0], "leaky_relu"),
    **{name: UNSUPERVISED[name] for name in ("noise", "noise_level")},
    "epochs": ("int", 10),
    "samples": ("pixels | standardised | layer_norm", "layer_norm"),
    **{name: UNSUPERVISED[name] for name in ("memory_gib", "evaluate_every", "checkpoint_every")},
}
TABLE = {"samples": "standardised", "widths": [32, 32], "epochs": 60, "batch": 20}
STANDING_OUT = {"activation": "normed_relu", "tied": True, "bias": False}
UFF_CELLS: dict[str, dict[str, Any]] = {
    "ae": {"cell": "ae", **STANDING_OUT},
    "dae": {"cell": "dae", **STANDING_OUT, "noise": "masking", "noise_level": 0.5},
    "cae": {
        **{"cell": "cae", "widths": [32, 64], "kernel": 5, "sparsity": "map_lifetime"},
        **{"lr": 0.003, "epochs": 6},
    },
    "gan": {
        "cell": "gan",
        **STANDING_OUT,
        "lr": 0.0002,
        "beta1": 0.5,
        "reconstruction": 100.0,
        "noise": "masking",
        "noise_level": 0.5,
    },
}
WHOLE: dict[str, Any] = {"samples": "layer_norm"}
OWN_CELLS = {"activation": "relu", "tied": False, "bias": True}
UFF_ON_DATA: dict[tuple[str, str], dict[str, Any]] = {
    ("dae", "fashion"): {"noise_level": 0.1},
    ("gan", "fashion"): {"noise_level": 0.1, "lr": 0.0005},
    ("ae", "cifar10"): WHOLE,
    ("dae", "cifar10"): {**WHOLE, **OWN_CELLS},
    ("cae", "cifar10"): WHOLE,
    ("gan", "cifar10"): {**WHOLE, **OWN_CELLS},
}
UFF_DATA = {"mnist": "mnist", "fashion": "fashion_mnist", "cifar10": "cifar10"}
CONVWTA = {
    **{"cell": "convwta", "widths": [64], "kernel": 7, "sparsity_level": 0.2, "pool": 6},
    **{"stride": 3, "lr": 0.003, "epochs": 10, "readout_decay": 0.01},
}
WTA = {
    **{"cell": "wta", "widths": [2000], "sparsity": "lifetime", "sparsity_level": 0.1},
    **{"noise": "masking", "noise_level": 0.3, "epochs": 20},
}
DIGITS = {"dataset": "digits", "width": 500, "epochs": 40, "batch": 50, "checkpoint_every": 5}
COLLABORATION = {
    **{"epochs": 60, "batch": 128, "optimizer": "adamw", "decay": 0.0, "rate": "constant"},
    **{"gamma": "all", "negatives": "wrong", "peers": 0.0, "linear": False, "counted": [0, 1, 2]},
}
LOCAL = {
    **{"cell": "local", "widths": [128, 220, 512], "fields": [10, 2, 2], "strides": [6, 1, 1]},
    **{"epochs": 60, "read": [1, 2]},
}
LARGE = {
    **{"cells": 4, "width": 2000, "epochs": 60, "decay": 0.02},
    **{"evaluate_every": 5, "checkpoint_every": 5},
}
BLACK_BOX: dict[str, tuple[str, Any]] = {
    "dataset": ("str", "mnist"),
    "cells": ("int", 3),
    "width": ("int", 1000),
    "box": ("none | spikes | steps", "spikes"),
    "level": ("float", 1.0),
    "regime": ("local | frozen | backprop", "local"),
    "epochs": ("int", 20),
    **{name: FORWARD_FORWARD[name] for name in ("batch", "optimizer", "lr", "momentum")},
    "decay": ("float", 0.02),
    **{name: FORWARD_FORWARD[name] for name in ("rate", "negatives", "peers", "readout_lr")},
    **{name: FORWARD_FORWARD[name] for name in ("readout_decay", "read", "counted")},
    "evaluate_every": ("int", 5),
    "checkpoint_every": ("int", 1),
}
CIFAR = {
    **{"dataset": "cifar10", "width": 3, "field": 11, "iterations": 10, "decay": 0.1},
    **{"judge_from": 4, "judge_to": 6},
}
BP_CIFAR = {
    **{"dataset": "cifar10", "cell": "local", "widths": [3, 3], "fields": [11, 11]},
    **{"strides": [1, 1], "truncated": True, "regime": "backprop", "optimizer": "adamw"},
    **{"epochs": 20, "decay": 0.1, "rate": "cosine", "peers": 0.0, "read": [1]},
    "evaluate_every": 1,
}
COLLABORATION_ON_COLOUR = {
    **{"width": 2000, "label": "appended", "label_value": 10.0, "lr": 1e-4},
}
PAIRS = {"epochs": 20, "lr": 0.005, "decay": 0.02, "temperature": 0.1, "objective": "swish"}
RECIPES: dict[str, tuple[dict[str, tuple[str, Any]], dict[str, Any]]] = {
    "bp-digits": (BACKPROP, DIGITS),
    "bp-mnist": (BACKPROP, {}),
    **{
        f"collab-{name}": (FORWARD_FORWARD, {**COLLABORATION, "dataset": data, **more})
        for name, data, more in (
            ("mnist", "mnist", {}),
            ("fashion", "fashion_mnist", {}),
            ("cifar10", "cifar10", COLLABORATION_ON_COLOUR),
        )
    },
    "ff-aesop": (SEQUENCES, {}),
    "ff-blackbox-mnist": (BLACK_BOX, {}),
    "ff-cifar10": (RECURRENT, CIFAR),
    "bp-cifar10": (HYBRID, BP_CIFAR),
    "ff-digits": (FORWARD_FORWARD, {**DIGITS, "label": "appended", "evaluate_every": 2}),
    "ff-free-mnist": (HYBRID, {}),
    "ff-jitter-mnist": (
        FORWARD_FORWARD,
        {**LARGE, "epochs": 500, "jitter": 2, "evaluate_every": 10},
    ),
    "ff-local-mnist": (HYBRID, LOCAL),
    "ff-mnist": (FORWARD_FORWARD, {"epochs": 60, "decay": 0.02}),
    "ff-mnist-4x2000": (FORWARD_FORWARD, LARGE),
    "ff-mnist-4x2000-fast": (FORWARD_FORWARD, {**LARGE, "epochs": 40, "lr": 0.002}),
    "ff-mnist-pairs": (FORWARD_FORWARD, PAIRS),
    "ff-recurrent-mnist": (RECURRENT, {}),
    **{
        f"uff-{cell}-{name}": (
            UNSUPERVISED,
            {**own, **UFF_ON_DATA.get((cell, name), {}), "dataset": data},
        )
        for name, data in UFF_DATA.items()
        for cell, own in UFF_CELLS.items()
    },
    "uff-wta-mnist": (UNSUPERVISED, WTA),
    "uff-convwta-mnist": (UNSUPERVISED, CONVWTA),
    "uff-anomaly-mnist": (DETECTOR, {}),
    "uff-regression-diabetes": (UNSUPERVISED, {**TABLE, "dataset": "diabetes"}),
    "uff-tabular-cancer": (UNSUPERVISED, {**TABLE, "dataset": "cancer"}),
}
"""By recipe: its settings with types and defaults, and the defaults that are its own."""


def test_verbs_and_flags_are_frozen() -> None:
    _, verbs = parser()
    found = {}
    for name, verb in verbs.items():
        words = [action.option_strings or [action.dest] for action in verb._actions]
        found[name] = " ".join(w[-1] for w in words if w[-1] != "--help")
    assert found == FLAGS
    assert tuple(found) == VERBS


def test_flags_of_a_pipeline_are_frozen_and_told() -> None:
    assert pipelines.OWN == PIPELINE_FLAGS
    assert all(f"--{flag} " in pipelines.HELP for flag in PIPELINE_FLAGS)
    names = {row[0] for name in NAMES for row in describe(find(name).defaults)}
    assert not names & pipelines.OWN.keys(), "a recipe's setting would never be reached"


@pytest.mark.parametrize("name", RECIPES)
def test_settings_of_recipes_are_frozen(name: str) -> None:
    settings, own = RECIPES[name]
    assert sorted(RECIPES) == sorted(NAMES)
    recipe = find(name)
    assert {row[0]: row[1] for row in describe(recipe.defaults)} == {
        key: kind for key, (kind, _) in settings.items()
    }
    assert asdict(recipe.defaults) == {k: own.get(k, v) for k, (_, v) in settings.items()}
    assert all(meaning for *_, meaning in describe(recipe.defaults)), "each setting is explained"
    dests = {action.dest for action in run_parser(recipe, name)._actions} - {"help"}
    switches = {"twin"} if recipe.twin else set()
    switches |= {"alone"} if recipe.controls else set()
    assert dests == {*RUN_FLAGS.split(), *switches, *settings}


def test_help_needs_no_torch() -> None:
    asked = [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["run", "ff-mnist", "--help"],
        ["run", "ff-mnist", "--epochs", "many"],
        ["show", "ff-mnist"],
        *([verb, "--help"] for verb in VERBS if verb != "run"),
    ]
    script = (
        "import sys\nfrom onward.cli import main\n"
        f"for words in {asked!r}:\n"
        "    try:\n        main(words)\n"
        "    except SystemExit as end:\n        assert not end.code\n"
        "    heavy = {'torch', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
    )
    done = program(python=("-c", script))
    assert done.code == 0, done.err
    for name in (*VERBS, "ff-digits", "bp-mnist", "--readout_decay", "onward 0."):
        assert name in done.out


def test_ls_names_everything() -> None:
    done = onward("ls")
    assert done.code == 0
    for name in (*NAMES, "ForwardForward", "Clean", *data.SETS):
        assert name in done.out.split()


def test_show_tells_claim_source_and_settings() -> None:
    done = onward("show", "ff-mnist")
    assert done.code == 0
    recipe, words = find("ff-mnist"), " ".join(done.out.split())
    for text in (recipe.claim, recipe.source, "bp-mnist", *FORWARD_FORWARD):
        assert text in words


@pytest.mark.parametrize("name", NAMES)
def test_show_fits_and_tells_every_flag(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = onward("show", name)
    assert done.code == 0
    assert all(len(line) <= 80 for line in done.out.splitlines())
    recipe, words = find(name), " ".join(done.out.split())
    for setting, kind, default, meaning in describe(recipe.defaults):
        assert any(line.startswith(f"{setting} ") for line in done.out.splitlines())
        assert default in words
        assert f"{meaning} ({kind})" in words
    dests = {action.dest for action in run_parser(recipe, name)._actions}
    own = dests - {*RECIPES[name][0], "help", "print_config"}
    listed = {line.split()[0] for line in done.out.splitlines() if line.startswith("--")}
    assert listed == {f"--{flag}" for flag in own}


def test_a_run_that_loses_to_its_controls_says_so(tmp_path: Path) -> None:
    # A few units, three epochs: raw pixels are easier to read.
    words = ["--dataset", "digits", "--epochs", "3", "--widths", "20,10", "--threads", "1"]
    done = onward("run", "uff-ae-mnist", *words, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    made, raw = record.read(tmp_path / "run"), record.read(tmp_path / "run" / "raw")
    assert made["settings"]["widths"] == [20, 10]
    error, other = (f"{100 * r['test_error']['linear']:.2f} %" for r in (made, raw))
    assert f"linear: not below its control raw, {error} against {other}" in done.out


def test_controls_of_jittered_rows_run(tmp_path: Path) -> None:
    words = ["--dataset", "digits", "--widths", "8,8", "--epochs", "1", "--jitter", "1"]
    done = onward("run", "ff-free-mnist", *words, "--threads", "1", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert record.read(tmp_path / "run" / "frozen")["settings"]["jitter"] == 0


def test_a_twin_is_jittered_too(tmp_path: Path) -> None:
    words = ["--dataset", "digits", "--width", "8", "--epochs", "1", "--jitter", "1", "--twin"]
    done = onward("run", "ff-digits", *words, "--threads", "1", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert record.read(tmp_path / "run" / "twin")["settings"]["jitter"] == 1


def test_a_run_leaves_its_folder(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"record.json", "checkpoint", "report.html", "twin"}
    made = record.read(finished)
    assert made["status"] == "finished"
    assert made["recipe"] == "ff-digits"
    assert made["epochs"] == 3 == len(made["curves"]["epoch"])
    assert made["settings"] == {
        **{k: RECIPES["ff-digits"][1].get(k, v) for k, (_, v) in FORWARD_FORWARD.items()},
        **{"dataset": "synthetic", "width": 16, "cells": 2, "epochs": 3, "batch": 60},
        "checkpoint_every": 1,
    }
    positions = sorted(path.name for path in (finished / "checkpoint").iterdir())
    assert positions == ["0000000020", "0000000030"]


def test_a_run_says_what_came_out(tmp_path: Path) -> None:
    done = onward("run", "ff-digits", *TINY, "--out", tmp_path / "run")
    assert done.code == 0
    made = record.read(tmp_path / "run")
    assert f"goodness {100 * made['test_error']['goodness']:.2f} %" in done.out
    assert f"linear {100 * made['test_error']['linear']:.2f} %" in done.out
    assert f"report: {tmp_path / 'run' / 'report.html'}" in done.out
    assert "epoch 3/3" in done.err, "a plain line elsewhere than on a terminal"
    assert "\x1b" not in done.err + done.out


def test_a_run_that_only_guesses_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {"train": 300, "test": 100}
    arrays: dict[str, Any] = {f"x_{k}": rng.random((n, 6)) for k, n in sizes.items()}
    arrays |= {f"y_{k}": np.arange(n) % 5 // 3 for k, n in sizes.items()}
    save_npz(tmp_path / "noise.npz", arrays)
    words = ("bp-digits", *TINY[2:], "--data", tmp_path / "noise.npz")
    done = onward("run", *words, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    last = done.out.splitlines()[-2:]
    guess = "always the most frequent class: 40.00 % wrong"
    assert last[0] == f"linear: no better than guessing ({guess})"
    assert last[1].startswith(
        "try more --epochs, a learning rate 10 times larger or smaller (--lr)"
    )
    arrays |= {
        f"y_{k}": (arrays[f"x_{k}"][:, 0] > arrays[f"x_{k}"][:, 1]).astype(int) for k in sizes
    }
    save_npz(tmp_path / "signal.npz", arrays)
    more = ("--epochs", 30, "--lr", 0.02, "--data", tmp_path / "signal.npz")
    done = onward("run", "bp-digits", *TINY[2:], *more, "--out", tmp_path / "learned")
    assert "linear" in done.out
    assert "guessing" not in done.out


def test_the_folder_of_a_run_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert onward("run", "ff-digits", *TINY, "--epochs", 1, "--seed", 5).code == 0
    assert record.read(tmp_path / "runs" / "ff-digits" / "seed-5")["seed"] == 5


def test_eval_repeats_the_test_errors(finished: Path, tmp_path: Path) -> None:
    made = record.read(finished)
    done = onward("eval", finished)
    assert done.code == 0
    assert "synthetic, 200 test samples, epoch 3" in done.out
    for name in ("goodness", "linear"):
        assert f"{name:<17} {100 * made['test_error'][name]:6.2f} % error" in done.out
    for cell, error in zip(made["cells"], made["test_error"]["goodness_cells"], strict=True):
        assert f"{cell['name']:<10} alone  {100 * error:6.2f} % error" in done.out
    own = data.load("synthetic")
    parts = {"train": own.train, "test": own.validation}
    arrays = {f"x_{k}": v.x.numpy() for k, v in parts.items()}
    arrays |= {f"y_{k}": v.y.numpy() for k, v in parts.items()}
    save_npz(tmp_path / "other.npz", arrays)
    other = onward("eval", finished, "--data", tmp_path / "other.npz")
    assert "other, 200 test samples" in other.out
    assert f"linear            {100 * made['validation_error']['linear']:6.2f}" in other.out


def test_predict_from_every_kind_of_file(finished: Path, tmp_path: Path) -> None:
    pixels = (255 * data.load("synthetic").test.x[:3, 0].numpy()).round().astype(np.uint8)
    np.save(tmp_path / "rows.npy", pixels)
    np.savez(tmp_path / "rows.npz", x=pixels)
    (tmp_path / "pictures").mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{number}.png")
    told = {}
    for name in ("rows.npy", "rows.npz", "pictures", "pictures/1.png"):
        done = onward("predict", finished, tmp_path / name)
        assert done.code == 0, done.err
        told[name] = list(csv.reader(io.StringIO(done.out)))
    whole = told["rows.npy"]
    assert whole[0] == ["input", "label", *(f"score {n}" for n in "0123456789")]
    assert [row[0] for row in whole[1:]] == [f"rows.npy[{n}]" for n in range(3)]
    assert all(row[1] == str(np.argmax([float(s) for s in row[2:]])) for row in whole[1:])
    assert [row[1:] for row in told["rows.npz"]] == [row[1:] for row in whole]
    assert [row[1:] for row in told["pictures"]] == [row[1:] for row in whole]
    assert told["pictures/1.png"][1][0] == "1.png"
    assert told["pictures/1.png"][1][1] == whole[2][1]


@pytest.mark.parametrize("readout", ["goodness", "linear"])
def test_predict_with_either_readout_as_json(finished: Path, tmp_path: Path, readout: str) -> None:
    test = data.load("synthetic").test
    np.save(tmp_path / "x.npy", test.x.numpy())
    out = tmp_path / "predicted.json"
    words = ("--format", "json", "--readout", readout, "--out", out)
    done = onward("predict", finished, tmp_path / "x.npy", *words)
    assert (done.code, done.out) == (0, "")
    told = json.loads(out.read_text())
    assert told["readout"] == readout
    rows = told["predictions"]
    labels = [row["label"] for row in rows]
    assert labels == [max(row["scores"], key=row["scores"].get) for row in rows]
    wrong = np.mean([label != str(int(y)) for label, y in zip(labels, test.y, strict=True)])
    assert wrong == pytest.approx(record.read(finished)["test_error"][readout])


def test_predict_tells_of_a_run_that_is_not_finished(copied: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data.load("synthetic").test.x[:3].numpy())
    made = record.read(copied)
    assert onward("predict", copied, tmp_path / "x.npy").err == ""
    record.write(copied / "record.json", {**made, "status": "interrupted"})
    done = onward("predict", copied, tmp_path / "x.npy")
    assert done.code == 0
    assert "is not finished (interrupted, epoch " in done.err


def test_predict_warns_of_another_scale(copied: Path, tmp_path: Path) -> None:
    test = data.load("synthetic").test
    low, high = record.read(copied)["data"]["range"]
    for name, factor in (("same", 1), ("large", 255), ("small", 0.001)):
        np.save(tmp_path / f"{name}.npy", factor * test.x.numpy())
    done = onward("predict", copied, tmp_path / "same.npy")
    assert (done.code, done.err) == (0, "")
    for name in ("large", "small"):
        done = onward("predict", copied, tmp_path / f"{name}.npy")
        assert (done.code, len(done.out.splitlines())) == (0, 201)
        (line,) = done.err.splitlines()
        assert line.startswith("onward: the inputs run from ")
        assert f"trained on samples from {low:.4g} to {high:.4g}: hand in" in line
    old = record.read(copied)
    del old["data"]["range"]
    record.write(copied / "record.json", old)
    done = onward("predict", copied, tmp_path / "large.npy")
    assert (done.code, done.err) == (0, "")


def test_report_stands_runs_side_by_side(copied: Path, finished: Path) -> None:
    (copied / "report.html").unlink()
    done = onward("report", copied, finished)
    assert done.out == f"{copied / 'report.html'}\n"
    page = (copied / "report.html").read_text()
    assert "backprop twin" in page
    assert f"ff-digits, {finished.name}" in page


def test_a_flag_wins_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("epochs: 9\nlr: 1e-3\nread: [0, 1]\nseed: 4\ndevice: cpu\n")
    for words in (["--config", file, "--epochs", "2"], ["--epochs", "2", f"--config={file}"]):
        settings, given = parse(find("ff-digits"), "ff-digits", list(map(str, words)))
        assert (settings.epochs, settings.lr, settings.read) == (2, 0.001, [0, 1])
        assert (given.seed, given.device) == (4, "cpu")


def test_print_config_loads_back(tmp_path: Path) -> None:
    words = ["--epochs", "7", "--read", "[1]", "--theta", "2", "--seed", "3", "--twin"]
    done = onward("run", "ff-digits", *words, "--print_config")
    assert done.code == 0
    printed = yaml.safe_load(done.out)
    assert set(FORWARD_FORWARD) < set(printed)
    (tmp_path / "again.yaml").write_text(done.out)
    recipe = find("ff-digits")
    first, given = parse(recipe, "ff-digits", words)
    second, again = parse(recipe, "ff-digits", ["--config", str(tmp_path / "again.yaml")])
    assert first == second
    assert (given.seed, given.twin, given.out) == (again.seed, again.twin, again.out)


def test_twin_runs_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    import onward.recipes.bp_digits as bp

    short = replace(bp.recipe, defaults=replace(bp.recipe.defaults, epochs=2))
    monkeypatch.setattr(bp, "recipe", short)
    done = onward("run", "ff-digits", *TINY, "--out", tmp_path / "run", "--twin")
    assert done.code == 0, done.err
    run, twin = record.read(tmp_path / "run"), record.read(tmp_path / "run" / "twin")
    assert (twin["recipe"], twin["schedule"]) == ("bp-digits", "backprop")
    assert run["parameters"]["readout"] == twin["parameters"]["readout"]
    assert [c["outputs"] for c in run["cells"]] == [c["outputs"] for c in twin["cells"]]
    assert run["data"] == twin["data"]
    assert "ff-digits on synthetic" in done.out
    assert "bp-digits on synthetic" in done.out
    assert "backprop twin" in (tmp_path / "run" / "report.html").read_text()


def test_the_recorded_command_repeats_the_run(tmp_path: Path) -> None:
    odd = ["--read", "[0, 1]", "--theta", "12.5", "--lr", "3e-4", "--seed", "11"]
    odd += ["--schedule", "greedy", "--negatives", "wrong"]
    assert onward("run", "ff-digits", *TINY, *odd, "--out", tmp_path / "one").code == 0
    command = shlex.split(record.read(tmp_path / "one")["command"])
    assert command[0] == "onward"
    assert onward(*command[1:], "--out", tmp_path / "two").code == 0
    same(tmp_path / "one", tmp_path / "two")


RECIPE = """
from onward.recipes import Recipe
from onward.recipes.forward_forward import ForwardForwardSettings, build
recipe = Recipe("mine", "none", "here", ForwardForwardSettings(dataset="synthetic", width=16,
    cells=2, epochs=2, evaluate_every=1), build)
"""


def test_a_recipe_of_anyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_recipe.py").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    done = onward("run", "my_recipe:recipe", "--epochs", 1, "--threads", 1)
    assert done.code == 0, done.err
    run = tmp_path / "runs" / "mine" / "seed-0"
    made = record.read(run)
    assert made["recipe"] == "my_recipe:recipe"
    assert made["command"] == "onward run my_recipe:recipe --epochs 1 --seed 0 --threads 1"
    again = onward("eval", run)
    assert f"{100 * made['test_error']['linear']:.2f} % error" in again.out
    monkeypatch.chdir("/")
    monkeypatch.delitem(sys.modules, "my_recipe")
    assert "my_recipe:recipe could not be imported" in onward("eval", run).complaint


PARTS = """
import torch
def good(h): return h.flatten(1).square().mean(1)
def bad(h): return h.flatten(1).square().mean(1) / h.numel()
def failing(h): raise RuntimeError("no use")
from onward import Dense, ForwardForward
cell, algorithm, number = Dense(12, 5), ForwardForward(classes=10), 3
"""


def test_check_keeps_breaks_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_parts.py").write_text(PARTS)
    (tmp_path / "unreadable.py").write_text("def (")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    for name in ("good", "cell", "algorithm"):
        done = onward("check", f"my_parts:{name}")
        assert done.code == 0, done.out + done.err
        assert all(line.startswith("kept    ") for line in done.out.splitlines())
    done = onward("check", "my_parts:bad")
    assert done.code == 1
    assert done.out.startswith("broken  goodness does not depend on the rest of the batch")
    done = onward("check", "my_parts:failing")
    assert done.code == 1
    assert "broken  it raised RuntimeError: no use" in done.out
    assert "my_parts.py, line 5" in done.out
    refused = {
        "my_parts": "module:attribute",
        "my_parts:none": "has no attribute 'none'",
        "no_such:part": "No module named 'no_such'",
        "unreadable:part": "SyntaxError",
        ":x": "module:attribute",
        ".x:y": "module:attribute",
        "my_parts:number": "is a int",
    }
    for name, says in refused.items():
        assert says in onward("check", name).complaint
    assert "--shape wants numbers" in onward("check", "my_parts:cell", "--shape", "a").complaint


def test_data_lists_and_verifies() -> None:
    listed = onward("data").out.splitlines()
    assert [line.split()[0] for line in listed] == list(data.SETS)
    assert onward("data", "list").out.splitlines() == listed
    done = onward("data", "verify", "digits")
    assert (done.code, done.out[:33]) == (0, "digits: 1,197 train, 300 validati")
    assert "nothing to download" in onward("data", "download", "synthetic").out


def _on_a_terminal(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output (a pipe) and what a terminal showed of standard error."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "onward", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(TERM="xterm-256color"),
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.stdout is not None
        out = process.stdout.read()
        code = process.wait(60)
    os.close(ours)
    return code, out.decode(), shown.decode()


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    code, out, shown = _on_a_terminal("run", "ff-digits", *TINY, "--out", tmp_path / "run")
    assert code == 0, shown
    assert "━" in shown
    assert "samples/s" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is back"
    assert all(c.isprintable() or c == "\n" for c in out)
    assert "ff-digits on synthetic" in out


def test_bad_input_leaves_a_terminal_as_it_was(tmp_path: Path) -> None:
    words = ("run", "ff-digits", *TINY, "--lr", "-1", "--out", tmp_path / "run")
    code, out, shown = _on_a_terminal(*words)
    assert (code, out) == (2, "")
    assert shown == "onward: lr should be a number above 0, and is -1.0\r\n"
    assert not (tmp_path / "run").exists()


def test_a_reader_that_leaves_is_no_error() -> None:
    pipe = f"{sys.executable} -m onward show ff-mnist | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", pipe], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ff-mnist\n", "")
