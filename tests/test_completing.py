"""What a shell is told could follow."""

import os
import subprocess
import sys

import pytest
from command import environment

pytest.importorskip("argcomplete", reason="the extra `completion` has it")

LINES = {
    "onward fe": {"federate "},
    "onward run ff-m": {
        *("ff-mnist", "ff-mnist-4x2000", "ff-mnist-4x2000-fast", "ff-mnist-pairs"),
    },
    "onward show uff-dae-m": {"uff-dae-mnist "},
    "onward run ff-mnist --lr": {"--lr "},
    "onward run ff-mnist --rate ": {"constant", "cooldown", "cosine"},
    "onward federate ff-mnist --partition ": {"iid", "dirichlet", "labels", "files"},
    "onward export DIR --to ": {"onnx", "pt2", "safetensors"},
    "onward run no-such-recipe --l": set(),
    "onward run 'an open quotation": set(),
}


@pytest.mark.parametrize("line", LINES)
def test_what_could_follow(line: str) -> None:
    reader, writer = os.pipe()
    # argcomplete writes what it found to file number 8.
    script = f"exec 8>&{writer} && exec {sys.executable} -m onward"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_TYPE": "9"}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(**asked),
        pass_fds=[writer],
        capture_output=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    with os.fdopen(reader) as told:
        found = set(told.read().split("\n")) - {""}
    assert found == LINES[line], done.stderr.decode()
