"""Onward in scikit-learn: classifiers, a regressor, a transformer and an outlier detector."""

from .classifiers import ForwardForwardClassifier, UnsupervisedForwardForwardClassifier
from .unsupervised import (
    UnsupervisedForwardForwardOutlierDetector,
    UnsupervisedForwardForwardRegressor,
    UnsupervisedForwardForwardTransformer,
)

__all__ = [
    "ForwardForwardClassifier",
    "UnsupervisedForwardForwardClassifier",
    "UnsupervisedForwardForwardOutlierDetector",
    "UnsupervisedForwardForwardRegressor",
    "UnsupervisedForwardForwardTransformer",
]
