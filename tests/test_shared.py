"""Links through memory that two places share."""

import os
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from onward import BadInput
from onward.pipeline import meeting, shared
from onward.pipeline.links import LinkLost
from onward.pipeline.messages import Message
from onward.pipeline.shared import Shared

Pair = tuple[Shared, Shared]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory without a name is Linux's")


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Places 0 and 1, with three slots."""
    one, other = socket.socketpair(), socket.socketpair()
    ends = Shared({1: one[0]}, {1: other[1]}, 3), Shared({0: other[0]}, {0: one[1]}, 3)
    yield ends
    for end in ends:
        end.close()


def batch(number: int, length: int = 3000) -> Message:
    rows = torch.arange(length, dtype=torch.float32) + number
    return Message("batch", {"rows": rows.view(3, -1), "which": torch.tensor([number])}, number)


def several(end: Shared, messages: list[Message], to: int = 1) -> None:
    for one in messages:
        end.send(to, one)


def test_messages_come_in_order_whatever_their_size_and_kind(pair: Pair) -> None:
    sent = [Message("hello", info={"a": [1, None]}), batch(0), batch(1), batch(2, 3), batch(3)]
    sent += [batch(4, 30_000), Message("load", {"w": torch.randn(300, 400)}), batch(5), batch(6)]
    sent += [Message("settle"), batch(7, 90_000), batch(8), batch(9, 3), Message("bye")]
    writing = threading.Thread(target=several, args=(pair[0], sent))
    writing.start()
    for wanted in sent:
        came = pair[1].receive(0)
        assert (came.kind, came.info) == (wanted.kind, wanted.info)
        assert came.tensors.keys() == wanted.tensors.keys()
        for name, tensor in wanted.tensors.items():
            assert torch.equal(came.tensors[name], tensor)
            assert came.tensors[name].data_ptr() % 64 == 0
    writing.join()
    assert pair[0].sent == pair[1].received > 0


def test_a_sender_waits_for_a_slot_and_what_is_held_stays_as_it_was(pair: Pair) -> None:
    gone: list[int] = []

    def send() -> None:
        for number in range(8):
            pair[0].send(1, batch(number))
            gone.append(number)

    writing = threading.Thread(target=send)
    writing.start()
    held = pair[1].receive(0)
    writing.join(timeout=0.5)
    assert gone == [0, 1, 2]  # one of the three slots is held
    assert torch.equal(held.tensors["rows"], batch(0).tensors["rows"])
    pair[1].receive(0)
    writing.join(timeout=0.5)
    assert gone == [0, 1, 2, 3]
    for number in range(2, 8):
        came = pair[1].receive(0)
        assert came.info == number
        assert torch.equal(came.tensors["rows"], batch(number).tensors["rows"])
    writing.join()
    assert pair[0].waited > 0.5


def test_one_slot_after_another_is_used_where_none_waits(pair: Pair) -> None:
    places = []
    for number in range(6):
        pair[0].send(1, batch(number))
        places.append(pair[1].receive(0).tensors["rows"].data_ptr())
    assert len(set(places)) == 2  # the one that is held, and the other


def test_who_ends_is_noticed_at_both_ends(pair: Pair) -> None:
    pair[0].send(1, batch(0))
    pair[1].send(0, Message("ready"))
    assert pair[1].receive(0).kind == "batch"
    assert pair[0].receive(1).kind == "ready"
    pair[1].close()
    with pytest.raises(LinkLost, match="place 1 is gone"):
        pair[0].receive(1)
    with pytest.raises(LinkLost, match="place 1 is gone"):
        several(pair[0], [batch(number) for number in range(5)])


def test_what_was_sent_before_the_end_still_comes(pair: Pair) -> None:
    several(pair[0], [batch(0), batch(1), Message("settle"), batch(2), Message("stop")])
    pair[0].close()
    kinds = [pair[1].receive(0).kind for _ in range(5)]
    assert kinds == ["batch", "batch", "settle", "batch", "stop"]
    with pytest.raises(LinkLost):
        pair[1].receive(0)


def test_who_has_ended_needs_no_last_word(pair: Pair) -> None:
    pair[1].close()
    for kind in ("stop", "bye", "failed", "refused"):
        pair[0].send(1, Message(kind))
    with pytest.raises(LinkLost):
        pair[0].send(1, Message("settle"))


@pytest.mark.parametrize("kind", ["failed", "refused"])
def test_a_place_that_says_why_it_ends_is_quoted(kind: str, pair: Pair) -> None:
    several(pair[1], [Message("ready")], to=0)
    assert pair[0].receive(1).kind == "ready"
    pair[0].send(1, batch(0))
    pair[1].receive(0)
    several(pair[1], [batch(0), batch(1), Message(kind, info="place 1: no room")], to=0)
    pair[1].close()
    with pytest.raises(BadInput, match="place 1: no room"):
        several(pair[0], [batch(number) for number in range(5)])


def test_no_memory_is_no_lost_link(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", full)
    with pytest.raises(MemoryError, match="Too many open files"):
        pair[0].send(1, batch(0))


def test_all_ends_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(meeting.LOCAL, raising=False)
    monkeypatch.delenv("RANK", raising=False)
    before = os.listdir("/proc/self/fd")
    for _ in range(2):
        there = meeting.OverMemory()
        there.expect(4)
        environment, files = there.invitation(2)
        assert len(files) == 2 + 2  # to and from the driver, from the first, to the last
        assert environment["RANK"] == "2"
        link = there.link()
        link.close()
        there.close()
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "head",
    [
        shared.HEAD.pack(b"S", 0, 5000),
        shared.HEAD.pack(b"S", 9, 0),
        shared.HEAD.pack(b"X", 0, 1),
        shared.HEAD.pack(b"R", 8, 4096),
    ],
)
def test_what_can_not_be_is_a_lost_link(head: bytes) -> None:
    line, other = socket.socketpair()
    with line:
        line.sendall(head)
        end = Shared({}, {1: other})
        with pytest.raises(LinkLost, match="came"):
            end.receive(1)
        end.close()
