"""Both readouts against the obvious way: pass after pass, and torch's own regression."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from onward import BadInput, Clean, ForwardForward, Station, build_row, generator, sgd
from onward.cells import Dense, rms
from onward.evaluate import confusion, errors, judge
from onward.goodness import negative, sum_of_squares
from onward.labels import Writer, appended, over_first
from onward.readouts import LinearReadout, every_label, learn, neutral_answers
from onward.row import Row

CLASSES, INPUTS = 4, 12


def row_of(writer: Writer = over_first, counted: tuple[int, ...] | None = None) -> Row:
    rng = generator(0, "cells")
    entering = INPUTS + (CLASSES if writer is appended else 0)
    cells = [Dense(entering, 9, rng=rng), Dense(9, 8, rng=rng), Dense(8, 7, rng=rng)]
    algorithm = ForwardForward(CLASSES, writer=writer)
    row = build_row(
        [cell.double() for cell in cells],
        algorithm,
        sgd(0.1),
        classes=CLASSES,
        readout=sgd(0.1),
        counted=counted,
    )
    for station in row.everyone:
        station.cell.double()
    return row


def samples(count: int, *shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, *shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(INPUTS,), (1, 3, 4)])
@pytest.mark.parametrize("writer", [over_first, appended])
def test_every_label_equals_one_pass_a_label(writer: Writer, shape: tuple[int, ...]) -> None:
    row, x = row_of(writer), samples(6, *shape)
    came = every_label(row.cells, row.algorithm, x)
    assert came.shape == (3, 6, CLASSES)
    for sample in range(6):
        for label in range(CLASSES):
            numbers = x[sample].flatten().tolist()
            code = [1.0 if k == label else 0.0 for k in range(CLASSES)]
            numbers = numbers + code if writer is appended else code + numbers[CLASSES:]
            h = torch.tensor([numbers], dtype=torch.float64)
            for number, cell in enumerate(row.cells):
                h = cell(h)
                goodness = sum(v * v for v in h.flatten().tolist())
                assert float(came[number, sample, label]) == pytest.approx(goodness, rel=1e-12)


@pytest.mark.parametrize("counted", [None, (0,), (0, 1, 2), (2,)])
def test_the_largest_sum_over_counted_cells_wins(counted: tuple[int, ...] | None) -> None:
    row, x = row_of(counted=counted), samples(50, INPUTS)
    y = torch.arange(50) % CLASSES
    passes = every_label(row.cells, row.algorithm, x)
    wrong, alone = 0, [0, 0, 0]
    table = [[0] * CLASSES for _ in range(CLASSES)]
    for sample in range(50):
        totals = [
            sum(float(passes[cell, sample, label]) for cell in counted or (1, 2))
            for label in range(CLASSES)
        ]
        guess = totals.index(max(totals))
        wrong += guess != int(y[sample])
        table[int(y[sample])][guess] += 1
        for cell in range(3):
            alone[cell] += int(passes[cell, sample].argmax()) != int(y[sample])
    found = errors(row, x, y)
    assert found["goodness"] == wrong / 50
    assert found["goodness_cells"] == [count / 50 for count in alone]
    assert confusion(row, x, y, CLASSES)["goodness"] == table


def test_cells_that_have_not_learned_are_not_counted() -> None:
    row, x = row_of(counted=(0, 2)), samples(20, INPUTS)
    verdicts = judge(row, x)
    assert verdicts.goodness is not None
    assert torch.equal(verdicts.scores(row, 2)["goodness"], verdicts.goodness[0])
    assert "goodness" not in row_scores(row_of(counted=(2,)), x, trained=2)
    assert len(errors(row, x, torch.zeros(20, dtype=torch.long), trained=2)["goodness_cells"]) == 2


def row_scores(row: Row, x: Tensor, trained: int) -> dict[str, Tensor]:
    return judge(row, x).scores(row, trained)


def test_a_negative_goodness_lets_the_smallest_sum_win() -> None:
    row, x = row_of(), samples(20, INPUTS)
    plain = row_scores(row, x, 3)["goodness"]
    row.algorithm = ForwardForward(CLASSES, goodness=negative(sum_of_squares))
    assert torch.equal(row_scores(row, x, 3)["goodness"].argmax(1), plain.argmin(1))


def test_chunks_of_a_large_set_are_put_together_in_order() -> None:
    row, x = row_of(), samples(1203, INPUTS)
    whole, tail = judge(row, x), judge(row, x[1190:])
    assert whole.goodness is not None
    assert tail.goodness is not None
    assert whole.linear is not None
    assert whole.goodness.shape == (3, 1203, CLASSES)
    assert whole.linear.shape == (1203, CLASSES)
    torch.testing.assert_close(whole.goodness[:, 1190:], tail.goodness)


def test_an_algorithm_without_labels_has_no_label_to_try() -> None:
    row = row_of()
    row.algorithm = Clean()
    assert set(row_scores(row, samples(5, INPUTS), 3)) == {"linear"}
    with pytest.raises(BadInput, match="Clean writes no labels"):
        row.algorithm.verdict(samples(2, 3))


# The linear readout.


def test_it_starts_at_zero_and_has_no_bias() -> None:
    readout = LinearReadout([8, 7], CLASSES, [1, 2])
    assert {n: tuple(p.shape) for n, p in readout.named_parameters()} == {
        "linear.weight": (CLASSES, 15)
    }
    assert torch.equal(readout.linear.weight, torch.zeros(CLASSES, 15))


@pytest.mark.parametrize("read", [(0,), (1, 2), (2, 0)])
def test_features_are_each_cells_answer_at_rms_1(read: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    answers = [
        scale * torch.rand(5, *shape, generator=rng, dtype=torch.float64)
        for scale, shape in ((1.0, (9,)), (50.0, (2, 2, 2)), (0.01, (7,)))
    ]
    widths = [9, 8, 7]
    readout = LinearReadout([widths[i] for i in read], CLASSES, read)
    features = readout.features(answers)
    at = 0
    for cell in read:
        part = features[:, at : at + widths[cell]]
        assert torch.equal(part, rms(answers[cell].flatten(1)))
        for row in part.tolist():
            assert sum(v * v for v in row) / len(row) == pytest.approx(1.0, rel=1e-5)
        at += widths[cell]
    assert features.shape[1] == readout.linear.in_features == at


def test_learning_equals_a_plain_softmax_regression() -> None:
    """Losses, scores from before each step, and weights, over thirty steps with decay."""
    features = samples(40, 15)
    y = torch.randint(0, CLASSES, (40,), generator=torch.Generator().manual_seed(1))
    readout = LinearReadout([8, 7], CLASSES, [1, 2]).double()
    station = Station("readout", readout, {"readout": sgd(0.5, 0.9, 0.03)(readout.parameters())})
    weight = torch.zeros(CLASSES, 15, dtype=torch.float64)
    velocity = torch.zeros_like(weight)
    twin = nn.Linear(15, CLASSES, bias=False).double()
    nn.init.zeros_(twin.weight)
    plain = torch.optim.SGD(twin.parameters(), lr=0.5, momentum=0.9)
    for step in range(30):
        at = torch.arange(step, step + 10) % 40
        loss, scores = learn(station, features[at], y[at])
        expected = features[at] @ weight.T
        torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(loss, cross_entropy(expected, y[at]), rtol=1e-9, atol=0)
        assert not scores.requires_grad
        belief = expected.softmax(1) - nn.functional.one_hot(y[at], CLASSES)
        velocity = 0.9 * velocity + belief.T @ features[at] / 10
        weight = weight * (1 - 0.5 * 0.03) - 0.5 * velocity
        torch.testing.assert_close(readout.linear.weight, nn.Parameter(weight))
        # Torch's own, decayed by hand.
        plain.zero_grad()
        cross_entropy(twin(features[at]), y[at]).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            twin.weight.mul_(1 - 0.5 * 0.03)
        plain.step()
        torch.testing.assert_close(readout.linear.weight, twin.weight, rtol=1e-9, atol=1e-12)
    assert float((features @ weight.T).argmax(1).eq(y).double().mean()) > 0.4


def test_its_loss_trains_nothing_but_itself() -> None:
    row, x = row_of(), samples(6, INPUTS)
    assert row.readout is not None
    linear = row.linear()
    assert linear is not None
    seen = neutral_answers(row.cells, row.algorithm, x)
    before = [p.detach().clone() for cell in row.cells for p in cell.parameters()]
    learn(row.readout, linear.features(seen), torch.arange(6) % CLASSES)
    after = [p for cell in row.cells for p in cell.parameters()]
    assert all(p.grad is None for p in after)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert bool((linear.linear.weight != 0).any())


@pytest.mark.parametrize("what", ["read", "counted"])
def test_a_cell_the_row_does_not_have_is_refused_by_name(what: str) -> None:
    with pytest.raises(BadInput, match=rf"{what} names cell 3, but the row has 0 to 2"):
        build_row(
            row_of().cells,
            ForwardForward(CLASSES),
            sgd(0.1),
            classes=CLASSES,
            readout=sgd(0.1),
            **{what: [3]},  # type: ignore[arg-type]
        )
