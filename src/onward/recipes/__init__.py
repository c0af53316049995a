"""Recipes: one file is one row of a paper's table, with its claim, its settings and its run."""

from importlib import import_module

from .. import named
from ..errors import BadInput, nearest
from .recipe import Recipe

NAMES = ("bp-digits", "bp-mnist", "ff-digits", "ff-mnist")

__all__ = ["NAMES", "Recipe", "find"]


def find(name: str) -> Recipe:
    """A recipe by its name, or anyone's by ``module:attribute``.

    >>> find("ff-mnist").defaults.width
    1000
    """
    if ":" in name:
        found = named.find(name)
        if not isinstance(found, Recipe):
            raise BadInput(f"{name} should be a Recipe, and is a {type(found).__name__}")
        return found
    if name not in NAMES:
        raise BadInput(f"there is no recipe {name!r}: {nearest(name, NAMES)}")
    found = import_module("." + name.replace("-", "_"), __name__).recipe
    assert isinstance(found, Recipe)
    return found
