"""Existing networks as rows of cells: a LeNet and a small ResNet, errors beside backprop's.

    python benchmarks/wrapped.py [--data FOLDER ...] [--samples 5000] [--epochs 3] [--seeds 1]
        [--networks LeNet ResNet] [--rows NAMES] [--test 2000]

Each row trains the same module from the same initial weights with the same number of batches; the
readout is the module's own last layer on its last cell. --data are folders of mnist's and
fashion_mnist's four files, in this order; else they are found as ``onward.load`` finds them.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

import onward
from onward import Clean, ForwardForward, UnsupervisedForwardForward
from onward.cells import layer_norm
from onward.data import Dataset, Split
from onward.goodness import mean_of_squares
from onward.labels import over_first
from onward.negatives import wrong_label
from onward.optimizers import adamw, cosine
from onward.schedules import frozen


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = max_pool2d(torch.relu(self.conv1(x)), 2)
        x = max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc2(torch.relu(self.fc1(torch.flatten(x, 1)))))
        return self.fc3(x)


class Block(nn.Module):
    def __init__(self, maps: int, more: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(maps, more, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(more)
        self.conv2 = nn.Conv2d(more, more, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(more)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(maps, more, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(h + self.shortcut(x))


class ResNet(nn.Module):
    """Seven convolutions deep: a stem and three stages of one block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(True))
        self.layer1 = Block(16, 16, 1)
        self.layer2 = Block(16, 32, 2)
        self.layer3 = Block(32, 64, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.fc(torch.flatten(self.pool(x), 1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "LeNet": (LeNet, ["conv2", "fc1", "fc2"]),
    "ResNet": (ResNet, ["layer1", "layer2", "layer3"]),
}


@dataclass(frozen=True)
class Row:
    """What is handed to ``wrap`` and to ``fit``; ``after`` are epochs of the classifier alone."""

    algorithm: Any
    rate: float = 3e-3
    wrap: tuple[tuple[str, Any], ...] = ()
    fit: tuple[tuple[str, Any], ...] = ()
    after: int = 0


ROWS = {
    "backprop": Row(Clean),
    "cells as drawn": Row(Clean, fit=(("schedule", frozen),)),
    "FF": Row(ForwardForward),
    "FF, label in first pixels": Row(
        ForwardForward(10, writer=over_first, goodness=mean_of_squares, negatives=wrong_label)
    ),
    "FF, rate 0.001": Row(ForwardForward, rate=1e-3),
    "FF, no length normalisation": Row(
        ForwardForward, wrap=(("normalise", onward.cells.unchanged),)
    ),
    "UFF": Row(UnsupervisedForwardForward),
    "UFF, rate 0.001": Row(UnsupervisedForwardForward, rate=1e-3),
    "UFF, denoising": Row(UnsupervisedForwardForward, wrap=(("noise", 0.5),)),
    "UFF, layer norm between cells": Row(
        UnsupervisedForwardForward, wrap=(("normalise", layer_norm),)
    ),
    "cells as drawn, layer norm, 30 epochs of classifier": Row(
        Clean, wrap=(("normalise", layer_norm),), fit=(("schedule", frozen),), after=27
    ),
    "UFF, layer norm, 30 more epochs of classifier": Row(
        UnsupervisedForwardForward, wrap=(("normalise", layer_norm),), after=30
    ),
    "UFF, layer norm, denoising, 30 more epochs of classifier": Row(
        UnsupervisedForwardForward, wrap=(("normalise", layer_norm), ("noise", 0.5)), after=30
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs=2, default=[None, None], metavar="FOLDER")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    given = parser.parse_args()
    names = ("mnist", "fashion_mnist")
    sets = [shortened(onward.load(n, p), given) for n, p in zip(names, given.data, strict=True)]
    print("Test error, %, of the module's own last layer (of every label tried, where there are")
    print(f"labels in the input); {given.samples} samples, {given.epochs} epochs.\n")
    print(f"| network | row | {' | '.join(names)} | processor seconds |")
    print("|---|---|---|---|---|")
    for network in given.networks:
        for name in given.rows:
            began = time.process_time()
            found = [
                [errors(network, ROWS[name], d, s, given.epochs) for s in range(given.seeds)]
                for d in sets
            ]
            told = " | ".join(spread(each) for each in found)
            took = (time.process_time() - began) / given.seeds / len(sets)
            print(f"| {network} | {name} | {told} | {took:.0f} |", flush=True)


def errors(network: str, row: Row, data: Dataset, seed: int, epochs: int) -> dict[str, Any]:
    """Test errors by readout of one run."""
    make, cuts = NETWORKS[network]
    torch.manual_seed(seed)
    wrapped = onward.wrap(make(), data.shape, cuts, row.algorithm, seed=seed, **dict(row.wrap))
    learn = partial(
        wrapped.fit,
        data,
        batch=50,
        optimizer=adamw(row.rate),
        readout=adamw(1e-2),
        rate=cosine,
        evaluate_every=1000,
        seed=seed,
        device="cpu",
        threads=1,
    )
    run = learn(epochs=epochs, **dict(row.fit))
    if row.after:
        run = learn(epochs=row.after, schedule=frozen)
    return run.test_error


def shortened(data: Dataset, given: argparse.Namespace) -> Dataset:
    """Its first samples, and no validation: nothing is chosen here."""
    train, test = data.train, data.test
    return replace(
        data,
        train=Split(train.x[: given.samples], train.y[: given.samples]),
        validation=Split(data.validation.x[:0], data.validation.y[:0]),
        test=Split(test.x[: given.test], test.y[: given.test]),
    )


def spread(found: list[dict[str, Any]]) -> str:
    """Mean over seeds, with their standard deviation, by readout."""
    told = []
    for readout in ("linear", "goodness"):
        values = [100 * each[readout] for each in found if readout in each]
        if values:
            wide = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            told.append(f"{statistics.fmean(values):.1f}{wide}")
    return told[0] if len(told) == 1 else f"{told[0]} ({told[1]})"


if __name__ == "__main__":
    main()
