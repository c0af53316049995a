"""A simultaneous epoch of auto-encoder cells against end-to-end backprop of the same layers.

    python benchmarks/uff_epoch.py [--data PATH] [--threads 2] [--rounds 7]

Both sides have the encoders, decoders and linear readout of uff-ae-mnist (3 x 1000), fused AdamW
and the same batches. Backprop's side is one deep auto-encoder, up through the encoders (a layer
norm between two) and down through the decoders; its reconstruction of the image and the readout's
cross-entropy train it end to end. Blocks of steps in turn, medians; random images without --data.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

import onward
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
        for number, cell in enumerate(cells):
            z = torch.relu(cell.encoder(layer_norm(z) if number else z))
            latents.append(layer_norm(z))
        for cell in reversed(cells):
            z = cell.decoder(z)
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
    if given.data:
        data = onward.load("mnist", given.data)
    else:
        few = onward.Split(torch.rand(5000, 1, 28, 28), torch.arange(5000) % 10)
        data = onward.Dataset("random", few, few, few, 10, tuple("0123456789"), "made")
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
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(given.rounds + 1):  # the first warms up
        for name, step in sides.items():
            began = time.perf_counter()
            for index in batches:
                step(index)
            if round_:
                took = time.perf_counter() - began
                seconds[name].append(took * 50_000 / (batch * len(batches)))
    for name, each in seconds.items():
        middle = statistics.median(each)
        print(f"{name:<12} {middle:6.2f} s an epoch of 50,000 ({min(each):.2f} to {max(each):.2f})")
    ratios = [a / b for a, b in zip(seconds["cells"], seconds["end to end"], strict=True)]
    print(f"cells / end to end: {statistics.median(ratios):.2f} (median of {len(ratios)} pairs)")


if __name__ == "__main__":
    main()
