"""``onward relay``: one part of a row at a site of its own, and who signed what it is handed."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .verbs import see_through

HELP = """\
usage: onward relay RECIPE [--SETTING VALUE ...] --out DIR      the first cell, on samples
       onward relay LATENTS --out DIR                           the next cell, on a file of latents
       onward relay LATENTS LATENTS ... --data PATH --out DIR   the readout, on the files of all
       onward relay join DIR DIR ... --data PATH --out DIR      all parts into one run
       onward relay keys NAME                 make NAME.key, to sign with, and NAME.pub, for others
       onward relay sign LATENTS NAME.key     write LATENTS.sig, to travel with the file

Each site trains one cell of the row and leaves DIR/latents.safetensors for the next, which needs
nothing else: no sample, label or gradient travels. Settings and seed are those of the first site.
The weights are those of `onward run RECIPE --regime separate`, bit for bit. Whoever holds the
folders of all the parts (latents may be left out) can join them into one run, to predict with.

  --data PATH        for the readout, and for join: where the samples and labels are that the row
                     began with
  --recipe NAME      MODULE:ATTRIBUTE of a recipe of your own; it is never taken from a file
  --signed_by PATHS  NAME.pub,NAME.pub,...: train only on files that one of these signed
  --device, --precision, --threads as for `onward run` (join keeps the parts' precision)
"""


def run(given: argparse.Namespace) -> int:
    """One part of a row at a site of its own, or a key, or a signature."""
    from .. import recipes
    from . import settings as cli_settings

    words: list[str] = list(given.words)
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if words[0] in ("keys", "sign"):
        return _sign(*words)
    if words[0] == "join":
        return _join(words[1:])
    files = [word for word in words if Path(word).suffix == ".safetensors"]
    if words[0] in files:
        flags = cli_settings.parse_relay([word for word in words if word not in files])
        recipe, settings, name = None, None, flags.recipe
    else:
        name, *rest = words
        recipe = recipes.find(name)
        if "-h" in rest or "--help" in rest:
            cli_settings.print_help(recipe, name)
            return 0
        settings, flags = cli_settings.parse(recipe, name, rest)
    if flags.out is None:
        raise BadInput("`onward relay` wants the folder of this site's part: --out DIR")
    from ..plan import Machine
    from ..progress import progress_for
    from ..recipes import relay as relays

    out = Path(flags.out)
    machine = Machine(flags.device, flags.precision, flags.threads)
    more: dict[str, Any] = {"machine": machine, "out": out, "data_path": flags.data}
    more["progress"] = progress_for(sys.stderr)

    def train() -> None:
        if recipe is not None:
            relays.first(recipe, settings, seed=flags.seed, name=name, **more)
            return
        found = [Path(file) for file in files]
        keys = [Path(key) for key in (flags.signed_by or "").split(",") if key]
        if flags.signed_by is not None and not keys:
            raise BadInput("--signed_by wants files of public keys: NAME.pub, or NAME.pub,NAME.pub")
        for file in found if keys else []:
            print(f"{file}: signed by {relays.signer(file, keys)}", file=sys.stderr)
        relays.following(found, recipe=name, **more)

    return see_through(train, out)


def _join(words: list[str]) -> int:
    if not words or "-h" in words or "--help" in words:
        print(HELP, end="")
        return 0
    from ..progress import progress_for
    from ..recipes import joining
    from . import settings as cli_settings

    flags, folders = cli_settings.parse_join(words)
    if flags.out is None:
        raise BadInput("`onward relay join` wants the folder of the run to be made: --out DIR")
    if not folders:
        raise BadInput("`onward relay join` wants the folders of all parts: DIR DIR ...")
    out = Path(flags.out)

    def join() -> None:
        joining.join(
            [Path(folder) for folder in folders],
            out=out,
            device=flags.device,
            threads=flags.threads,
            data_path=flags.data,
            recipe=flags.recipe,
            progress=progress_for(sys.stderr),
        )

    return see_through(join, out)


def _sign(what: str, *words: str) -> int:
    wanted = {"keys": ["NAME"], "sign": ["LATENTS", "NAME.key"]}[what]
    if len(words) != len(wanted):
        raise BadInput(
            f"`onward relay {what}` wants {' and '.join(wanted)}, and got {len(words)} words"
        )
    if what == "keys":
        from .. import signatures

        own, known = signatures.make(Path(words[0]))
        print(f"{own}   sign with it, and let nobody have it\n{known}   give it to the other sites")
    else:
        from ..recipes import relay as relays

        print(relays.sign(Path(words[0]), Path(words[1])))
    return 0
