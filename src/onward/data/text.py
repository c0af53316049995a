"""Text as a data set: windows of ten symbols, and the symbol after each.

A text is folded to the 30 :data:`SYMBOLS`, in this order:

1. typographic quotation marks become ``"``, upper case becomes lower, and letters lose their
   accents (Unicode's casefold, then compatibility decomposition);
2. whatever is then neither white space nor one of the symbols is dropped, and counted;
3. every run of white space, line breaks too, becomes one space.

The first 80 % of the symbols are for training, the next 10 % for validation, the last 10 % for the
test: contiguous, so that no window stands across two splits.

T = symbols of a split, W = 10, K = 30, N = T - W windows.  x [N, W, K] one-hot, y [N].
"""

import re
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from onward.data.dataset import Dataset, Split
from onward.errors import BadInput

SYMBOLS = 'abcdefghijklmnopqrstuvwxyz ,."'
"""The 26 letters and the four other characters that are most frequent in English prose."""

WINDOW = 10
"""W, symbols of a window."""

SHORTEST = 300
"""Symbols below which a text can't be split into three."""

NAMES = tuple({" ": "space", ",": "comma", ".": "stop", '"': "quote"}.get(s, s) for s in SYMBOLS)
"""The symbols, as a table of results calls them."""

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))


def read(path: Path, name: str, origin: str) -> Dataset:
    """The data set in a text file.

    Raises BadInput for a file that is missing, empty, binary, not UTF-8, too short, or mostly of
    characters that are none of the symbols.
    """
    symbols, dropped = folded(_text(path))
    total = len(symbols) + sum(dropped.values())
    if 2 * len(symbols) < total:
        raise BadInput(
            f"{path}: {sum(dropped.values()):,} of {total:,} characters are none of the "
            f"{len(SYMBOLS)} symbols (a to z, space, comma, full stop, quotation mark; most often "
            f"{_told(dropped)}): name a text in Latin letters"
        )
    if len(symbols) < SHORTEST:
        raise BadInput(
            f"{path} holds {len(symbols):,} of the symbols a to z, space, comma, full stop and "
            f"quotation mark, wanted {SHORTEST} or more to split: name a longer text"
        )
    ends = (0, len(symbols) * 8 // 10, len(symbols) * 9 // 10, len(symbols))
    codes = encoded(symbols)
    train, validation, test = (windows(codes[a:b]) for a, b in pairwise(ends))
    lost = 100 * sum(dropped.values()) / total
    note = f"{len(symbols):,} symbols; {lost:.1f} % of the characters dropped: {_told(dropped)}"
    if not dropped:
        note = f"{len(symbols):,} symbols; no character dropped"
    return Dataset(
        *(name, train, validation, test, len(SYMBOLS), NAMES, origin),
        note=note,
        symbols=SYMBOLS,
    )


def folded(text: str) -> tuple[str, Counter[str]]:
    """A text in the symbols, and the characters that were dropped, with how often.

    >>> folded("The  Fox's\\n«café»!")
    ('the foxs "cafe"', Counter({"'": 1, '!': 1}))
    """
    plain = unicodedata.normalize("NFKD", text.translate(_QUOTES).casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"\s+", " ", plain)
    dropped = Counter(c for c in plain if c not in SYMBOLS)
    kept = "".join(c for c in plain if c in SYMBOLS)
    return re.sub(" +", " ", kept), dropped


def encoded(symbols: str) -> Tensor:
    """Places of symbols in :data:`SYMBOLS`.  -> [T] int64."""
    return torch.tensor([SYMBOLS.index(symbol) for symbol in symbols], dtype=torch.long)


def windows(codes: Tensor) -> Split:
    """Every window of a text that has a symbol after it.  codes [T] -> x [N, W, K], y [N].

    The windows are views of one tensor [T, K]; a pass over all of them makes ten of each.
    """
    spread = torch.zeros(len(codes), len(SYMBOLS)).scatter_(1, codes[:, None], 1.0)
    x = spread[:-1].unfold(0, WINDOW, 1).transpose(1, 2)
    return Split(x, codes[WINDOW:])


def _text(path: Path) -> str:
    """A file's characters. Raises BadInput where they are no text."""
    if not path.is_file():
        raise BadInput(f"there is no file {path}; wanted a text file (UTF-8)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror or error})") from error
    if not content.strip():
        raise BadInput(f"{path} is empty; wanted a text of {SHORTEST} characters or more")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path} is UTF-16 by its first bytes, wanted UTF-8: save it as UTF-8")
    if b"\0" in content:
        raise BadInput(
            f"{path} is no text: byte {content.index(0):,} is zero; name a text file (UTF-8)"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8 (byte {error.start:,} is {content[error.start]:#04x}): save it "
            "as UTF-8, or name another text"
        ) from error


def _told(dropped: Counter[str], most: int = 6) -> str:
    """The characters that were dropped most often, printable, with how often."""
    shown = []
    for character, count in dropped.most_common(most):
        told = character if character.isprintable() else f"U+{ord(character):04X}"
        shown.append(f"{told} {count:,}")
    return ", ".join([*shown, *(["..."] if len(dropped) > most else [])])
