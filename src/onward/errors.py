"""The one error a user can cause: what was wanted, what came, what to do about it."""

from collections.abc import Iterable
from difflib import get_close_matches


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
