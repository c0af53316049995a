"""Memory that a step frees is kept for the next step.

glibc gives large blocks back to the system as soon as they are freed, so every batch pays anew for
the same pages: a step of a convolutional cell spent half its processor time in the kernel. Another
C library than glibc is left as it is.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of malloc.h
_KEPT = 2**30


def keep_freed_memory() -> None:
    """Ask the C library to keep up to 1 GiB of freed memory, from now on and for the process."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _KEPT)
    mallopt(_TOP_PAD, 2**26)
