"""ff-cifar10 and bp-cifar10: local fields without weight sharing on small colour pictures.

Two cells (``--cells 3`` for the paper's other nets) of 3072 units: three at each place of 32 x 32,
on fields of 11 x 11 below and, of the same size, above; fields are cut off at the border. The ten
labels are above the last cell. One pass from below, 10 iterations, 0.3 of the old state and 0.7 of
the new; each label is tried and its goodness averaged over iterations 4 to 6, or a linear softmax
reads the pass from below. ``--goodness negative_sum_of_squares`` is the paper's better net, whose
cells are quiet on what is real. bp-cifar10 is backprop on the same fields from below.

Of learning rate, epochs, decay and threshold nothing is known: they are ff-recurrent-mnist's, and
of ff-cifar10 no run of full length was made. The paper's errors are of CIFAR-10 itself: on
re-coded pictures they are not comparable.
"""

from .hybrid import HybridSettings
from .hybrid import build as build_fields
from .recipe import Recipe
from .recurrent import RecurrentSettings, build

SOURCE = "Hinton 2022, arXiv:2212.13345, section 4, read second-hand"

recipes = {
    "ff-cifar10": Recipe(
        name="ff-cifar10",
        claim="Cells with local fields below and above come within 5 points of backprop's error.",
        source=SOURCE,
        defaults=RecurrentSettings(
            dataset="cifar10",
            width=3,
            field=11,
            iterations=10,
            judge_from=4,
            judge_to=6,
            decay=0.1,
        ),
        build=build,
        twin="bp-cifar10",
        reported="41 to 46, second-hand: 41 by every label with the negative sum of squares",
    ),
    "bp-cifar10": Recipe(
        name="bp-cifar10",
        claim="Backprop through two cells with local fields: at most 40 % test error.",
        source=SOURCE,
        defaults=HybridSettings(
            dataset="cifar10",
            cell="local",
            widths=[3, 3],
            fields=[11, 11],
            strides=[1, 1],
            truncated=True,
            regime="backprop",
            optimizer="adamw",
            epochs=20,
            decay=0.1,
            rate="cosine",
            peers=0.0,
            read=[1],
            evaluate_every=1,
        ),
        build=build_fields,
        reported="37 with two cells, 39 with three (second-hand)",
    ),
}
