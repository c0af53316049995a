"""Runs commands in processes of their own and kills them (SIGKILL) at chosen moments.

``python killer.py PLAN`` reads the plan, a JSON list of [words, folder, moment], and forks a child
for each, so that what they import is loaded once. A child runs until the moment-th event that
touches its folder or is a training step, and is killed right there, before the event happens. A
command that begins with "go on" is ``resume`` where there is something to resume, and else ``run``:
a kill at the very start leaves nothing. Prints, as JSON, a list of [exit code or -9, events seen];
only a child that came to its end tells its events.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from command import TINY

from onward.cli import main
from onward.progress import Lines

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "onward.step", "onward.fsync")


def child(words: list[str], folder: str, moment: int | None) -> tuple[int, list[str]]:
    """One command in a forked process: (exit code or minus the signal, its events)."""
    with tempfile.TemporaryFile("w+") as told:
        pid = os.fork()
        if pid == 0:
            # Nothing of this process may come back to the parent's code, or its end be tidy.
            os._exit(_within(words, folder, moment, told))
        _, status = os.waitpid(pid, 0)
        told.seek(0)
        events = json.loads(told.read() or "[]")
    return os.waitstatus_to_exitcode(status), events


def _within(words: list[str], folder: str, moment: int | None, told: Any) -> int:
    seen: list[str] = []

    def count(event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        about = str(args[0]) if args else ""
        if not event.startswith("onward.") and not about.startswith(folder):
            return
        seen.append(f"{event} {about.removeprefix(folder)}")
        if len(seen) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sound_step, sound_fsync = Lines.step, os.fsync

    def step(lines: Lines, epoch: int, samples: int) -> None:
        sys.audit("onward.step")
        sound_step(lines, epoch, samples)

    def fsync(handle: int) -> None:
        sys.audit("onward.fsync")
        sound_fsync(handle)

    setattr(Lines, "step", step)  # noqa: B010
    setattr(os, "fsync", fsync)  # noqa: B010
    if words[0] == "go on":
        begun = Path(folder, "record.json").exists()
        words = ["resume", folder] if begun else ["run", *words[1:]]
    sys.addaudithook(count)
    code = main(words)
    json.dump(seen, told)
    told.flush()
    return code


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # Everything that a command loads is loaded before the first fork.
        assert main(["run", "ff-digits", *TINY, "--out", folder + "/run"]) == 0
    plan = json.loads(Path(sys.argv[1]).read_text())
    json.dump([child(*line) for line in plan], sys.stdout)
