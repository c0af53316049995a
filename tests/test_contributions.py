"""What each cell adds: the measures against slow loops, in a run's record, and on its page."""

import json
import math
from pathlib import Path

import pytest
import torch
from command import TINY, onward
from torch import Tensor

from onward import record
from onward.contributions import contributions
from onward.errors import BadInput
from onward.report import added, render


def made(low: float = 0.0) -> tuple[Tensor, Tensor]:
    """Goodness [3, 40, 4] in which cell 2 knows nothing, and labels."""
    rng, y = torch.Generator().manual_seed(0), torch.arange(40) % 4
    g = low + torch.rand(3, 40, 4, generator=rng)
    g[0, torch.arange(40), y] += 0.5
    g[1, torch.arange(40), y] += 0.2
    return g, y


def slow_entropy(values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum(v * math.log(v / mean) for v in values) / len(values)


def test_errors_of_the_first_cells_and_preferences_are_those_of_loops() -> None:
    g, y = made()
    found = contributions(g, y)
    for j in range(3):
        wrong, better, pairs = 0, 0, 0
        for n in range(40):
            scores = [sum(float(g[i, n, k]) for i in range(j + 1)) for k in range(4)]
            wrong += scores.index(max(scores)) != int(y[n])
            for k in range(4):
                if k != int(y[n]):
                    better += bool(g[j, n, y[n]] > g[j, n, k])
                    pairs += 1
        assert found["first"][j] == pytest.approx(wrong / 40)
        assert found["prefers"][j] == pytest.approx(better / pairs)
    assert found["prefers"][0] > 0.8
    assert abs(found["prefers"][2] - 0.5) < 0.1


def test_ties_count_by_half() -> None:
    assert contributions(torch.ones(1, 6, 3), torch.zeros(6, dtype=torch.long))["prefers"] == [0.5]


def test_entropies_are_those_of_loops_positives_and_negatives_apart() -> None:
    g, y = made()
    found = contributions(g, y)
    for sign in ("positive", "negative"):
        each = [
            [
                float(g[i, n, k])
                for n in range(40)
                for k in range(4)
                if (k == int(y[n])) == (sign == "positive")
            ]
            for i in range(3)
        ]
        every = [v for cell in each for v in cell]
        one = found[sign]
        assert one["entropy"] == pytest.approx(slow_entropy(every), abs=1e-9)
        assert one["cells"] == pytest.approx([slow_entropy(cell) for cell in each], abs=1e-9)
        assert one["across"] + one["within"] == pytest.approx(one["entropy"], abs=1e-9)
        assert one["divergence"] == pytest.approx(one["entropy"] / one["mean"])
        assert one["mean"] == pytest.approx(math.fsum(every) / len(every))
    assert found["positive"]["mean"] > found["negative"]["mean"]


def test_a_goodness_below_0_has_no_entropy() -> None:
    found = contributions(*made(-1.0))
    assert found["positive"] is None
    assert found["negative"] is None
    assert len(found["first"]) == 3


def test_a_run_records_them_from_the_pass_of_its_errors(finished: Path) -> None:
    made_record = record.read(finished)
    for split in ("validation", "test"):
        one, errors = made_record["contributions"][split], made_record[f"{split}_error"]
        assert len(one["first"]) == len(one["prefers"]) == len(errors["goodness_cells"]) == 2
        assert one["first"][0] == errors["goodness_cells"][0]
        # The readout leaves the first of these two cells out, the running sum does not.
        assert errors["goodness"] == errors["goodness_cells"][1]
    assert record.read(finished / "twin")["contributions"] is None


def test_the_page_shows_them_and_old_records_have_none(finished: Path, tmp_path: Path) -> None:
    page = render(finished)
    assert "What each cell adds" in page
    assert "error of the sum up to it" in page
    assert "by cell: sum of the first cells from" in page
    assert "Functional entropy of the goodness, 2 cells" in page
    assert "calls goodness is of the sum of cell-1 alone (setting counted)" in page
    all_of_them = record.read(finished)
    all_of_them["settings"]["counted"] = [0, 1]
    (tmp_path / "record.json").write_text(json.dumps(all_of_them))
    assert "All count for the error" in render(tmp_path)
    del all_of_them["settings"]["counted"]  # as onward.fit() leaves it
    (tmp_path / "record.json").write_text(json.dumps(all_of_them))
    assert "all but the first, unless counted said others" in render(tmp_path)
    old = record.read(finished)
    del old["contributions"]
    (tmp_path / "record.json").write_text(json.dumps(old))
    assert record.read(tmp_path) == old
    assert "What each cell adds" not in render(tmp_path)
    assert added.first(old, "test") == []
    assert added.free_riders(old, "test") == []
    old["contributions"] = 3
    (tmp_path / "record.json").write_text(json.dumps(old))
    with pytest.raises(BadInput, match="contributions should be an object or null"):
        record.read(tmp_path)


def test_free_riders_are_named(finished: Path) -> None:
    one = record.read(finished)
    one["contributions"]["test"]["prefers"] = [0.9, 0.55]
    assert added.free_riders(one, "test") == [1]
    assert "rides free" in added.section(one)
    one["contributions"]["test"]["prefers"] = [0.9, 0.7]
    assert "<td>rides free" not in added.section(one)


def test_a_learned_coupling_is_a_curve_of_the_page(tmp_path: Path) -> None:
    done = onward(
        *("run", "ff-digits", *TINY, "--gamma", "all", "--coupling", "learned"),
        *("--optimizer", "adamw", "--out", tmp_path / "run"),
    )
    assert done.code == 0, done.err
    assert "Gamma 1 of each cell" in render(tmp_path / "run")
