"""What a run cost, and on what machine it ran.

Time is that of training steps alone, evaluation apart; the first step of every stage, in which
buffers are made and code is loaded, is told apart as warm-up. Matrix products are counted by their
shapes (flops.py), once per kind of step, and multiplied by the steps. The *limit* is how fast this
machine multiplies matrices of the shapes that the cells have, tried on the spot: its share says how
much of a step is anything else. Peak memory is the allocator's on a GPU, and the growth of the
process since the run began on a CPU, so it holds the data but not the interpreter and torch
themselves. Energy is what the machine's counters say (energy.py).
"""

import os
import platform
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


def resident_bytes() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def own_peak_bytes() -> int:
    """:func:`resident_bytes`, but for what a parent had in memory when it started this process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, ValueError, IndexError, StopIteration):  # not Linux
        return resident_bytes()


def peak_bytes(device: torch.device, before: int) -> int:
    """Peak memory of the run; ``before`` is :func:`resident_bytes` at its start (CPU only)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return max(0, resident_bytes() - before)


def measure_memory(record: dict[str, Any], device: torch.device, before: int) -> None:
    """Into the record's cost: the larger of :func:`peak_bytes` and what earlier processes had."""
    cost = record["cost"]
    # No growth is no measurement: the process had been larger before this run began.
    cost["peak_memory_bytes"] = (
        max(cost["peak_memory_bytes"] or 0, peak_bytes(device, before)) or None
    )


Shape = tuple[int, int, int]
"""A product [M, K] x [K, N]."""


def rate(cost: Mapping[str, Any], samples: int, warm: int) -> float:
    """Samples a second, the ``warm`` ones of the warm-up apart; with them, if there are no others.

    >>> rate({"train_seconds": 3.0, "warmup_seconds": 1.0}, samples=500, warm=100)
    200.0
    """
    seconds: float = cost["train_seconds"] - cost.get("warmup_seconds", 0.0)
    if samples <= warm or seconds <= 0:
        warm, seconds = 0, cost["train_seconds"]
    return float(round((samples - warm) / max(seconds, 1e-9), 1))


def products(cells: Sequence[nn.Module], rows: int) -> list[Shape]:
    """The products of ``rows`` with the weights of cells; none where a cell has other weights.

    A convolution's product depends on how it is laid out, so that it has no one limit.
    """
    found: list[Shape] = []
    for cell in cells:
        for part in cell.modules():
            if isinstance(part, nn.Linear):
                found.append((rows, part.in_features, part.out_features))
            elif any(p.dim() > 2 for p in part.parameters(recurse=False)):
                return []
    return found


def limit(
    shapes: Sequence[Shape], device: torch.device, precision: str, seconds: float = 0.2
) -> float | None:
    """FLOPs a second at which the machine does products of these shapes, the best try of each.

    Takes about ``seconds`` together, and some tries of each shape at least. None where there are no
    shapes, or a try fails.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    each = Counter(shapes)
    flops = spent = 0.0
    try:
        for (m, k, n), times in each.items():
            a = torch.ones(m, k, device=device, dtype=dtype)
            w = torch.ones(n, k, device=device, dtype=dtype)
            best = _fastest(lambda a=a, w=w: a @ w.T, device, seconds / len(each))  # type: ignore[misc]
            flops, spent = flops + 2 * m * k * n * times, spent + best * times
    except RuntimeError:  # no room for it, say: a run does not fail for what it would tell of it
        return None
    return flops / spent if spent > 0 else None


@dataclass(frozen=True)
class Work:
    """What a run has done: FLOPs after its warm-up, cells that learned, products of a step."""

    flops: float
    trained: int
    shapes: Sequence[Shape]


def measure_limit(record: dict[str, Any], work: Work, device: torch.device, precision: str) -> None:
    """How fast this machine could have multiplied, and what share of that a run's steps reached.

    Into the record's cost, unless steps were taken elsewhere, or only a readout learned, whose
    cells were run beforehand.
    """
    cost = record["cost"]
    seconds = cost["train_seconds"] - cost.get("warmup_seconds", 0.0)
    if record.keys() & {"places", "rounds"}:
        return
    if "warmup_seconds" not in cost or not work.trained or seconds <= 0 or work.flops <= 0:
        return
    best = limit(work.shapes, device, precision, min(0.2, 0.02 * seconds))
    if best is not None:
        cost["limit_flops_per_second"] = round(best)
        cost["share_of_limit"] = round(work.flops / seconds / best, 4)


TRIES = 5
"""Of each product at least: a busy machine may well spoil one."""


def _fastest(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    best, ends, tries = float("inf"), time.perf_counter() + seconds, 0
    while True:
        tries += 1
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        best = min(best, now - began)
        if now >= ends and tries >= TRIES:
            return best


def machine(device: torch.device, precision: str, fast: str) -> dict[str, Any]:
    """The ``machine`` object of a record."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": precision,
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "fast": fast,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    name = found.get("model name") or platform.machine()
    flags = set(found.get("flags", "").split())
    extras = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    return " ".join([name, *extras])


def versions() -> dict[str, str]:
    """The ``versions`` object of a record."""
    import numpy

    from .version import __version__

    return {
        "onward": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def commit() -> dict[str, Any]:
    """The commit of the source tree that this package was imported from, if it is one."""
    here = Path(__file__).resolve().parent
    try:
        root = _git(here, "rev-parse", "--show-toplevel")
        # Only our own tree: an environment inside somebody else's repository is not it.
        if Path(root, "src", "onward").resolve() != here:
            return {"id": None, "clean": None}
        clean = _git(here, "status", "--porcelain", "--", root + "/src") == ""
        return {"id": _git(here, "rev-parse", "HEAD"), "clean": clean}
    except (OSError, subprocess.SubprocessError):
        return {"id": None, "clean": None}


def _git(folder: Path, *words: str) -> str:
    # Without its lock of the index, which a Ctrl-C at this moment would leave behind.
    words = ("--no-optional-locks", "-C", str(folder), *words)
    done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
