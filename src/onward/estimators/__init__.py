"""Onward in scikit-learn: classifiers, a regressor, a transformer and an outlier detector."""

from .classifiers import (
    CollaborativeForwardForwardClassifier,
    ForwardForwardClassifier,
    UnsupervisedForwardForwardClassifier,
)
from .unsupervised import (
    UnsupervisedForwardForwardOutlierDetector,
    UnsupervisedForwardForwardRegressor,
    UnsupervisedForwardForwardTransformer,
)

__all__ = [
    "CollaborativeForwardForwardClassifier",
    "ForwardForwardClassifier",
    "UnsupervisedForwardForwardClassifier",
    "UnsupervisedForwardForwardOutlierDetector",
    "UnsupervisedForwardForwardRegressor",
    "UnsupervisedForwardForwardTransformer",
]
