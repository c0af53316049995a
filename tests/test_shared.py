"""Links through memory that two places share."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from onward import BadInput
from onward.pipeline import shared
from onward.pipeline.links import LinkLost
from onward.pipeline.messages import Message
from onward.pipeline.shared import Shared, where

Pair = tuple[Shared, Shared]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Places 0 and 1, with three slots."""
    listeners = []
    for place in range(2):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(where(str(tmp_path), place))
        listeners[-1].listen(2)
    ends = [Shared(str(tmp_path), place, one, queue=3) for place, one in enumerate(listeners)]
    yield ends[0], ends[1]
    for end in ends:
        end.close()


def batch(number: int, length: int = 3000) -> Message:
    rows = torch.arange(length, dtype=torch.float32) + number
    return Message("batch", {"rows": rows.view(3, -1), "which": torch.tensor([number])}, number)


def several(end: Shared, messages: list[Message]) -> None:
    for one in messages:
        end.send(1, one)


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
        assert pair[1].receive(0).info == number
    writing.join()
    assert pair[0].waited > 0.5


def test_who_ends_is_noticed_at_both_ends(pair: Pair) -> None:
    pair[0].send(1, batch(0))
    pair[1].send(0, Message("ready"))
    assert pair[1].receive(0).kind == "batch"
    assert pair[0].receive(1).kind == "ready"
    pair[1].close()
    with pytest.raises(LinkLost):
        pair[0].receive(1)
    with pytest.raises(LinkLost):
        several(pair[0], [batch(number) for number in range(5)])


def test_a_place_that_failed_is_quoted(pair: Pair) -> None:
    pair[1].send(0, Message("ready"))
    assert pair[0].receive(1).kind == "ready"
    pair[0].send(1, batch(0))
    pair[1].receive(0)
    pair[1].send(0, Message("failed", info="place 1 failed: no room"))
    pair[1].close()
    with pytest.raises(BadInput, match="place 1 failed: no room"):
        several(pair[0], [batch(number) for number in range(5)])


def test_who_never_comes_is_watched_for(pair: Pair) -> None:
    def watch() -> None:
        raise LinkLost("stage 1 ended with 2")

    pair[0].watch = watch
    with pytest.raises(LinkLost, match="stage 1 ended with 2"):
        pair[0].receive(1)


@pytest.mark.parametrize(
    "head", [shared.HEAD.pack(b"S", 5000), shared.HEAD.pack(b"X", 1), shared.HEAD.pack(b"R", 4096)]
)
def test_what_can_not_be_is_a_lost_link(pair: Pair, tmp_path: Path, head: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(where(str(tmp_path), 0))
        line.sendall(shared.WHO.pack(1) + head)
        with pytest.raises(LinkLost, match="came"):
            pair[0].receive(1)
