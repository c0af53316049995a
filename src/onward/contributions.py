"""What each cell adds where every label is tried: marginal errors, entropy, and who rides free.

Read from the goodness of every label that an evaluation has anyway, of the cells that have learned:

* first: the error of the sum of the first j cells, j = 1..L; what a cell adds is the step to its
  own sum from the one before (Lorberbom et al. 2023, figure 2, read second-hand)
* prefers: the share of pairs (sample, wrong label) in which a cell by itself answers the true label
  louder, ties by half: 1/2 is a cell that carries no discrimination, and rides on the others.
  Under gamma from earlier cells such cells are easily overlooked, for the sum hides them
  (free-riding, arXiv:2605.06240; the number is ours)
* functional entropy of the goodness (entropy.py), of positives and of negatives apart: all wrong
  labels, each as likely. Null for a goodness that can be below 0.

L = cells, B = samples, K = classes.
"""

from typing import Any

import torch
from torch import Tensor

from .entropy import across, functional_entropy, within


def contributions(goodness: Tensor, y: Tensor) -> dict[str, Any]:
    """The measures of the file's head as plain numbers.  goodness [L, B, K], y [B]."""
    wide, true = goodness.double(), torch.nn.functional.one_hot(y, goodness.shape[2]).bool()
    sums = wide.cumsum(0).argmax(2)  # [L, B]
    positive = wide[:, true]  # [L, B]
    negative = wide[:, ~true].view(len(wide), len(y), -1)  # [L, B, K-1]
    gap = positive[:, :, None] - negative
    prefers = (gap > 0).double() + 0.5 * (gap == 0).double()
    return {
        "first": [float((said != y).double().mean()) for said in sums],
        "prefers": [float(share.mean()) for share in prefers],
        "positive": _entropy(positive),
        "negative": _entropy(negative.flatten(1)),
    }


def _entropy(h: Tensor) -> dict[str, Any] | None:
    """Entropy of h [L, N], its two parts, that of each cell, E[h], and the divergence Ent / E."""
    if bool((h < 0).any()):
        return None
    entropy, mean = float(functional_entropy(h)), float(h.mean())
    return {
        "mean": mean,
        "entropy": entropy,
        "across": float(across(h)),
        "within": float(within(h)),
        "divergence": entropy / mean if mean > 0 else None,
        "cells": functional_entropy(h, dim=1).tolist(),
    }
