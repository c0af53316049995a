"""Every Python block of the README and of docs/ is run, in order, in an empty folder.

So is every shell block of a tutorial. A Python block of a tutorial that begins with the name of a
file in a comment is that file.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

FILE = re.compile(r"# (\w+\.py)\n")


def enter(namespace: dict[str, Any]) -> None:
    """Blocks of one page share their names and a folder of their own."""
    namespace["installed"] = lambda package: find_spec(package) is not None
    namespace["_scratch"] = TemporaryDirectory()
    namespace["_before"] = Path.cwd()
    os.chdir(namespace["_scratch"].name)
    sys.path.insert(0, namespace["_scratch"].name)


def leave(namespace: dict[str, Any]) -> None:
    """Back to where pytest was."""
    os.chdir(namespace["_before"])
    sys.path.remove(namespace["_scratch"].name)
    namespace["_scratch"].cleanup()


def write_file(example: Example) -> None:
    """A block that is a file."""
    (found,) = FILE.findall(example.parsed.partition("\n")[0] + "\n")
    Path(found).write_text(example.parsed)


def shell(example: Example) -> None:
    """A block of commands, each of which is to end with code 0."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{example.parsed}\nended with {done.returncode}:\n{done.stdout}"


class Blocks(PythonCodeBlockParser):
    """Python to be run, or files to be written."""

    def __call__(self, document: Document) -> Iterable[Region]:
        """The blocks, each with what is to be done with it."""
        for region in super().__call__(document):
            if FILE.match(region.parsed):
                region.evaluator = write_file
            yield region


# Without the extra these can't be imported, and have no examples.
speak_flower = ("flower", "members", "rounds", "app") if find_spec("flwr") is None else ()
collect_ignore = [f"src/onward/federated/{name}.py" for name in speak_flower]

pages = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/parts/*.md"],
    setup=enter,
    teardown=leave,
)
tutorials = Sybil(
    parsers=[Blocks(), CodeBlockParser("sh", shell), SkipParser()],
    patterns=["docs/tutorials/*.md"],
    setup=enter,
    teardown=leave,
)
pytest_collect_file = (pages + tutorials).pytest()
