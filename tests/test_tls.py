"""Links over a network that is not trusted: whoever has no certificate is out, nothing is lost."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from command import environment, onward, same
from places import NAMES, Places, Proxy, free

from onward import BadInput, checkpoint, record
from onward.pipeline import LinkLost, certificates, frames, meeting
from onward.pipeline.messages import Message, encode
from onward.pipeline.tls import Ended, Tls
from onward.pipeline.worker import Worker, about
from onward.plan import Machine
from onward.recipes import find

pytest.importorskip("cryptography", reason="the extra tls is not installed")

TINY = ("--dataset", "synthetic", "--batch", "40", "--threads", "1", "--seed", "3")
FF = ("ff-digits", *TINY, "--negatives", "wrong", "--width", "16", "--cells", "4")
SHORT = (*FF, "--epochs", "4")
LONG = (*FF, "--epochs", "20", "--evaluate_every", "20", "--checkpoint_every", "5")
CUT = ("--split", "2,2", "--patience", "30")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and a certificate for each place. Not to be changed."""
    folder = tmp_path_factory.mktemp("papers") / "certificates"
    certificates.write(folder, NAMES)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The row of LONG in one process. Not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = onward("run", *LONG, "--out", folder)
    assert done.code == 0, done.err
    return folder


# --- the link by itself


class Ends:
    """Links of several places in this process, each behind a proxy."""

    def __init__(self, papers: Path, **more: Any):
        self.papers, self.more = papers, {"patience": 6.0, "meeting": 20.0, **more}
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in NAMES]
        self.ports = [each.getsockname()[1] for each in self.listeners]
        self.proxies = [Proxy(port) for port in self.ports]
        self.links: list[Tls] = []

    def link(self, place: int, name: str | None = None, papers: Path | None = None) -> Tls:
        identity = certificates.load(papers or self.papers, name or NAMES[place])
        addresses = {number: ("127.0.0.1", proxy.port) for number, proxy in enumerate(self.proxies)}
        told: list[str] = []
        more = {"tell": told.append, **self.more}
        made = Tls(place, NAMES, addresses, identity, self.listeners[place], **more)
        made.told = told  # type: ignore[attr-defined]
        self.links.append(made)
        return made

    def close(self) -> None:
        for link in self.links:
            link.close()
        for proxy in self.proxies:
            proxy.__exit__()
        for listener in self.listeners:
            listener.close()


@pytest.fixture
def ends(papers: Path) -> Iterator[Ends]:
    made = Ends(papers)
    yield made
    made.close()


def speak(link: Tls, to: int, count: int, last: bool = True) -> threading.Thread:
    """Messages 0, 1, ... in a thread of their own."""

    def work() -> None:
        with contextlib.suppress(LinkLost):
            for number in range(count):
                x = torch.full((100, 37), float(number))
                link.send(to, Message("batch", {"x": x}, number))
            if last:
                link.send(to, Message("stop"))
            link.flush()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def heard(link: Tls, source: int, count: int) -> None:
    for number in range(count):
        came = link.receive(source)
        assert came.info == number
        assert came.tensors["x"].eq(number).all()


def test_all_arrives_once_and_in_order_however_often_connections_are_cut(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(1)
    for proxy in ends.proxies:
        proxy.delay = 0.002
    there, back = speak(one, 1, 120), speak(other, 0, 120)
    over = threading.Event()

    def cut() -> None:
        rng = random.Random(0)
        while not over.wait(rng.random() / 10):
            rng.choice(ends.proxies[:2]).cut()

    scissors = threading.Thread(target=cut, daemon=True)
    scissors.start()
    heard(one, 1, 120)
    heard(other, 0, 120)
    over.set()
    assert one.receive(1).kind == other.receive(0).kind == "stop"
    for thread in (scissors, there, back):
        thread.join(20)
        assert not thread.is_alive()
    assert sum(proxy.cuts for proxy in ends.proxies) > 3
    assert one.sent == other.received
    assert other.sent == one.received
    assert one.waited > 0


def test_a_slow_network_is_only_slow(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(1)
    ends.proxies[1].delay = 0.1
    thread = speak(one, 1, 12)
    heard(other, 0, 12)
    thread.join(20)
    assert not thread.is_alive()
    assert ends.proxies[1].cuts == 0


def test_a_network_that_keeps_everything_for_a_while_is_waited_for(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(1)
    thread = speak(one, 1, 60)
    heard(other, 0, 1)
    ends.proxies[1].stuck = True
    time.sleep(1.6)  # more than a connection's silence, less than patience
    ends.proxies[1].stuck = False
    for number in range(1, 60):
        assert other.receive(0).info == number
    thread.join(20)
    assert not thread.is_alive()


def test_a_sender_waits_for_room(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(1)
    thread = speak(one, 1, 30)
    late = time.monotonic() + 2
    while time.monotonic() < late:
        time.sleep(0.05)
        assert one._outgoing.get(1) is None or one._outgoing[1].count <= 2 * one.queue + 1
    assert one._outgoing[1].count >= one.queue
    heard(other, 0, 30)
    thread.join(20)
    assert not thread.is_alive()


def test_long_messages_pass_and_too_long_ones_do_not(papers: Path) -> None:
    ends = Ends(papers, longest=1 << 23)
    try:
        one, other = ends.link(0), ends.link(1)
        x = torch.randn(1_500_000, generator=torch.manual_seed(0))
        one.send(1, Message("batch", {"x": x}))
        assert other.receive(0).tensors["x"].equal(x)
        with pytest.raises(BadInput, match=r"a link carries 8,388,608 at most"):
            one.send(1, Message("batch", {"x": torch.zeros(3_000_000)}))
    finally:
        ends.close()


def test_silence_is_a_loss_once_patience_ends(papers: Path) -> None:
    ends = Ends(papers, patience=1.5)
    try:
        one, other = ends.link(0), ends.link(1)
        speak(one, 1, 1, last=False).join(20)
        heard(other, 0, 1)
        speak(other, 0, 1, last=False).join(20)
        heard(one, 1, 1)
        for proxy in ends.proxies:
            proxy.away = True
            proxy.cut()
        with pytest.raises(LinkLost, match=r"stage-1 .*was silent for"):
            one.receive(1)
        with pytest.raises(LinkLost, match=r"driver .*was silent for"):
            other.receive(0)
        with pytest.raises(LinkLost):
            one.send(1, Message("batch"))
    finally:
        ends.close()


def test_whoever_leaves_says_so(ends: Ends) -> None:
    one, other, third = ends.link(0), ends.link(1), ends.link(2)
    one.send(1, Message("hello"))
    one.send(2, Message("hello"))
    assert other.receive(0).kind == third.receive(0).kind == "hello"
    other.send(2, Message("batch"))
    assert third.receive(1).kind == "batch"
    other.close(again=True)
    with pytest.raises(LinkLost, match="stage-1 has ended"):
        third.receive(1)
    one.close()
    fresh = Ends(ends.papers)
    try:
        one, other = fresh.link(0), fresh.link(1)
        one.send(1, Message("hello"))
        other.receive(0)
        one.close()
        with pytest.raises(Ended, match="the driver has ended the run"):
            other.receive(0)
    finally:
        fresh.close()


def test_what_a_place_says_of_its_failure_is_what_others_are_told(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(2)
    one.send(2, Message("hello"))
    other.receive(0)
    other.send(0, Message("failed", info="place 2 failed: no room here"))
    other.flush()
    with pytest.raises(BadInput, match="no room here"):
        one.receive(1)


def test_a_place_of_another_run_says_what_differs_and_goes(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(1)
    settings, machine = find("ff-digits").defaults, Machine("cpu")
    mine = about("ff-digits", settings, 0, machine)
    theirs = about("ff-digits", replace(settings, lr=0.5), 0, machine)
    refused: list[BadInput] = []

    def work() -> None:
        worker = Worker(other, 1, find("ff-digits"), settings, machine)
        with pytest.raises(BadInput, match="this place's differ: lr") as found:
            worker.serve(mine, 0)
        refused.append(found.value)
        other.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    one.send(1, Message("hello", info={"about": theirs}))
    one.flush()
    came = one.receive(1)
    thread.join(20)
    assert not thread.is_alive(), "it is told that it has been heard, and waits no longer"
    assert (came.kind, came.info) == ("refused", str(refused[0]))


def test_another_process_of_the_same_name_is_a_loss(ends: Ends) -> None:
    one, other = ends.link(0), ends.link(1)
    one.send(1, Message("hello"))
    assert other.receive(0).kind == "hello"
    time.sleep(0.1)
    again = Ends(ends.papers)  # the same names at other addresses, as after a restart
    try:
        again.link(1)
        ends.proxies[1].to = again.ports[1]
        ends.proxies[1].cut()
        with pytest.raises(LinkLost, match="stage-1 was started anew"):
            one.receive(1)
    finally:
        again.close()


# --- who is let in


class Raw:
    """A peer made of nothing but ssl and frames, which may say what it likes."""

    def __init__(self, port: int, papers: Path, name: str):
        identity = certificates.load(papers, name)
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.line = frames.Line(identity.client.wrap_socket(raw), 10.0)

    def hello(self, **more: Any) -> tuple[bytes, int, str]:
        told = {"protocol": 1, "onward": "?", "attempt": "a", "session": "s", "to": "stage-1"}
        about = {**told, "places": len(NAMES), **more}
        self.line.write(frames.HELLO, 0, json.dumps(about).encode())
        kind, number, body = self.line.read()
        return kind, number, bytes(body.tolist()).decode()

    def data(self, number: int, info: int) -> None:
        body = bytes(encode(Message("batch", {}, info)).tolist())
        self.line.write(frames.DATA, number, body)


def test_duplicates_are_dropped_and_gaps_refused(ends: Ends) -> None:
    link = ends.link(1)
    peer = Raw(ends.ports[1], ends.papers, "driver")
    assert peer.hello()[:2] == (frames.WELCOME, 0)
    for number in (1, 1, 2, 1, 2, 3):
        peer.data(number, number)
    acknowledged = [peer.line.read()[1] for _ in range(6)]
    assert acknowledged == [1, 1, 2, 2, 2, 3]
    assert [link.receive(0).info for _ in range(3)] == [1, 2, 3]
    assert not link._incoming[0].inbox
    peer.line.tls.close()
    again = Raw(ends.ports[1], ends.papers, "driver")
    assert again.hello()[:2] == (frames.WELCOME, 3)
    again.data(5, 5)
    with pytest.raises(LinkLost, match="message 4 from driver is lost"):
        link.receive(0)


def test_a_frame_that_is_too_long_is_not_read(papers: Path) -> None:
    ends = Ends(papers, longest=1000)
    try:
        link = ends.link(1)
        peer = Raw(ends.ports[1], papers, "driver")
        peer.hello()
        peer.line.tls.sendall(frames.HEAD.pack(frames.DATA, 1, 1 << 60))
        with pytest.raises(BadInput, match=r"a frame of 1,152,921,504,606,846,976 bytes came"):
            link.receive(0)
    finally:
        ends.close()


def test_what_is_no_message_is_refused(ends: Ends) -> None:
    link = ends.link(1)
    peer = Raw(ends.ports[1], ends.papers, "driver")
    peer.hello()
    peer.line.write(frames.DATA, 1, b"\x80\x04junk" * 50)
    with pytest.raises(BadInput, match="no message of Onward"):
        link.receive(0)


@pytest.mark.parametrize(
    ("name", "more", "kind", "says"),
    [
        ("driver", {"to": "stage-2"}, frames.REFUSED, "this is stage-1, not stage-2"),
        ("driver", {"places": 5}, frames.REFUSED, "5 places there and 4 here"),
        ("driver", {"to": []}, frames.REFUSED, "this is stage-1, not []"),
        ("driver", {"protocol": 9}, frames.REFUSED, "install the same one"),
        ("stage-1", {}, frames.REFUSED, "stage-1 has no link to stage-1"),
        ("stage-2", {}, frames.LATER, ""),  # nobody but the driver begins
        ("mallory", {}, frames.REFUSED, "mallory has no link to stage-1"),
    ],
)
def test_those_with_another_name_are_refused(
    name: str, more: dict[str, Any], kind: bytes, says: str, ends: Ends, tmp_path: Path
) -> None:
    papers = tmp_path / "papers"
    shutil.copytree(ends.papers, papers)
    if name not in NAMES:
        certificates.write(papers, [name])  # of the same CA
    ends.link(1)
    found = Raw(ends.ports[1], papers, name).hello(**more)
    assert found[0] == kind
    assert says in found[2]


def greet(link: Tls, to: int) -> None:
    """Say hello, and wait until that has arrived, or what hinders it is told."""
    link.send(to, Message("hello"))
    link.flush()


def test_one_certificate_does_not_answer_for_another_place(ends: Ends) -> None:
    """The driver dials stage-1, and stage-2 is there, with a certificate of the same CA."""
    one = ends.link(0)
    ends.link(1, name="stage-2")
    with pytest.raises(BadInput, match=r"stage-1 at .* shows the certificate of stage-2"):
        greet(one, 1)


def other_ca(folder: Path, papers: Path) -> Path:
    certificates.write(folder, NAMES)
    return folder


def expired(folder: Path, papers: Path) -> Path:
    shutil.copytree(papers, folder)
    for name in NAMES:
        (folder / f"{name}.crt").unlink()
        (folder / f"{name}.key").unlink()
    certificates.write(folder, NAMES, days=2, since=datetime.now(UTC) - timedelta(days=5))
    return folder


def unchecked(papers: Path, name: str, authority: Path) -> certificates.Identity:
    """An identity as somebody has it who does not look at it first."""
    sides = []
    for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority / "ca.crt")
        context.load_cert_chain(papers / f"{name}.crt", papers / f"{name}.key")
        sides.append(context)
    return certificates.Identity(name, *sides)


@pytest.mark.parametrize(
    ("made", "says"),
    [(other_ca, "unable to get local issuer"), (expired, "certificate has expired")],
)
def test_certificates_are_checked_at_both_ends(
    made: Callable[[Path, Path], Path],
    says: str,
    papers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = made(tmp_path / "bad", papers)
    real = certificates.load

    def load(folder: Path, name: str) -> certificates.Identity:
        return unchecked(bad, name, papers) if folder == bad else real(folder, name)

    monkeypatch.setattr(certificates, "load", load)
    ends = Ends(papers)
    try:  # the one that dials looks at the one that answers
        one, _ = ends.link(0), ends.link(1, papers=bad)
        with pytest.raises(BadInput, match="not to be trusted: .*" + says):
            greet(one, 1)
    finally:
        ends.close()
    ends = Ends(papers)
    try:  # and the other way round; there a stranger ends nothing
        bad_one, other = ends.link(0, papers=bad), ends.link(1)
        with pytest.raises(BadInput, match="refuses this place's certificate"):
            greet(bad_one, 1)
        assert other._broken is None
        told = ""
        late = time.monotonic() + 10
        while not told and time.monotonic() < late:
            told = "".join(other.told)  # type: ignore[attr-defined]
        assert told.startswith("refused a connection from 127.0.0.1:")
        assert says in told
    finally:
        ends.close()


def test_older_tls_is_refused(ends: Ends) -> None:
    ends.link(1)
    context = unchecked(ends.papers, "driver", ends.papers).client
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", ends.ports[1]), timeout=10) as raw,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        context.wrap_socket(raw)


def test_strangers_who_say_nothing_stand_in_nobodys_way(ends: Ends) -> None:
    other = ends.link(1)
    with contextlib.ExitStack() as stack:
        where = ("127.0.0.1", ends.ports[1])
        strangers = [
            stack.enter_context(socket.create_connection(where, timeout=10)) for _ in range(90)
        ]
        strangers[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")
        one = ends.link(0)
        thread = speak(one, 1, 20)
        heard(other, 0, 20)
        thread.join(20)
        assert not thread.is_alive()
        assert len(other._newcomers) < 90
    assert other._broken is None


# --- what a user is told


def certificate_of(which: str, name: str, folder: Path, papers: Path) -> Path:
    """A folder of certificates with one thing wrong, for the place ``name``."""
    if which == "expired":
        return expired(folder, papers)
    shutil.copytree(papers, folder)
    if which == "another CA":
        shutil.copy(other_ca(folder / "other", papers) / "ca.crt", folder / "ca.crt")
    elif which == "another name":
        for end in ("crt", "key"):
            shutil.copy(papers / f"stage-2.{end}", folder / f"{name}.{end}")
    elif which == "another key":
        shutil.copy(papers / "stage-2.key", folder / f"{name}.key")
    elif which == "no CA":
        (folder / "ca.crt").write_text("nothing")
    elif which == "password":
        lines = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
        (folder / f"{name}.key").write_text(lines)
    else:
        (folder / f"{name}.{which}").unlink()
    return folder


@pytest.mark.parametrize("place", ["driver", "stage-1"])
@pytest.mark.parametrize(
    ("which", "says"),
    [
        ("crt", ".crt could not be read (No such file or directory): a place wants ca.crt"),
        ("key", ".key could not be read (No such file or directory): a place wants ca.crt"),
        ("another CA", "would be refused by others: unable to get local issuer certificate"),
        ("another name", "is the certificate of stage-2, and this place is "),
        ("another key", "are no certificate with its key"),
        ("password", "are no certificate with its key, without a password"),
        ("no CA", "ca.crt is no certificate"),
        ("expired", "would be refused by others: certificate has expired"),
    ],
)
def test_bad_certificates_are_told_in_a_line(
    place: str, which: str, says: str, papers: Path, tmp_path: Path
) -> None:
    folder = certificate_of(which, place, tmp_path / "papers", papers)
    words = ["pipeline", *SHORT, "--link", "tls", "--certificates", folder, "--out", tmp_path / "x"]
    if place != "driver":
        file = tmp_path / "places.yaml"
        ports = zip(NAMES, free(4), strict=True)
        file.write_text("\n".join(f"{name}: 127.0.0.1:{port}" for name, port in ports))
        words += ["--places", file, "--as", place]
    assert says in onward(*words).complaint
    assert not (tmp_path / "x").exists()


PLACES = "driver: 127.0.0.1:{}\nstage-1: 127.0.0.1:{}\nstage-2: 127.0.0.1:{}\n"


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        ("driver: 127.0.0.1:{}\nstage-1: 127.0.0.1:{}\n", (), "lacks stage-2: it wants a line"),
        (PLACES + "stage-7: 127.0.0.1:{}", (), "has 'stage-7', no place of this run"),
        (PLACES.replace("127.0.0.1:{}", "here", 1), (), "wants an address HOST:PORT, and has"),
        ("driver: a:1\nstage-1: a:1\nstage-2: a:2", (), "one address to two places"),
        ("[]", (), "should have a line NAME: HOST:PORT"),
        ("{{", (), "could not be read as YAML"),
        (PLACES, ("--as", "stage-9"), "--as stage-9 is no place of this run"),
        (PLACES, ("--as", "readout"), "lacks readout"),
        (PLACES, ("--listen", "192.0.2.1:9000"), "driver can't listen at 192.0.2.1:9000"),
        (PLACES, ("--listen", "nowhere"), "--listen wants an address HOST:PORT"),
        (PLACES, ("--patience", "0"), "patience should be a number above 0"),
    ],
)
def test_bad_places_are_told_in_a_line(
    text: str, more: tuple[str, ...], says: str, papers: Path, tmp_path: Path
) -> None:
    file = tmp_path / "places.yaml"
    file.write_text(text.format(*free(4)))
    words = ["pipeline", *SHORT, "--link", "tls", "--certificates", papers, "--places", file]
    words += ["--as", "driver", *more, "--out", tmp_path / "x"]
    assert says in onward(*words).complaint
    assert not (tmp_path / "x").exists()


def test_a_port_in_use_is_told_in_a_line(papers: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "places.yaml"
        file.write_text(PLACES.format(taken.getsockname()[1], 1, 2))
        words = ("--link", "tls", "--certificates", papers, "--places", file, "--as", "driver")
        done = onward("pipeline", *SHORT, *words, "--out", tmp_path / "x")
    assert "(Address already in use): end who is there" in done.complaint
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--link", "nccl"), "there is no link 'nccl': choose from gloo, memory, tls"),
        (("--link", "tsl"), "there is no link 'tsl': did you mean 'tls'?"),
        (("--link", "tls"), "wants the folder with this place's certificate: --certificates DIR"),
        (
            ("--certificates", "x"),
            f"--certificates is of --link tls, and the link is {meeting.fastest()}:",
        ),
        (("--as", "driver"), "--as is of --link tls"),
        (("--link", "tls", "--certificates", "x", "--as", "driver"), "--places and --as go"),
        (("--link", "tls", "--certificates", "x", "--places", "y"), "--places and --as go"),
        (("--link", "tls", "--certificates", "x", "--listen", "y:1"), "--listen is for a place"),
    ],
)
def test_links_that_are_not_there_are_refused_by_name(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = onward("pipeline", *SHORT, *words, "--out", tmp_path / "x")
    assert says in done.complaint
    assert not (tmp_path / "x").exists()


def test_torchrun_does_not_start_places_of_tls(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    done = onward("pipeline", *SHORT, "--link", "tls", "--certificates", papers)
    assert "torchrun starts places over gloo" in done.complaint
    done = onward("pipeline", *SHORT, "--link", "memory")
    assert "torchrun starts places over gloo" in done.complaint


def test_certificates_are_made_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "papers"
    done = onward("pipeline", "certificates", folder, "--stages", 1)
    assert done.code == 0, done.err
    made = sorted(path.name for path in folder.iterdir())
    every = ["ca", "driver", "readout", "stage-1"]
    assert made == sorted(f"{name}.{end}" for name in every for end in ("crt", "key"))
    assert {Path(line).name for line in done.out.split()} == set(made)
    for name in every:
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = onward("pipeline", "certificates", folder, "--stages", 2)
    assert all((folder / name).read_bytes() == raw for name, raw in before.items())
    assert certificates.load(folder, "stage-2").name == "stage-2"
    assert "nothing is overwritten" in onward("pipeline", "certificates", folder).complaint
    (folder / "ca.key").unlink()
    assert "ca.key is missing" in onward("pipeline", "certificates", folder).complaint
    for words in ((), ("a", "b"), (folder, "--steges", "2"), ("--days", "3")):
        if words:
            assert "wants one folder" in onward("pipeline", "certificates", *words).complaint
    assert "stages should be 1" in onward("pipeline", "certificates", "x", "--stages=0").complaint
    assert "usage: " in onward("pipeline", "certificates", "--help").out
    monkeypatch.setitem(sys.modules, "cryptography", None)
    done = onward("pipeline", "certificates", tmp_path / "more")
    assert "pip install 'onward[tls]'" in done.complaint


# --- whole runs


def begun(folder: Path, steps: int, process: "subprocess.Popen[Any]") -> None:
    """Wait for the checkpoint of so many steps, or a later one."""
    late = time.monotonic() + 200
    while not [p for p in checkpoint.positions(folder / "checkpoint") if int(p.name) >= steps]:
        assert process.poll() is None, "it ended before its time"
        assert time.monotonic() < late, "nothing was saved"
        time.sleep(0.01)


def steps_of(run: Path) -> int:
    return int(checkpoint.positions(run / "checkpoint")[-1].name)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find processes")
def test_processes_learn_what_one_learns_though_one_is_killed(
    whole: Path, papers: Path, tmp_path: Path
) -> None:
    words = ["pipeline", *LONG, *CUT, "--link", "tls", "--certificates", papers]
    running = subprocess.Popen(
        [sys.executable, "-m", "onward", *map(str, [*words, "--out", tmp_path / "run"])],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    begun(tmp_path / "run", steps_of(whole) // 3, running)
    listed = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(int(listed[1]), signal.SIGKILL)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 0, err
    assert err.count("a stage is lost (stage 2 ended with -9)") == 1
    same(whole, tmp_path / "run")
    places = record.read(tmp_path / "run")["places"]
    assert [place["stations"][-1] for place in places] == ["cell-1", "cell-3", "readout"]
    assert all(place["bytes_in"] > 0 and place["waiting_seconds"] > 0 for place in places)


def test_a_network_that_cuts_delays_and_stops_changes_no_bit(
    whole: Path, papers: Path, tmp_path: Path
) -> None:
    """By hand, each place behind a proxy; one of them is killed, and started again."""
    ports = free(4)
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(port, delay=0.005)) for port in ports]
        here = {name: f"127.0.0.1:{port}" for name, port in zip(NAMES, ports, strict=True)}
        there = {n: f"127.0.0.1:{p.port}" for n, p in zip(NAMES, proxies, strict=True)}
        places = stack.enter_context(Places(tmp_path, [*LONG, *CUT], papers, here, there))
        places.start()
        driver, out = places.running["driver"], tmp_path / "driver"
        begun(out, 1, driver)
        for _ in range(5):
            for proxy in proxies:
                proxy.cut()
            time.sleep(0.1)
        for proxy in proxies:
            proxy.stuck = proxy.away = True
        time.sleep(2)
        for proxy in proxies:
            proxy.stuck = proxy.away = False
            proxy.cut()
        begun(out, steps_of(whole) // 2, driver)
        killed = places.running["stage-1"]
        killed.kill()
        killed.communicate()
        places.start("stage-1")
        found = places.ended()
    assert {name: code for name, (code, _) in found.items()} == dict.fromkeys(NAMES, 0), found
    assert "a stage is lost (stage-1 was started anew)" in found["driver"][1]
    assert sum(proxy.cuts for proxy in proxies) > 10
    same(whole, out)
