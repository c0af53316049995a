"""Tables of one's own: what is read of a CSV file, what is predicted from it, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import onward
from hypothesis import given
from hypothesis import strategies as st

from onward import data, sheet
from onward.errors import BadInput
from onward.inputs import read_inputs


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def flowers(path: Path, rows: int = 60, names: str = "height,width,kind") -> Path:
    """Three kinds of flowers that a line through 0 tells apart."""
    random = np.random.RandomState(0)
    lines = [names]
    for row in range(rows):
        height, width = random.rand() + 2 * (row % 3), random.rand() + 4 - row % 3
        lines.append(f"{height:.3f},{width:.3f},{('rose', 'aster', 'tulip')[row % 3]}")
    return table(path, *lines)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        data.load(path=path)
    assert "\n" not in str(caught.value)
    for word in (path.name, *words):
        assert word in str(caught.value)


def test_words_in_the_last_column_are_classes_in_their_shares(tmp_path: Path) -> None:
    loaded = data.load("mnist", flowers(tmp_path / "flowers.csv"))
    assert loaded.name == "flowers"
    assert loaded.target == "classes"
    assert loaded.label_names == ("aster", "rose", "tulip")
    assert loaded.classes == 3
    assert loaded.columns == ("height", "width")
    assert loaded.shape == (2,)
    assert [len(s) for s in (loaded.train, loaded.validation, loaded.test)] == [40, 10, 10]
    assert min(torch.bincount(loaded.train.y)) >= 13
    assert "'kind'" in str(loaded.note)
    # Each row is in one split, with its own label: a rose's height is below 1.
    assert (loaded.train.x[loaded.train.y == 1, 0] < 1).all()
    everything = torch.cat([s.x for s in (loaded.train, loaded.validation, loaded.test)])
    assert len({tuple(row) for row in everything.tolist()}) == 60
    assert data.load(path=tmp_path / "flowers.csv").fingerprint() == loaded.fingerprint()


@pytest.mark.parametrize("name", ["target", "Label", "CLASS", "y"])
def test_a_column_that_says_so_is_the_target_wherever_it_stands(tmp_path: Path, name: str) -> None:
    lines = [f"a,{name},b", *(f"{row},{row % 2},{-row}" for row in range(12))]
    loaded = data.load(path=table(tmp_path / "t.csv", *lines))
    assert loaded.columns == ("a", "b")
    assert loaded.label_names == ("0", "1")
    assert torch.equal(loaded.train.y, (loaded.train.x[:, 0] % 2).long())


def test_whole_numbers_are_classes_while_few_differ(tmp_path: Path) -> None:
    few = [f"{row},{10 * (row % 20) - 50}" for row in range(100)]
    loaded = data.load(path=table(tmp_path / "few.csv", "a,b", *few))
    assert loaded.label_names == tuple(str(10 * k - 50) for k in range(20))
    many = data.load(
        path=table(tmp_path / "many.csv", "a,b", *(f"{r},{r % 21}" for r in range(100)))
    )
    assert many.target == "numbers"
    assert many.label_names == ("b",)
    assert many.classes == 1
    assert many.train.y.dtype == torch.float32
    decimals = data.load(
        path=table(tmp_path / "d.csv", "a,b", *(f"{r},{r % 2}.5" for r in range(9)))
    )
    assert decimals.target == "numbers"


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_separators_quotes_marks_and_line_ends(tmp_path: Path, separator: str) -> None:
    rows = [['"a"', "b c", '"kind, or so"'], *([str(r), "1e-1", f'"k{r % 2}"'] for r in range(8))]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    path = tmp_path / "t.TSV"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    read = sheet.read(path)
    assert read.columns == ("a", "b c")
    assert read.target == "kind, or so"
    assert read.texts[:2] == ("k0", "k1")
    assert np.array_equal(read.x, np.array([[r, 0.1] for r in range(8)], np.float32))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([""], ["is empty"]),
        (["a", *"123456"], ["one column", "'a'"]),
        (["a,b"], ["no row below"]),
        (["a,b", "1,2"], ["1 row below", "wanted 6"]),
        (["1,3", *["1,2"] * 6], ["line of names"]),
        (["1,1", *["1,2"] * 6], ["begins with numbers (1, 1)", "line of names"]),
        (["5.1,nan,-inf", *["1,2,3"] * 6], ["begins with numbers", "line of names"]),
        (
            ["5.1,3.5,rose", *["1,2,oak", "1,2,rose"] * 3],
            ["begins with a sample", "'rose'", "row 3"],
        ),
        (["5.1,y", *["1,n", "2,y"] * 3], ["begins with a sample", "write one"]),
        (["5.1,,0", *["1,2,0", "1,2,1"] * 3], ["begins with a sample"]),
        (["0.5,0.5,x", *["1,2,y"] * 6], ["column '0.5'", "line of names, if it has none"]),
        (["a,a,b", *["1,2,3"] * 6], ["more than one column 'a'"]),
        (["a,label,y", *["1,2,3"] * 6], ["'label' and 'y'", "rename"]),
        (["a,b", *["1,2"] * 5, "1,2,3"], ["row 7", "3 fields", "2 names"]),
        (["a,b", *["1,2"] * 5, "1"], ["row 7", "1 fields"]),
        (["a,b", *["1,x"] * 6], ["'b' is 'x' in all rows"]),
        (["a,b", *[f"1,word{r}" for r in range(9)]], ["too many for classes", "9 different"]),
        (["a,b", *["1,x"] * 5, "red,y"], ["row 7", "'a' holds 'red'", "'b', the last column"]),
        (["a;b", *["1;x"] * 5, "1,5;y"], ["'1,5'", "before decimals"]),
        (["a,b", *["1,x"] * 5, "1e40,y"], ["'1e40'", "float32"]),
        (["a,b", *["1,x"] * 5, "1_0,y"], ["'1_0'"]),
        (["a,b", *["1,x"] * 5, '1,"y'], ["cannot be read as CSV"]),
        (["a,b", *["1,x"] * 4, ",x", "NA,y"], ["'a' in 2 rows, first in row 6", "not filled in"]),
        (["a,b", *["1,x"] * 5, "1,?"], ["'b' in 1 row, first in row 7"]),
        (["a,b", *["1,x"] * 4, "-Inf,x", "inf,y"], ["not finite", "'a' in 2 rows, first in row 6"]),
        (["a,b", *["1,2.5"] * 5, "1,+inf"], ["not finite", "'b' in 1 row, first in row 7"]),
        (["a,b", *["1,x"] * 4, "inf,x", "?,y"], ["missing values", "'a' in 1 row, first in row 7"]),
        (["a,b", *["1,x"] * 5, "1,\0"], ["zero bytes"]),
    ],
)
def test_what_can_not_be_used_is_refused(
    tmp_path: Path, lines: list[str], words: list[str]
) -> None:
    refused(table(tmp_path / "t.csv", *lines), *words)


@pytest.mark.parametrize(
    ("names", "target"),
    [("0,1,2", "2"), ("1,2,3", "3"), ("a,b,y", "y"), ("0,1,y", "y"), (",0,1", "1")],
)
def test_columns_may_be_numbered_and_a_column_y_may_hold_y(
    tmp_path: Path, names: str, target: str
) -> None:
    path = table(tmp_path / "t.csv", names, *[f"{r},1,{('no', target)[r % 2]}" for r in range(12)])
    loaded = data.load(path=path)
    assert loaded.columns == tuple(names.split(",")[:2])
    assert set(loaded.label_names) == {"no", target}
    assert sum(len(s) for s in (loaded.train, loaded.validation, loaded.test)) == 12
    _, x = read_inputs(path, (2,), loaded.columns)
    assert len(x) == 12


def test_a_number_to_predict_that_is_too_large_is_refused(tmp_path: Path) -> None:
    refused(
        table(tmp_path / "t.csv", "a,b", *(f"1,{r}.5" for r in range(6)), "1,1e40"), "'b'", "1e+40"
    )


def test_files_that_are_not_there_or_no_text_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.csv", "No such file")
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    refused(tmp_path / "t.csv", "UTF-8")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_text("a,b,c\n" + text, encoding="utf-8", errors="replace", newline="")
    try:
        read = sheet.read(path)
    except BadInput:
        return
    assert np.isfinite(read.x).all()
    assert read.x.shape == (len(read.texts), 2)


def test_features_are_found_by_name(tmp_path: Path) -> None:
    path = table(tmp_path / "new.csv", "kind,width,more,height", "?,1,x,2", ",3,y,4")
    names, x = read_inputs(path, (2,), ("height", "width"))
    assert names == ["new.csv[0]", "new.csv[1]"]
    assert x.tolist() == [[2, 1], [4, 3]]
    with pytest.raises(BadInput, match=r"no column 'depth'.*it has kind, width"):
        read_inputs(path, (2,), ("height", "depth"))
    with pytest.raises(BadInput, match="was not trained on one"):
        read_inputs(path, (2,))
    with pytest.raises(BadInput, match="no row below"):
        read_inputs(table(tmp_path / "none.csv", "height,width"), (2,), ("height", "width"))


def test_a_table_is_trained_on_judged_and_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flowers(tmp_path / "flowers.csv")
    common = ("--alone", "--epochs", "5", "--threads", "1", "--out", "run")
    done = onward("run", "uff-tabular-cancer", "--data", "flowers.csv", *common)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["data"]["columns"] == ["height", "width"]
    assert "--data flowers.csv" in record["command"]
    assert "--dataset" not in record["command"]

    again = onward("eval", "run")
    assert "flowers, 10 test samples" in again.out
    assert onward("eval", "run", "--data", "flowers.csv").out == again.out
    flowers(tmp_path / "others.csv", 30, "height,width,what")
    others = onward("eval", "run", "--data", "others.csv")
    assert "others, 30 test samples" in others.out
    for rows in (1, 5):
        flowers(tmp_path / "few.csv", rows)
        few = onward("eval", "run", "--data", "few.csv")
        assert few.code == 0, few.err
        assert f"few, {rows} test samples" in few.out
    none = onward("eval", "run", "--data", flowers(tmp_path / "none.csv", 0))
    assert "no row below" in none.complaint
    table(tmp_path / "strange.csv", "height,width,kind", *["1,2,rose"] * 5, "1,2,oak")
    strange = onward("eval", "run", "--data", "strange.csv")
    assert strange.code == 2
    assert "oak" in strange.err

    table(tmp_path / "new.csv", "width,height", "4.5,0.5", "2.5,4.5")
    said = onward("predict", "run", "new.csv", "--format", "json")
    answers = json.loads(said.out)["predictions"]
    assert [each["label"] for each in answers] == ["rose", "tulip"]
    table(tmp_path / "less.csv", "width", "4.5")
    less = onward("predict", "run", "less.csv")
    assert less.code == 2
    assert "'height'" in less.err


def test_the_end_and_the_page_say_where_learning_has_not_helped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    rows = [f"{a:.3f},{b:.3f},{c:.3f}" for a, b, c in random.rand(60, 3)]
    table(tmp_path / "noise.csv", "a,b,length", *rows)
    seen = onward("data", "verify", "noise.csv")
    assert "a number to predict: column 'length'" in seen.out
    common = ("--alone", "--epochs", "1", "--threads", "1", "--out", "run")
    done = onward("run", "uff-regression-diabetes", "--data", "noise.csv", *common)
    told = "linear: hardly better than always answering the mean"
    assert told in done.out
    assert told in (tmp_path / "run" / "report.html").read_text()


def test_a_number_is_predicted_from_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{r / 50:.2f},{(r * 7 % 50) / 50:.2f},{r / 10:.1f}" for r in range(50)]
    table(tmp_path / "t.csv", "a,b,length", *lines)
    common = ("--alone", "--epochs", "2", "--threads", "1", "--out", "run")
    done = onward("run", "uff-regression-diabetes", "--data", "t.csv", *common)
    assert done.code == 0, done.err
    table(tmp_path / "words.csv", "a,b,length", *["1,2,3"] * 5, "1,2,x")
    words = onward("eval", "run", "--data", "words.csv")
    assert words.code == 2
    assert "'x'" in words.err
    said = onward("predict", "run", "t.csv")
    assert said.out.splitlines()[0] == "input,length"
    assert len(said.out.splitlines()) == 51
