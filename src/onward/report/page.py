"""A run's record as one HTML page that needs nothing else: no network, no script, no other file.

The page's own policy forbids the browser to load anything or to run a script, so even a record
that was tampered with can only show text. Sections without numbers are left out or say why.
"""

from collections.abc import Sequence
from pathlib import Path

from ..files import write_atomically
from ..record import read
from . import added, characters, differences, federation, places, restored, sections
from . import quantities as q
from .records import Record, companions, mapping, name_of
from .style import STYLE
from .tables import escape

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_BANNERS = {
    "running": "This run is not over. What stands here is its last checkpoint.",
    "interrupted": "This run was interrupted. What stands here is its last checkpoint; "
    "onward resume goes on from there.",
    "diverged": "This run diverged: a loss or a weight is no longer a finite number, and training "
    "stopped there.",
}


def render(run: Path, beside: Sequence[Path] = ()) -> str:
    """The page of the run folder `run` as HTML, with its controls, its twin and the runs `beside`.

    Reads `run`/record.json, those of the run folders inside it, and the weights of the last
    checkpoint where they exist. One that is missing or damaged costs the pictures, nothing else.

    Raises `BadInput` if the record of `run` or of one of `beside` is missing, damaged or newer.
    """
    record = read(run / "record.json")
    runs = _together(run, record, beside)
    parts = [
        ("result", "Result", sections.result(runs)),
        ("differences", "What differs", differences.section(runs)),
        ("text", "Text", characters.section(record)),
        ("curves", "Curves", sections.curves(runs)),
        ("added", "What each cell adds", added.section(record)),
        ("confusion", "Confusion", sections.confusion(record)),
        ("restored", "What the cells restore", restored.section(run)),
        ("fields", "Receptive fields", sections.fields(run, record)),
        ("cost", "Cost", sections.cost(runs)),
        ("places", "Places", places.section(record)),
        ("federation", "Federation", federation.section(record)),
        ("settings", "Settings", sections.settings(record)),
        ("machine", "Machine and versions", sections.machine(record)),
        ("command", "To repeat this run", sections.command(record)),
    ]
    shown = [part for part in parts if part[2]]
    data = q.text(mapping(record, "data").get("name"))
    title = f"{name_of(record)} on {data}, seed {record['seed']}"
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in shown)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{name}</h2>{content}</section>\n'
        for key, name, content in shown
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)} – onward</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>{_head(record)}"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{body}</main>\n<footer>{_foot(record)}</footer>\n</body>\n</html>\n"
    )


def write(run: Path, beside: Sequence[Path] = ()) -> Path:
    """Write the page of `run` to `run`/report.html, whole or not at all, and return that path.

    Raises `BadInput` as `render` does, and if the folder cannot be written.
    """
    path = run / "report.html"
    write_atomically(path, render(run, beside).encode())
    return path


def _together(run: Path, record: Record, beside: Sequence[Path]) -> sections.Runs:
    """This run first, its controls and twin, the others; each under a name that tells it apart."""
    runs = [(f"{name_of(record)} (this run)", record)]
    seen = {run.resolve()}
    for inside in companions(run):
        told = "backprop twin" if inside.name == "twin" else f"control: {inside.name}"
        runs.append((told, read(inside / "record.json")))
        seen.add(inside.resolve())
    for other in beside:
        if other.resolve() not in seen:
            seen.add(other.resolve())
            read_other = read(other / "record.json")
            told = f"{name_of(read_other)}, {other.resolve().name}"
            if told in dict(runs):  # seeds of a sweep lie in folders of the same names
                told = f"{name_of(read_other)}, {'/'.join(other.resolve().parts[-2:])}"
            runs.append((told, read_other))
    return runs


def _head(record: Record) -> str:
    data, status = mapping(record, "data"), str(record["status"])
    bad = "" if status == "finished" else " bad"
    chips = "".join(
        f"<li>{escape(text)}</li>"
        for text in (
            f"data {q.text(data.get('name'))}",
            f"seed {record['seed']}",
            f"{record['algorithm']}, {record['schedule']}",
            f"{q.count(record['epochs'])} epochs",
        )
    )
    parts = [
        '<p class="over">Record of a run, <b>onward</b></p>',
        f"<h1>{escape(name_of(record))}</h1>",
        f'<p class="claim">{_claim(record)}</p>' if record["claim"] else "",
        f'<p class="soft">Source: {escape(record["source"])}</p>' if record["source"] else "",
        f'<p class="soft">Data: {escape(data["note"])}</p>' if data.get("note") else "",
        f'<ul class="chips"><li class="status{bad}">{escape(status)}</li>{chips}</ul>',
    ]
    if status != "finished":
        told = _BANNERS.get(status, f"Status: {status}.")
        parts.append(f'<div class="banner" role="status"><p>{escape(told)}</p></div>')
    return "".join(parts)


def _foot(record: Record) -> str:
    version = mapping(record, "versions").get("onward")
    return f"Made by onward {escape(q.text(version))} from record.json in the same folder."


def _claim(record: Record) -> str:
    # A claim is about the recipe's own settings and several seeds, not about any one run of it.
    return f"The recipe's claim, over its own settings and seeds: {escape(record['claim'])}"
