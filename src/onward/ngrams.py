"""Counting instead of learning: the n-gram model that a predictor of symbols has to beat.

With h the n - 1 symbols before, h' the same without the first of them, #(h c) how often c came
after h in the training samples, #(h) how often anything did, and t(h) how many different symbols
did (Witten and Bell 1991),

    p_n(c | h) = ( #(h c) + t(h) p_{n-1}(c | h') ) / ( #(h) + t(h) ),      p_0 = 1 / K

and p_n(c | h) = p_{n-1}(c | h') for an h that never came. n = 1 is the unigram. Nothing is tuned.

N = training samples, M = samples that are asked about, W = symbols of a window, K = symbols there
are, U = different h.
"""

import torch
from torch import Tensor


def probabilities(seen: Tensor, after: Tensor, asked: Tensor, kinds: int, n: int) -> list[Tensor]:
    """p_1 ... p_n of every symbol after each of the windows ``asked`` [M, W]: n times [M, K].

    ``seen`` [N, W] are the training windows, ``after`` [N] what came after them; all int64.

    >>> seen, after = torch.tensor([[0], [1], [0]]), torch.tensor([1, 0, 1])
    >>> [p.tolist() for p in probabilities(seen, after, torch.tensor([[0]]), 2, 1)]
    [[[0.4, 0.6]]]
    """
    found = []
    before = torch.full((len(asked), kinds), 1 / kinds, dtype=torch.float64)
    for order in range(1, n + 1):
        counts = _counts(seen, after, asked, kinds, order - 1)  # [M, K]
        different = (counts > 0).sum(1, keepdim=True)
        total = counts.sum(1, keepdim=True)
        mixed = (counts + different * before) / (total + different).clamp(min=1)
        before = torch.where(total > 0, mixed, before)
        found.append(before)
    return found


def _counts(seen: Tensor, after: Tensor, asked: Tensor, kinds: int, length: int) -> Tensor:
    """How often each symbol came after the last ``length`` symbols of each window.  -> [M, K]."""
    every = torch.cat([seen, asked])
    h = torch.zeros(len(every), dtype=torch.long)
    for place in range(every.shape[1] - length, every.shape[1]):
        h = h * kinds + every[:, place]
    contexts, which = torch.unique(h, return_inverse=True)  # [U], [N + M]
    pairs = which[: len(seen)] * kinds + after
    table: Tensor = pairs.bincount(minlength=len(contexts) * kinds).view(-1, kinds)
    return table[which[len(seen) :]].double()
