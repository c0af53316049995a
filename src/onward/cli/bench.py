"""``onward bench cost``: what local training costs beside backprop, by two protocols."""

import argparse

from ..errors import BadInput
from . import tables


def add_flags(verb: argparse.ArgumentParser) -> None:
    """The verb's words."""
    verb.add_argument("what", metavar="cost", help="time, passes, arithmetic, memory, energy")
    verb.add_argument("--dataset", metavar="mnist|digits", default="mnist", help="(mnist)")
    verb.add_argument(
        "--protocol",
        metavar="passes|target|both",
        default="both",
        help="as many passes for all, or settings of their own until an error is reached (both)",
    )
    verb.add_argument("--epochs", metavar="N", help="passes for all (mnist: 12, digits: 40)")
    verb.add_argument("--target", metavar="PERCENT", help="validation error to reach (mnist: 1.9)")
    tables.add_shared(verb)


def run(given: argparse.Namespace) -> int:
    """Run what is missing, then write results/cost.md. Returns 1 where a run has failed."""
    from ..recipes import cost

    if given.what != "cost":
        raise BadInput(f"`onward bench` knows cost, and not {given.what!r}: onward bench cost")
    protocols: dict[str, tuple[cost.Protocol, ...]] = {
        "passes": ("passes",),
        "target": ("target",),
        "both": ("passes", "target"),
    }
    if given.protocol not in protocols:
        raise BadInput(f"--protocol wants passes, target or both, and is {given.protocol!r}")
    if given.epochs is not None and not given.epochs.isdecimal():
        raise BadInput(f"--epochs wants a number of passes, and is {given.epochs!r}")
    epochs = None if given.epochs is None else int(given.epochs)
    question = cost.Question(
        given.dataset, protocols[given.protocol], epochs, _percent(given.target)
    )
    return tables.make(cost.table_of(question), given, {})


def _percent(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BadInput(f"--target wants a validation error in percent, and is {text!r}") from error
