"""Exported predictions: files that other runtimes read answer as the run does, and their cards."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from command import onward
from safetensors.torch import load_file
from torch import Tensor, nn

from onward import data, evaluate, recipes, train
from onward.cells import LocalFields
from onward.errors import BadInput
from onward.export import export, formats
from onward.export.graph import prediction
from onward.plan import Machine
from onward.readouts import strangeness
from onward.record import Record
from onward.row import Row


def built(name: str, dataset: str = "synthetic", **settings: Any) -> tuple[Row, Record]:
    """A recipe's row as drawn, with a readout that says something, and a record for it."""
    recipe = recipes.find(name)
    chosen = dataclasses.replace(recipe.defaults, dataset=dataset, **settings)
    sets = recipe.data(chosen, data.load(dataset))
    plan = recipe.build(chosen, sets, 0)
    if (head := plan.row.linear()) is not None:
        nn.init.normal_(head.linear.weight, generator=torch.Generator().manual_seed(1))
    made = train.new_record(plan, sets, Machine("cpu"), 0, dataclasses.asdict(chosen), recipe=name)
    return plan.row, {**made, "status": "finished"}


def wanted(row: Row, readout: str, x: Tensor) -> Tensor:
    """What the library says, by its own words and not by those of the export."""
    said = evaluate.judge(row, x)
    if readout == "reconstruction":
        assert said.restoring is not None
        return strangeness(said.restoring)
    scores = said.scores(row, len(row.stations))[readout]
    return row.task.answer(scores) if row.task.target == "numbers" else scores


ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ff": ("ff-digits", "goodness", {"width": 20, "cells": 2, "peers": 0.1}),
    "ff-linear": ("ff-digits", "linear", {"width": 20, "cells": 3, "label": "first"}),
    "collaboration": ("collab-mnist", "goodness", {"width": 20}),
    "backprop": ("bp-digits", "linear", {"width": 20}),
    "dense": ("uff-dae-mnist", "linear", {"widths": [20, 20]}),
    "conv": ("uff-cae-mnist", "linear", {"widths": [3, 4]}),
    "number": ("uff-regression-diabetes", "linear", {"dataset": "diabetes"}),
    "strange": ("uff-anomaly-mnist", "reconstruction", {"dataset": "digits", "widths": [20, 8]}),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("to", ["onnx", "pt2"])
def test_a_file_answers_as_the_run_does(kind: str, to: str, tmp_path: Path) -> None:
    name, readout, settings = ROWS[kind]
    row, record = built(name, **settings)
    path = tmp_path / f"net.{to}"
    if to == "onnx":
        pytest.importorskip("onnxscript", reason="the extra `export` has it")
        runtime = pytest.importorskip("onnxruntime", reason="the extra `export` has it")
        done = export(row, record, to, path, readout)
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert [one.name for one in session.get_inputs()] == ["x"]
        assert [one.shape[0] for one in session.get_inputs()] == ["batch"]

        def answer(x: Tensor) -> Tensor:
            return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])
    else:
        done = export(row, record, to, path, readout)
        answer = torch.export.load(path).module()
    assert done.difference <= 1e-5
    for count in (1, 5, 300):  # 5 and 300 are not among the batches it was checked on
        x = torch.rand(count, *record["data"]["shape"])
        said, right = answer(x), wanted(row, readout, x)
        assert said.shape == right.shape
        torch.testing.assert_close(said, right, rtol=1e-5, atol=1e-5 * float(right.abs().max()))


def test_local_fields_are_traced_for_any_batch() -> None:
    cell, x = LocalFields((1, 8, 8), 3, 4, 2), torch.rand(7, 1, 8, 8)
    traced = torch.export.export(
        cell, (x[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    torch.testing.assert_close(traced(x), cell(x))


def test_weights_come_with_a_description(tmp_path: Path) -> None:
    row, record = built("uff-dae-mnist", widths=[20, 20])
    path = tmp_path / "net.safetensors"
    done = export(row, record, "safetensors", path)
    assert [file.name for file in done.files] == [
        *("net.safetensors", "net.safetensors.md", "net.safetensors.json")
    ]
    told = json.loads((tmp_path / "net.safetensors.json").read_text())
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["settings"]["widths"] == [20, 20]
    assert told["input"]["shape"] == ["batch", 1, 8, 8]
    tensors = load_file(path)
    assert {name: list(t.shape) for name, t in tensors.items()} == told["tensors"]
    head = row.linear()
    assert head is not None
    assert tensors["head.linear.weight"].equal(head.linear.weight)
    for number, cell in enumerate(row.cells):
        for name, tensor in cell.state_dict().items():
            assert tensors[f"cells.{number}.{name}"].equal(tensor)


def test_an_exported_row_can_learn_on(tmp_path: Path) -> None:
    row, record = built("uff-dae-mnist", widths=[20, 20])
    export(row, record, "pt2", tmp_path / "net.pt2")
    assert all(p.requires_grad for s in row.everyone for p in s.cell.parameters())
    assert all(s.cell.training for s in row.everyone)


def test_a_file_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, record = built("ff-digits", width=20, cells=2)

    def wrong(said: Any, x: Tensor) -> tuple[bytes, formats.Answer]:
        content, answer = formats.pt2(said, x)
        return content, lambda x: answer(x) * (1.0001 if len(x) == 256 else 1)

    monkeypatch.setitem(formats.FORMATS, "pt2", wrong)
    with pytest.raises(BadInput, match=r"does not answer as the run does: 1\.0e-04 apart"):
        export(row, record, "pt2", tmp_path / "net.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("ff-recurrent-mnist", {"width": 10}, "RecurrentForwardForward can't be exported"),
        ("ff-blackbox-mnist", {"width": 10}, "BehindBox"),
    ],
)
def test_rows_without_a_plain_graph_are_refused_by_name(
    name: str, settings: dict[str, Any], told: str
) -> None:
    row, _ = built(name, **settings)
    with pytest.raises(BadInput, match=told):
        prediction(row)


def test_sequences_are_refused_by_name() -> None:
    from onward.algorithms.sequences import Sequences

    row, _ = built("ff-digits", width=20)
    with pytest.raises(BadInput, match=r"Sequences can't be exported.*onward generate"):
        prediction(dataclasses.replace(row, algorithm=Sequences(classes=3)))


def test_a_cell_that_can_not_be_traced_is_refused_in_one_line(tmp_path: Path) -> None:
    class Sorting(nn.Module):
        outputs = 64

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([row for row in x.flatten(1) if float(row.sum()) > -1])

    row, record = built("bp-digits", width=64)
    row.stations[0].cell = Sorting()
    with pytest.raises(BadInput, match="can't be written as a graph for any batch"):
        export(row, record, "pt2", tmp_path / "net.pt2")


# --- the command


def test_export_writes_a_card_of_the_record(copied: Path) -> None:
    done = onward("export", copied, "--to", "pt2")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == str(copied / "model.pt2")
    record = json.loads((copied / "record.json").read_text())
    card = (copied / "model.pt2.md").read_text()
    assert record["command"] in card
    assert record["data"]["fingerprint"] in card
    assert (record["commit"]["id"] or "") in card  # none outside a checkout
    assert hashlib.sha256((copied / "model.pt2").read_bytes()).hexdigest() in card
    errors = [f"{100 * record[f'{s}_error']['linear']:.2f}" for s in ("validation", "test")]
    assert f"| linear (this file) | {errors[0]} | {errors[1]} |" in card
    assert "Dense 74 to 16, Dense 16 to 16" in card  # 64 pixels and ten numbers of the label


def test_export_takes_the_readout_that_is_asked_for(copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "net.safetensors"
    done = onward("export", copied, "--to", "safetensors", "--readout", "goodness", "--out", out)
    assert done.code == 0, done.err
    told = json.loads(out.with_name("net.safetensors.json").read_text())
    assert told["readout"] == "goodness"
    assert "head.linear.weight" not in told["tensors"]
    assert "10 passes" in out.with_name("net.safetensors.md").read_text()


def test_a_readout_that_is_named_has_a_file_of_its_own(copied: Path) -> None:
    first = onward("export", copied, "--to", "safetensors")
    before = (copied / "model.safetensors").read_bytes()
    done = onward("export", copied, "--to", "safetensors", "--readout", "goodness")
    assert (first.code, done.code) == (0, 0), done.err
    assert done.out.splitlines()[0] == str(copied / "model-goodness.safetensors")
    assert (copied / "model.safetensors").read_bytes() == before
    odd = onward("export", copied, "--to", "pt2", "--readout", "../goodness")
    assert "there is no readout ../goodness" in odd.complaint or "no readout" in odd.complaint


def test_bad_input_of_export(copied: Path, tmp_path: Path) -> None:
    def complaint(*words: object) -> str:
        return onward("export", *words).complaint

    assert "there is no format 'onx': did you mean 'onnx'?" in complaint(copied, "--to", "onx")
    assert "--to" in complaint(copied)
    assert "ends in .pt2" in complaint(copied, "--to", "pt2", "--out", tmp_path / "net.onnx")
    assert "no readout softmax: it has linear, goodness" in complaint(
        copied, "--to", "pt2", "--readout", "softmax"
    )
    assert "this run has no readout goodness: it has linear" in complaint(
        copied / "twin", "--to", "pt2", "--readout", "goodness"
    )
    assert "record.json" in complaint(tmp_path / "nothing", "--to", "pt2")
    changed = json.loads((copied / "record.json").read_text())
    (copied / "record.json").write_text(json.dumps({**changed, "status": "interrupted"}))
    assert (
        f"not finished (interrupted), and a finished one is wanted: `onward resume {copied}`"
        in (complaint(copied, "--to", "pt2"))
    )


def test_a_missing_extra_is_named(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(sys.modules, "onnx", sys)  # there, whatever it is
    complaint = onward("export", copied, "--to", "onnx").complaint
    assert "onnxscript is not installed: pip install 'onward[export]'" in complaint
    assert not (copied / "model.onnx").exists()


def test_a_run_of_numbers_says_what_its_number_is(tmp_path: Path) -> None:
    words = ("run", "uff-regression-diabetes", "--alone", "--epochs", 2, "--threads", 1)
    assert onward(*words, "--out", tmp_path / "run").code == 0
    assert onward("export", tmp_path / "run", "--to", "safetensors").code == 0
    card = (tmp_path / "run" / "model.safetensors.md").read_text()
    assert "in the units of the training targets" in card
    assert "1 - R2" in card
    assert "Classes" not in card
