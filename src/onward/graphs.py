"""A stage's step recorded as a CUDA graph and replayed: all cells, one call from the host.

A step of small batches is hundreds of short kernels, and a GPU waits for each of them to be asked
for. A graph asks for all of them at once. What it replays are the same kernels on the same memory,
so it can stand for a step only where that is the same every time: no number read off the device
between two kernels, every weight and state changed in place, and nothing in it but its tensors that
changes from step to step. A stage says so of its step (:class:`~onward.stages.Stage`, ``fixed``).
Learning rates are numbers inside the kernels' arguments: when one of them changes, and for a batch
of another size, a graph is recorded anew, or the step is taken as usual.

What a generator draws goes on from replay to replay as it would from step to step. The noise of a
cell has a generator for each step, of a seed of its own: a recorded step has one for all, which is
seeded before each replay.
"""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from .cells import Corruption
from .stages import Losses, Stage
from .steady import Watch

Key = tuple[int, list[float]]
"""Samples of a batch, and every learning rate: all of a step's numbers that change in a run."""


class Recorded(Protocol):
    """A step that was recorded, but not taken."""

    losses: Losses

    def replay(self) -> None:
        """Take it, on what its index holds now."""


Recorder = Callable[[Callable[[Tensor], Losses], Tensor], Recorded]
"""(a step, its index) -> the step on that index, recorded."""


class Replayed:
    """A stage's step: the first ones as usual, then recorded once and replayed.

    ``recorder`` None takes CUDA's. The second step is watched. Where a step can't be recorded a
    warning says why, and steps are taken as usual from then on.
    """

    def __init__(self, stage: Stage, rng: Generator, recorder: Recorder | None = None):
        self.step, self.fixed = stage.step, stage.fixed
        self.optimizers = [o for s in stage.stations for o in s.optimizers.values()]
        self.groups = [group for o in self.optimizers for group in o.param_groups]
        parts = [part for s in stage.stations for part in s.cell.modules()]
        self.noises = [
            (part, Generator(rng.device)) for part in parts if isinstance(part, Corruption)
        ]
        drawn = [rng, *(own for _, own in self.noises)]
        self.recorder = recorder or CudaRecorder(drawn, self.optimizers)
        self.taken = self.replays = 0
        self.given_up = False
        self.key: Key | None = None
        self.index: Tensor | None = None
        self.graph: Recorded | None = None

    def __call__(self, index: Tensor) -> Losses:
        """Losses of one step on the samples index [B]; overwritten by the next step."""
        self.taken += 1
        # The first two make buffers and optimisers' states, which a graph may only write to.
        if self.taken == 1 or self.given_up:
            return self.step(index)
        if self.taken == 2:
            return self._watched(index)
        if self.key is not None and len(index) < self.key[0]:
            return self.step(index)  # the rest of an epoch
        for noise, own in self.noises:
            own.manual_seed(noise.next_seed())
        key = len(index), [group["lr"] for group in self.groups]
        if key != self.key and not self._record(index, key):
            return self.step(index)
        assert self.graph is not None
        assert self.index is not None
        self.index.copy_(index)
        self.graph.replay()
        self.replays += 1
        return self.graph.losses

    def _watched(self, index: Tensor) -> Losses:
        """The step as usual, and whether what it does can be recorded."""
        if self.fixed is None or not self.fixed():
            self.given_up = True
            return self.step(index)
        before = [noise.steps for noise, _ in self.noises]
        with Watch() as watch:
            losses = self.step(index)
        # Under backprop no cell draws its noise.
        pairs = zip(self.noises, before, strict=True)
        self.noises = [one for one, count in pairs if one[0].steps > count]
        if watch.found:
            self._give_up(watch.found)
        return losses

    def _record(self, index: Tensor, key: Key) -> bool:
        self.graph, self.key, self.index = None, None, index.clone()  # the old one's memory is free
        for noise, own in self.noises:
            noise.rng = own
        try:
            self.graph = self.recorder(self.step, self.index)
        except Exception as error:  # whatever it is, a step as usual says it better
            for noise, _ in self.noises:
                noise.steps -= 1  # not drawn after all
            self._give_up(" ".join(str(error).split())[:300])
            return False
        finally:
            for noise, _ in self.noises:
                noise.rng = None
        self.key = key
        return True

    def _give_up(self, why: str) -> None:
        self.given_up = True
        warnings.warn(f"steps are taken one kernel at a time: {why}", stacklevel=4)


@dataclass
class _CudaGraph:
    graph: torch.cuda.CUDAGraph
    losses: Losses

    def replay(self) -> None:
        self.graph.replay()


class CudaRecorder:
    """Records on the current CUDA device."""

    def __init__(self, drawn: list[Generator], optimizers: list[Optimizer]):
        self.drawn, self.optimizers = drawn, optimizers

    def __call__(self, step: Callable[[Tensor], Losses], index: Tensor) -> Recorded:
        """The step on index [B]."""
        graph = torch.cuda.CUDAGraph()
        for rng in self.drawn:
            graph.register_generator_state(rng)
        stream = torch.cuda.current_stream()
        try:
            # Other threads may well allocate meanwhile.
            mode = torch.cuda.graph(graph, capture_error_mode="thread_local")
            with _capturable(self.optimizers), mode:
                losses = step(index)
        finally:
            torch.cuda.set_stream(stream)  # one that fails leaves its own
        return _CudaGraph(graph, losses)


@contextmanager
def _capturable(optimizers: list[Optimizer]) -> Any:
    """Adam's family asks for this flag while it is recorded; its fused steps are the same ones."""
    flagged = [g for o in optimizers for g in o.param_groups if g.get("capturable") is False]
    for group in flagged:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in flagged:
            group["capturable"] = False


def replayed(stage: Stage, device: torch.device, rng: Generator) -> Stage:
    """The stage with its steps replayed where it can be: on a CUDA device, in this process."""
    if device.type != "cuda" or stage.fixed is None or stage.elsewhere is not None:
        return stage
    return replace(stage, step=Replayed(stage, rng))
