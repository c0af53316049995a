"""What the scikit-learn estimators share: settings, and a row that learns from arrays.

The engine is the library's own: a schedule yields stages, and every batch is one step of a stage.
There is no record and no folder here; ``onward.fit`` and the command leave those.

N = samples, D = features.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data
from torch import Tensor

from .. import schedules
from ..errors import BadInput, nearest
from ..local import Station
from ..optimizers import RATE_SCHEDULES, set_rate
from ..plan import Machine
from ..row import Row
from ..schedules import Stage
from ..seeds import generator

Floats = NDArray[np.float64]


@dataclass(eq=False, repr=False, kw_only=True)
class LocalEstimator(BaseEstimator, ABC):
    """Settings that every estimator has; a subclass says which row learns, and from what.

    Args:
        widths: units of each cell, first to last
        epochs: passes over the samples (where separate: of each cell, then of the readout)
        batch: samples a batch; all of them where there are fewer
        lr: learning rate of the cells
        decay: decoupled weight decay of the cells
        rate: how learning rates go down over the epochs of a ``fit``; ``partial_fit`` keeps 1
        standardise: features are centred and scaled first, by the training samples' own figures
        warm_start: ``fit`` goes on with the row that is there
        random_state: seed of weights, batches, noise and negatives
        device: where to compute
        verbose: print a line an epoch
    """

    widths: Sequence[int] = (500, 500)
    epochs: int = 40
    batch: int = 50
    lr: float = 0.001
    decay: float = 0.01
    rate: Literal["constant", "cooldown", "cosine"] = "cosine"
    standardise: bool = True
    warm_start: bool = False
    random_state: Any = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    verbose: bool = False

    # What a subclass says.

    @abstractmethod
    def _row(self, x: Tensor, y: Tensor) -> Row:
        """A row, freshly drawn from the seed ``seed_``, for samples x [N, D], y [N]."""

    # Early stopping, for estimators that have something to stop by.

    def _held_out(self, y: NDArray[Any]) -> "tuple[NDArray[Any], NDArray[Any]] | None":
        """Which samples to learn from, and which to judge by; None for no early stopping."""
        return None

    def _patience(self) -> tuple[int, float]:
        """Epochs without an improvement of this much, after which learning ends."""
        return 10**9, 0.0

    # Learning.

    def _begin(self, X: Any, y: NDArray[Any]) -> None:
        """A fresh row for samples X [N, D], validated, and targets y [N]."""
        _check(self)
        self.scaler_ = StandardScaler().fit(X) if self.standardise else None
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.n_iter_ = 0
        self.loss_curves_: dict[str, list[float]] = {}
        self.validation_scores_: list[float] = []
        row = self._row(self._scaled(X), torch.as_tensor(y))
        for station in row.everyone:
            station.cell.to(self._place())
        self.row_ = row

    def _learn(self, X: Any, y: NDArray[Any], *, part: bool = False) -> None:
        """``epochs`` more of every stage, on X [N, D], y [N]; one, at the full rate, on a part."""
        epochs, rate = (1, "constant") if part else (self.epochs, self.rate)
        held = None if part else self._held_out(y)
        place = self._place()
        x_all, y_all = self._scaled(X).to(place), torch.as_tensor(y).to(place)
        x, goal = (x_all, y_all) if held is None else (x_all[held[0]], y_all[held[0]])
        judged = None if held is None else (x_all[held[1]], y_all[held[1]])
        rng = generator(self.seed_, "negatives", self.n_iter_, device=place)
        schedule = self._schedule()
        stages = schedule(self.row_, x, goal, rng)
        with self._machine().arithmetic(place):
            done = 0
            for stage in stages:
                done = self._stage(stage, len(x), epochs, RATE_SCHEDULES[rate], judged)
        self.n_iter_ += done

    def _stage(
        self,
        stage: Stage,
        samples: int,
        epochs: int,
        rate: Callable[[int, int], float],
        judged: tuple[Tensor, Tensor] | None,
    ) -> int:
        """One stage to its end, or until nothing gets better. Returns its epochs."""
        stops = judged is not None and self.row_.readout in stage.stations
        patience, least = self._patience()
        best, since, kept = -np.inf, 0, None
        size = min(self.batch, samples)
        for epoch in range(1, epochs + 1):
            for station in stage.stations:
                for optimizer in station.optimizers.values():
                    set_rate(optimizer, rate(epoch, epochs))
            order = generator(self.seed_, "order", stage.order, self.n_iter_ + epoch)
            permutation = torch.randperm(samples, generator=order).to(self._place())
            sums: dict[str, Tensor] = {}
            batches = torch.split(permutation, size)
            for index in batches:
                for name, loss in stage.step(index).items():
                    sums[name] = sums[name] + loss if name in sums else loss
            means = {name: float(total) / len(batches) for name, total in sums.items()}
            self._refuse_divergence(means)
            for name, loss_ in means.items():
                self.loss_curves_.setdefault(name, []).append(loss_)
            told = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
            if stops:
                assert judged is not None
                assert isinstance(self, PredictingEstimator)
                score = self._judge(*judged)
                self.validation_scores_.append(score)
                told += f"; validation score {score:.4f}"
                since = 0 if score > best + least else since + 1
                if score > best:
                    best, kept = score, _states(self.row_)
            if self.verbose:
                print(f"[{type(self).__name__}] {stage.name}, epoch {epoch} of {epochs}: {told}")
            if stops and since >= patience:
                break
        if kept is not None:
            for station, state in zip(self.row_.everyone, kept, strict=True):
                station.cell.load_state_dict(state)
        return epoch

    def _refuse_divergence(self, means: dict[str, float]) -> None:
        lost = [name for name, value in means.items() if not np.isfinite(value)]
        if lost:
            raise BadInput(
                f"{lost[0]} diverged: its loss is no finite number. Take a smaller lr than "
                f"{self.lr:g}" + ("" if self.standardise else ", or standardise=True")
            )

    def _schedule(self) -> schedules.Schedule:
        named: dict[str, schedules.Schedule] = {
            "simultaneous": schedules.simultaneous,
            "separate": partial(schedules.greedy, budget=2.0),
        }
        chosen = getattr(self, "regime", "simultaneous")
        one_of("regime", chosen, named)
        return named[chosen]

    # Answers.

    def _wide(self) -> Row:
        """The row in double precision.

        What is said of a sample must not depend on those beside it, and the last bits of a matrix
        product in single precision do.
        """
        wide = [
            Station(station.name, copy.deepcopy(station.cell).double().requires_grad_(False), {})
            for station in self.row_.everyone
        ]
        cells = len(self.row_.stations)
        readout = wide[cells] if len(wide) > cells else None
        return replace(self.row_, stations=wide[:cells], readout=readout)

    # Samples.

    def _seen(self, X: Any) -> Any:
        """New samples X [N, D], checked against those of ``fit``."""
        if not hasattr(self, "row_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: call fit first"
            )
        return validate_data(self, X, reset=False, dtype="numeric")

    def _scaled(self, X: Any) -> Tensor:
        """[N, D] float32, standardised where asked."""
        values = X if self.scaler_ is None else self.scaler_.transform(X)
        with np.errstate(over="ignore"):
            single = np.asarray(values, dtype=np.float32)
        if not np.isfinite(single).all():
            raise BadInput(
                f"features should be within single precision, +-3e38, and reach "
                f"{np.abs(X).max():.3g}: scale them first"
            )
        return torch.from_numpy(single)

    def _machine(self) -> Machine:
        return Machine(self.device)

    def _place(self) -> torch.device:
        return self._machine().resolve()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "row_")


@dataclass(eq=False, repr=False, kw_only=True)
class PredictingEstimator(LocalEstimator, ABC):
    """What estimators with a target have beside: early stopping.

    Args:
        early_stopping: end when the score on samples put aside no longer improves, and keep the
            best weights
        validation_fraction: share of the samples put aside
        n_iter_no_change: epochs to wait for an improvement
        tol: what counts as one
    """

    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4

    def _held_out(self, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
        if not self.early_stopping:
            return None
        if not 0 < self.validation_fraction < 1:
            raise BadInput(
                f"validation_fraction should be between 0 and 1, and is {self.validation_fraction}"
            )
        counts = np.unique(y, return_counts=True)[1] if y.dtype.kind == "i" else None
        learn, judge = train_test_split(
            np.arange(len(y)),
            test_size=self.validation_fraction,
            random_state=self.seed_,
            stratify=y if counts is not None and counts.min() > 1 else None,
        )
        return learn, judge

    def _patience(self) -> tuple[int, float]:
        return self.n_iter_no_change, self.tol

    @abstractmethod
    def _judge(self, x: Tensor, y: Tensor) -> float:
        """The score to stop by, larger is better.  x [N, D], y [N]."""


def _states(row: Row) -> list[dict[str, Any]]:
    return [copy.deepcopy(station.cell.state_dict()) for station in row.everyone]


def _check(estimator: LocalEstimator) -> None:
    """Refuse, by name, settings out of their range."""
    for name in ("epochs", "batch", "n_iter_no_change"):
        value = getattr(estimator, name, 1)
        if not isinstance(value, Integral) or value < 1:
            raise BadInput(f"{name} should be a whole number, 1 or more, and is {value!r}")
    widths = estimator.widths
    if isinstance(widths, Integral) or not len(widths) or min(widths) < 1:
        raise BadInput(
            f"widths should name the units of each cell, e.g. (500, 500), and is {widths!r}"
        )
    if not estimator.lr > 0:
        raise BadInput(f"lr should be above 0, and is {estimator.lr!r}")
    one_of("rate", estimator.rate, RATE_SCHEDULES)


def one_of(name: str, came: Any, known: Iterable[str]) -> None:
    """Refuse, by name, what is not one of the known words."""
    if came not in known:
        raise BadInput(f"{name} can't be {came!r}: {nearest(str(came), known)}")
