"""Peak memory against depth: greedy Forward-Forward, greedy auto-encoder cells, and backprop.

    python benchmarks/memory.py [--cells 4,8,16,32,64] [--kind dense|conv] [--regimes ff,uff,bp]

Each figure is of a process of its own, one thread: the largest anonymous memory (no mapped files,
no shared libraries) from the first step to a judged row, less what there was before, with the data
loaded and the cells as drawn. So it holds gradients, optimisers, activations and frozen outputs in
memory; the weights themselves, which every regime needs, are the last column. Outputs of frozen
cells go to memory-mapped files (a budget of 0), which the system may drop at any time. What torch
loads or keeps for its first step is there before: a small row is trained first. Samples are random:
numbers do not matter here. The readout reads the last cell. Freed memory is given back at once, so
that it is memory in use that is seen; a run keeps it for its next step, and with ``--kept`` the
gaps between what it keeps count too: some megabytes that come and go with the order of things.

Dense cells are all of one width. Convolutional ones (3 x 3, no pooling, ``--kind conv``, without
FF) have next to no weights, so that activations alone are seen.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

REGIMES = {"ff": "greedy FF", "uff": "greedy UFF", "bp": "backprop"}


def anonymous() -> int:
    """Bytes of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


class Peak:
    """The largest anonymous memory while it is entered, looked at twice a millisecond."""

    def __enter__(self) -> "Peak":
        self.before = self.largest = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.0005):
            self.largest = max(self.largest, anonymous())

    def __exit__(self, *why: object) -> None:
        self._over.set()
        self._thread.join()
        self.grown = max(self.largest, anonymous()) - self.before


def train(regime: str, kind: str, cells: int, width: int, samples: int, batch: int) -> list[int]:
    """A few epochs: bytes that it needs beyond data and weights, and bytes of the weights."""
    import torch

    import onward
    from onward import evaluate, schedules
    from onward.cells import ConvAutoEncoder, layer_norm
    from onward.negatives import wrong_label
    from onward.readouts import LinearReadout
    from onward.seeds import generator

    rng = generator(0, "cells")
    x, y = torch.rand(samples, 1, 28, 28, generator=rng), torch.arange(samples) % 10
    if kind == "conv":
        shapes = [(1, 28, 28)] + [(width, 28, 28)] * (cells - 1)
        row = [ConvAutoEncoder(shape, width, pool=1, rng=rng) for shape in shapes]
    else:
        cell = onward.AutoEncoder if regime == "uff" else onward.Dense
        row = [cell(a, b, rng=rng) for a, b in pairwise([784] + [width] * cells)]
    algorithm = {
        "ff": onward.ForwardForward(10, negatives=wrong_label),
        "uff": onward.UnsupervisedForwardForward(),
        "bp": onward.Clean(),
    }[regime]
    made = onward.build_row(
        row,
        algorithm,
        onward.adamw(),
        classes=10,
        readout=onward.adamw(),
        read=[cells - 1],
        counted=[cells - 1],
        head=partial(LinearReadout, normalise=layer_norm),
    )
    # As many steps at every depth, or a short peak would be seen in deep rows only.
    order = torch.arange(samples).split(batch) * max(1, 32 // cells)
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        schedule = schedules.backprop
        if regime != "bp":
            schedule = partial(schedules.greedy, budget=0.0, folder=Path(folder))
        for stage in schedule(made, x, y, generator(0, "negatives")):
            for index in order:
                stage.step(index)
        evaluate.errors(made, x[:batch], y[:batch])
    return [peak.grown, sum(4 * p.numel() for cell in row for p in cell.parameters())]


def measured(given: argparse.Namespace, regime: str, cells: int) -> tuple[float, float]:
    """MiB beyond data and weights, and of weights, from a process of its own."""
    sizes = [cells, given.width, given.samples, given.batch]
    words = [sys.executable, __file__, "--child", json.dumps([regime, given.kind, *sizes])]
    words += ["--kept"] if given.kept else []
    # Large blocks are given back as soon as they are freed, so that memory in use is seen.
    exact = {} if given.kept else {"MALLOC_MMAP_THRESHOLD_": str(2**17)}
    said = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, env={**os.environ, **exact}
    ).stdout
    peak, weights = json.loads(said)
    return peak / 2**20, weights / 2**20


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default="4,8,16,32,64")
    parser.add_argument("--kind", choices=("dense", "conv"), default="dense")
    parser.add_argument("--regimes", default="ff,uff,bp")
    parser.add_argument("--width", type=int, help="units, or maps (500, or 8)")
    parser.add_argument("--batch", type=int, help="(500, or 100)")
    parser.add_argument("--samples", type=int, help="(two batches)")
    parser.add_argument("--kept", action="store_true", help="as runs do, keep freed memory")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        import torch

        from onward.plan import Machine

        torch.set_num_threads(1)
        if given.kept:
            Machine("cpu", threads=1).resolve()
        regime, kind, *sizes = json.loads(given.child)
        train(regime, kind, 2, 8, 20, 10)  # what a first step loads and keeps
        print(json.dumps(train(regime, kind, *sizes)))
        return
    given.width = given.width or (500 if given.kind == "dense" else 8)
    given.batch = given.batch or (500 if given.kind == "dense" else 100)
    given.samples = given.samples or 2 * given.batch
    regimes = [r for r in given.regimes.split(",") if given.kind == "dense" or r != "ff"]
    names = [f"{REGIMES[regime]}, MiB" for regime in regimes]
    names += [f"{regime} / bp" for regime in regimes if "bp" in regimes and regime != "bp"]
    names.append("weights, MiB")
    print(" | ".join(["cells", *names]))
    for cells in map(int, given.cells.split(",")):
        found = {regime: measured(given, regime, cells) for regime in regimes}
        shown = [f"{peak:.1f}" for peak, _ in found.values()]
        if "bp" in found:
            against = [peak / found["bp"][0] for name, (peak, _) in found.items() if name != "bp"]
            shown += [f"{ratio:.2f}" for ratio in against]
        shown.append(", ".join(f"{weights:.0f}" for _, weights in found.values()))
        print(f"{cells:5} | " + " | ".join(map(str.rjust, shown, map(len, names))), flush=True)


if __name__ == "__main__":
    main()
