"""How times are taken here: sides in turn, A B A B, medians, and a ratio from the pairs.

What else a machine does changes from second to second and hits both sides of a pair alike, so a
ratio of neighbours holds where seconds do not.
"""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Seconds = dict[str, list[float]]


def timed(work: Callable[[], object]) -> float:
    """Seconds of some work, the device's share of it waited for."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def interleaved(sides: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """Seconds of every side, ``rounds`` times in turn; one round before them warms up."""
    seconds: Seconds = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            took = timed(work)
            if number:
                seconds[name].append(took)
    return seconds


def told(seconds: Seconds, unit: str, share: Mapping[str, float] | float = 1.0) -> None:
    """Print the median of every side in a unit of which its work was a ``share``."""
    for name, each in seconds.items():
        whole = share if isinstance(share, float) else share[name]
        low, middle, high = (f(each) / whole for f in (min, statistics.median, max))
        print(f"{name:<28} {middle:9.4g} s {unit} ({low:.4g} to {high:.4g})")


def compare(
    seconds: Seconds, one: str, other: str, shares: Mapping[str, float] | None = None
) -> float:
    """Print one side's time over another's: the median of the pairs, and how far they range."""
    scale = 1.0 if shares is None else shares[other] / shares[one]
    ratios = [a / b * scale for a, b in zip(seconds[one], seconds[other], strict=True)]
    middle = statistics.median(ratios)
    print(
        f"{one} / {other}: {middle:.2f} "
        f"(median of {len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f})"
    )
    return middle
