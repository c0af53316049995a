"""``onward pipeline``: a recipe whose cells are in processes of their own."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .verbs import see_through

HELP = """\
usage: onward pipeline RECIPE [--stages N] [--split N,N,...] [--plan] [--SETTING VALUE ...]

Train a recipe with its cells in N processes, each with a block of consecutive cells, and the
readout in one more. Only activations pass between them, forward. Weights and record are those of
`onward run RECIPE`, bit for bit, with as many threads (1 by default, for each process).

  --stages N         blocks of cells (2, or as many as --split names)
  --split N,N,...    cells of each block; balanced by measured cost by default
  --restarts N       how often a process that is lost is started again, all going on from the last
                     checkpoint (3)
  --plan             train nothing; say what an epoch would take, from costs measured here, over
                     links of --bandwidth MB a second (1000) and --latency ms (0.1)

Settings and all other flags are those of `onward run RECIPE`; `onward resume DIR` goes on with an
interrupted run in one process. On several hosts the same command is started on each by torchrun,
one process for each stage, one for the readout and, as rank 0, one for the driver, which alone
needs the data: docs/pipeline.md.
"""


def run(given: argparse.Namespace) -> int:
    """Start a pipeline, or be one of its places where RANK says so."""
    from .. import recipes
    from . import settings as cli_settings

    words: list[str] = list(given.words)
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    name, *rest = words
    if name.startswith("-"):
        raise BadInput(
            f"`onward pipeline` wants a recipe first, and got {name}: onward pipeline RECIPE ..."
        )
    recipe = recipes.find(name)
    if "-h" in rest or "--help" in rest:
        print(HELP)
        cli_settings.print_help(recipe, name)
        return 0
    from .. import pipeline
    from ..plan import Machine
    from ..progress import progress_for
    from ..recipes import running

    own, rest = _own(rest)
    settings, flags = cli_settings.parse(recipe, name, rest)
    machine = Machine(flags.device, flags.precision, flags.threads or 1, flags.fast)
    try:
        if pipeline.rank() > 0:
            pipeline.serve(recipe, settings, seed=flags.seed, machine=machine, name=name)
            return 0
        if own["plan"]:
            wire = pipeline.forecast.Wire(1e6 * own["bandwidth"], 1e-3 * own["latency"])
            found = pipeline.plan(
                recipe,
                settings,
                stages=own["stages"],
                split=own["split"],
                seed=flags.seed,
                machine=machine,
                data_path=flags.data,
                wire=wire,
            )
            print("\n".join(pipeline.forecast.told(found)))
            return 0
        out = Path(flags.out or Path("runs", recipe.name, f"seed-{flags.seed}"))

        def train() -> None:
            pipeline.start(
                recipe,
                settings,
                stages=own["stages"],
                split=own["split"],
                restarts=own["restarts"],
                seed=flags.seed,
                machine=machine,
                out=out,
                words=words,
                data_path=flags.data,
                progress=lambda: progress_for(sys.stderr),
                name=name,
                beside=running.companions(
                    recipe, settings, twin=flags.get("twin", False), alone=flags.get("alone", False)
                ),
            )

        return see_through(train, out)
    except pipeline.LinkLost as error:
        if os.environ.get(pipeline.LOCAL) is None:  # else the driver, which started this, tells
            print(f"onward: a place is lost: {error}", file=sys.stderr)
        if "RANK" in os.environ:
            # Threads that wait for places still alive would keep this one from ending in peace.
            sys.stderr.flush()
            os._exit(1)
        return 1


def _own(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The pipeline's own flags, and the words that are the recipe's."""
    found: dict[str, Any] = {"stages": None, "split": None, "restarts": 3, "plan": False}
    found |= {"bandwidth": 1000.0, "latency": 0.1}
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, inline, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or flag not in found:
            rest.append(word)
        elif flag == "plan":
            if inline:
                raise BadInput("plan takes no value: write --plan, or leave it out")
            found[flag] = True
        else:
            if not inline:
                if not waiting or waiting[0].startswith("--"):
                    raise BadInput(f"{flag} wants a value, and none came: write --{flag} VALUE")
                value = waiting.pop(0)
            found[flag] = _value(flag, value)
    if found["stages"] is None:
        found["stages"] = 2 if found["split"] is None else found["split"].count(",") + 1
    return found, rest


def _value(flag: str, value: str) -> Any:
    if flag == "split":
        return value
    if flag in ("bandwidth", "latency"):
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not (0 < number < float("inf") or (number == 0 and flag == "latency")):
            raise BadInput(f"{flag} should be a number above 0, and is {value!r}")
        return number
    if not value.isdecimal():
        raise BadInput(f"{flag} should be a whole number, and is {value!r}")
    return int(value)
