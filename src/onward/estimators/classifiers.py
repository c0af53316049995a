"""Classifiers for scikit-learn: Forward-Forward, and unsupervised cells with a linear softmax.

N = samples, D = features, K = classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data
from torch import Tensor

from .. import evaluate, labels, negatives
from ..algorithms import Collaborative, ForwardForward, UnsupervisedForwardForward
from ..cells import Dense, layer_norm
from ..errors import BadInput
from ..optimizers import adamw, sgd
from ..readouts import LinearReadout
from ..row import Row, build_row
from ..seeds import generator
from .base import Floats, PredictingEstimator, one_of
from .unsupervised import UnsupervisedEstimator


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(ClassifierMixin, PredictingEstimator, ABC):
    """Class labels of any kind, as scikit-learn has them; a subclass says which row learns."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X [N, D] and labels y [N], from the beginning unless ``warm_start``."""
        goes_on = self.warm_start and hasattr(self, "row_")
        X, y = validate_data(self, X, y, dtype="numeric", reset=not goes_on)
        check_classification_targets(y)
        if goes_on:
            self._learn(X, self._numbers(y))
            return self
        self.classes_ = np.unique(y)
        self._refuse_one_class()
        number = np.searchsorted(self.classes_, y)
        self._begin(X, number)
        self._learn(X, number)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """One epoch more on X [N, D], y [N]; the first call names all ``classes`` to come."""
        if hasattr(self, "row_"):
            X, y = validate_data(self, X, y, dtype="numeric", reset=False)
            if self.scaler_ is not None:
                self.scaler_.partial_fit(X)
            self._learn(X, self._numbers(y), part=True)
            return self
        if classes is None:
            raise BadInput("classes should name all classes at the first call of partial_fit")
        X, y = validate_data(self, X, y, dtype="numeric")
        check_classification_targets(y)
        self.classes_ = np.unique(classes)
        self._refuse_one_class()
        number = self._numbers(y)
        self._begin(X, number)
        self._learn(X, number, part=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each sample.  X [N, D] -> [N]."""
        chosen = self._scores(X).argmax(1)
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: Any) -> Floats:
        """A probability of each class.  X [N, D] -> [N, K], rows add up to 1."""
        return torch.softmax(torch.from_numpy(self._scores(X)), 1).numpy()

    def decision_function(self, X: Any) -> Floats:
        """Scores; the largest wins.  X [N, D] -> [N, K]; of two classes [N], above 0 the second."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def _scores(self, X: Any) -> Floats:
        """Logits.  X [N, D] -> [N, K]."""
        return self._logits(self._scaled(self._seen(X)).double()).double().numpy()

    @abstractmethod
    def _logits(self, x: Tensor) -> Tensor:
        """x [N, D] -> [N, K]."""

    def _judge(self, x: Tensor, y: Tensor) -> float:
        """Accuracy."""
        return float((self._logits(x.double()).argmax(1) == y.cpu()).double().mean())

    def _numbers(self, y: Any) -> NDArray[np.int64]:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise BadInput(
                f"y has the classes {unknown.tolist()}, which were not among the first ones, "
                f"{self.classes_.tolist()}: name all classes at the first call, or fit anew"
            )
        return np.asarray(np.searchsorted(self.classes_, y), dtype=np.int64)

    def _refuse_one_class(self) -> None:
        if len(self.classes_) < 2:
            raise BadInput(
                f"a classifier wants samples of two classes or more, and there is one class: "
                f"{self.classes_.tolist()}"
            )


@dataclass(eq=False, repr=False, kw_only=True)
class LabelTrier(Classifier, ABC):
    """Forward-Forward with the label appended to the features; a subclass says which algorithm.

    Args:
        lr: learning rate of the cells; three times as high as elsewhere
        readout: how a class is read off: every label is tried and the largest goodness wins, or a
            linear softmax on the cells' answers, which learns along
        negatives: wrong labels, in proportion to the linear readout's softmax, or drawn uniformly
        label_value: the number that marks the label; None for the square root of half the features
            (1 at least), so that label and features weigh alike
        peers: strength of peer normalisation, 0 for none
    """

    lr: float = 0.003
    readout: Literal["goodness", "linear"] = "goodness"
    negatives: Literal["hard", "wrong"] = "hard"
    label_value: float | None = None
    peers: float = 0.03

    @abstractmethod
    def _algorithm(self, **usual: Any) -> ForwardForward:
        """The algorithm, from what all of these have."""

    def _counted(self) -> Sequence[int] | None:
        """Cells that count when every label is tried; None for all but the first."""
        return None

    def _row(self, x: Tensor, y: Tensor) -> Row:
        one_of("readout", self.readout, ("goodness", "linear"))
        one_of("negatives", self.negatives, negatives.BY_NAME)
        classes, features = len(self.classes_), x.shape[1]
        value = self.label_value
        algorithm = self._algorithm(
            classes=classes,
            negatives=negatives.BY_NAME[self.negatives],
            writer=labels.appended,
            label_value=max(1.0, (features / 2) ** 0.5) if value is None else value,
        )
        rng = generator(self.seed_, "cells")
        sizes = [features + classes, *map(int, self.widths)]
        cells = [Dense(a, b, peers=self.peers, rng=rng) for a, b in pairwise(sizes)]
        return build_row(
            cells,
            algorithm,
            adamw(self.lr, decay=self.decay),
            classes=classes,
            readout=sgd(0.01, 0.9, 0.03),
            counted=self._counted(),
        )

    def _logits(self, x: Tensor) -> Tensor:
        tried = self.readout == "goodness"
        found = evaluate.judge(self._wide(), x, labels=tried, linear=not tried)
        scores = found.scores(self.row_, len(self.row_.stations))[self.readout]
        assert isinstance(self.row_.algorithm, ForwardForward)
        # Each cell's odds that a label is true are exp((g - theta) / T): here they are multiplied.
        return scores / self.row_.algorithm.temperature if tried else scores


@dataclass(eq=False, repr=False, kw_only=True)
class ForwardForwardClassifier(LabelTrier):
    """Supervised Forward-Forward (Hinton 2022, arXiv:2212.13345, section 3.3) on rows of features.

    Each cell learns alone to answer strongly to a sample that carries its true label, and weakly to
    one that carries a wrong one; ``onward.ForwardForward`` has the formulas. Departs from them:
    samples are standardised, and AdamW trains the cells.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ForwardForwardClassifier(widths=(50, 50), random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def _algorithm(self, **usual: Any) -> ForwardForward:
        return ForwardForward(**usual)


@dataclass(eq=False, repr=False, kw_only=True)
class CollaborativeForwardForwardClassifier(LabelTrier):
    """Forward-Forward whose cells are told how the others judge a sample.

    (Lorberbom et al. 2023, arXiv:2305.12393; ``onward.Collaborative`` has the formulas.) All cells
    count when labels are tried. Departs from them as :class:`ForwardForwardClassifier` does.

    Args:
        gamma: the cells that each is told of

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = CollaborativeForwardForwardClassifier(widths=(50, 50), random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    gamma: Literal["all", "earlier"] = "all"

    def _algorithm(self, **usual: Any) -> ForwardForward:
        one_of("gamma", self.gamma, ("all", "earlier"))
        return Collaborative(gamma=self.gamma, **usual)

    def _counted(self) -> Sequence[int]:
        return range(len(self.widths))


@dataclass(eq=False, repr=False, kw_only=True)
class UnsupervisedForwardForwardClassifier(UnsupervisedEstimator, Classifier):
    """A linear softmax on the latents of auto-encoder cells (Hwang et al. 2024, arXiv:2404.14664).

    Each cell learns alone to restore what it sees, without labels; labels train the softmax alone.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = UnsupervisedForwardForwardClassifier(widths=(50, 50), random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def _row(self, x: Tensor, y: Tensor) -> Row:
        return build_row(
            self._cells(x),
            UnsupervisedForwardForward(),
            adamw(self.lr, decay=self.decay),
            classes=len(self.classes_),
            readout=adamw(self.readout_lr, decay=self.readout_decay),
            read=range(len(self.widths)),
            head=partial(LinearReadout, normalise=layer_norm, bias=True),
        )

    def _logits(self, x: Tensor) -> Tensor:
        found = evaluate.judge(self._wide(), x).linear
        assert found is not None
        return found
