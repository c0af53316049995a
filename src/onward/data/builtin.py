"""The data sets that need no file: three of scikit-learn's, and one made on the spot.

Images come out as [N, 1, 8, 8] in [0, 1], 8-bit or coarser; tables as [N, D], every feature in the
units it was measured in. Labels are [N] from 0, numbers to predict [N] float32.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], NDArray[Any]]


def digits() -> Arrays:
    """The 1,797 handwritten digits of scikit-learn, in an order whose every stretch is stratified.

    Pixels of 0 to 16 are divided by 16.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = stratified(labels)
    x = (images[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return x, labels[order].astype(np.int64)


def cancer() -> Arrays:
    """The 569 tumours of scikit-learn's breast cancer table, 30 features each, stratified."""
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    order = stratified(labels)
    return features[order].astype(np.float32), labels[order].astype(np.int64)


def diabetes() -> Arrays:
    """The 442 patients of scikit-learn's diabetes table, 10 features each, permuted.

    The features are the measured ones: scikit-learn's scaled version knows the mean and spread of
    all patients, those of the test set too.
    """
    from sklearn.datasets import load_diabetes

    features, progression = load_diabetes(return_X_y=True, scaled=False)
    order = np.random.RandomState(0).permutation(len(progression))
    return features[order].astype(np.float32), progression[order].astype(np.float32)


def synthetic(samples: int) -> Arrays:
    """`samples` points around 20 centres in 64 dimensions, two centres a class, ten classes.

    Classes and clusters take turns, so every stretch of 20 samples has each of them once. The
    noise is a sum of four whole numbers, which looks like a bell and, unlike a real normal
    draw, is the same to the last bit on every machine. Two centres a class mean that one
    linear boundary a class is not quite enough.
    """
    random = np.random.RandomState(0)
    centres = random.randint(64, 192, size=(10, 2, 64), dtype=np.int64)
    noise = random.randint(-45, 46, size=(4, samples, 64), dtype=np.int64).sum(axis=0)
    number = np.arange(samples)
    y = number % 10
    pixels = np.clip(centres[y, number // 10 % 2] + noise, 0, 255)
    return (pixels / 255).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int64)


def stratified(labels: NDArray[Any]) -> NDArray[np.int64]:
    """An order of the samples whose every stretch has each class in its share.

    Cutting it anywhere gives pieces that are right to within a sample or two. The order within a
    class is a permutation by RandomState(0), whose stream numpy has promised never to change.
    """
    shuffled = np.random.RandomState(0).permutation(len(labels))
    # The k-th of n samples of a class stands at (k + 1/2) / n of the whole way.
    place = np.empty(len(labels))
    for label in range(int(labels.max()) + 1):
        of_class = shuffled[labels[shuffled] == label]
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return np.lexsort((labels, place))


MAKERS: dict[str, Callable[[int], Arrays]] = {
    "digits": lambda samples: digits(),
    "synthetic": synthetic,
    "diabetes": lambda samples: diabetes(),
    "cancer": lambda samples: cancer(),
}
"""By name: a function of how many samples are wanted, which all but `synthetic` know themselves."""
