"""Ranges of settings, each refused by name."""

import math

from ..errors import BadInput

MOST = 2**31 - 1
"""Beyond this, torch counts nothing."""


def at_least(bound: int, **settings: int) -> None:
    """Whole numbers from ``bound`` up."""
    for name, value in settings.items():
        if value < bound:
            raise BadInput(f"{name} should be {bound} or more, and is {value}")
        if value > MOST:
            raise BadInput(f"{name} should be at most {MOST}, and is {value}")


def finite(**settings: float | None) -> None:
    """Any number, or none given."""
    for name, value in settings.items():
        if value is not None and not math.isfinite(value):
            raise BadInput(f"{name} should be a finite number, and is {value}")


def above_zero(**settings: float) -> None:
    """Positive numbers."""
    for name, value in settings.items():
        if not (value > 0 and math.isfinite(value)):
            raise BadInput(f"{name} should be a number above 0, and is {value}")


def zero_or_more(**settings: float) -> None:
    """Numbers from 0 up."""
    for name, value in settings.items():
        if not (value >= 0 and math.isfinite(value)):
            raise BadInput(f"{name} should be 0 or more, and is {value}")


def phased(phases: str, length: int) -> None:
    """A length of phases where they are separated, and only there."""
    at_least(1, phase_length=length)
    if phases == "mixed" and length != 1:
        raise BadInput(
            f"phase_length is of separated phases, and phases=mixed: take phases=separated, or "
            f"leave out phase_length={length}"
        )


def judged(objective: str, theta: float | None) -> None:
    """A threshold is of objectives that look at one."""
    if theta is not None and objective in ("symba", "swish"):
        raise BadInput(
            f"objective={objective} compares positives with negatives and has no threshold, and "
            f"theta is {theta}: leave it out"
        )
