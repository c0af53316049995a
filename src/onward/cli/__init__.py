"""The command ``onward``: thin, and frozen by a test.

Everything heavy is imported inside the verb that needs it, so that help answers at once.
"""

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .. import named
from ..errors import BadInput, nearest

TRACEBACK = "ONWARD_TRACEBACK"
"""Set in the environment, an error that ends in one line shows its traceback before it."""

EPILOG = """\
first steps:
  onward run ff-digits --twin      train on embedded digits, beside backprop (about a minute)
  onward report DIR                one self-contained page of what a run did
  onward show ff-mnist             what a recipe claims, and every setting of it
"""


class _Parser(argparse.ArgumentParser):
    """Argument errors as BadInput: one line, exit 2."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message.removeprefix('argument ')} (see `{self.prog} --help`)")


def _one_of(*names: str) -> Callable[[str], str]:
    def choose(came: str) -> str:
        if came not in names:
            raise argparse.ArgumentTypeError(f"there is no {came!r}: {nearest(came, names)}")
        return came

    return choose


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, but for a recipe's settings (cli/settings.py), and that by verb."""
    from ..version import __version__
    from . import bench, exiting, exporting, generating, sweeping, tables

    top = _Parser(
        prog="onward",
        description="Train deep networks cell by cell, without end-to-end backpropagation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"onward {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(
            name, help=text, description=text, allow_abbrev=False
        )
        return made

    verb("ls", "list recipes, algorithms and data sets")
    show = verb("show", "settings of a recipe, with types, defaults, claim and source; or a run")
    show.add_argument("recipe", metavar="RECIPE", help="or the folder of a run: what it cost")
    run = verbs.add_parser(
        "run",
        help="train a recipe into a folder (run RECIPE --help: its flags)",
        add_help=False,
    )
    run.add_argument("words", nargs=argparse.REMAINDER)
    relay = verbs.add_parser(
        "relay",
        help="train a row's cells at different sites, a file of latents from each to the next",
        add_help=False,
    )
    relay.add_argument("words", nargs=argparse.REMAINDER)
    pipeline = verbs.add_parser(
        "pipeline",
        help="train a recipe with its cells in processes, or on hosts, of their own",
        add_help=False,
    )
    pipeline.add_argument("words", nargs=argparse.REMAINDER)
    federate = verbs.add_parser(
        "federate",
        help="train a recipe's cells across data owners, whose samples stay where they are",
        add_help=False,
    )
    federate.add_argument("words", nargs=argparse.REMAINDER)
    resume = verb("resume", "go on with an interrupted run; it will equal one never interrupted")
    resume.add_argument("folder", metavar="DIR", type=Path)
    resume.add_argument("--data", metavar="PATH", help="where the run's data lie now")
    resume.add_argument(
        "--threads", metavar="N", type=int, help="go on with so many, no longer bit for bit"
    )
    evaluate = verb("eval", "test errors of a trained run, on its own or other labelled data")
    evaluate.add_argument("folder", metavar="DIR", type=Path)
    evaluate.add_argument("--data", metavar="PATH", help="folder, .npz, .csv or text; else its own")
    predict = verb("predict", "labels, numbers or strangeness of new inputs")
    predict.add_argument("folder", metavar="DIR", type=Path)
    predict.add_argument("input", metavar="INPUT", help=".npy, .npz, .csv, an image or a folder")
    predict.add_argument("--format", type=_one_of("csv", "json"), default="csv", metavar="csv|json")
    predict.add_argument(
        "--readout",
        type=_one_of("goodness", "linear"),
        metavar="goodness|linear",
        help="default: linear, or goodness where there is no other",
    )
    predict.add_argument("--out", metavar="FILE", type=Path, help="else standard output")
    generating.add_flags(verb("generate", "text that a run trained on text goes on with"))
    report = verb("report", "write DIR/report.html; further runs stand beside the first")
    report.add_argument("folders", metavar="DIR", type=Path, nargs="+")
    report.add_argument(
        "--tensorboard", action="store_true", help="also every run's curves, to DIR/tensorboard"
    )
    check = verb("check", "hold a part of your own to the library's promises")
    check.add_argument("what", metavar="MODULE:ATTRIBUTE", help="goodness, cell, algorithm, ...")
    check.add_argument("--shape", metavar="N,N,...", help="shape of one input of a cell")
    data = verb("data", "list data sets, download one, or verify what is there")
    data.add_argument(
        "action",
        type=_one_of("list", "download", "verify"),
        nargs="?",
        default="list",
        metavar="list|download|verify",
    )
    data.add_argument("name", metavar="NAME", nargs="?", help="or a file of your own, to verify")
    data.add_argument("--data", metavar="PATH", help="verify this folder, .npz, .csv or text file")
    tables.add_flags(verb("table", "make the missing runs of a paper's table, and write its page"))
    bench.add_flags(verb("bench", "what training costs beside backprop, by two protocols"))
    exporting.add_flags(verb("export", "a finished run as ONNX, pt2 or safetensors, and its card"))
    exiting.add_flags(verb("exits", "where samples can leave a row early, and what that saves"))
    sweeping.add_flags(verb("sweep", "a recipe over a grid of settings and several seeds"))
    return top, dict(verbs.choices)


VERBS = (
    *("ls", "show", "run", "relay", "pipeline", "federate", "resume", "eval", "predict"),
    *("generate", "report", "check", "data", "table", "bench", "export", "exits", "sweep"),
)


RECIPES = ("run", "relay", "pipeline", "federate")
"""Verbs whose first word is a recipe, and whose flags are the recipe's."""

FILES = {
    **{"pipeline": "pipelines", "generate": "generating", "table": "tables", "bench": "bench"},
    **{
        "relay": "relaying",
        "federate": "federating",
        "export": "exporting",
        "exits": "exiting",
        "sweep": "sweeping",
    },
}
"""Verbs with a file of their own, whose function is called run; the others are in verbs.py."""


def _doing(verb: str) -> Callable[[argparse.Namespace], int]:
    """What a verb does. Nothing else is imported."""
    from importlib import import_module

    if verb in FILES:
        return import_module(f".{FILES[verb]}", __name__).run  # type: ignore[no-any-return]
    return getattr(import_module(".verbs", __name__), verb)  # type: ignore[no-any-return]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 2 for bad input, 130 after Ctrl-C.

    ``check`` also returns 1, for a promise that is broken.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be no text
    named.asked.clear()
    if "_ARGCOMPLETE" in os.environ:
        from .completing import complete

        complete(*parser())
    try:
        given = _given(sys.argv[1:] if words is None else list(words))
        if "" not in sys.path:  # module:attribute finds what lies in the current folder
            sys.path.insert(0, "")
        code = int(_doing(given.verb)(given))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("onward: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has left; writing on would only print a second error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        line = _in_one_line(error)
        if line is None:  # an error of ours, to be seen whole
            raise
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        print(f"onward: {line}", file=sys.stderr)
        return 2


def _in_one_line(error: Exception) -> str | None:
    """What a user is told of an error that is theirs or their machine's; None for one of ours."""
    if isinstance(error, BadInput):
        return " ".join(str(error).splitlines())
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate" in str(error)
    ):
        return "this does not fit into memory: take narrower cells or smaller batches"
    if (theirs := named.blamed(error)) is not None:
        return f"{theirs}; {TRACEBACK}=1 shows the whole traceback"
    if isinstance(error, OSError):
        # A disk that is full, a folder that may not be written: no use in a traceback.
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return None


def _given(words: list[str]) -> argparse.Namespace:
    """What the command line asks for. Raises BadInput for a name there is not."""
    if words and not words[0].startswith("-") and words[0] not in VERBS:
        raise BadInput(f"there is no verb {words[0]!r}: {nearest(words[0], VERBS)}")
    if words and words[0] in RECIPES:
        return argparse.Namespace(verb=words[0], words=words[1:])
    top, verbs = parser()
    given, extra = top.parse_known_args(words)
    if not extra:
        return given
    if given.verb == "resume" and extra[0].startswith("--"):
        raise BadInput(
            f"a run is resumed with its own settings, and {extra[0]} came: leave it out, or start "
            "a new run with other settings"
        )
    own = verbs[given.verb]._actions
    flags = [flag for action in own for flag in action.option_strings if len(flag) > 2]
    if extra[0].startswith("-"):
        came = extra[0].partition("=")[0]
        known = nearest(came, flags) if flags != ["--help"] else "it takes none"
        raise BadInput(f"`onward {given.verb}` has no flag {came}: {known}")
    raise BadInput(f"`onward {given.verb}` has no place for {extra[0]!r} (see --help)")


if __name__ == "__main__":
    sys.exit(main())
