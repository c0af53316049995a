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
needs the data: docs/pipeline.md. That is for a network that is trusted. For any other:

  --link tls         encrypted, and each place known by a certificate (memory: shared, where the
                     command starts the processes itself, on Linux; gloo elsewhere)
  --certificates DIR ca.crt, NAME.crt and NAME.key of this place (all places, where the driver
                     starts them); `onward pipeline certificates --help` makes them
  --places FILE      YAML, the same everywhere: a line NAME: HOST:PORT for driver, stage-1, ...,
                     readout; the command is then started once for each place, with
  --as NAME          which of them this is
  --listen HOST:PORT where this place listens, if its own host calls that address otherwise
  --patience SECONDS of silence after which a place is lost (60)
"""

OWN: dict[str, Any] = {
    **{"stages": None, "split": None, "restarts": 3, "plan": False},
    **{"bandwidth": 1000.0, "latency": 0.1, "link": None, "certificates": None},
    **{"places": None, "as": None, "listen": None, "patience": 60.0},
}
"""The pipeline's own flags, with their defaults; all others are the recipe's."""

CERTIFICATES = """\
usage: onward pipeline certificates DIR [--stages N] [--days N]

Make a certification authority and a certificate for each place of a pipeline: driver, stage-1, ...,
stage-N, readout. Each host needs ca.crt, and NAME.crt and NAME.key of the places that it runs; no
host needs ca.key, with which more are signed. Files that are there stay as they are.

  --stages N         blocks of cells (2)
  --days N           how long certificates are valid (365)
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
    if name == "certificates":
        return _certificates(rest)
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
    out = Path(flags.out or Path("runs", recipe.name, f"seed-{flags.seed}"))
    meeting = pipeline.meet(_network(own), own["stages"])
    try:
        if meeting.place > 0:
            pipeline.serve(
                recipe,
                settings,
                seed=flags.seed,
                machine=machine,
                name=name,
                meeting=meeting,
                restarts=own["restarts"],
            )
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
                meeting=meeting,
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
            on = meeting.by_hand and meeting.place == 0 and (out / "record.json").exists()
            then = f"; go on in one process with: onward resume {out}" if on else ""
            print(f"onward: a place is lost: {error}{then}", file=sys.stderr)
        if "RANK" in os.environ:
            # Threads that wait for places still alive would keep this one from ending in peace.
            sys.stderr.flush()
            os._exit(1)
        return 1
    finally:
        meeting.close()


def _network(own: dict[str, Any]) -> Any:
    """What the flags say of the network."""
    from ..pipeline import Network

    folder, places = own["certificates"], own["places"]
    return Network(
        link=own["link"],
        certificates=Path(folder) if folder is not None else None,
        places=Path(places) if places is not None else None,
        name=own["as"],
        listen=own["listen"],
        patience=own["patience"],
    )


def _certificates(words: list[str]) -> int:
    """Make a CA and a certificate for each place."""
    from ..pipeline import certificates

    if not words or "-h" in words or "--help" in words:
        print(CERTIFICATES, end="")
        return 0
    found, rest = _flags(words, {"stages": 2, "days": 365})
    if len(rest) != 1 or rest[0].startswith("-"):
        raise BadInput(
            "`onward pipeline certificates` wants one folder, --stages and --days, and got "
            f"{' '.join(rest) or 'no folder'}: onward pipeline certificates DIR --stages N"
        )
    for flag in ("stages", "days"):
        if not 0 < found[flag] < 10_000:
            raise BadInput(f"{flag} should be 1 to 9999, and is {found[flag]}")
    folder = Path(rest[0])
    for file in certificates.write(folder, certificates.names(found["stages"]), found["days"]):
        print(file)
    return 0


def _own(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The pipeline's own flags, and the words that are the recipe's."""
    found, rest = _flags(words, OWN)
    if found["stages"] is None:
        found["stages"] = 2 if found["split"] is None else found["split"].count(",") + 1
    return found, rest


def _flags(words: list[str], flags: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Values of the flags, with these defaults, and the words that are left."""
    found, rest, waiting = dict(flags), [], list(words)
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
    return found, rest


def _value(flag: str, value: str) -> Any:
    if flag in ("split", "link", "certificates", "places", "as", "listen"):
        return value
    if flag in ("bandwidth", "latency", "patience"):
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not (0 < number < float("inf") or (number == 0 and flag == "latency")):
            raise BadInput(f"{flag} should be a number above 0, and is {value!r}")
        return number
    if not value.isdecimal():
        least = "0 or more" if value.startswith("-") else "a whole number"
        raise BadInput(f"{flag} should be {least}, and is {value!r}")
    return int(value)
