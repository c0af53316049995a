"""The command ``onward``: thin, and frozen by a test.

Everything heavy is imported inside the verb that needs it, so that help answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ..errors import BadInput, nearest

EPILOG = """\
first steps:
  onward run ff-digits --twin      train on embedded digits, beside backprop (about a minute)
  onward report DIR                one self-contained page of what a run did
  onward show ff-mnist             what a recipe claims, and every setting of it
"""


class _Parser(argparse.ArgumentParser):
    """Argument errors as BadInput: one line, exit 2, the nearest valid name."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice:" in message and self.prog == "onward":
            came = message.split("invalid choice: ")[1].split("'")[1]
            raise BadInput(f"there is no verb {came!r}: {nearest(came, VERBS)}")
        raise BadInput(f"{message} (see `{self.prog} --help`)")


def parser() -> argparse.ArgumentParser:
    """The whole command line, but for the settings of a recipe (see cli/settings.py)."""
    from ..version import __version__

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
        return verbs.add_parser(name, help=text, description=text, allow_abbrev=False)

    verb("ls", "list recipes, algorithms and data sets")
    show = verb("show", "settings of a recipe, with types, defaults, claim and source")
    show.add_argument("recipe", metavar="RECIPE")
    run = verbs.add_parser(
        "run",
        help="train a recipe into a folder (run RECIPE --help: its flags)",
        add_help=False,
    )
    run.add_argument("words", nargs=argparse.REMAINDER)
    resume = verb("resume", "go on with an interrupted run; it will equal one never interrupted")
    resume.add_argument("folder", metavar="DIR", type=Path)
    resume.add_argument("--data", metavar="PATH", help="where the run's data lie now")
    evaluate = verb("eval", "test errors of a trained run, on its own or other labelled data")
    evaluate.add_argument("folder", metavar="DIR", type=Path)
    evaluate.add_argument("--data", metavar="PATH", help="folder or .npz; else the run's own")
    predict = verb("predict", "labels and scores for new inputs")
    predict.add_argument("folder", metavar="DIR", type=Path)
    predict.add_argument("input", metavar="INPUT", help=".npy, .npz, an image or a folder of them")
    predict.add_argument("--format", choices=("csv", "json"), default="csv")
    predict.add_argument("--readout", choices=("goodness", "linear"), help="default: linear")
    predict.add_argument("--out", metavar="FILE", type=Path, help="else standard output")
    report = verb("report", "write DIR/report.html; further runs stand beside the first")
    report.add_argument("folders", metavar="DIR", type=Path, nargs="+")
    check = verb("check", "hold a part of your own to the library's promises")
    check.add_argument("what", metavar="MODULE:ATTRIBUTE", help="goodness, cell, algorithm, ...")
    check.add_argument("--shape", metavar="N,N,...", help="shape of one input of a cell")
    data = verb("data", "list data sets, download one, or verify what is there")
    data.add_argument("action", choices=("list", "download", "verify"), nargs="?", default="list")
    data.add_argument("name", metavar="NAME", nargs="?")
    data.add_argument("--data", metavar="PATH", help="verify this folder or .npz file")
    return top


VERBS = ("ls", "show", "run", "resume", "eval", "predict", "report", "check", "data")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    try:
        given = parser().parse_args(words)
        from . import verbs

        sys.path.insert(0, "")  # so that module:attribute finds what lies in the current folder
        return int(getattr(verbs, given.verb)(given))
    except BadInput as error:
        print(f"onward: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("onward: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has left; writing on would only print a second error.
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
