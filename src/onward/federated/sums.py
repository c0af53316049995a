"""What an owner answers under head=exact: sums over its samples (exact.py says what for).

N = samples, F = features of the readout and one that is always 1 where it has biases, K = classes.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..errors import BadInput
from ..readouts import LinearReadout, neutral_answers
from ..row import Row
from ..tasks import Classify

LARGEST = 12_288
"""Features up to which G is built and solved: 302 MB of each client, and 3 GB beside them."""

PIECE = 1000
"""Samples whose features are held at once."""


def refuse(row: Row) -> None:
    """Raise BadInput for a readout that can't be fitted so."""
    head = row.linear()
    if head is None:
        raise BadInput("head=exact fits a linear readout, and this row has none: leave it out")
    if not isinstance(head.task, Classify):
        raise BadInput(
            "head=exact fits a softmax over classes, and this row's readout answers numbers: take "
            "head=last"
        )
    if matrix(head).shape[1] > LARGEST:
        raise BadInput(
            f"head=exact wants sums over pairs of features, of {LARGEST:,} at most, and this "
            f"readout has {matrix(head).shape[1]:,}: take head=last, or let it read fewer cells"
        )


def matrix(head: LinearReadout) -> Tensor:
    """A readout's weights, and its biases as those of a last feature: a copy.  -> [K, F]."""
    own, bias = head.linear.weight.detach(), head.linear.bias
    return own.clone() if bias is None else torch.cat([own, bias.detach()[:, None]], dim=1)


@torch.no_grad()
def sums(row: Row, x: Tensor, y: Tensor, *, gram: bool) -> tuple[dict[str, Tensor], float]:
    """An owner's answer at the row's own readout: S [K, F], and G packed where it is asked.

    x [N, *D], y [N]. Also the mean loss there, in nats: that of the point which was sent.
    """
    head = row.linear()
    assert head is not None
    classes, features = matrix(head).shape
    slope = torch.zeros(classes, features, device=x.device)
    square = torch.zeros(features, features, device=x.device) if gram else None
    loss = 0.0
    for rows, wanted in zip(torch.split(x, PIECE), torch.split(y, PIECE), strict=True):
        seen = head.features(neutral_answers(row.cells, row.algorithm, rows, head.read)).float()
        # Sums that were rounded to bf16 would be no bound, nor end at 0.
        with torch.autocast(x.device.type, enabled=False):
            scores = head(seen)
            loss += float(cross_entropy(scores, wanted, reduction="sum"))
            off = scores.softmax(1)
            off[torch.arange(len(wanted), device=x.device), wanted] -= 1
            if features > seen.shape[1]:
                seen = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
            slope += off.T @ seen
            if square is not None:
                square += seen.T @ seen
    found = {"slope": slope}
    if square is not None:
        found["gram"] = packed(square)
    return {key: tensor.cpu() for key, tensor in found.items()}, loss / max(1, len(y))


def packed(square: Tensor) -> Tensor:
    """The upper half of a symmetric matrix.  [F, F] -> [F (F + 1) / 2]."""
    rows, columns = torch.triu_indices(*square.shape, device=square.device)
    return square[rows, columns]
