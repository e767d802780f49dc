"""Channel multiplexing against golden frames and recorded sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypercore.messages import PROTOCOL, PROTOCOL_ALIAS, Handshake, decode_message
from hypercore.protomux import (
    BATCH_BYTES,
    BATCH_ITEM_BYTES,
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    OpenRequested,
    Protomux,
)
from tests.hypercore.muxes import answer_opens, deliver, events, open_pair

VECTORS = Path(__file__).parents[1] / "vectors" / "hypercore"
FRAMES = {
    frame["op"].split(":")[0]: bytes.fromhex(frame["hex"])
    for frame in json.loads((VECTORS / "12_protomux.json").read_text())["frames"]
}
ID = b"\x09" * 32
REJECT = b"\x00\x02"


def test_control_and_channel_messages_are_golden() -> None:
    mux = Protomux()
    first = mux.open(PROTOCOL, ID, Handshake(b"\x08" * 32).encode())
    assert mux.flush() == [FRAMES["open channel 1"]]
    second = mux.open("chat", b"", b"\x02hi")
    assert mux.flush() == [FRAMES["open channel 2"]]
    answer_opens(mux, 2)
    mux.send(first, 0, b"abc")
    assert mux.flush() == [FRAMES['channel 1 message type 0 raw "abc"']]
    mux.send(first, 2, b"\x03xyz")
    assert mux.flush() == [FRAMES['channel 1 message type 2 string "xyz"']]
    for channel, type, body in ((first, 0, b"a"), (first, 1, b"b"), (second, 0, b"\x01c"), (first, 0, b"d")):
        mux.send(channel, type, body)
    assert mux.flush() == [FRAMES["batch"]]
    mux.close(second)
    assert mux.flush() == [FRAMES["close channel 2"]]


def test_reject_of_an_unknown_protocol_is_golden() -> None:
    mux = Protomux()
    mux.receive(FRAMES["open channel 1"])
    assert events(mux) == [OpenRequested(PROTOCOL, ID)]
    mux.reject(PROTOCOL, ID)
    assert mux.flush() == [FRAMES["reply to a remote open (remote channel id 1) of an unknown protocol"]]


def test_golden_batch_and_close_are_read() -> None:
    mux = Protomux()
    first, second = mux.open(PROTOCOL, ID), mux.open("chat", b"")
    mux.receive(FRAMES["open channel 1"])
    mux.receive(FRAMES["open channel 2"])
    assert events(mux) == [ChannelOpened(first, Handshake(b"\x08" * 32).encode()), ChannelOpened(second, b"\x02hi")]
    mux.receive(FRAMES["batch"])
    assert events(mux) == [
        ChannelMessage(first, 0, b"a"),
        ChannelMessage(first, 1, b"b"),
        ChannelMessage(second, 0, b"\x01c"),
        ChannelMessage(first, 0, b"d"),
    ]
    mux.receive(FRAMES["close channel 1 inside a batch"])
    assert events(mux) == [ChannelClosed(first, rejected=False)]
    mux.receive(FRAMES["open with 300-byte id (3-byte length prefix)"].replace(b"\x00\x01\x03", b"\x00\x01\x01", 1))
    assert events(mux) == [OpenRequested("chat", b"\x01" * 300)]


def plaintexts(transcript: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Who sent what, in write order; messages with 64 KiB blocks are recorded shortened and left out."""
    messages = transcript.get("fullPlain", transcript["messages"])
    return [(message["from"], bytes.fromhex(message["hex"])) for message in messages if "..." not in message["hex"]]


def replay(mux: Protomux, plaintext: bytes) -> int:
    """Feeds one recorded message; answers opens; returns how many core messages were decoded and re-encoded."""
    mux.receive(plaintext)
    seen = 0
    while (event := mux.next_event()) is not None:
        if isinstance(event, OpenRequested):
            mux.open(event.protocol, event.id)
        elif isinstance(event, ChannelMessage):
            message = decode_message(event.type, event.body)
            assert message is not None
            assert message.type == event.type
            assert message.encode() == event.body
            seen += 1
        elif isinstance(event, ChannelOpened):
            assert Handshake.decode(event.handshake).encode() == event.handshake
    return seen


@pytest.mark.parametrize("path", sorted(VECTORS.glob("13_transcript_*.json")), ids=lambda path: path.stem)
def test_every_message_of_a_recorded_session_decodes_and_encodes_to_equal_bytes(path: Path) -> None:
    transcript = json.loads(path.read_text())
    expected = {"initiator": 0, "responder": 0}
    for message in transcript["messages"]:
        for item in message["decoded"]:
            expected[message["from"]] += sum("name" in part for part in item.get("batch", [item]))
    receivers = {"initiator": Protomux(), "responder": Protomux()}
    seen = {"initiator": 0, "responder": 0}
    for sender, plaintext in plaintexts(transcript):
        if plaintext[:2] == REJECT:
            # The receiving half below opens everything, so a recorded refusal is a close of what it opened.
            other = receivers["initiator" if sender == "responder" else "responder"]
            channel = other._remote[plaintext[2]].channel
            assert channel is not None
            other.close(channel)
        else:
            seen[sender] += replay(receivers[sender], plaintext)
    shortened = len(transcript["messages"]) - len(plaintexts(transcript))
    assert sum(seen.values()) == sum(expected.values()) - shortened


def test_channels_open_in_either_order_and_at_once() -> None:
    left, right = Protomux(), Protomux()
    a, b = left.open("chat", b"x"), right.open("chat", b"x")
    assert deliver(left, right) == [ChannelOpened(b, b"")]
    assert deliver(right, left) == [ChannelOpened(a, b"")]
    left.send(a, 3, b"hello")
    assert deliver(left, right) == [ChannelMessage(b, 3, b"hello")]


def test_messages_before_our_open_are_kept_in_order() -> None:
    left, right, _, _ = open_pair()
    late = left.open("late", b"")
    late.remote_id = 99
    left.send(late, 0, b"one")
    left.send(late, 1, b"two")
    assert deliver(left, right) == [OpenRequested("late", b"")]
    channel = right.open("late", b"")
    assert events(right) == [
        ChannelOpened(channel, b""),
        ChannelMessage(channel, 0, b"one"),
        ChannelMessage(channel, 1, b"two"),
    ]


def test_an_alias_of_a_protocol_pairs_with_its_name() -> None:
    left, right = Protomux(), Protomux({PROTOCOL_ALIAS: PROTOCOL})
    channel = right.open(PROTOCOL, ID)
    left.open(PROTOCOL_ALIAS, ID)
    assert deliver(left, right) == [ChannelOpened(channel, b"")]


def test_a_rejected_channel_can_be_opened_again() -> None:
    left, right = Protomux(), Protomux()
    channel = left.open("chat", b"")
    deliver(left, right)
    right.reject("chat", b"")
    assert deliver(right, left) == [ChannelClosed(channel, rejected=True)]
    assert channel.closed
    again = left.open("chat", b"")
    assert again.local_id == channel.local_id
    assert deliver(left, right) == [OpenRequested("chat", b"")]


def test_a_closed_channel_gives_its_number_back_to_both_sides() -> None:
    left, right, left_channel, right_channel = open_pair()
    left.close(left_channel)
    assert deliver(left, right) == [ChannelClosed(right_channel, rejected=False)]
    assert left.open("other", b"").local_id == left_channel.local_id
    assert deliver(left, right) == [OpenRequested("other", b"")]


def test_closing_before_the_peer_answers_ends_with_its_answer() -> None:
    left, right = Protomux(), Protomux()
    channel = left.open("chat", b"")
    opening = left.flush()
    left.close(channel)
    closing = left.flush()
    for message in opening:
        right.receive(message)
    right.open("chat", b"")
    for message in right.flush():
        left.receive(message)
    assert events(left) == []
    for message in closing:
        right.receive(message)
    assert isinstance(events(right)[-1], ChannelClosed)
    assert left.open("chat", b"").local_id == channel.local_id


def test_an_open_that_is_taken_back_in_the_same_breath_is_answered_and_forgotten() -> None:
    left, right = Protomux(), Protomux()
    channel = left.open("chat", b"")
    left.close(channel)
    assert deliver(left, right) == []
    assert deliver(right, left) == []
    again = left.open("chat", b"")
    assert again.local_id == channel.local_id
    assert deliver(left, right) == [OpenRequested("chat", b"")]
    right.open("chat", b"")
    assert deliver(right, left) == [ChannelOpened(again, b"")]


def test_a_channel_that_is_opened_again_before_the_answers_come_gets_the_second_one() -> None:
    left, right = Protomux(), Protomux()
    for _ in range(3):
        channel = left.open("chat", b"")
        left.close(channel)
    last = left.open("chat", b"")
    for message in left.flush():
        right.receive(message)
    assert right.next_event() == OpenRequested("chat", b"")
    mine = right.open("chat", b"")
    assert events(right) == [ChannelOpened(mine, b"")]
    assert deliver(right, left) == [ChannelOpened(last, b"")]


def test_a_peer_that_opened_its_half_of_a_closed_channel_hears_of_the_close_again() -> None:
    """JavaScript ignores the first one while its own half is not open."""
    mux = Protomux()
    mux.close(mux.open("chat", b""))
    mux.flush()
    peer = Protomux()
    peer.open("chat", b"")
    assert deliver(peer, mux) == []
    assert mux.flush() == [bytes((0, 3, 1))]


def test_messages_for_a_closed_channel_are_dropped() -> None:
    left, right, left_channel, right_channel = open_pair()
    left.send(left_channel, 0, b"late")
    right.close(right_channel)
    assert deliver(left, right) == []
    left.close(left_channel)
    left.close(left_channel)
    left.send(left_channel, 0, b"ignored")
    assert len(left.flush()) == 1


def test_large_messages_travel_alone_and_batches_are_bounded() -> None:
    left, right, left_channel, _ = open_pair()
    bodies = [b"s", bytes(BATCH_ITEM_BYTES + 1), b"t"] + [bytes(BATCH_ITEM_BYTES - 1)] * 40
    for body in bodies:
        left.send(left_channel, 1, body)
    messages = left.flush()
    assert max(map(len, messages)) < BATCH_BYTES + 1024
    for message in messages:
        right.receive(message)
    assert [event.body for event in events(right) if isinstance(event, ChannelMessage)] == bodies
