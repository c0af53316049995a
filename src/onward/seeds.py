"""One seed, many generators: every purpose draws from a stream of its own.

Changing how negatives are drawn then leaves the batches, the initial weights and the noise inside
cells as they were. A generator depends on nothing but its seed, its purpose and its counters.
"""

import hashlib

import torch
from torch import Generator


def generator(
    seed: int, purpose: str, *counters: int, device: torch.device | str = "cpu"
) -> Generator:
    """The generator of one purpose ("cells", "order", "negatives", ...), freshly seeded.

    >>> a, b = generator(0, "order", 3), generator(0, "order", 3)
    >>> bool((torch.randperm(9, generator=a) == torch.randperm(9, generator=b)).all())
    True
    """
    return Generator(device=device).manual_seed(derived(seed, purpose, *counters))


def derived(seed: int, purpose: str, *counters: int) -> int:
    """What :func:`generator` is seeded with, below 2^63."""
    text = "/".join([str(seed), purpose, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
