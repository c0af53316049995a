"""The table of named data sets: sizes, class names, files, and the official md5 sums.

Shapes are those of one sample, (C, H, W) for images, (D,) for rows of features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from onward.data.formats import CIFAR_ARCHIVE, CIFAR_INSIDE, CIFAR_TEST, CIFAR_TRAIN
from onward.data.text import NAMES, SYMBOLS, WINDOW
from onward.errors import BadInput, nearest

_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_DIGIT_NAMES = tuple("0123456789")


@dataclass(frozen=True)
class Entry:
    """One row of the table of data sets: what it is and which files it is made of.

    `files` are the files of a local folder, `downloads` those of the official download with
    their md5 sums; both are empty for sets that need no file. `folders` are the names a
    sub-folder with these files may have. `target` is what is to be predicted: one of the classes
    `label_names`, or the number that its one entry names. A `text` has as many samples as it is
    long: its sizes are 0 here.
    """

    what: str
    shape: tuple[int, ...]
    train: int
    validation: int
    test: int
    label_names: tuple[str, ...]
    files: tuple[str, ...] = ()
    downloads: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    target: Literal["classes", "numbers"] = "classes"
    text: bool = False

    @property
    def classes(self) -> int:
        """How many classes there are; labels run from 0 to one less. 1 for a number."""
        return len(self.label_names)


SETS: dict[str, Entry] = {
    "digits": Entry(
        "handwritten digits, 8 x 8 pixels, comes with scikit-learn",
        (1, 8, 8),
        1_197,
        300,
        300,
        _DIGIT_NAMES,
    ),
    "synthetic": Entry(
        "two clusters a class in 64 dimensions, made on the spot",
        (1, 8, 8),
        600,
        200,
        200,
        _DIGIT_NAMES,
    ),
    "diabetes": Entry(
        "a number: how far diabetes went in a year, from ten features; comes with scikit-learn",
        (10,),
        294,
        74,
        74,
        ("progression",),
        target="numbers",
    ),
    "cancer": Entry(
        "breast cancer, malignant or benign, from thirty features; comes with scikit-learn",
        (30,),
        379,
        95,
        95,
        ("malignant", "benign"),
    ),
    "mnist": Entry(
        "MNIST, handwritten digits",
        (1, 28, 28),
        50_000,
        10_000,
        10_000,
        _DIGIT_NAMES,
        _IDX,
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        ("mnist",),
    ),
    "fashion_mnist": Entry(
        "Fashion-MNIST, photographs of clothes",
        (1, 28, 28),
        50_000,
        10_000,
        10_000,
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        _IDX,
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        ("fashion_mnist",),
    ),
    "cifar10": Entry(
        "CIFAR-10, small colour photographs of ten kinds of things",
        (3, 32, 32),
        45_000,
        5_000,
        10_000,
        (
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        (*CIFAR_TRAIN, CIFAR_TEST),
        {CIFAR_ARCHIVE: "c32a1d4ab5d03f1284b67883e8d87530"},
        ("cifar10", CIFAR_INSIDE),
    ),
    "aesop": Entry(
        "Aesop's Fables, a text: windows of 10 symbols, and the next; any text file serves",
        (WINDOW, len(SYMBOLS)),
        0,
        0,
        0,
        NAMES,
        ("aesop.txt",),
        folders=("aesop",),
        text=True,
    ),
}


def entry(name: str) -> Entry:
    """The table's row for a data set; `BadInput` with the nearest name if there is none."""
    if name not in SETS:
        raise BadInput(f"no data set is called {name!r}: {nearest(name, SETS)}")
    return SETS[name]
