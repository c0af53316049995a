"""bp-digits: end-to-end backprop on the cells of ff-digits."""

from .backprop import BackpropSettings, build
from .recipe import Recipe

recipe = Recipe(
    name="bp-digits",
    claim="The same three cells of 500 units with backprop, beside ff-digits.",
    source="a yardstick; settings are ours",
    defaults=BackpropSettings(dataset="digits", width=500, epochs=40, batch=50, checkpoint_every=5),
    build=build,
)
