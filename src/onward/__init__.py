"""Onward: deep networks trained cell by cell, without end-to-end backpropagation.

Public names are loaded when first used, so that importing the package, and the command's help, do
not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .algorithms import Clean as Clean
    from .algorithms import Collaborative as Collaborative
    from .algorithms import ForwardForward as ForwardForward
    from .algorithms import HybridForwardForward as HybridForwardForward
    from .algorithms import RecurrentForwardForward as RecurrentForwardForward
    from .algorithms import UnsupervisedForwardForward as UnsupervisedForwardForward
    from .cells import Adversarial as Adversarial
    from .cells import AutoEncoder as AutoEncoder
    from .cells import ConvAutoEncoder as ConvAutoEncoder
    from .cells import ConvWinners as ConvWinners
    from .cells import Dense as Dense
    from .cells import LocalFields as LocalFields
    from .cells import PeerNorm as PeerNorm
    from .cells import Recurrent as Recurrent
    from .data import Dataset as Dataset
    from .data import Split as Split
    from .data import load as load
    from .errors import BadInput as BadInput
    from .estimators import (
        CollaborativeForwardForwardClassifier as CollaborativeForwardForwardClassifier,
    )
    from .estimators import ForwardForwardClassifier as ForwardForwardClassifier
    from .estimators import (
        UnsupervisedForwardForwardClassifier as UnsupervisedForwardForwardClassifier,
    )
    from .estimators import (
        UnsupervisedForwardForwardOutlierDetector as UnsupervisedForwardForwardOutlierDetector,
    )
    from .estimators import (
        UnsupervisedForwardForwardRegressor as UnsupervisedForwardForwardRegressor,
    )
    from .estimators import (
        UnsupervisedForwardForwardTransformer as UnsupervisedForwardForwardTransformer,
    )
    from .local import Algorithm as Algorithm
    from .local import Station as Station
    from .local import Streams as Streams
    from .local import wall as wall
    from .optimizers import adamw as adamw
    from .optimizers import sgd as sgd
    from .row import Row as Row
    from .row import build_row as build_row
    from .seeds import generator as generator
    from .sweep import Sweep as Sweep
    from .tasks import Classify as Classify
    from .tasks import Regress as Regress
    from .tasks import Task as Task
    from .train import Trained as Trained
    from .train import fit as fit
    from .wrapping import Wrapped as Wrapped
    from .wrapping import wrap as wrap

_WHERE = {
    "algorithms": (
        *("Clean", "Collaborative", "ForwardForward", "HybridForwardForward"),
        *("RecurrentForwardForward", "UnsupervisedForwardForward"),
    ),
    "cells": (
        *("Adversarial", "AutoEncoder", "ConvAutoEncoder", "ConvWinners", "Dense", "LocalFields"),
        *("PeerNorm", "Recurrent"),
    ),
    "data": ("Dataset", "Split", "load"),
    "errors": ("BadInput",),
    "estimators": (
        *("CollaborativeForwardForwardClassifier", "ForwardForwardClassifier"),
        *(
            f"UnsupervisedForwardForward{kind}"
            for kind in ("Classifier", "OutlierDetector", "Regressor", "Transformer")
        ),
    ),
    "local": ("Algorithm", "Station", "Streams", "wall"),
    "optimizers": ("adamw", "sgd"),
    "row": ("Row", "build_row"),
    "seeds": ("generator",),
    "sweep": ("Sweep",),
    "tasks": ("Classify", "Regress", "Task"),
    "train": ("Trained", "fit"),
    "wrapping": ("Wrapped", "wrap"),
}
_MODULES = (
    "check",
    "goodness",
    "labels",
    "negatives",
    "objectives",
    "readouts",
    "report",
    "schedules",
)
_HOME = {name: module for module, names in _WHERE.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]  # the names of _HOME are strings


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if name in _WHERE or name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
