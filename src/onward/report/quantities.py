"""Numbers as people read them. `None`, and what is no finite number, becomes a dash.

Every function takes whatever the record holds and never fails: a page about a diverged run is
the one that is needed most.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

NONE = "–"


def number(value: Any) -> float | None:
    """`value` as a float if it is a finite number, else None.

    >>> number(3), number(float("nan")), number(True), number("3")
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(values: Any) -> list[float | None]:
    """`number` of each entry of a list; an empty list for anything that is not a list."""
    return [number(value) for value in values] if isinstance(values, list) else []


def percent(fraction: Any) -> str:
    """A fraction as percent with two digits, without the sign.

    >>> percent(0.01346), percent(None)
    ('1.35', '–')
    """
    value = number(fraction)
    return NONE if value is None else f"{100 * value:.2f}"


def measure(record: Mapping[str, Any]) -> str:
    """What the errors of a record are, where it is not the share of wrong answers; else nothing."""
    return str(record.get("measure", ""))


def count(value: Any) -> str:
    """A whole number with thousands separated.

    >>> count(1836042)
    '1,836,042'
    """
    value = number(value)
    return NONE if value is None else f"{value:,.0f}"


def rate(value: Any) -> str:
    """Samples a second: whole numbers from 100 on, three digits below.

    >>> rate(48211.7), rate(3.14159)
    ('48,212', '3.14')
    """
    value = number(value)
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(value: Any) -> str:
    """Seconds; from two minutes on with the same in minutes or hours after it.

    >>> seconds(0.4218), seconds(83.14), seconds(4000)
    ('0.422 s', '83.1 s', '4,000 s (1 h 6 min)')
    """
    value = number(value)
    if value is None:
        return NONE
    if value < 10:
        return f"{value:.3g} s"
    if value < 120:
        return f"{value:.1f} s"
    whole = round(value)
    hours, minutes = divmod(whole // 60, 60)
    told = f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"
    return f"{whole:,} s ({told})"


def flops(value: Any) -> str:
    """Floating-point operations in kFLOP to EFLOP.

    >>> flops(3.21e12), flops(0)
    ('3.21 TFLOP', '0 FLOP')
    """
    return _scaled(value, 1000, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"])


def memory(value: Any) -> str:
    """Bytes in KiB to TiB.

    >>> memory(157286400), memory(12)
    ('150 MiB', '12 bytes')
    """
    return _scaled(value, 1024, ["bytes", "KiB", "MiB", "GiB", "TiB"])


def energy(value: Any) -> str:
    """Joules in J to MJ, and in words that nobody measured them.

    >>> energy(None), energy(5400)
    ('not measured', '5.4 kJ')
    """
    return "not measured" if number(value) is None else _scaled(value, 1000, ["J", "kJ", "MJ"])


def short(value: float) -> str:
    """A number for an axis: few characters, three digits.

    >>> [short(v) for v in (0.0, 0.00002, 0.25, 20.0, 1500.0, 32000.0, 2.5e6)]
    ['0', '2e-5', '0.25', '20', '1500', '32k', '2.5M']
    """
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e12):
        digits, power = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:.4g}" if size >= 1000 else f"{value:.3g}"


def text(value: Any) -> str:
    """A setting or a fact as text: numbers short, lists with commas, null as a dash."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return _listed(text(each) for each in value) or "(empty)"
    if isinstance(value, dict):
        return _listed(f"{name} {text(each)}" for name, each in value.items()) or "(empty)"
    return str(value)


def _plain(value: Any) -> str:
    value = number(value)
    return NONE if value is None else f"{value:,.6g}" if value < 1e6 else f"{value:,.0f}"


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _scaled(value: Any, base: int, units: list[str]) -> str:
    value = number(value)
    if value is None:
        return NONE
    step = 0
    # 999.7 would print as 1e+03 with three digits, so the next unit begins a little early.
    while abs(value) >= 0.9995 * base and step + 1 < len(units):
        value /= base
        step += 1
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {units[step]}"
