"""What a run has come to, in a few lines on a terminal."""

from pathlib import Path
from typing import Any


def show_run(folder: Path) -> int:
    """What a run was, what came out and what it cost."""
    from ..record import read
    from ..report import spent

    record = read(folder)
    shown = _errors(record)
    print(f"{folder}: {record['recipe'] or 'onward.fit()'} on {record['data']['name']}")
    print(f"status   {record['status']}, {record['epochs']} epochs")
    print(f"command  {record['command']}")
    if shown:
        print(f"error    {shown}{kind(record)}, of the test set")
    print(f"cost     {spent.line(record)}")
    return 0


def say_result(folder: Path) -> None:
    """The last lines of a run: test errors, its controls' beside them, and where to look."""
    from ..record import read
    from ..report import characters, spent
    from ..report.guessing import verdict
    from ..report.records import companions

    print()
    beside = {place: read(place) for place in companions(folder)}
    for place, record in {folder: read(folder), **beside}.items():
        shown = _errors(record)
        seconds = record["cost"]["train_seconds"]
        part = f", {record['part']}" if "part" in record else ""
        name = f"{record['recipe']}{part} on {record['data']['name']}"
        name += "" if place == folder else f", {place.name}"
        said = shown + kind(record)
        told = f"test error  {said:<34}" if shown else ""
        print(f"{name:<36} {told} {seconds:.1f} s of training")
    record = read(folder)
    if record.get("part", "readout") != "readout":
        print(f"for the next site: {folder / 'latents.safetensors'}")
    if told := characters.line(record):
        print(told)
    print(f"cost: {spent.line(record)}")
    print(f"report: {folder / 'report.html'}")
    controls = {place.name: its for place, its in beside.items() if place.name != "twin"}
    for line in verdict(record, controls):
        print(line)


def _errors(record: dict[str, Any]) -> str:
    """Test errors of the readouts, those of single cells left out."""
    errors = (record["test_error"] or {}).items()
    return ", ".join(f"{k} {percent(v)} %" for k, v in errors if not isinstance(v, list))


def percent(error: float | None) -> str:
    """An error as a fraction, in percent."""
    return "none" if error is None else f"{100 * error:.2f}"


def kind(record: dict[str, Any]) -> str:
    """What the errors of a run are, where it is not the share of wrong answers."""
    return f" ({record['measure']})" if "measure" in record else ""
