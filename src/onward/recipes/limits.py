"""Ranges of settings, each refused by name."""

import math

from ..errors import BadInput


def at_least(bound: int, **settings: int) -> None:
    """Whole numbers from ``bound`` up."""
    for name, value in settings.items():
        if value < bound:
            raise BadInput(f"{name} should be {bound} or more, and is {value}")


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
