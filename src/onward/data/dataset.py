"""What every data set looks like once it is loaded: three splits of samples and targets.

Shapes: N samples of `shape`; images are (C, H, W), rows of features are (D,).
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and what is to be said of them: x [N, *shape] float32, y [N].

    y is int64 in 0..classes-1, or, where the data set's ``target`` is "numbers", float32.

    >>> len(Split(torch.zeros(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64)))
    5
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with its fixed splits, as tensors in main memory.

    `origin` is `embedded` (comes with a dependency), `made` (computed on the spot), `folder`
    (local files in the original layout), `download` (fetched once, then cached) or `file` (an
    .npz, .csv or text file). `note` is one line a reader of the results ought to know, such as
    "re-coded as JPEG". `target` is what y holds: classes, named by `label_names`, or numbers to
    predict; then `classes` is 1 and the one label name is that of the quantity. `symbols` are the
    characters of a text whose samples are windows [W, K] of them, one-hot, and whose classes are
    the next ones. `columns` are the names of a table's features, where its file has them.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    label_names: tuple[str, ...]
    origin: str
    note: str | None = None
    target: Literal["classes", "numbers"] = "classes"
    symbols: str | None = None
    columns: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (C, H, W) for images, (D,) for rows of features."""
        return tuple(self.train.x.shape[1:])

    def fingerprint(self) -> str:
        """SHA-256, in hex, over the splits' names, shapes and all bytes of x and y.

        Two data sets with the same fingerprint hold the same numbers in the same order; the
        name, the origin and the note do not count.
        """
        digest = hashlib.sha256()
        for name in ("train", "validation", "test"):
            split: Split = getattr(self, name)
            for part, tensor in (("x", split.x), ("y", split.y)):
                digest.update(f"{name}/{part} {tensor.dtype} {list(tensor.shape)}\n".encode())
                for rows in torch.split(tensor, _ROWS_AT_A_TIME):
                    digest.update(rows.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def describe(self) -> dict[str, object]:
        """The `data` object of a run's record (docs/record.md), ready for JSON."""
        # Said only where it is not classes, as in every record from before there was a choice.
        target = {} if self.target == "classes" else {"target": self.target}
        x = self.train.x
        return {
            "name": self.name,
            "shape": list(self.shape),
            "classes": self.classes,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "origin": self.origin,
            "label_names": list(self.label_names),
            "note": self.note,
            "fingerprint": self.fingerprint(),
            **target,
            **({} if self.symbols is None else {"symbols": self.symbols}),
            **({"columns": list(self.columns)} if self.columns else {}),
            "range": [float(x.min()), float(x.max())] if x.numel() else [],
        }
