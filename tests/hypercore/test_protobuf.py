"""The protobuf subset: round trips, and every kind of damage is a DecodeError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import protobuf
from hypercore.encoding import MAXIMUM_UINT
from hypercore.errors import DecodeError, LocalProtocolError

NUMBERS = st.integers(0, MAXIMUM_UINT)


@given(NUMBERS)
def test_varints_round_trip(value: int) -> None:
    data = protobuf.varint(value)
    assert protobuf.read_varint(b"\xff" + data, 1) == (value, 1 + len(data))


@settings(max_examples=50)
@given(st.lists(NUMBERS, max_size=20))
def test_packed_lists_round_trip(values: list[int]) -> None:
    data = protobuf.packed_field(3, values)
    assert protobuf.read_packed(protobuf.read_bytes_fields(data).get(3, b"")) == tuple(values)
    assert bool(data) is bool(values)


@settings(max_examples=50)
@given(st.dictionaries(st.integers(1, 1000), st.binary(max_size=200), max_size=5))
def test_messages_round_trip(fields: dict[int, bytes]) -> None:
    data = b"".join(protobuf.bytes_field(number, value) for number, value in fields.items())
    assert protobuf.read_bytes_fields(data) == fields


def test_fields_of_every_type_are_passed_over() -> None:
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x01x" + b"\x25" + bytes(4)
    assert list(protobuf.read_fields(data)) == [(1, 150), (2, bytes(8)), (3, b"x"), (4, bytes(4))]
    assert protobuf.read_bytes_fields(b"\x0a\x01a\x0a\x01b") == {1: b"b"}


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"\x0a", "cut short"),
        (b"\x80", "cut short"),
        (b"\x0a\x05abc", "needs 5 bytes, 3 are left"),
        (b"\x09\x00", "needs 8 bytes"),
        (b"\x0d\x00", "needs 4 bytes"),
        (b"\x0b", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x02\x00", "field number 0"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "more than 10 bytes"),
        (b"\x08" + b"\xff" * 8 + b"\x01", "above 2^53-1"),
        (b"\x0a" + b"\xff" * 7 + b"\x0f", "are left"),
    ],
)
def test_damaged_messages_are_refused(data: bytes, part: str) -> None:
    with pytest.raises(DecodeError, match=part.replace("^", r"\^")):
        list(protobuf.read_fields(data))


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"\x01\x80", "cut short"),
        (b"\x80" * 10 + b"\x01", "more than 10 bytes"),
        (b"\xff" * 8 + b"\x01", "above 2"),
    ],
)
def test_damaged_lists_are_refused(data: bytes, part: str) -> None:
    with pytest.raises(DecodeError, match=part):
        protobuf.read_packed(data)


@pytest.mark.parametrize("value", [-1, MAXIMUM_UINT + 1])
def test_numbers_that_javascript_cannot_hold_are_not_written(value: int) -> None:
    with pytest.raises(LocalProtocolError, match="outside"):
        protobuf.varint(value)
    with pytest.raises(LocalProtocolError, match="outside"):
        protobuf.packed_field(1, [0, value, 1])


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_either_decode_or_raise_a_decode_error(data: bytes) -> None:
    with suppress(DecodeError):
        assert all(number > 0 for number, _ in protobuf.read_fields(data))
