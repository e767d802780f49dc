"""What a multiplexer refuses, of its peer and of its user."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.errors import DecodeError, LocalProtocolError, RemoteProtocolError
from hypercore.protomux import MAX_UNANSWERED_BYTES, OpenRequested, Protomux
from tests.hypercore.muxes import events, open_pair

ID = b"\x09" * 32


def test_unknown_control_types_and_unknown_channels_are_ignored() -> None:
    mux = Protomux()
    for message in (b"\x00\x09anything", b"\x05\x00body", b"\x00\x03\x07", b"\x00\x03\x00"):
        mux.receive(message)
    assert events(mux) == []
    assert mux.flush() == []


def test_the_control_channel_cannot_be_opened() -> None:
    mux = Protomux()
    mux.receive(b"\x00\x01\x00\x04chat\x00")
    assert events(mux) == []
    assert mux.flush() == [b"\x00\x02\x00"]


def test_a_second_channel_for_an_open_name_is_rejected() -> None:
    _, right, _, _ = open_pair()
    right.receive(b"\x00\x01\x02\x04chat\x00")
    assert events(right) == []
    assert right.flush() == [b"\x00\x02\x02"]


@pytest.mark.parametrize("remote_id", [2, 3, 200])
def test_a_channel_number_that_skips_one_is_refused(remote_id: int) -> None:
    with pytest.raises(RemoteProtocolError, match="skips"):
        Protomux().receive(bytes((0, 1, remote_id)) + b"\x04chat\x00")


def test_a_live_channel_number_opened_again_is_refused() -> None:
    mux = Protomux()
    mux.receive(b"\x00\x01\x01\x04chat\x00")
    with pytest.raises(RemoteProtocolError, match="twice"):
        mux.receive(b"\x00\x01\x01\x05other\x00")


def test_more_channels_than_the_bound_are_refused() -> None:
    mux = Protomux(max_channels=2)
    mux.receive(b"\x00\x01\x01\x01a\x00")
    mux.receive(b"\x00\x01\x02\x01b\x00")
    with pytest.raises(RemoteProtocolError, match="more than 2"):
        mux.receive(b"\x00\x01\x03\x01c\x00")
    mux.open("a", b"")
    mux.open("b", b"")
    with pytest.raises(LocalProtocolError, match="more than 2"):
        mux.open("c", b"")


def test_too_many_messages_before_our_answer_are_refused() -> None:
    mux = Protomux()
    mux.receive(b"\x00\x01\x01\x04chat\x00")
    mux.receive(b"\x01\x00" + bytes(MAX_UNANSWERED_BYTES - 1))
    with pytest.raises(RemoteProtocolError, match="not answered"):
        mux.receive(b"\x01\x00")


def test_rejecting_frees_the_kept_messages() -> None:
    mux = Protomux()
    mux.receive(b"\x00\x01\x01\x04chat\x00")
    mux.receive(b"\x01\x00" + bytes(MAX_UNANSWERED_BYTES - 1))
    mux.reject("chat", b"")
    mux.receive(b"\x00\x01\x01\x04chat\x00")
    mux.receive(b"\x01\x00" + bytes(MAX_UNANSWERED_BYTES - 1))
    assert [type(event) for event in events(mux)] == [OpenRequested, OpenRequested]


@pytest.mark.parametrize("message", [b"\x00\x02\x01", b"\x00\x02\x00"])
def test_a_reject_of_nothing_is_refused(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="not waiting"):
        Protomux().receive(message)


def test_a_batch_inside_a_batch_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="inside"):
        Protomux().receive(b"\x00\x00\x00\x02\x00\x00")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00\x00\x01\x05ab",
        b"\x00\x01\x01",
        b"\x00\x01\x01\x04cha",
        b"\x00\x01\x01\x02\xff\xfe\x00",
        b"\x00\x01\x01\xfd\x01\x04" + bytes(1025),
        b"\x00\x03",
    ],
)
def test_malformed_messages_are_refused(message: bytes) -> None:
    with pytest.raises(DecodeError):
        Protomux().receive(message)


def test_opening_twice_rejecting_nothing_and_sending_too_early_are_our_faults() -> None:
    mux = Protomux()
    channel = mux.open("chat", b"")
    with pytest.raises(LocalProtocolError, match="already open"):
        mux.open("chat", b"")
    with pytest.raises(LocalProtocolError, match="did not ask"):
        mux.reject("other", b"")
    with pytest.raises(LocalProtocolError, match="has not opened"):
        mux.send(channel, 0, b"")


@settings(max_examples=200)
@given(messages=st.lists(st.binary(max_size=40).map(lambda tail: b"\x00" + tail), max_size=6))
def test_arbitrary_control_messages_are_handled_or_refused(messages: list[bytes]) -> None:
    mux = Protomux()
    try:
        for message in messages:
            mux.receive(message)
            events(mux)
    except RemoteProtocolError:
        return
    mux.flush()
