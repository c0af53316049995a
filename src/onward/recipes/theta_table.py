"""The sweep of thresholds: plain Forward-Forward, gamma<t and gamma all, each for itself."""

from . import collab_rows
from .collab import DATA
from .collab_figures import sweep_figures
from .collab_page import sweep_page
from .tables import Table

table = Table(
    "theta",
    [row for data in DATA for row in collab_rows.trials(data)],
    sweep_page,
    sweep_figures,
    fixed=("dataset", "width", "gamma", "theta", "temperature", "counted"),
)
