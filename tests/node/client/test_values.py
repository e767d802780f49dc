"""Chain values as JSON and back, directed by a chain's metadata."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from node.client.metadata import ChainMetadata
from node.client.values import BadValue, call_from_json, event_json, find_item, from_json, to_json
from pallets.balances.events import Transfer
from pallets.balances.types import HoldReason
from pallets.chain import build_runtime
from pallets.datdot.components import Components, FeedInput, PlanInput, PositionResult, ProgramInput, Stored
from pallets.datdot.events import DatDotError
from pallets.datdot.types import PLAN_ESCROW, Prices, Role
from runtime.account import Id, Index, MultiAddress
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.crypto import ss58_encode
from runtime.errors import (
    BadOrigin,
    DispatchErrorValue,
    Module,
    ModuleError,
    ModuleErrorValue,
    TokenError,
    TokenErrorKind,
)
from runtime.metadata import MetadataBuilder
from runtime.portable import MetadataV14
from runtime.types import U8, U32, AccountId, Bytes, Err, Ok, Result

OUTCOME = Result[None, DispatchErrorValue]
ANNOTATIONS: tuple[Any, ...] = (
    U32, bool, str, Bytes, AccountId, MultiAddress, U32 | None, tuple[U8, ...], tuple[U8, AccountId], tuple[U8, U8],
    Role, Prices, Components, PlanInput, PositionResult, HoldReason, OUTCOME, RuntimeCall,
)
_RUNTIME = build_runtime()
_BUILDER = MetadataBuilder(_RUNTIME.pallets, _RUNTIME.codecs)
_BUILT = _BUILDER.build()
KINDS = {annotation: _BUILDER.registry.type_id(annotation) for annotation in ANNOTATIONS}
METADATA = ChainMetadata(
    codec_for(MetadataV14).encode(dataclasses.replace(_BUILT, types=_BUILDER.registry.types()))
)
ALICE = bytes(range(32))
PRICES = Prices(1, 2, 3, 4, 2**100)
PLAN = PlanInput(None, 9, (ProgramInput((-1, 7), (), ()),), PRICES)
STORED = Stored(1, bytes(32), 2, 3, bytes(32), bytes(64), bytes(64))


def shown_as(annotation: Any, value: Any) -> Any:
    return json.loads(json.dumps(to_json(METADATA, KINDS[annotation], value)))


@pytest.mark.parametrize(
    ("annotation", "value", "shown"),
    [
        (U32, 7, 7),
        (bool, True, True),
        (str, "text", "text"),
        (Bytes, b"\1\2", "0x0102"),
        (AccountId, ALICE, ss58_encode(ALICE)),
        (MultiAddress, Id(ALICE), ss58_encode(ALICE)),
        (MultiAddress, Index(5), {"Index": 5}),
        (U32 | None, None, None),
        (U32 | None, 3, 3),
        (tuple[U8, ...], b"\1\2", "0x0102"),
        (tuple[U8, AccountId], (1, ALICE), [1, ss58_encode(ALICE)]),
        (Role, Role.HOSTER, "Hoster"),
        (
            Prices,
            PRICES,
            {"hosting": 1, "encoding": 2, "attesting": 3, "storage_check": 4, "performance_check": 2**100},
        ),
        (Components, Components(feeds=(FeedInput(ALICE, b""),)), None),
        (PlanInput, PLAN, None),
        (PositionResult, STORED, None),
        (HoldReason, PLAN_ESCROW, {"DatDot": "PlanEscrow"}),
        (OUTCOME, Ok(None), {"Ok": None}),
        (OUTCOME, Err(BadOrigin().to_scale()), {"Err": "BadOrigin"}),
    ],
    ids=str,
)
def test_values_survive_the_way_to_json_and_back(annotation: Any, value: Any, shown: Any) -> None:
    made = shown_as(annotation, value)
    assert shown is None or made == shown
    codec = METADATA.types.codec(KINDS[annotation])
    assert codec.decode(codec.encode(from_json(METADATA, KINDS[annotation], made))) == value


def test_a_field_loses_the_underscore_that_python_needs() -> None:
    assert "from" in shown_as(PlanInput, PLAN)


@pytest.mark.parametrize("spelled", ["//Alice", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"])
def test_an_account_is_an_address_or_a_development_key(spelled: str) -> None:
    account = from_json(METADATA, KINDS[AccountId], spelled)
    assert account == from_json(METADATA, KINDS[AccountId], f"0x{account.hex()}")
    codec = METADATA.types.codec(KINDS[MultiAddress])
    assert codec.encode(from_json(METADATA, KINDS[MultiAddress], spelled)) == codec.encode(Id(account))


def test_whole_numbers_may_be_text() -> None:
    assert from_json(METADATA, KINDS[U32], "12") == 12


def test_an_event_has_its_pallets_name() -> None:
    shown = event_json(METADATA, Transfer(ALICE, ALICE, 5))
    address = ss58_encode(ALICE)
    assert shown == {"name": "Balances.Transfer", "data": {"from": address, "to": address, "amount": 5}}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleError(DatDotError.BAD_TIMES).to_scale(), "DatDot.BadTimes: A time lies in the past"),
        (TokenError(TokenErrorKind.FROZEN).to_scale(), "Token: Funds exist but are frozen."),
        (BadOrigin().to_scale(), "BadOrigin"),
        (Module(ModuleErrorValue(200, bytes(4))), "Module"),
        (Module(ModuleErrorValue(20, b"\xff\0\0\0")), "Module"),
    ],
)
def test_errors_are_named(error: DispatchErrorValue, text: str) -> None:
    assert METADATA.error_text(error).startswith(text)


def test_calls_nest() -> None:
    remark = {"pallet": "system", "call": "remark", "args": {"remark": "0x"}}
    call = call_from_json(METADATA, "Sudo", "sudo", {"call": remark})
    assert call == RuntimeCall("Sudo", "sudo", {"call": RuntimeCall("System", "remark", {"remark": b""})})
    assert shown_as(RuntimeCall, call)["args"]["call"]["call"] == "remark"


def test_pallets_and_items_are_found_in_any_case() -> None:
    pallet, entry = find_item(METADATA, "datdot", "getfeedbyid")
    assert (pallet, entry.name) == ("DatDot", "GetFeedByID")
    with pytest.raises(BadValue, match="DatDot stores no Nope; it stores NextItemID,"):
        find_item(METADATA, "DatDot", "Nope")


@pytest.mark.parametrize(
    ("annotation", "value", "part"),
    [
        (U32, 1.0, "whole number"),
        (U32, True, "whole number"),
        (U32, None, "whole number"),
        (bool, 1, "true or false"),
        (str, 1, "expected text"),
        (Bytes, "00", "bytes as 0x"),
        (Bytes, "0x0", "bytes as 0x"),
        (AccountId, "0x00", "32 bytes"),
        (AccountId, "//", "SS58"),
        (AccountId, 5, "an account"),
        (MultiAddress, {"Nope": 1}, "one of Id"),
        (MultiAddress, {"Index": 1, "Raw": "0x"}, "only key"),
        (tuple[U8, AccountId], {}, "a list"),
        (tuple[U8, U8], [1, "x"], "value[1]"),
        (tuple[U8, U8], [1], "2 items"),
        (Role, "hoster", "one of Encoder"),
        (Role, 1, "a variant's name"),
        (Prices, [], "an object"),
        (Prices, {"hosting": 1}, "encoding is missing"),
        (Prices, {**dict.fromkeys(shown_as(Prices, PRICES), 1), "other": 1}, "has no other"),
        (RuntimeCall, {"pallet": "System"}, "expected {"),
        (RuntimeCall, {"pallet": "System", "call": "remark", "args": []}, "an object"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_its_place(annotation: Any, value: Any, part: str) -> None:
    with pytest.raises(BadValue) as refused:
        from_json(METADATA, KINDS[annotation], value)
    assert part in str(refused.value)


def test_calls_cannot_nest_without_end() -> None:
    call: Any = {"pallet": "System", "call": "remark", "args": {"remark": "0x"}}
    for _ in range(2_000):
        call = {"pallet": "Sudo", "call": "sudo", "args": {"call": call}}
    with pytest.raises(BadValue, match="nested deeper"):
        call_from_json(METADATA, "Sudo", "sudo", {"call": call})
