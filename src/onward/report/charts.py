"""Line charts as inline SVG: no library, no script, colours from the page's style sheet.

A chart takes lists as long as its epochs (or what else it counts), with None where nothing was
measured, and joins the measured points. Lines differ by colour and by dash. Text and lines take
their colour from CSS variables, so one drawing is right on a light and on a dark page.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .quantities import short
from .tables import escape

TONES = 7
"""Colours in the style sheet, `--tone-0` to `--tone-6`; lines beyond differ by their dash."""

_DASHES = ("", "7 4", "2 3.5", "10 3 2 3", "14 4")
_WIDTH, _HEIGHT = 360, 204
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 24
_DOTS, _TIPS = 12, 100
"""Points up to which a line shows them as dots, and tells their values to a pointing mouse."""

_Place = Callable[[float], float]


@dataclass(frozen=True)
class Line:
    """One line: `values` by epoch, None where not measured; `tone` and `dash` choose its look."""

    name: str
    values: Sequence[float | None]
    tone: int = 0
    dash: int = 0

    def points(self, epochs: Sequence[float]) -> list[tuple[float, float]]:
        """The measured points (epoch, value)."""
        pairs = zip(epochs, self.values, strict=False)
        return [(epoch, value) for epoch, value in pairs if value is not None]


@dataclass(frozen=True)
class Chart:
    """What to draw: `title` and `unit` above, `lines`, and `marks` (epoch a stage begins, name).

    `log` asks for a logarithmic axis; it is linear after all if no value is above zero. `base`
    is a value the linear axis must contain. `across` is what the horizontal axis counts.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    marks: Sequence[tuple[float, str]] = ()
    log: bool = False
    base: float | None = None
    across: str = "epoch"


def draw(chart: Chart, epochs: Sequence[float]) -> str:
    """The chart as an HTML figure with legend; empty text if none of its lines has a point.

    A single point is a dot. Zeros on a logarithmic axis lie on its lower edge.
    """
    lines = [(line, line.points(epochs)) for line in chart.lines]
    lines = [(line, points) for line, points in lines if points]
    if not lines:
        return ""
    values = [y for _, points in lines for _, y in points]
    axis = _axis(values, chart.log, chart.base)
    first = min(x for _, points in lines for x, _ in points)
    last = max(x for _, points in lines for x, _ in points)
    low, high = (first, last) if last > first else (first - 1, last + 1)

    def across(x: float) -> float:
        return _LEFT + (x - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _TOP + (1 - axis.place(y)) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(axis, down), _epochs(first, last, across)]
    parts += [_mark(at, name, across, low, high) for at, name in chart.marks]
    for line, points in lines:
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        dash = _DASHES[line.dash % len(_DASHES)]
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline class="tone-{line.tone % TONES}" points="{path}"{dashed}/>')
        shown = f"tone-{line.tone % TONES}" if len(points) <= _DOTS else "tip"
        size = 5.0 if shown == "tip" else 2.4 if len(points) > 1 else 3.5
        if len(points) <= _TIPS:
            parts += [
                f'<circle class="{shown}" cx="{across(x):.1f}" cy="{down(y):.1f}" r="{size}">'
                f"<title>{escape(line.name)}, {escape(chart.across)} {x:g}: {short(y)}</title>"
                "</circle>"
                for x, y in points
            ]
    scale = " (log scale)" if axis.log else ""
    told = "; ".join(
        f"{line.name} from {short(points[0][1])} at {chart.across} {points[0][0]:g} "
        f"to {short(points[-1][1])} at {chart.across} {points[-1][0]:g}"
        for line, points in lines
    )
    alt = escape(f"{chart.title}, {chart.unit}{scale}, by {chart.across}: {told}.")
    unit = ", ".join(part for part in (chart.unit, "log" if axis.log else "") if part)
    return (
        f'<figure class="panel chart"><figcaption>{escape(chart.title)} '
        f"<small>{escape(unit)}</small></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{alt}">'
        f"{''.join(parts)}</svg>{_legend(lines)}</figure>"
    )


def _legend(lines: list[tuple[Line, list[tuple[float, float]]]]) -> str:
    entries = []
    for line, points in lines:
        dash = _DASHES[line.dash % len(_DASHES)]
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        entries.append(
            f'<li><svg viewBox="0 0 26 8" aria-hidden="true"><polyline class="tone-'
            f'{line.tone % TONES}" points="0,4 26,4"{dashed}/></svg>{escape(line.name)} '
            f"<b>{short(points[-1][1])}</b></li>"
        )
    return f'<ul class="legend" aria-label="Lines and their last values">{"".join(entries)}</ul>'


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """0 at the lower edge, 1 at the upper; what lies below (zero on a log axis) is at 0."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= self.low:
            return 0.0
        return math.log(value / self.low) / math.log(self.high / self.low)


def _axis(values: Sequence[float], log: bool, base: float | None) -> _Axis:
    above = [value for value in values if value > 0]
    if log and above:
        # A zero needs room below the smallest positive value, or the two would look the same.
        low = min(above) / (2 if min(values) <= 0 else 1.08)
        high = max(above) * 1.08
        ticks = _log_ticks(low, high)
        if min(values) <= 0:
            # The lower edge stands for zero; a tick right above it would have no room.
            ticks = (0.0, *(tick for tick in ticks if tick > low * (high / low) ** 0.08))
        return _Axis(low, high, True, ticks)
    low, high = min(values), max(values)
    if base is not None:
        low, high = min(low, base), max(high, base)
    if high == low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        low = 0.0 if base == 0 and min(values) >= 0 else low
    room = 0.05 * (high - low)
    low = low if base == low or (low >= 0 and low - room < 0) else low - room
    high += room
    return _Axis(low, high, False, tuple(_steps(low, high, 6)))


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers from low to high: at most `most` + 1 of them."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * (1 - 1e-9))
    start = math.ceil(low / step - 1e-9)
    return [k * step for k in range(start, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    if high / low < 4:
        return tuple(tick for tick in _steps(low, high, 6) if tick > 0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [d * 10.0**p for p in powers for d in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 6:
            break
    # Over very many decades keep every second, third, ... power of ten.
    return tuple(ticks[:: math.ceil(len(ticks) / 6)])


def _grid(axis: _Axis, down: _Place) -> str:
    parts = []
    for tick in axis.ticks:
        y = down(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>'
        )
    return "".join(parts)


def _epochs(first: float, last: float, across: _Place) -> str:
    edge = _HEIGHT - _BOTTOM
    ticks = [first]
    if last > first:
        ticks = [tick for tick in _steps(first, last, 5) if tick == round(tick)]
        # Only the ends are sure to be wanted; a round number too near to an end gives way.
        near = 0.09 * (last - first)
        inner = [tick for tick in ticks if first + near < tick < last - near]
        ticks = [first, *inner, last]
    labels = "".join(
        f'<text x="{across(tick):.1f}" y="{edge + 17}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    )
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{edge}" y2="{edge}"/>{labels}'
    )


def _mark(at: float, name: str, across: _Place, low: float, high: float) -> str:
    if not low - 1 <= at <= high:
        return ""
    x = max(across(at), float(_LEFT))
    name = name if len(name) <= 12 else name[:11] + "…"
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text class="mark" x="{x + 3:.1f}" y="{_TOP + 3}">{escape(name)}</text>'
    )
