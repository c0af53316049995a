"""Forward-Forward without labels: Hinton 2022, arXiv:2212.13345, section 3.2.

Each cell learns alone to respond strongly to real images and weakly to hybrids of two of them
(``hybrids.py``), by the loss of ``contrast.py``:

    positives   x                      the batch as it is
    negatives   m x + (1 - m) x'       x' another image of the batch, m a fresh mask for each

No label flows through the row. A linear softmax on the length-normalised activities of chosen cells
(all but the first, as in the paper) reads classes off; it learns along on the positives, which are
what it is shown when a new image comes, so no pass is made for it.

Departs from the paper: it gives no theta, learning rate, batch or decay for this experiment, so
defaults are those of the author's MATLAB of the supervised one (FF-A20); there the readout learns
after the cells, here along with them. Of the masks, see ``hybrids.py``.

B = samples, S = 2 streams (positive, negative).
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..goodness import Goodness, sum_of_squares
from ..hybrids import Padding, hybrids
from ..local import Streams
from ..objectives import Objective, logistic
from .contrast import Contrast


@dataclass(frozen=True)
class HybridForwardForward(Contrast):
    """Forward-Forward on images and hybrids of two.

    ``goodness``, ``theta``, ``temperature`` and ``loss`` as of :class:`Contrast`; ``blurs`` 0 or
    more, of each mask, and ``padding`` of the bits that are blurred.

    >>> algorithm = HybridForwardForward(blurs=4)
    >>> x, y = torch.rand(4, 1, 6, 6), torch.tensor([0, 1, 2, 0])
    >>> algorithm.streams(x, y, Generator().manual_seed(0)).rows.shape
    torch.Size([8, 1, 6, 6])
    """

    goodness: Goodness = sum_of_squares
    theta: float | None = None
    temperature: float = 1.0
    blurs: int = 6
    padding: Padding = "edge"
    loss: Objective = logistic

    @property
    def shows(self) -> int:
        """Positives are samples as a readout sees them."""
        return 0

    @property
    def fewest(self) -> int:
        """A hybrid is made of two."""
        return 2

    def streams(
        self, x: Tensor, y: Tensor, rng: Generator, scores: Tensor | None = None
    ) -> Streams:
        """Images, then hybrids.  x [B, *D] -> [2B, *D]; y and scores are not looked at."""
        return Streams(torch.cat([x, hybrids(x, rng, self.blurs, self.padding)]), 2)
