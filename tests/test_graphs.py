"""Steps that are replayed: the same numbers as steps that are taken.

CUDA graphs need a GPU. What a step must be for one does not: :class:`Tape` records on a CPU what
such a graph holds, every operation with the very tensors and numbers it had, and replays that.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

import onward
from onward import generator, graphs, recipes
from onward.graphs import Replayed
from onward.optimizers import set_rate
from onward.plan import Machine, Plan
from onward.row import Row
from onward.stages import Losses, Stage
from onward.steady import READS, steady


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records a step while it is taken; replays are of that step, whatever Python would do now."""

    def __init__(self, step: Callable[[Tensor], Losses], index: Tensor):
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.held: list[Any] = []
        with self:
            self.losses = step(index)
        self.due = False  # a graph is not taken while it is recorded, and this was

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in READS:
            raise RuntimeError(f"{func} reads a number")
        out = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, tensors(out)))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        if not self.due:
            self.due = True
            return
        for func, args, kwargs, before in self.calls:
            for old, new in zip(before, tensors(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def tensors(found: Any) -> list[Tensor]:
    return [one for one in tree_flatten(found)[0] if isinstance(one, Tensor)]


DATA = onward.load("synthetic")
STEADY: dict[str, dict[str, Any]] = {
    "ff-mnist": {"width": 30},
    "ff-mnist by autograd": {"width": 30, "goodness": "top_k"},
    "ff-mnist adamw": {"width": 30, "optimizer": "adamw"},
    "collab-mnist": {"width": 30},
    "collab-mnist alternating": {"width": 30, "schedule": "alternating"},
    "collab-mnist pairwise": {"width": 30, "schedule": "pairwise"},
    "ff-recurrent-mnist": {"width": 30},
    "ff-recurrent-mnist by autograd": {"width": 30, "goodness": "top_k"},
    "ff-free-mnist": {"widths": [30, 30, 30]},
    "ff-local-mnist": {"widths": [4, 4, 4], "fields": [4, 3, 2], "strides": [1, 1, 1]},
    "uff-ae-mnist": {"widths": [30, 30]},
    "uff-dae-mnist": {"widths": [30, 30]},
    "uff-gan-mnist": {"widths": [30, 30], "critic": 20},
    "uff-wta-mnist": {"widths": [30, 30]},
    "uff-cae-mnist": {},
    "bp-mnist": {"width": 30},
}


def plan_of(name: str, **more: Any) -> Plan:
    recipe = recipes.find(name.split()[0])
    changes = {"epochs": 1, "batch": 20, **STEADY.get(name, {}), **more}
    return recipe.build(replace(recipe.defaults, dataset="synthetic", **changes), DATA, 0)


def stage_of(name: str, **more: Any) -> tuple[Stage, Row]:
    plan, rng = plan_of(name, **more), generator(0, "negatives")
    return next(iter(plan.schedule(plan.row, DATA.train.x, DATA.train.y, rng))), plan.row


def weights(row: Row) -> list[Tensor]:
    return [p.detach().clone() for s in row.everyone for p in s.cell.state_dict().values()]


def moments(row: Row) -> list[Tensor]:
    found = []
    for station in row.everyone:
        for optimizer in station.optimizers.values():
            for state in optimizer.state.values():
                found += [value.clone() for value in state.values() if isinstance(value, Tensor)]
    return found


def batches(count: int, size: int = 20) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randint(0, len(DATA.train), (size,), generator=rng) for _ in range(count)]


@pytest.mark.parametrize("name", STEADY)
def test_replays_are_the_steps_they_stand_for(name: str) -> None:
    (taken, one), (again, other) = stage_of(name), stage_of(name)
    assert again.fixed is not None
    assert again.fixed()
    step = Replayed(again, generator(0, "negatives"), Tape)
    for number, index in enumerate(batches(9)):
        if number == 6:  # another rate: recorded anew
            for station in one.everyone + other.everyone:
                for optimizer in station.optimizers.values():
                    set_rate(optimizer, 0.5)
        usual, found = taken.step(index), step(index)
        assert usual.keys() == found.keys()
        for which, loss in usual.items():
            assert torch.equal(loss, found[which]), (number, which)
    assert step.replays == 7
    for a, b in zip(weights(one) + moments(one), weights(other) + moments(other), strict=True):
        assert torch.equal(a, b)


def test_every_cell_of_greedy_is_replayed() -> None:
    rows = []
    for recorder in (None, Tape):
        plan = plan_of("ff-mnist", schedule="greedy", negatives="wrong")
        rng = generator(0, "negatives")
        for stage in plan.schedule(plan.row, DATA.train.x, DATA.train.y, rng):
            step = stage.step
            if recorder is not None and stage.fixed is not None:
                step = Replayed(stage, rng, recorder)
            for index in batches(5):
                step(index)
            if isinstance(step, Replayed):
                assert step.replays == 3
        rows.append(plan.row)
    for a, b in zip(weights(rows[0]), weights(rows[1]), strict=True):
        assert torch.equal(a, b)


def test_the_rest_of_an_epoch_is_a_step_as_usual() -> None:
    (taken, one), (again, other) = stage_of("ff-mnist"), stage_of("ff-mnist")
    step = Replayed(again, generator(0, "negatives"), Tape)
    for index in [*batches(4), *batches(1, size=7), *batches(3)]:
        taken.step(index)
        step(index)
    assert step.replays == 5
    for a, b in zip(weights(one), weights(other), strict=True):
        assert torch.equal(a, b)


def test_a_step_that_reads_a_number_is_taken_as_usual_and_said_so() -> None:
    stage, row = stage_of("ff-mnist")

    def reading(index: Tensor) -> Losses:
        losses = stage.step(index)
        assert all(float(loss) >= 0 for loss in losses.values())
        return losses

    step = Replayed(replace(stage, step=reading), generator(0, "negatives"), Tape)
    first, second, *others = batches(6)
    step(first)
    with pytest.warns(UserWarning, match="one kernel at a time: .* reads a number"):
        step(second)
    before = weights(row)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in others:
            step(index)
    assert step.replays == 0
    assert not all(map(torch.equal, before, weights(row)))


def test_a_step_that_fetches_from_another_device_is_taken_as_usual() -> None:
    """Between a CPU and the device without memory, as between a CPU and a GPU."""
    stage, _ = stage_of("ff-mnist")

    def fetching(index: Tensor) -> Losses:
        torch.zeros(3).to("meta")
        return stage.step(index)

    step = Replayed(replace(stage, step=fetching), generator(0, "negatives"), Tape)
    first, second, *others = batches(4)
    step(first)
    with pytest.warns(UserWarning, match="one kernel at a time: .* from cpu to meta"):
        step(second)
    for index in others:
        step(index)
    assert step.replays == 0


def test_an_objective_that_looks_at_a_number_is_not_recorded() -> None:
    stage, _ = stage_of("collab-mnist", objective="entropy")
    step = Replayed(stage, generator(0, "negatives"), Tape)
    first, second = batches(2)
    step(first)
    with pytest.warns(UserWarning, match="one kernel at a time"):
        step(second)
    assert step.given_up


def own(h: Tensor) -> Tensor:
    """Somebody's goodness."""
    return h.square().sum(1)


OWN: dict[str, Callable[[Row], None]] = {}


def somebodys(change: Callable[[Row], None]) -> Callable[[Row], None]:
    OWN[change.__name__] = change
    return change


def with_goodness(row: Row, goodness: Any) -> None:
    assert isinstance(row.algorithm, onward.ForwardForward)
    row.algorithm = replace(row.algorithm, goodness=goodness)


@somebodys
def a_goodness(row: Row) -> None:
    with_goodness(row, own)


@somebodys
def a_goodness_inside_ours(row: Row) -> None:
    with_goodness(row, onward.goodness.negative(own))


@somebodys
def a_hook(row: Row) -> None:
    row.cells[1].register_forward_hook(lambda cell, came, went: None)


@somebodys
def an_optimiser(row: Row) -> None:
    station = row.stations[0]
    station.optimizers["cell"] = torch.optim.RMSprop(station.cell.parameters(), 1e-3)


@somebodys
def an_optimiser_that_is_not_fused(row: Row) -> None:
    station = row.stations[0]
    station.optimizers["cell"] = torch.optim.AdamW(station.cell.parameters(), 1e-3)


@somebodys
def a_hook_of_an_optimiser(row: Row) -> None:
    row.stations[0].optimizers["cell"].register_step_post_hook(lambda *words: None)


@somebodys
def a_compiled_cell(row: Row) -> None:
    row.cells[1].compile(backend="eager")


@somebodys
def a_subclass(row: Row) -> None:
    row.stations[0].cell = Counting(64, 30)


@somebodys
def autograd_only(row: Row) -> None:
    row.fast = False


@pytest.mark.parametrize("name", OWN)
def test_of_parts_of_ones_own_nothing_is_known(name: str) -> None:
    stage, row = stage_of("ff-mnist")
    assert steady(row)
    OWN[name](row)
    assert not steady(row)
    step = Replayed(stage, generator(0, "negatives"), Tape)
    for index in batches(4):
        step(index)
    assert step.replays == 0


class Counting(onward.Dense):
    """Somebody's cell."""


def test_only_steps_on_a_cuda_device_are_replayed() -> None:
    stage, _ = stage_of("ff-mnist")
    rng = generator(0, "negatives")
    assert graphs.replayed(stage, torch.device("cpu"), rng) is stage
    frozen = replace(stage, fixed=None)
    assert graphs.replayed(frozen, torch.device("cuda"), rng) is frozen
    assert isinstance(graphs.replayed(stage, torch.device("cuda"), rng).step, Replayed)


def test_noise_goes_on_where_steps_are_taken_as_usual() -> None:
    """Before, between and after replays, and where nothing can be recorded after all."""
    (taken, one), (again, other) = stage_of("uff-dae-mnist"), stage_of("uff-dae-mnist")
    step = Replayed(again, generator(0, "negatives"), Tape)
    batch = [*batches(4), *batches(1, size=7), *batches(2)]
    for index in batch:
        taken.step(index)
        step(index)
    assert step.replays == 4
    refused = Replayed(again, generator(0, "negatives"), refuse)
    for number, index in enumerate(batch):
        taken.step(index)
        if number != 2:
            refused(index)
            continue
        with pytest.warns(UserWarning, match="one kernel at a time: no room"):
            refused(index)
    for a, b in zip(weights(one), weights(other), strict=True):
        assert torch.equal(a, b)
    counts = [s.cell.get_submodule("noise").steps for s in one.stations + other.stations]
    assert counts == [14] * 4


def refuse(step: Any, index: Tensor) -> Any:
    raise RuntimeError("no room")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", STEADY)
def test_a_run_on_a_gpu_is_the_same_with_and_without_graphs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, steps = [], list[Replayed]()
    for usual in (True, False):
        with monkeypatch.context() as patched:

            def replay(stage: Stage, device: Any, rng: Any, usual: bool = usual) -> Stage:
                made = stage if usual else graphs.replayed(stage, device, rng)
                steps.extend([made.step] if isinstance(made.step, Replayed) else [])
                return made

            patched.setattr("onward.run.replayed", replay)
            plan = plan_of(name, epochs=2, rate="cosine")
            result = onward.train.new_record(plan, DATA, Machine("cuda"), 0, {})
            onward.run.Run(plan, DATA, Machine("cuda"), result).train()
            found.append(weights(plan.row))
    assert steps
    assert all(step.replays > 0 for step in steps)
    for a, b in zip(*found, strict=True):
        if name in SUMMED_IN_ANY_ORDER:
            torch.testing.assert_close(a, b)
        else:
            assert torch.equal(a, b)


SUMMED_IN_ANY_ORDER = ("uff-wta-mnist", "uff-cae-mnist")
"""Rows whose kernels add up with atomics."""


def test_noise_that_is_not_drawn_is_not_counted() -> None:
    """Backprop through denoising cells draws none."""
    stage, row = stage_of("uff-dae-mnist", regime="backprop")
    step = Replayed(stage, generator(0, "negatives"), Tape)
    for index in batches(6):
        step(index)
    assert step.replays == 4
    assert [s.cell.get_submodule("noise").steps for s in row.stations] == [0, 0]


def test_backprop_that_computes_again_is_not_replayed() -> None:
    stage, row = stage_of("bp-mnist", recompute=True)
    assert steady(row)
    assert stage.fixed is None


def test_views_of_what_was_recorded_are_kept() -> None:
    """The tape itself: what was written in place is seen by later operations of a replay."""
    x, w = torch.ones(3), torch.zeros(3)

    def step(index: Tensor) -> Losses:
        w.add_(x[index].mul(2))
        return {"all": w.sum()}

    tape = Tape(step, torch.tensor([0, 1, 2]))
    tape.replay()
    assert float(tape.losses["all"]) == 6
    x.fill_(10)
    tape.replay()
    assert float(tape.losses["all"]) == 66
    assert tree_map(float, tape.losses) == {"all": 66}
