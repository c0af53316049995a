"""What a run cost, and on what machine it ran.

Time is that of training steps alone, evaluation apart. Multiply-adds are counted once per kind of
step by torch's own counter and multiplied by the steps (2 FLOPs a multiply-add, matrix products
only). Peak memory is the allocator's on a GPU, and the growth of the process since the run began on
a CPU, so it holds the data but not the interpreter and torch themselves. Energy is not measured.
"""

import os
import platform
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

_T = TypeVar("_T")


def counted(step: Callable[[], _T]) -> tuple[_T, int]:
    """A step's own result, and the FLOPs of its matrix products."""
    with FlopCounterMode(display=False) as counter:
        result = step()
    return result, int(counter.get_total_flops())


def resident_bytes() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_bytes(device: torch.device, before: int) -> int:
    """Peak memory of the run; ``before`` is :func:`resident_bytes` at its start (CPU only)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return max(0, resident_bytes() - before)


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
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
