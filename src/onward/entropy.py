"""Functional entropy of goodness: Lorberbom et al. 2023, arXiv:2305.12393 (read second-hand).

With h >= 0 a function and mu a probability measure,

    Ent_mu[h] = E_mu[h log h] - E_mu[h] log E_mu[h]  =  E_mu[h] KL(q || mu),   q = h mu / E_mu[h]

it says how far h moves the measure: 0 where h is the same everywhere. Here h(i, n) is the goodness
of cell i on row n, and mu is uniform over cells and rows. Then exactly

    Ent_mu[h] = Ent_cells[ E_rows h ] + E_cells[ Ent_rows h(i, .) ]       (across, within)

Ent[c h] = c Ent[h], so nets are compared by Ent[h] / E[h], which is the divergence KL(q || mu)
in nats: else the one with larger activities wins. Estimated by plugging in the rows at hand, with
1e-12 added to h (decision A12).

L = cells, N = rows.
"""

from torch import Tensor

TINY = 1e-12
"""Added to a goodness, which may be 0, before its logarithm is taken."""


def functional_entropy(h: Tensor, dim: int | None = None) -> Tensor:
    """Ent[h] in units of h, >= 0, over all of h or along one dimension.  h [L, N], h >= 0.

    >>> import torch
    >>> functional_entropy(torch.tensor([[2.0, 2.0]])).abs().item() < 1e-6
    True
    >>> round(functional_entropy(torch.tensor([[0.0, 2.0]])).item(), 4)  # E = 1, KL = log 2
    0.6931
    """
    h = h + TINY
    product = h * h.log()
    if dim is None:
        return product.mean() - h.mean() * h.mean().log()
    mean = h.mean(dim)
    return product.mean(dim) - mean * mean.log()


def across(h: Tensor) -> Tensor:
    """Ent_cells of the cells' means: how unequally loud they are.  h [L, N] -> scalar."""
    return functional_entropy(h.mean(1))


def within(h: Tensor) -> Tensor:
    """The mean over cells of each one's own entropy over rows.  h [L, N] -> scalar."""
    return functional_entropy(h, dim=1).mean()
