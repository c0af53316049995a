"""HTML tables. Text goes in plain and is escaped here, so a record can't bring markup of its own.

Every table lies in a box that scrolls by itself: on a phone the page keeps its width.
"""

import html
from collections.abc import Sequence
from typing import Any

from .fields import picture
from .quantities import count, number, percent

LARGEST = 30
"""Classes up to which a confusion matrix is a table of numbers; beyond, it is a picture."""


_TIGHT = ' class="tight"'


def escape(text: Any) -> str:
    """`text` for HTML content and attributes; halves of surrogate pairs become question marks."""
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "numbers"
) -> str:
    """A table of plain text whose first column names the row; empty text without rows.

    `kind` is a class of the style sheet: `numbers` (columns to the right; `numbers loose`
    may break them) or `facts` (to the left).
    """
    if not rows:
        return ""
    # A short name stays on one line; a long one may break, so that its column stays narrow.
    top = "".join(
        f'<th scope="col"{_TIGHT if len(name) <= 12 else ""}>{escape(name)}</th>' for name in head
    )
    top = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return _box(
        caption,
        f'<table class="{kind}"><caption><span>{escape(caption)}</span></caption>{top}'
        f"<tbody>{body}</tbody></table>",
    )


def matrix(caption: str, counts: Any, names: Sequence[str]) -> str:
    """A confusion matrix, counts [C, C], rows true: every field shaded by its share of the row.

    Mistakes are shaded by the square root of the share, for a class that is right in 99 of 100
    still has something to show. Past `LARGEST` classes the matrix is a picture, with the most
    frequent mistakes as a table. Empty text if `counts` is not a square of numbers.
    """
    square = _square(counts)
    if not square:
        return ""
    names = [names[i] if i < len(names) else str(i) for i in range(len(square))]
    if len(square) > LARGEST:
        return _pictured(caption, square, names)
    upright = " upright" if max(map(len, names)) > 3 else ""
    top = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    body = []
    for true, (name, row) in enumerate(zip(names, square, strict=True)):
        total = sum(row)
        fields = []
        for said, amount in enumerate(row):
            share = amount / total if total else 0.0
            right = said == true
            shade = 0.06 + 0.44 * share if right else min(0.6, 0.9 * share**0.5)
            kind = ("hit" if right else "miss") if amount else "zero"
            tip = f"true {name}, predicted {names[said]}: {100 * share:.1f} % of the row"
            fields.append(
                f'<td class="{kind}" style="--s:{shade:.3f}" title="{escape(tip)}">'
                f"{count(amount)}</td>"
            )
        wrong = percent(1 - row[true] / total) if total else percent(None)
        body.append(
            f'<tr><th scope="row">{escape(name)}</th>{"".join(fields)}'
            f'<td class="sum">{wrong}</td></tr>'
        )
    return _box(
        caption,
        f'<table class="confusion{upright}"><caption><span>{escape(caption)}</span></caption>'
        f'<thead><tr><th scope="col" class="corner">true ↓ predicted →</th>{top}'
        f'<th scope="col" class="sum"><span>error, %</span></th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>",
        "scroll close",
    )


def _pictured(caption: str, square: list[list[float]], names: Sequence[str]) -> str:
    shares = [[amount / (sum(row) or 1.0) for amount in row] for row in square]
    signed = [
        [-share if i == j else share**0.5 for j, share in enumerate(row)]
        for i, row in enumerate(shares)
    ]
    size = len(square)
    mistakes = sorted(
        (-amount, i, j)
        for i, row in enumerate(square)
        for j, amount in enumerate(row)
        if i != j and amount
    )[:20]
    alt = f"{escape(caption)}, as a picture of {size} by {size} fields"
    return (
        f'<div class="pairs"><figure class="panel heat"><img src="{picture(signed, 1.0)}" '
        f'width="{size}" height="{size}" alt="{alt}">'
        f"<figcaption>{escape(caption)}. One field a pair of classes, first class at the top "
        "left; the diagonal is right, everything beside it a mistake.</figcaption></figure><div>"
        + table(
            "The most frequent mistakes",
            ["true", "predicted", "times", "of the class, %"],
            [[names[i], names[j], count(-n), percent(shares[i][j])] for n, i, j in mistakes],
        )
        + "</div></div>"
    )


def _square(counts: Any) -> list[list[float]]:
    if not isinstance(counts, list) or not all(isinstance(row, list) for row in counts):
        return []
    if any(len(row) != len(counts) for row in counts):
        return []
    return [[number(amount) or 0.0 for amount in row] for row in counts]


def _box(label: str, inside: str, kind: str = "scroll") -> str:
    # A box that scrolls must be reachable by keyboard, and then needs a name.
    name = escape(label)
    return f'<div class="{kind}" role="region" tabindex="0" aria-label="{name}">{inside}</div>'
