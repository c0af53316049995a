"""What a row predicts of a text: accuracy and bits a character, beside counting, and a sample.

The keys are those of `text` in `docs/record.md`; records of other data have none of them.
"""

from collections.abc import Sequence
from typing import Any

from . import quantities as q
from .records import Record, items, mapping
from .tables import escape, table


def section(record: Record) -> str:
    """A table of each split, and the piece of text that the run wrote; nothing without text."""
    text = mapping(record, "text")
    tables = "".join(_split(name, mapping(text, name)) for name in ("validation", "test"))
    if not tables:
        return ""
    sample = mapping(text, "sample")
    if sample:
        tables += (
            '<figure class="panel"><figcaption>Text that the row goes on with <small>after the '
            "first window of the test text; each character drawn from the readout's softmax</small>"
            f"</figcaption><p><b>{escape(sample.get('prompt', ''))}</b>"
            f"{escape(sample.get('text', ''))}</p></figure>"
        )
    return tables


def line(record: Record) -> str:
    """The test text in a line for a terminal; empty where there is none."""
    found = mapping(mapping(record, "text"), "test")
    told = [f"{name} {_bits(one)}" for name, one in _rows(found)]
    return f"bits a character: {', '.join(told)}" if told else ""


def _split(name: str, found: Record) -> str:
    rows = [[told, q.percent(one.get("accuracy")), _bits(one)] for told, one in _rows(found)]
    head = ["predicted by", "right,\u00a0%", "bits a character"]
    return table(f"Next characters of the {name} text, {q.count(found.get('samples'))}", head, rows)


def _rows(found: Record) -> Sequence[tuple[str, Record]]:
    """The readout, and every n-gram, by name."""
    rows: list[tuple[str, Record]] = []
    if linear := mapping(found, "linear"):
        rows.append(("linear readout", linear))
    for gram in items(found, "ngrams"):
        if isinstance(gram, dict):
            rows.append((_gram(gram.get("n")), gram))
    return rows


def _gram(n: Any) -> str:
    return "unigram" if n == 1 else f"counted {n}-gram"


def _bits(one: Record) -> str:
    bits = q.number(one.get("bits"))
    return q.NONE if bits is None else f"{bits:.3f}"
