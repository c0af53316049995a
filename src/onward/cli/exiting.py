"""``onward exits DIR``: where samples can leave a trained row early, and what that saves."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .exporting import open_finished

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import Dataset
    from ..exits import Exits

FILE = "exits.json"


def add_flags(verb: argparse.ArgumentParser) -> None:
    """The verb's words."""
    verb.add_argument("folder", metavar="DIR", type=Path)
    told = "points of validation accuracy that leaving early may cost (0.05 0.1 0.2 0.5)"
    verb.add_argument(
        "--lose", metavar="POINTS", nargs="+", default=["0.05", "0.1", "0.2", "0.5"], help=told
    )
    verb.add_argument("--data", metavar="PATH", help="where the run's data lie now")


def run(given: argparse.Namespace) -> int:
    """Choose thresholds on validation, measure them on the test set, print and keep the table."""
    from .. import exits
    from ..files import write_atomically
    from ..recipes import recorded

    allowed = [_points(text) for text in given.lose]
    opened = open_finished(given.folder)
    row, record = opened.plan.row, opened.record
    dataset = recorded.same_data(given.folder, record, given.data)
    names = ["goodness"] if row.algorithm.candidates else []
    names += ["linear"] if row.readout is not None else []
    found, refused = {}, []
    for name in names:
        try:
            made = exits.make(row, name, dataset, record["seed"])
        except BadInput as error:
            refused.append(error)
            print(f"{name}: {error}\n")
            continue
        found[name] = _measured(made, dataset, allowed)
        print(_table(name, found[name], [cell["name"] for cell in record["cells"]]))
    if not found:
        raise refused[0] if refused else BadInput("this run has no readout of classes to leave by")
    about = {key: record[key] for key in ("recipe", "seed", "command", "commit")}
    content = json.dumps({"schema": 1, **about, "readouts": found}, indent=1) + "\n"
    write_atomically(given.folder / FILE, content.encode())
    print(given.folder / FILE)
    return 0


def _points(text: str) -> float:
    """Points of accuracy as a fraction."""
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= 100:
        raise BadInput(f"--lose wants points of accuracy, 0 to 100, and is {text!r}")
    return points / 100


def _measured(made: "Exits", data: "Dataset", allowed: list[float]) -> dict[str, Any]:
    """What each allowed loss comes to on the test set."""
    from .. import exits

    test, held = data.test, data.validation
    whole, scores = made.whole(test.x), made.scores(held.x)
    rows = []
    for lose in allowed:
        threshold, early = exits.choose(made, scores, held.y, lose)
        left = made.leave(test.x, threshold) if math.isfinite(threshold) else whole
        shares = left.at.bincount(minlength=made.count).double() / len(test)
        rows.append(
            {
                "lose": lose,
                "threshold": threshold if math.isfinite(threshold) else None,
                "validation": _accuracy(early, held.y),
                "test": _accuracy(left.answers, test.y),
                "saved": 1 - left.flops / whole.flops,
                "left": shares.tolist(),
            }
        )
    return {
        "whole": {
            "validation": _accuracy(scores[-1].argmax(1), held.y),
            "test": _accuracy(whole.answers, test.y),
            "multiply_adds": whole.flops / 2 / len(test),
        },
        "temperatures": list(made.temperatures),
        "thresholds": rows,
    }


def _accuracy(answers: "Tensor", y: "Tensor") -> float:
    return float((answers == y).double().mean())


def _table(name: str, found: dict[str, Any], cells: list[str]) -> str:
    """A readout's thresholds as lines of a terminal."""
    whole = found["whole"]
    lines = [
        f"{name}: the whole row is right on {100 * whole['validation']:.2f} % of validation and "
        f"{100 * whole['test']:.2f} % of test samples, "
        f"{whole['multiply_adds']:,.0f} multiply-adds a sample"
    ]
    used = cells[: len(found["temperatures"])]
    head = ["may lose", "threshold", "validation, %", "test, %", "saved, %", *used]
    rows = [
        [
            f"{100 * row['lose']:g}",
            "none" if row["threshold"] is None else f"{row['threshold']:.5f}",
            *(f"{100 * row[key]:.2f}" for key in ("validation", "test")),
            f"{100 * row['saved']:.1f}",
            *(f"{100 * share:.1f} %" for share in row["left"]),
        ]
        for row in found["thresholds"]
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for words in (head, *rows):
        lines.append("  ".join(f"{w:>{n}}" for w, n in zip(words, widths, strict=True)))
    return "\n".join(lines) + "\n"
