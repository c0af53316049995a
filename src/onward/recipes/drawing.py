"""Figures of tables' pages: one style, and the same SVG for the same numbers."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "onward",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "legend.frameon": False,
}


@contextmanager
def drawing(width: float, height: float, count: int) -> Iterator[tuple[Any, Sequence[Any]]]:
    """A figure with ``count`` axes that share their y, in the style of all; closed afterwards."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            1, count, figsize=(width, height), sharey=True, squeeze=False, layout="constrained"
        )
        for axis in axes[0]:
            axis.grid(axis="y", color="#e3e6e9", linewidth=0.8)
            axis.set_axisbelow(True)
        try:
            yield figure, list(axes[0])
        finally:
            pyplot.close(figure)


def svg(figure: Any) -> bytes:
    """A figure as a file that changes when its numbers do, and only then."""
    buffer = io.BytesIO()
    # Neither the day nor the version.
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    lines = buffer.getvalue().decode().splitlines()
    return ("\n".join(line.rstrip() for line in lines) + "\n").encode()
