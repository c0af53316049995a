"""Forward-Forward on sequences: the draft of Hinton 2022, its section on sleep (read second-hand).

Cells learn to tell windows of W symbols that are real from windows that the net made up. With
c_1 ... c_{W+1} real, p(k) the softmax of the linear readout that is shown c_1 ... c_W, and the loss
of ``forward_forward.py`` on

    positive            c_2 ... c_W  c_{W+1}
    negative, predicted c_2 ... c_W  k             k ~ p without c_{W+1} (teacher forcing)
    negative, rollout   d_{t+1} ... d_{t+W}        any W in a row of d_1 ... d_{W+L}, 1 <= t <= L

where d_1 ... d_W are real and d_{t+W} ~ p(. | d_t ... d_{t+W-1}) is made without ever looking at
the text: strings of W + L symbols, rolled out before an epoch from the first W symbols of every
string of the training text, and kept until the next one (``windows.py``).

So the *label* of ``forward_forward.py`` is the next symbol here, written behind a window that moves
on by one; the neutral view is the window as it is, and the readout's class is what comes next.

Departs from the draft, as far as accounts of it go: a predicted negative is never the true symbol
(it would be the positive itself); negatives of roll-outs are drawn from all strings, not from that
of their positive; strings are rolled out anew before every epoch. How the draft drew predictions,
its threshold, learning rate and epochs are not known (docs/sequences.md).

B = samples, S = strings, W = symbols of a window, L = symbols rolled out, K = symbols there are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ..errors import BadInput
from ..local import Streams
from ..windows import moved_on, roll_out, spread
from .forward_forward import ForwardForward


@dataclass(frozen=True)
class Sequences(ForwardForward):
    """Forward-Forward whose label is the next symbol.  x [B, W, K] one-hot, y [B].

    ``strings`` [S, W + L] int64 is where roll-outs are kept, one from every ``every``-th training
    sample; None for negatives that are predicted.

    >>> algorithm = Sequences(classes=3)
    >>> x = spread(torch.tensor([[0, 1, 2]]), 3)
    >>> [algorithm.view(x, torch.tensor([k])).argmax(2).tolist() for k in (1, 3)]
    [[[1, 2, 1]], [[0, 1, 2]]]
    """

    strings: Tensor | None = field(default=None, compare=False, repr=False)
    every: int = 90

    @property
    def candidates(self) -> int:
        """No label is tried: the readout answers in one pass."""
        return 0

    @property
    def asks_scores(self) -> bool:
        """Both kinds of negatives are the readout's own predictions."""
        return self.strings is not None or super().asks_scores

    @property
    def memory(self) -> Mapping[str, Tensor]:
        """The strings."""
        return {} if self.strings is None else {"strings": self.strings}

    def view(self, x: Tensor, which: Tensor) -> Tensor:
        """Window n moved on by the symbol which[n], or as it is where that is neutral."""
        if x.dim() != 3 or x.shape[2] != self.classes:
            raise BadInput(
                f"sequences are windows [W, {self.classes}], one-hot, and samples "
                f"{tuple(x.shape[1:])} came: take a text (--data FILE.txt)"
            )
        after = moved_on(x, which.clamp(max=self.classes - 1))
        return torch.where((which == self.neutral)[:, None, None], x, after)

    def streams(
        self, x: Tensor, y: Tensor, rng: Generator, scores: Tensor | None = None
    ) -> Streams:
        """Real windows, then made-up ones.  x [B, W, K], y [B] -> [2B, W, K]."""
        if self.strings is None:
            return super().streams(x, y, rng, scores)
        made = spread(self.pick(len(x), x.shape[1], rng), self.classes)
        return Streams(torch.cat([self.view(x, y), made.to(x)]), 2)

    def pick(self, count: int, width: int, rng: Generator) -> Tensor:
        """Windows out of the strings, but for the real ones at their heads.  -> [B, W]."""
        assert self.strings is not None
        strings = self.strings
        length = strings.shape[1] - width  # L
        drawn = torch.randint(len(strings) * length, (count,), generator=rng, device=rng.device)
        drawn = drawn.to(strings.device)
        at = 1 + drawn % length
        return strings[(drawn // length)[:, None], at[:, None] + torch.arange(width).to(at)]

    def renew(self, x: Tensor, predict: Callable[[Tensor], Tensor], rng: Generator) -> int:
        """Roll out every string anew.  x [N, W, K] -> rows that went forward."""
        if self.strings is None:
            return 0
        begun = x[:: self.every]
        width, length = x.shape[1], self.strings.shape[1] - x.shape[1]
        self.strings[:, :width].copy_(begun.argmax(2))
        self.strings[:, width:].copy_(roll_out(begun, length, predict, rng))
        return len(begun) * length
