"""Peak memory of cells trained apart, against backprop through the same encoders, by depth.

    python benchmarks/memory.py [--cells 3,6,12,24] [--maps 16] [--samples 400] [--batch 100]

Each figure is of a process of its own: the largest anonymous memory (no mapped files, no shared
libraries) between the start of training and its end, less what there was before with the data
loaded. Outputs of frozen cells go to memory-mapped files (a budget of 0), which the system may drop
at any time. Images are random, 1 x 28 x 28: numbers do not matter here. One thread.

Cells are 3 x 3 convolutions without pooling, so that every layer is as large as the first and depth
alone is seen. The readout reads the last cell, and for the second column of the separate regime all
of them: then its own weights grow with every cell.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any


def anonymous() -> int:
    """Bytes of this process that no file stands behind."""
    text = Path("/proc/self/status").read_text()
    return (
        int(next(line for line in text.splitlines() if line.startswith("RssAnon")).split()[1])
        * 1024
    )


class Peak:
    """The largest anonymous memory while it is entered, looked at every few milliseconds."""

    def __enter__(self) -> "Peak":
        self.before = self.largest = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self.largest = max(self.largest, anonymous())

    def __exit__(self, *why: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        return self.largest - self.before


def measure(regime: str, cells: int, maps: int, samples: int, batch: int, every: bool) -> int:
    """Bytes that one epoch needs beyond the data."""
    import torch

    import onward
    from onward import schedules
    from onward.cells import layer_norm
    from onward.readouts import LinearReadout

    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(samples, 1, 28, 28, generator=rng), torch.arange(samples) % 10
    split = onward.Split(x, y)
    few = onward.Split(x[:2], y[:2])
    data = onward.Dataset("random", split, few, few, 10, tuple("0123456789"), "made")
    shapes = [(1, 28, 28)] + [(maps, 28, 28)] * (cells - 1)
    row = [onward.ConvAutoEncoder(shape, maps, pool=1, rng=rng) for shape in shapes]
    options: dict[str, Any] = {
        "epochs": 1,
        "batch": batch,
        "read": range(cells) if every else [cells - 1],
        "head": partial(LinearReadout, normalise=layer_norm, bias=True),
        "threads": 1,
    }
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        if regime == "backprop":
            onward.fit(row, onward.Clean(), data, schedule=schedules.backprop, **options)
        else:
            apart = partial(schedules.greedy, budget=0.0, folder=Path(folder))
            algorithm = onward.UnsupervisedForwardForward()
            onward.fit(row, algorithm, data, schedule=apart, **options)
    return peak.grown


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default="3,6,12,24")
    parser.add_argument("--maps", type=int, default=16)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = given.maps, given.samples, given.batch
    if given.child:
        regime, cells, every = json.loads(given.child)
        print(measure(regime, cells, *sizes, every))
        return
    print("cells | separate, MiB | separate, all latents read, MiB | backprop, MiB | saved")
    for cells in map(int, given.cells.split(",")):
        found = []
        for regime, every in (("separate", False), ("separate", True), ("backprop", False)):
            words = [sys.executable, __file__, "--child", json.dumps([regime, cells, every])]
            words += [
                f"--{name}={size}"
                for name, size in zip(("maps", "samples", "batch"), sizes, strict=True)
            ]
            found.append(int(subprocess.run(words, check=True, capture_output=True).stdout) / 2**20)
        apart, whole, through = found
        print(
            f"{cells:5d} | {apart:8.0f} | {whole:8.0f} | {through:8.0f} | {1 - apart / through:.0%}"
        )


if __name__ == "__main__":
    main()
