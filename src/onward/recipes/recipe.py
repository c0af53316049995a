"""What a recipe is: one row of a paper's table, runnable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # kept out of run time, so that recipes can be listed without torch
    from ..data import Dataset
    from ..plan import Plan


@dataclass(frozen=True)
class Recipe:
    """A claim, where it comes from, and what computes it.

    ``defaults`` is a frozen dataclass of typed settings with the recipe's own values; one of them
    is ``dataset``, the name of its data. ``build`` turns settings, data and a seed into a
    :class:`onward.plan.Plan`. ``prepare`` turns the data set that was named into the one that is
    trained and tested on, where that is another one (a class left out, say). ``twin`` names the
    backprop recipe on the same cells, if there is one, with ``twin_changes`` of its settings;
    ``controls`` are runs without which a result means nothing, by name, each with what it changes
    of the settings, and they run beside it unless told not to. ``reported`` is what others report
    for this row, in percent, and who.
    Anyone's recipe can be run by its ``module:attribute``; nothing is registered.
    """

    name: str
    claim: str
    source: str
    defaults: Any
    build: "Callable[[Any, Dataset, int], Plan]"
    prepare: "Callable[[Any, Dataset], Dataset] | None" = None
    twin: str | None = None
    twin_changes: Mapping[str, Any] = field(default_factory=dict)
    controls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reported: str = ""

    def data(self, settings: Any, named: "Dataset") -> "Dataset":
        """The data that a run with these settings has, from the data set that was named."""
        return named if self.prepare is None else self.prepare(settings, named)
