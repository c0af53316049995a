"""Two hosts in one: network namespaces with a cable between them, which can be slow, or pulled."""

import errno
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cable import Cable
from command import environment, onward, same
from places import NAMES, Places

from onward import checkpoint
from onward.pipeline import certificates

HOSTS = ("onward-test-a", "onward-test-b")
ADDRESSES = ("10.213.7.1", "10.213.7.2")
CABLE = ("onw-a", "onw-b")  # its two ends
FF = (
    *("ff-digits", "--dataset", "synthetic", "--batch", "40", "--threads", "1", "--seed", "3"),
    *("--negatives", "wrong", "--width", "16", "--cells", "4", "--split", "2,2"),
)
WHERE = {"driver": 0, "stage-1": 0, "stage-2": 1, "readout": 1}


def ip(*words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done


def plug(hosts: tuple[str, str], cable: tuple[str, str], addresses: tuple[str, str]) -> None:
    """Give each host its end of a cable, and an address there."""
    for host, end, address in zip(hosts, cable, addresses, strict=True):
        ip("link", "set", end, "netns", host)
        ip("-n", host, "address", "add", f"{address}/24", "dev", end)
        ip("-n", host, "link", "set", end, "up")


def away() -> None:
    """The cable goes with its ends."""
    for host in HOSTS:
        ip("netns", "delete", host, check=False)
    ip("link", "delete", CABLE[0], check=False)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    """Two namespaces and a cable, or a reason why there are none."""
    if shutil.which("ip") is None:
        pytest.skip("there is no command `ip` to make network namespaces with")
    away()
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", CABLE[0], "type", "veth", "peer", "name", CABLE[1])
        plug(HOSTS, CABLE, ADDRESSES)
        for host in HOSTS:
            ip("-n", host, "link", "set", "lo", "up")
    except RuntimeError as error:
        away()
        pytest.skip(f"network namespaces can't be made here: {error}")
    try:
        yield HOSTS
    finally:
        away()


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("cryptography", reason="the extra tls is not installed")
    folder = tmp_path_factory.mktemp("papers") / "certificates"
    certificates.write(folder, NAMES)
    return folder


def places(
    folder: Path,
    words: tuple[str, ...],
    papers: Path,
    addresses: tuple[str, str] = ADDRESSES,
) -> Places:
    listen = {
        name: f"{addresses[where]}:{9200 + number}"
        for number, (name, where) in enumerate(WHERE.items())
    }
    before = {name: ("ip", "netns", "exec", HOSTS[where]) for name, where in WHERE.items()}
    return Places(folder, words, papers, listen, before=before)


def begun(folder: Path, process: "subprocess.Popen[Any]") -> None:
    late = time.monotonic() + 200
    while not checkpoint.positions(folder / "checkpoint"):
        assert process.poll() is None, "it ended before its time"
        assert time.monotonic() < late, "nothing was saved"
        time.sleep(0.01)


def test_a_cable_that_is_pulled_for_ten_seconds_changes_no_bit(
    hosts: tuple[str, str], papers: Path, tmp_path: Path
) -> None:
    """And connections that are dropped, where `ss` can do that."""
    words = (*FF, "--epochs", "20", "--evaluate_every", "20", "--checkpoint_every", "5")
    assert onward("run", *without_split(words), "--out", tmp_path / "one").code == 0
    with places(tmp_path, (*words, "--patience", "40", "--restarts", "0"), papers) as started:
        started.start()
        driver, out = started.running["driver"], tmp_path / "driver"
        begun(out, driver)
        for end, host in zip(CABLE, hosts, strict=True):
            ip("-n", host, "link", "set", end, "down")
        time.sleep(10)
        assert driver.poll() is None, "it should be waiting"
        for end, host in zip(CABLE, hosts, strict=True):
            ip("-n", host, "link", "set", end, "up")
        if shutil.which("ss"):
            for _ in range(5):
                for host in hosts:
                    ip("netns", "exec", host, "ss", "-K", "state", "established", check=False)
                time.sleep(0.2)
        found = started.ended()
    assert {name: code for name, (code, _) in found.items()} == dict.fromkeys(NAMES, 0), found
    same(tmp_path / "one", out)


SLOW = ("onw-slow-a", "onw-slow-b")
FAR = ("10.213.8.1", "10.213.8.2")


@pytest.mark.parametrize(("delay", "loss"), [(0.1, 0.0), (0.01, 0.05)])
def test_a_cable_that_delays_or_drops_changes_no_bit(
    hosts: tuple[str, str], papers: Path, tmp_path: Path, delay: float, loss: float
) -> None:
    """A tenth of a second each way; or one frame of twenty that never comes."""
    words = (*FF, "--epochs", "2")
    assert onward("run", *without_split(words), "--out", tmp_path / "one").code == 0
    with ExitStack() as stack:
        try:
            cable = stack.enter_context(Cable(SLOW, delay, loss))
        except OSError as error:
            if error.errno == errno.EBUSY:  # left by a test before: its fault, and not the host's
                raise
            pytest.skip(f"no cable of this process's own can be made here: {error}")
        plug(hosts, SLOW, FAR)
        started = stack.enter_context(places(tmp_path, (*words, "--restarts", "0"), papers, FAR))
        started.start()
        found = started.ended()
    assert {name: code for name, (code, _) in found.items()} == dict.fromkeys(NAMES, 0), found
    same(tmp_path / "one", tmp_path / "driver")
    assert cable.carried > 100
    assert (cable.dropped > 0) == (loss > 0)


def test_torchrun_starts_places_on_two_hosts(hosts: tuple[str, str], tmp_path: Path) -> None:
    """Over gloo, as the page of pipelines says."""
    words = (*FF, "--epochs", "2")
    assert onward("run", *without_split(words), "--out", tmp_path / "one").code == 0
    running = []
    for number, host in enumerate(hosts):
        command = ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run"]
        command += ["--nnodes", "2", "--node-rank", str(number), "--nproc-per-node", "2"]
        command += ["--master-addr", ADDRESSES[0], "--master-port", "29500"]
        command += ["--local-addr", ADDRESSES[number], "--log-dir", str(tmp_path / host)]
        command += ["-m", "onward", "pipeline", *words, "--out", str(tmp_path / "run")]
        near = environment(TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1", GLOO_SOCKET_IFNAME=CABLE[number])
        running.append(
            subprocess.Popen(
                command, env=near, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    try:
        told = [each.communicate(timeout=100)[0] for each in running]
    finally:
        for each in running:
            each.kill()
    assert [each.returncode for each in running] == [0, 0], told
    same(tmp_path / "one", tmp_path / "run")


def without_split(words: tuple[str, ...]) -> tuple[str, ...]:
    at = words.index("--split")
    return words[:at] + words[at + 2 :]
