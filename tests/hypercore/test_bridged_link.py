"""Links whose encryption ends in the bridge: greetings, frames, and a session over them."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hypercore.bridged_link import GREETING_BYTES, BridgedLink, Greeting
from hypercore.errors import LocalProtocolError, RemoteProtocolError
from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from hypercore.secret_stream import MAX_MESSAGE_BYTES

PATIENCE_SECONDS = 30
GREETING = Greeting(True, 300, bytes(range(32)), bytes(range(64)))


def test_a_greeting_has_the_bytes_that_the_bridge_writes() -> None:
    assert GREETING.encode() == b"\x01\x2c\x01" + bytes(range(32)) + bytes(range(64))
    assert Greeting.decode(GREETING.encode()) == GREETING


@pytest.mark.parametrize(
    "data",
    [b"", GREETING.encode()[:-1], GREETING.encode() + b"\x00", b"\x02" + GREETING.encode()[1:], bytes([255]) * 99],
    ids=["empty", "short", "long", "role", "noise"],
)
def test_another_greeting_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="did not greet as agreed"):
        Greeting.decode(data)


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 50), min_size=1))
def test_messages_arrive_whole_however_they_are_cut(messages: list[bytes], sizes: list[int]) -> None:
    link = BridgedLink(GREETING)
    data = b"".join(link.send(message) for message in messages)
    received: list[bytes] = []
    position = 0
    while position < len(data):
        size = sizes[position % len(sizes)]
        received += link.receive_bytes(data[position : position + size])
        position += size
    assert received == [message for message in messages if message]


def test_a_message_that_no_secret_stream_could_carry_is_refused_both_ways() -> None:
    link = BridgedLink(GREETING)
    with pytest.raises(LocalProtocolError, match="exceeds"):
        link.send(bytes(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(RemoteProtocolError, match="exceeds"):
        link.receive_bytes((MAX_MESSAGE_BYTES + 1).to_bytes(3, "little"))


def pair(shared: bytes, other: bytes) -> tuple[BridgedLink, BridgedLink]:
    one = Greeting(True, 0, bytes([1]) * 32, shared)
    two = Greeting(False, 0, bytes([2]) * 32, other)
    return BridgedLink(one), BridgedLink(two)


async def test_blocks_pass_between_two_ends_with_one_handshake_hash() -> None:
    core = Core.create()
    core.append([b"block", b"another"])
    copy = Core.open(key=core.key)
    one, two = pair(bytes(64), bytes(64))
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as left, open_replication() as right:
            left.add(core)
            right.add(copy)
            near, far = trio.testing.memory_stream_pair()
            session = left.attach(near, is_initiator=True, link=one)
            right.attach(far, is_initiator=False, link=two)
            assert await right.update(copy) == 2
            await right.download(copy)
            assert session.remote_public_key == bytes([1]) * 32
    assert copy.get(1) == b"another"


async def test_ends_of_different_handshakes_do_not_trust_each_other() -> None:
    core = Core.create()
    core.append([b"secret"])
    one, two = pair(bytes(64), os.urandom(64))
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as left, open_replication() as right:
            left.add(core)
            right.add(Core.open(key=core.key))
            near, far = trio.testing.memory_stream_pair()
            session = left.attach(near, is_initiator=True, link=one)
            right.attach(far, is_initiator=False, link=two)
            await session.ended.wait()
            assert not session.peers


def test_greetings_are_of_the_documented_size() -> None:
    assert len(GREETING.encode()) == GREETING_BYTES == 99
