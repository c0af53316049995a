"""A federation as it is deployed: Flower's server and clients in processes, over TLS, with keys."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import onward, weights

import onward as library
from onward import record

pytest.importorskip("flwr", reason="the extra `federated` has it")

ROW = ("ff-digits", "--width", "32", "--epochs", "2", "--rounds", "2", "--clients", "2")
# One cell after another: a client has to remember the frozen ones, between processes of its own.
# The readout learns by sums, of which a client remembers nothing.
PROGRESSIVE = (
    *("uff-dae-mnist", "--dataset", "digits", "--widths", "16,12", "--regime", "separate"),
    *("--head", "exact", "--alone", "--epochs", "1", "--clients", "2"),
)
AT = ("--threads", "1", "--seed", "3")


# What Flower's processes take for the time of day: what they sign requests with.
CLOCK = """
import datetime
from flwr.supercore import date
right = date.now
date.now = lambda: right() + datetime.timedelta(seconds={seconds})
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Hosts:
    """Processes of one deployment, each in a session of its own, so that all of it can be ended."""

    def __init__(self, folder: Path):
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        bins = str(Path(sys.executable).parent)  # where Flower's commands are installed
        self.environment = {**os.environ, "PATH": f"{bins}:{os.environ['PATH']}"}

    def start(self, *words: object, log: str, clock: int = 0) -> subprocess.Popen[bytes]:
        """``clock``: seconds by which it is wrong for this process."""
        environment = self.environment
        if clock:
            shifted = self.folder / f"clock{clock}"
            shifted.mkdir()
            (shifted / "sitecustomize.py").write_text(CLOCK.format(seconds=clock))
            environment = {**environment, "PYTHONPATH": str(shifted)}
        with open(self.folder / log, "wb") as to:
            process = subprocess.Popen(
                [str(word) for word in words],
                stdout=to,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """As kill -9 does, with all that it has started."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def told(self, log: str) -> str:
        return (self.folder / log).read_text(errors="replace")

    def until(self, log: str, text: str, seconds: float = 120) -> None:
        late = time.monotonic() + seconds
        while text not in self.told(log):
            assert time.monotonic() < late, self.told(log)
            time.sleep(0.2)

    def end(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.end()


def parts(folder: Path) -> Path:
    """The digits' training samples, shared out to two files."""
    folder.mkdir()
    train = library.load("digits").train
    for client in range(2):
        x, y = train.x[client::2].numpy(), train.y[client::2].numpy()
        np.savez(folder / f"{client}.npz", x_train=x, y_train=y)
    return folder


def test_hosts_learn_what_one_process_learns(hosts: Hosts, tmp_path: Path) -> None:
    files, there = parts(tmp_path / "parts"), tmp_path / "hosts"
    address = f"127.0.0.1:{free_port()}"
    words = (*PROGRESSIVE, *AT, "--wait", "150", "--address", address)
    done = onward("federate", "init", there, *words)
    assert done.code == 0, done.err
    hosts.start(there / "server" / "start.sh", log="server.log")
    hosts.until("server.log", "clients may start")

    stranger = tmp_path / "stranger"  # whose key nobody knows
    shutil.copytree(there / "client-0", stranger)
    for own in (stranger, there / "client-0", there / "client-1"):
        script = (own / "start.sh").read_text()  # ports of one host's clients have to differ
        (own / "start.sh").write_text(re.sub(r"--port \d+", f"--port {free_port()}", script))
    other = onward("federate", "init", tmp_path / "other", *words)
    assert other.code == 0
    shutil.copy(tmp_path / "other" / "client-0" / "client.key", stranger / "client.key")
    unknown = hosts.start(stranger / "start.sh", files / "0.npz", log="stranger.log")
    assert unknown.wait(timeout=60) == 2
    assert "Failed to activate SuperNode" in hosts.told("stranger.log")
    assert "public half in its clients/?" in hosts.told("stranger.log")
    shutil.copy(there / "client-0" / "client.key", stranger / "client.key")
    shutil.copy(tmp_path / "other" / "client-0" / "ca.crt", stranger / "ca.crt")
    shutil.copytree(there / "client-0", tmp_path / "skewed")
    early = hosts.start(
        tmp_path / "skewed" / "start.sh", files / "0.npz", log="early.log", clock=3600
    )
    assert early.wait(timeout=60) == 2
    assert "client 0 has ended" in hosts.told("early.log")
    assert "host's clock right" in hosts.told("early.log")
    unsure = hosts.start(stranger / "start.sh", files / "0.npz", log="unsure.log")

    for client in range(2):
        start = there / f"client-{client}" / "start.sh"
        hosts.start(start, files / f"{client}.npz", log=f"client-{client}.log")
    run = hosts.start(there / "server" / "run.sh", log="run.log")
    assert run.wait(timeout=300) == 0, hosts.told("run.log")
    assert "onward: finished" in hosts.told("run.log"), hosts.told("run.log")
    assert unsure.poll() != 0  # gone, or trying: with a foreign authority's server it never was in
    assert "[RUN" not in hosts.told("unsure.log")

    near = tmp_path / "near"
    again = (*PROGRESSIVE, *AT, "--partition", "files", "--files", files, "--out", near)
    done = onward("federate", *again)
    assert done.code == 0, done.err
    far = there / "server" / "run"
    rounds = record.read(far)["rounds"]
    assert [(each["clients"], each["refused"]) for each in rounds] == [([0, 1], {})] * 3
    down = [each["bytes_down"][0] for each in record.read(far)["rounds"]]
    assert down == [each["bytes_down"][0] for each in record.read(near)["rounds"]]
    a, b = weights(near), weights(far)
    assert a.keys() == b.keys()
    assert all(a[k].equal(b[k]) for k in a)
    assert record.read(near)["test_error"] == record.read(far)["test_error"]


@pytest.mark.skipif(
    "ONWARD_SLOW" not in os.environ, reason="five minutes, most of it waiting: set ONWARD_SLOW=1"
)
def test_a_client_and_the_server_are_killed_and_come_back(hosts: Hosts, tmp_path: Path) -> None:
    files, there = parts(tmp_path / "parts"), tmp_path / "hosts"
    words = (*("ff-digits", "--width", "16", "--epochs", "10", "--clients", "2"), *AT)
    address = ("--wait", "45", "--address", f"127.0.0.1:{free_port()}")
    done = onward("federate", "init", there, *words, *address)
    assert done.code == 0, done.err
    clients, far = [there / f"client-{number}" for number in range(2)], there / "server" / "run"
    for own in clients:
        script = (own / "start.sh").read_text()
        (own / "start.sh").write_text(re.sub(r"--port \d+", f"--port {free_port()}", script))

    def client(number: int) -> "subprocess.Popen[bytes]":
        words = (clients[number] / "start.sh", files / f"{number}.npz")
        return hosts.start(*words, log=f"client-{number}.log")

    def until(enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        late = time.monotonic() + 250
        while True:
            rounds = record.read(far)["rounds"] if (far / "record.json").exists() else []
            if enough(rounds):
                return rounds
            assert run.poll() is None, hosts.told("run.log")
            assert time.monotonic() < late, (rounds, hosts.told("run.log"))
            time.sleep(0.2)

    server = hosts.start(there / "server" / "start.sh", log="server.log")
    hosts.until("server.log", "clients may start")
    client(0)
    mortal = client(1)
    run = hosts.start(there / "server" / "run.sh", log="run.log")
    until(lambda rounds: len(rounds) > 0)
    hosts.kill(mortal)
    until(lambda rounds: "1" in rounds[-1]["refused"])
    client(1)
    before = until(lambda rounds: not rounds[-1]["refused"])
    assert len(before) < 10, "there is something left to go on with"

    hosts.kill(server)
    assert run.wait(timeout=100) != 0
    kept = record.read(far)["rounds"]
    assert kept[: len(before)] == before
    hosts.start(there / "server" / "start.sh", log="again.log")
    hosts.until("again.log", "clients may start")
    late = time.monotonic() + 200
    while True:  # the app of the server that died holds its folder until it has noticed
        run = hosts.start(there / "server" / "run.sh", log="again-run.log")
        code = run.wait(timeout=300)
        if "another process is at work" not in hosts.told("again-run.log"):
            break
        assert time.monotonic() < late
        time.sleep(5)
    assert code == 0, hosts.told("again-run.log")
    rounds = record.read(far)["rounds"]
    assert rounds[: len(kept)] == kept
    assert [each["round"] for each in rounds] == list(range(1, 11))
    assert rounds[-1]["refused"] == {}


def test_what_is_written_for_hosts(tmp_path: Path) -> None:
    there = tmp_path / "hosts"
    asked = ("federate", "init", there, *ROW, "--address", "learn.example.org:8000")
    assert onward(*asked).code == 0
    keys = sorted(path.relative_to(there).as_posix() for path in there.rglob("*.key"))
    assert keys == ["ca.key", "client-0/client.key", "client-1/client.key", "server/server.key"]
    assert all(stat.S_IMODE((there / key).stat().st_mode) == 0o600 for key in keys)
    assert "--host 0.0.0.0 --port 8000" in (there / "server" / "start.sh").read_text()
    assert "--superlink learn.example.org:8000" in (there / "client-1" / "start.sh").read_text()
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert "is not empty, and nothing is overwritten" in onward(*asked).complaint
    assert before == {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    for script in there.rglob("*.sh"):
        subprocess.run(["sh", "-n", str(script)], check=True)


BAD = {
    "no address": ((), "wants the server's --address HOST:PORT"),
    "no port": (("--address", "here"), "address should be the server's HOST:PORT"),
    "port": (("--address", "here:99999"), "address should be the server's HOST:PORT"),
    "partition": (
        ("--address", "here:1", "--partition", "labels"),
        "leave partition and files out",
    ),
    "data": (("--address", "here:1", "--data", "near"), "from its root on, and is 'near'"),
    "twin": (("--address", "here:1", "--twin"), "leave both out"),
    "out": (("--address", "here:1", "--out", "x"), "leave --out out"),
    "rounds": (("--address", "here:1", "--epochs", "3"), "3 epochs are not 2 rounds"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    words, told = BAD[name]
    done = onward("federate", "init", tmp_path / "hosts", *ROW, *words)
    assert told in done.complaint
    assert not (tmp_path / "hosts").exists()
