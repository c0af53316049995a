"""What each place of a pipeline did: the section of the page, with a timeline of its last steps.

The keys are those of `places` in `docs/record.md`; a run in one process has none.
"""

from typing import Any

from . import quantities as q
from .records import Record, items
from .tables import escape, table

_WIDTH, _LEFT, _RIGHT, _ROW, _BOTTOM = 720, 130, 12, 26, 22


def section(record: Record) -> str:
    """A table of places, and when each of them was at its last steps."""
    found = [each for each in items(record, "places") if isinstance(each, dict)]
    if not found:
        return ""
    rows = [
        (
            _names(each),
            q.seconds(each.get("busy_seconds")),
            q.seconds(each.get("waiting_seconds")),
            q.memory(each.get("bytes_in")),
            q.memory(each.get("bytes_out")),
            q.memory(each.get("peak_memory_bytes")),
        )
        for each in found
    ]
    head = ("stage", "busy", "waiting", "came in", "went out", "peak memory")
    told = (
        "<p>Each stage is a process of its own, which learns from what the one before it sends. "
        "Busy and waiting are of all its steps.</p>"
    )
    return told + table("Stages, in their last process", head, rows) + _timeline(found)


def _names(place: dict[str, Any]) -> str:
    return ", ".join(str(name) for name in place.get("stations", ())) or q.NONE


def _timeline(places: list[dict[str, Any]]) -> str:
    steps = [_steps(place) for place in places]
    ends = [end for each in steps for _, end in each]
    if not ends or max(ends) <= 0:
        return ""
    last, wide = max(ends), _WIDTH - _LEFT - _RIGHT
    height = _ROW * len(places) + _BOTTOM
    parts = []
    for number, (place, each) in enumerate(zip(places, steps, strict=True)):
        top = number * _ROW
        parts.append(f'<text x="{_LEFT - 8}" y="{top + 17}" text-anchor="end">')
        parts.append(f"{escape(_short(_names(place)))}</text>")
        parts += [
            f'<rect class="busy tone-{number % 7}" x="{_LEFT + wide * begin / last:.1f}" '
            f'y="{top + 4}" width="{max(0.5, wide * (end - begin) / last):.1f}" '
            f'height="{_ROW - 8}"><title>{1e3 * begin:.1f} to {1e3 * end:.1f} ms</title></rect>'
            for begin, end in each
        ]
    foot = height - 6
    parts.append(f'<text x="{_LEFT}" y="{foot}">0</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{foot}" text-anchor="end">')
    parts.append(f"{1e3 * last:.0f} ms</text>")
    return (
        '<figure class="panel chart"><figcaption>The last steps of every stage '
        "<small>a bar a batch; between two, it waits</small></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="When each stage was busy">{"".join(parts)}</svg></figure>'
    )


def _steps(place: dict[str, Any]) -> list[tuple[float, float]]:
    found = []
    for pair in items(place, "steps"):
        if isinstance(pair, list) and len(pair) == 2:
            begin, end = q.number(pair[0]), q.number(pair[1])
            if begin is not None and end is not None and 0 <= begin <= end:
                found.append((begin, end))
    return found


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
