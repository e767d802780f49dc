"""SCALE against the golden vectors, and its two laws: what is encoded decodes to itself, and in no other form."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec import Codecs, codec_for
from runtime.errors import CodecError, DispatchErrorValue, Module, ModuleErrorValue, Token, TokenErrorKind
from runtime.types import (
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    AccountId,
    Bytes4,
    CompactU32,
    CompactU64,
    CompactU128,
    Err,
    Fixed,
    MaxLength,
    Ok,
    Ordered,
    Result,
    Variant,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/substrate/scale.json").read_text())["vectors"]
T = TypeVar("T")
Outcome: Any = Result[U8, str]  # type: ignore[misc]


class Letter(enum.Enum):
    """An enum without fields."""

    A = "first"
    B = "second"


class Shape(Variant):
    """An enum with fields."""


@dataclass(frozen=True)
class X(Shape, unnamed=True):
    """One number."""

    value: U8


@dataclass(frozen=True)
class Y(Shape, unnamed=True):
    """A pair."""

    value: tuple[U16, bool]


@dataclass(frozen=True)
class Z(Shape, index=9):
    """Nothing, far away."""


@dataclass(frozen=True)
class Record:
    """A struct."""

    a: U8
    b: bytes
    c: CompactU64


@dataclass(frozen=True)
class Pair(Generic[T]):
    """A struct with a type parameter."""

    low: T
    high: T


@dataclass(frozen=True)
class Nested:
    """A struct with everything."""

    shape: Shape
    letters: tuple[Letter, ...]
    note: str | None
    outcome: Result[U8, str]
    pair: Pair[U16]
    short: Annotated[bytes, MaxLength(3)]


TYPES: dict[str, Any] = {
    "Compact<u128>": CompactU128,
    "u8": U8,
    "u16": U16,
    "u32": U32,
    "u64": U64,
    "u128": U128,
    "i8": I8,
    "i16": I16,
    "i32": I32,
    "i64": I64,
    "i128": I128,
    "bool": bool,
    "Text": str,
    "Bytes": bytes,
    "Vec<u16>": tuple[U16, ...],
    "Option<u32>": U32 | None,
    "Option<bool>": bool | None,
    "(u8,u32,bool)": tuple[U8, U32, bool],
    "[u8;4]": Bytes4,
    "BTreeMap<u32,Text>": Annotated[tuple[tuple[U32, str], ...], Ordered(mapping=True)],
    "BTreeSet<u32>": Annotated[tuple[U32, ...], Ordered()],
    "Result<u8,Text>": Outcome,
    "H256": Annotated[bytes, Fixed(32)],
    '{"_enum":["A","B"]}': Letter,
    '{"_enum":{"X":"u8","Y":"(u16,bool)","Z":"Null"}}': Shape,
    '{"a":"u8","b":"Vec<u8>","c":"Compact<u64>"}': Record,
}


def value_of(kind: str, value: Any) -> Any:
    """Return a vector's value as this codec holds it."""
    if kind in ("Bytes", "[u8;4]", "H256"):
        return bytes.fromhex(value[2:])
    if kind.startswith("BTreeMap"):
        return tuple((int(key), text) for key, text in value.items())
    if kind.startswith("BTreeSet"):
        return tuple(sorted(value))
    if kind.startswith("Result"):
        return Ok(value["Ok"]) if "Ok" in value else Err(value["Err"])
    if kind == '{"_enum":["A","B"]}':
        return Letter[value]
    if kind.startswith('{"_enum"'):
        return Y(tuple(value["Y"]))
    if kind.startswith("{"):
        return Record(value["a"], bytes.fromhex(value["b"][2:]), value["c"])
    if isinstance(value, list):
        return tuple(value)
    return int(value) if kind[0] in "uiC" and isinstance(value, str) else value


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['type'][:24]}={str(vector['value'])[:24]}")
def test_golden_vectors_encode_and_decode(vector: dict[str, Any]) -> None:
    codec = codec_for(TYPES[vector["type"]])
    value, encoded = value_of(vector["type"], vector["value"]), bytes.fromhex(vector["hex"][2:])
    assert codec.encode(value) == encoded
    assert codec.decode(encoded) == value


def test_every_vector_type_is_known() -> None:
    assert {vector["type"] for vector in VECTORS} == set(TYPES)


shapes = st.one_of(
    st.builds(X, st.integers(0, 255)), st.builds(Y, st.tuples(st.integers(0, 65535), st.booleans())), st.just(Z())
)
nested = st.builds(
    Nested,
    shape=shapes,
    letters=st.lists(st.sampled_from(Letter), max_size=70).map(tuple),
    note=st.none() | st.text(max_size=20),
    outcome=st.builds(Ok, st.integers(0, 255)) | st.builds(Err, st.text(max_size=5)),
    pair=st.builds(Pair, st.integers(0, 65535), st.integers(0, 65535)),
    short=st.binary(max_size=3),
)


@given(nested)
def test_round_trip(value: Nested) -> None:
    codec = codec_for(Nested)
    encoded = codec.encode(value)
    assert codec.decode(encoded) == value
    assert codec.read(b"\xff" + encoded + b"\xff", 1) == (value, len(encoded) + 1)


@given(st.binary(max_size=40))
def test_what_decodes_is_in_canonical_form(data: bytes) -> None:
    codec = codec_for(Nested)
    try:
        value = codec.decode(data)
    except CodecError:
        return
    assert codec.encode(value) == data


@given(nested, st.data())
def test_truncated_input_is_refused(value: Nested, data: st.DataObject) -> None:
    encoded = codec_for(Nested).encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CodecError):
        codec_for(Nested).decode(encoded[:cut])


@given(st.integers(0, 2**128 - 1))
def test_compact_round_trip_in_the_fewest_bytes(value: int) -> None:
    encoded = codec_for(CompactU128).encode(value)
    assert codec_for(CompactU128).decode(encoded) == value
    assert len(encoded) <= 1 + max(4, (value.bit_length() + 7) // 8)


@pytest.mark.parametrize(
    ("annotation", "data", "reason"),
    [
        (CompactU32, "0100", "shortest"),
        (CompactU32, "fd00", "shortest"),
        (CompactU32, "02000000", "shortest"),
        (CompactU32, "03ffffff3f", "shortest"),
        (CompactU128, "0700000000", "needs 5 bytes"),
        (CompactU128, "070000000000", "shortest"),
        (CompactU32, "070000000001", "at most 4"),
        (CompactU64, "17000000000000000001", "at most 8"),
        (CompactU128, "37" + "00" * 16 + "01", "at most 16"),
        (Annotated[int, type(CompactU32.__metadata__[0])(2)], "02000400", "does not fit 2"),  # type: ignore[attr-defined]
        (CompactU32, "", "ends"),
        (CompactU32, "01", "needs 2 bytes"),
        (bool, "02", "bool is 00 or 01"),
        (bool, "", "bool"),
        (U32 | None, "0201000000", "Option begins"),
        (U32 | None, "", "end of input"),
        (bool | None, "02", "Option begins"),
        (Letter, "02", "no variant 2"),
        (Letter, "", "ends"),
        (Shape, "0200", "no variant 2"),
        (Shape, "", "ends"),
        (Outcome, "02", "no variant 2"),
        (str, "08c328", "UTF-8"),
        (str, "0ceda080", "UTF-8"),
        (bytes, "feffffff", "1073741823 items need"),
        (bytes, "0c0001", "3 items need"),
        (tuple[U128, ...], "feffffff" + "00" * 64, "need"),
        (tuple[U16, ...], "080100", "need"),
        (Annotated[bytes, MaxLength(2)], "0c000102", "at most 2"),
        (Annotated[str, MaxLength(2)], "0c616161", "at most 2"),
        (Annotated[tuple[U8, ...], MaxLength(1)], "080001", "at most 1"),
        (Annotated[tuple[U8, ...], Ordered()], "080201", "ascending"),
        (Annotated[tuple[U8, ...], Ordered()], "080101", "ascending"),
        (Annotated[tuple[tuple[U8, U8], ...], Ordered(mapping=True)], "0801000101", "ascending"),
        (Annotated[tuple[U16, ...], Fixed(2)], "010002", "u16 needs 2"),
        (AccountId, "00" * 31, "needs 32"),
        (U64, "00" * 7, "needs 8"),
        (U8, "0001", "left over"),
    ],
)
def test_malformed_bytes_are_refused(annotation: Any, data: str, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        codec_for(annotation).decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (U8, 256),
        (U8, -1),
        (I8, 128),
        (U8, "1"),
        (U8, None),
        (U8, 1.0),
        (CompactU32, 2**32),
        (CompactU32, -1),
        (CompactU32, "1"),
        (bool, 1),
        (bytes, "text"),
        (bytes, bytearray(b"x")),
        (str, b"bytes"),
        (str, "\ud800"),
        (AccountId, bytes(31)),
        (AccountId, "00" * 32),
        (Letter, "A"),
        (Letter, TokenErrorKind.FROZEN),
        (Shape, Record(1, b"", 2)),
        (Record, X(1)),
        (Record, {"a": 1}),
        (tuple[U8, U8], (1,)),
        (tuple[U8, U8], 5),
        (tuple[U8, ...], 5),
        (tuple[U8, ...], {1, 2}),
        (Annotated[bytes, MaxLength(2)], b"abc"),
        (Annotated[str, MaxLength(2)], "äö"),
        (Annotated[tuple[U8, ...], MaxLength(1)], (1, 2)),
        (Annotated[tuple[U8, ...], Ordered()], (2, 1)),
        (Annotated[tuple[U8, ...], Fixed(2)], (1, 2, 3)),
        (Outcome, 5),
    ],
)
def test_values_that_do_not_fit_are_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(CodecError):
        codec_for(annotation).encode(value)


@pytest.mark.parametrize("annotation", [int, float, list[int], dict[str, int], U8 | str, tuple[None, ...], object])
def test_types_without_a_scale_form_are_refused(annotation: Any) -> None:
    with pytest.raises(TypeError):
        codec_for(annotation)


def test_an_error_names_the_place_in_the_type_and_the_byte() -> None:
    good = codec_for(tuple[Nested, ...]).encode(
        (Nested(X(1), (), None, Ok(1), Pair(1, 2), b""), Nested(Y((1, True)), (), None, Ok(1), Pair(1, 2), b""))
    )
    position = good.index(b"\x01\x01\x00\x01")  # the Y of the second item
    broken = good[: position + 3] + b"\x07" + good[position + 4 :]
    with pytest.raises(CodecError) as caught:
        codec_for(tuple[Nested, ...]).decode(broken)
    assert caught.value.path[::-1] == ["[1]", "shape", "Y", "value", "[1]"]
    assert caught.value.offset == position + 3
    assert str(caught.value) == f"[1].shape.Y.value[1] at byte {position + 3}: bool is 00 or 01, not 07"


def test_an_encoding_error_names_the_place_in_the_value() -> None:
    with pytest.raises(CodecError, match=r"^\[0\]\.pair\.high: 65536 is no u16"):
        codec_for(tuple[Nested, ...]).encode((Nested(Z(), (), None, Ok(1), Pair(1, 65536), b""),))


def test_variant_indices_follow_the_declaration_or_are_given() -> None:
    assert [codec_for(Shape).encode(value)[0] for value in (X(0), Y((0, False)), Z())] == [0, 1, 9]
    with pytest.raises(TypeError, match="taken"):

        @dataclass(frozen=True)
        class Again(Shape, index=9):
            """Takes an index that Z has."""


def test_variants_with_slots_are_registered_once() -> None:
    class Slotted(Variant):
        """An enum whose variant has slots."""

    @dataclass(frozen=True, slots=True)
    class Only(Slotted):
        """The class is made twice."""

    codec = codec_for(Slotted)
    assert codec.decode(codec.encode(Only())) == Only()
    assert len(Slotted.__scale_variants__) == 1


def test_dispatch_errors_have_their_substrate_indices() -> None:
    codec = codec_for(DispatchErrorValue)
    assert codec.encode(Module(ModuleErrorValue(5, b"\2\0\0\0"))) == bytes.fromhex("030502000000")
    assert codec.encode(Token(TokenErrorKind.FROZEN)) == bytes.fromhex("0705")
    assert [variant.__name__ for variant in DispatchErrorValue.__scale_variants__.values()][10:] == [
        "Exhausted",
        "Corruption",
        "Unavailable",
        "RootNotAllowed",
    ]


def test_outer_types_need_a_runtime() -> None:
    from runtime.events import EventRecord, Initialization, RuntimeEvent

    record = EventRecord(Initialization(), Token(TokenErrorKind.FROZEN))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="depends on the runtime"):
        Codecs().codec_for(EventRecord).encode(record)
    with pytest.raises(TypeError, match="depends on the runtime"):
        codec_for(RuntimeEvent).decode(b"\0\0")
