"""What ``onward predict`` writes of each input: a class, a number or a strangeness."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..errors import BadInput
from ..evaluate import judge
from ..readouts import strangeness
from ..recipes.running import Opened


def predictions(
    opened: Opened, names: Sequence[str], x: Tensor, readout: str | None, form: str
) -> str:
    """The predictions for x [B, *D], one of ``names`` each, as ``form`` "csv" or "json".

    By readout "goodness" or "linear" (None: linear where there is one); a row that detects has
    neither. Raises BadInput for a readout the run does not have.
    """
    row, about = opened.plan.row, opened.record["data"]
    said = judge(row, x, labels=readout == "goodness")
    if said.restoring is not None and readout is None:
        cells = [cell["name"] for cell in opened.record["cells"]]
        each = said.restoring.T.tolist()
        rows = [
            {"strangeness": score, "cells": dict(zip(cells, errors, strict=True))}
            for score, errors in zip(strangeness(said.restoring).tolist(), each, strict=True)
        ]
        return _written("reconstruction", names, rows, "cells", "error of ", form)
    found = said.scores(row, len(row.stations))
    readout = readout or next(iter(found), "none")
    if readout not in found:
        there = list(found) + (["reconstruction, the default"] if row.detects else [])
        raise BadInput(f"this run has no readout {readout}: it has {', '.join(there) or 'none'}")
    answers = row.task.answer(found[readout]).tolist()
    if row.task.target == "numbers":
        key = about["label_names"][0]
        return _written(readout, names, [{key: number} for number in answers], "", "", form)
    rows = [
        {
            "label": about["label_names"][answer],
            "scores": dict(zip(about["label_names"], scores, strict=True)),
        }
        for answer, scores in zip(answers, found[readout].tolist(), strict=True)
    ]
    return _written(readout, names, rows, "scores", "score ", form)


def other_scale(x: Tensor, trained: Sequence[float | None]) -> str | None:
    """What to say of inputs x [B, *D] in another scale than samples in the range ``trained``.

    None where they may be in the same, or where the range is not known ([] or nulls). Another scale
    is more than 4 times the range's width outside of it, or within a 20th of that width.

    >>> other_scale(Tensor([[0.0, 255.0]]), [0.0, 1.0])
    'the inputs run from 0 to 255, and the run was trained on samples from 0 to 1'
    >>> other_scale(Tensor([[0.0, 0.9]]), [0.0, 1.0])
    """
    if len(trained) != 2 or None in trained:
        return None
    low, high = (float(end) for end in trained if end is not None)
    width, least, most = high - low, float(x.min()), float(x.max())
    outside = max(low - least, most - high) > 4 * width
    if not outside and not 0 < most - least < width / 20:
        return None
    return (
        f"the inputs run from {least:.4g} to {most:.4g}, and the run was trained on samples from "
        f"{low:.4g} to {high:.4g}"
    )


def _written(
    readout: str,
    names: Sequence[str],
    rows: Sequence[dict[str, Any]],
    nested: str,
    prefix: str,
    form: str,
) -> str:
    """Rows as text; in CSV the object under the key ``nested`` becomes columns of its own."""
    if form == "json":
        told = [{"input": name, **row} for name, row in zip(names, rows, strict=True)]
        return json.dumps({"readout": readout, "predictions": told}, indent=1) + "\n"
    flat = [
        {k: v for k, v in row.items() if k != nested}
        | {f"{prefix}{k}": v for k, v in row.get(nested, {}).items()}
        for row in rows
    ]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["input", *(flat[0] if flat else [])])
    for name, columns in zip(names, flat, strict=True):
        values = (f"{v:.6g}" if isinstance(v, float) else v for v in columns.values())
        writer.writerow([name, *values])
    return lines.getvalue()
