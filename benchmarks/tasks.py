"""Other tasks: each recipe of uff_tasks beside its controls and beside scikit-learn, as Markdown.

    python benchmarks/tasks.py tabular | regression | anomaly [--seeds 5] [--data PATH]

Errors are of the test set, in percent, smaller is better: mean ± sample standard deviation over
seeds. Whatever is chosen here (a penalty, a number of components) is chosen on the validation set.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from onward.plan import Machine
from onward.recipes import Recipe, find
from onward.run import Run
from onward.train import new_record

COMPONENTS = (8, 16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("tabular", "regression", "anomaly"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="else the recipe's own")
    parser.add_argument("--data", help="folder of MNIST's four files; else a download")
    parser.add_argument("--digits", type=int, nargs="+", default=list(range(10)))
    given = parser.parse_args()
    machine = Machine("cpu", threads=1)
    machine.resolve()
    if given.table == "anomaly":
        anomaly(given, machine)
    else:
        name = {"tabular": "uff-tabular-cancer", "regression": "uff-regression-diabetes"}
        beside(find(name[given.table]), given, machine)
    where = meter.machine(torch.device("cpu"), machine.precision, machine.fast)
    print(f"\n{where}\n{meter.versions()}")


def beside(recipe: Recipe, given: argparse.Namespace, machine: Machine) -> None:
    """A recipe with a linear readout, its controls, and the linear model of scikit-learn."""
    settings = shortened(recipe.defaults, given)
    dataset = onward.load(settings.dataset)
    last = [len(settings.widths) - 1]
    rows = {
        "UFF cells, all latents": settings,
        "UFF cells, separate": replace(settings, regime="separate"),
        "the same cells frozen as drawn": replace(settings, regime="frozen"),
        "readout on raw samples": replace(settings, regime="raw"),
        "backprop, all latents": replace(settings, regime="backprop"),
        "backprop MLP of the same encoders": replace(settings, regime="backprop", read=last),
    }
    kind = "share wrong" if dataset.target == "classes" else "1 - R2"
    print(f"{dataset.name}: {kind}, %\n\n| model | validation | test |\n|---|---|---|")
    for name, chosen in rows.items():
        found = [trained(recipe, chosen, dataset, seed, machine) for seed in range(given.seeds)]
        said = [spread([f[split]["linear"] for f in found]) for split in ("validation", "test")]
        print(f"| {name} | {said[0]} | {said[1]} |", flush=True)
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
    print(f"| scikit-learn's {name}, {best:g} | {scores[best][0]:.2f} | {scores[best][1]:.2f} |")


def anomaly(given: argparse.Namespace, machine: Machine) -> None:
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
        print(f"digit {digit} done", flush=True)
    best = {}  # components by the mean validation error over digits, one choice for all of them
    for name in columns:
        family = name.partition(",")[0]
        error = mean([e for found in columns[name] for e in found["validation"]])
        if family not in best or error < best[family][0]:
            best[family] = (error, name)
    kept = [name for name in columns if best[name.partition(",")[0]][1] == name]
    head = " | ".join(f"{digit}" for digit in given.digits)
    print(
        f"\nAUROC, %, of the test set, larger is better; seeds meaned\n\n| score | {head} | mean |"
    )
    print("|---|" + "---|" * (1 + len(given.digits)))
    for name in kept:
        each = [100 - mean(found["test"]) for found in columns[name]]
        told = " | ".join(f"{value:.1f}" for value in [*each, statistics.fmean(each)])
        print(f"| {name} | {told} |")


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
