from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercore.encoding import MAXIMUM_ARRAY_ITEMS, MAXIMUM_UINT, Reader, Writer, encode_uint
from hypercore.errors import DecodeError, LocalProtocolError


def _bytes(value: str | None) -> bytes:
    return bytes.fromhex(value or "")


CODECS: dict[str, tuple[Callable[[Writer, Any], Any], Callable[[Reader], Any]]] = {
    "uint": (Writer.uint, Reader.uint),
    "int": (Writer.signed, Reader.signed),
    "uint16": (Writer.uint16, Reader.uint16),
    "uint32": (Writer.uint32, Reader.uint32),
    "uint64": (Writer.uint64, Reader.uint64),
    "string": (Writer.string, Reader.string),
    "buffer": (lambda out, value: out.buffer(_bytes(value)), lambda data: data.buffer().hex()),
    "optionalBuffer": (
        lambda out, value: out.optional_buffer(_bytes(value)),
        lambda data: (lambda value: value and value.hex())(data.optional_buffer()),
    ),
    "bool": (Writer.boolean, Reader.boolean),
    "fixed32": (lambda out, value: out.fixed(_bytes(value), 32), lambda data: data.fixed(32).hex()),
    "raw": (lambda out, value: out.raw(_bytes(value)), lambda data: data.rest().hex()),
    "array_uint": (lambda out, value: out.array(value, Writer.uint), lambda data: data.array(Reader.uint)),
    "uint32array": (Writer.uint32_array, Reader.uint32_array),
}


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_primitive_writes_and_reads_the_golden_bytes(name: str, vectors: Callable[[str], Any]) -> None:
    write, read = CODECS[name]
    for case in vectors("01_compact_encoding")[name]:
        out = Writer()
        write(out, case["value"])
        assert out.finish().hex() == case["hex"]
        reader = Reader(bytes.fromhex(case["hex"]))
        assert read(reader) == case["value"]
        reader.finish()


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ("", Reader.uint),
        ("fd", Reader.uint),
        ("fd00", Reader.uint),
        ("fe000000", Reader.uint),
        ("ff00000000000000", Reader.uint),
        ("ff0000000000002000", Reader.uint),
        ("ffffffffffffffffff", Reader.uint),
        ("ffffffffffffffff", Reader.uint64),
        ("05616263", Reader.buffer),
        ("ffffffffffffff1f00", Reader.buffer),
        ("02c328", Reader.string),
        ("0200000000", Reader.uint32_array),
        ("fe00001000", Reader.uint32_array),
        ("fe01001000", lambda data: data.array(Reader.uint)),
        ("0301", lambda data: data.array(Reader.uint)),
        ("0000", lambda data: data.fixed(3)),
        ("", Reader.boolean),
    ],
)
def test_short_or_oversized_input_is_refused(data: str, read: Callable[[Reader], Any]) -> None:
    with pytest.raises(DecodeError):
        read(Reader(bytes.fromhex(data)))


def test_a_count_is_refused_before_anything_is_allocated_for_it() -> None:
    with pytest.raises(DecodeError, match="1000000 items"):
        Reader(encode_uint(1_000_000) + b"\x00" * 50).array(Reader.uint, item_size_minimum=34)


def test_a_buffer_above_its_own_maximum_is_refused_even_when_it_is_there() -> None:
    with pytest.raises(DecodeError, match="at most 3"):
        Reader(b"\x04abcd").buffer(3)


@pytest.mark.parametrize("data", ["fdfc00", "fe00010000", "ff0100000000000000"])
def test_a_canonical_reader_refuses_long_forms_that_a_lenient_one_accepts(data: str) -> None:
    assert Reader(bytes.fromhex(data)).uint() >= 0
    with pytest.raises(DecodeError, match="shortest"):
        Reader(bytes.fromhex(data), canonical=True).uint()


def test_a_canonical_reader_refuses_a_boolean_above_one() -> None:
    assert Reader(b"\x02").boolean() is False
    with pytest.raises(DecodeError):
        Reader(b"\x02", canonical=True).boolean()


def test_bytes_left_over_are_refused() -> None:
    reader = Reader(b"\x01\x02")
    reader.uint()
    with pytest.raises(DecodeError, match="left over"):
        reader.finish()


@pytest.mark.parametrize(
    "write",
    [
        lambda out: out.uint(-1),
        lambda out: out.uint(MAXIMUM_UINT + 1),
        lambda out: out.uint16(65_536),
        lambda out: out.uint32(-1),
        lambda out: out.uint64(MAXIMUM_UINT + 1),
        lambda out: out.fixed(b"123", 4),
        lambda out: out.uint32_array([2**32]),
        lambda out: out.array(range(MAXIMUM_ARRAY_ITEMS + 1), lambda writer, item: None),
    ],
)
def test_what_cannot_be_encoded_is_our_own_error(write: Callable[[Writer], Any]) -> None:
    with pytest.raises(LocalProtocolError):
        write(Writer())


@given(st.integers(0, MAXIMUM_UINT))
def test_integers_round_trip_in_their_shortest_form(value: int) -> None:
    assert Reader(encode_uint(value), canonical=True).uint() == value


@given(st.integers(-(2**52), 2**52 - 1))
def test_signed_integers_round_trip(value: int) -> None:
    assert Reader(Writer().signed(value).finish()).signed() == value


@given(st.binary(max_size=40))
def test_random_bytes_are_read_or_refused_but_never_crash(data: bytes) -> None:
    for _, read in CODECS.values():
        try:
            read(Reader(data))
        except DecodeError:
            continue
