"""Recurrent Forward-Forward: what is shared over iterations and labels, against the naive form.

    python benchmarks/sweep.py [--width 2000] [--cells 2] [--threads 2]
    python benchmarks/sweep.py --recipe ff-cifar10 --precision bf16

Every label tried: one pass from below for all of them, the sample's and the labels' products once,
and no iteration after the last that counts; the naive form runs every cell on a row for each label
at every iteration. A training step: in closed form, the image multiplied once for both streams,
against autograd on all rows. The arithmetic of each pair is printed beside its time. ff-cifar10 has
local fields, on random pictures of its shape.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from interleaved import compare, interleaved, told
from rows import block, images, stage
from torch import Tensor

from onward import readouts, recipes
from onward.flops import counted
from onward.plan import Machine, Plan
from onward.recipes.recurrent import RecurrentSettings
from onward.sweep import neighbours


def naive(plan: Plan, x: Tensor) -> Callable[[], object]:
    """Every label of every sample a row of its own, through all iterations."""
    cells, algorithm, sweep = plan.row.cells, plan.row.algorithm, plan.row.algorithm.sweep
    assert sweep is not None
    tries = algorithm.candidates
    bottom = x.flatten(1).repeat(tries, 1)
    top = algorithm.top(torch.arange(tries).repeat_interleave(len(x)))

    @torch.no_grad()
    def work() -> None:
        states = list(readouts.answers(cells, bottom))
        for _ in range(sweep.iterations):
            seen = neighbours(states, bottom, top)
            answers = [cell(rows) for cell, rows in zip(cells, seen, strict=True)]
            for h in answers:
                algorithm.verdict(h)
            states = [sweep.damp(s, h) for s, h in zip(states, answers, strict=True)]

    return work


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--recipe", choices=("ff-recurrent-mnist", "ff-cifar10"), default="ff-recurrent-mnist"
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--width", type=int, help="of the recipe by default")
    parser.add_argument("--cells", type=int, default=2)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    machine = Machine("cpu", given.precision, threads=given.threads)
    device, recipe = machine.resolve(), recipes.find(given.recipe)
    data = images(None, shape=(3, 32, 32) if given.recipe == "ff-cifar10" else (1, 28, 28))
    assert isinstance(recipe.defaults, RecurrentSettings)
    sizes = {"width": given.width or recipe.defaults.width, "cells": given.cells}
    plan = recipe.build(replace(recipe.defaults, **sizes), data, 0)
    x = data.test.x[: given.samples]
    trying = {
        "every label, shared": lambda: readouts.every_label(plan.row.cells, plan.row.algorithm, x),
        "every label, naive": naive(plan, x),
    }
    steps = {
        name: block(stage(given.recipe, data, fast=fast, **sizes), data, 100, given.steps)
        for name, fast in (("a step, closed form", True), ("a step, autograd", False))
    }
    for sides, unit, share in ((trying, "a sample", len(x)), (steps, "a step", given.steps)):
        one, other = sides
        with machine.arithmetic(device):
            (_, few), (_, many) = counted(sides[one]), counted(sides[other])
            seconds = interleaved(sides, given.rounds)
        told(seconds, unit, float(share))
        compare(seconds, one, other)
        print(f"arithmetic: {few / many:.2f}")


if __name__ == "__main__":
    main()
