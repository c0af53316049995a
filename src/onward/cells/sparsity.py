"""Sparsity of a latent while its cell learns.  z [B, *F] -> z [B, *F], most of it zeroed.

An auto-encoder with more units than inputs can copy its input and learn nothing; one that may use
few units at a time can't. What a cell hands on is never made sparse: these act in its training
pass only.

* k-sparse (Makhzani and Frey 2013, arXiv:1312.5663): the k largest activities of each sample.
* lifetime (Makhzani and Frey 2015, arXiv:1409.2752, section 2): of each unit, its largest
  activities over the batch. Every unit wins equally often, so none dies.
* map lifetime: the same of each map, its positions being so many more samples of one feature.
  Departs from the paper, whose maps may win once a sample (``ConvWinners`` is theirs).

B = samples, F = a latent's shape; a convolutional unit is one number of one map here.
"""

from collections.abc import Callable

from torch import Tensor

Sparsity = Callable[[Tensor], Tensor]


def k_sparse(z: Tensor, k: int = 25) -> Tensor:
    """Only the k largest numbers of each sample (all, where there are fewer).

    >>> import torch
    >>> k_sparse(torch.tensor([[3.0, 1.0, 2.0]]), k=1)
    tensor([[3., 0., 0.]])
    """
    flat = z.flatten(1)
    least = flat.topk(min(k, flat.shape[1]), dim=1).values[:, -1:]
    return (flat * (flat >= least)).view(z.shape)


def lifetime(z: Tensor, rate: float = 0.05) -> Tensor:
    """Of each unit, the largest ``rate`` of its activities over the batch, at least one.

    >>> import torch
    >>> lifetime(torch.tensor([[3.0, 0.0], [1.0, 5.0]]), rate=0.5)
    tensor([[3., 0.],
            [0., 5.]])
    """
    winners = z.topk(share(rate, len(z)), dim=0).values[-1:]
    return z * (z >= winners)


def map_lifetime(z: Tensor, rate: float = 0.05) -> Tensor:
    """Of each map, the largest ``rate`` of its activities over batch and positions, at least one.

    z [B, M, ...]; on [B, F] it is :func:`lifetime`.

    >>> import torch
    >>> map_lifetime(torch.tensor([[[3.0, 4.0]], [[1.0, 5.0]]]), rate=0.5)
    tensor([[[0., 4.]],
    <BLANKLINE>
            [[0., 5.]]])
    """
    each = z.transpose(0, 1).flatten(1)  # [M, B * positions]
    least = each.topk(share(rate, each.shape[1]), dim=1, sorted=False).values.amin(1)
    return z * (z >= least.view(-1, *[1] * (z.dim() - 2)))


def share(rate: float, samples: int) -> int:
    """How many of ``samples`` one unit may win: the rate's share, at least 1."""
    return min(samples, max(1, round(rate * samples)))
