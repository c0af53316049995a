"""A simultaneous epoch of auto-encoder cells against end-to-end backprop of the same layers.

    python benchmarks/uff_epoch.py [--data PATH] [--threads 2] [--rounds 7]

Both sides have the encoders, decoders and linear readout of uff-ae-mnist (3 x 1000), fused AdamW
and the same batches. Backprop's side is one deep auto-encoder, up through the encoders (a layer
norm between two) and down through the decoders; its reconstruction of the image and the readout's
cross-entropy train it end to end. Blocks of steps in turn, medians; random images without --data.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from interleaved import compare, interleaved, told
from rows import images
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from onward import recipes
from onward.cells import layer_norm
from onward.plan import Machine
from onward.seeds import generator


def end_to_end(
    cells: list[nn.Module], head: nn.Module, x: Tensor, y: Tensor
) -> Callable[[Tensor], None]:
    """A step of backprop through encoders, decoders and readout."""
    parameters = [p for module in (*cells, head) for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    def step(index: Tensor) -> None:
        image, latents = x[index].flatten(1), []
        z = image
        for cell in cells:
            z = cell(z)  # normalises its input; the samples come as they are
            latents.append(layer_norm(z))
        for cell in reversed(cells):
            z = cell.decode(z)
        loss = mse_loss(z, image) + cross_entropy(head.linear(torch.cat(latents, 1)), y[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of MNIST's four files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=25, help="steps a block")
    given = parser.parse_args()
    Machine("cpu", threads=given.threads).resolve()
    recipe = recipes.find("uff-ae-mnist")
    data = images(given.data)
    x, y = data.train.x, data.train.y
    sides: dict[str, Callable[[Tensor], object]] = {}
    for name in ("cells", "end to end"):
        plan = recipe.build(replace(recipe.defaults, regime="simultaneous"), data, 0)
        (stage,) = plan.schedule(plan.row, x, y, generator(0, "negatives"))
        sides[name] = stage.step
        if name == "end to end":
            sides[name] = end_to_end(plan.row.cells, plan.row.readout.cell, x, y)
    batch = recipe.defaults.batch
    order = torch.randperm(len(x))
    batches = [order[i : i + batch] for i in range(0, given.steps * batch, batch)]

    def block(step: Callable[[Tensor], object]) -> None:
        for index in batches:
            step(index)

    seconds = interleaved({name: partial(block, s) for name, s in sides.items()}, given.rounds)
    told(seconds, "an epoch of 50,000", batch * len(batches) / 50_000)
    compare(seconds, "cells", "end to end")


if __name__ == "__main__":
    main()
