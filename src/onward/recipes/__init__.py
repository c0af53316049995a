"""Recipes: rows of papers' tables, each with its claim, its settings and its run.

A file holds one row, or the rows of one table that differ in their data and in little else.
"""

from importlib import import_module

from .. import named
from ..errors import BadInput, nearest
from .recipe import Recipe

_UFF = ("ae", "dae", "cae", "gan")
_SETS = ("mnist", "fashion", "cifar10")
MODULES = {
    "bp-cifar10": "ff_cifar10",
    "bp-digits": "bp_digits",
    "bp-mnist": "bp_mnist",
    **{f"collab-{data}": "collab" for data in _SETS},
    "ff-aesop": "ff_aesop",
    "ff-blackbox-mnist": "ff_blackbox",
    "ff-cifar10": "ff_cifar10",
    "ff-digits": "ff_digits",
    "ff-free-mnist": "ff_free",
    "ff-jitter-mnist": "ff_large",
    "ff-local-mnist": "ff_free",
    "ff-mnist": "ff_mnist",
    "ff-mnist-4x2000": "ff_large",
    "ff-mnist-4x2000-fast": "ff_large",
    "ff-mnist-pairs": "ff_pairs",
    "ff-recurrent-mnist": "ff_recurrent_mnist",
    **{f"uff-{cell}-{data}": "uff" for data in _SETS for cell in _UFF},
    "uff-wta-mnist": "uff",
    "uff-convwta-mnist": "uff",
    "uff-anomaly-mnist": "uff_tasks",
    "uff-regression-diabetes": "uff_tasks",
    "uff-tabular-cancer": "uff_tasks",
}
"""Recipe -> the file it is in."""

NAMES = tuple(MODULES)

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
    module = import_module("." + MODULES[name], __name__)
    found = module.recipes[name] if hasattr(module, "recipes") else module.recipe
    assert isinstance(found, Recipe)
    return found
