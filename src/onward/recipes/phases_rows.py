"""Rows of the table of phases: positives and negatives in one update, or separated in time.

Every study has the same rows: its cells frozen as drawn, mixed phases, phases of 1 to 128 updates,
and some of these again with a very low learning rate and a very high momentum, which is what the
author says long phases need: a hundredth of the rate, and 0.999 for 0.9, keep lr / (1 - momentum),
and a hundred times the decay keeps lr * decay, so that only the time changes over which updates are
meaned: 1000 of them, several phases.
"""

from typing import Any

from .tables import Row

LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Updates of one sign before the other's turn."""

SLOW = (None, 32, 128)
"""Phase lengths that are tried slowly, too; None for mixed ones."""


STUDIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist": ("ff-mnist", {"dataset": "mnist"}),
    "fashion": ("ff-mnist", {"dataset": "fashion_mnist"}),
    "aesop": ("ff-aesop", {"negatives": "predicted"}),
    "aesop-rollout": ("ff-aesop", {"negatives": "rollout", "lr": 0.001}),
}
"""Study -> its recipe, and what makes it one."""

SIZES: dict[str, dict[str, Any]] = {
    "ff-mnist": {"width": 500, "epochs": 10, "negatives": "wrong"},
    "ff-aesop": {
        **{"width": 300, "epochs": 20, "evaluate_every": 20},
        **{"objective": "logistic", "temperature": 1.0, "lr": 0.003, "readout_lr": 0.01},
    },
}
"""How long and how wide: small, for there are many rows. A pair of windows can't be taken apart,
hence the logistic, at rates of its own for as small a net (docs/log.md)."""


def name(study: str, length: int | None, slow: bool = False) -> str:
    """The row of a study with a phase length, None for mixed phases.

    >>> name("mnist", 32), name("mnist", None), name("aesop", 128, slow=True)
    ('phases-mnist-32', 'phases-mnist-mixed', 'phases-aesop-128-slow')
    """
    told = "mixed" if length is None else str(length)
    return f"phases-{study}-{told}" + ("-slow" if slow else "")


def frozen(study: str) -> str:
    """The row of a study's cells as they are drawn; those of a text serve both its studies.

    >>> frozen("mnist"), frozen("aesop-rollout")
    ('phases-mnist-frozen', 'phases-aesop-frozen')
    """
    return f"phases-{study.removesuffix('-rollout')}-frozen"


def rows(study: str) -> list[Row]:
    """All rows of a study."""
    recipe, own = STUDIES[study]
    usual = {**SIZES[recipe], **own}
    control = {"schedule": "frozen"} if recipe == "ff-mnist" else {"regime": "frozen"}
    settings = Row("", recipe, usual).settings()
    # Decay is lr * decay a step, whatever the momentum.
    slowly = {"lr": settings.lr / 100, "decay": 100 * settings.decay, "momentum": 0.999}
    found = []
    if frozen(study) == f"phases-{study}-frozen":
        found.append(Row(frozen(study), recipe, {**usual, **control}))
    for length in (None, *LENGTHS):
        found.append(Row(name(study, length), recipe, {**usual, **_phases(length)}))
    for length in SLOW:
        changes = {**usual, **_phases(length), **slowly}
        found.append(Row(name(study, length, slow=True), recipe, changes))
    return found


def _phases(length: int | None) -> dict[str, Any]:
    return {} if length is None else {"phases": "separated", "phase_length": length}
