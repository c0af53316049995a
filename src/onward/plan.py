"""What to train and how: a plan, and the machine it runs on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, get_args

import torch

from .allocator import keep_freed_memory
from .augment import Augment
from .errors import BadInput, nearest
from .optimizers import RateSchedule, constant
from .row import Row
from .schedules import Schedule

Precision = Literal["fp32", "tf32", "bf16"]
"""Of matrix products; weights, losses and optimisers' states are fp32 under each.

tf32 are fp32 products of factors rounded to 10 bits, on NVIDIA GPUs since Ampere. fp32 is fp32 on a
GPU, too: convolutions, which torch rounds by default, are not.
"""


@dataclass(frozen=True)
class Training:
    """How long and how often. ``epochs`` counts passes over the training samples, per stage.

    ``evaluate_every`` epochs the readouts' errors are measured, and always in a stage's last;
    ``checkpoint_every`` epochs a checkpoint is written, and always in a stage's last.
    """

    epochs: int
    batch: int = 100
    rate: RateSchedule = constant
    evaluate_every: int = 1
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "evaluate_every", "checkpoint_every"):
            came = getattr(self, name)
            if not isinstance(came, Integral):  # NumPy's are such, too
                raise BadInput(f"{name} should be a whole number, and is {came!r}")
            if came < 1:
                raise BadInput(f"{name} should be 1 or more, and is {came}")


@dataclass(frozen=True)
class Machine:
    """Where and how a run computes. ``threads`` None leaves torch's own number.

    ``fast`` off keeps to autograd where closed forms would take its place (``fast.py``).
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "fp32"
    threads: int | None = None
    fast: Literal["auto", "off"] = "auto"

    def __post_init__(self) -> None:
        choices = {
            **{"device": ("auto", "cpu", "cuda"), "precision": get_args(Precision)},
            "fast": ("auto", "off"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                came = getattr(self, name)
                raise BadInput(f"{name} can't be {came!r}: {nearest(str(came), known)}")

    def resolve(self) -> torch.device:
        """The device, with the threads set. Raises BadInput for cuda where there is none."""
        if self.threads is not None:
            if not 1 <= self.threads <= 1024:
                raise BadInput(f"threads should be 1 to 1024, and is {self.threads}")
            torch.set_num_threads(self.threads)
        keep_freed_memory()
        # A saturated logistic sends gradients of 1e-40 into matrix products, and a CPU multiplies
        # such denormals up to a hundred times slower: products took 3x as long until they were
        # flushed to zero.
        torch.set_flush_denormal(True)
        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise BadInput(
                "device cuda was asked for, and torch finds no CUDA device here: "
                "take device=cpu or auto"
            )
        device = torch.device("cuda" if there and self.device != "cpu" else "cpu")
        if self.precision == "tf32" and not _has_tf32(device):
            raise BadInput(
                "precision tf32 is of NVIDIA GPUs since Ampere, and this would compute on "
                f"{'another GPU' if device.type == 'cuda' else 'the CPU'}: take fp32 or bf16"
            )
        return device

    def arithmetic(self, device: torch.device) -> Any:
        """The context all cells compute in: bf16 products with fp32 weights, tf32, or plain fp32.

        The cast weights are not cached: they change at every step within one context.
        """
        cast = torch.autocast(
            device.type,
            torch.bfloat16,
            enabled=self.precision == "bf16",
            cache_enabled=False,
        )
        return cast if device.type == "cpu" else _rounded(cast, tf32=self.precision == "tf32")


def _has_tf32(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


@contextmanager
def _rounded(cast: torch.autocast, tf32: bool) -> Iterator[None]:
    """A GPU's fp32 products and convolutions with factors rounded to tf32, or not."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    # torch since 2.9 has a switch of another name, and raises where both have been used.
    newer = hasattr(matmul, "fp32_precision")
    places = (matmul, cudnn.conv if newer else cudnn)
    name, wanted = ("fp32_precision", "tf32" if tf32 else "ieee") if newer else ("allow_tf32", tf32)
    before = [getattr(place, name) for place in places]
    try:
        for place in places:
            setattr(place, name, wanted)
        with cast:
            yield
    finally:
        for place, was in zip(places, before, strict=True):
            setattr(place, name, was)


@dataclass
class Plan:
    """A row, the schedule it learns by, and for how long.

    ``augment`` changes the training samples of every batch before anything else sees them.
    """

    row: Row
    schedule: Schedule
    training: Training
    augment: Augment | None = None
