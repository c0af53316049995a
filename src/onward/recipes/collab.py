"""collab-DATA: layer collaboration in Forward-Forward, three dense cells, on three data sets.

Each cell adds to its own goodness that of all others (gamma all), all cells learn from every batch
(network), every label is tried, and the goodness of all cells is summed. Other rows of the paper's
table are variants: ``--gamma none|earlier``, ``--schedule greedy`` (layer), ``--schedule pairwise``
(backprop on the same loss), ``--coupling learned``.

Of the paper's settings only the three dense layers are known. Widths, optimiser, epochs and batch
are decisions (docs/collaboration.md, A6 to A11); thresholds are chosen for each method by itself on
validation data (``onward table theta``).
"""

from typing import Any

from .forward_forward import ForwardForwardSettings, build
from .recipe import Recipe

SOURCE = "Lorberbom et al. 2023, arXiv:2305.12393 (AAAI 2024), read second-hand"

DATA = {"mnist": "mnist", "fashion": "fashion_mnist", "cifar10": "cifar10"}

METHODS = {"ff": "none", "earlier": "earlier", "all": "all"}
"""Method -> whom a cell hears: plain Forward-Forward, gamma<t, gamma."""

FACTORS: dict[tuple[str, str, str], float] = {
    ("mnist", "theirs", "ff"): 0.5,
    ("mnist", "theirs", "earlier"): 0.3,
    ("mnist", "tuned", "ff"): 5.0,
}
"""(data, setting, method) -> theta over that of a cell of ones, as `onward table theta` chose it.

1, the author's threshold of plain Forward-Forward, where nothing has been chosen; the page of the
table says where another one was better on validation.
"""

THEIRS: dict[str, Any] = {
    "epochs": 60,
    "batch": 128,
    "optimizer": "adamw",
    "decay": 0.0,
    "rate": "constant",
    "gamma": "all",
    "negatives": "wrong",
    "peers": 0.0,
    "linear": False,
    "counted": [0, 1, 2],
}
"""Their setting as far as it is known, and Adam at 1e-3 with uniformly wrong labels beyond that."""

TUNED: dict[str, Any] = {
    "epochs": 60,
    "batch": 100,
    "optimizer": "sgd",
    "decay": 0.02,
    "rate": "cooldown",
    "negatives": "hard",
    "peers": 0.03,
    "linear": True,
}
"""What made plain Forward-Forward good (ff-mnist), for every method."""

MEAN: dict[str, Any] = {**THEIRS, "goodness": "mean_of_squares"}
"""The other reading of their goodness, under which the logistic is as wide as theta itself."""

PAIRS: dict[str, Any] = {
    **TUNED,
    "epochs": 20,
    "objective": "swish",
    "temperature": 0.1,
    "lr": 0.005,
}
"""The best plain Forward-Forward here (ff-mnist-pairs), for every method: margins, no thresholds.

A margin is a tenth of theta, so that thresholds that are tried are margins of 0.03 to 1.
"""

SETTINGS: dict[str, dict[str, Any]] = {
    "theirs": THEIRS,
    "mean": MEAN,
    "tuned": TUNED,
    "pairs": PAIRS,
}

REPORTED: dict[str, dict[str, float]] = {
    "bp-pairwise": {"mnist": 2.0, "fashion": 10.7, "cifar10": 45.4},
    "bp-label": {"mnist": 1.5, "fashion": 10.7, "cifar10": 45.9},
    "ff-layer": {"mnist": 3.3, "fashion": 13.2, "cifar10": 54.2},
    "ff-network": {"mnist": 3.4, "fashion": 13.6, "cifar10": 53.7},
    "earlier-layer": {"mnist": 2.2, "fashion": 11.6, "cifar10": 53.2},
    "earlier-network": {"mnist": 2.2, "fashion": 11.6, "cifar10": 51.6},
    "": {"mnist": 2.1, "fashion": 12.0, "cifar10": 52.7},
}
"""The paper's table, test errors in percent, second-hand; "" is gamma all, network."""


RATE = ForwardForwardSettings().lr
"""Of the cells, where a setting has none of its own."""


def width(data: str) -> int:
    """Units of each cell."""
    return 2000 if data == "cifar10" else 1000


def setting(data: str, name: str) -> dict[str, Any]:
    """What one of the two settings is on a data set.

    >>> setting("mnist", "tuned") == TUNED, setting("cifar10", "tuned")["lr"]
    (True, 0.0001)
    """
    found = SETTINGS[name]
    if data == "cifar10":  # where cells die at the rates of the others (docs/log.md)
        found = {**found, "lr": found.get("lr", RATE) / 10, "label_value": 10.0}
    return dict(found)


def factor(data: str, setting: str, method: str) -> float:
    """theta over the goodness of a cell of ones."""
    return FACTORS.get((data, setting, method), 1.0)


def theta(data: str, setting: str, times: float) -> dict[str, float | None]:
    """What says a threshold: ``times`` the goodness of a cell of ones, null for once.

    By pairs there is none, and the margin is as many times a tenth of it.

    >>> theta("mnist", "theirs", 3.0), theta("mnist", "mean", 3.0), theta("mnist", "tuned", 1.0)
    ({'theta': 3000.0}, {'theta': 3.0}, {'theta': None})
    >>> theta("mnist", "pairs", 3.0)
    {'temperature': 0.3}
    """
    if setting == "pairs":
        return {"temperature": round(times * PAIRS["temperature"], 6)}
    ones = 1 if setting == "mean" else width(data)
    return {"theta": None if times == 1 else times * ones}


_NETWORK = {"ff": "ff-network", "earlier": "earlier-network", "all": ""}


def _recipe(data: str) -> Recipe:
    told = {method: REPORTED[row][data] for method, row in _NETWORK.items()}
    return Recipe(
        name=f"collab-{data}",
        claim="Forward-Forward cells that are told of each other's goodness are more accurate "
        f"than plain ones; at most {told['all']:g} % test error.",
        source=SOURCE,
        defaults=ForwardForwardSettings(
            dataset=DATA[data],
            width=width(data),
            label="appended" if data == "cifar10" else "first",
            **theta(data, "theirs", factor(data, "theirs", "all")),  # type: ignore[arg-type]  # its own
            **setting(data, "theirs"),
        ),
        build=build,
        twin="bp-mnist",
        reported=f"gamma all {told['all']:g}, gamma<t {told['earlier']:g}, FF {told['ff']:g} "
        "(second-hand)",
    )


recipes = {f"collab-{data}": _recipe(data) for data in DATA}
