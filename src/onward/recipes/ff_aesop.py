"""ff-aesop: next characters of Aesop's fables, from cells that tell real text from their own.

248 strings of 100 symbols, windows of 10, 3 x 2000 units, negatives with a predicted last symbol
(``--negatives rollout``: windows of strings that the net made up itself), each compared with its
positive. The draft's sleep, which its author took back, has the two at different times, so it wants
a loss with a threshold: ``--phases separated --phase_length N --objective logistic --temperature
1``.

The draft gives no more than that, and curves without values. Loss, rates, epochs, batch and decay
are decisions, chosen on validation data (docs/log.md).
"""

from .recipe import Recipe
from .sequences import SequenceSettings, build, prepare

# Controls have no negatives, whatever those of the row are.
_NONE = {"negatives": "predicted", "phases": "mixed", "phase_length": 1}

recipe = Recipe(
    name="ff-aesop",
    claim="A linear readout predicts the next of 30 symbols from cells that learned to tell real "
    "windows of ten from made-up ones; it has to beat the same cells frozen as they were drawn.",
    source="the draft of Hinton 2022 (FFA13), read second-hand; dropped from arXiv:2212.13345",
    defaults=SequenceSettings(),
    build=build,
    prepare=prepare,
    controls={"frozen": {"regime": "frozen", **_NONE}},
    twin="ff-aesop",
    twin_changes={"regime": "backprop", "optimizer": "adamw", "lr": 0.001, "epochs": 3, **_NONE},
)
