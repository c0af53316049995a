"""Layer collaboration in Forward-Forward: Lorberbom et al. 2023, arXiv:2305.12393 (AAAI 2024).

Forward-Forward trains each cell on its own goodness g_i alone. Here each is told how the other
cells judge the very same row, and adds that to its own before the logistic:

    p_i = sigmoid((g_i + gamma_i - theta) / T),    gamma_i = sum_t gamma sg(g_t)
          over t != i ("all"), over t < i ("earlier"), or over nothing ("none": Forward-Forward)

    L_i = 1/2 mean softplus((theta - g_i+ - gamma_i+) / T)
        + 1/2 mean softplus((g_i- + gamma_i- - theta) / T)

sg stops the gradient: gamma moves nothing by itself, it weighs the rows, and one that the rest of
the net already handles pulls less. gamma of a positive comes from that positive, gamma of a
negative from that negative. With "all" and gamma = 1 every L_i has the same factor, so one forward
pass and one sum serve all cells, and their updates are the gradient of a single logistic loss on
the total goodness S = sum_t g_t, cut between the cells; S also chooses the label.

``scale`` is the constant gamma (1 is the paper's; other values are F-CFF of NetworkFF, Beigzad
2025, arXiv:2512.17531). A cell with a :class:`~onward.cells.Coupling` learns its own gamma_ij on
L_i instead (A-CFF), bounded in (0, 1).

``objective="entropy"`` needs neither logistic nor theta: with h the goodness of this cell and, from
behind the wall, of those that it hears (entropy.py),

    L_i = Ent[h-] - Ent[h+]

How the paper lets negatives enter is not known; this is a reading of ours (decision A13).

When cells learn is the schedule's: *simultaneous* is one pass and a sum; *alternating* is the
paper's algorithm 2, a fresh pass for each cell in turn; *greedy* trains cell by cell and serves
"none" and "earlier" only: later cells have nothing to tell yet.

Departs from the paper: its text was not at hand, and of theta, widths, optimiser and negatives
nothing is known; what is decided here, and why, is docs/collaboration.md.

B = samples, N = B, R = 2B rows, positives first, J = cells heard, F = units.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..entropy import functional_entropy
from ..errors import BadInput
from ..local import Hints, Streams
from .forward_forward import ForwardForward


@dataclass(frozen=True)
class Collaborative(ForwardForward):
    """Forward-Forward whose cells are told of each other.

    ``gamma`` says of which; ``scale`` how much each counts, any finite number, 0 for not at all.
    The rest is :class:`ForwardForward`'s. A threshold is that of one cell unless ``theta`` says
    another: the sum of k cells may want up to k times as much (decision A2).

    >>> algorithm = Collaborative(classes=3, gamma="earlier")
    >>> algorithm.hints, algorithm.tell(Streams(torch.ones(2, 5))).tolist()
    ('earlier', [5.0, 5.0])
    """

    gamma: Hints = "all"
    scale: float = 1.0
    objective: Literal["logistic", "entropy"] = "logistic"

    def __post_init__(self) -> None:
        """Raises BadInput for a gamma that there is not, too."""
        super().__post_init__()
        if self.gamma not in get_args(Hints):
            there = ", ".join(repr(one) for one in get_args(Hints))
            raise BadInput(f"gamma should be one of {there}, and is {self.gamma!r}")

    @property
    def hints(self) -> Hints:
        """Those of ``gamma``."""
        return self.gamma

    @property
    def signed(self) -> bool:
        """As plain Forward-Forward's; entropy weighs positives against negatives."""
        return self.objective == "logistic" and super().signed

    def tell(self, outs: Streams) -> Tensor:
        """The goodness of each row, detached.  -> [R]."""
        return self.goodness(outs.rows).detach()

    def offset(self, cell: nn.Module, hint: Tensor | None) -> Tensor | None:
        """gamma_i of each row, from hint [J, R]: [R], or None for a cell that hears nothing."""
        if hint is None:
            return None
        coupling = getattr(cell, "coupling", None)
        if coupling is not None:
            weighed: Tensor = coupling(hint)
            return weighed
        return self.scale * hint.sum(0)

    def losses(
        self, cell: nn.Module, ins: Streams, outs: Streams, hint: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """The loss of the file's head, and the peer term of a cell that has one."""
        g = self.goodness(outs.rows)
        if self.objective == "entropy":
            loss = self._entropy(g, hint)
        else:
            gamma = self.offset(cell, hint)
            told = g if gamma is None else g + gamma
            loss = self.judged(told, self.threshold(outs.rows), outs.sign)
        yield "cell", self.with_peers(loss, cell, ins, outs)

    def _entropy(self, g: Tensor, hint: Tensor | None) -> Tensor:
        """Ent[h-] - Ent[h+] of this cell's g [R] and what it heard [J, R]."""
        h = g[None] if hint is None else torch.cat([g[None], hint])
        if bool((h.detach() < 0).any()):
            raise BadInput(
                "the objective entropy wants a goodness that is never below 0, and one was "
                f"{float(h.detach().min()):.3g}: take sum_of_squares or mean_of_squares"
            )
        positive, negative = h.chunk(2, dim=1)
        return functional_entropy(negative) - functional_entropy(positive)
