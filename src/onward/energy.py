"""Energy where the machine tells it: counters of processor packages and of the GPU.

* RAPL: ``energy_uj`` of every processor package under /sys/class/powercap, in microjoules, which
  starts again at 0 past ``max_energy_range_uj``. Often readable by root only.
* NVML: millijoules of the GPU's board since its driver was loaded, where pynvml is installed.

A counter is of its whole package or board: what else runs there, and what it draws at rest, counts
too. Nothing here ever raises: where a counter can't be read, there is none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """A reading in joules that grows, and the joules after which it starts again at 0."""

    name: str
    read: Callable[[], float]
    wraps: float = float("inf")


def counters(device: torch.device, powercap: Path = POWERCAP) -> list[Counter]:
    """The counters of this machine that matter to a device: packages, and the GPU if it is one."""
    found = [c for zone in sorted(powercap.glob("intel-rapl:*")) if (c := _package(zone))]
    board = _board(device) if device.type == "cuda" else None
    return [*found, board] if board else found


class Energy:
    """Joules between :meth:`begin` and :meth:`end`, over any number of pairs of them.

    Call them at least every ten minutes or so: a counter may start again once in between, and not
    twice. ``joules`` is None as soon as a reading is missing, and where there is no counter.
    """

    def __init__(self, counters: Sequence[Counter]):
        self.counters = list(counters)
        self.joules: float | None = 0.0 if self.counters else None
        self._before: list[float] | None = None

    @property
    def source(self) -> str | None:
        """Names of the counters, or None without any."""
        return " + ".join(counter.name for counter in self.counters) or None

    def begin(self) -> None:
        """Energy counts from now on."""
        self._before = self._readings()

    def end(self) -> None:
        """Energy counts no more."""
        now, before = self._readings(), self._before
        if now is None or before is None or self.joules is None:
            self.joules = None
            return
        for counter, a, b in zip(self.counters, before, now, strict=True):
            self.joules += b - a if b >= a else b - a + counter.wraps

    def _readings(self) -> list[float] | None:
        try:
            return [counter.read() for counter in self.counters]
        except Exception:  # a driver may fail in any way, and none may cost the run
            return None


def _package(zone: Path) -> Counter | None:
    """A package's counter; parts of a package (``intel-rapl:0:1``) are in it already."""
    if zone.name.count(":") != 1:
        return None

    def read() -> float:
        return int((zone / "energy_uj").read_text()) / 1e6

    try:
        read()
        wraps = int((zone / "max_energy_range_uj").read_text()) / 1e6
        name = (zone / "name").read_text().strip()
    except (OSError, ValueError):
        return None
    return Counter(f"RAPL {name}", read, wraps)


def _board(device: torch.device) -> Counter | None:
    """The GPU's counter."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]

        nvml: Any = pynvml
        nvml.nvmlInit()
        identity = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = nvml.nvmlDeviceGetHandleByUUID(identity)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, no driver, a card too old: there is none
        return None
    return Counter("NVML", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)
