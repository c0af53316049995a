"""Texts made on the spot, for tests that need one."""

import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from onward.data import Dataset, load

WORDS = (
    "the",
    "fox",
    "and",
    "grapes",
    "saw",
    "a",
    "crow",
    "with",
    "cheese",
    "said",
    "hungry",
    "so",
)


def sentences(count: int, seed: int = 0) -> str:
    """Sentences of known words, with capitals, quotation marks, commas and line breaks."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        words = [dice.choice(WORDS) for _ in range(dice.randint(4, 9))]
        text = " ".join(words).capitalize()
        made.append(f'"{text}," said the crow.' if dice.random() < 0.2 else f"{text}.")
    return "\n".join(made)


def text_file(folder: Path, count: int = 60) -> Path:
    """A text of about 2,000 characters."""
    path = folder / "story.txt"
    path.write_text(sentences(count), encoding="utf-8")
    return path


@cache
def made_text(count: int = 60) -> Dataset:
    """The same as a data set."""
    with TemporaryDirectory() as folder:
        return load(path=text_file(Path(folder), count))
