"""What the records of the table of Unsupervised Forward-Forward say, as one page."""

from collections.abc import Collection, Mapping

from .tables import Records


def page(records: Records, figures: Collection[str]) -> str:
    """The page in Markdown."""
    return "# Unsupervised Forward-Forward\n"


def figures(records: Records) -> Mapping[str, bytes]:
    """The figures, by file name."""
    return {}
