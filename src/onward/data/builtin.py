"""The two data sets that need no file: scikit-learn's digits, and one made on the spot.

Both come out as images [N, 1, 8, 8] in [0, 1], 8-bit or coarser, and labels [N] in 0..9.
"""

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], NDArray[np.int64]]


def digits() -> Arrays:
    """The 1,797 handwritten digits of scikit-learn, in an order whose every stretch is stratified.

    Cutting the result anywhere gives pieces in which each class has its share to within a
    sample or two. The order within a class is a permutation by RandomState(0), whose stream
    numpy has promised never to change.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    shuffled = np.random.RandomState(0).permutation(len(labels))
    # The k-th of n samples of a class stands at (k + 1/2) / n of the whole way.
    place = np.empty(len(labels))
    for label in range(10):
        of_class = shuffled[labels[shuffled] == label]
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    order = np.lexsort((labels, place))
    x = (images[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return x, labels[order].astype(np.int64)


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
