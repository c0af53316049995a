"""Start-up: the command's help, and the import of the package, each a process of its own.

    python benchmarks/startup.py [--rounds 7]

Beside them the bare interpreter and torch's own import, without which no run begins.
"""

import argparse
import subprocess
import sys
from functools import partial

from interleaved import compare, interleaved, told

SIDES = {
    "python": ["-c", ""],
    "onward --help": ["-m", "onward", "--help"],
    "import onward": ["-c", "import onward"],
    "import torch": ["-c", "import torch"],
    "import onward.train": ["-c", "import onward.train"],
}


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    sides = {
        name: partial(subprocess.run, [sys.executable, *words], **quiet)
        for name, words in SIDES.items()
    }
    seconds = interleaved(sides, given.rounds)
    told(seconds, "a start", 1.0)
    compare(seconds, "onward --help", "python")
    compare(seconds, "import onward.train", "import torch")


if __name__ == "__main__":
    main()
