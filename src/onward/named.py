"""Anyone's part by its name, ``module:attribute``. Nothing is registered."""

from importlib import import_module
from typing import Any

from .errors import BadInput


def find(name: str) -> Any:
    """The object that a name like ``package.module:attribute`` stands for.

    A module can fail in any way while it is imported; whatever it raises becomes one line.

    >>> find("math:pi")
    3.141592653589793
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute) or module.startswith("."):
        raise BadInput(f"a part is named module:attribute, and {name!r} is not")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadInput(f"{name} could not be imported ({why})") from error
