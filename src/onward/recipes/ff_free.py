"""ff-free-mnist and ff-local-mnist: Forward-Forward without labels, on hybrids of two images.

Each cell learns to tell images from hybrids of two of them; a linear softmax on the activities of
the last cells reads the class off. Dense: 4 x 2000 units, the last three are read. Local fields,
weights of their own everywhere: 128 units at each of 4 x 4 places on fields of 10 x 10 pixels, then
220 at 3 x 3 and 512 at 2 x 2 on blocks of 2 x 2 places; the last two are read.

Departs from the paper: its readout learns after the cells, here along with them. Learning rate,
threshold, batch, decay, blurs and padding are not known; they are the author's MATLAB's (of the
supervised experiment), six blurs and repeated borders (docs/hybrids.md).
"""

from typing import Any

from .hybrid import HybridSettings, build
from .recipe import Recipe

SOURCE = "Hinton 2022, arXiv:2212.13345, section 3.2"

CONTROLS = {"frozen": {"regime": "frozen", "jitter": 0}}  # its answers are computed once
BACKPROP: dict[str, Any] = {
    "regime": "backprop",
    "optimizer": "adamw",
    "epochs": 15,
    "rate": "cosine",
    "peers": 0.0,
    "evaluate_every": 1,
}
"""End to end on the same cells, with what bp-mnist learns by."""

recipes = {
    "ff-free-mnist": Recipe(
        name="ff-free-mnist",
        claim="Cells that never see a label, and a linear softmax on three of them: at most "
        "1.60 % test error (1.37 reported), far less than on the same cells frozen as drawn.",
        source=SOURCE,
        defaults=HybridSettings(),
        build=build,
        twin="ff-free-mnist",
        twin_changes=BACKPROP,
        controls=CONTROLS,
        reported="1.37 (second-hand)",
    ),
    "ff-local-mnist": Recipe(
        name="ff-local-mnist",
        claim="Cells with local receptive fields that never see a label, and a linear softmax on "
        "two of them: at most 1.40 % test error (1.16 reported).",
        source=SOURCE,
        defaults=HybridSettings(
            cell="local",
            widths=[128, 220, 512],
            fields=[10, 2, 2],
            strides=[6, 1, 1],
            epochs=60,
            read=[1, 2],
        ),
        build=build,
        twin="ff-local-mnist",
        twin_changes=BACKPROP,
        controls=CONTROLS,
        reported="1.16 (second-hand)",
    ),
}
