"""What a run has to show: one self-contained page a run, one table over all committed runs.

`write(run)` puts `report.html` into a run folder, `render(run)` returns the same page as text, and
`markdown(folder)` makes the table of RESULTS.md from the records under `results/`.
"""

from pathlib import Path

from .page import render, write

__all__ = ["markdown", "render", "write"]


def markdown(folder: Path) -> str:
    """The table of RESULTS.md, made from `folder`/RECIPE/seed-N.json. See `onward.report.results`.

    Raises `BadInput` if the folder or one of its records cannot be read.
    """
    # Imported late: results.py is also run with `python -m`, which warns about a loaded module.
    from .results import markdown

    return markdown(folder)
