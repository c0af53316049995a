"""What ``fit`` is handed: told in the record, held to on resume, and refused where it is broken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onward as ow
from onward import negatives, objectives, schedules
from onward.described import called, described
from onward.train import changes


def loud(h: Tensor) -> Tensor:
    return h.flatten(1).sum(1)


def trained(cells: Any = None, algorithm: Any = None, data: Any = None, **settings: Any) -> Any:
    rng = ow.generator(0, "cells")
    return ow.fit(
        [ow.Dense(64, 8, rng=rng), ow.Dense(8, 8, rng=rng)] if cells is None else cells,
        algorithm or ow.ForwardForward(10),
        ow.load("synthetic") if data is None else data,
        **{"epochs": 1, "batch": 60, "threads": 1} | settings,
    )


def test_a_record_says_what_was_trained() -> None:
    algorithm = ow.ForwardForward(
        10, goodness=loud, loss=objectives.swish, temperature=0.1, negatives=negatives.wrong_label
    )
    told = trained(algorithm=algorithm, optimizer=ow.sgd(0.02, decay=0.5), readout=None).record
    found = told["settings"]
    wanted = {
        **{"goodness": "loud", "loss": "swish", "temperature": 0.1, "theta": None},
        **{"negatives": "wrong_label", "readout": None, "epochs": 1},
        "optimizer": "DecoupledSGD(lr=0.02, momentum=0.9, decay=0.5)",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_nothing_is_told_by_its_address() -> None:
    """Or no two processes would tell the same."""

    class Own:
        def __call__(self, h: Tensor) -> Tensor:
            return loud(h)

    cells = [ow.Recurrent(8, 4, 3)]
    algorithm = ow.RecurrentForwardForward(3, goodness=Own(), sweep=ow.Sweep(damping=0.5))
    found = described(ow.build_row(cells, algorithm, ow.adamw(), classes=3))
    assert found["goodness"] == "Own"
    assert found["sweep"]["damping"] == 0.5
    assert "0x" not in str(found)
    assert called(schedules.simultaneous) == "simultaneous"


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"algorithm": ow.ForwardForward(10, goodness=loud)}, "goodness"),
        ({"algorithm": ow.ForwardForward(10, theta=77.0)}, "theta"),
        ({"algorithm": ow.ForwardForward(10, loss=objectives.symba)}, "loss"),
        ({"optimizer": ow.adamw(0.5)}, "optimizer"),
        ({"readout": ow.sgd(0.5)}, "readout"),
    ],
)
def test_a_run_goes_on_with_the_parts_it_began_with(
    changed: dict[str, Any], name: str, tmp_path: Path
) -> None:
    began = trained(out=tmp_path / "run")
    with pytest.raises(ow.BadInput, match=f"these differ: {name}"):
        trained(out=tmp_path / "run", resume=True, **changed)
    assert changes(began.record, trained(**changed).record) == name
    assert trained(out=tmp_path / "run", resume=True).test_error == began.test_error


def test_a_cell_stands_in_one_place() -> None:
    cell = ow.Dense(64, 64)
    with pytest.raises(ow.BadInput, match="cell 1 is a cell that already stands before it"):
        trained([cell, cell])


def test_a_cell_without_parameters_is_told_of_in_words() -> None:
    class Nothing(nn.Module):
        outputs = 64

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    with pytest.raises(ow.BadInput, match="cell-0 has no parameters to learn"):
        trained([Nothing(), ow.Dense(64, 8)])


@pytest.mark.parametrize(
    ("sizes", "told"), [((64, 0), "outputs"), ((-3, 4), "inputs"), (("64", 4), "and is '64'")]
)
def test_a_cell_has_a_size(sizes: Any, told: str) -> None:
    with pytest.raises(ow.BadInput, match=told):
        ow.Dense(*sizes)


def broken(split: str, **parts: Any) -> ow.Dataset:
    made = ow.load("synthetic")
    return replace(made, **{split: replace(getattr(made, split), **parts)})


X = ow.load("synthetic").train.x
BROKEN: dict[str, tuple[Any, str]] = {
    "a name": ("digits", "wants an onward.Dataset, and a str came"),
    "a pair": ((X, X), "wants an onward.Dataset, and a tuple came"),
    "NaN": (broken("train", x=X * torch.nan), "train split of synthetic: x has NaN or infinity"),
    "NaN in the test": (broken("test", x=torch.full((3, 64), torch.inf)), "the test split"),
    "bytes": (broken("train", x=X.to(torch.uint8)), "of float32, and is torch.uint8"),
    "doubles": (
        broken("train", x=X.double()),
        "x wants torch.float32, as the cells have it, and is torch.float64",
    ),
    "an array": (broken("train", x=X.numpy()), "and is a ndarray"),
    "another shape": (broken("validation", x=torch.rand(5, 3), y=torch.zeros(5).long()), "alike"),
    "float labels": (broken("train", y=torch.zeros(len(X))), "y wants a tensor .N. of torch.int64"),
    "few labels": (broken("train", y=torch.zeros(7).long()), "samples and 7 targets"),
    "a label too many": (broken("train", y=torch.full((len(X),), 10)), "labels from 10 to 10"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_data_that_will_not_do(name: str) -> None:
    data, told = BROKEN[name]
    with pytest.raises(ow.BadInput, match=told):
        trained(data=data)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 64), np.float32),
        torch.zeros(2, 64).byte(),
        torch.full((2, 64), torch.nan),
        torch.full((2, 64), torch.nan, dtype=torch.bfloat16),
        torch.full((2, 64), 1e300, dtype=torch.float64),  # too large for float32
    ],
)
def test_samples_that_can_not_be_answered(x: Any) -> None:
    run = trained()
    assert len(run.predict(torch.zeros(2, 64))) == 2
    with pytest.raises(ow.BadInput, match="x holds no sample"):
        run.predict(torch.zeros(0, 64))
    with pytest.raises(ow.BadInput, match=r"x (should be a tensor|has NaN)"):
        run.predict(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_samples_of_another_precision_are_taken_as_the_cells_own(dtype: torch.dtype) -> None:
    rng = ow.generator(0, "cells")
    cells, algorithm = [ow.AutoEncoder(64, 8, rng=rng)], ow.UnsupervisedForwardForward()
    for run in (trained(), trained(cells, algorithm)):
        x = ow.load("synthetic").test.x[:4].to(dtype)
        assert run.scores(x).equal(run.scores(x.float()))
        assert run.predict(x).equal(run.predict(x.float()))
    assert run.strangeness(x).equal(run.strangeness(x.float()))


@pytest.mark.parametrize("shape", [(3, 60), (8, 8)])
def test_samples_of_another_shape_are_no_reason_to_build_the_row_anew(shape: Any) -> None:
    run = trained()
    with pytest.raises(ow.BadInput, match=r"trained on samples of shape .* a single sample is x"):
        run.predict(torch.zeros(shape))
