"""What a plan demands of its data, asked before anything is computed."""

from typing import Any

import torch

from .data import Dataset
from .errors import BadInput, not_finite
from .plan import Plan
from .row import Row
from .schedules import alone, frozen, greedy


def refuse_unfit(plan: Plan, data: Dataset) -> None:
    """Raise BadInput where a plan can't learn from these data: too few, or of another kind."""
    training = plan.training
    if training.batch > len(data.train):
        raise BadInput(
            f"a batch of {training.batch} is larger than the {len(data.train)} training "
            f"samples: take batch={len(data.train)} or less"
        )
    fewest, left = plan.row.algorithm.fewest, len(data.train) % training.batch or training.batch
    if left < fewest:
        raise BadInput(
            f"{type(plan.row.algorithm).__name__} wants batches of {fewest} samples or more, and "
            f"{len(data.train)} training samples in batches of {training.batch} leave {left} for "
            "the last: take another batch"
        )
    _refuse_stored(plan)
    _refuse_other_targets(plan.row, data)
    tried = plan.row.algorithm.candidates
    if tried and tried < data.classes:
        raise BadInput(
            f"the algorithm knows {tried} classes, and {data.name} has {data.classes}: "
            f"build it with classes={data.classes}"
        )


def refuse_broken(data: Any, kind: torch.dtype) -> None:
    """Raise BadInput where what was handed in is no data set, or one that its splits belie.

    ``kind`` is what the cells compute in, and so x has to be.
    """
    if not isinstance(data, Dataset):
        raise BadInput(
            f"data wants an onward.Dataset, and a {type(data).__name__} came: onward.load(NAME or "
            "PATH) makes one, and so does onward.Dataset of three onward.Split(x, y)"
        )
    for name in ("train", "validation", "test"):
        split, what = getattr(data, name), f"the {name} split of {data.name}"
        refuse_samples(split.x, f"{what}: x")
        if split.x.dtype != kind:
            raise BadInput(
                f"{what}: x wants {kind}, as the cells have it, and is {split.x.dtype}: "
                f"x.to({kind})"
            )
        if tuple(split.x.shape[1:]) != data.shape:
            raise BadInput(
                f"{what} has samples {tuple(split.x.shape[1:])}, and the training split "
                f"{data.shape}: they should be alike"
            )
        wanted = torch.int64 if data.target == "classes" else torch.float32
        if not isinstance(split.y, torch.Tensor) or split.y.dtype != wanted or split.y.dim() != 1:
            raise BadInput(
                f"{what}: y wants a tensor [N] of {wanted} ({data.target}), and is {_said(split.y)}"
            )
        if len(split.y) != len(split.x):
            raise BadInput(f"{what} has {len(split.x)} samples and {len(split.y)} targets")
        if data.target == "classes" and len(split.y):
            low, high = int(split.y.min()), int(split.y.max())
            if low < 0 or high >= data.classes:
                raise BadInput(
                    f"{what} has labels from {low} to {high}, and {data.classes} classes are 0 to "
                    f"{data.classes - 1}"
                )
        elif not bool(split.y.isfinite().all()):
            raise BadInput(f"{what}: y has NaN or infinity")


def refuse_samples(x: Any, what: str) -> None:
    """Raise BadInput for samples that are no floats [N, *D], or not finite."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.dim() < 2:
        raise BadInput(
            f"{what} should be a tensor [N, ...] of float32, and is {_said(x)}: "
            "torch.as_tensor(x, dtype=torch.float32), bytes divided by 255"
        )
    if not bool(x.isfinite().all()):
        raise BadInput(
            f"{what} has NaN or infinity ({not_finite(x.cpu().numpy(), 'row')}): leave those out, "
            "or fill them in"
        )


def _said(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {list(value.shape)}"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _refuse_stored(plan: Plan) -> None:
    """Raise BadInput where samples are augmented that a schedule looks at before their step."""
    if plan.augment is None:
        return
    schedule = getattr(plan.schedule, "func", plan.schedule)
    if schedule is alone:
        raise BadInput(
            "a relay can't serve augmented samples (jitter): what a cell answers to each is handed "
            "on once. Take jitter=0"
        )
    if schedule is greedy or schedule is frozen:
        raise BadInput(
            f"the schedule {schedule.__name__} can't serve augmented samples (jitter): it keeps "
            "what frozen cells answer to each. Take the schedule simultaneous, or jitter=0"
        )
    if getattr(plan.schedule, "keywords", {}).get("fresh"):
        raise BadInput(
            "fresh batches for each cell's turn are drawn by the schedule, and can't be augmented "
            "(jitter): take one batch for all turns (fresh=false), or jitter=0"
        )


def _refuse_other_targets(row: Row, data: Dataset) -> None:
    """Raise BadInput where the row is to answer another thing than the data's y says."""
    if row.detects and (data.target, data.classes) != ("classes", 2):
        raise BadInput(
            f"a row that detects wants labels 0 (usual) and 1 (strange), and {data.name} has "
            f"{data.classes} {data.target}: make one label of all classes but the strange one"
        )
    reads = row.readout is not None or row.algorithm.candidates
    if reads and row.task.target != data.target:
        raise BadInput(
            f"{data.name} has {data.target} to predict, and this row's readout answers "
            f"{row.task.target}: take a recipe for such data (uff-regression-diabetes, or "
            "uff-tabular-cancer for classes), or in Python the task that they want (tasks.suited)"
        )
    if row.algorithm.candidates and data.target != "classes":
        raise BadInput(
            f"{type(row.algorithm).__name__} writes class labels into its samples, and "
            f"{data.name} has numbers to predict: take an algorithm that needs no labels "
            "(UnsupervisedForwardForward), or Clean with the schedule backprop"
        )
