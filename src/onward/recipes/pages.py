"""What pages of tables share: Markdown tables, and the sections on verdicts."""

from collections.abc import Iterable, Sequence

from .verdicts import Verdict


def verdicts(found: Sequence[Verdict]) -> str:
    """Each claim with its outcome."""
    rows = [[f"**{one.name}**", one.claim, f"**{one.outcome}**"] for one in found]
    return "## Verdicts\n\n" + table(["", "claim", "verdict"], rows)


def rules(found: Sequence[Verdict]) -> str:
    """How each was reached, with its numbers."""
    parts = ["## How each verdict was reached\n"]
    for one in found:
        numbers = "\n".join(f"  * {number}" for number in one.numbers)
        parts.append(f"* **{one.name}, {one.outcome}.** {one.rule}\n{numbers}")
    return "\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; its rows are as long as its head."""
    told = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(told) + "\n"
