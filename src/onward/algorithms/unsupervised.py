"""Unsupervised Forward-Forward: Hwang, Seo and Jung 2024, arXiv:2404.14664.

Each cell is a small complete model (an auto-encoder of some kind, or a GAN) that learns by its own
usual loss on ordinary samples: no positives or negatives, no goodness, no label. With x_0 = x, the
encoder E_i of cell i and the wall sg,

    z_i = E_i(LN(x_{i-1}))         its latent; LN a layer norm without gains (the first cell: none)
    x_i = sg(z_i)                  what passes on
    L_i = its loss of restoring LN(x_{i-1}), or the original sample (``target="original"``)
    y   = softmax(C [LN(z_1); ...; LN(z_N)])      a linear readout on all latents, trained apart

Labels are used by the readout only. Under the schedule *simultaneous* every cell learns from every
batch and hands on its latent of before its step; under *greedy* (the paper's separate training)
each cell learns to its end, then the readout.

Departs from the paper: its text was not at hand, only accounts of it; what is decided here, and
why, is docs/unsupervised.md.

B = samples, D = sample shape, F = a latent's shape.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..local import Algorithm, Streams


@dataclass(frozen=True)
class UnsupervisedForwardForward(Algorithm):
    """One clean stream, and the loss that each cell brings along.

    A cell has a method ``losses(x, z, target)`` that yields (parameter group, loss) pairs: z is
    what it answered to x, target what to restore, or None for x itself.
    """

    target: Literal["own", "original"] = "own"

    @property
    def originals(self) -> bool:
        """The sample travels with the latent where every cell restores it."""
        return self.target == "original"

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """The cell's own."""
        own = getattr(cell, "losses", None)
        if own is None:
            raise BadInput(
                f"Unsupervised Forward-Forward wants cells with a loss of their own, and "
                f"{type(cell).__name__} has no method losses(x, z, target): take AutoEncoder, "
                "ConvAutoEncoder, ConvWinners or Adversarial"
            )
        yield from own(ins.rows, outs.rows, ins.original)

    def measures(self, outs: Streams) -> dict[str, Tensor]:
        """The share of active units, and how much a latent depends on its sample.

        Dependence is the spread of a unit over samples, as a share of its root mean square, meaned
        over units: 0 for a latent that is the same for every sample.
        """
        flat = outs.rows.flatten(1)
        spread, size = flat.std(0, correction=0), flat.square().mean(0).sqrt()
        return {
            "active": (flat > 0).float().mean(),
            "dependence": torch.where(size > 0, spread / size, 0.0).mean(),
        }
