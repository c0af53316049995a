"""What each verb of the command does. One function a verb; each returns the exit code."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import named
from ..errors import BadInput
from . import TRACEBACK
from .outcome import kind, percent, say_result, show_run


def ls(given: argparse.Namespace) -> int:
    """Recipes, algorithms and data sets."""
    from .. import algorithms, data, recipes

    print("recipes (onward run RECIPE)")
    width = max(map(len, recipes.NAMES))
    for name in recipes.NAMES:
        print(f"  {name:<{width}} {recipes.find(name).source}")
    print("\nalgorithms")
    width = max(map(len, algorithms.__all__))
    for name in algorithms.__all__:
        text = (getattr(algorithms, name).__doc__ or "").splitlines()[0]
        print(f"  {name:<{width}} {text}")
    print("\ndata sets (onward data)")
    for row in data.catalogue():
        print(f"  {row['name']!s:<16} {row['what']}; {row['source']}")
    return 0


def show(given: argparse.Namespace) -> int:
    """A recipe's claim, source and settings, and the flags of every run; or a run, in short."""
    if Path(given.recipe, "record.json").exists():
        return show_run(Path(given.recipe))
    from .. import recipes

    if given.recipe not in recipes.NAMES and (
        os.sep in given.recipe or os.path.exists(given.recipe)
    ):
        raise BadInput(
            f"{given.recipe} is neither a recipe nor a run's folder, which holds record.json: "
            "`onward ls` lists the recipes"
        )
    from . import columns
    from .settings import describe, describe_flags

    recipe, wide = recipes.find(given.recipe), columns.width()
    about = {"claim": recipe.claim, "source": recipe.source}
    if recipe.twin:
        about["twin"] = f"{recipe.twin} (end-to-end backprop, its yardstick: --twin)"
    if recipe.controls:
        names = ", ".join(recipe.controls)
        about["control"] = f"{names} (run beside it; --alone leaves them out)"
    settings = [
        (name, default, f"{meaning} ({kind})".lstrip())
        for name, kind, default, meaning in describe(recipe.defaults)
    ]
    parts = [
        given.recipe,
        "\n".join(columns.paragraph(f"{k:<8}", text, wide) for k, text in about.items()),
        columns.table(("setting", "default", "meaning (type)"), settings, wide),
        columns.table(("flag", "default", "of every run"), describe_flags(recipe), wide),
    ]
    print("\n\n".join(parts))
    return 0


def run(given: argparse.Namespace) -> int:
    """Train a recipe into a folder, with its controls, and its backprop twin where asked."""
    from .. import recipes
    from . import settings as cli_settings

    words: list[str] = list(given.words)
    if not words or words[0] in ("-h", "--help"):
        print("usage: onward run RECIPE [--config FILE] [--SETTING VALUE ...]\n")
        print("Train a recipe into a folder. RECIPE is one of these, or anyone's module:attribute:")
        for name in recipes.NAMES:
            print(f"  {name}")
        print("\n`onward run RECIPE --help` lists every flag of a recipe.")
        return 0
    name, *rest = words
    if name.startswith("-"):
        raise BadInput(f"`onward run` wants a recipe first, and got {name}: onward run RECIPE ...")
    recipe = recipes.find(name)
    if "-h" in rest or "--help" in rest:
        cli_settings.print_help(recipe, name)
        return 0
    settings, flags = cli_settings.parse(recipe, name, rest)
    out = Path(flags.out or Path("runs", recipe.name, f"seed-{flags.seed}"))
    from ..plan import Machine
    from ..progress import progress_for
    from ..recipes import running
    from ..recipes.limits import advice

    machine = Machine(flags.device, flags.precision, flags.threads, flags.fast)

    def train() -> None:
        running.start(
            recipe,
            settings,
            seed=flags.seed,
            machine=machine,
            out=out,
            data_path=flags.data,
            progress=progress_for(sys.stderr),
            name=name,
            beside=running.companions(
                recipe, settings, twin=flags.get("twin", False), alone=flags.get("alone", False)
            ),
        )

    code = see_through(train, out)
    if code == 0 and (told := advice(settings, recipe.defaults)):
        print(f"onward: {told}", file=sys.stderr)
    return code


def resume(given: argparse.Namespace) -> int:
    """Go on with an interrupted run, and with those that are to stand beside it."""
    from ..progress import progress_for
    from ..recipes import running
    from ..record import read

    folder: Path = given.folder
    if told := running.put_back(folder):
        print(f"onward: {told}", file=sys.stderr)
        if read(folder)["status"] == "finished" and not running.waiting(folder):
            return 0
    if given.threads is not None:
        _say_threads(folder, given.threads)
    _say_beginning(folder)

    def train() -> None:
        if read(folder)["status"] != "finished" or not running.waiting(folder):
            more: dict[str, Any] = {"data_path": given.data, "threads": given.threads}
            more["progress"] = progress_for(sys.stderr)
            if "federation" in read(folder):
                from .. import federated

                more["tell"] = lambda line: print(f"onward: {line}", file=sys.stderr)
                federated.resume(folder, **more)
            else:
                running.resume(folder, **more)

    return see_through(train, folder, given.data, given.threads)


def _say_beginning(folder: Path) -> None:
    """Where a run had epochs behind it and no checkpoint is left, that they are made again."""
    from ..checkpoint import positions
    from ..record import read

    record = read(folder)
    epochs = record["epochs"] if record["status"] in ("running", "interrupted") else 0
    if epochs and "federation" not in record and not positions(folder / "checkpoint"):
        print(
            f"onward: {folder / 'checkpoint'} holds no checkpoint, and {epochs} epochs were done: "
            "the run begins anew",
            file=sys.stderr,
        )


def _say_threads(folder: Path, threads: int) -> None:
    """Where a run goes on with another number of threads than it has, what that costs."""
    from ..checkpoint import positions
    from ..plan import Machine
    from ..record import read

    record = read(folder)
    before = record["machine"]["threads"]
    Machine(threads=threads).resolve()
    begun = record["status"] != "finished" and positions(folder / "checkpoint")
    if begun and threads != before:
        print(
            f"onward: --threads {threads} after {before} before: sums are rounded in another "
            "order, so this run will not equal an uninterrupted one bit for bit; its record "
            "says so",
            file=sys.stderr,
        )


def see_through(
    train: Callable[[], None],
    folder: Path,
    data_path: str | None = None,
    threads: int | None = None,
) -> int:
    """Train, then the runs that wait beside; report and say what came out. Returns the code."""
    from ..progress import progress_for
    from ..recipes import running
    from ..run import Interrupted

    try:
        train()
        _write_report(folder)
        for name in running.waiting(folder):
            told = "the twin: end-to-end backprop" if name == "twin" else f"control: {name}"
            print(f"\n{told}", file=sys.stderr)
            running.train_beside(
                folder,
                name,
                data_path=data_path,
                threads=threads,
                progress=progress_for(sys.stderr),
            )
            _write_report(folder / name)
            _write_report(folder)
    except Interrupted as error:
        print(f"onward: {error}; go on with: onward resume {folder}", file=sys.stderr)
        return 130
    say_result(folder)
    return 0


def eval(given: argparse.Namespace) -> int:
    """Test errors of a trained run."""
    from .. import evaluate
    from ..recipes import recorded, running

    opened = running.open_run(given.folder)
    dataset = recorded.test_data(given.folder, opened.record, given.data)
    about = opened.record["data"]
    wanted, came = tuple(about["shape"]), dataset.shape
    if dataset.target != about.get("target", "classes"):
        raise BadInput(
            f"the run was trained to predict {about.get('target', 'classes')}, and {dataset.name} "
            f"has {dataset.target}: name other --data"
        )
    if wanted != came or dataset.classes > about["classes"]:
        raise BadInput(
            f"the run was trained on samples {wanted} of {about['classes']} "
            f"classes, and {dataset.name} has {came} of {dataset.classes}: name other --data"
        )
    measure = kind(opened.record)
    found = evaluate.errors(opened.plan.row, dataset.test.x, dataset.test.y)
    print(f"{dataset.name}, {len(dataset.test):,} test samples, {opened.place}")
    for name, value in found.items():
        if isinstance(value, list):
            for cell, error in zip(opened.record["cells"], value, strict=True):
                print(f"  {cell['name']:<10} alone  {percent(error):>6} % error{measure}")
        else:
            print(f"  {name:<17} {percent(value):>6} % error{measure}")
    return 0


def predict(given: argparse.Namespace) -> int:
    """Labels and scores, numbers or strangeness of new inputs, as CSV or JSON."""
    from ..files import write_atomically
    from ..inputs import read_inputs
    from ..recipes import running
    from .predictions import other_scale, predictions

    opened = running.open_run(given.folder)
    about = opened.record["data"]
    names, x = read_inputs(given.input, tuple(about["shape"]), about.get("columns", ()))
    if (other := other_scale(x, about.get("range", []))) is not None:
        print(f"onward: {other}: hand in inputs of the same scale", file=sys.stderr)
    text = predictions(opened, names, x, given.readout, given.format)
    if opened.record["status"] != "finished":
        told = f"{given.folder} is not finished ({opened.record['status']}, {opened.place})"
        print(f"onward: {told}: these are its answers so far", file=sys.stderr)
    if given.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(given.out, text.encode(errors="backslashreplace"))
    return 0


def report(given: argparse.Namespace) -> int:
    """The page of the first run, the others beside it."""
    print(_write_report(given.folders[0], given.folders[1:]))
    if given.tensorboard:
        from ..report import events

        for folder in given.folders:
            print(events.write(folder))
    return 0


def check(given: argparse.Namespace) -> int:
    """The promises, over somebody's own part."""
    from ..check import BrokenPromise, check_named

    shape = None
    if given.shape is not None:
        try:
            shape = tuple(int(n) for n in given.shape.split(","))
        except ValueError as error:
            raise BadInput(f"--shape wants numbers like 1,28,28, and is {given.shape}") from error
    try:
        for line in check_named(given.what, shape):
            print(f"kept    {line}")
    except BrokenPromise as broken:
        print(f"broken  {broken}")
        return 1
    except BadInput:
        raise
    except Exception as error:  # somebody's part can fail in any way
        print(f"broken  it raised {named.told(error)}")
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        return 1
    return 0


def data(given: argparse.Namespace) -> int:
    """Data sets: what there is, fetch one, verify one."""
    from .. import data as sets

    if given.action == "list":
        for row in sets.catalogue():
            sizes: Any = row["sizes"]
            counts = " / ".join(f"{n:,}" for n in sizes.values())
            counts = counts if any(sizes.values()) else "by its length"
            print(f"{row['name']!s:<14} {row['shape']!s:<12} {counts:<24} {row['source']}")
        return 0
    if given.name is None:
        raise BadInput(
            f"`onward data {given.action}` wants the name of a data set: see onward data"
        )
    if given.action == "download":
        print(sets.download(given.name))
    elif given.data is None and sets.is_own_file("digits", given.name):
        print(sets.verify("digits", given.name))  # a file of one's own replaces whatever is named
    elif given.data is None and given.name not in sets.SETS and Path(given.name).is_file():
        raise BadInput(
            f"{given.name} is no known kind of data; wanted an .npz, .csv or .tsv file, or a text "
            "(.txt): save it as one. A text with another ending: `onward data verify aesop --data "
            f"{given.name}`"
        )
    else:
        print(sets.verify(given.name, given.data))
    return 0


def _write_report(folder: Path, beside: list[Path] | None = None) -> Path:
    from .. import report as pages

    return pages.write(folder, beside or [])
