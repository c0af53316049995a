"""Cells across data owners: whose samples, whose weights count, and what failures cost."""

import dataclasses
import io
import itertools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import onward, same, weights

import onward as library
from onward import BadInput, checkpoint, data, record
from onward.federated import Federation, partitions, share_out
from onward.federated.accepted import refusals
from onward.federated.owner import Turn, Weights, learn, prepared, schedule_of
from onward.federated.owner import weights as weights_of
from onward.plan import Machine
from onward.recipes import find

pytest.importorskip("flwr", reason="the extra `federated` has it")

TINY = ("--dataset", "synthetic", "--batch", "20", "--threads", "1", "--seed", "3")
FF = ("ff-digits", *TINY, "--width", "16", "--cells", "3")
DAE = ("uff-dae-mnist", *TINY, "--widths", "16,12", "--alone")
ROWS: dict[str, tuple[str, ...]] = {
    "forward-forward": FF,
    "autograd": (*FF, "--fast", "off"),
    "denoising": DAE,
    "backprop": (*DAE, "--regime", "backprop"),
}
MACHINE = Machine("cpu", threads=1)


def cells(run: Path) -> dict[str, torch.Tensor]:
    """What all stations of a run have learned, without optimisers and counters."""
    found = weights(run).items()
    return {k: v for k, v in found if k.split("/")[1] == "cell" and v.is_floating_point()}


def federate(folder: Path, *words: object) -> dict[str, Any]:
    """A federation's record."""
    done = onward("federate", *words, "--out", folder)
    assert done.code == 0, done.err
    return record.read(folder)


def turn(row: tuple[str, ...] = FF, **changes: Any) -> Turn:
    """A turn of one epoch, of a recipe with these flags."""
    recipe = find(row[0])
    flags = dict(zip(row[1::2], row[2::2], strict=False))
    own = {"dataset": "synthetic", "batch": 20}
    own |= {"width": 16, "cells": 3} if row is FF else {"widths": [16, 12]}
    settings = dataclasses.asdict(dataclasses.replace(recipe.defaults, **own))
    whole = {"stage": 0, "round": 0, "first": 0, "last": 1, "epochs": 1}
    return Turn(recipe.name, settings, int(flags["--seed"]), **{**whole, **changes})


def stub(samples: int = 60) -> data.Dataset:
    """The first training samples of the synthetic data."""
    whole = library.load("synthetic")
    train = data.Split(whole.train.x[:samples], whole.train.y[:samples])
    return dataclasses.replace(whole, train=train)


@pytest.mark.parametrize("name", ROWS)
def test_one_client_and_one_round_are_a_run(name: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    words = (*ROWS[name], "--epochs", "3", "--evaluate_every", "3")
    assert onward("run", *words, "--out", one).code == 0
    federate(other, *words, "--clients", "1", "--rounds", "1")
    a, b = cells(one), cells(other)
    assert len(a) >= 4
    for key in a:
        assert a[key].equal(b[key]), key
    before, after = record.read(one), record.read(other)
    assert before["test_error"] == after["test_error"]
    assert before["cost"]["flops"] == pytest.approx(after["cost"]["flops"], rel=1e-3)
    losses = [cell["loss"] for cell in before["curves"]["cells"]]
    told = [cell["loss"] for cell in after["curves"]["cells"]]
    for ours, theirs in zip(losses, told, strict=True):
        if ours[0] is not None:  # a federation tells the mean over its round
            assert theirs[0] == pytest.approx(sum(ours) / 3, rel=1e-5)


def test_the_mean_is_weighed_by_samples_and_cell_by_cell(tmp_path: Path) -> None:
    asked = ("--clients", "3", "--partition", "labels", "--labels_each", "3")
    found = federate(tmp_path / "run", *FF, "--epochs", "1", *asked)
    terms = Federation(clients=3, partition="labels", labels_each=3)
    parts, own = share_out(library.load("synthetic"), terms, seed=3)
    assert own is None
    recipe, first = find("ff-digits"), turn()
    before = weights_of(tuple(prepared(recipe, first, parts[0]).row.everyone))
    answers = [learn(recipe, first, i, part, before, MACHINE) for i, part in enumerate(parts)]
    total = sum(answer.samples for answer in answers)
    assert found["rounds"][0]["samples"] == [answer.samples for answer in answers]
    made = weights(tmp_path / "run")
    for station, tensors in before.items():
        for key in tensors:
            mean = sum(a.weights[station][key].double() * a.samples / total for a in answers)
            torch.testing.assert_close(
                made[f"{station}/cell/{key}"].double(), mean, rtol=1e-6, atol=1e-7
            )


def test_clients_are_unlike_each_other_and_rounds_too() -> None:
    recipe, part = find("ff-digits"), stub()
    start = weights_of(tuple(prepared(recipe, turn(), part).row.everyone))

    def learned(client: int, **changes: Any) -> torch.Tensor:
        answer = learn(recipe, turn(**changes), client, part, start, MACHINE)
        return answer.weights["cell-1"]["linear.weight"]

    assert learned(0).equal(learned(0))
    assert not learned(0).equal(learned(1))
    assert not learned(1).equal(learned(2))
    assert not learned(0).equal(learned(0, round=1))


def test_progressive_sends_the_cell_that_learns_and_frozen_ones_once(tmp_path: Path) -> None:
    words = (*DAE, "--regime", "separate", "--epochs", "2", "--clients", "2")
    rounds = federate(tmp_path / "run", *words)["rounds"]
    assert [each["stage"] for each in rounds] == [
        *("cell-0", "cell-0", "cell-1", "cell-1", "readout", "readout")
    ]
    up = [each["bytes_up"][0] for each in rounds]
    down = [each["bytes_down"][0] for each in rounds]
    assert up[0] == up[1] == down[0] == down[1]
    assert down[2] == up[2] + up[0]  # the frozen first cell goes with the second's first turn
    assert down[3] == up[3] == up[2]
    assert down[4] == up[4] + up[2]
    together = federate(tmp_path / "all", *DAE, "--epochs", "2", "--clients", "2")["rounds"]
    assert sum(up) == together[0]["bytes_up"][0] * 2


def test_frozen_cells_stay_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onward.federated.rounds import Rounds

    seen: dict[str, list[torch.Tensor]] = {}
    step = Rounds.step

    def watched(self: Rounds, index: torch.Tensor) -> Any:
        for name, own in weights_of(tuple(self.row.everyone)).items():
            seen.setdefault(name, []).append(torch.cat([t.flatten() for t in own.values()]))
        return step(self, index)

    monkeypatch.setattr(Rounds, "step", watched)
    federate(tmp_path / "run", *DAE, "--regime", "separate", "--epochs", "2", "--clients", "2")
    moved = {
        name: [not a.equal(b) for a, b in itertools.pairwise(found)] for name, found in seen.items()
    }
    assert moved["cell-0"] == [True, True, False, False, False]
    assert moved["cell-1"] == [False, False, True, True, False]
    assert moved["readout"] == [False, False, False, False, True]


@pytest.mark.parametrize("head", ["last", "server"])
def test_cells_learn_without_labels_where_the_head_is_last(head: str, tmp_path: Path) -> None:
    recipe, part = find("uff-dae-mnist"), stub()
    other = dataclasses.replace(
        part, train=data.Split(part.train.x, part.train.y[torch.randperm(len(part.train))])
    )
    asked = turn(DAE, head=head)
    start = weights_of(tuple(prepared(recipe, asked, part).row.everyone))
    one, two = (learn(recipe, asked, 0, p, start, MACHINE).weights for p in (part, other))
    assert set(one) == {"cell-0", "cell-1"}
    for station in one:
        for key, tensor in one[station].items():
            assert tensor.equal(two[station][key])
    share = ("--server_share", "0.2") if head == "server" else ()
    words = (*DAE, "--epochs", "2", "--clients", "2", "--head", head, *share)
    rounds = federate(tmp_path / "run", *words)["rounds"]
    assert [each["stage"] for each in rounds] == ["cells"] * 2 + ["readout"] * 2
    assert rounds[-1]["clients"] == ([-1] if head == "server" else [0, 1])
    if head == "server":
        assert rounds[-1]["bytes_down"] == [0]
        whole = len(library.load("synthetic").train)
        assert rounds[-1]["samples"] == [round(0.2 * whole)]
        assert sum(rounds[0]["samples"]) == whole - round(0.2 * whole)


def test_a_head_of_its_own_place_is_refused() -> None:
    with pytest.raises(BadInput, match="head=last is of the schedule simultaneous"):
        schedule_of(library.schedules.greedy, "last")


def test_the_pull_of_fedprox() -> None:
    recipe, part = find("ff-digits"), stub()
    start = weights_of(tuple(prepared(recipe, turn(), part).row.everyone))

    def away(proximal: float, fast: Any = "auto") -> tuple[float, Weights]:
        found = learn(recipe, turn(proximal=proximal, fast=fast), 0, part, start, MACHINE).weights
        gaps = [
            (found[s][k] - start[s][k]).norm() for s in found for k in found[s] if "peers" not in k
        ]
        return float(torch.stack(gaps).sum()), found

    free, _ = away(0.0)
    pulled, closed = away(400.0)
    assert 0 < pulled < 0.9 * free
    _, tape = away(400.0, "off")
    for station, tensors in closed.items():
        for key, tensor in tensors.items():
            torch.testing.assert_close(tensor, tape[station][key], rtol=1e-3, atol=1e-4)
    assert away(1e9)[0] == 0  # a pull of the whole way, after each step


def one_round(tmp_path: Path, *words: object) -> dict[str, torch.Tensor]:
    """All weights after one round of two clients."""
    federate(tmp_path, *FF, "--epochs", "1", "--clients", "2", *words)
    return {key: found.double() for key, found in cells(tmp_path).items()}


def test_server_optimisers_step_as_their_papers_say(tmp_path: Path) -> None:
    start = weights_of(tuple(prepared(find("ff-digits"), turn(), stub()).row.everyone))
    mean = one_round(tmp_path / "mean")
    same_as_mean = one_round(tmp_path / "m", "--server", "fedavgm", "--server_momentum", "0")
    half = one_round(tmp_path / "h", "--server", "fedavgm", "--server_lr", "0.5")
    adam = one_round(tmp_path / "a", "--server", "fedadam", "--server_lr", "0.01")
    yogi = one_round(tmp_path / "y", "--server", "fedyogi", "--server_lr", "0.01")
    for key, new in mean.items():
        station, name = key.split("/cell/")
        old = start[station][name].double()
        change = new - old
        assert same_as_mean[key].equal(new)
        torch.testing.assert_close(half[key], old + 0.5 * change, rtol=1e-5, atol=1e-7)
        # Reddi et al. 2021, algorithm 2, from moments of 0; beta 0.9 and 0.99, tau 1e-3, with
        # Adam's correction of the step as Flower has it, its first round counted as the second.
        m, v = 0.1 * change, 0.01 * change**2
        step = 0.01 * (1 - 0.99**2) ** 0.5 / (1 - 0.9**2)
        torch.testing.assert_close(
            adam[key], old + step * m / (v.sqrt() + 1e-3), rtol=1e-4, atol=1e-6
        )
        assert not yogi[key].equal(new)


def test_clipped_changes_are_short_and_noise_is_beside_them(tmp_path: Path) -> None:
    start = weights_of(tuple(prepared(find("ff-digits"), turn(), stub()).row.everyone))
    flat = {f"{s}/cell/{k}": t.double() for s, own in start.items() for k, t in own.items()}

    def length(found: dict[str, torch.Tensor]) -> float:
        return float(torch.cat([(found[k] - flat[k]).flatten() for k in flat]).norm())

    free, clipped = one_round(tmp_path / "free"), one_round(tmp_path / "c", "--clip", "0.01")
    assert length(clipped) <= 0.01 * 1.001 < length(free)
    words = ("--clip", "0.01", "--dp_noise", "5")
    noisy, again = one_round(tmp_path / "n", *words), one_round(tmp_path / "n2", *words)
    assert all(noisy[k].equal(again[k]) for k in noisy)  # drawn from the seed, in one process
    number = sum(t.numel() for t in flat.values())
    gap = torch.cat([(noisy[k] - clipped[k]).flatten() for k in flat]).norm()
    assert float(gap) == pytest.approx(5 * 0.01 / 2 * number**0.5, rel=0.05)


# --- Who has what ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "share",
    [
        lambda y, seed: partitions.iid(y, 7, seed),
        lambda y, seed: partitions.dirichlet(y, 5, 0.3, seed),
        lambda y, seed: partitions.by_label(y, 5, 2, seed),
    ],
    ids=["iid", "dirichlet", "labels"],
)
def test_every_sample_is_one_clients(
    share: Callable[[torch.Tensor, int], list[torch.Tensor]],
) -> None:
    y = torch.randint(0, 10, (1000,), generator=torch.Generator().manual_seed(0))
    parts = share(y, 1)
    assert torch.cat(parts).sort().values.equal(torch.arange(1000))
    assert all(part.equal(part.sort().values) for part in parts)
    again = share(y, 1)
    assert all(a.equal(b) for a, b in zip(parts, again, strict=True))
    assert not all(a.equal(b) for a, b in zip(parts, share(y, 2), strict=False))


def test_partitions_are_as_unlike_as_asked() -> None:
    y = torch.arange(10).repeat(300)

    def unlike(parts: list[torch.Tensor]) -> float:
        shares = [torch.bincount(y[p], minlength=10) / len(p) for p in parts]
        return float(torch.stack(shares).std(0).mean())

    spread = [unlike(partitions.dirichlet(y, 10, alpha, 0)) for alpha in (0.1, 0.3, 1.0, 100.0)]
    assert spread == sorted(spread, reverse=True)
    assert unlike(partitions.iid(y, 10, 0)) < 0.05
    labels = [len(set(y[p].tolist())) for p in partitions.by_label(y, 10, 2, 0)]
    assert max(labels) <= 4
    assert min(len(p) for p in partitions.dirichlet(y, 10, 0.1, 0)) >= partitions.FEWEST
    with pytest.raises(BadInput, match="Dirichlet"):
        partitions.dirichlet(y[:110], 11, 0.01, 0)
    with pytest.raises(BadInput, match="take fewer clients"):
        partitions.iid(y[:5], 6, 0)
    with pytest.raises(BadInput, match="labels_each should be 10 at most"):
        partitions.by_label(y, 10, 11, 0)


def test_clients_of_a_round_are_drawn_anew(tmp_path: Path) -> None:
    words = (*FF, "--epochs", "6", "--clients", "6", "--sampled", "0.5")
    rounds = federate(tmp_path / "run", *words)["rounds"]
    chosen = [tuple(each["clients"]) for each in rounds]
    assert {len(each) for each in chosen} == {3}
    assert len(set(chosen)) > 1
    assert chosen == [tuple(e["clients"]) for e in federate(tmp_path / "2", *words)["rounds"]]


def test_a_file_for_each_client(tmp_path: Path) -> None:
    whole = library.load("synthetic")
    files = tmp_path / "clients"
    files.mkdir()
    empty = {"x_test": whole.test.x.numpy(), "y_test": whole.test.y.numpy()}
    for number, size in enumerate((40, 70)):
        own = {"x_train": whole.train.x[:size].numpy(), "y_train": whole.train.y[:size].numpy()}
        np.savez(files / f"{number}.npz", **own, **empty)  # type: ignore[arg-type]
    words = (*FF, "--epochs", "1", "--partition", "files", "--files", files)
    (only,) = federate(tmp_path / "run", *words)["rounds"]
    assert len(only["samples"]) == 2
    assert only["samples"][0] < only["samples"][1] <= 70
    said = onward("federate", *words, "--clients", "3", "--out", tmp_path / "no").complaint
    assert said == f"clients=3, and {files} holds 2 .npz files, one a client: leave clients out"
    cut = {name: v[..., :3] if v.ndim > 1 else v for name, v in {**own, **empty}.items()}
    np.savez(files / "2.npz", **cut)  # type: ignore[arg-type]
    assert (
        "2.npz has samples of shape"
        in onward("federate", *words, "--out", tmp_path / "no").complaint
    )


# --- Failures --------------------------------------------------------------------------------

Break = Callable[[Weights], Weights]


def change(name: str, make: Callable[[torch.Tensor], torch.Tensor | None]) -> Break:
    """Changes, or leaves out, the weights of the second cell."""

    def broken(found: Weights) -> Weights:
        own = dict(found["cell-1"])
        new = make(own[name])
        own = {k: v for k, v in own.items() if k != name} | ({} if new is None else {name: new})
        return {**found, "cell-1": own}

    return broken


BROKEN: dict[str, tuple[Break, str]] = {
    "not a number": (change("linear.weight", lambda t: t / 0), "numbers that are not finite"),
    "wrong shape": (
        change("linear.weight", lambda t: t[:, :3]),
        "cell-1 has linear.weight [16, 16]",
    ),
    "wrong type": (change("linear.weight", torch.Tensor.double), "another row's"),
    "too large": (change("linear.weight", lambda t: 100 * t), "cell-1 went"),
    "left out": (change("linear.bias", lambda t: None), "what came has nothing"),
    "a cell less": (lambda f: {k: v for k, v in f.items() if k != "cell-1"}, "cell-1 is missing"),
    "a cell more": (lambda f: {**f, "cell-9": f["cell-1"]}, "cell-9 is not wanted"),
}


def spoil(monkeypatch: pytest.MonkeyPatch, client: int, how: Any) -> None:
    """Have one client answer otherwise."""
    from onward.federated import owner

    true = owner.Local.learn

    def learn_(self: owner.Local, turn: Turn, came: Weights) -> Any:
        found = true(self, turn, came)
        if self.client != client:
            return found
        if isinstance(how, Exception):
            raise how
        return dataclasses.replace(found, weights=how(found.weights))

    monkeypatch.setattr(owner.Local, "learn", learn_)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_left_out_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, told = BROKEN[name]
    words = (*FF, "--epochs", "2", "--clients", "3")
    spoil(monkeypatch, 1, how)
    rounds = federate(tmp_path / "run", *words)["rounds"]
    assert all(set(each["refused"]) == {"1"} for each in rounds)
    assert all(told in each["refused"]["1"] for each in rounds)
    # The mean is that of the other two, as if the third had been silent.
    monkeypatch.undo()
    spoil(monkeypatch, 1, RuntimeError("no"))
    federate(tmp_path / "other", *words)
    a, b = cells(tmp_path / "run"), cells(tmp_path / "other")
    assert all(a[k].equal(b[k]) for k in a)


def test_sound_answers_are_not_left_out() -> None:
    sent = {"cell-0": {"w": torch.ones(4), "b": torch.zeros(2)}}
    came = {
        i: {"cell-0": {"w": torch.ones(4) * (1 + i), "b": torch.full((2,), 0.1 * (i + 1))}}
        for i in range(5)
    }
    alike = dict.fromkeys(came, 10)
    assert refusals(sent, came, alike) == {}
    assert refusals(sent, {0: came[0]}, alike) == {}  # a bias that was 0, from a client alone
    # From zeros a client goes as far as its samples take it; and not any further.
    sent = {"readout": {"w": torch.zeros(4)}}
    sizes = {0: 12, 1: 30, 2: 1170}
    came = {c: {"readout": {"w": torch.full((4,), 0.01 * n)}} for c, n in sizes.items()}
    assert refusals(sent, came, sizes) == {}
    assert list(refusals(sent, came, dict.fromkeys(sizes, 12))) == [2]


def test_owners_of_few_and_of_many_samples_all_count(tmp_path: Path) -> None:
    whole = library.load("digits")
    files = tmp_path / "clients"
    files.mkdir()
    for number, part in enumerate((slice(0, 12), slice(12, 42), slice(42, None))):
        x, y = whole.train.x[part].numpy(), whole.train.y[part].numpy()
        np.savez(files / f"{number}.npz", x_train=x, y_train=y)
    given = ("--partition", "files", "--files", files, "--epochs", "2", "--threads", "1")
    for row in (
        ("ff-digits", "--width", "32"),
        ("bp-digits", "--width", "32"),
        ("uff-dae-mnist", "--dataset", "digits", "--widths", "16,12", "--regime", "separate"),
    ):
        alone = ("--alone",) if row[0].startswith("uff") else ()
        found = federate(tmp_path / row[0], *row, *alone, *given)
        assert all(each["refused"] == {} for each in found["rounds"]), row
        assert found["federation"]["clients"] == 3


def test_noise_is_each_clients_and_each_rounds_own() -> None:
    from onward.federated import owner

    recipe, part = find("uff-dae-mnist"), stub()
    seeds = {owner.seed_of(turn(DAE, round=r), c) for r in range(3) for c in range(3)}
    assert len(seeds) == 9
    start = weights_of(tuple(prepared(recipe, turn(DAE), part).row.everyone))
    assert all(t.is_floating_point() for own in start.values() for t in own.values())

    def masks(client: int) -> torch.Tensor:
        plan = prepared(recipe, turn(DAE), part, owner.seed_of(turn(DAE), client))
        cell: Any = plan.row.stations[0].cell
        return torch.as_tensor(cell.noise(torch.ones(4, 64)))

    assert not masks(0).equal(masks(1))
    assert not masks(1).equal(masks(2))


def test_a_clip_is_of_what_is_learned(tmp_path: Path) -> None:
    words = (*DAE, "--epochs", "1", "--clients", "2")
    federate(tmp_path / "free", *words)
    federate(tmp_path / "loose", *words, "--clip", "1000")
    a, b = cells(tmp_path / "free"), cells(tmp_path / "loose")
    for key, tensor in a.items():  # alike parts: weighed by samples or not, the mean is the same
        torch.testing.assert_close(tensor, b[key], rtol=1e-4, atol=1e-6)


def test_noise_and_momentum_go_on_as_if_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onward.federated.rounds import Rounds

    words = (
        *(*DAE, "--epochs", "4", "--clients", "2", "--server", "fedavgm"),
        *("--clip", "1", "--dp_noise", "0.1"),
    )
    federate(tmp_path / "whole", *words)
    step, steps = Rounds.step, [0]

    def counted(self: Rounds, index: torch.Tensor) -> Any:
        steps[0] += 1
        if steps[0] == 3:
            raise BadInput("gone")
        return step(self, index)

    monkeypatch.setattr(Rounds, "step", counted)
    assert onward("federate", *words, "--out", tmp_path / "run").complaint == "gone"
    monkeypatch.undo()
    assert onward("resume", tmp_path / "run").code == 0
    same(tmp_path / "whole", tmp_path / "run")


def test_a_disk_that_is_full_at_the_server_costs_one_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*DAE, "--epochs", "4", "--clients", "2", "--server", "fedavgm")
    federate(tmp_path / "whole", *words)
    sound, run = os.fsync, tmp_path / "run"

    def full(handle: int) -> None:
        if len(checkpoint.positions(run / "checkpoint")) == 2:
            raise OSError(28, "No space left on device")
        sound(handle)

    monkeypatch.setattr(os, "fsync", full)
    said = onward("federate", *words, "--out", run).complaint
    assert "could not be written (No space left on device)" in said
    assert "the last good one is" in said
    monkeypatch.undo()
    assert len(record.read(run)["rounds"]) == 1  # the second could not be kept
    assert onward("resume", run).code == 0
    same(tmp_path / "whole", run)


def evil(content: Any, what: str) -> None:
    """Make an answer one that no client of ours would give."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord

    metrics = content["metrics"]
    if what == "many samples":
        metrics["num-examples"] = 10**15
    elif what == "endless":
        metrics["num-examples"] = float("inf")
    elif what == "cost":
        metrics["flops"] = float("nan")
    elif what == "less than nothing":
        metrics["flops"] = -1e15
    elif what == "loss":
        metrics["loss/cell-0"] = float("nan")
    elif what == "a list":
        metrics["loss/cell-0"] = [1.0, 2.0]
    elif what == "no arrays":
        content["arrays"] = MetricRecord({"num-examples": 1})
    elif what == "no metrics":
        del content["metrics"]
    elif what == "refused":
        content["refused"] = ConfigRecord({"not": "why"})
    elif what == "no numpy":
        key = next(iter(content["arrays"]))
        junk = Array(dtype="float32", shape=(2,), stype="numpy.ndarray", data=b"junk")
        content["arrays"] = ArrayRecord({**content["arrays"], key: junk})


@pytest.mark.parametrize(
    "what",
    [
        *("many samples", "endless", "cost", "less than nothing", "loss", "a list"),
        *("no arrays", "no metrics", "refused", "no numpy"),
    ],
)
def test_no_answer_ends_a_round(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onward.federated.flower import InProcess

    true = InProcess.send_and_receive

    def changed(self: Any, messages: Any, *, timeout: Any = None) -> Any:
        replies = list(true(self, messages, timeout=timeout))
        for reply in replies:
            if reply.metadata.src_node_id == 2 and reply.metadata.message_type == "train":
                evil(reply.content, what)
        return replies

    monkeypatch.setattr(InProcess, "send_and_receive", changed)
    words = (*FF, "--epochs", "2", "--clients", "3")
    done = onward("federate", *words, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert done.err.count("left out client 1: ") == 2
    found = record.read(tmp_path / "run")
    assert [list(each["refused"]) for each in found["rounds"]] == [["1"], ["1"]]
    assert found["cost"]["flops"] > 0


def test_a_client_that_fails_costs_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 2, RuntimeError("the disk is full"))
    rounds = federate(tmp_path / "run", *FF, "--epochs", "3", "--clients", "3")["rounds"]
    assert [each["refused"] for each in rounds] == [{"2": "RuntimeError: the disk is full"}] * 3
    page = (tmp_path / "run" / "report.html").read_text()
    assert "the disk is full" in page
    assert "Clients, over all rounds" in page


def test_silent_clients_are_missed_and_the_rounds_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onward.federated.flower import InProcess

    true, asked = InProcess.send_and_receive, [0]

    def some(self: Any, messages: Any, *, timeout: Any = None) -> Any:
        messages = list(messages)
        if messages[0].metadata.message_type == "train":
            asked[0] += 1
            silent = {1 + (asked[0] + i) % 10 for i in range(3)}  # 30 % in each round
            messages = [m for m in messages if m.metadata.dst_node_id not in silent]
        return true(self, messages, timeout=timeout)

    monkeypatch.setattr(InProcess, "send_and_receive", some)
    rounds = federate(tmp_path / "run", *FF, "--epochs", "4", "--clients", "10")["rounds"]
    assert [len(each["refused"]) for each in rounds] == [3] * 4
    assert rounds[0]["refused"] != rounds[1]["refused"]
    why = "no answer within 60 s: give it longer (--wait)"
    assert all(told == why for e in rounds for told in e["refused"].values())


def test_whoever_forgot_frozen_cells_is_sent_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onward.federated.flower import InProcess

    words = (*DAE, "--regime", "separate", "--epochs", "3", "--clients", "2")
    federate(tmp_path / "whole", *words)
    true, asked = InProcess.send_and_receive, [0]

    def restarted(self: Any, messages: Any, *, timeout: Any = None) -> Any:
        messages = list(messages)
        asked[0] += messages[0].metadata.message_type == "train"
        if asked[0] == 5:  # in the second cell's second round, client 0 has lost its state
            self.contexts[1].state.clear()
        return true(self, messages, timeout=timeout)

    monkeypatch.setattr(InProcess, "send_and_receive", restarted)
    rounds = federate(tmp_path / "run", *words)["rounds"]
    assert "lacks cell-0" in rounds[4]["refused"]["0"]
    assert rounds[5]["refused"] == {}
    assert rounds[5]["bytes_down"][0] > rounds[5]["bytes_down"][1]


def test_rounds_without_an_answer_end_it_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*FF, "--epochs", "6", "--clients", "2", "--server", "fedavgm", "--sampled", "0.5")
    federate(tmp_path / "whole", *words)
    from onward.federated.rounds import Rounds

    step, steps = Rounds.step, [0]

    def counted(self: Rounds, index: torch.Tensor) -> Any:
        steps[0] += 1
        if steps[0] == 4:
            raise BadInput("the server's disk is full")
        return step(self, index)

    monkeypatch.setattr(Rounds, "step", counted)
    done = onward("federate", *words, "--out", tmp_path / "run")
    assert done.complaint == "the server's disk is full"
    monkeypatch.undo()
    assert onward("resume", tmp_path / "run").code == 0
    same(tmp_path / "whole", tmp_path / "run")

    spoil(monkeypatch, 0, RuntimeError("gone"))
    alone = (*FF, "--epochs", "6", "--clients", "1")
    done = onward("federate", *alone, "--out", tmp_path / "none")
    assert (
        "3 rounds in a row brought no answer that counts (client 0: RuntimeError: gone)" in done.err
    )
    monkeypatch.undo()
    assert onward("resume", tmp_path / "none").code == 0
    assert record.read(tmp_path / "none")["status"] == "finished"


def test_python_is_told_how_to_go_on(tmp_path: Path) -> None:
    from onward.recipes import running

    federate(tmp_path / "run", *FF, "--epochs", "1", "--clients", "2")
    about = record.read(tmp_path / "run")
    record.write(tmp_path / "run" / "record.json", {**about, "status": "interrupted"})
    with pytest.raises(BadInput, match=r"onward\.federated\.resume"):
        running.resume(tmp_path / "run")


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "rounds": (("--epochs", "4", "--rounds", "3"), "4 epochs are not 3 rounds of as many each"),
    "secure": (("--secure_aggregation", "yes"), "secure aggregation is not to be had"),
    "partition": (("--partition", "iidd"), "partition can't be 'iidd'"),
    "clients": (("--clients", "0"), "clients should be 1 or more, and is 0"),
    "share": (("--head", "server"), "give it a share (server_share=0.05)"),
    "noise": (("--dp_noise", "1"), "give a clip as well"),
    "files": (("--partition", "files"), "give --files DIR"),
    "rate": (("--server_lr", "1"), "without a server_lr"),
    "sampled": (("--sampled", "1.5"), "sampled should be 1 at most, and is 1.5"),
    "alpha": (("--alpha", "0"), "alpha should be a number above 0, and is 0.0"),
    "twin": (("--twin",), "leave --twin out"),
    "unknown": (("--cliens", "3"), "did you mean 'clients'?"),
    "few": (("--clients", "5000"), "take fewer clients"),
    "alpha apart": (("--alpha", "0.5"), "alpha is of partition=dirichlet, and partition is iid"),
    "momentum apart": (("--server_momentum", "0.5"), "server_momentum is of server=fedavgm"),
    "share apart": (("--server_share", "0.1"), "server_share is of head=server"),
    "near": (("--client", "2"), "did you mean 'clients'?"),
    "greedy": (("--schedule", "greedy"), "can't draw hard negatives"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    words, told = BAD[name]
    done = onward("federate", *FF, *words, "--out", tmp_path / "run")
    assert told in done.complaint
    assert not (tmp_path / "run").exists()


def test_settings_that_look_at_samples_are_refused(tmp_path: Path) -> None:
    words = (*DAE, "--samples", "standardised", "--epochs", "1", "--clients", "2")
    done = onward("federate", *words, "--out", tmp_path / "run")
    assert "client 0 draws other cells than the server" in done.complaint
    assert "samples=standardised" in done.complaint


def test_clients_unlike_the_server_are_refused() -> None:
    from onward.federated.members import Members

    class Grid:
        def get_node_ids(self) -> list[int]:
            return [7]

        def send_and_receive(self, messages: Any, *, timeout: Any = None) -> list[Any]:
            import json

            from flwr.app import ConfigRecord, Message, RecordDict

            about = json.dumps({"client": 0, "onward": "0.0.1", "shape": [64]})
            return [
                Message(RecordDict({"hello": ConfigRecord({"about": about})}), reply_to=message)
                for message in messages
            ]

    from onward.federated import rehearse

    rehearse(find("ff-digits"), [], MACHINE)  # tells Flower who this process is
    terms = Federation(clients=1, wait=0.1)
    with pytest.raises(BadInput, match=r"client 0 has Onward 0\.0\.1, and the server"):
        Members(Grid(), terms, turn(), {"shape": [64]}).chosen(0)


def test_help_names_every_term() -> None:
    done = onward("federate", "--help")
    assert done.code == 0
    for field in dataclasses.fields(Federation):
        assert f"--{field.name} " in done.out


def test_a_site_runs_no_recipes_but_onwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onward.federated import app, flower

    monkeypatch.delenv(app.DATA, raising=False)
    with pytest.raises(BadInput, match="client 3 has no samples"):
        app.site(flower.context(3, 4))
    monkeypatch.setenv(app.DATA, str(tmp_path / "own.npz"))
    asked = dataclasses.replace(turn(), recipe="os:system")
    with pytest.raises(BadInput, match="code of its own"):
        app.site(flower.context(3, 4)).about(asked)


def test_a_sites_samples_are_held_against_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onward.federated import app, flower

    whole, file = library.load("synthetic"), tmp_path / "own.npz"
    kind = {"name": whole.name, "shape": list(whole.shape), "classes": whole.classes}
    kind |= {"label_names": list(whole.label_names), "target": "classes", "origin": "file"}
    asked = dataclasses.replace(turn(), data={**kind, "note": None})
    monkeypatch.setenv(app.DATA, str(file))
    site = app.site(flower.context(0, 1))
    x, y = whole.train.x.numpy(), whole.train.y.numpy()
    few = y < 3  # an owner who has not all the labels
    np.savez(file, x_train=x[few], y_train=y[few])
    assert site.about(asked)["classes"] == whole.classes
    np.savez(file, x_train=x, y_train=y + 1)
    with pytest.raises(BadInput, match="labels run from 1 to"):
        site.about(asked)
    np.savez(file, x_train=x[..., :3], y_train=y)
    with pytest.raises(BadInput, match="are wanted, as in"):
        site.about(asked)
    np.savez(file, x_train=x, y_train=y.astype(np.float32))
    with pytest.raises(BadInput, match="and numbers, where"):
        site.about(asked)


@pytest.mark.parametrize(("error", "traced"), [(BadInput("none"), False), (ValueError("x"), True)])
def test_flower_tells_a_refusal_without_a_traceback(error: Exception, traced: bool) -> None:
    from flwr.common.logger import LOGGER_NAME, log

    import onward.federated.flower  # noqa: F401  (which adds the filter)

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(LOGGER_NAME)
    logger.addHandler(handler)
    try:
        raise error
    except Exception as caught:
        log(logging.ERROR, "ServerApp raised an exception", exc_info=caught)
    finally:
        logger.removeHandler(handler)
    assert "raised an exception" in stream.getvalue()
    assert ("Traceback" in stream.getvalue()) == traced
