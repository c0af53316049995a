"""The table of layer collaboration: the paper's rows, tuned ones, variants; three data sets."""

from . import collab_rows
from .collab import DATA
from .collab_figures import figures
from .collab_page import page
from .tables import Table

table = Table(
    "collaboration",
    [row for data in DATA for row in collab_rows.rows(data)],
    page,
    figures,
    reads=[row for data in DATA for row in collab_rows.trials(data)],
)
