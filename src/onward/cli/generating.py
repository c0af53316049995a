"""``onward generate``: text that a trained row goes on with."""

import argparse
import math
import sys
from pathlib import Path

from ..errors import BadInput

LONGEST = 1_000_000
"""Characters that are made at most."""


def add_flags(verb: argparse.ArgumentParser) -> None:
    """The verb's words."""
    verb.add_argument("folder", metavar="DIR", type=Path)
    verb.add_argument("--length", metavar="N", type=int, default=300, help="characters (300)")
    verb.add_argument("--seed", metavar="N", type=int, default=0, help="of what is drawn (0)")
    verb.add_argument("--prompt", metavar="TEXT", help="how it begins; else as the test text does")
    verb.add_argument(
        "--temperature",
        metavar="T",
        type=float,
        default=1.0,
        help="below 1 likelier characters, 0 the likeliest only (1)",
    )


def run(given: argparse.Namespace) -> int:
    """Print the prompt, and what the row goes on with."""
    from ..characters import window_of, written
    from ..recipes import running
    from ..seeds import generator

    _check(given)
    opened = running.open_run(given.folder)
    about = opened.record["data"]
    symbols = about.get("symbols")
    if symbols is None:
        raise BadInput(
            f"{given.folder} holds a run on {about['name']}, and that is no text: "
            "`onward run ff-aesop --data FILE.txt` trains one that can be generated from"
        )
    if opened.plan.row.linear() is None:
        raise BadInput(f"{given.folder} holds a run without a linear readout, which has to predict")
    prompt = _prompt(given.prompt, opened.record)
    text = written(
        opened.plan.row,
        window_of(prompt, symbols, about["shape"][0]),
        given.length,
        symbols,
        generator(given.seed, "generate"),
        given.temperature,
    )
    print(prompt + text)
    return 0


def _check(given: argparse.Namespace) -> None:
    if not 1 <= given.length <= LONGEST:
        raise BadInput(f"--length wants 1 to {LONGEST:,} characters, and is {given.length}")
    if given.seed < 0:
        raise BadInput(f"--seed wants 0 or more, and is {given.seed}")
    if not (given.temperature >= 0 and math.isfinite(given.temperature)):
        raise BadInput(f"--temperature wants a number from 0 up, and is {given.temperature}")


def _prompt(asked: str | None, record: "dict[str, object]") -> str:
    """How the text begins, in the run's symbols."""
    from ..data.text import folded
    from ..report.records import mapping

    if asked is None:
        sample = mapping(mapping(record, "text"), "sample")
        if not isinstance(sample.get("prompt"), str):
            raise BadInput("this run is not finished, and knows no beginning: name --prompt TEXT")
        return str(sample["prompt"])
    kept, dropped = folded(asked)
    if not kept.strip():
        raise BadInput(
            f"--prompt wants letters a to z, spaces, commas, full stops or quotation marks, and is "
            f"{asked!r}"
        )
    if dropped:
        told = " ".join(dropped)
        print(
            f"onward: dropped from the prompt, being none of the symbols: {told}", file=sys.stderr
        )
    return kept
