"""Estimators of auto-encoder cells: what they share, a regressor, latents, and an outlier detector.

(Hwang, Seo and Jung 2024, arXiv:2404.14664; the cell is ``onward.AutoEncoder``.)

N = samples, D = features, F = units of the latents that are read, together.
"""

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.validation import validate_data
from torch import Tensor, nn

from .. import evaluate
from ..algorithms import UnsupervisedForwardForward
from ..cells import AutoEncoder, Corruption, layer_norm, unchanged
from ..cells.noise import BY_NAME as NOISES
from ..errors import BadInput
from ..optimizers import adamw
from ..readouts import LinearReadout, strangeness
from ..row import Row, build_row
from ..seeds import generator
from ..tasks import Regress
from .base import Floats, LocalEstimator, PredictingEstimator, one_of


@dataclass(eq=False, repr=False, kw_only=True)
class UnsupervisedEstimator(LocalEstimator, ABC):
    """Settings of a row of auto-encoder cells.

    Args:
        regime: all cells on every batch, or each to its end on the latents of the one before
        activation: of the latents
        noise: what a cell's input is corrupted by while it learns to restore it
        noise_level: standard deviation of gaussian noise, or probability of the others
        tied: decoders use the encoders' weights, transposed
        readout_lr: learning rate of the linear readout, where there is one
        readout_decay: decoupled weight decay of it
    """

    regime: Literal["simultaneous", "separate"] = "simultaneous"
    activation: str = "relu"
    noise: Literal["none", "gaussian", "masking", "salt_and_pepper"] = "masking"
    noise_level: float = 0.3
    tied: bool = False
    readout_lr: float = 0.003
    readout_decay: float = 0.1

    def _cells(self, x: Tensor) -> list[nn.Module]:
        one_of("noise", self.noise, ("none", *NOISES))
        sizes = [x.shape[1], *map(int, self.widths)]
        return [
            AutoEncoder(
                inputs,
                outputs,
                normalise=layer_norm if number else unchanged,
                activation=self.activation,
                noise=self._corruption(number),
                tied=self.tied,
                rng=generator(self.seed_, "cells", number),
            )
            for number, (inputs, outputs) in enumerate(pairwise(sizes))
        ]

    def _corruption(self, number: int) -> Corruption | None:
        if self.noise == "none":
            return None
        return Corruption(NOISES[self.noise], self.noise_level, self.seed_, number)


@dataclass(eq=False, repr=False, kw_only=True)
class UnsupervisedForwardForwardRegressor(
    RegressorMixin, UnsupervisedEstimator, PredictingEstimator
):
    """A linear regression on the latents of auto-encoder cells, trained by steps.

    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> model = UnsupervisedForwardForwardRegressor(widths=(50,), random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X [N, D] and numbers y [N], from the beginning unless ``warm_start``."""
        goes_on = self.warm_start and hasattr(self, "row_")
        X, y = validate_data(self, X, y, dtype="numeric", y_numeric=True, reset=not goes_on)
        numbers = np.asarray(y, dtype=np.float32)
        if not goes_on:
            self._begin(X, numbers)
        self._learn(X, numbers)
        return self

    def partial_fit(self, X: Any, y: Any) -> Self:
        """One epoch more on X [N, D], y [N]; the first call's y set the targets' scale."""
        first = not hasattr(self, "row_")
        X, y = validate_data(self, X, y, dtype="numeric", y_numeric=True, reset=first)
        numbers = np.asarray(y, dtype=np.float32)
        if first:
            self._begin(X, numbers)
        elif self.scaler_ is not None:
            self.scaler_.partial_fit(X)
        self._learn(X, numbers, part=True)
        return self

    def predict(self, X: Any) -> Floats:
        """The number of each sample, in the targets' units.  X [N, D] -> [N]."""
        found = self._answers(self._scaled(self._seen(X)))
        return found.double().numpy()

    def _row(self, x: Tensor, y: Tensor) -> Row:
        return build_row(
            self._cells(x),
            UnsupervisedForwardForward(),
            adamw(self.lr, decay=self.decay),
            classes=1,
            readout=adamw(self.readout_lr, decay=self.readout_decay),
            read=range(len(self.widths)),
            head=partial(LinearReadout, normalise=layer_norm, bias=True, task=Regress(y)),
        )

    def _answers(self, x: Tensor) -> Tensor:
        found = evaluate.judge(self._wide(), x.double()).linear
        assert found is not None
        return self.row_.task.answer(found.double())

    def _judge(self, x: Tensor, y: Tensor) -> float:
        """R^2, or minus the mean squared error where y does not vary."""
        wanted, found = y.cpu().double(), self._answers(x)
        left, around = (wanted - found).square().mean(), wanted.var(correction=0)
        return float(1 - left / around) if around > 0 else -float(left)


@dataclass(eq=False, repr=False, kw_only=True)
class UnsupervisedForwardForwardTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, UnsupervisedEstimator
):
    """The latents of auto-encoder cells, as features for any other estimator.

    Args:
        read: the cells whose latents are handed on, counted from 0; None for all

    >>> from sklearn.datasets import load_iris
    >>> X, _ = load_iris(return_X_y=True)
    >>> UnsupervisedForwardForwardTransformer(widths=(20, 10), epochs=2).fit_transform(X).shape
    (150, 30)
    """

    read: Sequence[int] | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X [N, D]; y is not looked at."""
        goes_on = self.warm_start and hasattr(self, "row_")
        X = validate_data(self, X, dtype="numeric", reset=not goes_on)
        _fit_cells(self, X, goes_on)
        self._n_features_out = sum(int(self.widths[cell]) for cell in self._reads())
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One epoch more on X [N, D]."""
        X = validate_data(self, X, dtype="numeric", reset=not hasattr(self, "row_"))
        _fit_one_epoch(self, X)
        self._n_features_out = sum(int(self.widths[cell]) for cell in self._reads())
        return self

    def transform(self, X: Any) -> Floats:
        """Each latent, layer-normed as the linear readouts see them.  X [N, D] -> [N, F]."""
        rows, row, found = self._scaled(self._seen(X)).double(), self._wide(), []
        for piece in torch.split(rows, evaluate.CHUNK):
            h, latents = piece.to(self._place()), []
            for cell in row.cells:
                h = cell(h)
                latents.append(layer_norm(h).cpu())
            found.append(torch.cat([latents[number] for number in self._reads()], 1))
        return torch.cat(found).numpy()

    def _row(self, x: Tensor, y: Tensor) -> Row:
        self._reads()
        return _cells_alone(self, x)

    def _reads(self) -> list[int]:
        there = range(len(self.widths))
        chosen = list(there if self.read is None else self.read)
        if not chosen or any(number not in there for number in chosen):
            raise BadInput(f"read names cells {chosen}, and the row has 0 to {len(there) - 1}")
        return chosen


@dataclass(eq=False, repr=False, kw_only=True)
class UnsupervisedForwardForwardOutlierDetector(OutlierMixin, UnsupervisedEstimator):
    """Samples that auto-encoder cells restore badly are strange.

    The score is minus the mean over cells of each one's error of reconstruction
    (``onward.readouts.strangeness``), narrow cells by default: wide ones restore anything.

    Args:
        contamination: the share of the training samples that is called strange

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * np.ones(5)
    >>> model = UnsupervisedForwardForwardOutlierDetector(widths=(2,), random_state=0).fit(X)
    >>> model.predict([[0, 0, 0, 0, 0], [3, -3, 3, -3, 3]])
    array([ 1, -1])
    """

    widths: Sequence[int] = (16, 8)
    activation: str = "leaky_relu"
    noise: Literal["none", "gaussian", "masking", "salt_and_pepper"] = "none"
    contamination: float = 0.1

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X [N, D], most of them usual; y is not looked at."""
        if not 0 < self.contamination <= 0.5:
            raise BadInput(
                f"contamination should be above 0, and 0.5 at most, and is {self.contamination}"
            )
        goes_on = self.warm_start and hasattr(self, "row_")
        X = validate_data(self, X, dtype="numeric", reset=not goes_on)
        _fit_cells(self, X, goes_on)
        self.offset_ = float(np.percentile(self._usual(X), 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> Floats:
        """How usual each sample is, below 0; the smaller the stranger.  X [N, D] -> [N]."""
        return self._usual(self._seen(X))

    def decision_function(self, X: Any) -> Floats:
        """``score_samples`` less the offset: below 0 for what is called strange."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """1 for usual samples, -1 for strange ones.  X [N, D] -> [N]."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _row(self, x: Tensor, y: Tensor) -> Row:
        return _cells_alone(self, x)

    def _usual(self, X: Any) -> Floats:
        each = evaluate.judge(self._wide(), self._scaled(X).double()).restoring
        assert each is not None
        return -strangeness(each).double().numpy()


def _cells_alone(estimator: UnsupervisedEstimator, x: Tensor) -> Row:
    return build_row(
        estimator._cells(x),
        UnsupervisedForwardForward(),
        adamw(estimator.lr, decay=estimator.decay),
        detects=isinstance(estimator, OutlierMixin),
    )


def _fit_cells(estimator: UnsupervisedEstimator, X: Any, goes_on: bool) -> None:
    nothing = np.zeros(len(X), dtype=np.int64)
    if not goes_on:
        estimator._begin(X, nothing)
    estimator._learn(X, nothing)


def _fit_one_epoch(estimator: UnsupervisedEstimator, X: Any) -> None:
    nothing = np.zeros(len(X), dtype=np.int64)
    if not hasattr(estimator, "row_"):
        estimator._begin(X, nothing)
    elif estimator.scaler_ is not None:
        estimator.scaler_.partial_fit(X)
    estimator._learn(X, nothing, part=True)
