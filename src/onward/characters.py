"""What is said of a row that predicts the next symbol of a text, beside counting.

    accuracy   the share of symbols that are the most probable one
    bits       mean of -log2 p(the symbol that came), of a softmax: bits a character

of the linear readout, and of n-grams counted on the same training samples (``ngrams.py``); and a
piece of text that the row rolls out from the first window of a split.

N = samples, K = symbols there are.
"""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from .data import Dataset
from .fast import linear_scores
from .ngrams import probabilities
from .row import Row
from .seeds import generator
from .windows import roll_out, spread

ORDER = 5
"""The longest n-gram."""

SAMPLE = 200
"""Characters of the piece of text."""


def told(row: Row, data: Dataset, scores: dict[str, Tensor], seed: int) -> dict[str, Any]:
    """The measures of the file's head as plain numbers, and a sample of text.

    ``scores`` [N, K] are those of the linear readout, by split; ``seed`` is the run's.
    """
    said: dict[str, Any] = {}
    for name, given in scores.items():
        split = getattr(data, name)
        y = split.y.cpu()
        counted = probabilities(
            *(data.train.x.argmax(2).cpu(), data.train.y.cpu(), split.x.argmax(2).cpu()),
            *(data.classes, min(ORDER, data.shape[0] + 1)),
        )
        grams = [measured(p.log(), y) for p in counted]
        said[name] = {
            "samples": len(split),
            "linear": measured(given.double().log_softmax(1), y),
            "ngrams": [{"n": n, **found} for n, found in enumerate(grams, 1)],
        }
    begun = data.test.x[:1]
    if row.linear() is not None and len(begun):
        text = written(row, begun, SAMPLE, str(data.symbols), generator(seed, "sample"))
        said["sample"] = {"prompt": read_off(begun[0].argmax(1), str(data.symbols)), "text": text}
    return said


def measured(logs: Tensor, y: Tensor) -> dict[str, float]:
    """Accuracy and bits of log probabilities.  logs [N, K], y [N].

    >>> measured(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([1]))
    {'accuracy': 0.0, 'bits': 2.0}
    """
    bits = -logs.gather(1, y[:, None]).mean() / math.log(2)
    return {
        "accuracy": float((logs.argmax(1) == y).double().mean()),
        "bits": float(bits),
    }


def written(
    row: Row,
    begun: Tensor,
    length: int,
    symbols: str,
    rng: Generator,
    temperature: float = 1.0,
) -> str:
    """The ``length`` characters that a row goes on with after one window, begun [1, W, K]."""
    device = next((p.device for s in row.everyone for p in s.cell.parameters()), begun.device)

    def predict(x: Tensor) -> Tensor:
        return linear_scores(row, x.to(device)).float().cpu()

    return read_off(roll_out(begun.cpu(), length, predict, rng, temperature)[0], symbols)


def window_of(prompt: str, symbols: str, width: int) -> Tensor:
    """The last W symbols of a prompt, spaces before a short one.  -> [1, W, K]."""
    codes = [symbols.index(symbol) for symbol in prompt.rjust(width)[-width:]]
    return spread(torch.tensor([codes]), len(symbols))


def read_off(codes: Tensor, symbols: str) -> str:
    """Places of symbols [L] as text."""
    return "".join(symbols[code] for code in codes.tolist())
