"""Windows of symbols: moved on by one, drawn from scores, rolled out.

A window holds W symbols out of K, one-hot: x [B, W, K]. A *roll-out* is what comes where a
predictor is fed with its own predictions: with c_1 ... c_W given,

    c_{t+1} ~ softmax(predict(c_{t-W+1} ... c_t) / T)

and nothing else is looked at, so that no roll-out can know how the text went on.

B = windows, S = strings, L = symbols that are made.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

Predict = Callable[[Tensor], Tensor]
"""x [B, W, K] -> scores [B, K] of the symbol that comes next."""


def spread(symbols: Tensor, count: int) -> Tensor:
    """Symbols [...] of ``count`` kinds, one-hot.  -> [..., K] float."""
    return one_hot(symbols.long(), count).float()


def moved_on(x: Tensor, symbols: Tensor) -> Tensor:
    """Windows without their first symbol, with ``symbols`` [B] behind their last.  -> [B, W, K].

    >>> x = spread(torch.tensor([[0, 1, 2]]), 4)
    >>> moved_on(x, torch.tensor([3])).argmax(2)
    tensor([[1, 2, 3]])
    """
    last = spread(symbols, x.shape[2]).to(x)
    return torch.cat([x[:, 1:], last[:, None]], dim=1)


def draw(scores: Tensor, rng: Generator, temperature: float = 1.0) -> Tensor:
    """A symbol each in proportion to softmax(scores / T), the largest where T = 0.  [B, K] -> [B].

    By the Gumbel-max rule: argmax_k (score_k / T - log e_k), e_k ~ Exp(1).
    """
    if temperature == 0:
        return scores.argmax(1)
    noise = torch.empty_like(scores).exponential_(generator=rng)
    return (scores / temperature - noise.log()).argmax(1)


@torch.no_grad()
def roll_out(
    begun: Tensor, length: int, predict: Predict, rng: Generator, temperature: float = 1.0
) -> Tensor:
    """The ``length`` symbols that ``predict`` makes after begun [S, W, K].  -> [S, L] int64."""
    made, x = [], begun
    for _ in range(length):
        made.append(draw(predict(x), rng, temperature))
        x = moved_on(x, made[-1])
    return torch.stack(made, dim=1)
