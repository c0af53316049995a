"""The table of phases: positives and negatives mixed, or separated for 1 to 128 updates."""

from . import phases_rows
from .phases_figures import figures
from .phases_page import page
from .tables import Table

table = Table(
    "phases",
    [row for study in phases_rows.STUDIES for row in phases_rows.rows(study)],
    page,
    figures,
    fixed=("dataset", "negatives", "phases", "phase_length"),
)
