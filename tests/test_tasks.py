"""Tasks against the obvious way: loops, torch's own, and scikit-learn's numbers."""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import onward, same, save_npz
from sklearn.metrics import r2_score, roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import onward as library
from onward import BadInput, Classify, Clean, ForwardForward, Regress, Station, Task, data, record
from onward import sgd as plain
from onward.algorithms import UnsupervisedForwardForward
from onward.cells import AutoEncoder, Dense
from onward.check import BrokenPromise, check_plan, check_task
from onward.evaluate import errors, missed
from onward.plan import Machine, Plan, Training
from onward.readouts import LinearReadout, learn, reconstruction_errors, strangeness
from onward.recipes import find
from onward.row import Row, build_row
from onward.run import Run
from onward.schedules import backprop, simultaneous
from onward.seeds import generator
from onward.tasks import suited
from onward.train import new_record


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Losses, errors and answers


def test_classes_are_cross_entropy_and_the_share_wrong() -> None:
    scores, y = drawn(50, 4).float(), torch.arange(50) % 4
    assert torch.equal(Classify().loss(scores, y), cross_entropy(scores, y))
    said = [row.index(max(row)) for row in scores.tolist()]
    wrong = sum(a != b for a, b in zip(said, y.tolist(), strict=True))
    assert Classify().error(scores, y) == wrong / 50
    assert not list(Classify().state_dict())


def test_a_number_is_standardised_by_the_training_targets() -> None:
    train, y, outputs = 40 + 7 * drawn(90), 45 + 9 * drawn(30, seed=1), drawn(30, 1, seed=2)
    task = Regress(train).double()
    mean = sum(train.tolist()) / 90
    spread = math.sqrt(sum((v - mean) ** 2 for v in train.tolist()) / 90)
    said = [mean + spread * o for o in outputs[:, 0].tolist()]
    assert task.answer(outputs).tolist() == pytest.approx(said, rel=1e-6)
    terms = [
        (o - (v - mean) / spread) ** 2
        for o, v in zip(outputs[:, 0].tolist(), y.tolist(), strict=True)
    ]
    assert float(task.loss(outputs, y)) == pytest.approx(sum(terms) / 30, rel=1e-6)
    assert task.error(outputs, y) == pytest.approx(1 - r2_score(y, said), rel=1e-6)


def test_what_a_task_knows_is_saved_with_the_readout() -> None:
    y = torch.tensor([3.0, 5.0])
    made = LinearReadout([4], 1, [0], task=Regress(y))
    assert set(made.state_dict()) == {"linear.weight", "task.mean", "task.spread"}
    other = LinearReadout([4], 1, [0], task=Regress(torch.zeros(2)))
    other.load_state_dict(made.state_dict())
    assert other.task.answer(torch.tensor([[2.0]])).tolist() == [6.0]
    assert set(LinearReadout([4], 3, [0]).state_dict()) == {"linear.weight"}


def test_targets_that_do_not_vary() -> None:
    task = Regress(torch.full((5,), 3.0))
    outputs = torch.zeros(5, 1)
    assert task.answer(outputs).tolist() == [3.0] * 5
    assert float(task.loss(outputs, torch.full((5,), 3.0))) == 0
    assert task.error(outputs, torch.full((5,), 3.0)) is None


def test_the_readout_learns_a_number_as_plain_least_squares_do() -> None:
    features, y = drawn(40, 6), 100 + 20 * drawn(40, seed=1)
    readout = LinearReadout([6], 1, [0], task=Regress(y)).double()
    station = Station("readout", readout, {"readout": plain(0.1, 0.0)(readout.parameters())})
    weight = torch.zeros(6, dtype=torch.float64)
    mean, spread = y.float().mean().double(), y.double().std(correction=0).float().double()
    for _ in range(20):
        loss, outputs = learn(station, features, y)
        left = features @ weight - (y - mean) / spread
        assert float(loss) == pytest.approx(float(left.square().mean()), rel=1e-5)
        torch.testing.assert_close(outputs[:, 0], features @ weight, rtol=1e-5, atol=1e-6)
        weight = weight - 0.1 * 2 * features.T @ left / 40


def test_backprop_makes_the_tasks_loss_small() -> None:
    x, y = drawn(30, 5).float(), (50 + 10 * drawn(30, seed=1)).float()
    cell = Dense(5, 7, rng=generator(0, "cells"))
    head = LinearReadout([7], 1, [0], task=Regress(y))
    with torch.no_grad():
        head.linear.weight.fill_(0.1)
    step = plain(0.1, 0.0)
    row = build_row([cell], Clean(), step, classes=1, readout=step, head=lambda *_: head)
    outputs = head(head.features([cell(x)]))
    wanted = (y - y.mean()) / y.std(correction=0)
    loss = (outputs[:, 0] - wanted).square().mean()
    (gradient,) = torch.autograd.grad(loss, cell.linear.weight)
    expected = cell.linear.weight.detach() - 0.1 * gradient
    (stage,) = backprop(row, x, y, generator(0, "negatives"))
    losses = stage.step(torch.arange(30))
    assert float(losses["readout"]) == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(cell.linear.weight.detach(), expected)


# Strangeness


@pytest.mark.parametrize("ties", [False, True])
def test_missed_is_one_minus_auroc(ties: bool) -> None:
    scores, y = drawn(40), (torch.arange(40) % 3 == 0).long()
    scores = scores.round() if ties else scores
    assert missed(scores, y) == pytest.approx(1 - roc_auc_score(y, scores), abs=1e-12)
    lost = 0.0
    strange, usual = scores[y == 1].tolist(), scores[y == 0].tolist()
    for one in strange:
        for other in usual:
            lost += (one < other) + 0.5 * (one == other)
    assert missed(scores, y) == pytest.approx(lost / (len(strange) * len(usual)), abs=1e-12)


def test_missed_in_known_cases() -> None:
    y = torch.tensor([0, 0, 1, 1])
    assert missed(torch.tensor([1.0, 2.0, 3.0, 4.0]), y) == 0
    assert missed(torch.tensor([4.0, 3.0, 2.0, 1.0]), y) == 1
    assert missed(torch.ones(4), y) == 0.5
    assert missed(torch.ones(4), torch.zeros(4)) is None
    assert missed(torch.ones(4), torch.ones(4)) is None


def restoring_row(detects: bool = True) -> Row:
    rng = generator(0, "cells")
    cells = [AutoEncoder(12, 6, rng=rng), AutoEncoder(6, 4, rng=rng)]
    return build_row(cells, UnsupervisedForwardForward(), plain(0.1), detects=detects)


def test_strangeness_is_the_mean_of_the_errors() -> None:
    row, x = restoring_row(), drawn(9, 12).float()
    each = reconstruction_errors(row.cells, row.algorithm, x)
    assert each.shape == (2, 9)
    for sample in range(9):
        h, means = x[sample : sample + 1], []
        for number, cell in enumerate(row.cells):
            assert isinstance(cell, AutoEncoder)
            seen = cell.seen(h)[0].tolist()
            restored = cell.decode(cell.encode(h))[0].tolist()
            squares = [(a - b) ** 2 for a, b in zip(seen, restored, strict=True)]
            means.append(sum(squares) / len(squares))
            assert float(each[number, sample]) == pytest.approx(means[-1], rel=1e-4)
            h = cell(h)
        assert float(strangeness(each)[sample]) == pytest.approx(sum(means) / 2, rel=1e-4)


def test_a_rows_errors_as_a_detector() -> None:
    row, x = restoring_row(), drawn(30, 12).float()
    y = (torch.arange(30) % 5 == 0).long()
    each = reconstruction_errors(row.cells, row.algorithm, x)
    found = errors(row, x, y)
    assert set(found) == {"reconstruction", "reconstruction_cells"}
    assert found["reconstruction"] == pytest.approx(1 - roc_auc_score(y, each.mean(0)))
    assert found["reconstruction_cells"] == pytest.approx([1 - roc_auc_score(y, e) for e in each])
    assert len(errors(row, x, y, trained=1)["reconstruction_cells"]) == 1


def test_cells_that_restore_nothing_have_no_strangeness() -> None:
    row = build_row([Dense(12, 6)], Clean(), plain(0.1))
    with pytest.raises(BadInput, match=r"Dense has no method errors\(x\)"):
        reconstruction_errors(row.cells, row.algorithm, torch.rand(3, 12))


# Whole runs


def numbers(samples: int = 120) -> data.Dataset:
    x = drawn(samples, 8).float()
    y = (200 + 30 * x[:, 0] - 10 * x[:, 1] + 2 * drawn(samples, seed=1).float()).float()
    train, validation, test = (data.Split(x[i::3], y[i::3]) for i in range(3))
    return data.Dataset(
        "made-up", train, validation, test, 1, ("height",), "made", target="numbers"
    )


def number_plan(made: data.Dataset) -> Plan:
    rng = generator(0, "cells")
    cells = [AutoEncoder(8, 6, rng=rng), AutoEncoder(6, 5, rng=rng)]
    row = build_row(
        cells,
        UnsupervisedForwardForward(),
        plain(0.01),
        classes=1,
        readout=plain(0.05),
        read=[0, 1],
        head=lambda widths, classes, read: LinearReadout(
            widths, classes, read, task=suited(made.target, made.train.y)
        ),
    )
    return Plan(row, simultaneous, Training(epochs=2, batch=10))


def test_a_run_on_numbers_keeps_every_promise() -> None:
    made = numbers()
    assert "a resumed run equals one never interrupted" in check_plan(
        lambda: number_plan(made), made
    )


def test_fit_takes_the_task_that_the_data_have() -> None:
    made, rng = numbers(), generator(0, "cells")
    cells = [Dense(8, 20, rng=rng), Dense(20, 20, rng=rng)]
    run = library.fit(
        cells, Clean(), made, epochs=60, batch=10, schedule=backprop, read=[0, 1], threads=1
    )
    said = run.predict(made.test.x)
    error = run.test_error["linear"]
    assert error == pytest.approx(1 - r2_score(made.test.y, said), abs=1e-5)
    assert error < 0.6
    assert run.record["measure"] == "1 - R2"
    assert run.record["data"]["target"] == "numbers"
    assert run.record["confusion"] is None
    record.check(run.record, "here")


def test_any_row_of_auto_encoders_has_a_strangeness() -> None:
    made, rng = data.load("synthetic"), generator(0, "cells")
    cells = [AutoEncoder(64, 20, rng=rng)]
    run = library.fit(cells, UnsupervisedForwardForward(), made, epochs=3, readout=None, threads=1)
    usual, noise = (
        run.strangeness(made.test.x),
        run.strangeness(torch.rand(50, 1, 8, 8, generator=rng)),
    )
    assert usual.shape == (200,)
    assert float(noise.median()) > float(usual.median())


def started(plan: Plan, made: data.Dataset) -> Run:
    machine = Machine("cpu", threads=1)
    return Run(plan, made, machine, new_record(plan, made, machine, 0, {}))


def test_rows_and_data_that_do_not_fit() -> None:
    made, labelled = numbers(), data.load("synthetic")
    wrong = build_row([Dense(8, 5)], Clean(), plain(0.1), classes=1, readout=plain(0.1))
    with pytest.raises(BadInput, match="made-up has numbers to predict, and this row's readout"):
        started(Plan(wrong, backprop, Training(1, 10)), made)
    tried = build_row([Dense(8, 5)], ForwardForward(2), plain(0.1))
    with pytest.raises(BadInput, match="made-up has numbers to predict"):
        started(Plan(tried, simultaneous, Training(1, 10)), made)
    rng = generator(0, "cells")
    ten = build_row(
        [AutoEncoder(64, 6, rng=rng)], UnsupervisedForwardForward(), plain(0.1), detects=True
    )
    with pytest.raises(BadInput, match=r"labels 0 \(usual\) and 1 \(strange\), and synthetic has"):
        started(Plan(ten, simultaneous, Training(1, 10)), labelled)


# Recipes by the command

SMALL = ("--widths", "[8, 6]", "--epochs", 2, "--batch", 60, "--threads", 1)


@pytest.fixture(scope="module")
def regressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "regressed"
    done = onward("run", "uff-regression-diabetes", *SMALL, "--alone", "--out", out)
    assert done.code == 0, done.err
    assert "(1 - R2)" in done.out
    return out


@pytest.fixture(scope="module")
def detected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "detected"
    words = ("--dataset", "synthetic", "--digit", 3, *SMALL)
    done = onward("run", "uff-anomaly-mnist", *words, "--out", out)
    assert done.code == 0, done.err
    assert "(1 - AUROC)" in done.out
    return out


def test_a_number_is_predicted_in_its_own_units(regressed: Path, tmp_path: Path) -> None:
    made, test = record.read(regressed), data.load("diabetes").test
    assert (made["measure"], made["data"]["target"]) == ("1 - R2", "numbers")
    np.save(tmp_path / "x.npy", test.x.numpy())
    done = onward("predict", regressed, tmp_path / "x.npy")
    rows = list(csv.reader(io.StringIO(done.out)))
    assert rows[0] == ["input", "progression"]
    said = [float(row[1]) for row in rows[1:]]
    assert 1 - r2_score(test.y, said) == pytest.approx(made["test_error"]["linear"], rel=1e-4)
    told = json.loads(onward("predict", regressed, tmp_path / "x.npy", "--format", "json").out)
    assert told["readout"] == "linear"
    assert [row["progression"] for row in told["predictions"]] == pytest.approx(said, rel=1e-4)
    shown = onward("eval", regressed).out
    assert f"{100 * made['test_error']['linear']:6.2f} % error (1 - R2)" in shown
    page = (regressed / "report.html").read_text()
    assert "1 - R2" in page
    assert " wrong<" not in page


def test_strangeness_is_predicted_cell_by_cell(detected: Path, tmp_path: Path) -> None:
    made, test = record.read(detected), data.load("synthetic").test
    np.save(tmp_path / "x.npy", test.x.numpy())
    rows = list(csv.DictReader(io.StringIO(onward("predict", detected, tmp_path / "x.npy").out)))
    assert list(rows[0]) == ["input", "strangeness", "error of cell-0", "error of cell-1"]
    y = test.y == 3
    for name, error in (
        ("strangeness", made["test_error"]["reconstruction"]),
        ("error of cell-0", made["test_error"]["reconstruction_cells"][0]),
        ("error of cell-1", made["test_error"]["reconstruction_cells"][1]),
    ):
        scores = [float(row[name]) for row in rows]
        assert 1 - roc_auc_score(y, scores) == pytest.approx(error, abs=1e-3)
    told = json.loads(onward("predict", detected, tmp_path / "x.npy", "--format", "json").out)
    assert told["readout"] == "reconstruction"
    assert set(told["predictions"][0]["cells"]) == {"cell-0", "cell-1"}
    said = onward("predict", detected, tmp_path / "x.npy", "--readout", "linear").complaint
    assert "this run has no readout linear: it has reconstruction" in said
    shown = onward("eval", detected).out
    assert f"reconstruction    {100 * made['test_error']['reconstruction']:6.2f} % error" in shown
    assert "cell-1     alone" in shown


def test_a_run_that_detects_sees_no_strange_sample(detected: Path) -> None:
    made, whole = record.read(detected), data.load("synthetic")
    assert made["data"]["classes"] == 2
    assert made["data"]["label_names"] == ["usual", "class 3"]
    assert made["data"]["train"] == int((whole.train.y != 3).sum())
    assert made["data"]["test"] == len(whole.test)
    assert made["parameters"]["readout"] == 0
    curve = made["curves"]["readouts"]["reconstruction"]
    assert curve["train"] == [None, None], "no strange sample, no error"
    assert curve["validation"][-1] == made["validation_error"]["reconstruction"]
    recipe = find("uff-anomaly-mnist")
    prepared = recipe.data(type(recipe.defaults)(digit=3), whole)
    assert torch.equal(prepared.train.x, whole.train.x[whole.train.y != 3])
    assert not prepared.train.y.any()
    assert torch.equal(prepared.test.x, whole.test.x)
    assert torch.equal(prepared.test.y, (whole.test.y == 3).long())
    assert prepared.fingerprint() == made["data"]["fingerprint"]


@pytest.mark.parametrize("which", ["regressed", "detected"])
def test_the_recorded_command_repeats_it(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run: Path = request.getfixturevalue(which)
    command = record.read(run)["command"].split(" ")
    words = [word.strip("'") for word in " ".join(command[1:]).replace("[8, 6]", "[8,6]").split()]
    alone = ["--alone"] if which == "regressed" else []
    assert onward(*words, *alone, "--out", tmp_path / "again").code == 0
    same(run, tmp_path / "again")


def test_resumed_in_another_task(regressed: Path, tmp_path: Path) -> None:
    assert "finished run" in onward("resume", regressed).complaint
    x = np.random.RandomState(0).rand(40, 10).astype(np.float32)
    labels = {"x_train": x, "y_train": np.arange(40) % 3, "x_test": x, "y_test": np.arange(40) % 3}
    save_npz(tmp_path / "classes.npz", labels)
    said = onward("eval", regressed, "--data", tmp_path / "classes.npz").complaint
    assert said.startswith("the run was trained to predict numbers, and classes has classes")
    copy = Path(shutil.copytree(regressed, tmp_path / "run"))
    text = (copy / "record.json").read_text().replace('"target": "numbers"', '"target": "songs"')
    (copy / "record.json").write_text(text)
    assert "data.target is 'songs', not one of classes, numbers" in onward("eval", copy).complaint


def table(**changes: Any) -> dict[str, Any]:
    random = np.random.RandomState(0)
    x = random.rand(60, 5).astype(np.float32)
    y = (3 * x[:, 0] + 100).astype(np.float32)
    return {"x_train": x, "y_train": y, "x_test": x[:20], "y_test": y[:20], **changes}


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    save_npz(tmp_path / "mine.npz", table())
    loaded = data.load(path=tmp_path / "mine.npz")
    assert (loaded.target, loaded.classes, loaded.label_names) == ("numbers", 1, ("value",))
    assert loaded.train.y.dtype == torch.float32
    assert "a number to predict" in data.verify("digits", tmp_path / "mine.npz")
    words = ("--data", tmp_path / "mine.npz", *SMALL, "--batch", 10, "--out", tmp_path / "run")
    assert onward("run", "uff-tabular-cancer", *words, "--alone").code == 0
    made = record.read(tmp_path / "run")
    assert (made["data"]["name"], made["measure"]) == ("mine", "1 - R2")
    np.save(tmp_path / "x.npy", table()["x_test"])
    out = onward("predict", tmp_path / "run", tmp_path / "x.npy").out
    assert out.splitlines()[0] == "input,value"
    backwards = ("--data", tmp_path / "mine.npz", "--epochs", 1, "--batch", 10, "--threads", 1)
    assert onward("run", "bp-digits", *backwards, "--out", tmp_path / "bp").code == 0
    refused = onward("run", "ff-digits", *backwards, "--out", tmp_path / "ff").complaint
    assert "numbers to predict" in refused
    refused = onward("run", "uff-anomaly-mnist", *backwards, "--out", tmp_path / "a").complaint
    assert refused.startswith("one class of three or more is made the strange one, and mine has")


def missing(where: list[tuple[int, int]]) -> np.ndarray[Any, Any]:
    x = table()["x_train"].copy()
    for place in where:
        x[place] = np.nan
    return np.asarray(x)


BAD_TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "missing values": (
        {"x_train": missing([(3, 1), (7, 1), (7, 4)])},
        "x_train has NaN or infinity (in 2 of 60 samples, first in sample 3; column 1: 2 rows, "
        "column 4: 1 row), wanted finite float32 numbers; missing values are not filled in",
    ),
    "a missing target": (
        {"y_train": np.append(table()["y_train"][:-1], np.nan)},
        "y_train has NaN or infinity (in 1 of 60 samples, first in sample 59)",
    ),
    "two kinds of target": (
        {"y_test": np.arange(20)},
        "y_test holds classes (integers) and y_train numbers (floats)",
    ),
    "a target that never varies": (
        {"y_train": np.full(60, 2.5)},
        "y_train is 2.5 in all samples, wanted numbers that differ",
    ),
    "two targets": ({"y_train": np.zeros((60, 2))}, "y_train has shape [60, 2], wanted [N]"),
    "a target of text": ({"y_train": np.array(["a"] * 60)}, "wanted integers (classes) or floats"),
}


@pytest.mark.parametrize("bad", BAD_TABLES)
def test_tables_that_are_refused(bad: str, tmp_path: Path) -> None:
    changes, says = BAD_TABLES[bad]
    save_npz(tmp_path / "bad.npz", table(**changes))
    words = ("--data", tmp_path / "bad.npz", *SMALL, "--out", tmp_path / "run")
    assert says in onward("run", "uff-regression-diabetes", *words).complaint
    assert not (tmp_path / "run").exists()


def test_missing_values_in_what_is_to_be_predicted(regressed: Path, tmp_path: Path) -> None:
    x = data.load("diabetes").test.x[:4].numpy().copy()
    x[2, 7] = np.nan
    np.save(tmp_path / "x.npy", x)
    said = onward("predict", regressed, tmp_path / "x.npy").complaint
    assert "in 1 of 4 rows, first in row 2; column 7: 1 row" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--digit 10", "digit should be a class of synthetic, 0 to 9, and is 10"),
        ("--digit -1", "digit should be a class of synthetic, 0 to 9, and is -1"),
        ("--digit x", "digit should be a whole number, and is 'x'"),
        ("--dataset cancer", "made the strange one, and cancer has 2"),
        ("--dataset diabetes", "made the strange one, and diabetes has numbers"),
        ("--cell gan", "cell can't be 'gan': did you mean 'cae'"),
        ("--widths []", "widths should name the units of at least one cell"),
    ],
)
def test_words_of_the_detector_that_are_refused(words: str, says: str, tmp_path: Path) -> None:
    given = ("--dataset", "synthetic", *SMALL, *words.split(), "--out", tmp_path / "run")
    said = onward("run", "uff-anomaly-mnist", *given).complaint
    assert says.partition(":")[0] in said
    assert not (tmp_path / "run").exists()


def test_a_split_without_the_strange_class() -> None:
    made = data.load("synthetic")
    kept = made.test.y != 4
    made = data.Dataset(
        *("part", made.train, made.validation, data.Split(made.test.x[kept], made.test.y[kept])),
        *(10, made.label_names, "made"),
    )
    recipe = find("uff-anomaly-mnist")
    with pytest.raises(BadInput, match="part has no test sample of class 4"):
        recipe.data(type(recipe.defaults)(digit=4), made)


def test_the_embedded_tables() -> None:
    from sklearn.datasets import load_breast_cancer, load_diabetes

    for name, load in (("diabetes", load_diabetes), ("cancer", load_breast_cancer)):
        loaded = data.load(name)
        options = {"scaled": False} if name == "diabetes" else {}
        x, y = load(return_X_y=True, **options)
        ours = []
        for split in (loaded.train, loaded.validation, loaded.test):
            ours += [(*r, v) for r, v in zip(split.x.tolist(), split.y.tolist(), strict=True)]
        wanted = zip(x.astype(np.float32).tolist(), y.tolist(), strict=True)
        assert sorted(ours) == sorted((*row, label) for row, label in wanted)
        assert len({row[:-1] for row in ours}) == len(ours), "no sample is in two splits"


# Checks that bite


class Summed(Classify):
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(outputs, y, reduction="sum")


class Centred(Classify):
    def answer(self, outputs: Tensor) -> Tensor:
        return (outputs - outputs.mean(0)).argmax(1)


class Contrary(Classify):
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return -cross_entropy(outputs, y).clamp_max(9)


class Blind(Classify):
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return 0 * outputs.sum()


class Ordered(Regress):
    def error(self, outputs: Tensor, y: Tensor) -> float | None:
        return float((self.answer(outputs)[::2] - y[::2]).square().mean())


BAD_TASKS: dict[str, tuple[Callable[[], Task], int, str]] = {
    "a sum": (Summed, 4, "a loss is a mean"),
    "centred over the batch": (Centred, 4, "rest of the batch"),
    "the wrong way": (Contrary, 4, "a small loss is a small error"),
    "no gradient": (Blind, 4, "the loss has a gradient"),
    "an error of some": (lambda: Ordered(drawn(9)), 1, "permuting samples keeps the error"),
}


@pytest.mark.parametrize("bad", BAD_TASKS)
def test_a_task_that_breaks_a_promise(bad: str) -> None:
    make, outputs, says = BAD_TASKS[bad]
    with pytest.raises(BrokenPromise, match=says):
        check_task(make(), outputs)


def test_tasks_are_modules_whose_state_is_all_saved() -> None:
    assert isinstance(suited("classes", torch.arange(3)), Classify)
    assert isinstance(suited("numbers", torch.rand(3)), Regress)
    assert all(isinstance(task, nn.Module) for task in (Classify(), Regress(torch.rand(3))))
