"""Cost against width, batch, training samples and number of labels: seconds a sample, and a ratio.

    python benchmarks/scaling.py [width|batch|samples|labels ...] [--threads 2]

One thing at a time is changed in ff-mnist (three cells, random images), and all its values are
timed in turn. The ratio is to the smallest value, beside that of the arithmetic: more than that is
overhead. Data size should cost nothing a sample, and labels next to nothing.
"""

import argparse
import statistics

import torch
from interleaved import interleaved
from rows import block, images, stage

from onward.flops import counted
from onward.plan import Machine

USUAL = {"width": 1000, "batch": 100, "samples": 5000, "labels": 10}
VALUES = {
    "width": (250, 500, 1000, 2000),
    "batch": (25, 50, 100, 200, 400),
    "samples": (1000, 5000, 25_000),
    "labels": (2, 10, 50, 100),
}


def sweep(what: str, steps: int, rounds: int) -> None:
    """One table."""
    sides, flops, shares = {}, {}, {}
    for value in VALUES[what]:
        now = {**USUAL, what: value}
        data = images(None, now["samples"], now["labels"])
        made = stage("ff-mnist", data, width=now["width"], batch=now["batch"])
        batch, name = now["batch"], str(value)
        flops[name] = counted(lambda m=made, b=batch: m.step(torch.arange(b)))[1] / batch
        # As many samples a block, whatever the batch.
        count = max(1, steps * USUAL["batch"] // batch)
        sides[name], shares[name] = block(made, data, batch, count), count * batch
    seconds = interleaved(sides, rounds)
    first = next(iter(sides))
    print(f"\n{what:>8} | microseconds a sample | / first | arithmetic / first")
    for name, each in seconds.items():
        scale = shares[first] / shares[name]
        ratio = statistics.median(a / b for a, b in zip(each, seconds[first], strict=True))
        micro = 1e6 * statistics.median(each) / shares[name]
        print(
            f"{name:>8} | {micro:21.1f} | {ratio * scale:7.2f} | {flops[name] / flops[first]:.2f}"
        )


def main() -> None:
    """Print a table for each thing asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*VALUES, []], help="all of them by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="batches of 100 a block")
    given = parser.parse_args()
    Machine("cpu", threads=given.threads).resolve()
    for what in given.what or VALUES:
        sweep(what, given.steps, given.rounds)


if __name__ == "__main__":
    main()
