"""What listening costs: a step of cells that hear others against a step of cells that hear none.

    python benchmarks/collaboration.py [--data PATH] [--threads 2] [--device cpu] [--width 1000]

Blocks of steps of collab-mnist with gamma none (plain Forward-Forward), earlier and all in turn, in
closed form and by autograd; medians of pairs.
"""

import argparse

from interleaved import compare, interleaved, told
from rows import block, images, stage

from onward import recipes
from onward.plan import Machine

GAMMAS = ("none", "earlier", "all")


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of MNIST's four files; else random images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, default=1000, help="units of each cell")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20, help="steps a block")
    given = parser.parse_args()
    Machine(given.device, threads=given.threads).resolve()
    data = images(given.data)
    batch = recipes.find("collab-mnist").defaults.batch
    for fast in (True, False):
        sides = {}
        for gamma in GAMMAS:
            made = stage(
                "collab-mnist",
                data,
                fast=fast,
                device=given.device,
                gamma=gamma,
                width=given.width,
            )
            sides[f"gamma {gamma}"] = block(made, data, batch, given.steps, given.device)
        print("in closed form" if fast else "by autograd")
        seconds = interleaved(sides, given.rounds)
        told(seconds, "a step", float(given.steps))
        for gamma in GAMMAS[1:]:
            compare(seconds, f"gamma {gamma}", "gamma none")


if __name__ == "__main__":
    main()
