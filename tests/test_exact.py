"""A readout fitted from sums over owners' samples: the same however samples are shared out."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import onward
from test_federated import DAE, FF, MACHINE, cells, federate, spoil, stub, turn
from torch import Tensor
from torch.nn.functional import cross_entropy

from onward import BadInput, record
from onward.federated import Federation, owner
from onward.federated.exact import Fit, square_of
from onward.federated.sums import matrix, packed, refuse, sums
from onward.plan import Machine
from onward.readouts import LinearReadout, neutral_answers
from onward.recipes import find

EXACT = ("--head", "exact", "--epochs", "6")
RIDGE = 1e-3


def data(samples: int = 90, features: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(samples, features, generator=rng)
    noise = torch.randn(samples, classes, generator=rng)
    return x, (x[:, :classes] + noise).argmax(1)


def answer(fit: Fit, x: Tensor, y: Tensor, *, gram: bool = True) -> dict[str, Tensor]:
    """An owner's sums at the point that is asked, by autograd."""
    sent = fit.point()[fit.name]
    w = sent["linear.weight"].clone().requires_grad_()
    lost = cross_entropy(x @ w.T + sent.get("linear.bias", 0), y, reduction="sum")
    (slope,) = torch.autograd.grad(lost, w)
    return {"slope": slope} | ({"gram": packed(x.T @ x)} if gram else {})


def fitted(parts: list[tuple[Tensor, Tensor]], rounds: int) -> Tensor:
    head = LinearReadout([parts[0][0].shape[1]], 3, [0], normalise=lambda h: h)
    fit = Fit(head, "readout", len(parts), RIDGE)
    for number in range(rounds):
        came = {i: answer(fit, *part, gram=number == 0) for i, part in enumerate(parts)}
        assert not fit.refusals(came, {i: len(part[1]) for i, part in enumerate(parts)})
        for client, found in came.items():
            fit.take(client, found, len(parts[client][1]))
        fit.step()
    return matrix(head)


def loss(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(x @ w.T, y, reduction="sum") + len(y) * RIDGE / 2 * w.square().sum()


def test_it_is_the_fit_to_all_samples_whoever_holds_them() -> None:
    x, y = data()
    order = y.argsort()  # owners of one label each, and one of few samples
    cuts = [order[:4], order[4:30], order[30:60], order[60:]]
    one, many = fitted([(x, y)], 8), fitted([(x[c], y[c]) for c in cuts], 8)
    torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)
    w = torch.zeros(3, 6, dtype=torch.float64, requires_grad=True)
    best = torch.optim.LBFGS([w], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)

    def closure() -> Tensor:
        found = loss(w, x.double(), y)
        (w.grad,) = torch.autograd.grad(found, w)
        return found

    best.step(closure)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(fitted([(x, y)], 300).double(), w.detach(), rtol=1e-3, atol=1e-4)


def test_a_step_takes_the_loss_down_and_the_first_is_a_ridge_regression() -> None:
    x, y = data()
    first = fitted([(x, y)], 1).double()
    wide, targets = x.double(), torch.nn.functional.one_hot(y, 3).double() - 1 / 3
    square = wide.T @ wide / 2 + len(y) * RIDGE * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(first, torch.linalg.solve(square, wide.T @ targets).T)
    values = [float(loss(fitted([(x, y)], n), x, y)) for n in range(5)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("row", [FF, DAE])
def test_an_owners_sums_are_the_slope_and_the_gram_matrix(row: tuple[str, ...]) -> None:
    """With biases and without, of rows that read several cells."""
    part = stub(70)
    plan = owner.prepared(find(row[0]), turn(row, head="last"), part)
    head = plan.row.linear()
    assert head is not None
    torch.nn.init.normal_(head.linear.weight, std=0.1)
    found, mean = sums(plan.row, part.train.x, part.train.y, gram=True)
    answers = neutral_answers(plan.row.cells, plan.row.algorithm, part.train.x)
    features = head.features(answers).detach()
    lost = cross_entropy(head(features), part.train.y, reduction="sum")
    wanted, *biases = torch.autograd.grad(lost, [*head.linear.parameters()])
    if biases:
        wanted = torch.cat([wanted, biases[0][:, None]], 1)
        features = torch.cat([features, torch.ones(len(features), 1)], 1)
    torch.testing.assert_close(found["slope"], wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        square_of(found["gram"], features.shape[1]), features.T @ features, rtol=1e-4, atol=1e-4
    )
    assert mean == pytest.approx(lost.item() / 70, rel=1e-5)
    assert set(sums(plan.row, part.train.x, part.train.y, gram=False)[0]) == {"slope"}


def test_shares_of_all_kinds_come_to_one_readout(tmp_path: Path) -> None:
    """On cells that are the same (they don't learn), readouts are, and errors with them."""
    words = (*DAE, "--lr", "1e-12", *EXACT)
    shares = {
        "one": ("--clients", "1"),
        "alike": ("--clients", "3"),
        "labels": ("--clients", "4", "--partition", "labels", "--labels_each", "1"),
    }
    made = {}
    for name, share in shares.items():
        federate(tmp_path / name, *words, *share)
        made[name] = cells(tmp_path / name)["readout/cell/linear.weight"]
    for other in ("alike", "labels"):
        torch.testing.assert_close(made["one"], made[other], rtol=5e-3, atol=1e-3)
    assert float(made["one"].abs().max()) > 0.01


@pytest.mark.parametrize("regime", ["simultaneous", "separate"])
def test_what_travels_and_what_is_recorded(regime: str, tmp_path: Path) -> None:
    found = federate(tmp_path / "run", *DAE, *EXACT, "--regime", regime, "--clients", "2")
    rounds = [each for each in found["rounds"] if each["stage"] == "readout"]
    assert len(rounds) == 6
    features = 16 + 12 + 1
    classes = found["data"]["classes"]
    head = 128  # of an array, as it travels
    slope, gram = 4 * classes * features + head, 4 * features * (features + 1) // 2 + head
    assert rounds[0]["bytes_up"] == [slope + gram] * 2
    assert [each["bytes_up"] for each in rounds[1:]] == [[slope] * 2] * 5
    assert rounds[1]["bytes_down"] == [slope + head] * 2  # weights and biases
    losses = [value for value in found["curves"]["readout_loss"] if value is not None]
    assert losses[0] == pytest.approx(math.log(classes), rel=1e-4)
    assert losses[-1] < losses[0]
    assert found["federation"]["ridge"] == 2e-4


Break = Callable[[dict[str, Tensor]], dict[str, Tensor]]

BROKEN: dict[str, tuple[Break, str]] = {
    "not a number": (lambda f: {**f, "slope": f["slope"] / 0}, "numbers that are not finite"),
    "wrong shape": (lambda f: {**f, "slope": f["slope"][:, 1:]}, "readout wants slope ["),
    "left out": (lambda f: {k: v for k, v in f.items() if k != "slope"}, "what came has nothing"),
    "too long": (lambda f: {**f, "slope": f["slope"] * 1e6}, "where its samples allow"),
    "no gram": (
        lambda f: f | ({"gram": -f["gram"]} if "gram" in f else {"slope": f["slope"] / 0}),
        "readout",
    ),
    "other features": (
        lambda f: f | ({"gram": 1000 * f["gram"]} if "gram" in f else {"slope": f["slope"] / 0}),
        "readout",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_sums_are_left_out_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, told = BROKEN[name]

    def broken(found: Any) -> Any:
        return found if "readout" not in found else {"readout": how(found["readout"])}

    words = (*DAE, *EXACT, "--clients", "4")
    spoil(monkeypatch, 1, broken)
    rounds = federate(tmp_path / "run", *words)["rounds"][6:]
    assert all(set(each["refused"]) == {"1"} for each in rounds)
    assert told in rounds[0]["refused"]["1"] or "features are" in rounds[0]["refused"]["1"]
    monkeypatch.undo()

    def none(found: Any) -> Any:
        return found if "readout" not in found else {"readout": {}}

    spoil(monkeypatch, 1, none)  # as if it had nothing to say
    federate(tmp_path / "other", *words)
    a, b = cells(tmp_path / "run"), cells(tmp_path / "other")
    assert all(a[key].equal(b[key]) for key in a)


def test_a_matrix_that_no_samples_have_does_not_break_the_step() -> None:
    """Each direction of it may be a little below 0; the bound is then a little larger."""
    x, y = data()
    head = LinearReadout([6], 3, [0], normalise=lambda h: h)
    fit = Fit(head, "readout", 2, 0.0)
    mine = answer(fit, x, y)
    square = 1e-4 * torch.eye(6)
    square[0, 0] = 1.0
    square[5, 5] = -5e-4
    other = {"slope": torch.zeros(3, 6), "gram": packed(square)}
    assert not fit.refusals({1: other}, {1: 9})
    square[5, 5] = -0.01
    worse = fit.refusals({1: {**other, "gram": packed(square)}}, {1: 9})
    assert worse == {1: "readout/gram is not a sum over pairs of features"}
    fit.take(1, other, 9)
    fit.step()
    assert bool(torch.isfinite(matrix(head)).all())
    fit.take(0, mine, len(y))
    fit.step()
    assert bool(torch.isfinite(matrix(head)).all())


def test_cells_that_are_silent_have_sums_too() -> None:
    head = LinearReadout([6], 3, [0], normalise=lambda h: h)
    fit = Fit(head, "readout", 4, RIDGE)
    x, y = data()
    came = {i: answer(fit, x, y) for i in range(3)}
    came[3] = answer(fit, torch.zeros(9, 6), y[:9])
    assert fit.refusals(came, {0: 90, 1: 90, 2: 90, 3: 9}) == {}


def test_an_owner_that_fails_is_counted_with_its_last_and_one_that_comes_is_asked_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, calls = owner.Local.learn, {0: 0, 1: 0}

    def some(self: owner.Local, asked: owner.Turn, came: Any) -> Any:
        if "cell-1" in asked.frozen and self.client < 2:
            calls[self.client] += 1
            if (self.client, calls[self.client]) in ((0, 3), (1, 1)):
                raise BadInput("away")
        return true(self, asked, came)

    monkeypatch.setattr(owner.Local, "learn", some)
    words = (*DAE, *EXACT, "--clients", "3")
    rounds = federate(tmp_path / "run", *words)["rounds"][6:]
    assert [list(each["refused"]) for each in rounds] == [["1"], [], ["0"], [], [], []]
    assert rounds[1]["bytes_up"][1] > rounds[1]["bytes_up"][0] == rounds[1]["bytes_up"][2]
    assert rounds[2]["bytes_up"][1] == rounds[2]["bytes_up"][2]
    monkeypatch.undo()
    federate(tmp_path / "whole", *words)
    far = record.read(tmp_path / "run")["curves"]["readout_loss"][-1]
    near = record.read(tmp_path / "whole")["curves"]["readout_loss"][-1]
    assert far == pytest.approx(near, rel=0.1)


def owners(count: int = 5) -> list[tuple[Tensor, Tensor]]:
    """One label each, so that a slope that stays pulls far."""
    x, y = data(900, 8, count)
    return [(x[y == label], y[y == label]) for label in range(count)]


def held(parts: list[tuple[Tensor, Tensor]], rounds: int, away: dict[int, range]) -> Tensor:
    """The readout where some owners are away in some rounds."""
    head = LinearReadout([8], len(parts), [0], normalise=lambda h: h)
    fit = Fit(head, "readout", len(parts), 2e-4)
    for number in range(rounds):
        there = [i for i in range(len(parts)) if number not in away.get(i, ())]
        lacking = fit.lacking(there)
        came = {i: answer(fit, *parts[i], gram=i in lacking) for i in there}
        for client in there:
            fit.take(client, came[client], len(parts[client][1]))
        fit.step()
    return matrix(head)


def test_an_owner_that_stays_away_does_not_make_the_readout_run_away() -> None:
    """A slope that is held without a curvature is followed without end."""
    parts = owners()
    x, y = (torch.cat(each) for each in zip(*parts, strict=True))
    whole = held(parts, 100, {})
    for first in (1, 5):
        gone = held(parts, 100, {0: range(first, 100)})
        assert gone.norm() < 4 * whole.norm()
        wrong = ((x @ gone.T).argmax(1) != y).float().mean()
        assert wrong < ((x @ whole.T).argmax(1) != y).float().mean() + 0.1


def test_one_that_comes_late_is_stepped_for_at_the_point_that_was_sent() -> None:
    parts = owners(3)
    head = LinearReadout([8], 3, [0], normalise=lambda h: h)
    fit = Fit(head, "readout", 3, 2e-4)
    for number in range(5):
        there = (0, 1) if number < 4 else (0, 1, 2)
        came = {i: answer(fit, *parts[i], gram=i in fit.lacking(there)) for i in there}
        sent = fit.point()["readout"]["linear.weight"].double()
        for client in there:
            fit.take(client, came[client], len(parts[client][1]))
        if number == 4:
            assert not sent.equal(matrix(head).double())
        fit.step()
    x, y = (torch.cat(each) for each in zip(*parts, strict=True))
    off = torch.softmax(x.double() @ sent.T, 1) - torch.nn.functional.one_hot(y, 3)
    pull = 2e-4 * len(y)
    square = x.double().T @ x.double() / 2 + pull * torch.eye(8, dtype=torch.float64)
    wanted = sent - (off.T @ x.double() + pull * sent) @ torch.linalg.inv(square)
    torch.testing.assert_close(matrix(head).double(), wanted, rtol=1e-4, atol=1e-4)
    came = {i: answer(fit, *parts[i], gram=False) for i in range(3)}
    assert fit.refusals(came, dict.fromkeys(range(3), 5))[0].startswith("it had ")
    fit.forget(1)
    assert fit.lacking((0, 1, 2)) == [1]
    assert not fit.memory["fit/slopes"][1].any()


def test_every_sample_counts_in_every_round_where_batches_leave_some_out() -> None:
    recipe, part = find("ff-free-mnist"), stub(61)
    settings = {"dataset": "synthetic", "batch": 20, "width": 8, "cells": 2, "linear": True}
    known = {f.name for f in dataclasses.fields(recipe.defaults)}
    own = dataclasses.replace(
        recipe.defaults, **{key: value for key, value in settings.items() if key in known}
    )
    asked = dataclasses.replace(
        turn(), recipe=recipe.name, settings=dataclasses.asdict(own), head="exact", stage=1
    )
    row = owner.prepared(recipe, asked, part).row
    names = tuple(station.name for station in row.stations)
    start = owner.weights(tuple(row.everyone))
    found = [
        owner.learn(
            recipe,
            dataclasses.replace(asked, round=number, frozen=names, sums="gram"),
            *(1, part, start, MACHINE),
        )
        for number in (2, 3)
    ]
    assert [each.samples for each in found] == [61, 61]
    assert found[0].weights["readout"]["gram"].equal(found[1].weights["readout"]["gram"])


def test_frozen_cells_have_one_too(tmp_path: Path) -> None:
    words = (*DAE, *EXACT, "--regime", "frozen", "--clients", "2")
    rounds = federate(tmp_path / "run", *words)["rounds"]
    assert [each["stage"] for each in rounds] == ["readout"] * 6
    assert rounds[0]["bytes_up"][0] > rounds[1]["bytes_up"][0]


def test_it_goes_on_as_if_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onward.federated.rounds import Rounds

    words = (*DAE, *EXACT, "--clients", "2", "--server", "fedavgm")
    federate(tmp_path / "whole", *words)
    step, steps = Rounds.step, [0]

    def counted(self: Rounds, index: Tensor) -> Any:
        steps[0] += 1
        if steps[0] == 10:  # the fourth of the readout
            raise BadInput("gone")
        return step(self, index)

    monkeypatch.setattr(Rounds, "step", counted)
    assert onward("federate", *words, "--out", tmp_path / "run").complaint == "gone"
    monkeypatch.undo()
    assert onward("resume", tmp_path / "run").code == 0
    a, b = cells(tmp_path / "whole"), cells(tmp_path / "run")
    assert all(a[key].equal(b[key]) for key in a)
    one, other = record.read(tmp_path / "whole"), record.read(tmp_path / "run")
    for key in ("curves", "test_error"):
        assert _bare(one[key]) == _bare(other[key]), key
    # Frozen cells are sent anew; the Gram matrix, which the checkpoint has, is not asked for.
    up = [[each["bytes_up"] for each in found["rounds"]] for found in (one, other)]
    assert up[0] == up[1]


def _bare(found: Any) -> Any:
    return {key: value for key, value in found.items() if key != "seconds"}


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "clip": (("--clip", "1"), "clip bounds changes of weights, and head=exact sends sums"),
    "sampled": (("--sampled", "0.5"), "head=exact wants sums of every client"),
    "negative": (("--ridge", "-1"), "ridge should be 0 or more, and is -1"),
    "backprop": (("--regime", "backprop"), "and the schedule is backprop"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    words, told = BAD[name]
    done = onward("federate", *DAE, *EXACT, *words, "--out", tmp_path / "run")
    assert told in done.complaint
    assert not (tmp_path / "run").exists()


def test_a_readout_that_can_not_be_fitted_so_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="ridge is of head=exact, and head is last"):
        Federation(head="last", ridge=0.1)
    words = (*DAE, *EXACT, "--out", tmp_path / "run")
    numbers = onward("federate", *words, "--dataset", "diabetes", "--samples", "pixels")
    assert "this row's readout answers numbers" in numbers.complaint
    monkeypatch.setattr("onward.federated.sums.LARGEST", 28)
    assert "of 28 at most, and this readout has 29" in onward("federate", *words).complaint
    row = owner.prepared(find(FF[0]), turn(FF), stub()).row
    with pytest.raises(BadInput, match="this row has none"):
        refuse(dataclasses.replace(row, readout=None))


def test_sums_in_bf16_are_exact_of_what_cells_answer() -> None:
    part, recipe = stub(), find(DAE[0])
    plan = owner.prepared(recipe, turn(DAE, head="last"), part)
    machine = Machine("cpu", "bf16", threads=1)
    head = plan.row.linear()
    assert head is not None
    with machine.arithmetic(machine.resolve()):
        found, _ = sums(plan.row, part.train.x, part.train.y, gram=True)
        answers = neutral_answers(plan.row.cells, plan.row.algorithm, part.train.x)
        features = torch.cat([head.features(answers).float(), torch.ones(60, 1)], 1).double()
    square = square_of(found["gram"], 29).double()
    torch.testing.assert_close(square, features.T @ features, rtol=1e-5, atol=1e-4)
    assert torch.linalg.eigvalsh(square)[0] > -1e-4 * square.diagonal().max()
    assert not found["gram"].equal(found["gram"].bfloat16().float())
    classes = head.linear.out_features
    off = torch.full((60, classes), 1 / classes, dtype=torch.float64)
    off[torch.arange(60), part.train.y] -= 1
    torch.testing.assert_close(found["slope"].double(), off.T @ features, rtol=1e-5, atol=1e-4)


def test_a_turn_leaves_cells_and_readout_as_they_came() -> None:
    part, recipe = stub(), find(DAE[0])
    asked = turn(DAE, head="exact", stage=1, frozen=("cell-0", "cell-1"), sums="gram")
    start = owner.weights(tuple(owner.prepared(recipe, asked, part).row.everyone))
    found = owner.learn(recipe, asked, 0, part, start, MACHINE)
    assert set(found.weights) == {"readout"}
    assert set(found.weights["readout"]) == {"slope", "gram"}
    assert found.samples == len(part.train)
    assert found.flops > 0
