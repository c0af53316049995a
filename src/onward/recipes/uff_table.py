"""The table of Unsupervised Forward-Forward: kinds of cell, both regimes, controls, backprop, FF.

What is compared (digest UFF, A13 to A17): each kind of cell trained simultaneously and separately;
the same cells frozen as drawn, and a readout on raw samples; backprop through the same encoders and
readout; supervised Forward-Forward under the same two regimes, with uniform wrong labels since hard
ones can't be had under separate training. All have as many epochs as the dense rows of UFF, and the
convolutional ones (as the best rows, of winner-take-all cells) as many as their own controls and
backprop.
"""

from .tables import Row, Table
from .uff import BACKPROP, CONV_BACKPROP, PLAIN
from .uff_figures import figures
from .uff_page import page
from .unsupervised import UnsupervisedSettings

DATA = {"mnist": "mnist", "fashion": "fashion_mnist", "cifar10": "cifar10"}
CELLS = ("ae", "dae", "cae", "gan")

FORWARD_FORWARD: dict[str, dict[str, float]] = {"cifar10": {"lr": 0.0001, "label_value": 10.0}}
"""What Forward-Forward has of its own on a data set, chosen on its validation split (docs/log.md).

At ff-mnist's learning rate its cells die on colour images.
"""


def _rows(data: str) -> list[Row]:
    """The rows of one data set."""
    rows = []
    for cell in CELLS:
        recipe = f"uff-{cell}-{data}"
        rows.append(Row(recipe, recipe))
        rows.append(Row(f"{recipe}-separate", recipe, {"regime": "separate"}))
    dense, conv = f"uff-ae-{data}", f"uff-cae-{data}"
    rows += [
        Row(f"{dense}-frozen", dense, {"regime": "frozen"}),
        Row(f"{dense}-frozen-relu", dense, {"regime": "frozen", **PLAIN}),
        Row(f"{conv}-frozen", conv, {"regime": "frozen"}),
        Row(f"{dense}-raw", dense, {"regime": "raw"}),
        Row(f"{dense}-backprop", dense, BACKPROP),
        Row(f"{conv}-backprop", conv, CONV_BACKPROP),
        Row(f"uff-gan-{data}-pure", f"uff-gan-{data}", {"reconstruction": 0.0}),
    ]
    same = {
        **FORWARD_FORWARD.get(data, {}),
        "dataset": DATA[data],
        "negatives": "wrong",
        "epochs": UnsupervisedSettings.epochs,
        "evaluate_every": 1,
    }
    rows += [
        Row(f"ff-{data}-{schedule}", "ff-mnist", {**same, "schedule": schedule})
        for schedule in ("simultaneous", "greedy")
    ]
    if data == "mnist":
        for best in ("uff-wta-mnist", "uff-convwta-mnist"):
            rows += [Row(best, best), Row(f"{best}-frozen", best, {"regime": "frozen"})]
    return rows


table = Table(
    "uff",
    [row for data in DATA for row in _rows(data)],
    page,
    figures,
    pictured=[
        *(f"uff-{cell}-{data}" for data in DATA for cell in CELLS),
        *(f"uff-gan-{data}-pure" for data in DATA),
        *("uff-wta-mnist", "uff-convwta-mnist"),
    ],
)
