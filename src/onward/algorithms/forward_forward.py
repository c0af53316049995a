"""Forward-Forward, supervised: Hinton 2022, arXiv:2212.13345, section 3.3.

Each cell learns alone to respond strongly to an image that carries its true label, weakly to the
same image with a wrong one. With g the goodness of its activities, theta a threshold, T a
temperature and p = sigmoid((g - theta) / T) the cell's belief that a row is real,

    L(cell) = - (1/2N) ( sum_pos log p  +  sum_neg log (1 - p) )
            =   1/2 mean softplus((theta - g_pos) / T)  +  1/2 mean softplus((g_neg - theta) / T)

and, where the cell has one, plus its peer term over the positives (``contrast.py``). That is the
objective *logistic*; others are in ``objectives.py``.

Two ways to read off a class: every label is tried and the largest goodness, summed over chosen
cells, wins (``verdict``); or a linear softmax reads the cells' answers to the image with a neutral
label (``neutral``). Both leave the first hidden cell out by default, as the paper does.

Departs from the paper: nothing known; the paper gives no theta, temperature, learning rate or
batch, so defaults are those of the author's MATLAB (theta = number of units, T = 1).

B = samples, N = B, S = 2 streams (positive, negative), K = classes, F = units.
"""

from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Generator, Tensor

from ..errors import BadInput
from ..goodness import Goodness, sum_of_squares
from ..labels import Writer, label_code, over_first
from ..negatives import Negatives, hard_label
from ..objectives import Objective, logistic
from .contrast import Contrast


@dataclass(frozen=True)
class ForwardForward(Contrast):
    """Forward-Forward with the label inside the input.

    ``classes`` K >= 2; ``theta`` in units of goodness, None for :func:`natural_threshold`;
    ``temperature`` T > 0; ``label_value`` the number that marks a label (pixels are in [0, 1]);
    ``loss`` what a cell makes small (objectives.py).

    >>> algorithm = ForwardForward(classes=3)
    >>> x, y, rng = torch.rand(4, 9), torch.tensor([0, 1, 2, 0]), Generator().manual_seed(0)
    >>> algorithm.streams(x, y, rng, scores=torch.zeros(4, 3)).rows.shape
    torch.Size([8, 9])
    """

    classes: int
    goodness: Goodness = sum_of_squares
    theta: float | None = None
    temperature: float = 1.0
    negatives: Negatives = hard_label
    writer: Writer = over_first
    label_value: float = 1.0
    loss: Objective = logistic

    def __post_init__(self) -> None:
        """Raises BadInput for parts and numbers that can't be."""
        super().__post_init__()
        # One class is what data with numbers to predict have: they are refused as such, later.
        if not isinstance(self.classes, Integral) or self.classes < 1:
            raise BadInput(f"classes should be a whole number from 2 up, and is {self.classes!r}")

    @property
    def asks_scores(self) -> bool:
        """Hard negatives are drawn from the readout's scores."""
        sampler = getattr(self.negatives, "func", self.negatives)  # inside a functools.partial
        return bool(getattr(sampler, "asks_scores", False))

    @property
    def views(self) -> int:
        """One view a label, and the neutral one."""
        return self.classes + 1

    @property
    def neutral(self) -> int:
        """The last view."""
        return self.classes

    @property
    def candidates(self) -> int:
        """Every label can be tried."""
        return self.classes

    def view(self, x: Tensor, which: Tensor) -> Tensor:
        """Label which[n] written into sample n; ``classes`` is neutral.  -> [B, *D']."""
        return self.writer(x, label_code(which, self.classes, self.label_value))

    def draw(self, y: Tensor, rng: Generator, scores: Tensor | None) -> Tensor:
        """True labels, then wrong ones.  y [B] -> [2, B]."""
        return torch.stack([y, self.negatives(y, self.classes, scores, rng)])
