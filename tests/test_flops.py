"""Counted operations against torch's own counter, and against arithmetic."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from onward import (
    AutoEncoder,
    Clean,
    ConvAutoEncoder,
    ConvWinners,
    Dense,
    ForwardForward,
    UnsupervisedForwardForward,
    build_row,
    fast,
    generator,
    sgd,
)
from onward.flops import counted
from onward.negatives import wrong_label
from onward.row import Row
from onward.schedules import BY_NAME

N, CLASSES = 12, 4


def torchs(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def dense(algorithm: object) -> Row:
    cells = [Dense(30, 20), Dense(20, 10)]
    row = build_row(cells, algorithm, sgd(0.01), classes=CLASSES, readout=sgd(0.01))  # type: ignore[arg-type]
    row.fast = False
    return row


def unsupervised(*cells: torch.nn.Module) -> Row:
    algorithm = UnsupervisedForwardForward()
    return build_row(cells, algorithm, sgd(0.01), classes=CLASSES, readout=sgd(0.01))


ROWS: dict[str, tuple[Callable[[], Row], str]] = {
    "FF": (lambda: dense(ForwardForward(CLASSES, negatives=wrong_label)), "simultaneous"),
    "FF, hard negatives": (lambda: dense(ForwardForward(CLASSES)), "simultaneous"),
    "FF, greedy": (lambda: dense(ForwardForward(CLASSES, negatives=wrong_label)), "greedy"),
    "backprop": (lambda: dense(Clean()), "backprop"),
    "frozen": (lambda: dense(Clean()), "frozen"),
    "auto-encoders": (
        lambda: unsupervised(AutoEncoder(30, 20), AutoEncoder(20, 10, tied=True)),
        "simultaneous",
    ),
    "convolutions": (
        lambda: unsupervised(
            ConvAutoEncoder((1, 5, 6), 3), ConvAutoEncoder((3, 2, 3), 4, pool=1, kernel=1)
        ),
        "simultaneous",
    ),
    "winners, a transposed convolution": (
        lambda: unsupervised(ConvWinners((1, 5, 6), 3, kernel=3, decoder_kernel=3, pool=2)),
        "greedy",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_as_torch_counts(name: str) -> None:
    make, schedule = ROWS[name]
    x, y = torch.rand(N, 1, 5, 6), torch.arange(N) % CLASSES

    def train(row: Row) -> None:
        for stage in BY_NAME[schedule](row, x, y, generator(0, "negatives")):
            stage.step(torch.arange(N))

    came, wanted = counted(partial(train, make()))[1], torchs(partial(train, make()))
    assert came == wanted > 0


def test_a_backprop_step_is_six_operations_a_weight_and_sample() -> None:
    row, x, y = dense(Clean()), torch.rand(N, 30), torch.arange(N) % CLASSES
    (stage,) = BY_NAME["backprop"](row, x, y, generator(0, "negatives"))
    _, flops = counted(lambda: stage.step(torch.arange(N)))
    weights = 30 * 20 + 20 * 10 + 10 * CLASSES
    assert flops == 6 * N * weights - 2 * N * 30 * 20, "the first cell's input needs no gradient"


def test_products_in_place_count() -> None:
    """torch's counter passes over them, and closed forms are made of them."""
    a, b, c = torch.rand(8, 4), torch.rand(4, 6), torch.zeros(8, 6)
    wanted = 2 * 8 * 4 * 6
    assert counted(lambda: c.addmm_(a, b))[1] == wanted
    assert counted(lambda: torch.mm(a, b, out=c))[1] == wanted


def test_a_closed_step_counts_what_its_head_says() -> None:
    """1 forward and 1 backward product of the first cell with the bare images, codes beside."""
    row = dense(ForwardForward(CLASSES, negatives=wrong_label))
    row.fast = True
    x, y = torch.rand(N, 30), torch.arange(N) % CLASSES
    steps = fast.Steps(row, x, y, generator(0, "negatives"))
    assert steps.apply()
    _, flops = counted(lambda: steps.step(torch.arange(N)))
    first = 2 * N * 30 * 20 * 2  # forward, gradient
    codes = 2 * N * CLASSES * 20 * (3 + 2)  # three streams forward, two backward
    second = 2 * N * 20 * 10 * (3 + 2)
    readout = 2 * N * 10 * CLASSES * 2
    assert flops == first + codes + second + readout
