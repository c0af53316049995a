"""The one error a user can cause: what was wanted, what came, what to do about it."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # kept out of run time, so that the command's help needs no numpy
    import numpy as np
    from numpy.typing import NDArray


class BadInput(ValueError):
    """Raised for anything a user handed in that can't be used: a setting, a file, a folder.

    The command line prints its message on one line and exits with 2, without a traceback. The
    message says what was wanted, what came, and what to do.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """The tail of a "no such name" message: the closest valid name, or all of them.

    >>> nearest("ff-mnst", ["ff-mnist", "bp-mnist"])
    "did you mean 'ff-mnist'?"
    >>> nearest("zebra", ["ff-mnist", "bp-mnist"])
    'choose from bp-mnist, ff-mnist'
    """
    names = sorted(valid)
    close = get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else "choose from " + ", ".join(names)


def not_finite(x: "NDArray[np.float32]", row: str) -> str:
    """The tail of a "not all numbers" message: where x [N, *D] has NaN or infinity, in words.

    ``row`` is what one of the N is called. Rows of a table [N, D] are counted column by column.

    >>> import numpy as np
    >>> not_finite(np.array([[1, np.nan], [2, np.nan], [3, 4]], np.float32), "row")
    'in 2 of 3 rows, first in row 0; column 1: 2 rows'
    """
    import numpy as np

    bad = ~np.isfinite(x)
    rows = bad.reshape(len(x), -1).any(axis=1)
    text = f"in {rows.sum():,} of {len(x):,} {row}s, first in {row} {int(np.argmax(rows))}"
    if x.ndim != 2:
        return text
    counts = bad.sum(axis=0)
    columns = np.flatnonzero(counts)
    named = [f"column {i}: {counts[i]:,} row{'s' if counts[i] > 1 else ''}" for i in columns[:6]]
    more = [f"{len(columns) - 6} more columns"] if len(columns) > 6 else []
    return f"{text}; {', '.join(named + more)}"
