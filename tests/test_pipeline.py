"""Cells in processes of their own: the same run, bit for bit, whatever happens to them."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command import environment, onward, program, same

from onward import BadInput, checkpoint, pipeline, recipes, record
from onward.pipeline import forecast, shares
from onward.pipeline.messages import Message, decode, encode
from onward.plan import Machine
from onward.row import Row

TINY = ("--dataset", "synthetic", "--batch", "40", "--threads", "1", "--seed", "3")
FF = ("ff-digits", *TINY, "--negatives", "wrong", "--width", "16", "--cells", "4", "--epochs", "4")
ROWS: dict[str, tuple[str, ...]] = {
    "forward-forward": FF,
    "autograd": (*FF, "--fast", "off"),
    "denoising": ("uff-dae-mnist", *TINY, "--widths", "16,14,12", "--epochs", "2", "--alone"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The row of FF in one process. Not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = onward("run", *FF, "--out", folder)
    assert done.code == 0, done.err
    return folder


@pytest.mark.parametrize(
    ("name", "link"), [("forward-forward", ()), ("autograd", ("--link", "gloo")), ("denoising", ())]
)
def test_processes_learn_what_one_process_learns(
    name: str, link: tuple[str, ...], tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    words = ROWS[name]
    assert onward("run", *words, "--out", one).code == 0
    stages = "4" if name == "forward-forward" else "2"
    done = program("pipeline", *words, "--stages", stages, *link, "--out", other)
    assert done.code == 0, done.err
    same(one, other)
    places = record.read(other)["places"]
    assert [place["stations"] for place in places][-1] == ["readout"]
    assert len(places) == int(stages) + 1
    assert all(place["bytes_in"] > 0 and place["busy_seconds"] > 0 for place in places)
    steps = [place["steps"] for place in places]
    assert min(each[0][0] for each in steps) == 0
    assert all(begin <= end for each in steps for begin, end in each)
    pages = [(folder / "report.html").read_text() for folder in (one, other)]
    bars = [page.count('<rect class="busy') for page in pages]
    assert bars == [0, sum(map(len, steps))]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in listed]


def begun(folder: Path, steps: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait for the checkpoint of so many steps, or a later one."""
    late = time.monotonic() + 200
    while not [p for p in checkpoint.positions(folder / "checkpoint") if int(p.name) >= steps]:
        assert process.poll() is None, "it ended before its time"
        assert time.monotonic() < late, "nothing was saved"
        time.sleep(0.01)


LONG = (*FF, "--epochs", "40", "--evaluate_every", "40", "--checkpoint_every", "5")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find processes")
def test_a_process_killed_again_and_again_changes_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert onward("run", *LONG, "--out", one).code == 0
    steps = int(checkpoint.positions(one / "checkpoint")[-1].name)
    command = ["pipeline", *LONG, "--stages", "2", "--restarts", "5", "--out", str(other)]
    running = subprocess.Popen(
        [sys.executable, "-m", "onward", *command],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    rng = random.Random(0)
    for kill in range(3):
        begun(other, steps // 40 * (5 + 10 * kill), running)
        os.kill(rng.choice(children(running.pid)), signal.SIGKILL)
    _, err = running.communicate(timeout=200)
    assert running.returncode == 0, err.decode()
    assert err.decode().count("a stage is lost") == 3
    same(one, other)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find processes")
def test_where_the_driver_is_killed_its_places_end_and_one_process_goes_on(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert onward("run", *LONG, "--out", one).code == 0
    command = ["pipeline", *LONG, "--stages", "2", "--out", str(other)]
    running = subprocess.Popen(
        [sys.executable, "-m", "onward", *command], env=environment(), stderr=subprocess.DEVNULL
    )
    begun(other, 5, running)
    places = children(running.pid)
    assert len(places) == 3
    running.kill()
    running.wait()
    late = time.monotonic() + 200
    while any(Path(f"/proc/{place}/cmdline").exists() and alive(place) for place in places):
        assert time.monotonic() < late, "a place outlived its driver"
        time.sleep(0.05)
    assert onward("resume", other).code == 0
    same(one, other)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--stages", "5"), "stages should be 1 to 4"),
        (("--stages", "0"), "stages should be 1 to 4"),
        (("--stages", "two"), "stages should be a whole number, and is 'two'"),
        (("--stages",), "stages wants a value"),
        (("--split", "2,1"), "should name 4 cells in all"),
        (("--split", "1,1,2", "--stages", "2"), "names 3 stages, and --stages is 2"),
        (("--split", "a,b"), "wants the number of cells of each stage"),
        (("--negatives", "hard"), "hard negatives are drawn from the readout's scores"),
        (("--phases", "separated"), "take phases mixed"),
        (("--schedule", "greedy"), "serves the schedule simultaneous"),
        (("--epoch", "3"), "has no setting 'epoch'"),
        (("--plan", "--bandwidth", "0"), "bandwidth should be a number above 0"),
        (("--plan", "--latency", "fast"), "latency should be a number above 0"),
        (("--plan=yes",), "plan takes no value"),
    ],
)
def test_what_can_not_be_cut_is_refused(
    words: tuple[str, ...], complaint: str, tmp_path: Path
) -> None:
    done = onward("pipeline", *FF, *words, "--out", tmp_path / "run")
    assert complaint in done.complaint
    assert not (tmp_path / "run").exists()


def test_cells_that_hear_later_ones_are_refused(tmp_path: Path) -> None:
    words = ("collab-mnist", *TINY, "--negatives", "wrong", "--gamma", "all", "--epochs", "1")
    done = onward("pipeline", *words, "--out", tmp_path / "run")
    assert "hints from all other cells" in done.complaint


TORCHRUN = (
    *("-m", "torch.distributed.run", "--nnodes", "1", "--max-restarts", "1"),
    *("--master-addr", "127.0.0.1", "--log-dir"),
)


def torchrun(folder: Path, processes: int, *words: object) -> "subprocess.Popen[str]":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*TORCHRUN, str(folder), "--master-port", str(port)]
    command += ["--nproc-per-node", str(processes), "-m", "onward", "pipeline", *map(str, words)]
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment(TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1", GLOO_SOCKET_IFNAME="lo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_torchrun_starts_places_as_the_command_does(whole: Path, tmp_path: Path) -> None:
    running = torchrun(tmp_path / "log", 4, *FF, "--out", tmp_path / "run")
    told, _ = running.communicate(timeout=150)
    assert running.returncode == 0, told
    same(whole, tmp_path / "run")


def test_too_few_places_are_named(tmp_path: Path) -> None:
    running = torchrun(tmp_path / "log", 3, *FF, "--out", tmp_path / "run")
    told, _ = running.communicate(timeout=150)
    assert running.returncode != 0
    assert "are 4 processes, and 3 were started" in told


def test_a_rank_without_the_rest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in ("0", "abc"):
        monkeypatch.setenv("RANK", rank)
        done = onward("pipeline", *FF, "--out", tmp_path / "run")
        assert f"RANK is '{rank}'" in done.complaint
    assert not (tmp_path / "run").exists()


def test_after_ctrl_c_one_process_goes_on_to_the_same_end(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert onward("run", *LONG, "--out", one).code == 0
    command = ["pipeline", *LONG, "--stages", "2", "--out", str(other)]
    running = subprocess.Popen(
        [sys.executable, "-m", "onward", *command], env=environment(), stderr=subprocess.DEVNULL
    )
    begun(other, 5, running)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) == 130
    assert record.read(other)["status"] == "interrupted"
    assert onward("resume", other).code == 0
    same(one, other)


def test_a_place_that_fails_says_why_and_is_not_started_again(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "import onward.blocks\n"
        "def fail(self, came):\n"
        "    raise MemoryError('no room here')\n"
        "if os.environ.get('RANK') == '2':\n"
        "    onward.blocks.Block.step = fail\n"
        "from onward.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    file = tmp_path / "failing.py"
    file.write_text(script)
    starter = (
        "import subprocess, sys\n"
        "real = subprocess.Popen\n"
        f"other = lambda command, **more: real([command[0], {str(file)!r}, *command[3:]], **more)\n"
        "subprocess.Popen = other\n"
        "from onward.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = program("pipeline", *FF, "--out", tmp_path / "run", python=("-c", starter))
    assert done.code == 2, done.err
    assert "place 2 failed: no room here" in done.err
    assert "all go on" not in done.err


def test_places_that_differ_say_so(tmp_path: Path) -> None:
    """A place started by hand with another setting, as on another host."""
    script = (
        "import os, subprocess, sys\n"
        "real = subprocess.Popen\n"
        "def other(command, **more):\n"
        "    return real([*command, '--lr', '0.5'], **more)\n"
        "subprocess.Popen = other\n"
        "from onward.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = program("pipeline", *FF, "--out", tmp_path / "run", python=("-c", script))
    lines = [line for line in done.err.splitlines() if line.startswith("onward: ")]
    assert done.code == 2
    assert any("refused: the driver's run and this place's differ: lr" in line for line in lines)


def test_messages_come_as_they_went() -> None:
    tensors = {
        "a": torch.randn(3, 5, dtype=torch.float64),
        "b": torch.arange(7),
        "none": torch.zeros(0, 4),
        "number": torch.tensor(2.5),
        "half": torch.randn(2, 3).bfloat16(),
    }
    came = decode(encode(Message("batch", tensors, {"rate": 0.1, "far": float("inf")})))
    assert (came.kind, came.info) == ("batch", {"rate": 0.1, "far": float("inf")})
    assert came.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert came.tensors[name].equal(tensor)
        assert came.tensors[name].data_ptr() % 64 == 0


@pytest.mark.parametrize("damage", ["cut", "junk", "length", "shape", "empty"])
def test_messages_that_are_none_are_refused(damage: str) -> None:
    raw = encode(Message("batch", {"a": torch.ones(40)}))
    if damage == "cut":
        raw = raw[:-100]
    elif damage == "junk":
        raw = torch.randint(256, (300,), dtype=torch.uint8, generator=torch.manual_seed(0))
    elif damage == "length":
        raw[:8] = 255
    elif damage == "shape":
        text = bytes(raw.tolist()).replace(b"[40]", b"[-4]")
        raw = torch.tensor(list(text), dtype=torch.uint8)
    else:
        raw = raw[:0]
    with pytest.raises(BadInput, match="no message of Onward"):
        decode(raw)


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 6])
def test_blocks_are_balanced(stages: int) -> None:
    rng = random.Random(stages)
    for _ in range(20):
        costs = [rng.choice([1.0, 2.0, 5.0, rng.random()]) for _ in range(6)]
        sizes = shares.balanced(costs, stages)
        assert len(sizes) == stages
        assert sum(sizes) == 6
        assert min(sizes) >= 1
        every = (
            max(sum(costs[a:b]) for a, b in itertools.pairwise((0, *cuts, 6)))
            for cuts in itertools.combinations(range(1, 6), stages - 1)
        )
        ends = [0, *itertools.accumulate(sizes)]
        mine = max(sum(costs[a:b]) for a, b in itertools.pairwise(ends))
        assert mine == pytest.approx(min(every))


def test_a_plan_trains_nothing_and_says_what_it_would_take(tmp_path: Path) -> None:
    done = onward("pipeline", *FF, "--plan", "--split", "3,1", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    driver, first, second, reading, whole = done.out.splitlines()
    assert "driver: sends" in driver
    assert first.startswith("stage 1: cell-0 to cell-2  ")
    assert second.startswith("stage 2: cell-3  ")
    assert reading.startswith("readout  ")
    assert "in one process" in whole
    assert not (tmp_path / "run").exists()


def test_a_plan_measures_as_many_rows_at_once_as_will_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cores that all work are slower: the first, quiet costs are a row's, the rest two rows'."""
    met, lock = threading.Barrier(2, timeout=60), threading.Lock()
    calls: list[Row] = []

    def measured(row: Row, *_: object) -> tuple[list[shares.Cost], None, int]:
        with lock:
            calls.append(row)
            quiet = len(calls) == 1
        if not quiet:
            met.wait()  # raises where they come one after the other
        return [shares.Cost(1.0 if quiet else 1.5)] * len(row.stations), None, 8

    monkeypatch.setattr(shares, "measured", measured)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    recipe = recipes.find("ff-digits")
    own = replace(recipe.defaults, cells=2)
    found = pipeline.plan(recipe, own, stages=2, seed=0, machine=Machine("cpu", threads=1))
    assert len({id(row) for row in calls}) == 3, "a row for each"
    assert found.slowed == 1.5
    assert found.shared == pytest.approx(1.5 * found.seconds)
    assert "1.50 times as slow" in forecast.told(found)[-1]


@pytest.mark.parametrize("seed", range(20))
def test_a_forecast_is_what_queues_do(seed: int) -> None:
    """Against a simulation of places, links and their rooms, event after event."""
    rng = random.Random(seed)
    seconds = [rng.choice([0.5, 1.0, 2.0, 3.0]) for _ in range(rng.randint(1, 5))]
    carry = [rng.choice([0.0, 0.25, 1.5, 4.0]) for _ in seconds]
    latency, room, batches = rng.choice([0.0, 0.75]), rng.randint(1, 4), rng.randint(1, 30)
    wire = forecast.Wire(1.0, latency)
    found = forecast.simulated(seconds, carry, batches, wire, room)  # type: ignore[arg-type]
    assert found == pytest.approx(events(seconds, carry, batches, latency, room))


def events(
    seconds: list[float], carry: list[float], batches: int, latency: float, room: int
) -> float:
    """When the last batch ends, by stepping a clock from one moment to the next."""
    places = len(seconds)
    held = [0] * places  # batches sent to a place, and not begun there
    outbox = [0] * places  # to be carried to it
    wire_until: list[float | None] = [None] * places
    coming: list[list[float]] = [[] for _ in range(places)]
    inbox = [0] * places
    busy: list[float | None] = [None] * places
    stuck = [False] * places
    waiting, done, now = batches, 0, 0.0
    while done < batches:
        moved = True
        while moved:
            moved = False
            for i in range(places):
                if (until := wire_until[i]) is not None and until <= now:
                    coming[i].append(now + latency)
                    wire_until[i], moved = None, True
                while coming[i] and coming[i][0] <= now:
                    coming[i].pop(0)
                    inbox[i], moved = inbox[i] + 1, True
                if (until := busy[i]) is not None and until <= now:
                    busy[i], stuck[i], moved = None, True, True
                if stuck[i] and i + 1 == places:
                    stuck[i], done, moved = False, done + 1, True
                elif stuck[i] and held[i + 1] < room:
                    held[i + 1], outbox[i + 1] = held[i + 1] + 1, outbox[i + 1] + 1
                    stuck[i], moved = False, True
                if i == 0 and waiting and held[0] < room:
                    held[0], outbox[0], waiting, moved = (
                        held[0] + 1,
                        outbox[0] + 1,
                        waiting - 1,
                        True,
                    )
                if outbox[i] and wire_until[i] is None:
                    outbox[i], wire_until[i], moved = outbox[i] - 1, now + carry[i], True
                if inbox[i] and busy[i] is None and not stuck[i]:
                    inbox[i], held[i] = inbox[i] - 1, held[i] - 1
                    busy[i], moved = now + seconds[i], True
        moments = [t for t in (*wire_until, *busy) if t is not None]
        moments += [t for each in coming for t in each]
        if done < batches:
            now = min(t for t in moments if t > now)
    return now
