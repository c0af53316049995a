"""Every Python block of the README and of docs/ is run, in order, in an empty folder."""

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def enter(namespace: dict[str, Any]) -> None:
    """Blocks of one page share their names and a folder of their own."""
    namespace["installed"] = lambda package: find_spec(package) is not None
    namespace["_scratch"] = TemporaryDirectory()
    namespace["_before"] = Path.cwd()
    os.chdir(namespace["_scratch"].name)


def leave(namespace: dict[str, Any]) -> None:
    """Back to where pytest was."""
    os.chdir(namespace["_before"])
    namespace["_scratch"].cleanup()


# Without the extra these can't be imported, and have no examples.
speak_flower = ("flower", "members", "rounds", "app") if find_spec("flwr") is None else ()
collect_ignore = [f"src/onward/federated/{name}.py" for name in speak_flower]

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=enter,
    teardown=leave,
).pytest()
