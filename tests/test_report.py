"""The page of a run: what stands on it, that it needs nothing else, and how a browser shows it."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from onward.errors import BadInput
from onward.record import INSIDE
from onward.report import render, write
from onward.report.charts import Chart, Line, draw
from onward.report.tables import matrix

Record = dict[str, Any]

NAMES = [
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
]


def curves(epochs: int, cells: int, readouts: Sequence[str] = ("goodness", "linear")) -> Record:
    """Curves of a run that learns: errors fall, goodness parts, a few units die."""
    time = [k / max(epochs - 1, 1) for k in range(epochs)]
    errors = {"goodness": 0.016, "linear": 0.019}
    return {
        "epoch": list(range(1, epochs + 1)),
        "stage": ["cells"] * epochs,
        "rate": [min(1.0, 2 - 2 * t) for t in time],
        "seconds": [2.1] * epochs,
        "cells": [
            {
                "name": f"cell-{c}",
                "loss": [(0.7 + 0.1 * c) * math.exp(-2.5 * t) for t in time],
                "dead_units": [0.01 * c + 0.02 * t for t in time],
                "goodness_positive": [2 + (2 + c) * t for t in time],
                "goodness_negative": [2 - 1.5 * t for t in time],
            }
            for c in range(cells)
        ],
        "readout_loss": [0.9 * math.exp(-2 * t) for t in time],
        "readouts": {
            name: {
                "train": [0.2 * math.exp(-4.5 * t) for t in time],
                # Validation is measured every third epoch, and after the last.
                "validation": [
                    0.2 * math.exp(-math.log(0.2 / errors[name]) * t)
                    if k % 3 == 0 or k == epochs - 1
                    else None
                    for k, t in enumerate(time)
                ],
            }
            for name in readouts
        },
    }


def counts(classes: int, per_class: int, error: float, seed: int) -> list[list[int]]:
    """A confusion matrix whose rows each sum to per_class."""
    rng = np.random.default_rng(seed)
    rows = []
    for true in range(classes):
        shares = rng.dirichlet(np.full(classes, 0.3)) * error
        shares[true] += 1 - shares.sum()
        rows.append(rng.multinomial(per_class, shares).tolist())
    return rows


def finished(**changes: Any) -> Record:
    """The record of a finished run with four cells, at the size of Fashion-MNIST."""
    record: Record = {
        "schema": 1,
        "status": "finished",
        "recipe": "ff-fashion",
        "claim": "Forward-Forward with every label tried comes close to backprop of the same size.",
        "source": "Hinton 2022, section 3.3",
        "command": "onward run ff-fashion --seed 3 --epochs 30",
        "algorithm": "forward_forward",
        "schedule": "simultaneous",
        "settings": {
            "epochs": 30,
            "batch": 128,
            "rate": 0.001,
            "threshold": 2.0,
            "widths": [2000, 2000, 2000, 2000],
            "normalize": True,
            "momentum": None,
            "label_scale": 1.0,
        },
        "seed": 3,
        "data": {
            "name": "fashion-mnist",
            "shape": [1, 28, 28],
            "classes": 10,
            "train": 55000,
            "validation": 5000,
            "test": 10000,
            "origin": "folder",
            "label_names": NAMES,
            "note": None,
            "fingerprint": "9f2c" * 16,
        },
        "machine": {
            "device": "cpu",
            "precision": "float32",
            "threads": 8,
            "processor": "AMD EPYC 9R14",
            "cores": 16,
            "memory_gib": 61.8,
        },
        "versions": {"onward": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "numpy": "2.3.1"},
        "commit": {"id": "0123456789abcdef0123456789abcdef01234567", "clean": True},
        "parameters": {"cells": [1570000, 4002000, 4002000, 4002000], "readout": 60010},
        "cells": [
            {"name": f"cell-{c}", "kind": "Dense", "inputs": 2000 if c else 784, "outputs": 2000}
            for c in range(4)
        ],
        "epochs": 30,
        "curves": curves(30, 4),
        "validation_error": {
            "goodness": 0.016,
            "linear": 0.019,
            "goodness_cells": [0.031, 0.02, 0.018, 0.0221],
        },
        "test_error": {
            "goodness": 0.0171,
            "linear": 0.0202,
            "goodness_cells": [0.0333, 0.0214, 0.0189, 0.0237],
        },
        "confusion": {
            "linear": counts(10, 1000, 0.1, 1),
            "goodness": counts(10, 1000, 0.07, 2),
        },
        "cost": {
            "train_seconds": 1503.4,
            "evaluation_seconds": 41.25,
            "samples_per_second": 1097.5,
            "data_passes": 90,
            "flops": 1.345e14,
            "peak_memory_bytes": 734003200,
            "energy_joules": None,
            "bytes_between_stations": 8.1e10,
        },
        "started": "2026-01-05T10:00:00Z",
        "ended": "2026-01-05T10:26:00Z",
    }
    return record | changes


def twin(**changes: Any) -> Record:
    """The backprop twin: one linear readout, no goodness."""
    record = finished(
        algorithm="backprop",
        schedule="backprop",
        curves=curves(30, 0, ["linear"]),
        test_error={"linear": 0.0144},
        validation_error={"linear": 0.0139},
        confusion={"linear": counts(10, 1000, 0.05, 5)},
    )
    record["cost"] = record["cost"] | {"train_seconds": 611.0, "samples_per_second": 2700.2}
    return record | changes


def interrupted() -> Record:
    """A run that was stopped before its first epoch was over."""
    empty = curves(0, 2)
    nothing = dict.fromkeys(finished()["cost"])
    return finished(
        status="interrupted",
        epochs=0,
        curves=empty,
        validation_error=None,
        test_error=None,
        confusion=None,
        cost=nothing,
    )


def greedy() -> Record:
    """Two cells one after the other, then the readout: most entries of most curves are null."""
    whole = curves(9, 2, ["linear"])
    whole["stage"] = ["cell-0"] * 3 + ["cell-1"] * 4 + ["readout"] * 2
    for cell, stage in zip(whole["cells"], ("cell-0", "cell-1"), strict=True):
        for key, values in cell.items():
            if key != "name":
                cell[key] = [
                    v if s == stage else None for v, s in zip(values, whole["stage"], strict=True)
                ]
    whole["readout_loss"] = [None] * 7 + [0.5, 0.4]
    whole["readouts"]["linear"] = {"train": [None] * 9, "validation": [None] * 7 + [0.2, 0.0]}
    return finished(schedule="greedy", epochs=9, curves=whole)


def folder(path: Path, record: Record) -> Path:
    """A run folder without checkpoint."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return path


def checkpoint(run: Path, position: str, tensors: dict[str, torch.Tensor]) -> Path:
    """The first cell's weights at one position of a run."""
    place = run / "checkpoint" / position
    place.mkdir(parents=True)
    save_file(tensors, place / "cell-0.safetensors")
    return place / "cell-0.safetensors"


def strokes(units: int, side: int, channels: int = 1) -> torch.Tensor:
    """Weights that look like something: smooth blobs with a sign, one row a unit."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    rows = []
    for _ in range(units * channels):
        (cx, cy), angle, size = rng.uniform(0.25, 0.75, 2), rng.uniform(0, 3.1), rng.uniform(6, 20)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        blob = np.exp(-(size**2) / 8 * ((x - cx) ** 2 + (y - cy) ** 2)) * np.cos(size * along)
        rows.append((blob + 0.08 * rng.standard_normal((side, side))).ravel())
    return torch.tensor(np.array(rows), dtype=torch.float32).reshape(units, -1)


class Page(HTMLParser):
    """What a test asks of a page: its tags, that they close, and its text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def told(self) -> str:
        return " ".join(" ".join(self.text).split())


def page_of(run: Path, *beside: Path) -> Page:
    page = Page(render(run, beside))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.tags:
        for key in ("src", "href", "data", "action", "srcset", "poster"):
            place = attributes.get(key) or ""
            assert place == "" or place.startswith(("data:image/png;base64,", "#"))
        assert not any(key.startswith("on") for key in attributes)
        assert "url(" not in (attributes.get("style") or "")
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in ids
    assert page.all("h1")
    assert len(page.all("table")) == len(page.all("caption"))
    return page


def test_a_finished_run_with_its_twin_shows_every_number(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", finished())
    folder(run / "twin", twin())
    folder(tmp_path / "other", finished(recipe="ff-hard", status="running"))
    checkpoint(run, "000010", {"linear.weight": torch.zeros(200, 784)})
    checkpoint(run, "000020", {"linear.weight": strokes(200, 28)})
    checkpoint(run, ".000030.part", {"linear.weight": torch.zeros(3, 784)})
    page = page_of(run, tmp_path / "other", run / "twin")
    told = page.told()
    for text in (
        "ff-fashion",
        "Hinton 2022, section 3.3",
        "1.71 2.02 1.60 1.90 30 1,503 1,098 13,636,010",
        "1,503 s (25 min 3 s)",
        "ff-hard, other (running)",
        "backprop twin – 1.44 – 1.39",
        "171 of 10,000 wrong",
        "this run, linear: +0.58 points",
        "3.33 2.14 1.89 2.37",
        "3.10 2.00 1.80 2.21",
        "passes of the training set",
        "134 TFLOP",
        "700 MiB",
        "75.4 GiB",
        "not measured",
        "1 × 28 × 28",
        "AMD EPYC 9R14",
        "0123456789abcdef",
        "onward run ff-fashion --seed 3 --epochs 30",
        "The same for readout linear",
        "64 of 200 units",
    ):
        assert text in told, text
    assert len(page.all("img")) == 64
    # Readouts, losses, four cells' goodness, dead units, readout loss, rate, run by run.
    assert told.count("positive") >= 4
    figures = [a for a in page.all("svg") if a.get("role") == "img"]
    assert len(figures) == 10
    assert all(len(a["aria-label"] or "") > 40 for a in figures)
    assert "role" not in page.all("body")[0]
    assert not any("banner" in (a.get("class") or "") for _, a in page.tags)


def test_the_page_is_written_whole_and_alone(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", finished())
    path = write(run)
    assert path == run / "report.html"
    assert path.read_text(encoding="utf-8") == render(run)
    write(run)
    assert sorted(p.name for p in run.iterdir()) == ["record.json", "report.html"]


def test_an_interrupted_run_without_an_epoch_still_has_a_page(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", interrupted())
    page = page_of(run)
    told = page.told()
    assert "This run was interrupted" in told
    assert "No epoch has been measured yet" in told
    assert "No pictures: this folder holds no checkpoint" in told
    assert "nan" not in told.lower().split()
    assert "None" not in told


@pytest.mark.parametrize(("status", "says"), [("diverged", "diverged"), ("running", "not over")])
def test_a_run_that_did_not_finish_says_so(tmp_path: Path, status: str, says: str) -> None:
    page = page_of(folder(tmp_path / "run", finished(status=status)))
    assert any(a.get("role") == "status" for a in page.all("div"))
    assert says in page.told()


def test_stages_are_marked_and_nulls_are_skipped(tmp_path: Path) -> None:
    page = page_of(folder(tmp_path / "run", greedy()))
    marks = [a for a in page.all("text") if a.get("class") == "mark"]
    assert marks
    for line in page.all("polyline"):
        points = [tuple(map(float, p.split(","))) for p in (line["points"] or "").split()]
        assert all(math.isfinite(number) for point in points for number in point)
    labels = [a.get("aria-label") or "" for a in page.all("svg")]
    loss = next(label for label in labels if label.startswith("Loss of each cell"))
    assert "cell-1 from" in loss
    assert "at epoch 4 to" in loss
    assert "at epoch 7" in loss


def test_nulls_and_strange_values_nowhere_break_the_page(tmp_path: Path) -> None:
    record = finished(recipe=None, claim=None, source=None, command="", settings={}, ended=None)
    for key in ("data", "machine", "versions", "commit", "cost", "parameters"):
        may = {name for name, types in INSIDE[key].items() if type(None) in types}
        record[key] = {name: None if name in may else v for name, v in record[key].items()}
    record["cells"] = []
    record["curves"] = {
        name: {"linear": None} if name == "readouts" else [] for name in record["curves"]
    }
    record["confusion"] = {"goodness": [[1, 2], [3]], "linear": None}
    record["test_error"] = {"goodness": None}
    page = page_of(folder(tmp_path / "run", record))
    assert "forward_forward" in page.told()
    assert "None" not in page.told()


def test_text_of_a_record_stays_text(tmp_path: Path) -> None:
    evil = "</title><script>alert('x')</script><img src=http://x.example onerror=alert(1)>\ud800"
    names = [evil, *NAMES[1:]]
    record = finished(recipe=evil, claim=evil, source=evil, command=evil, algorithm=evil)
    record["data"] |= {"name": evil, "label_names": names, "note": evil}
    record["settings"] = {evil: evil, "list": [evil]}
    record["versions"] = dict.fromkeys([*record["versions"], evil], evil)
    record["curves"]["cells"][0]["name"] = evil
    record["curves"]["readouts"][evil] = {"train": [0.5] * 30, "validation": [0.5] * 30}
    record["confusion"] = {evil: counts(10, 9, 0.5, 0), "goodness": counts(10, 9, 0.5, 1)}
    record["test_error"][evil] = 0.5
    page = page_of(folder(tmp_path / "run", record))
    assert "<script>alert('x')</script>" in page.told()
    assert not page.all("img")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", "this folder holds no checkpoint"),
        ("no file", "the checkpoint holds no cell-0.safetensors"),
        ("truncated", "can't be read"),
        ("empty", "can't be read"),
        ("other width", "no weight matrix with 784 inputs"),
    ],
)
def test_a_damaged_checkpoint_costs_only_the_pictures(
    tmp_path: Path, damage: str, says: str
) -> None:
    run = folder(tmp_path / "run", finished())
    if damage != "missing":
        columns = 783 if damage == "other width" else 784
        file = checkpoint(run, "7", {"linear.weight": torch.ones(20, columns)})
        if damage == "no file":
            file.unlink()
        elif damage == "truncated":
            file.write_bytes(file.read_bytes()[:1000])
        elif damage == "empty":
            file.write_bytes(b"")
    page = page_of(run)
    assert says in page.told()
    assert not page.all("img")


@pytest.mark.parametrize(
    ("shape", "dtype", "pictures"),
    [
        ([8, 8], torch.float16, 5),
        ([1, 8, 8], torch.bfloat16, 5),
        ([3, 8, 8], torch.float32, 5),
        ([64], torch.float32, 0),
        ([2, 8, 8], torch.float32, 0),
    ],
)
def test_pictures_need_one_or_three_channels(
    tmp_path: Path, shape: list[int], dtype: torch.dtype, pictures: int
) -> None:
    record = finished()
    record["data"]["shape"] = shape
    run = folder(tmp_path / "run", record)
    weight = torch.randn(5, math.prod(shape), generator=torch.Generator().manual_seed(0))
    weight[0] = 0
    moments = torch.zeros_like(weight[:3])
    checkpoint(run, "1", {"bias": torch.zeros(5), "optimizer/a": moments, "w": weight.to(dtype)})
    assert len(page_of(run).all("img")) == pictures


def test_a_picture_shows_the_weights_it_was_made_of(tmp_path: Path) -> None:
    import base64
    import io

    from PIL import Image

    record = finished()
    record["data"]["shape"] = [2, 3]
    run = folder(tmp_path / "run", record)
    weight = torch.tensor([[2.0, -2.0, 0.0, 2.0, -2.0, 1.0]])
    checkpoint(run, "1", {"linear.weight": weight})
    (image,) = page_of(run).all("img")
    png = base64.b64decode((image["src"] or "").partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    assert pixels.shape == (2, 3, 4)
    assert pixels[..., 3].tolist() == [[255, 255, 0], [255, 255, 128]]
    assert (pixels[0, 0, :3] == pixels[1, 0, :3]).all()
    assert (pixels[0, 0, :3] != pixels[0, 1, :3]).any()


def test_a_confusion_matrix_past_the_table_is_a_picture_with_the_worst_pairs() -> None:
    square = [[90 if i == j else 0 for j in range(40)] for i in range(40)]
    square[3][7] = 10
    page = Page(matrix("Readout", square, [f"class {i}" for i in range(40)]))
    assert len(page.all("img")) == 1
    assert "class 3 class 7 10 10.00" in page.told()


def test_shares_of_a_row_are_the_shades_of_a_matrix() -> None:
    page = Page(matrix("Readout", [[3, 1], [0, 0]], ["a", "b"]))
    cells = [a for a in page.all("td") if "style" in a]
    assert [a["class"] for a in cells] == ["hit", "miss", "zero", "zero"]
    assert cells[0]["style"] == "--s:0.390"
    assert cells[1]["style"] == "--s:0.450"
    assert "25.00" in page.told()


def test_lines_lie_where_their_values_are() -> None:
    chart = Chart("Error", "%", [Line("a", [10.0, None, 1.0, 0.0])], log=True)
    page = Page(draw(chart, [1, 2, 3, 4]))
    (line,) = [a for a in page.all("polyline") if a["points"] != "0,4 26,4"]
    (x1, y1), (x2, y2), (x3, y3) = (
        tuple(map(float, point.split(","))) for point in (line["points"] or "").split()
    )
    assert x1 < x2 < x3
    assert y1 < y2 < y3
    # Epoch 3 of 1..4 lies at two thirds: a gap in the values is no gap on the axis.
    assert (x2 - x1) / (x3 - x1) == pytest.approx(2 / 3, abs=0.01)
    assert draw(Chart("Error", "%", [Line("a", [None, None])]), [1, 2]) == ""


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-1.0, -1e-9], [1e-12, 1e12], [0.0, 0.0]])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("base", [None, 0.0])
def test_every_range_of_values_can_be_drawn(
    values: list[float], log: bool, base: float | None
) -> None:
    figure = draw(Chart("x", "", [Line("a", values)], log=log, base=base), [1.0, 2.0])
    numbers = re.findall(r'(?:y1|cy|points|y)="([^"]+)"', figure)
    for number in re.split("[ ,]", " ".join(numbers)):
        assert -20 <= float(number) <= 380


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is none at"),
        ("{", "is not a readable record"),
        ("[]", "no schema number"),
        ('{"schema": 2}', "is of schema 2"),
        ('{"schema": 1}', "status is missing"),
    ],
)
def test_a_record_that_cannot_be_read_says_why(
    tmp_path: Path, content: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(BadInput, match=says):
        render(tmp_path)
    assert not (tmp_path / "report.html").exists()


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def browse(browser: str, home: Path, page: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={home}",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=3000",
            *flags,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


MEASURE = """<script>
const page = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
const loose = [...document.querySelectorAll("main *, header *")].filter(
  e => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1);
parent.postMessage(JSON.stringify({
  inner: innerWidth, wide: page.scrollWidth, dark, loose: loose.length,
  loads: performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
  broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
}), "*");
</script></body>"""

# A window is never narrower than 500 px, a frame is as narrow as a phone.
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><title>nothing</title>
<script>addEventListener("message", event => { document.title = event.data; });</script>
<iframe src="copy.html" width="WIDTH" height="800" style="border: 0"></iframe>"""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with everything on it, long names too."""
    run = folder(tmp_path_factory.mktemp("browser") / "run", finished(command="x" * 300))
    folder(run / "twin", twin())
    checkpoint(run, "1", {"linear.weight": strokes(100, 28)})
    return write(run)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on the path")
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_the_page_within_its_width(
    full: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    assert BROWSER is not None
    text = full.read_text(encoding="utf-8")
    # Only this copy may run a script: the page's own policy forbids it.
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", MEASURE).replace(' loading="lazy"', ""))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    done = browse(BROWSER, tmp_path / "home", frame, "--window-size=1400,900", scheme, "--dump-dom")
    found = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert found is not None, done.stdout[:300] + done.stderr[-300:]
    told = json.loads(found[1])
    assert told["inner"] == width
    assert told["wide"] <= width
    assert told["dark"] is dark
    assert (told["loose"], told["loads"], told["broken"]) == (0, 0, 0)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on the path")
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_the_page_without_a_complaint(
    full: Path, tmp_path: Path, dark: bool
) -> None:
    from PIL import Image

    assert BROWSER is not None
    picture = tmp_path / "page.png"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    done = browse(
        BROWSER,
        tmp_path / "home",
        full,
        "--window-size=1280,900",
        scheme,
        f"--screenshot={picture}",
    )
    assert "CONSOLE" not in done.stderr
    pixels = np.asarray(Image.open(picture).convert("L")).astype(float)
    assert pixels.shape == (900, 1280)
    assert (pixels.mean() < 60) if dark else (pixels.mean() > 220)
    assert pixels.std() > 5


def luminance(color: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: Sequence[float], b: Sequence[float]) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_keep_the_contrast_of_wcag(scheme: str) -> None:
    from onward.report.fields import NEGATIVE, POSITIVE
    from onward.report.style import STYLE

    block = re.findall(r":root \{(.*?)\}", STYLE, re.S)[scheme == "dark"]
    colors: dict[str, list[float]] = {}
    for name, digits in re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block):
        digits = digits[1:] if len(digits) == 7 else "".join(2 * d for d in digits[1:])
        colors[name] = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    for text in ("ink", "soft", "accent"):
        for ground in ("page", "panel"):
            assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    assert contrast(colors["ink"], colors["warn-panel"]) >= 4.5
    assert contrast(colors["warn"], colors["panel"]) >= 4.5
    for tone in range(7):
        assert contrast(colors[f"tone-{tone}"], colors["panel"]) >= 3, tone
    for sign in (POSITIVE, NEGATIVE):
        assert contrast([c / 255 for c in sign], colors["panel"]) >= 3, sign
    # The strongest shades a matrix uses, mixed with the panel.
    for name, shade in (("hit", 0.5), ("miss", 0.6)):
        found = re.search(rf"--{name}: (\d+) (\d+) (\d+);", block)
        assert found is not None
        mixed = [
            shade * int(c) / 255 + (1 - shade) * p
            for c, p in zip(found.groups(), colors["panel"], strict=True)
        ]
        assert contrast(colors["ink"], mixed) >= 4.5, name
