"""The scikit-learn estimators: scikit-learn's own checks, and what it does not check."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import onward
from onward import (
    CollaborativeForwardForwardClassifier,
    ForwardForwardClassifier,
    UnsupervisedForwardForwardClassifier,
    UnsupervisedForwardForwardOutlierDetector,
    UnsupervisedForwardForwardRegressor,
    UnsupervisedForwardForwardTransformer,
)

SMALL: dict[str, Any] = {"widths": (20, 20), "epochs": 20, "batch": 20, "random_state": 0}
FORWARD = ForwardForwardClassifier(**SMALL, lr=0.01)
TOGETHER = CollaborativeForwardForwardClassifier(**SMALL, lr=0.01)
CELLS = UnsupervisedForwardForwardClassifier(**SMALL, readout_lr=0.01)
NUMBERS = UnsupervisedForwardForwardRegressor(**SMALL)
LATENTS = UnsupervisedForwardForwardTransformer(widths=(8, 5), epochs=2, random_state=0)
STRANGE = UnsupervisedForwardForwardOutlierDetector(widths=(2,), epochs=4, random_state=0)
EVERYONE = [FORWARD, TOGETHER, CELLS, NUMBERS, LATENTS, STRANGE]


QUICK: dict[str, Any] = {"epochs": 6, "batch": 25, "random_state": 0}
CHECKED = [
    ForwardForwardClassifier(**QUICK, widths=(12,), lr=0.05),
    CollaborativeForwardForwardClassifier(**QUICK, widths=(8, 8), lr=0.05),
    UnsupervisedForwardForwardClassifier(**QUICK, widths=(12,), readout_lr=0.05),
    UnsupervisedForwardForwardRegressor(**{**QUICK, "epochs": 15}, widths=(20,), readout_lr=0.05),
    LATENTS,
    STRANGE,
]


@parametrize_with_checks(CHECKED)  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny products gain nothing from a second thread, and lose much to other work beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


IRIS = load_iris(return_X_y=True)


def named(y: Any) -> Any:
    return np.asarray(["one", "two", "three"])[y]


@pytest.mark.parametrize("estimator", [FORWARD, TOGETHER, CELLS])
def test_classes_of_any_kind(estimator: Any) -> None:
    X, y = IRIS
    model = clone(estimator).fit(X, named(y))
    assert model.score(X, named(y)) > 0.9
    assert list(model.classes_) == ["one", "three", "two"]
    assert (model.predict(X) == model.classes_[model.predict_proba(X).argmax(1)]).all()


@pytest.mark.parametrize("estimator", EVERYONE)
def test_the_same_seed_the_same_numbers(estimator: Any) -> None:
    X, y = IRIS
    says = "transform" if hasattr(estimator, "transform") else "predict"
    one, other = (getattr(clone(estimator).fit(X, y), says)(X) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    reseeded = clone(estimator).set_params(random_state=1).fit(X, y)
    curves = [m.loss_curves_["cell-0"] for m in (clone(estimator).fit(X, y), reseeded)]
    assert curves[0] != curves[1]


@pytest.mark.parametrize("estimator", EVERYONE)
def test_a_pickled_model_goes_on(estimator: Any) -> None:
    X, y = IRIS
    model = clone(estimator).set_params(warm_start=True, epochs=2).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        one.fit(X, y)
    says = "transform" if hasattr(estimator, "transform") else "predict"
    np.testing.assert_array_equal(getattr(model, says)(X), getattr(again, says)(X))
    assert model.n_iter_ == again.n_iter_ == 4


@pytest.mark.parametrize("estimator", [FORWARD, CELLS, NUMBERS])
def test_learning_in_parts(estimator: Any) -> None:
    X, y = IRIS
    model = clone(estimator).set_params(early_stopping=True)  # of which a part knows nothing
    more = {} if estimator is NUMBERS else {"classes": [0, 1, 2]}
    rng = np.random.default_rng(0)
    for _ in range(15):
        for part in np.array_split(rng.permutation(len(X)), 2):
            model.partial_fit(X[part], y[part], **more)
            more = {}
    assert model.n_iter_ == 30
    assert model.score(X, y) > 0.85
    assert model.scaler_.n_samples_seen_ == 15 * len(X)


def test_a_first_part_names_all_classes() -> None:
    X, y = IRIS
    with pytest.raises(ValueError, match="classes should name all classes at the first call"):
        clone(CELLS).partial_fit(X, y)
    model = clone(CELLS).partial_fit(X[:100], y[:100], classes=[0, 1])
    with pytest.raises(ValueError, match=r"y has the classes \[2\]"):
        model.partial_fit(X, y)


@pytest.mark.parametrize("estimator", [FORWARD, CELLS, NUMBERS])
def test_early_stopping_keeps_the_best(estimator: Any) -> None:
    X, y = IRIS
    model = clone(estimator).set_params(early_stopping=True, n_iter_no_change=3, epochs=60)
    model.fit(X, y)
    scores = model.validation_scores_
    assert model.n_iter_ == len(scores) < 60
    assert max(scores[:-3]) + model.tol >= max(scores[-3:])
    _, judged = model._held_out(y.astype(np.float32) if estimator is NUMBERS else y)
    assert model.score(X[judged], y[judged]) == pytest.approx(max(scores), abs=1e-6)


def test_cell_by_cell() -> None:
    X, y = IRIS
    model = clone(CELLS).set_params(regime="separate").fit(X, y)
    assert model.score(X, y) > 0.9
    assert {name: len(curve) for name, curve in model.loss_curves_.items()} == {
        "cell-0": 20,
        "cell-1": 20,
        "readout": 20,
    }


def test_in_a_pipeline_under_a_search() -> None:
    X, y = IRIS
    model = make_pipeline(clone(LATENTS), LogisticRegression(max_iter=2000))
    search = GridSearchCV(
        model, {"unsupervisedforwardforwardtransformer__read": [None, [1]]}, cv=2, n_jobs=1
    ).fit(X, y)
    assert search.best_score_ > 0.8
    assert len(search.best_estimator_[0].get_feature_names_out()) in (13, 5)


def test_latents_are_those_of_the_cells() -> None:
    X, _ = IRIS
    model = clone(LATENTS).set_params(read=[1, 0]).fit(X)
    assert model.transform(X).shape == (150, 13)
    both = clone(LATENTS).fit(X).transform(X)
    np.testing.assert_allclose(model.transform(X), np.hstack([both[:, 8:], both[:, :8]]))


def test_strange_digits_are_found() -> None:
    X, y = load_digits(return_X_y=True)
    usual = X[y != 1][:600]
    model = UnsupervisedForwardForwardOutlierDetector(
        widths=(16,), epochs=20, standardise=False, random_state=0, contamination=0.05
    ).fit(usual / 16)
    judged = (y == 1) | (np.arange(len(y)) >= 900)
    found = roc_auc_score(y[judged] == 1, -model.score_samples(X[judged] / 16))
    assert found > 0.7
    assert (model.predict(usual / 16) == -1).mean() == pytest.approx(0.05, abs=0.01)


def test_numbers_in_their_own_units() -> None:
    X, y = load_diabetes(return_X_y=True)
    learn, rest, wanted, left = train_test_split(X, 1000 + y, random_state=0)
    model = UnsupervisedForwardForwardRegressor(widths=(32,), random_state=0).fit(learn, wanted)
    assert model.score(rest, left) > 0.25
    assert abs(model.predict(rest).mean() - left.mean()) < 30


def test_both_readouts_of_forward_forward() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    for readout in ("goodness", "linear"):
        model = clone(FORWARD).set_params(readout=readout).fit(X, y)
        assert model.score(X, y) > 0.93
        assert model.decision_function(X).shape == (569,)


def test_verbose_tells_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = IRIS
    clone(CELLS).set_params(verbose=True, epochs=2).fit(X, y)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert "cells, epoch 2 of 2: cell-0" in said[1]


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (CELLS, {"epochs": 0}, "epochs should be a whole number, 1 or more, and is 0"),
    (CELLS, {"widths": ()}, "widths should name the units of each cell"),
    (CELLS, {"widths": 5}, "widths should name the units of each cell"),
    (CELLS, {"lr": -1.0}, "lr should be above 0"),
    (CELLS, {"rate": "linear"}, "rate can't be 'linear'"),
    (CELLS, {"regime": "seperate"}, "did you mean 'separate'"),
    (CELLS, {"noise": "mask"}, "did you mean 'masking'"),
    (CELLS, {"activation": "rleu"}, "did you mean 'relu'"),
    (FORWARD, {"readout": "labels"}, "readout can't be 'labels'"),
    (FORWARD, {"negatives": "harder"}, "did you mean 'hard'"),
    (FORWARD, {"lr": 1e30}, "Take a smaller lr than 1e\\+30"),
    (TOGETHER, {"gamma": "none"}, "gamma can't be 'none': choose from all, earlier"),
    (NUMBERS, {"early_stopping": True, "validation_fraction": 1.5}, "between 0 and 1"),
    (LATENTS, {"read": [2]}, r"read names cells \[2\], and the row has 0 to 1"),
    (STRANGE, {"contamination": 0.7}, "0.5 at most, and is 0.7"),
]


@pytest.mark.parametrize(("estimator", "wrong", "said"), REFUSED)
def test_refused_by_name(estimator: Any, wrong: dict[str, Any], said: str) -> None:
    X, y = IRIS
    with pytest.raises(onward.BadInput, match=said):
        clone(estimator).set_params(**wrong).fit(X, y)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_beyond_single_precision_are_refused(standardise: bool) -> None:
    X, y = IRIS
    with pytest.raises(onward.BadInput, match="within single precision"):
        clone(CELLS).set_params(standardise=standardise).fit(X * 1e300, y)
