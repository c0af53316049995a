"""Supervised Forward-Forward on MNIST at the paper's size: 4 x 2000 ReLU units.

ff-mnist-4x2000 learns for 60 epochs, ff-mnist-4x2000-fast at twice the learning rate for 40, and
ff-jitter-mnist for 500 on images moved by up to two pixels each way, anew each time they are seen
(25 versions of each); the label is written after the move. Test images are never moved.

Departs from the paper: nothing known. Learning rate, threshold, batch and decay are not in accounts
of it; they are those of ff-mnist, which are the author's MATLAB's but for twice the weight decay.
Twice the rate is that of the cells; the readout's stays.
"""

from dataclasses import replace

from .forward_forward import ForwardForwardSettings, build
from .recipe import Recipe

SOURCE = "Hinton 2022, arXiv:2212.13345, section 3.3"

PAPER = ForwardForwardSettings(
    cells=4, width=2000, epochs=60, decay=0.02, evaluate_every=5, checkpoint_every=5
)


def _recipe(
    name: str, claim: str, settings: ForwardForwardSettings, error: float, wanted: float
) -> Recipe:
    return Recipe(
        name=name,
        claim=f"{claim}: at most {wanted:.2f} % test error ({error:.2f} reported).",
        source=SOURCE,
        defaults=settings,
        build=build,
        twin="bp-mnist",
        reported=f"{error:.2f} (second-hand)",
    )


recipes = {
    recipe.name: recipe
    for recipe in (
        _recipe("ff-mnist-4x2000", "Four cells of 2000 units, 60 epochs", PAPER, 1.36, 1.40),
        _recipe(
            "ff-mnist-4x2000-fast",
            "Four cells of 2000 units at twice the learning rate, 40 epochs",
            replace(PAPER, lr=2 * PAPER.lr, epochs=40),
            1.46,
            1.50,
        ),
        _recipe(
            "ff-jitter-mnist",
            "Four cells of 2000 units on images moved by up to two pixels, 500 epochs",
            replace(PAPER, jitter=2, epochs=500, evaluate_every=10),
            0.64,
            0.80,
        ),
    )
}
