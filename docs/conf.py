"""The documentation site: `make docs`, which is sphinx-build -W -c docs . site.

Its source is the whole repository, so that pages link to results, records and code as they do
where they are read as they are; what becomes a page is named in include_patterns.
"""

import re

from onward import __version__

project, author, release = "Onward", "The founders of Onward", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/tutorials/*.md",
    "docs/parts/*.md",
    "results/*.md",
    "benchmarks/README.md",
]
include_patterns += [f"{page}.md" for page in ("README", "RESULTS", "CHANGELOG")]
include_patterns += ["CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = ["runs", "site", ".venv"]
myst_heading_anchors = 3
html_theme, html_title = "furo", f"Onward {__version__}"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes are in the docstrings; signatures have the types
autodoc_default_options = {"members": True, "show-inheritance": False}


def _words(line: str) -> str:
    """A line of a docstring without marks that reStructuredText would take for its own."""
    parts = re.split(r"(``[^`]+``|:\w+:`[^`]+`)", line)
    shown = [
        part if at % 2 else re.sub(r"([*|_`\\])", r"\\\1", part) for at, part in enumerate(parts)
    ]
    return re.sub(r":\w+:`~?\.?([^`]+)`", r"``\1``", "".join(shown))


def _plainly(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Docstrings are plain text with lists: what is indented in them is shown as it stands."""
    shown: list[str] = []
    kind = "words"  # or list, or code
    for line in lines:
        before = kind
        if not line.strip():
            shown.append("")
            continue
        if line.startswith("* "):
            kind, line = "list", "* " + _words(line[2:])
        elif kind == "list" and line.startswith("  ") and shown[-1]:
            line = "  " + _words(line.strip())
        elif line.startswith((" ", ">>>", "...")) or (kind == "code" and shown[-1]):
            kind, line = "code", "    " + line
        else:
            kind, line = "words", _words(line)
        if kind != before:
            shown += ["", "::", ""] if kind == "code" else [""]
        shown.append(line)
    lines[:] = [*shown, ""]


def setup(app):  # type: ignore[no-untyped-def]
    """Sphinx calls this when it begins."""
    app.connect("autodoc-process-docstring", _plainly)
