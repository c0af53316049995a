"""ff-blackbox-mnist: Forward-Forward through black boxes that no gradient passes.

Between every two cells stands a fixed function that lets one random bit of each number through:
without a derivative, and never twice alike in training. A cell behind it learns from what comes
out, and the one before it from what it saw and answered: neither needs to know the box. Backprop on
the same cells (``--twin``) reaches the cells behind the last box only; the others stay as drawn.

The paper says that this can be done, and gives no experiment: what is here is ours.
"""

from typing import Any

from .black_box import BlackBoxSettings, build
from .recipe import Recipe

BACKPROP: dict[str, Any] = {
    "regime": "backprop",
    "optimizer": "adamw",
    "rate": "cosine",
    "decay": 0.01,
    "peers": 0.0,
    "evaluate_every": 1,
}

recipe = Recipe(
    name="ff-blackbox-mnist",
    claim="Cells learn through noisy one-bit boxes that backprop can't pass: less error than by "
    "backprop on the same cells, and than on the same cells frozen as drawn.",
    source="Hinton 2022, arXiv:2212.13345, section 7 (no experiment there)",
    defaults=BlackBoxSettings(),
    build=build,
    twin="ff-blackbox-mnist",
    twin_changes=BACKPROP,
    controls={"frozen": {"regime": "frozen"}},
)
