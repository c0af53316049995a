"""ff-mnist: supervised Forward-Forward on MNIST, the author's own code but for two settings.

3 x 1000 ReLU units on 50,000 images, batches of 100; label in the first ten pixels; negatives drawn
from the softmax of the neutral pass; sum of squares against the number of units; peer
normalisation 0.03; learning rate constant for half the epochs, then linear towards 0.

Departs from the author's MATLAB: twice its weight decay of the cells (0.02, as ff-py has it) and 60
epochs for 100, chosen on validation data: lower error with both readouts, in 60 % of the time
(``--decay 0.01 --epochs 100`` is the author's code setting for setting). Batches are reshuffled
each epoch (there a fixed order); the small number in the length normalisation is 1e-8 (there
exp(-100)).
"""

from .forward_forward import ForwardForwardSettings, build
from .recipe import Recipe

recipe = Recipe(
    name="ff-mnist",
    claim="Test error at most 1.50 % with each readout; the author's own code measures 1.44 % "
    "with every label tried and 1.47 % with the softmax (measured by a reimplementation, ff-py).",
    source="Hinton 2022, arXiv:2212.13345, section 3.3, after the author's MATLAB",
    defaults=ForwardForwardSettings(epochs=60, decay=0.02),
    build=build,
    twin="bp-mnist",
    reported="the author's code: 1.44 every label, 1.47 linear (measured by ff-py); "
    "loeweX: 1.45 linear; ff-py, 125 epochs: 1.33, 1.38",
)
