"""Codecs compiled from metadata: the same bytes as the runtime's own, and nodes of other versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.client.errors import BadAnswer, NotSupported
from node.client.generic import NamedVariant, Record, field_of
from node.client.metadata import MAX_METADATA_BYTES, ChainMetadata
from node.client.portable_codecs import MAX_ARRAY_ITEMS, PortableTypes, UnknownType
from pallets.chain import build_runtime
from pallets.datdot.components import Components, FeedInput, KeyProofs, PlanInput, ProgramInput, Stored
from pallets.datdot.events import NewFeed, NewUser, Registered
from pallets.datdot.types import Feed, FeedHead, Prices, Role
from runtime import limits
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.errors import CodecError
from runtime.events import ApplyExtrinsic, EventRecord
from runtime.portable import (
    ArrayDef,
    CompactDef,
    CompositeDef,
    EnumDef,
    Field,
    MetadataV14,
    PortableType,
    PrimitiveDef,
    PrimitiveKind,
    SequenceDef,
    TupleDef,
    VariantDef,
)

RUNTIME = build_runtime()
FEED = Feed(bytes(32), b"\1" * 32, 7, 0, FeedHead(3, 9, bytes(32)))
FEED_PATH = ("pallet_datdot", "types", "Feed")
EVENT_PATH = ("pallet_datdot", "pallet", "Event")
U8_TYPE = PortableType(0, (), (), PrimitiveDef(PrimitiveKind.U8))

Change = Callable[[PortableType], PortableType]


@cache
def plain() -> MetadataV14:
    return codec_for(MetadataV14).decode(RUNTIME.metadata_v14)


def chain_with(change: Change) -> ChainMetadata:
    """The metadata of a node whose types differ."""
    types = tuple(change(one) for one in plain().types)
    return ChainMetadata(codec_for(MetadataV14).encode(dataclasses.replace(plain(), types=types)))


@cache
def chain() -> ChainMetadata:
    return ChainMetadata(RUNTIME.metadata_v14)


def at(path: tuple[str, ...], definition: Callable[[Any], Any]) -> Change:
    def change(one: PortableType) -> PortableType:
        return dataclasses.replace(one, definition=definition(one.definition)) if one.path == path else one

    return change


# --- the same runtime


def test_every_storage_item_has_the_key_and_the_default_of_the_runtime() -> None:
    for pallet in RUNTIME.pallets:
        for attribute, declared in pallet.storage().items():
            item, described = getattr(pallet, attribute), chain().item(pallet.name, declared.name)
            assert (described.prefix, described.default) == (item.prefix, item.default)
            assert [hasher.name for _, hasher in described.keys] == [hasher.name for _, hasher in item.hashers]


def test_every_constant_has_the_value_of_the_runtime() -> None:
    for pallet in RUNTIME.pallets:
        for spec in pallet.constants():
            assert chain().constant(pallet.name, spec.name) == spec.value


PLAN = PlanInput(None, 9, (ProgramInput((-1, 7), (), ()),), Prices(1, 2, 3, 4, 2**100))
STORED = Stored(1, bytes(32), 2, 3, bytes(32), bytes(64), bytes(64))
TRANSFER = RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(bytes(32)), "value": 7})
CALLS = (
    TRANSFER,
    RuntimeCall("DatDot", "publish_plan", {"plan": PLAN, "components": Components(), "deposit": 5}),
    RuntimeCall("DatDot", "publish_feed", {"key": bytes(32), "head_proof": b"\1\2"}),
    RuntimeCall("DatDot", "amendment_report", {"amendment": 1, "results": (STORED,)}),
    RuntimeCall(
        "DatDot",
        "new_user",
        {"noise_key": bytes(32), "signing_key": bytes(32), "key_proofs": KeyProofs(bytes(64), bytes(64))},
    ),
    RuntimeCall("Utility", "batch_all", {"calls": (TRANSFER, TRANSFER)}),
    RuntimeCall("Sudo", "sudo", {"call": RuntimeCall("Utility", "batch", {"calls": (TRANSFER,)})}),
)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_calls_have_the_bytes_of_the_runtime(call: RuntimeCall) -> None:
    encoded = RUNTIME.call_codec.encode(call)
    assert chain().call_codec.encode(call) == encoded
    assert chain().call_codec.decode(encoded) == call


def test_events_are_of_this_programs_classes() -> None:
    records = (
        EventRecord(ApplyExtrinsic(1), NewUser(3)),
        EventRecord(ApplyExtrinsic(2), Registered(3, 4, (Role.HOSTER, Role.ENCODER))),
    )
    assert chain().event_records(RUNTIME.event_records_codec.encode(records)) == records
    assert chain().event_records(None) == ()


@settings(max_examples=150)
@given(st.data())
def test_what_one_codec_takes_the_other_takes_for_the_same_value(data: st.DataObject) -> None:
    pallet, item = data.draw(
        st.sampled_from([(one, item) for one in RUNTIME.pallets for item in one.storage().values()])
    )
    raw = data.draw(st.binary(max_size=60))
    described = chain().item(pallet.name, item.name)
    try:
        expected = RUNTIME.codecs.codec_for(item.value_type).decode(raw)
    except CodecError:
        return
    assert chain().types.codec(described.value_type).decode(raw) == expected
    assert chain().types.codec(described.value_type).encode(expected) == raw


# --- another version


def test_fields_in_another_order_and_width_are_read_by_name() -> None:
    def moved(definition: CompositeDef) -> CompositeDef:
        return CompositeDef(tuple(reversed(definition.fields)))

    other = chain_with(at(FEED_PATH, moved))
    codec = other.types.codec(other.item("DatDot", "GetFeedByID").value_type)
    encoded = codec.encode(FEED)
    assert encoded != RUNTIME.codecs.codec_for(Feed).encode(FEED)
    assert codec.decode(encoded) == FEED


def test_a_type_with_a_further_field_is_a_record() -> None:
    (text,) = [one.id for one in plain().types if one.definition == PrimitiveDef(PrimitiveKind.STR)]
    other = chain_with(at(FEED_PATH, lambda definition: CompositeDef((*definition.fields, Field("title", text)))))
    item = other.item("DatDot", "GetFeedByID")
    codec = other.types.codec(item.value_type)
    values = {field.name: getattr(FEED, field.name) for field in dataclasses.fields(FEED)}
    feed = codec.decode(codec.encode({**values, "title": "Cats"}))
    assert feed == Record("Feed", {**values, "title": "Cats"})
    assert (feed["title"], field_of(feed, "key")) == ("Cats", FEED.key)
    with pytest.raises(CodecError, match="the field title is missing in Feed"):
        codec.encode(FEED)


def test_variants_with_other_indices_are_read_by_name() -> None:
    def turned(definition: EnumDef) -> EnumDef:
        last = len(definition.variants) - 1
        return EnumDef(tuple(dataclasses.replace(one, index=last - one.index) for one in definition.variants))

    other = chain_with(at(EVENT_PATH, turned))
    index = bytes([other.pallet("DatDot").index])
    names = [one.name for one in other._variants(other.pallet("DatDot").event)]
    assert other.types.event_type is not None
    decode = other.types.codec(other.types.event_type).decode
    encoded = index + bytes([len(names) - 1 - names.index("NewFeed")]) + (7).to_bytes(8, "little")
    assert decode(encoded) == NewFeed(7)


def test_an_event_that_this_program_does_not_know_keeps_its_names() -> None:
    (word,) = [one.id for one in plain().types if one.definition == PrimitiveDef(PrimitiveKind.U32)]

    def grown(definition: EnumDef) -> EnumDef:
        return EnumDef((*definition.variants, VariantDef("FeedPraised", (Field("stars", word),), 200)))

    other = chain_with(at(EVENT_PATH, grown))
    assert other.types.event_type is not None
    event = other.types.codec(other.types.event_type).decode(bytes([20, 200, 5, 0, 0, 0]))
    assert event == NamedVariant("DatDot", "FeedPraised", {"stars": 5})
    assert event["stars"] == 5
    assert other.pallet_of_event(event) == "DatDot"
    assert hash(event) == hash(NamedVariant("DatDot", "FeedPraised", {"stars": 5}))


def test_a_call_that_the_node_lacks_is_not_encoded() -> None:
    with pytest.raises(CodecError, match=r"has no call DatDot\.dance"):
        chain().call_codec.encode(RuntimeCall("DatDot", "dance", {}))
    with pytest.raises(NotSupported, match=r"no call DatDot\.dance; DatDot has new_user,"):
        chain().find_call("DatDot", "dance")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"dest": Id(bytes(32))}, "value is missing"),
        ({"dest": Id(bytes(32)), "value": 1, "more": 2}, "there is no field more; there are dest, value"),
        ({"dest": Id(bytes(31)), "value": 1}, "32"),
        ({"dest": "Nowhere", "value": 1}, "has no variant Nowhere"),
        ({"dest": Id(bytes(32)), "value": 2**128}, "is no Compact<u128>"),
        ({"dest": None, "value": 1}, "NoneType"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], part: str) -> None:
    with pytest.raises(CodecError) as refused:
        chain().call_codec.encode(RuntimeCall("Balances", "transfer_keep_alive", arguments))
    assert part in str(refused.value)


def test_a_feed_is_written_as_a_mapping_too() -> None:
    feed = {"key": bytes(32), "head_proof": b"\1"}
    written = chain().call_codec.encode(
        RuntimeCall("DatDot", "publish_plan", {"plan": PLAN, "components": Components(feeds=(feed,)), "deposit": 1})  # type: ignore[arg-type]
    )
    components = Components(feeds=(FeedInput(bytes(32), b"\1"),))
    assert written == RUNTIME.call_codec.encode(
        RuntimeCall("DatDot", "publish_plan", {"plan": PLAN, "components": components, "deposit": 1})
    )


# --- hostile metadata and values


def test_calls_nested_without_end_are_refused() -> None:
    batch = RUNTIME.call_codec.encode(RuntimeCall("Utility", "batch", {"calls": ()}))[:2]
    with pytest.raises(CodecError, match=f"deeper than {limits.CALL_DEPTH}"):
        chain().call_codec.decode((batch + b"\4") * 400 + batch + b"\0")


@pytest.mark.parametrize("data", [b"", b"meta", b"meta\x0d", RUNTIME.metadata_v14[:-1], RUNTIME.metadata_v14 + b"\0"])
def test_what_is_no_metadata_is_a_bad_answer(data: bytes) -> None:
    with pytest.raises(BadAnswer, match="not of version 14"):
        ChainMetadata(data)


def test_metadata_without_end_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="at most"):
        ChainMetadata(bytes(MAX_METADATA_BYTES + 1))


@pytest.mark.parametrize(
    "definition",
    [
        SequenceDef(99),
        ArrayDef(MAX_ARRAY_ITEMS + 1, 2),
        CompactDef(2),
        TupleDef((0, 99)),
        CompositeDef((Field("a", 99), Field("b", 0))),
    ],
    ids=lambda definition: type(definition).__name__,
)
def test_a_type_that_cannot_be_read_is_refused(definition: Any) -> None:
    types = PortableTypes((U8_TYPE, PortableType(1, (), (), definition), PortableType(2, (), (), TupleDef((0, 0)))), {})
    with pytest.raises(UnknownType):
        types.codec(1)


def test_a_type_may_contain_itself() -> None:
    tree = PortableType(1, ("Tree",), (), CompositeDef((Field("leaf", 0), Field("branches", 2))))
    types = PortableTypes((U8_TYPE, tree, PortableType(2, (), (), SequenceDef(1))), {})
    leaf = {"leaf": 1, "branches": ()}
    encoded = types.codec(1).encode({"leaf": 2, "branches": (leaf, leaf)})
    assert types.codec(1).decode(encoded)["branches"][1] == Record("Tree", leaf)


def test_a_value_nested_without_end_is_a_bad_answer() -> None:
    other = chain_with(lambda one: one)
    tree = PortableType(9_999, ("Tree",), (), SequenceDef(9_999))
    other.types._types[9_999] = tree
    with pytest.raises(BadAnswer, match="does not fit"):
        other.decode(9_999, b"\4" * 100_000, "tree")


def test_a_value_that_does_not_fit_names_its_item() -> None:
    with pytest.raises(BadAnswer, match=r"the node's DatDot\.GetFeedByID does not fit its metadata: .* 3 are left"):
        chain().stored(chain().item("DatDot", "GetFeedByID"), b"\1\2\3")
