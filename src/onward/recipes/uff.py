"""uff-CELL-DATA: Unsupervised Forward-Forward, four kinds of cell on three data sets, and the best.

The paper's accuracies, widths, epochs and rates are not known (its text was not at hand), so
nothing here is called its number. What a row must beat is its own control: the same cells frozen
as they were drawn (``--regime frozen``), the readout on raw samples (``--regime raw``), and
backprop through encoders and readout (``--regime backprop``).

Settings were chosen on validation splits; docs/log.md keeps what failed.
"""

from dataclasses import replace
from typing import Any

from .recipe import Recipe
from .unsupervised import UnsupervisedSettings, build

SOURCE = "Hwang, Seo and Jung 2024, arXiv:2404.14664"

KINDS = {
    "ae": "three auto-encoder cells",
    "dae": "three denoising auto-encoder cells",
    "cae": "two convolutional auto-encoder cells",
    "gan": "three GAN cells",
}

STANDING_OUT: dict[str, Any] = {"activation": "normed_relu", "tied": True, "bias": False}
"""Latents of the units that stand out, chosen on trials with 10,000 images (docs/log.md)."""

CELLS: dict[str, dict[str, Any]] = {
    "ae": STANDING_OUT,
    "dae": {**STANDING_OUT, "noise": "masking", "noise_level": 0.5},
    "cae": {
        "widths": [32, 64],
        "kernel": 5,
        "sparsity": "map_lifetime",
        "lr": 0.003,
        "epochs": 6,
    },
    "gan": {
        **STANDING_OUT,
        "lr": 0.0002,
        "beta1": 0.5,
        "reconstruction": 100.0,
        "noise": "masking",
        "noise_level": 0.5,
    },
}
"""What each kind of cell has of its own. An epoch of cae costs two to three of a dense kind."""

SEEN_WHOLE: dict[str, Any] = {"samples": "layer_norm"}
"""Colour images differ most in brightness and contrast, which a layer norm takes away."""

PLAIN: dict[str, Any] = {"activation": "relu", "tied": False, "bias": True}

ON_DATA: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {},
    "fashion": {"dae": {"noise_level": 0.1}, "gan": {"noise_level": 0.1, "lr": 0.0005}},
    "cifar10": {
        "ae": SEEN_WHOLE,
        "dae": {**SEEN_WHOLE, **PLAIN},
        "cae": SEEN_WHOLE,
        "gan": {**SEEN_WHOLE, **PLAIN},
    },
}
"""What is otherwise than on MNIST, chosen on each set's own validation split (docs/log.md)."""

CONTROLS = {"frozen": {"regime": "frozen"}, "raw": {"regime": "raw"}}
BACKPROP = {"regime": "backprop"}
CONV_BACKPROP = {**BACKPROP, "lr": 0.001}
"""At the usual rate of AdamW: that of the sparse cells is three times as high."""

DATA = {"mnist": "mnist", "fashion": "fashion_mnist", "cifar10": "cifar10"}


def _recipe(cell: str, data: str) -> Recipe:
    return Recipe(
        name=f"uff-{cell}-{data}",
        claim=f"A linear softmax on all latents of {KINDS[cell]}, each trained alone, beats "
        "one on the same cells frozen as drawn.",
        source=SOURCE,
        defaults=UnsupervisedSettings(
            dataset=DATA[data],
            cell=cell,  # type: ignore[arg-type]
            **{**CELLS[cell], **ON_DATA[data].get(cell, {})},
        ),
        build=build,
        twin=f"uff-{cell}-{data}",
        twin_changes=CONV_BACKPROP if cell == "cae" else BACKPROP,
        controls=CONTROLS,
    )


recipes = {
    f"uff-{cell}-{data}": _recipe(cell, data)
    for data in DATA
    for cell in ("ae", "dae", "cae", "gan")
}
recipes["uff-wta-mnist"] = Recipe(
    name="uff-wta-mnist",
    claim="A dense winner-take-all cell: at most 1.6 % test error.",
    source=f"{SOURCE}, with the cells of Makhzani and Frey 2015, arXiv:1409.2752",
    defaults=UnsupervisedSettings(
        cell="wta",
        widths=[2000],
        epochs=20,
        sparsity="lifetime",
        sparsity_level=0.1,
        noise="masking",
        noise_level=0.3,
    ),
    build=build,
    twin="uff-wta-mnist",
    twin_changes=BACKPROP,
    controls=CONTROLS,
    reported="98.8 with a linear SVM on one cell (Makhzani and Frey 2015, second-hand)",
)
recipes["uff-convwta-mnist"] = replace(
    recipes["uff-wta-mnist"],
    name="uff-convwta-mnist",
    twin="uff-convwta-mnist",
    claim="A convolutional winner-take-all cell: at most 1.0 % test error.",
    defaults=UnsupervisedSettings(
        cell="convwta",
        widths=[64],
        kernel=7,
        sparsity_level=0.2,
        pool=6,
        stride=3,
        lr=0.003,
        epochs=10,
        readout_decay=0.01,
    ),
    reported="99.3 and more with a linear SVM (Makhzani and Frey 2015, second-hand)",
)
