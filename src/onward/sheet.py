"""A table of one's own as a CSV file: a line of names, then a row of numbers for each sample.

What is to be predicted is the column named `target`, `label`, `class` or `y` (in any case), else
the last. Words in it are classes, and so are whole numbers of which at most :data:`MOST_CLASSES`
differ; all else are numbers to predict. Every other column is a feature, and holds numbers.

Separated by commas, semicolons or tabs, whichever the line of names has most of; UTF-8; `.` before
decimals; fields may be quoted. Missing values and infinity are refused, never filled in. So is a
file that begins with a sample: with numbers only (unless they count the columns, from 0 or 1 on, as
pandas does), or with a value of what is to be predicted.

N = rows, D = features.  x [N, D] float32, y [N] int64 or float32.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onward.errors import BadInput

ENDINGS = (".csv", ".tsv")
"""How the name of such a file ends."""

MOST_CLASSES = 20
"""So many different whole numbers are classes; more are numbers to predict."""

FEWEST = 6
"""Rows below which there is nothing to split into three."""

_LARGEST = float(np.finfo(np.float32).max)
_TARGETS = ("target", "label", "class", "y")
_SEPARATORS = ",;\t"
_MISSING = "missing values", "They are not filled in: fill or drop them"
_INFINITE = "values that are not finite (inf)", "Wanted finite numbers: mend or drop them"
_UNUSABLE = {
    **dict.fromkeys(("", "?", "na", "nan", "n/a", "null", "none"), _MISSING),
    **{sign + word: _INFINITE for sign in ("", "+", "-") for word in ("inf", "infinity")},
}
"""Words that may stand where a number is wanted: what they are, and what to do about them."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """A file's features x [N, D] by their ``columns``, and the texts of its ``target``, or none."""

    path: Path
    columns: tuple[str, ...]
    x: NDArray[np.float32]
    target: str
    texts: tuple[str, ...]


def read(path: Path, fewest: int = FEWEST) -> Sheet:
    """A table with what is to be predicted.

    Raises BadInput for a file that is missing, empty, not UTF-8, has fewer than two columns or
    ``fewest`` rows, no line of names, two columns of one name, rows of other lengths, missing
    values or infinity, or text in a feature.
    """
    names, rows = _rows(path)
    if len(names) < 2:
        raise BadInput(
            f"{path} has one column, {names[0]!r}, wanted features and what is to be predicted, "
            "separated by commas, semicolons or tabs; write a line of names first"
        )
    if not rows:
        raise BadInput(f"{path} has a line of names and no row below it; add some")
    if len(rows) < fewest:
        raise BadInput(
            f"{path} has {len(rows)} row{'s' if len(rows) > 1 else ''} below its line of names, "
            f"wanted {fewest} or more to split; add some"
        )
    named = [at for at, name in enumerate(names) if name.lower() in _TARGETS]
    if len(named) > 1:
        told = " and ".join(repr(names[at]) for at in named)
        raise BadInput(
            f"{path}: columns {told} could each be what is to be predicted; keep one of them, or "
            "rename the others"
        )
    at = named[0] if named else len(names) - 1
    columns = [name for place, name in enumerate(names) if place != at]
    texts = tuple(row[at] for row in rows)
    # A column called y may hold y and n: of one that says what it is, the others' names count.
    if names[at] in texts and not _numbered(names) and (not named or _is_sample(columns)):
        raise BadInput(
            f"{path} begins with a sample, it seems ({_told(names)}): {names[at]!r} stands in row "
            f"{texts.index(names[at]) + 2} of its column too; wanted a line of names: write one, "
            "or rename that column"
        )
    for kind in (_MISSING, _INFINITE):
        here = [n for n, text in enumerate(texts, 2) if _UNUSABLE.get(text.lower()) == kind]
        _refuse_found(path, {kind: {names[at]: here} if here else {}})
    guessed = (
        f" ({names[at]!r}, the last column, is taken as what is to be predicted: to predict "
        "another one, name that `target`)"
    )
    why = "" if named else guessed
    x = _numbers(path, names, rows, columns, why)
    return Sheet(path, tuple(columns), x, names[at], texts)


def read_features(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    """The features ``columns`` of a file, in that order.  -> x [N, D].

    Others that the file has, such as what would be to predict, are passed over. Raises BadInput
    for what :func:`read` refuses in these, for a file without one of them or without a row.
    """
    names, rows = _rows(path)
    if absent := [name for name in columns if name not in names]:
        raise BadInput(
            f"{path} has no column {', '.join(map(repr, absent[:6]))}: wanted those that the run "
            f"was trained on ({_told(columns)}), in any order, and it has {_told(names)}"
        )
    if not rows:
        raise BadInput(f"{path} has a line of names and no row below it; add some")
    return _numbers(path, names, rows, columns)


def targets(sheet: Sheet) -> tuple[NDArray[Any], tuple[str, ...]]:
    """What is to be predicted: y [N], and the classes' names, or the number's.

    y is int64 where the target is classes, float32 where it is a number. Raises BadInput where
    all rows have the same, or nearly every row a word of its own.
    """
    numbers = [_number(text) for text in sheet.texts]
    kinds = dict(zip(sheet.texts, numbers, strict=True))
    if len(kinds) < 2:
        raise BadInput(
            f"{sheet.path}: column {sheet.target!r} is {sheet.texts[0]!r} in all rows, wanted "
            "values that differ; name what is to be predicted 'target', or put it last"
        )
    words = [text for text, number in kinds.items() if number is None]
    if words:
        names = sorted(kinds)
        if 2 * len(names) > len(numbers):
            raise BadInput(
                f"{sheet.path}: column {sheet.target!r} holds words, e.g. {words[0]!r}, "
                f"{len(names):,} different ones in {len(numbers):,} rows: too many for classes. "
                "Name what is to be predicted 'target', or put it last"
            )
    elif all(text.lstrip("+-").isdigit() for text in kinds) and len(kinds) <= MOST_CLASSES:
        names = sorted(kinds, key=int)
    else:
        return _as_numbers(sheet, numbers), (sheet.target,)
    number_of = {name: number for number, name in enumerate(names)}
    return np.array([number_of[text] for text in sheet.texts], dtype=np.int64), tuple(names)


def known_targets(sheet: Sheet, about: Mapping[str, Any]) -> NDArray[Any]:
    """What :func:`targets` says, in the classes of the data ``about`` which a run was trained.

    Raises BadInput for a class that it has never seen, and for numbers where classes are wanted or
    the reverse.
    """
    if about.get("target", "classes") == "numbers":
        numbers = [_number(text) for text in sheet.texts]
        if None in numbers:
            word = sheet.texts[numbers.index(None)]
            raise BadInput(
                f"{sheet.path}: column {sheet.target!r} holds {word!r}, and the run was trained to "
                "predict numbers; name other --data"
            )
        return _as_numbers(sheet, numbers)
    names = list(about["label_names"])
    if strange := sorted(set(sheet.texts) - set(names)):
        raise BadInput(
            f"{sheet.path}: column {sheet.target!r} holds {_told(strange)}, and the run was "
            f"trained on the classes {_told(names)}; name other --data"
        )
    return np.array([names.index(text) for text in sheet.texts], dtype=np.int64)


def _as_numbers(sheet: Sheet, numbers: Sequence[float | None]) -> NDArray[np.float32]:
    if far := [n for n in numbers if n is not None and abs(n) > _LARGEST]:
        raise BadInput(
            f"{sheet.path}: column {sheet.target!r} holds {far[0]:g}, too large for float32; "
            "write it in other units"
        )
    return np.array(numbers, dtype=np.float32)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names in the first line, and the fields of each row, without white space around."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 (byte {error.start:,}); save it as such") from None
    if "\0" in text:
        raise BadInput(f"{path} holds zero bytes, and is no text; save it as CSV, in UTF-8")
    first = text.lstrip().partition("\n")[0]
    if not first:
        raise BadInput(f"{path} is empty; wanted a line of names and rows of numbers")
    separator = max(_SEPARATORS, key=first.count)
    try:
        read = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
        )
        found = [[field.strip() for field in row] for row in read if any(f.strip() for f in row)]
    except csv.Error as error:
        raise BadInput(f"{path} cannot be read as CSV ({error}); save it anew") from None
    names, *rows = found
    if _is_sample(names):
        raise BadInput(
            f"{path} begins with numbers ({_told(names)}), wanted a line of names; write one"
        )
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        also = ", or write a line of names, if it has none" if _is_sample(twice) else ""
        raise BadInput(f"{path} has more than one column {twice[0]!r}; rename them{also}")
    for line, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise BadInput(
                f"{path}, row {line}: {len(row)} fields, where {len(names)} names stand at the top "
                "(rows are counted from the line of names, which is 1); mend or drop it"
            )
    return names, rows


def _is_sample(names: Sequence[str]) -> bool:
    """Whether what should be names are numbers, NaN and infinity among them, and no numbering."""
    return all(map(_is_float, names)) and not _numbered(names)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbered(names: Sequence[str]) -> bool:
    """Whether names are the columns' numbers, from 0 or 1 on, as pandas writes them.

    With its index, which has no name, before them or without.
    """
    counted = list(names[1:] if names and not names[0] else names)
    return any(counted == [str(n + first) for n in range(len(counted))] for first in (0, 1))


def _numbers(
    path: Path,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    why: str = "",
) -> NDArray[np.float32]:
    """Named columns as x [N, D], or BadInput naming those with gaps, words or too large numbers."""
    x = np.empty((len(rows), len(columns)), dtype=np.float32)
    found: dict[tuple[str, str], dict[str, list[int]]] = {_MISSING: {}, _INFINITE: {}}
    for number, name in enumerate(columns):
        at = names.index(name)
        for line, row in enumerate(rows, 2):
            if (kind := _UNUSABLE.get(row[at].lower())) is not None:
                found[kind].setdefault(name, []).append(line)
                continue
            value = _number(row[at])
            if value is None or abs(value) > _LARGEST:
                raise BadInput(
                    f"{path}, row {line}: column {name!r} holds {row[at]!r}, wanted a number of "
                    f"float32, with '.' before decimals{why}; drop the column, or write its words "
                    "as numbers (a column of 0 and 1 for each)"
                )
            x[line - 2, number] = value
    _refuse_found(path, found)
    return x


def _number(text: str) -> float | None:
    """The finite number that a text is; Python's underscores are none."""
    try:
        value = float(text) if "_" not in text else np.inf
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _refuse_found(path: Path, found: Mapping[tuple[str, str], Mapping[str, Sequence[int]]]) -> None:
    """Raise BadInput naming the columns, and the first rows, in which there is what is unusable."""
    for (what, advice), columns in found.items():
        if not columns:
            continue
        told = [
            f"column {name!r} in {len(lines):,} row{'s' if len(lines) > 1 else ''}, "
            f"first in row {lines[0]}"
            for name, lines in list(columns.items())[:6]
        ]
        more = [f"{len(columns) - 6} more columns"] if len(columns) > 6 else []
        raise BadInput(f"{path} has {what}: {'; '.join(told + more)}. {advice}")


def _told(names: Sequence[str]) -> str:
    more = [f"{len(names) - 8} more"] if len(names) > 8 else []
    return ", ".join([*map(str, names[:8]), *more])
