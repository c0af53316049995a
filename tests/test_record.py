"""The record of a run: what docs/record.md says is what record.py checks, and what a run writes."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from command import essence

from onward import record
from onward.errors import BadInput

DOC = Path(__file__).parents[1] / "docs" / "record.md"


def tables() -> list[dict[str, tuple[str, str]]]:
    """The tables of the document: key -> (type, meaning); the second has no types."""
    found: list[dict[str, tuple[str, str]]] = []
    inside = False
    for line in DOC.read_text().splitlines():
        if line.startswith("|---"):
            found.append({})
            inside = True
        elif inside and line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for key in re.findall(r"`([a-z_]+)`", cells[0]):
                found[-1][key] = (cells[1] if len(cells) > 2 else "", cells[-1])
        else:
            inside = False
    return found


def test_the_document_and_the_code_name_the_same_keys() -> None:
    keys, curves = tables()
    assert list(keys) == list(record.FIELDS)
    assert list(curves) == list(record.INSIDE["curves"])
    for key, inner in record.INSIDE.items():
        told = re.findall(r"`([a-z_]+)`", keys[key][1])
        if key != "curves":
            inner = {**inner, **record.ADDED.get(key, {})}
            assert [name for name in told if name in inner] == list(inner), key
    named = set(re.findall(r"`([a-z_]+)`", DOC.read_text()))
    assert set(record.ADDED[""]) <= named
    assert {name for inner in record.OPTIONAL.values() for name in inner} <= named
    assert set(record.CELL) <= set(re.findall(r"`([a-z_]+)`", keys["cells"][1]))
    for status in record.STATUSES:
        assert f"`{status}`" in keys["status"][1]
    assert keys["schema"][0] == str(record.SCHEMA)


def test_the_document_and_the_code_name_the_same_types() -> None:
    names = {
        "text": (str,),
        "text or null": (str, type(None)),
        "integer": (int,),
        "object": (dict,),
        "object or null": (dict, type(None)),
        "list": (list,),
        "1": (int,),
    }
    assert {key: names[kind] for key, (kind, _) in tables()[0].items()} == record.FIELDS


def test_a_run_writes_what_the_document_says(finished: Path) -> None:
    for run in (finished, finished / "twin"):
        made = record.read(run)
        assert list(made) == [*record.FIELDS, *record.ADDED[""]]
        for key, inner in record.INSIDE.items():
            assert list(made[key]) == [*inner, *record.ADDED.get(key, ())], key
        curves = made["curves"]
        count = made["epochs"]
        lists = [curves[key] for key in ("epoch", "stage", "rate", "seconds", "readout_loss")]
        lists += [v for cell in curves["cells"] for k, v in cell.items() if k != "name"]
        lists += [v for readout in curves["readouts"].values() for v in readout.values()]
        assert {len(values) for values in lists} == {count}
        for name, counts in made["confusion"].items():
            assert sum(map(sum, counts)) == made["data"]["test"], name


def test_a_round_trip(finished: Path, tmp_path: Path) -> None:
    made = record.read(finished)
    record.write(tmp_path / "record.json", made)
    assert (tmp_path / "record.json").read_bytes() == (finished / "record.json").read_bytes()
    assert record.read(tmp_path) == record.read(tmp_path / "record.json") == made
    assert essence(tmp_path).keys() == essence(finished).keys()


def test_numbers_that_do_not_exist_are_null_and_odd_text_survives(
    finished: Path, tmp_path: Path
) -> None:
    made = record.read(finished)
    made["curves"]["readout_loss"] = [math.nan, math.inf, -math.inf]
    made["settings"] = {"shape": (1, 2), "path": Path("a/b")}
    made["claim"] = "größer \udcff \u2028 \x00"  # \udcff: a file name that is no text
    record.write(tmp_path / "record.json", made)
    content = (tmp_path / "record.json").read_text(encoding="utf-8")
    json.loads(content, parse_constant=lambda name: pytest.fail(name))
    again = record.read(tmp_path)
    assert again["curves"]["readout_loss"] == [None, None, None]
    assert again["settings"] == {"shape": [1, 2], "path": "a/b"}
    assert again["claim"] == made["claim"]


def test_what_is_not_a_record_is_not_written(finished: Path, tmp_path: Path) -> None:
    made = record.read(finished)
    bad: list[dict[str, Any]] = [{**made, "status": "done"}, {**made, "seed": 1.5}, {}]
    for one in bad:
        with pytest.raises(BadInput):
            record.write(tmp_path / "record.json", one)
    assert not list(tmp_path.iterdir())


def test_fields_may_be_added(finished: Path, tmp_path: Path) -> None:
    made = {**record.read(finished), "weather": "fair"}
    (tmp_path / "record.json").write_text(json.dumps(made))
    assert record.read(tmp_path)["weather"] == "fair"


def test_what_older_records_lack(finished: Path, tmp_path: Path) -> None:
    made = record.read(finished)
    del made["machine"]["fast"]
    (tmp_path / "record.json").write_text(json.dumps(made))
    assert record.read(tmp_path) == made
    made["machine"]["fast"] = 1
    (tmp_path / "record.json").write_text(json.dumps(made))
    with pytest.raises(BadInput, match=r"machine\.fast should be text"):
        record.read(tmp_path)


def test_without_times_forgets_only_times(finished: Path) -> None:
    made = record.read(finished)
    kept = record.without_times(made)
    assert made.keys() - kept.keys() == {"started", "ended", "command"}
    assert made["curves"].keys() - kept["curves"].keys() == {"seconds"}
    assert set(kept["cost"]) == {"data_passes", "flops", "bytes_between_stations"}
