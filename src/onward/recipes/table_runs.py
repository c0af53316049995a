"""The runs of a table: which are done, which wait, and training those in processes of their own.

Each run is ``onward run RECIPE``, or ``onward federate``, in a folder OUT/ROW/seed-N, as anyone
could start it; its finished record is copied to RESULTS/ROW/seed-N.json. Nothing else remembers
anything: what is done is what lies there, so the same command, given again after any end, goes on
where the last one stopped.
"""

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from ..errors import BadInput
from ..files import write_atomically
from ..plan import Precision
from ..record import Record, read
from . import find as find_recipe
from .tables import Row, departures, precision_of

State = Literal["done", "trained", "interrupted", "new", "refused"]

STATES: dict[State, str] = {
    "done": "done",
    "trained": "trained, to be copied",
    "interrupted": "to be resumed",
    "new": "to be run",
    "refused": "refused",
}

GRACE = 60.0
"""Seconds that a run has to write its checkpoint after Ctrl-C; killed later, it loses one epoch."""


@dataclass(frozen=True)
class Job:
    """One row with one seed: what is wanted, where it goes, and how far it is.

    ``why`` says what stands in the way of one that is refused.
    """

    row: Row
    seed: int
    settings: Any
    folder: Path
    result: Path
    state: State = "new"
    why: str = ""

    @property
    def name(self) -> str:
        """How the job is told of."""
        return f"{self.row.name}, seed {self.seed}"


_Going = tuple[Job, "subprocess.Popen[bytes]"]


@dataclass(frozen=True)
class How:
    """How runs are made: where, in which precision, with how many threads, from which data."""

    threads: int = 1
    device: str = "auto"
    data: str | None = None
    precision: Precision = "fp32"


def survey(
    rows: Sequence[Row],
    seeds: Sequence[int],
    out: Path,
    results: Path,
    more: Mapping[str, Any] | None = None,
    precision: Precision = "fp32",
) -> list[Job]:
    """Every row with every seed, and its state; all rows of a seed before the next seed.

    ``more`` are settings that win over the rows' own, where their recipes have them. A row whose
    records are in another precision gets no new ones in this.
    """
    jobs = []
    for seed in seeds:
        for row in rows:
            folder = out / row.name / f"seed-{seed}"
            result = results / row.name / f"seed-{seed}.json"
            job = Job(row, seed, row.settings(more), folder, result)
            jobs.append(_looked_at(job, precision))
    return jobs


def _looked_at(job: Job, precision: Precision) -> Job:
    """A job with its state."""
    try:
        if job.result.exists():
            return _judged(job, read(job.result), job.result, "done")
        asked: str = precision
        if (job.folder / "record.json").exists():
            record = read(job.folder)
            job, asked = _judged(job, record, job.folder, "trained"), precision_of(record)
        for other in sorted(job.result.parent.glob("seed-*.json")):
            if (theirs := precision_of(read(other))) != asked:
                raise BadInput(
                    f"{other} is in {theirs}, this would be in {asked}, and seeds of a row are "
                    f"alike: take --precision {theirs}"
                )
    except BadInput as error:
        return dataclasses.replace(job, state="refused", why=str(error))
    return job


def _judged(job: Job, record: Record, place: Path, finished: State) -> Job:
    state, why = finished, ""
    differ = departures(record, job.settings)
    own = record.get("federation", {})
    differ |= {k: (own.get(k), v) for k, v in job.row.terms.items() if own.get(k) != v}
    if (record["recipe"], record["seed"]) != (job.row.recipe, job.seed):
        state, why = "refused", f"{place} holds {record['recipe']}, seed {record['seed']}"
    elif differ:
        told = ", ".join(f"{k} {was}, wanted {now}" for k, (was, now) in differ.items())
        state, why = "refused", f"{place} holds a run with other settings: {told}"
    elif record["status"] == "diverged" and not job.row.may_diverge:
        state, why = "refused", f"{place} holds a run that diverged, and it would again"
    elif not job.row.over(record):
        state = "interrupted"
    return dataclasses.replace(job, state=state, why=why)


def words(job: Job, how: How) -> list[str]:
    """What a job's process is told, after ``onward``."""
    data = ["--data", how.data] if how.data is not None else []
    if job.state == "interrupted":
        return ["resume", str(job.folder), *data]
    recipe = find_recipe(job.row.recipe)
    told = ["federate" if job.row.terms else "run", job.row.recipe]
    told += [word for name, value in job.row.terms.items() for word in (f"--{name}", str(value))]
    told += ["--alone"] if recipe.controls else []
    for setting in dataclasses.fields(job.settings):
        value = getattr(job.settings, setting.name)
        if value != getattr(recipe.defaults, setting.name):
            told += [f"--{setting.name}", "null" if value is None else str(value)]
    told += ["--seed", str(job.seed), "--threads", str(how.threads)]
    told += ["--device", how.device] if how.device != "auto" else []
    told += ["--precision", how.precision] if how.precision != "fp32" else []
    return [*told, *data, "--out", str(job.folder)]


def plan(jobs: Sequence[Job], how: How) -> str:
    """What would be done, a line a job."""
    lines = []
    for job in jobs:
        told = job.why
        if job.state in ("new", "interrupted"):
            told = shlex.join(["onward", *words(job, how)])
        lines.append(f"{STATES[job.state]:<22} {job.name:<36} {told}".rstrip())
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    summary = ", ".join(f"{n} {STATES[state]}" for state, n in counts.items() if n)
    return "\n".join([*lines, f"{len(jobs)} run{'' if len(jobs) == 1 else 's'}: {summary}"])


def run(
    jobs: Sequence[Job],
    how: How,
    at_once: int = 1,
    tell: Callable[[str], None] = print,
) -> list[tuple[Job, str]]:
    """Make the runs that wait, ``at_once`` at a time, and copy records. Returns what failed.

    A run that fails stops no other. Ctrl-C, and a request to terminate, go to every run under way,
    which leaves a checkpoint; KeyboardInterrupt is raised when all have stopped.
    """
    failed = [(job, job.why) for job in jobs if job.state == "refused"]
    for job, why in failed:
        tell(f"failed   {job.name}: {why}")
    for job in jobs:
        if job.state == "trained":
            tell(f"copied   {job.name}: {_keep(job)}")
    waiting = [job for job in jobs if job.state in ("new", "interrupted")]
    count, begun = len(waiting), 0
    going: list[_Going] = []
    with _terminated_as_interrupted():
        try:
            while waiting or going:
                while waiting and len(going) < at_once:
                    job, begun = waiting.pop(0), begun + 1
                    verb = "resumed " if job.state == "interrupted" else "started "
                    tell(f"{verb} {job.name} ({begun} of {count})")
                    going.append((job, _start(job, how)))
                time.sleep(0.05)
                over = [one for one in going if one[1].poll() is not None]
                going = [one for one in going if one not in over]
                failed += [(job, why) for job, p in over if (why := _ended(job, p, tell))]
        except BaseException:  # whatever it was, no run goes on without its table
            _stop(going)
            for job, process in going:
                if process.returncode == 0:
                    _ended(job, process, tell)
                else:
                    tell(f"stopped  {job.name}")
            raise
    return failed


def _start(job: Job, how: How) -> "subprocess.Popen[bytes]":
    """The process of a job; what it says goes to a file beside its folder."""
    try:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        with _log(job).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "onward", *words(job, how)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Out of the terminal's group: Ctrl-C reaches it once, from here.
                process_group=0,
            )
    except OSError as error:
        raise BadInput(
            f"{job.folder.parent} can't be written to ({error.strerror}): take another --out"
        ) from error


def _ended(job: Job, process: "subprocess.Popen[bytes]", tell: Callable[[str], None]) -> str:
    """Copy what a process that is over has made, and say so. Returns why it failed, or nothing."""
    why = f"{_last_words(job)} (see {_log(job)})" if process.returncode else ""
    if not why or (job.row.may_diverge and _diverged(job)):
        try:
            tell(f"{'diverged' if why else 'finished'} {job.name}: {_keep(job)}")
            return ""
        except BadInput as error:
            why = str(error)
    tell(f"failed   {job.name}: {why}")
    return why


def _diverged(job: Job) -> bool:
    try:
        return bool(read(job.folder)["status"] == "diverged")
    except BadInput:
        return False


def _keep(job: Job) -> str:
    """Copy the record of a run that is over to the results. Returns its errors in words."""
    record = read(job.folder)
    checked = _judged(job, record, job.folder, "trained")
    if checked.state != "trained":
        raise BadInput(checked.why or f"{job.folder} holds a run that is not finished")
    try:
        job.result.parent.mkdir(parents=True, exist_ok=True)
        content = (job.folder / "record.json").read_bytes()
    except OSError as error:
        raise BadInput(f"{job.result} can't be written: {error.strerror}") from error
    write_atomically(job.result, content)
    errors = record["validation_error"] or {}  # the test's are for the page, not to choose by
    shown = [f"{k} {100 * v:.2f} %" for k, v in errors.items() if isinstance(v, float)]
    return (
        f"validation error {', '.join(shown)}; {record['cost']['train_seconds']:.0f} s of training"
    )


def _log(job: Job) -> Path:
    return job.folder.with_name(job.folder.name + ".log")


def _last_words(job: Job) -> str:
    lines = _log(job).read_bytes()[-4000:].decode(errors="replace").splitlines()
    said = [line.removeprefix("onward: ") for line in lines if line.startswith("onward: ")]
    return said[-1] if said else next((line for line in reversed(lines) if line.strip()), "ended")


def _stop(going: Sequence[_Going]) -> None:
    """Ask every process under way to stop, and wait for it; a second Ctrl-C kills them."""
    for _, process in going:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    ends = time.monotonic() + GRACE
    try:
        for _, process in going:
            process.wait(max(0.0, ends - time.monotonic()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        for _, process in going:
            process.kill()
            process.wait()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, and the end of the terminal, as Ctrl-C: no run is left without its table."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def seeds(text: str) -> list[int]:
    """Seeds as a user writes them: a range or a list.

    >>> seeds("0-2"), seeds("0,1,5"), seeds("7")
    ([0, 1, 2], [0, 1, 5], [7])
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or not (last.isdecimal() or not dash):
            raise BadInput(f"--seeds wants a range like 0-2 or a list like 0,1,2, and is {text!r}")
        end = int(last or first)
        if end < int(first) or end - int(first) >= 1000:
            raise BadInput(f"--seeds wants a range that goes up, of 1000 at most, and is {text!r}")
        found += range(int(first), end + 1)
    return list(dict.fromkeys(found))


def chosen(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """The rows whose names hold one of the texts in ``only``; all of them without any.

    A text behind = is a whole name.
    """

    def wanted(row: Row, text: str) -> bool:
        return row.name == text[1:] if text.startswith("=") else text in row.name

    for text in only:
        if not any(wanted(row, text) for row in rows):
            told = "has that name" if text.startswith("=") else "has that in its name"
            raise BadInput(
                f"--only {text}: no row {told} ({len(rows)} rows, of "
                f"{', '.join(sorted({row.recipe for row in rows}))}; all with --dry)"
            )
    return [row for row in rows if not only or any(wanted(row, text) for text in only)]


def at_once(text: str) -> int:
    """How many runs at a time, from a user's word."""
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        cores = os.cpu_count() or 1
        raise BadInput(f"--jobs wants 1 to 1024 runs at a time ({cores} cores), and is {text!r}")
    return int(text)
