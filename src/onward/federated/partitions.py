"""Who has which samples: training samples shared out to clients, deterministically from a seed.

y [N] int64. Every sample is one client's, and each client's indices come in ascending order.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput

FEWEST = 10
"""Samples that every client of a Dirichlet partition has."""

TRIES = 1000


def random(seed: int, purpose: str) -> np.random.Generator:
    """NumPy's generator of one purpose; torch draws from no Dirichlet with a generator."""
    digest = hashlib.sha256(f"{seed}/federation/{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def iid(y: Tensor, clients: int, seed: int) -> list[Tensor]:
    """Alike clients: samples dealt at random, numbers of them alike to one.

    >>> [len(part) for part in iid(torch.zeros(10), 3, seed=0)]
    [4, 3, 3]
    """
    _enough(y, clients)
    return _parts(np.array_split(random(seed, "iid").permutation(len(y)), clients))


def dirichlet(y: Tensor, clients: int, alpha: float, seed: int) -> list[Tensor]:
    """Of each label, shares drawn from Dirichlet(alpha, ..., alpha) (Hsu et al. 2019).

    As in Li et al. 2022 (NIID-Bench), drawn again until each client has at least 10 samples.
    """
    _enough(y, clients, FEWEST)
    rng, labels = random(seed, "dirichlet"), y.numpy()
    for _ in range(TRIES):
        parts: list[list[np.ndarray]] = [[] for _ in range(clients)]
        for label in np.unique(labels):
            mine = rng.permutation(np.flatnonzero(labels == label))
            shares = rng.dirichlet([alpha] * clients)
            cuts = (np.cumsum(shares)[:-1] * len(mine)).astype(int)
            for part, piece in zip(parts, np.split(mine, cuts), strict=True):
                part.append(piece)
        if min(sum(map(len, part)) for part in parts) >= FEWEST:
            return _parts([np.concatenate(part) for part in parts])
    raise BadInput(
        f"{TRIES} draws of Dirichlet({alpha:g}) left one of {clients} clients with fewer than "
        f"{FEWEST} samples each time: take a larger alpha, or fewer clients"
    )


def by_label(y: Tensor, clients: int, each: int, seed: int) -> list[Tensor]:
    """Samples sorted by label, cut into ``clients * each`` shards, so many dealt to each client.

    McMahan et al. 2017, section 3: a client then has about ``each`` labels.
    """
    if each > (there := len(np.unique(y.numpy()))):
        raise BadInput(f"labels_each should be {there} at most, for there are no more labels")
    _enough(y, clients * each)
    rng = random(seed, "labels")
    mixed = rng.permutation(len(y))
    order = mixed[np.argsort(y.numpy()[mixed], kind="stable")]
    shards = np.array_split(order, clients * each)
    dealt = rng.permutation(clients * each).reshape(clients, each)
    return _parts([np.concatenate([shards[i] for i in mine]) for mine in dealt])


def _enough(y: Tensor, parts: int, each: int = 1) -> None:
    if len(y) < parts * each:
        raise BadInput(
            f"{len(y):,} training samples can't be shared out to {parts} parts of at least {each}: "
            "take fewer clients"
        )


def _parts(parts: Sequence[np.ndarray]) -> list[Tensor]:
    return [torch.from_numpy(np.sort(part).astype(np.int64)) for part in parts]
