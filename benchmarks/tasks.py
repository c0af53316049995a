"""Other tasks: each recipe of uff_tasks beside its controls and beside scikit-learn, as Markdown.

    python benchmarks/tasks.py tabular | regression | anomaly ... [--seeds 5]
        [--data PATH] [--write FILE]

Whatever is chosen here (a penalty, a number of components) is chosen on the validation set.
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import onward
from onward import evaluate, meter
from onward.cells import layer_norm
from onward.data import Dataset
from onward.files import write_atomically
from onward.plan import Machine
from onward.recipes import Recipe, find
from onward.run import Run
from onward.train import new_record

COMPONENTS = (8, 16, 32, 64)

RECIPES = {
    "tabular": "uff-tabular-cancer",
    "regression": "uff-regression-diabetes",
    "anomaly": "uff-anomaly-mnist",
}
HEAD = """# Unsupervised Forward-Forward on other data and tasks

Written by the commands below; don't edit it. Errors and scores are of the test set, last epoch,
mean ± sample standard deviation over seeds. A penalty of scikit-learn's models and the number of
principal components are chosen on the validation set. What the cells must beat is the same cells
frozen as drawn; that any data and task would do is the paper's claim as others tell it, and no
number of it is known.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", choices=("tabular", "regression", "anomaly"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="else the recipe's own")
    parser.add_argument("--data", help="folder of MNIST's four files; else a download")
    parser.add_argument("--digits", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--write", type=Path, help="the page, else it is printed")
    given = parser.parse_args()
    machine = Machine("cpu", threads=1)
    machine.resolve()
    found = sections(given.write)
    where = meter.machine(torch.device("cpu"), machine.precision, machine.fast)
    places = {given.data: "PATH", str(given.write): "results/tasks.md"}
    words = [places.get(word, word) for word in sys.argv[1:]]
    told = (
        f"\n`python benchmarks/tasks.py {shlex.join(words)}`; commit {meter.commit()['id']}; "
        f"{where['processor']}, {where['threads']} thread; "
        + ", ".join(f"{name} {version}" for name, version in meter.versions().items())
    )
    for table in given.tables:
        recipe = find(RECIPES[table])
        made = anomaly(given, machine) if table == "anomaly" else beside(recipe, given, machine)
        found[recipe.name] = "\n".join([*made, told])
    page = [HEAD, *(found[name] + "\n" for name in RECIPES.values() if name in found)]
    text = "\n".join(page)
    if given.write:
        write_atomically(given.write, text.encode())
    else:
        print(text)


def sections(page: Path | None) -> dict[str, str]:
    """What a page that is there has of each recipe, each with the command that made it."""
    if page is None or not page.exists():
        return {}
    _, *parts = page.read_text().split("\n## `")
    return {part.partition("`")[0]: f"## `{part}".rstrip("\n") for part in parts}


def beside(recipe: Recipe, given: argparse.Namespace, machine: Machine) -> list[str]:
    """A recipe with a linear readout, its controls, and the linear model of scikit-learn."""
    settings = shortened(recipe.defaults, given)
    dataset = onward.load(settings.dataset)
    last = [len(settings.widths) - 1]
    rows = {
        "UFF cells, all latents": settings,
        "UFF cells, separate": replace(settings, regime="separate"),
        "the same cells frozen as drawn": replace(settings, regime="frozen"),
        "readout on the standardised features": replace(settings, regime="raw"),
        "backprop, all latents": replace(settings, regime="backprop"),
        "backprop MLP of the same encoders": replace(settings, regime="backprop", read=last),
    }
    kind = "Share wrong" if dataset.target == "classes" else "1 - R2"
    said = [f"## `{recipe.name}`\n", f"{kind}, %, smaller is better; {given.seeds} seeds.\n"]
    said += ["| model | validation | test |", "|---|---|---|"]
    for name, chosen in rows.items():
        found = [trained(recipe, chosen, dataset, seed, machine) for seed in range(given.seeds)]
        both = [spread([f[split]["linear"] for f in found]) for split in ("validation", "test")]
        said.append(f"| {name} | {both[0]} | {both[1]} |")
        print(said[-1], file=sys.stderr, flush=True)
    if dataset.target == "classes":
        models = {c: LogisticRegression(C=c, max_iter=5000) for c in (0.01, 0.1, 1.0, 10.0)}
    else:
        models = {a: Ridge(alpha=a) for a in (0.1, 1.0, 10.0, 100.0)}
    scores = {}
    for strength, model in models.items():
        fitted = make_pipeline(StandardScaler(), model).fit(*arrays(dataset.train))
        scores[strength] = [
            100 * (1 - fitted.score(*arrays(split))) for split in (dataset.validation, dataset.test)
        ]
    best = min(scores, key=lambda strength: scores[strength][0])
    name = type(models[best]).__name__
    said += [f"| scikit-learn's {name}, {best:g} | {scores[best][0]:.2f} | {scores[best][1]:.2f} |"]
    return said


def anomaly(given: argparse.Namespace, machine: Machine) -> list[str]:
    """The detector of each digit: row and cells, PCA and an isolation forest."""
    recipe = find("uff-anomaly-mnist")
    whole = onward.load("mnist", given.data)
    columns: dict[str, list[dict[str, list[float | None]]]] = {}
    for digit in given.digits:
        settings = replace(shortened(recipe.defaults, given), digit=digit)
        dataset = recipe.data(settings, whole)
        for name, found in {
            **detectors(recipe, settings, dataset, given.seeds, machine),
            **references(dataset, given.seeds),
        }.items():
            columns.setdefault(name, []).append(found)
        print(f"digit {digit} done", file=sys.stderr, flush=True)
    best = {}  # components by the mean validation error over digits, one choice for all of them
    for name in columns:
        family = name.partition(",")[0]
        error = mean([e for found in columns[name] for e in found["validation"]])
        if family not in best or error < best[family][0]:
            best[family] = (error, name)
    kept = [name for name in columns if best[name.partition(",")[0]][1] == name]
    head = " | ".join(f"{digit}" for digit in given.digits)
    said = [
        f"## `{recipe.name}`\n",
        "AUROC, %, of detecting the digit that no training sample shows;",
    ]
    said += [f"larger is better; mean of {given.seeds} seeds, the last column with their spread.\n"]
    said += [f"| score | {head} | mean |", "|---|" + "---|" * (1 + len(given.digits))]
    for name in kept:
        found = [each["test"] for each in columns[name]]
        told = " | ".join(f"{100 - mean(errors):.1f}" for errors in found)
        by_seed = [
            1 - statistics.fmean(e for e in s if e is not None) for s in zip(*found, strict=True)
        ]
        said.append(f"| {name} | {told} | {spread(by_seed)} |")
    return said


def detectors(
    recipe: Recipe, settings: Any, dataset: Dataset, seeds: int, machine: Machine
) -> dict[str, dict[str, list[float | None]]]:
    """The trained row, each of its cells, and the row as drawn."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for seed in range(seeds):
        row = recipe.build(settings, dataset, seed).row
        drawn = {s: evaluate.errors(row, *tensors(dataset, s)) for s in ("validation", "test")}
        learned = trained(recipe, settings, dataset, seed, machine)
        for split in ("validation", "test"):
            scores = {
                "UFF row": learned[split]["reconstruction"],
                **{f"cell-{i}": e for i, e in enumerate(learned[split]["reconstruction_cells"])},
                "the row as drawn": drawn[split]["reconstruction"],
            }
            for name, error in scores.items():
                found.setdefault(name, {"validation": [], "test": []})[split].append(error)
    return found


def references(dataset: Dataset, seeds: int) -> dict[str, dict[str, list[float | None]]]:
    """What scikit-learn has: errors of PCA, on pixels and on layer-normed images, and a forest."""
    found: dict[str, dict[str, list[float | None]]] = {}

    def add(name: str, split: str, scores: Any) -> None:
        lost = evaluate.missed(torch.from_numpy(np.asarray(scores)), tensors(dataset, split)[1])
        found.setdefault(name, {"validation": [], "test": []})[split].append(lost)

    views: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "PCA of pixels": lambda x: x,
        "PCA of layer-normed images": layer_norm,
    }
    for view, see in views.items():
        pca = PCA(max(COMPONENTS), random_state=0).fit(see(dataset.train.x).flatten(1).numpy())
        for split in ("validation", "test"):
            x = see(tensors(dataset, split)[0]).flatten(1).numpy() - pca.mean_
            for count in COMPONENTS:
                parts = pca.components_[:count]
                left = x - (x @ parts.T) @ parts
                add(f"{view}, {count} components", split, np.square(left).mean(1))
    for seed in range(seeds):
        forest = IsolationForest(random_state=seed).fit(dataset.train.x.flatten(1).numpy())
        for split in ("validation", "test"):
            x = tensors(dataset, split)[0].flatten(1).numpy()
            add("isolation forest", split, -forest.score_samples(x))
    return found


def shortened(settings: Any, given: argparse.Namespace) -> Any:
    """The recipe's settings, measured once and at the end."""
    epochs = given.epochs or settings.epochs
    return replace(settings, epochs=epochs, evaluate_every=epochs)


def trained(
    recipe: Recipe, settings: Any, dataset: Dataset, seed: int, machine: Machine
) -> dict[str, Any]:
    """Errors of a run from its beginning, by split."""
    plan = recipe.build(settings, dataset, seed)
    record = Run(plan, dataset, machine, new_record(plan, dataset, machine, seed, {})).train()
    return {split: record[f"{split}_error"] for split in ("validation", "test")}


def tensors(dataset: Dataset, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    part = getattr(dataset, split)
    return part.x, part.y


def arrays(split: Any) -> tuple[Any, Any]:
    return split.x.flatten(1).numpy(), split.y.numpy()


def mean(errors: Sequence[float | None]) -> float:
    return 100 * statistics.fmean(e for e in errors if e is not None)


def spread(errors: Sequence[float]) -> str:
    values = [100 * error for error in errors]
    wide = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{wide}"


if __name__ == "__main__":
    main()
