"""What hybrid negatives cost: making them against the whole step of ff-free-mnist, one run.

    python benchmarks/hybrids.py [--data PATH] [--threads 2] [--device cpu] [--width 2000]

Both sides draw masks for the same batches: one makes hybrids and nothing else, the other takes
whole steps. Blocks in turn, medians; random images without --data.
"""

import argparse

import torch
from interleaved import compare, interleaved, told
from rows import block, images, stage

from onward import recipes
from onward.hybrids import hybrids
from onward.plan import Machine
from onward.seeds import generator


def main() -> None:
    """Print the medians and the share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of MNIST's four files; else random images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="steps a block")
    given = parser.parse_args()
    Machine(given.device, threads=given.threads).resolve()
    data = images(given.data)
    settings = recipes.find("ff-free-mnist").defaults
    made = stage("ff-free-mnist", data, device=given.device, widths=[given.width] * 4)
    x, rng = data.train.x.to(given.device), generator(0, "negatives", device=given.device)
    batches = torch.randint(0, len(x), (given.steps, settings.batch)).to(given.device)

    def mixed() -> None:
        for index in batches:
            hybrids(x[index], rng, settings.blurs, settings.padding)

    steps = block(made, data, settings.batch, given.steps, given.device)
    seconds = interleaved({"hybrids": mixed, "steps": steps}, given.rounds)
    told(seconds, "a step", float(given.steps))
    compare(seconds, "hybrids", "steps")


if __name__ == "__main__":
    main()
