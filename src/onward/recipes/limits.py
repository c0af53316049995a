"""Ranges of settings, each refused by name."""

import math
from typing import Any

from ..errors import BadInput

MOST = 2**31 - 1
"""Beyond this, torch counts nothing."""

_CONVOLVED = ("cae", "convwta")
OF: dict[str, tuple[str, tuple[Any, ...]]] = {
    "momentum": ("optimizer", ("sgd",)),
    "scale": ("gamma", ("earlier", "all")),
    **dict.fromkeys(("read", "readout_lr", "readout_decay"), ("linear", (True,))),
    **dict.fromkeys(("fields", "strides"), ("cell", ("local",))),
    **dict.fromkeys(("critic", "reconstruction"), ("cell", ("gan",))),
    **dict.fromkeys(("kernel", "pool"), ("cell", _CONVOLVED)),
    **dict.fromkeys(("stride", "decoder_kernel"), ("cell", ("convwta",))),
    "noise_level": ("noise", ("gaussian", "masking", "salt_and_pepper")),
}
"""Settings that count only where another one has one of these values."""


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


def unheard(settings: Any, usual: Any) -> None:
    """Refuse a setting that a user changed from ``usual`` and that nothing would look at."""
    for name, (other, values) in OF.items():
        if not (hasattr(settings, name) and hasattr(settings, other)):
            continue
        value, holds = getattr(settings, name), getattr(settings, other)
        if value != getattr(usual, name) and holds not in values:
            wanted = " or ".join(_written(v) for v in values)
            raise BadInput(
                f"{name} is of {other}={wanted}, and {other} is {_written(holds)}: it would change "
                f"nothing, so leave out {name}={_written(value)}"
            )


def advice(settings: Any, usual: Any) -> str | None:
    """What is allowed and seldom meant: pairs with the margin of a logistic's temperature."""
    objective = getattr(settings, "objective", None)
    if objective not in ("symba", "swish") or objective == usual.objective:
        return None
    if settings.temperature != usual.temperature or settings.temperature < 1:
        return None
    return (
        f"objective={objective} takes temperature={settings.temperature:g} as its margin, of the "
        "goodness of a cell of ones, which is wide: temperature=0.1 is a good one"
    )


def _written(value: Any) -> str:
    """As one would write it behind a flag."""
    return (
        str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    )
