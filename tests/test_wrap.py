"""A network that exists already as a row of cells: the same numbers, and what is refused."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import NETWORKS, LeNet, ResNet, sequential
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import onward
from onward import BadInput, Clean, ForwardForward, UnsupervisedForwardForward
from onward.cells import rms, unchanged
from onward.check import check_algorithm, check_cell, check_plan
from onward.check.promises import BrokenPromise
from onward.goodness import mean_of_squares
from onward.labels import over_first, waves
from onward.local import Algorithm, Streams
from onward.negatives import wrong_label
from onward.optimizers import adamw
from onward.plan import Plan, Training
from onward.row import build_row
from onward.schedules import greedy, simultaneous
from onward.wrapping import Wrapped, wrap

SHAPE = (1, 8, 8)
ALGORITHMS: dict[str, type[Algorithm]] = {
    "forward-forward": ForwardForward,
    "unsupervised": UnsupervisedForwardForward,
    "backprop": Clean,
}
everywhere = pytest.mark.parametrize("network", NETWORKS)
whatever = pytest.mark.parametrize("algorithm", ALGORITHMS)


def wrapped(network: str, algorithm: str, seed: int = 0, noise: float = 0.0) -> Wrapped:
    make, cuts = NETWORKS[network]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    return wrap(model, SHAPE, cuts, ALGORITHMS[algorithm], noise=noise)


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def by_cells(row: Wrapped, x: Tensor) -> Tensor:
    """What the row's linear readout says of samples, cell after cell."""
    for cell in row.cells:
        x = cell(x)
    return x if row.classifier is None else torch.as_tensor(row.classifier(x))


@torch.no_grad()
def by_model(row: Wrapped, x: Tensor) -> Tensor:
    """The same from the model as it is, up to the softmax that it may end in."""
    scores: list[Tensor] = []
    end = row.classifier or row.model
    keep = end.register_forward_hook(lambda module, seen, answer: scores.append(answer))
    row.unwrap()(x)
    keep.remove()
    return scores[0]


# One function, one set of weights.


@everywhere
@whatever
def test_row_and_model_are_one_function_before_and_after(network: str, algorithm: str) -> None:
    make, _ = NETWORKS[network]
    row = wrapped(network, algorithm)
    model, x = row.model, images()
    assert torch.equal(by_cells(row, x), by_model(row, x))
    before, names = copy.deepcopy(model.state_dict()), [*model.state_dict()]
    run = row.fit(onward.load("digits"), epochs=1, batch=100, device="cpu")
    assert row.unwrap() is model
    assert torch.equal(by_cells(row, x), by_model(row, x))
    assert torch.equal(run.scores(x), by_model(row, row.neutral(x)))
    assert torch.equal(row.neutral(x), x)
    assert [*model.state_dict()] == names == [*make().state_dict()]
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert not still, "every parameter has learned"


@everywhere
def test_the_models_own_function_is_kept_where_nothing_is_normalised(network: str) -> None:
    make, cuts = NETWORKS[network]
    model, x = make().eval(), images()
    with torch.no_grad():
        before = model(x)
        row = wrap(model, SHAPE, cuts, UnsupervisedForwardForward)
        assert torch.equal(row.unwrap()(x), before)
        wrap(model, SHAPE, cuts, ForwardForward)
        assert not torch.equal(model(x), before)  # lengths are normalised between its cells now
        wrap(model, SHAPE, cuts, Clean)
        assert torch.equal(model(x), before)  # and no longer


@pytest.mark.parametrize("algorithm", ["unsupervised", "forward-forward"])
def test_weights_travel_as_safetensors(algorithm: str, tmp_path: Path) -> None:
    row, x = wrapped("ResNet", algorithm), images()
    row.fit(onward.load("digits"), epochs=1, batch=200, device="cpu")
    model = row.unwrap()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    fresh = ResNet()
    fresh.load_state_dict(load_file(tmp_path / "model.safetensors"))
    if algorithm == "forward-forward":
        fresh = wrap(fresh, SHAPE, NETWORKS["ResNet"][1], ForwardForward).unwrap()  # type: ignore[assignment]
    with torch.no_grad():
        assert torch.equal(fresh.eval()(x), model(x))


def test_a_model_without_a_classifier_answers_features() -> None:
    model = nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU())
    row = wrap(model, (64,), ["2"], UnsupervisedForwardForward)
    assert row.classifier is None
    x = images().flatten(1)
    assert torch.equal(by_cells(row, x), model(x))
    kept = wrap(sequential(), SHAPE, ["3", "5"], UnsupervisedForwardForward, classifier=False)
    assert kept.classifier is None
    assert tuple(by_cells(kept, images()).shape) == (6, 10)


def test_the_classifier_is_found_inside_the_last_module() -> None:
    row = wrapped("mixer", "unsupervised")
    assert row.classifier is row.model.get_submodule("head.1")
    inside = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.Flatten(), nn.Linear(144, 10)))
    found = wrap(inside, SHAPE, [], UnsupervisedForwardForward)
    assert found.classifier is inside.get_submodule("1.1")
    assert len(found.cells) == 1


def test_a_linear_layer_on_tokens_is_no_classifier() -> None:
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 3))
    row = wrap(model, (16, 12), ["2"], UnsupervisedForwardForward)
    assert row.classifier is None
    assert tuple(by_cells(row, torch.rand(2, 16, 12)).shape) == (2, 16, 3)


def test_label_channels() -> None:
    """A writer of one's own, and a model that has room for what it writes."""

    def channels(x: Tensor, code: Tensor) -> Tensor:
        return torch.cat([x, code[:, :, None, None].expand(*code.shape, *x.shape[2:])], 1)

    row = wrap(LeNet(11), SHAPE, ["conv2", "fc1"], ForwardForward(10, writer=channels))
    run = row.fit(onward.load("digits"), epochs=1, batch=200, device="cpu")
    x = images()
    assert row.neutral(x).shape == (6, 11, 8, 8)
    assert torch.equal(run.scores(x), by_model(row, row.neutral(x)))


# Cells learn alone.


@everywhere
@whatever
def test_cells_keep_the_promises_of_cells(network: str, algorithm: str) -> None:
    row, x = wrapped(network, algorithm), images(2)
    for cell in row.cells:
        assert check_cell(cell, tuple(x.shape[1:]))
        with torch.no_grad():
            x = cell(x)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("algorithm", ["forward-forward", "unsupervised"])
def test_no_gradient_crosses_a_cut(
    network: str, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = wrapped(network, algorithm).algorithm
    x, y = images(20), torch.arange(20) % 10

    def cells() -> list[nn.Module]:
        return [*wrapped(network, algorithm).cells]

    assert check_algorithm(learning, cells, x, y)
    monkeypatch.setattr("onward.local.wall", lambda outs: outs)
    with pytest.raises(BrokenPromise, match="no gradient path leaves a cell"):
        check_algorithm(learning, cells, x, y)


@pytest.mark.parametrize(
    ("network", "algorithm", "noise"),
    [
        ("mixer", "unsupervised", 0.3),
        ("ResNet", "unsupervised", 0.3),
        ("ResNet", "forward-forward", 0.0),
        ("mixer", "backprop", 0.0),
    ],
)
def test_same_seed_same_bits_and_resumed_as_if_never_stopped(
    network: str, algorithm: str, noise: float
) -> None:
    """With dropout, batch norm and noise."""

    def plan() -> Plan:
        row = wrapped(network, algorithm, noise=noise)
        last = [len(row.cells) - 1]
        built = build_row(
            row.cells,
            row.algorithm,
            adamw(),
            widths=[1] * last[0] + [row.classifier.in_features if row.classifier else 0],
            classes=10,
            readout=adamw(),
            read=last,
            head=row._head,
        )
        schedule = simultaneous if row.algorithm.local else onward.schedules.backprop
        return Plan(built, schedule, Training(epochs=2, batch=50))

    assert check_plan(plan)


def test_another_seed_is_another_decoder_and_other_noise() -> None:
    row, other = (
        wrap(LeNet(), SHAPE, ["conv2"], UnsupervisedForwardForward, seed=s) for s in (0, 1)
    )
    assert not torch.equal(*(r.cells[0].decoder.layer.weight for r in (row, other)))  # type: ignore[union-attr]


def test_greedy_serves_a_wrapped_model() -> None:
    row = wrapped("LeNet", "unsupervised")
    run = row.fit(onward.load("digits"), epochs=1, batch=100, schedule=greedy, device="cpu")
    assert run.record["schedule"] == "greedy"
    assert torch.equal(run.scores(images()), by_model(row, images()))


# Modes, statistics, chance, memory.


def test_cells_are_in_training_mode_where_they_learn_only() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 10),
    )
    row = wrap(model, SHAPE, [], UnsupervisedForwardForward)
    assert model.training
    cell, norm, x = row.cells[0], model.get_submodule("1"), images()
    with torch.no_grad():
        assert torch.equal(cell(x), cell(x))
    assert int(norm.num_batches_tracked) == 0  # type: ignore[arg-type]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert not torch.equal(cell(x), cell(x))
    assert torch.equal(torch.get_rng_state(), state)
    assert int(norm.num_batches_tracked) == 2  # type: ignore[arg-type]
    assert not row.unwrap().training


def test_a_corrupted_pass_leaves_no_trace_in_running_statistics() -> None:
    row = wrapped("ResNet", "unsupervised", noise=0.5)
    plain = wrapped("ResNet", "unsupervised")
    x = images()
    for one in (row, plain):
        cell = one.cells[0]
        cell.loss(x, cell(x)).backward()  # type: ignore[no-untyped-call]
    pairs = zip(row.model.named_buffers(), plain.model.named_buffers(), strict=True)
    assert all(torch.equal(a, b) for (_, a), (_, b) in pairs)
    noisy, clean = (next(iter(one.cells[0].body.parameters())).grad for one in (row, plain))
    assert noisy is not None
    assert clean is not None
    assert not torch.equal(noisy, clean)


def test_activations_in_place_write_into_copies() -> None:
    row = wrapped("sequential", "unsupervised")
    x = torch.randn(5, 24)
    kept = x.clone()
    row.cells[2](x)
    assert torch.equal(x, kept)

    class Adding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.linear(x.mul_(2)))

    row = wrap(nn.Sequential(Adding(), nn.ReLU()), (64,), [], UnsupervisedForwardForward)
    x = torch.rand(3, 64)
    kept = x.clone()
    row.cells[0](x)
    assert torch.equal(x, kept)


def test_data_that_are_no_data_set_are_refused() -> None:
    row = wrapped("LeNet", "unsupervised")
    with pytest.raises(BadInput, match=r"data wants an onward.Dataset, and a tuple came"):
        row.fit((torch.rand(9, 64), torch.zeros(9).long()), epochs=1)  # type: ignore[arg-type]


def test_frozen_parameters_stay() -> None:
    row = wrapped("LeNet", "unsupervised")
    weight = row.model.get_parameter("conv2.weight")
    weight.requires_grad_(False)
    kept = weight.clone()
    row.fit(onward.load("digits"), epochs=1, batch=200, device="cpu")
    assert torch.equal(weight, kept)


def test_wrapping_leaves_modes_weights_and_chance_alone() -> None:
    model = ResNet()
    model.layer1.eval()
    modes = [m.training for m in model.modules()]
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    wrap(model, images(), ["layer2"], ForwardForward)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(state[n], v) for n, v in model.state_dict().items())


# What is derived from shapes.


@pytest.mark.parametrize(
    ("module", "shape", "weight"),
    [
        (nn.Linear(30, 20), (30,), (30, 20)),
        (nn.Conv2d(3, 4, 3, padding=1), (3, 8, 8), (3, 4, 3, 3)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)), (3, 8, 8), (3, 4, 7, 7)),
        (nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 8, 8), (3, 4, 5, 5)),
        (nn.Conv2d(3, 4, 3, stride=4), (3, 8, 12), (3, 4, 9, 9)),
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten()), (3, 8, 8), (3, 4, 5, 5)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), (3, 8, 8), (192, 4)),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 9)), (3, 8, 8), (192, 9)),
        (nn.Linear(12, 5), (16, 12), (12, 5)),
        (nn.Conv1d(3, 5, 3), (3, 10), (30, 40)),
    ],
)
def test_decoders(module: nn.Module, shape: tuple[int, ...], weight: tuple[int, ...]) -> None:
    model = module if isinstance(module, nn.Sequential) else nn.Sequential(module)
    row = wrap(model, shape, [], UnsupervisedForwardForward, classifier=False)
    decoder, x = row.cells[0].decoder, torch.rand(4, *shape)
    assert decoder is not None
    assert tuple(decoder.layer.weight.shape) == weight
    assert decoder(row.cells[0](x)).shape == x.shape
    assert row.cells[0].errors(x).shape == (4,)
    ((_, loss),) = row.cells[0].losses(x)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.any()) for p in row.cells[0].parameters())


def test_restoring_the_original_sample() -> None:
    row = wrap(LeNet(), SHAPE, ["conv2", "fc1"], UnsupervisedForwardForward(target="original"))
    assert [cell.decoder.restores for cell in row.cells if cell.decoder] == [SHAPE] * 3
    row.fit(onward.load("digits"), epochs=1, batch=200, device="cpu")


def test_goodness_does_not_see_how_long_an_input_is() -> None:
    row = wrapped("LeNet", "forward-forward")
    assert row.algorithm == ForwardForward(
        10, goodness=mean_of_squares, negatives=wrong_label, writer=waves
    )
    x = torch.rand(3, 6, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(row.cells[1](7 * x), row.cells[1](x))
        assert not torch.allclose(row.cells[0](7 * images()), row.cells[0](images()))


def test_a_module_that_holds_a_later_cut_is_normalised_once() -> None:
    row = wrapped("ResNet", "forward-forward")  # layer2 holds the cut layer2.1
    assert [cell.normalise for cell in row.cells] == [unchanged, unchanged, rms, unchanged]


# Refusals.


class Skips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(64, 64) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        answer: Tensor = self.third(self.second(torch.relu(h)) + h)
        return answer


class Around(nn.Module):
    """A way around in the forward itself, of the very value that is cut at."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(64, 64) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        answer: Tensor = self.last(x + self.second(x))
        return answer


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if h.sum() > 0:
            h = -h
        answer: Tensor = self.second(h)
        return answer


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(x), x


class FunctionalDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.dropout(self.first(x), training=self.training)
        answer: Tensor = self.second(h)
        return answer


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(torch.relu(self.first(x)))
        answer: Tensor = self.last(self.again(torch.relu(x)))
        return answer


class TwiceAcross(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        answer: Tensor = self.last(self.first(x))
        return answer


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.both = (
            nn.Linear(64, 9),
            nn.Linear(64, 9),
            nn.Bilinear(9, 9, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.both(self.first(x), self.second(x))
        return answer


class Drawing(nn.Module):
    """What a trace through it can't see: it draws a number anew at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.second(self.first(x) * torch.rand(64))
        return answer


def tied() -> nn.Module:
    model = sequential()
    model[3] = nn.Linear(30, 30)
    model[5] = nn.Linear(30, 30)
    model[7] = nn.Linear(30, 10)
    model[5].weight = model[3].weight
    return model


def doubled() -> nn.Module:
    return sequential().double()


Made = Callable[[], nn.Module]
FLAT, U = (64,), UnsupervisedForwardForward
REFUSED: dict[str, tuple[Made, tuple[int, ...], list[str], str]] = {
    "an unknown cut": (LeNet, SHAPE, ["conv3"], "no module 'conv3'.*did you mean 'conv2'"),
    "cuts out of order": (LeNet, SHAPE, ["fc1", "conv2"], r"order.*calls them as \['conv2', 'fc1'"),
    "a cut twice": (LeNet, SHAPE, ["fc1", "fc1"], "names 'fc1' 2 times"),
    "the first module": (LeNet, SHAPE, ["conv1"], "first cell begins at 'conv1' as it is"),
    "two names of one place": (ResNet, SHAPE, ["layer2", "layer2.0"], "nothing lies between"),
    "a cut in a block": (ResNet, SHAPE, ["layer2.0.conv2"], "'layer2.0.shortcut' also goes to add"),
    "a skip of the input": (Skips, FLAT, ["second"], r"'first' also goes to add\(\) in forward"),
    "a module called twice": (ResNet, SHAPE, ["layer2.1.relu"], "calls it 2 times"),
    "a module with weights called twice": (Twice, FLAT, ["again"], "'again'.*calls it 2 times"),
    "one module in two cells": (TwiceAcross, FLAT, ["second", "last"], "'first.weight' would be"),
    "a tied weight": (tied, SHAPE, ["3", "5"], "'3.weight' and '5.weight' would be in two cells"),
    "a module of two inputs": (Two, FLAT, ["both"], "it takes 'first', 'second'"),
    "a cell without parameters": (ResNet, SHAPE, ["pool"], "begins at 'pool' has no parameters"),
    "a way through that numbers decide": (Deciding, FLAT, ["second"], "can't trace Deciding"),
    "functional dropout": (FunctionalDropout, FLAT, ["second"], "does another thing in training"),
    "numbers that a trace can't see": (Drawing, FLAT, ["second"], "do not answer what it answers"),
    "samples of another shape": (LeNet, (3, 8, 8), ["conv2"], r"samples of \(3, 8, 8\) do not go"),
    "no shape": (LeNet, (0, 8), ["conv2"], "whole numbers above 0"),
    "another dtype": (doubled, SHAPE, ["3"], "1.weight is torch.float64"),
    "lazy modules": (lambda: nn.Sequential(nn.LazyLinear(5), nn.ReLU()), FLAT, [], "lazy"),
    "no parameters": (nn.ReLU, FLAT, [], "no parameters at all"),
    "several answers": (Several, FLAT, [], "answers one tensor"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused_by_name(what: str) -> None:
    make, shape, cuts, told = REFUSED[what]
    model = make()
    modes = [m.training for m in model.modules()]
    with pytest.raises(BadInput, match=told):
        wrap(model, shape, cuts, U)
    assert [m.training for m in model.modules()] == modes


def test_what_only_a_normalisation_can_not_cut() -> None:
    row = wrap(Around(), FLAT, ["second"], U)
    x = torch.rand(3, 64)
    with torch.no_grad():
        assert torch.equal(row.unwrap()(x), by_cells(row, x))
    with pytest.raises(BadInput, match="'second' is read by others"):
        wrap(Around(), FLAT, ["second"], ForwardForward)
    wrap(Around(), FLAT, ["second"], ForwardForward, normalise=unchanged)


def test_a_module_that_is_called_by_name_is_normalised_too() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(64, 20), nn.Linear(20, 10)

        def forward(self, x: Tensor, doubled: bool = False) -> Tensor:
            answer: Tensor = self.last(input=torch.relu(self.first(x)))
            return 2 * answer if doubled else answer

    model, x = Named(), images().flatten(1)
    wrap(model, FLAT, [], ForwardForward)
    with torch.no_grad():
        seen = rms(torch.relu(model.first(x)))
        wanted = nn.functional.linear(seen, model.last.weight, model.last.bias)
        torch.testing.assert_close(model(x), wanted)


def test_a_refusal_leaves_earlier_normalisations_where_they_were() -> None:
    model, x = LeNet(), images()
    wrap(model, SHAPE, ["conv2"], ForwardForward)
    before = model(x)
    with pytest.raises(BadInput, match="conv9"):
        wrap(model, SHAPE, ["conv9"], Clean)
    assert torch.equal(model(x), before)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"algorithm": ForwardForward, "classifier": False}, r"ForwardForward\(classes=...\)"),
        ({"algorithm": onward.RecurrentForwardForward(10)}, "one pass from below"),
        ({"algorithm": ForwardForward, "noise": 0.3}, "noise=0.3"),
        ({"algorithm": U, "noise": 1.5}, "at most 1"),
        ({"algorithm": U, "sample": torch.rand(8)}, "batch"),
        ({"algorithm": U, "cuts": "fc1"}, r"take \['fc1'\]"),
        ({"algorithm": U, "model": len}, "nn.Module"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], told: str) -> None:
    usual: dict[str, object] = {"model": LeNet(), "sample": SHAPE, "cuts": ["conv2"]}
    with pytest.raises(BadInput, match=told):
        wrap(**{**usual, **settings})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_a_scripted_model() -> None:
    scripted = torch.jit.script(nn.Linear(8, 3))
    with pytest.raises(BadInput, match="the module it was made of"):
        wrap(scripted, (8,), [], U)


def test_a_classifier_that_may_not_learn() -> None:
    model = LeNet()
    model.fc2.requires_grad_(False)
    with pytest.raises(BadInput, match="classifier 'fc2' has no parameters to train"):
        wrap(model, SHAPE, ["conv2"], U)
    assert wrap(model, SHAPE, ["conv2"], U, classifier=False).classifier is None


def test_data_that_do_not_fit() -> None:
    row = wrap(nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 7)), FLAT, [], U)
    with pytest.raises(BadInput, match=r"samples of \(1, 8, 8\)"):
        row.fit(onward.load("digits"), epochs=1)
    row = wrap(nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.Linear(30, 7)), SHAPE, [], U)
    with pytest.raises(BadInput, match="10 classes, and the model's last layer 7"):
        row.fit(onward.load("digits"), epochs=1)


def test_a_cell_that_restores_nothing_says_so() -> None:
    row = wrapped("LeNet", "backprop")
    streams = Streams(images())
    with pytest.raises(BadInput, match="restores nothing"):
        next(iter(U().losses(row.cells[0], streams, Streams(row.cells[0](images())), None)))


def test_labels_written_over_the_first_inputs_are_a_choice() -> None:
    row = wrap(LeNet(), SHAPE, ["conv2"], ForwardForward(10, writer=over_first))
    assert not torch.equal(row.neutral(images()), images())


def test_an_algorithm_or_cells_that_do_not_fit_are_named() -> None:
    data = onward.load("digits")
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    wrong: Any = "ff"
    with pytest.raises(BadInput, match="wants an algorithm or its class"):
        onward.wrap(net, data.shape, ["1"], wrong)
    deeper = nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU()),
        nn.Linear(9, 10),
    )
    row = onward.wrap(deeper, data.shape, ["3"], onward.UnsupervisedForwardForward)
    with pytest.raises(BadInput, match="reads 9 features"):
        row.fit(data, epochs=1, read=[0], threads=1)
