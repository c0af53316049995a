"""The cells of an Unsupervised Forward-Forward row, from its settings."""

from functools import partial
from math import prod
from typing import Any

from torch import nn

from ..cells import (
    Adversarial,
    AutoEncoder,
    ConvAutoEncoder,
    ConvWinners,
    Corruption,
    Critic,
    Standardise,
    Untouched,
    layer_norm,
    noise,
    sparsity,
    unchanged,
)
from ..cells.lengths import Normalise
from ..data import Dataset
from ..seeds import generator
from .unsupervised import UnsupervisedSettings


def cells(s: UnsupervisedSettings, data: Dataset, seed: int) -> list[nn.Module]:
    """The cells of a row, first to last."""
    shape: tuple[int, ...] = data.shape
    if s.regime == "raw":
        standard = s.samples == "standardised"
        return [Untouched(prod(shape), Standardise(data.train.x) if standard else unchanged)]
    made: list[nn.Module] = []
    for number in range(len(s.widths)):
        cell, shape = _cell(s, data, seed, number, shape)
        made.append(cell)
    return made


def _cell(
    s: UnsupervisedSettings, data: Dataset, seed: int, number: int, shape: tuple[int, ...]
) -> tuple[nn.Module, tuple[int, ...]]:
    """Cell ``number`` for inputs of ``shape``, and the shape of what it hands on."""
    first, rng = number == 0, generator(seed, "cells", number)
    normalise: Normalise = layer_norm
    level = s.noise_level
    if first and s.samples == "standardised":
        scale = Standardise(data.train.x)
        normalise = scale
        # Its level is on the pixels' own scale; features of a table have no scale in common.
        if s.noise == "gaussian" and len(shape) == 3:
            level = level / float(scale.spread.mean())
    elif first and s.samples == "pixels":
        normalise = unchanged
    if s.cell == "convwta":
        winners = ConvWinners(
            shape,
            s.widths[number],
            kernel=s.kernel,
            decoder_kernel=s.decoder_kernel,
            rate=s.sparsity_level,
            pool=s.pool,
            stride=s.pool if s.stride is None else s.stride,
            normalise=normalise,
            rng=rng,
        )
        return winners, winners.maps
    sparse = {
        "none": None,
        "k_sparse": partial(sparsity.k_sparse, k=int(s.sparsity_level)),
        "lifetime": partial(sparsity.lifetime, rate=s.sparsity_level),
        "map_lifetime": partial(sparsity.map_lifetime, rate=s.sparsity_level),
    }[s.sparsity]
    corrupt = noise.BY_NAME.get(s.noise)
    options: dict[str, Any] = {
        "normalise": normalise,
        "activation": s.activation,
        "noise": Corruption(corrupt, level, seed, number) if corrupt else None,
        "sparsity": sparse,
        "l1": s.l1,
        "loss": s.loss if first else "mse",
        "rng": rng,
    }
    whole = None if s.target == "own" or first else data.shape
    if s.cell == "cae":
        conv = ConvAutoEncoder(
            shape, s.widths[number], kernel=s.kernel, pool=s.pool, restores=whole, **options
        )
        return conv, conv.maps
    dense = AutoEncoder(
        prod(shape),
        s.widths[number],
        tied=s.tied,
        bias=s.bias,
        restores=prod(whole) if whole else None,
        **options,
    )
    if s.cell != "gan":
        return dense, (dense.outputs,)
    critic = Critic(prod(whole or shape), s.critic, rng)
    return Adversarial(dense, critic, s.reconstruction), (dense.outputs,)
