"""A Forward-Forward epoch against a backprop epoch on the same cells: one run, interleaved.

    python benchmarks/epoch.py [--data PATH] [--threads 2] [--precision fp32] [--device cpu]

Blocks of steps of ff-mnist in closed form, ff-mnist by autograd (``--fast off``) and bp-mnist in
turn: the median seconds of an epoch of 50,000 samples for each, their ratios, and the share of the
machine's own speed at products of their shapes.
"""

import argparse
import statistics

import torch
from interleaved import compare, interleaved, told
from rows import block, images, stage

from onward import meter, recipes
from onward.flops import counted
from onward.plan import Machine

EPOCH = 50_000


def main() -> None:
    """Print the medians, the shares and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of MNIST's four files; else random images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=50, help="steps a block")
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--width", type=int, default=1000, help="units of each cell")
    given = parser.parse_args()
    machine = Machine(given.device, given.precision, given.threads)
    device = machine.resolve()
    data = images(given.data)
    batch = recipes.find("ff-mnist").defaults.batch
    stages = {
        name: stage(
            name.split()[0],
            data,
            fast=name != "ff-mnist --fast off",
            device=given.device,
            cells=given.cells,
            width=given.width,
        )
        for name in ("ff-mnist", "ff-mnist --fast off", "bp-mnist")
    }
    with machine.arithmetic(device):
        index = torch.arange(batch, device=device)
        flops = {name: counted(lambda s=s: s.step(index))[1] for name, s in stages.items()}
        sides = {n: block(s, data, batch, given.steps, given.device) for n, s in stages.items()}
        seconds = interleaved(sides, given.rounds)
    print(f"{meter.machine(device, given.precision, machine.fast)}\n{meter.versions()}")
    told(seconds, "an epoch", given.steps * batch / EPOCH)
    for name, made in stages.items():
        cells = [station.cell for station in made.stations[:-1]]
        streams = 1 if name == "bp-mnist" else 2
        with machine.arithmetic(device):
            limit = meter.limit(meter.products(cells, streams * batch), device, given.precision)
        speed = flops[name] * given.steps / statistics.median(seconds[name])
        print(f"{name}: {speed / limit:.0%} of the machine's limit" if limit else name)
    compare(seconds, "ff-mnist", "ff-mnist --fast off")
    compare(seconds, "ff-mnist", "bp-mnist")
    print(f"arithmetic of ff-mnist / bp-mnist: {flops['ff-mnist'] / flops['bp-mnist']:.2f}")


if __name__ == "__main__":
    main()
