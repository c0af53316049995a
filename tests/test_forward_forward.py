"""Supervised Forward-Forward against the formulas of the paper's digest, in double precision.

Names in brackets (FF-T1, ...) are those of the digest's acceptance tests. That a minibatch equals
the author's MATLAB (FF-T5) is in test_matlab.py.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from onward import BadInput, ForwardForward, Streams, build_row, fit, generator, load, sgd
from onward.cells import Dense, Recurrent
from onward.evaluate import judge
from onward.goodness import BY_NAME, mean_of_squares, negative, sum_of_squares
from onward.labels import appended
from onward.negatives import wrong_label
from onward.readouts import neutral_answers

B, INPUTS, UNITS, CLASSES = 3, 7, 5, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def cell_of(units: int = UNITS, seed: int = 0) -> Dense:
    cell = Dense(INPUTS, units, rng=generator(seed, "cells")).double()
    with torch.no_grad():
        cell.linear.bias.copy_(0.3 * drawn(units, seed=9))
    return cell


def loss_of(algorithm: ForwardForward, cell: nn.Module, rows: Tensor) -> Tensor:
    ins = Streams(rows, 2)
    ((group, loss),) = algorithm.losses(cell, ins, Streams(cell(rows), 2), None)
    assert group == "cell"
    return loss


def looped_loss(h: Tensor, good: Callable[[Tensor], Tensor], theta: float, t: float) -> float:
    """Minus the mean log probability of being right, row by row."""
    total = 0.0
    for number, row in enumerate(h):
        logit = (float(good(row[None])) - theta) / t
        total += math.log1p(math.exp(-logit if number < B else logit))  # -log p, -log (1 - p)
    return total / (2 * B)


@pytest.mark.parametrize(("theta", "t"), [(None, 1.0), (1.7, 0.6)])
@pytest.mark.parametrize("name", BY_NAME)
def test_loss_and_finite_differences(name: str, theta: float | None, t: float) -> None:
    """FF-T1 for every goodness: the loss is the one written down, and autograd follows it."""
    algorithm = ForwardForward(CLASSES, goodness=BY_NAME[name], theta=theta, temperature=t)
    cell, rows = cell_of(), drawn(2 * B, INPUTS)
    natural = float(BY_NAME[name](torch.ones(1, UNITS))) if theta is None else theta

    def slow() -> float:
        with torch.no_grad():
            return looped_loss(cell(rows), BY_NAME[name], natural, t)

    loss = loss_of(algorithm, cell, rows)
    assert loss.item() == pytest.approx(slow(), abs=1e-12)
    step = 1e-6
    for parameter in (cell.linear.weight, cell.linear.bias):
        (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True)
        flat, at = parameter.data.view(-1), gradient.reshape(-1)
        for place in range(len(flat)):
            kept = float(flat[place])
            flat[place] = kept + step
            up = slow()
            flat[place] = kept - step
            down = slow()
            flat[place] = kept
            assert float(at[place]) == pytest.approx((up - down) / (2 * step), abs=1e-8)


def test_gradients_of_the_local_update() -> None:
    """FF-T1: mean over cases of -(1 - p) y_j x_hat for positives, p y_j x_hat for negatives."""
    algorithm, cell, rows = ForwardForward(CLASSES), cell_of(), drawn(2 * B, INPUTS)
    w, b = cell.linear.weight.detach(), cell.linear.bias.detach()
    weight = torch.zeros(UNITS, INPUTS, dtype=torch.float64)
    bias = torch.zeros(UNITS, dtype=torch.float64)
    for number, row in enumerate(rows):
        seen = row / (1e-8 + row.square().mean().sqrt())
        y = [max(0.0, float((w[j] * seen).sum() + b[j])) for j in range(UNITS)]
        p = 1 / (1 + math.exp(-(sum(v * v for v in y) - UNITS)))
        factor = -(1 - p) if number < B else p
        for j in range(UNITS):
            weight[j] += factor * y[j] * seen / B
            bias[j] += factor * y[j] / B
    parameters = [cell.linear.weight, cell.linear.bias]
    came = torch.autograd.grad(loss_of(algorithm, cell, rows), parameters)
    for one, other in zip(came, (weight, bias), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("units", [5, 64])
def test_sum_form_equals_mean_form(units: int) -> None:
    """FF-T4: theta = H and T = 1 on the sum are theta = 1 and T = 1/H on the mean."""
    cell, rows = cell_of(units), drawn(2 * B, INPUTS)
    parameters = [cell.linear.weight, cell.linear.bias]
    explicit_sum = ForwardForward(CLASSES, theta=float(units))
    forms = [
        ForwardForward(CLASSES, goodness=mean_of_squares, theta=1.0, temperature=1 / units),
        ForwardForward(CLASSES, goodness=mean_of_squares, temperature=1 / units),
        ForwardForward(CLASSES),
    ]
    loss = loss_of(explicit_sum, cell, rows)
    wanted = torch.autograd.grad(loss, parameters)
    for form in forms:
        other = loss_of(form, cell, rows)
        torch.testing.assert_close(other, loss, rtol=1e-12, atol=1e-14)
        for one, two in zip(torch.autograd.grad(other, parameters), wanted, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-14)
    softer = loss_of(ForwardForward(CLASSES, goodness=mean_of_squares), cell, rows)
    assert abs(softer.item() - loss.item()) > 1e-3, "T = 1 on the mean is another loss"


def test_natural_threshold() -> None:
    h = torch.zeros(2, 3, 4, 5)
    assert ForwardForward(CLASSES).threshold(h) == 60.0
    assert ForwardForward(CLASSES, goodness=mean_of_squares).threshold(h) == 1.0
    assert ForwardForward(CLASSES, theta=2.5).threshold(h) == 2.5
    assert ForwardForward(CLASSES, theta=0.0).threshold(h) == 0.0, "0 is a threshold, not a blank"


def test_negative_goodness_turns_the_decision_round() -> None:
    """Decision A17: p = sigmoid(theta - S) with the same theta, H by default."""
    algorithm = ForwardForward(CLASSES, goodness=negative(sum_of_squares))
    cell, rows = cell_of(), drawn(2 * B, INPUTS)
    h = cell(rows)
    assert algorithm.threshold(h) == -UNITS
    total = 0.0
    for number, row in enumerate(h.tolist()):
        p = 1 / (1 + math.exp(-(UNITS - sum(v * v for v in row))))
        total -= math.log(p if number < B else 1 - p) / (2 * B)
    assert loss_of(algorithm, cell, rows).item() == pytest.approx(total, abs=1e-12)
    assert torch.equal(algorithm.verdict(h), -sum_of_squares(h)), "the smallest sum wins"


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_saturated_logistic_stays_finite(scale: float) -> None:
    cell, rows = cell_of(), drawn(2 * B, INPUTS)
    with torch.no_grad():
        cell.linear.weight.mul_(scale)
    loss = loss_of(ForwardForward(CLASSES), cell.float(), rows.float())
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(loss.item())
    assert bool(torch.isfinite(cell.linear.weight.grad).all())  # type: ignore[arg-type]


def test_the_peer_term_is_of_positives_only() -> None:
    plain, rows = cell_of(), drawn(2 * B, INPUTS)
    peered = Dense(INPUTS, UNITS, peers=0.03).double()
    peered.linear.load_state_dict(plain.linear.state_dict())
    assert peered.peers is not None
    means = 0.9 * 0.5 + 0.1 * plain(rows)[:B].mean(0)
    seen = rows / rows.square().mean(1, keepdim=True).sqrt()
    drives = (seen @ plain.linear.weight.T + plain.linear.bias)[:B]
    term = 0.03 / B * ((means - means.mean()) * drives).sum()
    algorithm = ForwardForward(CLASSES)
    difference = loss_of(algorithm, peered, rows) - loss_of(algorithm, plain, rows)
    torch.testing.assert_close(difference, term, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(peered.peers.means, means, rtol=1e-9, atol=0)


# What flows.


@pytest.mark.parametrize("shape", [(9,), (1, 3, 3), (2, 4)])
def test_streams_are_true_labels_then_wrong_ones(shape: tuple[int, ...]) -> None:
    algorithm = ForwardForward(CLASSES, negatives=wrong_label)
    x, y = torch.rand(6, *shape) + 1.5, torch.tensor([0, 1, 2, 3, 0, 2])
    streams = algorithm.streams(x, y, generator(0, "negatives"))
    assert streams.rows.shape == (12, *shape)
    assert streams.count == 2
    assert streams.target is None, "labels end here"
    positive, negatives = streams.split()
    wrong = wrong_label(y, CLASSES, None, generator(0, "negatives"))
    for stream, labels in ((positive, y), (negatives, wrong)):
        for sample, row, label in zip(x, stream, labels, strict=True):
            numbers, kept = row.flatten().tolist(), sample.flatten().tolist()
            assert numbers[:CLASSES] == [1.0 if k == label else 0.0 for k in range(CLASSES)]
            assert numbers[CLASSES:] == kept[CLASSES:]


def test_appended_labels_make_wider_streams() -> None:
    algorithm = ForwardForward(CLASSES, negatives=wrong_label, writer=appended, label_value=2.0)
    x, y = torch.rand(6, 1, 3, 3), torch.tensor([0, 1, 2, 3, 0, 2])
    rows = algorithm.streams(x, y, generator(0, "negatives")).rows
    assert rows.shape == (12, 9 + CLASSES)
    assert torch.equal(rows[:, :9], x.flatten(1).repeat(2, 1))
    assert torch.equal(rows[:6, 9:], 2.0 * nn.functional.one_hot(y, CLASSES))


def test_hard_negatives_use_the_scores_they_are_given() -> None:
    algorithm = ForwardForward(CLASSES)
    assert algorithm.asks_scores
    assert not ForwardForward(CLASSES, negatives=wrong_label).asks_scores
    y = torch.tensor([0, 1, 2, 3])
    scores = 1e4 * torch.eye(CLASSES)[(y + 2) % CLASSES]
    which = algorithm.draw(y, generator(0, "negatives"), scores)
    assert which.tolist() == [y.tolist(), ((y + 2) % CLASSES).tolist()]


def test_views() -> None:
    algorithm = ForwardForward(10)
    assert (algorithm.views, algorithm.neutral, algorithm.candidates) == (11, 10, 10)
    x = torch.rand(11, 1, 4, 4)
    rows = algorithm.view(x, torch.arange(11)).flatten(1)
    assert torch.equal(rows[:10, :10], torch.eye(10))
    assert rows[10, :10].tolist() == [pytest.approx(0.1)] * 10, "neutral: ten values of 0.1"
    assert torch.equal(rows[:, 10:], x.flatten(1)[:, 10:])
    brighter = ForwardForward(10, label_value=3.0).view(x, torch.arange(11)).flatten(1)
    assert torch.equal(brighter[:10, :10], 3 * torch.eye(10))
    assert brighter[10, :10].tolist() == [pytest.approx(0.3)] * 10


def test_measures_are_the_two_means() -> None:
    h = drawn(2 * B, UNITS)
    measured = ForwardForward(CLASSES).measures(Streams(h, 2))
    sums = [sum(v * v for v in row) for row in h.tolist()]
    assert float(measured["goodness_positive"]) == pytest.approx(sum(sums[:B]) / B)
    assert float(measured["goodness_negative"]) == pytest.approx(sum(sums[B:]) / B)


# What is read off.


class Loud(nn.Module):
    """A cell whose answer to each row is made longer or shorter by a number of that row."""

    def __init__(self, cell: Dense):
        super().__init__()
        self.cell, self.outputs = cell, cell.outputs

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.cell(x)
        place = torch.arange(1.0, 1 + x[0].numel())  # so that every label gets another length
        return h * (2 + 1.9 * torch.sin(x.flatten(1) @ place))[:, None]


def test_the_first_cell_has_no_part_in_the_default_decision() -> None:
    """FF-T13, with either readout: later cells are blind to length, so nothing may change."""
    rng = generator(0, "cells")
    cells = [Dense(20, 30, rng=rng), Dense(30, 30, rng=rng), Dense(30, 30, rng=rng)]
    algorithm = ForwardForward(CLASSES)
    x = torch.rand(200, 20, generator=torch.Generator().manual_seed(0))

    def scores(first: nn.Module, counted: tuple[int, ...] | None) -> dict[str, Tensor]:
        row = build_row(
            [first, *cells[1:]],
            algorithm,
            sgd(0.1),
            classes=CLASSES,
            readout=sgd(0.1),
            counted=counted,
        )
        assert row.readout is not None
        weights = torch.Generator().manual_seed(2)
        linear = row.linear()
        assert linear is not None
        assert linear.read == (1, 2)
        nn.init.normal_(linear.linear.weight, generator=weights)
        return judge(row, x).scores(row, 3)

    quiet, loud = scores(cells[0], None), scores(Loud(cells[0]), None)
    for readout in ("goodness", "linear"):
        torch.testing.assert_close(loud[readout], quiet[readout], rtol=1e-4, atol=1e-3)
    whole, changed = scores(cells[0], (0, 1, 2)), scores(Loud(cells[0]), (0, 1, 2))
    agreed = whole["goodness"].argmax(1) == changed["goodness"].argmax(1)
    assert float(agreed.double().mean()) < 0.9, "the loud first cell decides nothing when counted"


def test_a_row_of_one_cell_counts_it() -> None:
    row = build_row([Dense(9, 5)], ForwardForward(3), sgd(0.1), classes=3, readout=sgd(0.1))
    assert row.counted == (0,)
    linear = row.linear()
    assert linear is not None
    assert linear.read == (0,)


def test_the_linear_readout_is_shown_no_label() -> None:
    rng = generator(0, "cells")
    cells = [Dense(20, 30, rng=rng), Dense(30, 30, rng=rng)]
    x = torch.rand(5, 20)
    written = x.clone()
    written[:, :CLASSES] = 1 / CLASSES
    seen = neutral_answers(cells, ForwardForward(CLASSES), x)
    assert torch.equal(seen[0], cells[0](written))
    assert torch.equal(seen[1], cells[1](cells[0](written)))
    assert not seen[1].requires_grad


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"goodness": "top_k"}, "goodness should be a function, and is 'top_k'"),
        ({"loss": "symba"}, "loss should be a function, and is 'symba'"),
        ({"negatives": "hard"}, "negatives should be a function, and is 'hard'"),
        ({"writer": 3}, "writer should be a function, and is 3"),
        ({"temperature": 0}, "temperature should be a number above 0, and is 0"),
        ({"temperature": "1"}, "temperature should be a number above 0, and is '1'"),
        ({"theta": "2"}, "theta should be a number, and is '2'"),
        ({"theta": math.nan}, "theta should be a number, and is nan"),
        ({"classes": 0}, "classes should be a whole number from 2 up, and is 0"),
        ({"classes": "10"}, "classes should be a whole number from 2 up, and is '10'"),
    ],
)
def test_parts_that_are_none_are_refused_where_they_are_named(
    given: dict[str, object], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        ForwardForward(**{"classes": CLASSES, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"optimizer": "sgd"}, "optimizer wants a function, e.g. .*, and 'sgd' is none"),
        ({"readout": "adamw"}, "readout wants a function, e.g. .*, and 'adamw' is none"),
        ({"rate": 0.1}, "rate wants a function, e.g. .*, and 0.1 is none"),
        ({"epochs": "3"}, "epochs should be a whole number, and is '3'"),
        ({"batch": 2.5}, "batch should be a whole number, and is 2.5"),
    ],
)
def test_fit_refuses_what_is_no_setting(given: dict[str, object], says: str) -> None:
    data, cells = load("synthetic"), [Dense(64, 5), Dense(5, 5)]
    algorithm = ForwardForward(10, negatives=wrong_label)
    with pytest.raises(BadInput, match=says):
        fit(cells, algorithm, data, **{"epochs": 1, "threads": 1, **given})  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    cells = [Dense(64, 5), Dense(5, 5)]
    numbers: dict[str, Any] = {"theta": np.float32(2.0), "temperature": np.float64(1.0)}
    algorithm = ForwardForward(10, negatives=wrong_label, **numbers)
    sizes: dict[str, Any] = {"epochs": np.int64(1), "batch": np.int32(50)}
    fit(cells, algorithm, load("synthetic"), threads=1, **sizes)


def test_cells_that_see_the_one_above_are_none_of_forward_forwards() -> None:
    cells = [Recurrent(64, 5, above=5), Recurrent(5, 5, above=10)]
    algorithm = ForwardForward(10, negatives=wrong_label)
    with pytest.raises(BadInput, match="take RecurrentForwardForward and the schedule recurrent"):
        fit(cells, algorithm, load("synthetic"), epochs=1, threads=1)
