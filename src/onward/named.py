"""Anyone's part by its name, ``module:attribute``. Nothing is registered."""

import os
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any

from .errors import BadInput

asked: list[str] = []
"""The names that were asked for, the latest last: whose code runs when something is raised."""

OURS = str(Path(__file__).parent) + os.sep


def find(name: str) -> Any:
    """The object that a name like ``package.module:attribute`` stands for.

    A module can fail in any way while it is imported; whatever it raises becomes one line.

    >>> find("math:pi")
    3.141592653589793
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute) or module.startswith("."):
        raise BadInput(f"a part is named module:attribute, and {name!r} is not")
    if module.endswith(".py"):
        raise BadInput(
            f"a part is named module:attribute, and a module has no .py: "
            f"{module.removesuffix('.py').replace('/', '.')}:{attribute}"
        )
    asked.append(name)
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        at = _innermost(error)
        where = f"; {_shown(*at[1:])}" if at is not None and at[0] == "theirs" else ""
        raise BadInput(f"{name} could not be imported ({_what(error)}{where})") from error


def blamed(error: Exception) -> str | None:
    """What went wrong with somebody's own part, and in which line; None where there is none.

    The innermost frame that is not the standard library's or an installed package's is theirs,
    which raised, or Onward's, which could not do with what it was given.
    """
    at = _innermost(error)
    if not asked or at is None:
        return None
    if at[0] == "theirs":
        return f"{asked[-1]} raised {told(error)}"
    last = _innermost(error, "theirs")
    where = "" if last is None else f", from {_shown(*last[1:])}"
    return (
        f"Onward can't do with what {asked[-1]} gives it: {told(error)}{where}. `onward check` "
        "holds a part to its promises"
    )


def told(error: Exception) -> str:
    """An error and the file and line it came from, libraries apart, in one line."""
    at = _innermost(error)
    return _what(error) if at is None else f"{_what(error)} ({_shown(*at[1:])})"


def _innermost(error: Exception, whose: str | None = None) -> tuple[str, str, int] | None:
    """("ours" or "theirs", file, line) of the innermost frame that is no library's; ``whose``."""
    import sysconfig

    libraries = tuple(sysconfig.get_path(key) + os.sep for key in ("stdlib", "platstdlib"))
    own = {name.partition(":")[0].partition(".")[0] for name in asked}  # it may be installed
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        file = os.path.abspath(frame.f_code.co_filename)
        if frame.f_code.co_name == "__torch_dispatch__":  # torch's own call, under our counter
            continue
        if file.startswith(OURS):
            if whose != "theirs":
                return "ours", file, line
            continue
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        installed = {"site-packages", "dist-packages"} & set(Path(file).parts)
        made = frame.f_code.co_filename.startswith("<")  # a dataclass's __init__, importlib
        if not made and (package in own or not (installed or file.startswith(libraries))):
            return "theirs", file, line
    return None


def _what(error: Exception) -> str:
    """The kind of an error and what it says, in one line.

    >>> _what(KeyError("a")), _what(ValueError())
    ("KeyError: 'a'", 'ValueError')
    """
    return ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))


def _shown(file: str, line: int) -> str:
    here = os.path.relpath(file)
    return f"{file if here.startswith(os.pardir) else here}, line {line}"
