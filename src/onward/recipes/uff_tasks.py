"""uff-anomaly-mnist, uff-regression-diabetes, uff-tabular-cancer: other data, other tasks.

That the cells serve any data and task is the paper's claim (second-hand); no number of its own for
any of these is known. Settings were chosen on the validation splits; benchmarks/tasks.py prints
each beside its controls and beside what scikit-learn has for the same data.
"""

from . import anomaly
from .recipe import Recipe
from .uff import BACKPROP, CONTROLS, SOURCE
from .unsupervised import UnsupervisedSettings, build

recipes = {
    "uff-anomaly-mnist": Recipe(
        name="uff-anomaly-mnist",
        claim="Cells that learned to restore nine digits tell the tenth from them by how badly "
        "they restore it: 1 - AUROC over the row, beside PCA and an isolation forest.",
        source=SOURCE,
        defaults=anomaly.AnomalySettings(),
        build=anomaly.build,
        prepare=anomaly.prepare,
    ),
    "uff-regression-diabetes": Recipe(
        name="uff-regression-diabetes",
        claim="A linear readout of a number on the latents of auto-encoder cells: 1 - R2 on 74 "
        "patients, beside the same cells frozen, backprop and ridge regression.",
        source=SOURCE,
        defaults=UnsupervisedSettings(
            dataset="diabetes", samples="standardised", widths=[32, 32], epochs=60, batch=20
        ),
        build=build,
        twin="uff-regression-diabetes",
        twin_changes=BACKPROP,
        controls=CONTROLS,
    ),
    "uff-tabular-cancer": Recipe(
        name="uff-tabular-cancer",
        claim="A linear softmax on the latents of auto-encoder cells tells tumours apart from a "
        "table of 30 features, beside the same cells frozen, backprop and logistic regression.",
        source=SOURCE,
        defaults=UnsupervisedSettings(
            dataset="cancer", samples="standardised", widths=[32, 32], epochs=60, batch=20
        ),
        build=build,
        twin="uff-tabular-cancer",
        twin_changes=BACKPROP,
        controls=CONTROLS,
    ),
}
