"""bf16 on the CPU: products in bf16, weights and losses in fp32, no product with old weights."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from onward import BadInput, ForwardForward, Row, build_row, data, fit, generator, schedules, sgd
from onward.cells import Dense
from onward.negatives import wrong_label
from onward.plan import Machine
from onward.schedules import Schedule

CPU = torch.device("cpu")
SCHEDULES = ("simultaneous", "greedy", "backprop", "frozen")


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A machine flushes denormals from here on; other tests get their own back."""
    yield
    torch.set_flush_denormal(False)


def arithmetic(precision: str) -> torch.autocast:
    machine = Machine("cpu", precision)  # type: ignore[arg-type]
    context = machine.arithmetic(CPU)
    assert isinstance(context, torch.autocast)
    return context


def row_of() -> Row:
    rng = generator(0, "cells")
    cells = [Dense(64, 40, peers=0.03, rng=rng), Dense(40, 40, peers=0.03, rng=rng)]
    algorithm = ForwardForward(10, negatives=wrong_label)
    return build_row(cells, algorithm, sgd(0.003), classes=10, readout=sgd(0.1))


Losses = list[dict[str, float]]


def steps(schedule: Schedule, precision: str, count: int = 12) -> tuple[Row, Losses]:
    """Every stage's losses over some steps on the same batches."""
    made, row, found = data.load("synthetic").train, row_of(), []
    with arithmetic(precision):
        for stage in schedule(row, made.x[:300], made.y[:300], generator(0, "negatives")):
            for step in range(count):
                losses = stage.step(torch.arange(30 * (step % 10), 30 * (step % 10) + 30))
                for loss in losses.values():
                    assert loss.dtype == torch.float32
                    assert bool(torch.isfinite(loss))
                found.append({name: float(loss) for name, loss in losses.items()})
    return row, found


@pytest.mark.parametrize("name", SCHEDULES)
def test_bf16_trains_fp32_weights_and_stays_near_fp32(name: str) -> None:
    schedule = schedules.BY_NAME[name]
    narrow, losses = steps(schedule, "bf16")
    wide, wanted = steps(schedule, "fp32")
    assert len(losses) == len(wanted)
    for came, loss in zip(losses, wanted, strict=True):
        assert came == pytest.approx(loss, rel=0.1, abs=0.05)
    moved = 0
    for one, other, drawn in zip(narrow.everyone, wide.everyone, row_of().everyone, strict=True):
        optimizer_state = [s for o in one.optimizers.values() for s in o.state.values()]
        velocities = [v for s in optimizer_state for v in s.values() if isinstance(v, Tensor)]
        assert all(v.dtype == torch.float32 for v in velocities)
        start = drawn.cell.state_dict()
        for key, value in one.cell.state_dict().items():
            assert value.dtype == torch.float32
            way, wanted_way = value - start[key], other.cell.state_dict()[key] - start[key]
            if key.endswith("weight") and bool((wanted_way != 0).any()):
                moved += 1
                # Not the same weights, but the same way there.
                cosine = torch.cosine_similarity(way.flatten(), wanted_way.flatten(), dim=0)
                assert float(cosine) > 0.9, (one.name, key)
                assert not torch.equal(way, wanted_way), "bf16 changed nothing: was it on?"
    assert moved == {"simultaneous": 3, "greedy": 3, "backprop": 3, "frozen": 1}[name]


def products_over_steps(context: torch.autocast) -> list[Tensor]:
    """What a cell answers to one batch before, between and after two steps, in one context."""
    cell = Dense(64, 40, rng=generator(0, "cells"))
    x = data.load("synthetic").train.x[:20]
    optimizer = sgd(0.1)(cell.parameters())
    found = []
    with context:
        for _ in range(3):
            h = cell(x)
            found.append(h.detach().clone())
            optimizer.zero_grad()
            h.float().square().sum(1).mean().backward()
            optimizer.step()
    return found


def test_products_never_use_weights_from_before_a_step() -> None:
    first, second, third = products_over_steps(arithmetic("bf16"))
    assert first.dtype == torch.bfloat16
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    # The same with torch's own default, which keeps the first cast: what this test guards against.
    stale = products_over_steps(torch.autocast("cpu", torch.bfloat16, cache_enabled=True))
    assert torch.equal(stale[0], stale[1])


def test_each_precision_is_what_it_says() -> None:
    cell, x = Dense(64, 40, rng=generator(0, "cells")), torch.rand(5, 64)
    with arithmetic("bf16"):
        assert cell(x).dtype == torch.bfloat16
    with arithmetic("fp32"):
        assert cell(x).dtype == torch.float32
        assert torch.equal(cell(x), torch.relu(cell.linear(cell.normalise(x))))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_whole_run_in_bf16_learns(schedule: str) -> None:
    made = data.load("synthetic")
    rng = generator(0, "cells")
    cells = [Dense(64, 60, rng=rng), Dense(60, 60, rng=rng)]
    run = fit(
        cells,
        ForwardForward(10, negatives=wrong_label),
        made,
        epochs=4,
        schedule=schedules.BY_NAME[schedule],
        device="cpu",
        precision="bf16",
    )
    assert run.record["machine"]["precision"] == "bf16"
    assert all(p.dtype == torch.float32 for cell in cells for p in cell.parameters())
    assert run.test_error["linear"] < 0.6  # chance is 0.9


def test_fp32_on_a_gpu_is_fp32_and_tf32_is_asked_for() -> None:
    """The switches can be set without a GPU. Whoever has set them finds them as they were."""
    newer = hasattr(torch.backends.cuda.matmul, "fp32_precision")
    cudnn: Any = torch.backends.cudnn
    places: list[Any] = [torch.backends.cuda.matmul, cudnn.conv if newer else cudnn]
    name, usual, rounded = (
        ("fp32_precision", "ieee", "tf32") if newer else ("allow_tf32", False, True)
    )
    before = [getattr(place, name) for place in places]
    for precision, wanted in (("fp32", usual), ("tf32", rounded), ("bf16", usual)):
        machine = Machine("cuda", precision)  # type: ignore[arg-type]
        with warnings.catch_warnings():  # autocast tells that there is no GPU
            warnings.simplefilter("ignore")
            context = machine.arithmetic(torch.device("cuda"))
            with context:
                assert [getattr(place, name) for place in places] == [wanted, wanted]
        assert [getattr(place, name) for place in places] == before


def test_tf32_on_a_cpu_is_refused() -> None:
    with pytest.raises(BadInput, match=r"tf32 is of NVIDIA GPUs.*take fp32 or bf16"):
        Machine("cpu", "tf32").resolve()
