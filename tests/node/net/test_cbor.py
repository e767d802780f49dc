from __future__ import annotations

from dataclasses import dataclass

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.net import cbor
from node.net.cbor import InvalidMessage, decode, encode
from node.net.messages import Batch, BlockAnnounce, Control, Handshake, SyncRequest, SyncResponse, chain_protocol


@dataclass(frozen=True)
class Sample:
    number: int = cbor.unsigned(16)
    flag: bool = cbor.flag()
    digest: bytes = cbor.fixed_bytes(4)
    maybe: bytes | None = cbor.optional_fixed_bytes(2)
    blob: bytes = cbor.bounded_bytes(8)
    text: str = cbor.bounded_text(6)
    word: str = cbor.choice("yes", "no")
    blobs: tuple[bytes, ...] = cbor.bytes_list(3, 4)
    texts: tuple[str, ...] = cbor.text_list(2, 4)


GOOD = Sample(7, True, b"abcd", None, b"", "é", "yes", (b"", b"1234"), ("a",))


def spoiled(**changes: object) -> bytes:
    fields = cbor2.loads(encode(GOOD))
    fields.update(changes)
    return cbor2.dumps(fields, canonical=True)


def test_encode_and_decode_are_inverse() -> None:
    assert decode(Sample, encode(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", -1),
        ("number", 1 << 16),
        ("number", 1.0),
        ("number", True),
        ("number", "7"),
        ("number", None),
        ("flag", 1),
        ("flag", None),
        ("digest", b"abc"),
        ("digest", b"abcde"),
        ("digest", "abcd"),
        ("maybe", b"1"),
        ("maybe", False),
        ("blob", bytes(9)),
        ("blob", []),
        ("text", "1234567"),
        ("text", "ééé é"),
        ("text", b"abc"),
        ("word", "maybe"),
        ("word", 1),
        ("word", ["yes"]),
        ("blobs", [b""] * 4),
        ("blobs", [b"12345"]),
        ("blobs", ["a"]),
        ("blobs", b"abc"),
        ("blobs", {}),
        ("texts", ["a", "b", "c"]),
        ("texts", ["12345"]),
        ("texts", [["a"]]),
        ("blob", cbor2.CBORTag(35, "(a+)+$")),
        ("text", cbor2.CBORTag(0, "2020-01-01T00:00:00Z")),
    ],
)
def test_a_field_outside_its_type_or_bound_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidMessage, match=rf"Sample(\.{field}|: not CBOR)"):
        decode(Sample, spoiled(**{field: value}))


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(InvalidMessage, match="unknown fields \\['extra'\\]"):
        decode(Sample, spoiled(extra=1))


def test_a_missing_field_is_refused_by_name() -> None:
    fields = cbor2.loads(encode(GOOD))
    del fields["digest"]
    with pytest.raises(InvalidMessage, match="missing fields \\['digest'\\]"):
        decode(Sample, cbor2.dumps(fields, canonical=True))


def test_fields_in_another_order_are_not_canonical() -> None:
    fields = dict(reversed(cbor2.loads(encode(GOOD)).items()))
    with pytest.raises(InvalidMessage, match="canonical"):
        decode(Sample, cbor2.dumps(fields))


def test_a_number_spelt_longer_than_needed_is_not_canonical() -> None:
    good = encode(GOOD)
    key = cbor2.dumps("number")
    at = good.index(key) + len(key)
    assert good[at] == 7
    with pytest.raises(InvalidMessage, match="canonical"):
        decode(Sample, good[:at] + b"\x18\x07" + good[at + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        encode(GOOD)[:-1],
        encode(GOOD) + b"\x00",
        cbor2.dumps([1, 2]),
        cbor2.dumps("map"),
        b"\x81" * 100 + b"\x01",
        b"\xbf\xff",
        b"\xa2\x61a\x01\x61a\x02",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_what_is_not_one_bounded_map_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        decode(Sample, data)


def test_more_bytes_than_the_bound_are_not_even_looked_at() -> None:
    with pytest.raises(InvalidMessage, match="at most 10"):
        decode(Sample, bytes(11), max_bytes=10)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_invalid_message(data: bytes) -> None:
    for message_type in (Handshake, Control, Batch, BlockAnnounce, SyncRequest, SyncResponse):
        with pytest.raises(InvalidMessage):
            decode(message_type, data)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=3))
def test_a_changed_message_is_refused_or_says_something_else(position: int, noise: bytes) -> None:
    original = Handshake(bytes(32), 5, bytes(range(32)), "full", ("/ip4/127.0.0.1/tcp/1",))
    data = bytearray(encode(original))
    data[position % len(data)] ^= noise[0] or 1
    try:
        assert decode(Handshake, bytes(data)) != original
    except InvalidMessage:
        return


@pytest.mark.parametrize(
    "message",
    [
        Handshake(bytes(32), 0, bytes(32), "authority", ()),
        Control("ping", 1 << 63, ""),
        Batch((b"", b"x" * 1000)),
        BlockAnnounce(b"header", False),
        SyncRequest(1, "blocks", 4_000_000_000, 128),
        SyncResponse(1, None, (b"envelope",)),
        SyncResponse(1, bytes(32), ()),
    ],
)
def test_every_message_survives_the_wire(message: object) -> None:
    assert decode(type(message), encode(message)) == message


def test_protocol_ids_carry_the_first_eight_bytes_of_the_genesis() -> None:
    assert chain_protocol(bytes(range(32)), "sync") == "/0001020304050607/sync/1"
