"""ff-digits: supervised Forward-Forward on scikit-learn's 8 x 8 digits, in well under a minute.

A first run and a smoke test, not a benchmark: 1,197 small images. Tuned on its validation split.
"""

from .forward_forward import ForwardForwardSettings, build
from .recipe import Recipe

recipe = Recipe(
    name="ff-digits",
    claim="Test error at most 4 % over 5 seeds, in at most 60 s on two cores, beside backprop on "
    "the same cells.",
    source="Hinton 2022, arXiv:2212.13345, section 3.3, on a small embedded data set",
    defaults=ForwardForwardSettings(
        dataset="digits",
        cells=3,
        width=500,
        epochs=40,
        batch=50,
        label="appended",
        evaluate_every=2,
        checkpoint_every=5,
    ),
    build=build,
    twin="bp-digits",
)
