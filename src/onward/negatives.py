"""Wrong labels for negative rows: (y [B], K, scores [B, K] or None, generator) -> labels [B].

Never the true one.

Hinton 2022, section 3.3 (a wrong label on the same image) and the author's MATLAB (a wrong label
drawn in proportion to the probability that the net itself gives it). Fresh at every step.

B = samples, K = classes.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Generator, Tensor

from .errors import BadInput

Negatives = Callable[[Tensor, int, Tensor | None, Generator], Tensor]
_F = TypeVar("_F", bound=Negatives)


def asks_scores(negatives: _F) -> _F:
    """Mark a sampler as one that needs the class scores of the neutral pass."""
    negatives.asks_scores = True  # type: ignore[attr-defined]  # a plain mark on a function
    return negatives


def wrong_label(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
    """Each of the other K - 1 labels with the same probability. Scores are not looked at.

    >>> rng = Generator().manual_seed(0)
    >>> bool((wrong_label(torch.zeros(1000, dtype=torch.long), 3, None, rng) == 0).any())
    False
    """
    shift = torch.randint(1, classes, y.shape, generator=rng, device=y.device)
    return (y + shift) % classes


@asks_scores
def hard_label(y: Tensor, classes: int, scores: Tensor | None, rng: Generator) -> Tensor:
    """A wrong label in proportion to the softmax of the scores without the true class.

    The author's code subtracts 1000 from the true logit; here it is minus infinity, so that the
    true label can't be drawn at any scale of the scores, and the others stay above it even where
    they are minus infinity themselves. Drawn by the Gumbel-max rule:
    argmax_k (score_k - log e_k) with e_k ~ Exp(1) has exactly the softmax's distribution.
    """
    if scores is None:
        raise BadInput(
            "hard negatives are drawn from the class scores of a linear readout that learns along, "
            "and none came: give the row a readout, or take uniform wrong labels (negatives=wrong)"
        )
    finite = scores.float().clamp(min=torch.finfo(torch.float32).min)
    noise = torch.empty_like(finite).exponential_(generator=rng)
    return (finite - noise.log()).scatter(1, y[:, None], -torch.inf).argmax(1)


BY_NAME: dict[str, Negatives] = {"wrong": wrong_label, "hard": hard_label}
