"""``onward federate init``: folders for a federation on hosts of their own."""

from pathlib import Path

from ..errors import BadInput

HELP = """\
usage: onward federate init DIR RECIPE --address HOST:PORT [--clients N] [--SETTING VALUE ...]

Write DIR/server and DIR/client-0, ...: certificates, keys, configuration and start scripts of a
federation whose clients are on hosts of their own (docs/federation.md). All other flags are those
of `onward federate RECIPE`; --data is where the server's test samples lie on its host.
"""


def run(words: list[str]) -> int:
    """Write them."""
    from .. import recipes
    from ..federated import deploy
    from ..plan import Machine
    from . import settings as cli_settings
    from .federating import terms_of

    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if len(words) < 2 or words[0].startswith("-") or words[1].startswith("-"):
        raise BadInput("`onward federate init` wants a folder and a recipe: init DIR RECIPE ...")
    folder, name, *rest = words
    recipe = recipes.find(name)
    asked, rest = cli_settings.apart(rest, {"address"})
    if not asked:
        raise BadInput("`onward federate init` wants the server's --address HOST:PORT")
    address = asked[-1].removeprefix("--address").removeprefix("=")
    terms, rest = terms_of(recipe, rest)
    settings, flags = cli_settings.parse(recipe, name, rest)
    if flags.out:
        raise BadInput("the run's folder is DIR/server/run, on the server's host: leave --out out")
    if flags.get("twin", False) or flags.device != "auto":
        raise BadInput("a host takes the device it has, and runs nothing beside: leave both out")
    terms.epochs_a_round(getattr(settings, "epochs", 1))
    places = deploy.write(
        Path(folder),
        recipe=name,
        settings=settings,
        terms=terms,
        seed=flags.seed,
        machine=Machine("auto", flags.precision, flags.threads or 1, flags.fast),
        data_path=flags.data,
        address=address,
    )
    print("\n".join(deploy.told(Path(folder), places, flags.data)))
    return 0
