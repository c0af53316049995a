"""Text in columns for a narrow terminal: what ``onward show`` prints of a recipe."""

import shutil
from collections.abc import Sequence
from textwrap import wrap

Row = tuple[str, str, str]

WIDEST = 100
"""Columns of text beyond which lines are hard to read, however wide the terminal."""


def width() -> int:
    """Columns to write in: the terminal's, 80 where there is none."""
    return max(60, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def paragraph(head: str, text: str, columns: int) -> str:
    """A text behind its head, its further lines below its first.

    >>> print(paragraph("claim   ", "less than half of them are wrong", 28))
    claim   less than half of
            them are wrong
    """
    lines = wrap(text, columns - len(head), break_on_hyphens=False) or [""]
    return "\n".join((head if n == 0 else " " * len(head)) + line for n, line in enumerate(lines))


def table(heading: Row, rows: Sequence[Row], columns: int, longest: int = 18) -> str:
    """Rows of three texts under their heading; the last column is wrapped to what room is left.

    A second text of more than ``longest`` characters has its third begin on the next line.

    >>> print(table(("setting", "default", ""), [("lr", "0.1", "how fast it learns")], 30))
    setting  default
    lr       0.1      how fast it
                      learns
    """
    every = [heading, *rows]
    first = max(len(row[0]) for row in every) + 2
    second = max(len(row[1]) for row in every if len(row[1]) <= longest) + 2
    lines = []
    for name, value, text in every:
        head = f"{name:<{first}}{value:<{second}}"
        if len(value) > longest:
            lines.append(head.rstrip())
            head = " " * (first + second)
        lines.append(paragraph(head, text, columns).rstrip())
    return "\n".join(lines)
