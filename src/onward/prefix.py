"""What the frozen first cells of a row answer, computed once and kept.

A cell that no longer learns answers the same at every epoch, so a greedy schedule needs its answers
once: to every *view* of every sample, since negatives are drawn anew at each step and a step then
only picks views. They are kept in memory, or in a memory-mapped file beyond a stated budget.

N = training samples, V = views of a sample, F = a cell's output shape.
"""

import math
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from .errors import BadInput
from .local import Algorithm, Streams
from .readouts import neutral_answers
from .row import Row

Keep = Callable[[tuple[int, ...], torch.dtype, torch.device], Tensor]
"""Makes an empty tensor of a shape: what :func:`keeper` returns."""

CHUNK = 200
"""Samples a pass when a whole data set goes through frozen cells."""


@torch.no_grad()
def advance(
    cell: nn.Module, algorithm: Algorithm, x: Tensor, before: Tensor | None, keep: Keep
) -> Tensor:
    """A frozen cell's answers to every view of every sample.  -> [V, N, *F].

    ``before`` [V, N, *D] are those of the cell before it; None for the first cell, which sees the
    samples x [N, *D] themselves.
    """
    out: Tensor | None = None
    for which in range(algorithm.views):
        for at in range(0, len(x), CHUNK):
            if before is None:
                part = x[at : at + CHUNK]
                rows = algorithm.view(part, torch.full((len(part),), which, device=x.device))
            else:
                rows = before[which, at : at + CHUNK].to(x.device)
            h = cell(rows)
            if out is None:
                out = keep((algorithm.views, len(x), *h.shape[1:]), h.dtype, x.device)
            out[which, at : at + CHUNK] = h
    assert out is not None
    return out


@torch.no_grad()
def told(algorithm: Algorithm, store: Tensor, device: torch.device) -> Tensor | None:
    """What a frozen cell tells of every view of every sample.  store [V, N, *F] -> [V, N].

    None where it tells nothing.
    """
    out: list[Tensor] = []
    for answers in store:
        for at in range(0, len(answers), CHUNK):
            spoken = algorithm.tell(Streams(answers[at : at + CHUNK].to(device)))
            if spoken is None:
                return None
            out.append(spoken)
    return torch.cat(out).view(store.shape[:2])


def features(row: Row, x: Tensor, keep: Keep) -> Tensor:
    """What a row's linear readout sees of every sample.  x [N, *D] -> [N, F]."""
    linear = row.linear()
    assert linear is not None
    out: Tensor | None = None
    for at in range(0, len(x), CHUNK):
        piece = x[at : at + CHUNK]
        part = linear.features(neutral_answers(row.cells, row.algorithm, piece, linear.read))
        if out is None:
            out = keep((len(x), part.shape[1]), part.dtype, x.device)
        out[at : at + CHUNK] = part
    assert out is not None
    return out


class Ahead:
    """Rows of a store, those of the next batch read from disk while this one is learned from.

    store [V, N, *F]. A store in memory has nothing to wait for: its rows are picked when they are
    wanted. The draw of the next batch is foretold with a copy of the generator, so that ``draw`` is
    called twice a batch; if it comes out otherwise after all, rows are picked when they are wanted.
    """

    def __init__(self, algorithm: Algorithm, store: Tensor, y: Tensor, rng: Generator):
        self.algorithm, self.store, self.y, self.rng = algorithm, store, y, rng
        self.after: Tensor | None = None  # [B], the next batch's samples
        self.found = 0  # batches that had been read when they were wanted
        self._coming: tuple[Tensor, Tensor, Future[Tensor]] | None = None
        self._reader: ThreadPoolExecutor | None = None
        if store.untyped_storage().filename is not None:
            self._reader = ThreadPoolExecutor(1, "ahead")

    def tell(self, after: Tensor) -> None:
        """The batch behind the one that is asked for next is of the samples after [B]."""
        self.after = after if self._reader is not None else None

    def rows(self, which: Tensor, index: Tensor) -> Tensor:
        """Views which [R] of the samples index [R].  -> [R, *F], where the store is."""
        coming, self._coming = self._coming, None
        found = None
        if coming is not None:
            views, samples, rows = coming
            read = rows.result()
            if torch.equal(views, which) and torch.equal(samples, index):
                self.found, found = self.found + 1, read
        self._foretell()
        return self._pick(which, index) if found is None else found

    def _foretell(self) -> None:
        if self.after is None or self._reader is None:
            return
        index, self.after = self.after, None
        rng = Generator(self.rng.device)
        rng.set_state(self.rng.get_state())
        which = self.algorithm.draw(self.y[index], rng, None)
        views, samples = which.flatten(), index.repeat(len(which))
        self._coming = views, samples, self._reader.submit(self._pick, views, samples)

    def _pick(self, which: Tensor, index: Tensor) -> Tensor:
        there = self.store.device
        return self.store[which.to(there), index.to(there)]


def keeper(budget: float, folder: Path | None) -> Keep:
    """:func:`allocate`, with ``budget`` GiB for all that it is asked for together."""
    left = budget

    def keep(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        nonlocal left
        made = allocate(shape, dtype, device, left, folder)
        size = made.numel() * made.element_size() / 2**30
        left -= size if size <= left else 0.0
        return made

    return keep


def allocate(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
    budget: float = math.inf,
    folder: Path | None = None,
) -> Tensor:
    """An empty tensor: on the device, or in a file of ``folder`` when over ``budget`` GiB.

    Raises BadInput where the disk has no room for it.
    """
    numbers = math.prod(shape)
    size = numbers * torch.empty(0, dtype=dtype).element_size()
    if size <= budget * 2**30 or folder is None:
        return torch.empty(shape, dtype=dtype, device=device)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".bin")
    try:
        # Claimed now: a disk that fills up later would end a mapped write with a signal.
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        raise BadInput(
            f"storing the outputs of frozen cells needs {size / 2**30:.1f} GiB in {folder}, and "
            f"that failed ({error.strerror}): free space, or raise the memory budget above that"
        ) from error
    finally:
        os.close(handle)
    return torch.from_file(name, shared=True, size=numbers, dtype=dtype).view(shape)
