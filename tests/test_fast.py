"""Closed forms against autograd: the same numbers, the same draws, the same checkpoints.

Whatever is trained here is trained twice, once with ``Row.fast`` off, and compared in double
precision after several steps, the last batch of each epoch smaller than the others.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from command import TINY, onward, same
from torch import Tensor, nn
from torch.optim import SGD

from onward import (
    BadInput,
    Collaborative,
    Dense,
    ForwardForward,
    HybridForwardForward,
    adamw,
    build_row,
    checkpoint,
    closed,
    fast,
    generator,
    goodness,
    labels,
    objectives,
    readouts,
    record,
    sgd,
)
from onward.cells import LocalFields, lengths, rms_by_place
from onward.local import Algorithm
from onward.negatives import hard_label, wrong_label
from onward.optimizers import Maker, set_rate
from onward.plan import Machine
from onward.row import Row
from onward.schedules import Losses, greedy, simultaneous

CLASSES, SAMPLES, SHAPE, WIDTHS = 4, 40, (1, 5, 6), (20, 25, 20)
FF = partial(ForwardForward, CLASSES)
POWERS = {name: good for name, good in goodness.BY_NAME.items() if name != "top_k"}
OPTIMIZERS: dict[str, Maker] = {
    "sgd": sgd(0.01, decay=0.1),
    "sgd without momentum or decay": sgd(0.01, momentum=0.0),
    "adamw": adamw(1e-3, decay=0.1),
}


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A run flushes denormals from then on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def made(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(SAMPLES, *SHAPE, generator=rng).to(dtype), torch.arange(SAMPLES) % CLASSES


def row_of(
    algorithm: Algorithm,
    optimizer: Maker = OPTIMIZERS["sgd"],
    *,
    readout: Maker | None = OPTIMIZERS["sgd"],
    read: tuple[int, ...] | None = None,
    dtype: torch.dtype = torch.float64,
    kind: Callable[..., nn.Module] = Dense,
    **settings: Any,
) -> Row:
    rng, x = generator(0, "cells"), made()[0]
    entering = algorithm.view(x[:1], torch.zeros(1, dtype=torch.long)).numel()
    cells = [kind(a, b, rng=rng, **settings) for a, b in pairwise((entering, *WIDTHS))]
    row = build_row(cells, algorithm, optimizer, classes=CLASSES, readout=readout, read=read)
    for station in row.everyone:
        station.cell.to(dtype)
    return row


def batches(epochs: int = 2) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [
        b for _ in range(epochs) for b in torch.split(torch.randperm(SAMPLES, generator=rng), 12)
    ]


def trained(row: Row, epochs: int = 2) -> tuple[list[Losses], Tensor]:
    """Every step's losses under *simultaneous*, and where the generator ended."""
    dtype = next(row.cells[0].parameters()).dtype
    (x, y), rng = made(dtype), generator(0, "negatives")
    (stage,) = simultaneous(row, x, y, rng)
    return [stage.step(index) for index in batches(epochs)], rng.get_state()


def takes(row: Row) -> bool:
    """Whether a row's steps are taken in closed form."""
    x, y = made(next(row.cells[0].parameters()).dtype)
    return fast.Steps(row, x, y, generator(0, "negatives")).apply()


def assert_equal_training(row: Row, tolerance: float = 1e-9) -> None:
    slow = copy.deepcopy(row)
    slow.fast = False
    assert takes(row)
    assert not takes(slow)
    (came, at), (wanted, there) = trained(row), trained(slow)
    assert torch.equal(at, there), "as much was drawn from the generator"
    for one, other in zip(came, wanted, strict=True):
        assert one.keys() == other.keys()
        for name, loss in one.items():
            torch.testing.assert_close(loss, other[name], rtol=1e-7, atol=1e-7)
    assert_close(row, slow, tolerance)


def assert_close(row: Row, slow: Row, tolerance: float) -> None:
    """Weights, running means and the optimisers' own state, relative to the largest of each."""
    for one, other in zip(row.everyone, slow.everyone, strict=True):
        for name, value in one.cell.state_dict().items():
            close(value, other.cell.state_dict()[name], tolerance, f"{one.name} {name}")
        for group, optimizer in one.optimizers.items():
            state, twin = optimizer.state_dict(), other.optimizers[group].state_dict()
            rates = [[group["lr"] for group in each["param_groups"]] for each in (state, twin)]
            assert rates[0] == rates[1]
            assert state["state"].keys() == twin["state"].keys()
            for index, found in state["state"].items():
                assert found.keys() == twin["state"][index].keys()
                for key, value in found.items():
                    if value is not None or twin["state"][index][key] is not None:
                        close(value, twin["state"][index][key], tolerance, f"{one.name} {key}")


def close(came: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    largest = max(1.0, float(wanted.abs().max()))
    worst = float((came - wanted).abs().max())
    assert worst <= tolerance * largest, f"{what}: {worst:.2g}"


# Every combination.


@pytest.mark.parametrize("peers", [0.0, 0.03])
@pytest.mark.parametrize("normalise", ["rms", "l2", "none"])
@pytest.mark.parametrize("name", POWERS)
def test_equals_autograd(name: str, normalise: str, peers: float) -> None:
    """Goodness, normalisation, peers, optimiser, writer, negatives: all with all."""
    for optimizer in OPTIMIZERS.values():
        for writer in labels.BY_NAME.values():
            for negatives in (wrong_label, hard_label):
                algorithm = FF(goodness=POWERS[name], writer=writer, negatives=negatives)
                length = lengths.BY_NAME[normalise]
                assert_equal_training(
                    row_of(algorithm, optimizer, peers=peers, normalise=length), 1e-9
                )


@pytest.mark.parametrize("normalise", ["rms", "l2", "none"])
@pytest.mark.parametrize("name", POWERS)
def test_hybrids_equal_autograd(name: str, normalise: str) -> None:
    for optimizer in OPTIMIZERS.values():
        for peers in (0.0, 0.03):
            row = row_of(
                HybridForwardForward(goodness=POWERS[name]),
                optimizer,
                peers=peers,
                normalise=lengths.BY_NAME[normalise],
            )
            assert_equal_training(row, 1e-9)


def fields_row(
    optimizer: Maker = OPTIMIZERS["sgd"],
    *,
    peers: float = 0.03,
    dtype: torch.dtype = torch.float64,
    kind: Callable[..., nn.Module] = LocalFields,
    tile: int = 1,
    algorithm: Algorithm | None = None,
    **more: Any,
) -> Row:
    """Three cells of local fields, the last of which sees all that the second answers."""
    rng = generator(0, "cells")
    make = partial(kind, peers=peers, tile=tile, rng=rng, **more)
    cells = [make(SHAPE, 5, 2), make((5, 4, 5), 4, 2), make((4, 3, 4), 6, 3)]
    row = build_row(
        cells,
        algorithm or HybridForwardForward(),
        optimizer,
        widths=[100, 48, 12],
        classes=CLASSES,
        readout=OPTIMIZERS["sgd"],
    )
    for station in row.everyone:
        station.cell.to(dtype)
    return row


@pytest.mark.parametrize("normalise", ["rms", "l2", "none"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_local_fields_equal_autograd(optimizer: str, normalise: str) -> None:
    for peers in (0.0, 0.03):
        row = fields_row(OPTIMIZERS[optimizer], peers=peers, normalise=lengths.BY_NAME[normalise])
        assert_equal_training(row, 1e-9)


def test_local_fields_read_off() -> None:
    row, (x, _) = fields_row(), made()
    head = row.linear()
    assert head is not None
    torch.nn.init.normal_(head.linear.weight)
    came = fast.linear_scores(row, x)
    row.fast = False
    torch.testing.assert_close(came, fast.linear_scores(row, x), rtol=1e-9, atol=1e-9)


CASES: dict[str, Callable[[], Row]] = {
    "theta and temperature": lambda: row_of(FF(theta=3.0, temperature=0.5)),
    "a soft temperature": lambda: row_of(FF(temperature=7.0), peers=0.1),
    "symba": lambda: row_of(FF(loss=objectives.symba, temperature=5.0), peers=0.03),
    "swish": lambda: row_of(FF(loss=objectives.swish, temperature=5.0), peers=0.03),
    "swish, told of all": lambda: row_of(
        Collaborative(CLASSES, loss=objectives.swish, temperature=0.5)
    ),
    "a loud label": lambda: row_of(FF(label_value=5.0, writer=labels.appended)),
    "no label to be seen": lambda: row_of(FF(label_value=0.0)),
    "no readout": lambda: row_of(FF(negatives=wrong_label), readout=None),
    "a readout of all cells": lambda: row_of(FF(), read=(0, 1, 2)),
    "a readout of the first": lambda: row_of(FF(), read=(0,)),
    "a readout out of order": lambda: row_of(FF(), read=(2, 0)),
    "a readout by adamw": lambda: row_of(FF(), readout=adamw(1e-2)),
    "hybrids, and a readout of all cells": lambda: row_of(HybridForwardForward(), read=(0, 1, 2)),
    "hybrids, and no readout": lambda: row_of(HybridForwardForward(), readout=None),
    "hybrids, theta and temperature": lambda: row_of(
        HybridForwardForward(theta=3.0, temperature=0.5, blurs=2, padding="zero")
    ),
    "negative of a negative": lambda: row_of(
        FF(goodness=goodness.negative(goodness.negative(goodness.sum_of_squares)))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_autograd_with(name: str) -> None:
    assert_equal_training(CASES[name]())


def test_a_row_of_one_cell() -> None:
    cell = Dense(30, 20, peers=0.03, rng=generator(0, "cells"))
    row = build_row([cell], FF(), sgd(0.01), classes=CLASSES, readout=sgd(0.1))
    for station in row.everyone:
        station.cell.double()
    assert_equal_training(row)


def test_silent_rows() -> None:
    """An empty image, and a cell that answers it with nothing: lengths of 0."""
    row = row_of(FF(negatives=wrong_label, label_value=0.0), peers=0.03)
    row.cells[1].linear.bias.data.fill_(-100.0)  # type: ignore[union-attr,operator]
    slow = copy.deepcopy(row)
    slow.fast = False
    for each in (row, slow):
        x, y = made()
        x[::3] = 0
        (stage,) = simultaneous(each, x, y, generator(0, "negatives"))
        for index in batches():
            assert all(bool(torch.isfinite(loss)) for loss in stage.step(index).values())
    assert_close(row, slow, 1e-9)


def test_single_precision() -> None:
    """To 1e-4, relative to the largest, after the steps of two epochs."""
    for algorithm in (FF(negatives=wrong_label), HybridForwardForward()):
        assert_equal_training_in_fp32(row_of(algorithm, peers=0.03, dtype=torch.float32))
    assert_equal_training_in_fp32(fields_row(dtype=torch.float32))


def assert_equal_training_in_fp32(row: Row) -> None:
    slow = copy.deepcopy(row)
    slow.fast = False
    trained(row)
    trained(slow)
    assert_close(row, slow, 1e-4)


def test_learning_rates_that_change() -> None:
    rows = [row_of(FF(), peers=0.03), row_of(FF(), peers=0.03)]
    rows[1].fast = False
    x, y = made()
    for row in rows:
        (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
        for number, index in enumerate(batches()):
            for station in row.everyone:
                for optimizer in station.optimizers.values():
                    set_rate(optimizer, 1 / (1 + number))
            stage.step(index)
    assert_close(rows[0], rows[1], 1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", [*POWERS, "hybrids"])
def test_greedy_equals_autograd(name: str, optimizer: str) -> None:
    algorithm: Algorithm = HybridForwardForward()
    if name in POWERS:
        algorithm = FF(goodness=POWERS[name], negatives=wrong_label)
    rows = [row_of(algorithm, OPTIMIZERS[optimizer], peers=0.03) for _ in range(2)]
    rows[1].fast = False
    x, y = made()
    losses = []
    for row in rows:
        losses.append(
            [
                torch.stack(list(stage.step(index).values()))
                for stage in greedy(row, x, y, generator(0, "negatives"))
                for index in batches()
            ]
        )
    torch.testing.assert_close(*losses, rtol=1e-7, atol=1e-7)
    assert_close(rows[0], rows[1], 1e-9)


@pytest.mark.parametrize("name", goodness.BY_NAME)
@pytest.mark.parametrize("writer", labels.BY_NAME)
def test_every_label(name: str, writer: str) -> None:
    """One first product for all candidates; the goodness may be any."""
    row = row_of(FF(goodness=goodness.BY_NAME[name], writer=labels.BY_NAME[writer]))
    x, _ = made()
    came = fast.every_label(row, x)
    wanted = readouts.every_label(row.cells, row.algorithm, x)
    assert came.shape == (3, SAMPLES, CLASSES)
    torch.testing.assert_close(came, wanted, rtol=1e-9, atol=1e-9)
    row.fast = False
    assert torch.equal(fast.every_label(row, x), wanted)


@pytest.mark.parametrize("read", [(1, 2), (0,), (2, 0)])
@pytest.mark.parametrize("name", [*labels.BY_NAME, "hybrids"])
def test_linear_scores(name: str, read: tuple[int, ...]) -> None:
    algorithm: Algorithm = HybridForwardForward()
    if name in labels.BY_NAME:
        algorithm = FF(writer=labels.BY_NAME[name])
    row = row_of(algorithm, read=read)
    head, (x, _) = row.linear(), made()
    assert head is not None
    torch.nn.init.normal_(head.linear.weight)
    came = fast.linear_scores(row, x)
    seen = readouts.neutral_answers(row.cells, row.algorithm, x, read)
    wanted = head(head.features(seen))
    torch.testing.assert_close(came, wanted, rtol=1e-9, atol=1e-9, check_dtype=False)
    assert not came.requires_grad
    row.fast = False
    assert torch.equal(fast.linear_scores(row, x), wanted)


def test_a_deep_rows_answers_are_never_held_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying labels took more memory than training a cell: all answers of a row, kept at once."""
    cells = [Dense(30, 20), *(Dense(20, 20) for _ in range(7))]
    row = build_row(cells, FF(), sgd(0.1), classes=CLASSES, readout=sgd(0.1))
    places, own = set(), closed.answer

    def spy(cell: Dense, seen: Any, z: Tensor, h: Tensor) -> Tensor:
        places.add(h.data_ptr())
        return own(cell, seen, z, h)

    monkeypatch.setattr(fast, "answer", spy)
    assert fast.every_label(row, torch.rand(SAMPLES, *SHAPE)).shape == (8, SAMPLES, CLASSES)
    assert len(places) == 2


# Where autograd goes on.


class Mine(Dense):
    """A cell that somebody changed."""


class MyFields(LocalFields):
    """Another one."""


class Otherwise(ForwardForward):
    """An algorithm that somebody changed."""


class OtherHybrids(HybridForwardForward):
    """Another one."""


def hooked() -> Row:
    row = row_of(FF())
    row.cells[1].register_forward_hook(lambda module, args, out: None)
    return row


def held() -> Row:
    row = row_of(FF())
    next(row.cells[1].parameters()).requires_grad_(False)
    return row


OTHERS: dict[str, Callable[[], Row]] = {
    "a subclassed cell": lambda: row_of(FF(), kind=Mine),
    "a subclassed algorithm": lambda: row_of(Otherwise(CLASSES)),
    "another subclassed algorithm": lambda: row_of(OtherHybrids()),
    "top k": lambda: row_of(FF(goodness=goodness.top_k)),
    "a goodness of one's own": lambda: row_of(FF(goodness=lambda h: h.flatten(1).sum(1))),
    "a writer of one's own": lambda: row_of(FF(writer=lambda x, code: labels.over_first(x, code))),
    "a normalisation of one's own": lambda: row_of(FF(), normalise=lambda x: 2 * x),
    "another optimiser": lambda: row_of(FF(), lambda ps: SGD(ps, lr=0.01)),
    "another optimiser of the readout": lambda: row_of(FF(), readout=lambda ps: SGD(ps, lr=0.01)),
    "a hook": hooked,
    "local fields in tiles": lambda: fields_row(tile=2),
    "local fields, lengths by place": lambda: fields_row(normalise=rms_by_place),
    "local fields and labels": lambda: fields_row(algorithm=FF(negatives=wrong_label)),
    "a subclassed cell of local fields": lambda: fields_row(kind=MyFields),
    "a weight that is not to learn": held,
    "samples in another precision than the cells": lambda: row_of(FF(), dtype=torch.float32),
}


@pytest.mark.parametrize("name", OTHERS)
def test_falls_back(name: str) -> None:
    row = OTHERS[name]()
    x, y = made()
    assert not fast.Steps(row, x, y, generator(0, "negatives")).apply()


def test_a_subclassed_cell_is_asked_for_its_own_answer() -> None:
    class Doubled(Dense):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    row, slow = row_of(FF(), kind=Doubled), row_of(FF(), kind=Doubled)
    slow.fast = False
    trained(row)
    trained(slow)
    for one, other in zip(row.cells, slow.cells, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


NARROW: dict[str, Callable[[], Algorithm]] = {
    "wrong labels": partial(FF, negatives=wrong_label),
    "hard negatives": FF,
    "label appended": partial(FF, negatives=wrong_label, writer=labels.appended),
    "all cells told": partial(Collaborative, CLASSES, negatives=wrong_label, gamma="all"),
    "hybrids": HybridForwardForward,
}


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("peers", [0.0, 0.03])
def test_bf16_is_as_near_to_fp32_as_autograd_is(name: str, peers: float) -> None:
    moved, rounds = {}, [("wide", "fp32", True), ("closed", "bf16", True), ("open", "bf16", False)]
    for which, precision, flag in rounds:
        row = row_of(NARROW[name](), peers=peers, dtype=torch.float32)
        row.fast = flag
        drawn = flat_weights(row)
        with Machine("cpu", precision).arithmetic(torch.device("cpu")):  # type: ignore[arg-type]
            assert takes(row) == flag
            trained(row)
        moved[which] = flat_weights(row) - drawn
    far = {way: distance(moved[way], moved["wide"]) for way in ("closed", "open")}
    assert 0 < far["closed"] < 0.05, far
    assert far["closed"] < 2 * far["open"], far


def flat_weights(row: Row) -> Tensor:
    return torch.cat([p.detach().flatten() for s in row.everyone for p in s.cell.parameters()])


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def test_weights_and_velocities_are_fp32_where_products_are_bf16() -> None:
    row = row_of(FF(), peers=0.03, dtype=torch.float32)
    with Machine("cpu", "bf16").arithmetic(torch.device("cpu")):
        losses, _ = trained(row)
    assert all(loss.dtype == torch.float32 for step in losses for loss in step.values())
    for station in row.everyone:
        assert all(p.dtype == torch.float32 for p in station.cell.state_dict().values())
        for optimizer in station.optimizers.values():
            for state in optimizer.state.values():
                assert state["momentum_buffer"].dtype == torch.float32


def test_a_compiled_cell_learns_the_same_by_autograd() -> None:
    """``Module.compile``, with the backend that needs no compiler of the machine's."""
    from torch._dynamo.utils import counters

    row, compiled = row_of(FF()), row_of(FF())
    row.fast = compiled.fast = False
    counters.clear()
    for cell in compiled.cells:
        cell.compile(backend="eager")
    trained(row, epochs=1)
    trained(compiled, epochs=1)
    assert counters["stats"]["unique_graphs"] > 0
    for one, other in zip(row.cells, compiled.cells, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_samples_of_another_size_are_refused_as_ever() -> None:
    row = row_of(FF(negatives=wrong_label))
    (stage,) = simultaneous(row, torch.rand(SAMPLES, 7).double(), made()[1], generator(0, "n"))
    with pytest.raises(BadInput, match="build it as Dense"):
        stage.step(torch.arange(12))


# What lasts from step to step.


def test_nothing_large_is_allocated() -> None:
    """After the first step nothing as large as a batch's answers or a weight is."""
    row = row_of(FF(), peers=0.03, dtype=torch.float32)
    wide = [Dense(30, 400, peers=0.03), Dense(400, 400, peers=0.03)]
    row = build_row(wide, FF(), sgd(0.01), classes=CLASSES, readout=sgd(0.1))
    x, y = made(torch.float32)
    (stage,) = simultaneous(row, x, y, generator(0, "negatives"))
    largest = {}
    for flag in (True, False):
        row.fast = flag
        stage.step(torch.arange(SAMPLES))
        with torch.profiler.profile(profile_memory=True) as profile:
            for _ in range(3):
                stage.step(torch.arange(SAMPLES))
        largest[flag] = max(e.self_cpu_memory_usage for e in profile.events())
    assert largest[True] < SAMPLES * 400, "bytes: a quarter of one stream's answers"
    assert largest[False] >= 400 * 400 * 4, "autograd does allocate"


def test_optimisers_keep_their_own_tensors() -> None:
    row = row_of(FF())
    trained(row, 1)
    kept = {
        id(p): s["momentum_buffer"].data_ptr()
        for station in row.everyone
        for o in station.optimizers.values()
        for p, s in o.state.items()
    }
    weights = [p.data_ptr() for cell in row.cells for p in cell.parameters()]
    trained(row, 1)
    for station in row.everyone:
        for optimizer in station.optimizers.values():
            for p, state in optimizer.state.items():
                assert state["momentum_buffer"].data_ptr() == kept[id(p)]
    assert weights == [p.data_ptr() for cell in row.cells for p in cell.parameters()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("first", [True, False])
def test_on_and_off_by_turns(optimizer: str, first: bool) -> None:
    """Half of the steps fast and half slow, either first: one state serves both."""
    row, slow = (row_of(FF(), OPTIMIZERS[optimizer], peers=0.03) for _ in range(2))
    slow.fast = False
    x, y = made()
    for each in (row, slow):
        (stage,) = simultaneous(each, x, y, generator(0, "negatives"))
        for number, index in enumerate(batches()):
            if each is row:
                row.fast = first == (number < 4)
            stage.step(index)
    assert_close(row, slow, 1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("first", [True, False])
def test_checkpoints_serve_both(optimizer: str, first: bool, tmp_path: Path) -> None:
    """Written fast and gone on with slow, or the other way round: one format, the same numbers."""
    rows = [row_of(FF(), OPTIMIZERS[optimizer], peers=0.03) for _ in range(3)]
    for row, flag in zip(rows, (first, not first, False), strict=True):
        row.fast = flag
    begun, ended, slow = rows
    (x, y), rng = made(), generator(0, "negatives")
    (stage,) = simultaneous(begun, x, y, rng)
    for index in batches()[:5]:
        stage.step(index)
    random = {"negatives": rng.get_state()}
    checkpoint.save(tmp_path / "checkpoint", 5, begun.everyone, random, {})
    saved = checkpoint.load(tmp_path / "checkpoint")
    checkpoint.restore(saved, ended.everyone)
    rng.set_state(saved.tensors["random"]["negatives"])
    (stage,) = simultaneous(ended, x, y, rng)
    for index in batches()[5:]:
        stage.step(index)
    trained(slow)
    assert_close(ended, slow, 1e-9)


def test_resumed_exactly() -> None:
    """Stopped within an epoch and gone on with: the bits of a run that was not; and it is fast."""
    from onward import check
    from onward.plan import Plan, Training

    def plan() -> Plan:
        rng = generator(0, "cells")
        cells = [Dense(64, 20, peers=0.03, rng=rng), Dense(20, 20, peers=0.03, rng=rng)]
        row = build_row(cells, ForwardForward(10), sgd(1e-3), classes=10, readout=sgd(1e-2))
        return Plan(row, simultaneous, Training(epochs=2, batch=200))

    assert check.check_plan(plan)
    x = torch.rand(4, 64)
    assert fast.Steps(plan().row, x, torch.arange(4), generator(0, "negatives")).apply()


def test_the_commands_flag(tmp_path: Path) -> None:
    """It is recorded, and the recorded one is what a run is resumed with."""
    runs = {}
    for flag in ("auto", "off"):
        out = tmp_path / flag
        done = onward("run", "ff-digits", *TINY, "--fast", flag, "--out", out)
        assert done.code == 0, done.err
        runs[flag] = record.read(out)
        assert runs[flag]["machine"]["fast"] == flag
        assert ("--fast off" in runs[flag]["command"]) == (flag == "off")
    flops = {flag: run["cost"]["flops"] for flag, run in runs.items()}
    assert flops["auto"] < 0.9 * flops["off"], "fewer products are made"
    again = tmp_path / "again"
    assert onward("run", "ff-digits", *TINY, "--fast", "off", "--out", again).code == 0
    same(again, tmp_path / "off")


def test_a_record_from_before_resumes_without() -> None:
    from onward.recipes.recorded import machine_of

    about = {"device": "cpu", "precision": "fp32", "threads": 1}
    assert machine_of({"machine": about}).fast == "off"
    assert machine_of({"machine": {**about, "fast": "auto"}}) == replace(
        Machine("cpu", threads=1), fast="auto"
    )
    with pytest.raises(BadInput, match="fast can't be 'on'"):
        Machine("cpu", fast="on")  # type: ignore[arg-type]
