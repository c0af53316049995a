"""Prediction: every one of K labels tried, and the linear readout, against one pass.

    python benchmarks/predict.py [--width 1000] [--cells 3] [--classes 10] [--threads 2]

One pass is the row's cells on images with a neutral label, in the same pieces. The arithmetic of
trying K labels is printed beside its time: the first product is one for all labels.
"""

import argparse
from itertools import pairwise

import torch
from interleaved import compare, interleaved, told

import onward
from onward import evaluate, readouts
from onward.plan import Machine
from onward.seeds import generator


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    Machine("cpu", threads=given.threads).resolve()
    rng, classes = generator(0, "cells"), given.classes
    sizes = [784] + [given.width] * given.cells
    cells = [onward.Dense(a, b, rng=rng) for a, b in pairwise(sizes)]
    algorithm = onward.ForwardForward(classes)
    row = onward.build_row(
        cells, algorithm, onward.sgd(1e-3), classes=classes, readout=onward.sgd(1e-3)
    )
    x = torch.rand(given.samples, 784, generator=rng)

    def one_pass() -> None:
        for at in range(0, len(x), evaluate.CHUNK):
            readouts.neutral_answers(cells, algorithm, x[at : at + evaluate.CHUNK], ())

    labels, readout = f"{classes} labels", "linear readout"
    sides = {
        "one pass": one_pass,
        labels: lambda: evaluate.judge(row, x, linear=False),
        readout: lambda: evaluate.judge(row, x, labels=False),
    }
    seconds = interleaved(sides, given.rounds)
    told(seconds, "a sample", float(len(x)))
    compare(seconds, labels, "one pass")
    compare(seconds, readout, "one pass")
    first, *rest = (a * b for a, b in pairwise(sizes))
    print(f"arithmetic: {(first + classes * sum(rest)) / (first + sum(rest)):.2f}")


if __name__ == "__main__":
    main()
