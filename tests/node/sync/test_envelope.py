from __future__ import annotations

import hashlib

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from node.sync.envelope import (
    Envelope,
    InvalidEnvelope,
    decode_envelope,
    encode_envelope,
    summarize_block,
    summarize_header,
)

PARENT = bytes(range(32))


@given(st.binary(max_size=100), st.lists(st.binary(max_size=100), max_size=5), st.binary(max_size=50))
def test_an_envelope_survives_the_wire(header: bytes, extrinsics: list[bytes], justification: bytes) -> None:
    encoded = encode_envelope(header, extrinsics, justification)
    assert decode_envelope(encoded) == Envelope(header, tuple(extrinsics), justification)


@pytest.mark.parametrize(
    ("compact", "number"),
    [
        (b"\x00", 0),
        (b"\xfc", 63),
        (b"\x01\x01", 64),
        (b"\xfd\xff", 16383),
        (b"\x02\x00\x01\x00", 16384),
        (b"\xfe\xff\xff\xff", (1 << 30) - 1),
        (b"\x03\x00\x00\x00\x40", 1 << 30),
    ],
)
def test_the_number_of_a_header_is_read_in_every_compact_form(compact: bytes, number: int) -> None:
    header = PARENT + compact + bytes(64)
    summary = summarize_block(encode_envelope(header, []))
    assert (summary.number, summary.parent_hash) == (number, PARENT)
    assert summary.hash == hashlib.blake2b(header, digest_size=32).digest()


@pytest.mark.parametrize(
    "header", [b"", PARENT, PARENT + b"\x01", PARENT + b"\x02\x00\x00", PARENT + b"\x03\x00\x00\x00"]
)
def test_a_header_that_is_cut_short_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidEnvelope, match="cut short"):
        summarize_header(header)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        rlp.encode(b"header"),
        rlp.encode([b"header", []]),
        rlp.encode([b"header", b"no list", b""]),
        rlp.encode([[b"header"], [], b""]),
        rlp.encode([b"header", [[b"nested"]], b""]),
        rlp.encode([b"header", [], []]),
        rlp.encode([b"header", [], b"", b""]),
        encode_envelope(b"header", [])[:-1],
        encode_envelope(b"header", []) + b"\x00",
        b"\xff" * 9,
        b"\xc1" * 2000,
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        decode_envelope(data)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_raise_nothing_but_invalid_envelope(data: bytes) -> None:
    try:
        summarize_block(data)
    except InvalidEnvelope:
        return
    assert encode_envelope(*_parts(data)) == data


def _parts(data: bytes) -> tuple[bytes, tuple[bytes, ...], bytes]:
    envelope = decode_envelope(data)
    return envelope.header, envelope.extrinsics, envelope.justification
