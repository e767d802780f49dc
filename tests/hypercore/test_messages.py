"""The messages of a core's channel against golden bytes, and what their decoders refuse."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.errors import DecodeError
from hypercore.manifest import Manifest
from hypercore.merkle import Node
from hypercore.messages import (
    MAX_BITFIELD_WORDS,
    MAX_PROOF_NODES,
    Bitfield,
    Cancel,
    Data,
    Extension,
    Handshake,
    Message,
    NoData,
    Range,
    Request,
    Sync,
    Unwant,
    Want,
    decode_message,
)
from hypercore.proof import (
    BlockRequest,
    DataBlock,
    DataHash,
    DataSeek,
    DataUpgrade,
    HashRequest,
    Proof,
    ProofRequest,
    SeekRequest,
    UpgradeRequest,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "hypercore"
GOLDEN = json.loads((VECTORS / "09_wire_messages.json").read_text())["messages"]
Fields = dict[str, Any]


def nodes(items: list[Fields]) -> tuple[Node, ...]:
    return tuple(Node(item["index"], item["size"], bytes.fromhex(item["hash"])) for item in items)


def build_request(fields: Fields) -> Request:
    block, hash, seek, upgrade = (fields[name] for name in ("block", "hash", "seek", "upgrade"))
    proof = ProofRequest(
        fork=fields["fork"],
        block=BlockRequest(block["index"], block["nodes"]) if block else None,
        hash=HashRequest(hash["index"], hash["nodes"]) if hash else None,
        seek=SeekRequest(seek["bytes"], seek["padding"]) if seek else None,
        upgrade=UpgradeRequest(upgrade["start"], upgrade["length"]) if upgrade else None,
        manifest=fields["manifest"],
    )
    return Request(fields["id"], proof, fields["priority"])


def build_data(fields: Fields) -> Data:
    block, hash, seek, upgrade = (fields[name] for name in ("block", "hash", "seek", "upgrade"))
    growth = None
    if upgrade:
        growth = DataUpgrade(
            upgrade["start"],
            upgrade["length"],
            nodes(upgrade["nodes"]),
            nodes(upgrade["additionalNodes"]),
            bytes.fromhex(upgrade["signature"]),
        )
    manifest = None
    if fields["manifest"]:
        manifest = Manifest.default(bytes.fromhex(fields["manifest"]["signers"][0]["publicKey"]))
    proof = Proof(
        fork=fields["fork"],
        block=DataBlock(block["index"], bytes.fromhex(block["value"]), nodes(block["nodes"])) if block else None,
        hash=DataHash(hash["index"], nodes(hash["nodes"])) if hash else None,
        seek=DataSeek(seek["bytes"], nodes(seek["nodes"])) if seek else None,
        upgrade=growth,
        manifest=manifest,
    )
    return Data(fields["request"], proof)


def build(type: int, fields: Fields) -> Any:
    if type == Sync.type:
        return Sync(
            fields["fork"],
            fields["length"],
            fields["remoteLength"],
            can_upgrade=fields["canUpgrade"],
            uploading=fields["uploading"],
            downloading=fields["downloading"],
            has_manifest=fields["hasManifest"],
            allow_push=fields["allowPush"],
        )
    if type in (Want.type, Unwant.type):
        return (Want if type == Want.type else Unwant)(fields["start"], fields["length"], fields["any"])
    simple: dict[int, Callable[[], Message]] = {
        Cancel.type: lambda: Cancel(fields["request"]),
        NoData.type: lambda: NoData(fields["request"], fields["reason"]),
        Bitfield.type: lambda: Bitfield(fields["start"], tuple(fields["bitfield"])),
        Range.type: lambda: Range(fields["start"], fields["length"], fields["drop"]),
        Extension.type: lambda: Extension(fields["name"], bytes.fromhex(fields["message"])),
        Request.type: lambda: build_request(fields),
        Data.type: lambda: build_data(fields),
    }
    return simple[type]()


@pytest.mark.parametrize(
    "golden", [item for item in GOLDEN if item["muxType"] is not None], ids=lambda item: item["name"]
)
def test_message_encodes_to_the_golden_bytes_and_back(golden: Fields) -> None:
    message = build(golden["muxType"], golden["fields"])
    assert message.type == golden["muxType"]
    assert message.encode().hex() == golden["hex"]
    assert decode_message(golden["muxType"], bytes.fromhex(golden["hex"])) == message


@pytest.mark.parametrize("golden", [item for item in GOLDEN if item["muxType"] is None], ids=lambda item: item["name"])
def test_handshake_encodes_to_the_golden_bytes_and_back(golden: Fields) -> None:
    handshake = Handshake(bytes.fromhex(golden["fields"]["capability"]), golden["fields"]["seeks"])
    assert handshake.encode().hex() == golden["hex"]
    assert Handshake.decode(bytes.fromhex(golden["hex"])) == handshake


def test_no_data_of_an_older_peer_has_no_reason() -> None:
    assert NoData.decode(bytes((9,))) == NoData(9, NoData.UNKNOWN)


def test_an_unknown_type_is_no_message() -> None:
    assert decode_message(10, b"anything") is None


# An absent trailing field is legal here: NoData of older peers, Want without flags, Extension with an empty payload.
SHORTER_FORM_IS_VALID = {"NoData", "NoData not available", "NoData invalid request", "Want any", "Data manifest only"}


@pytest.mark.parametrize(
    "golden",
    [
        item
        for item in GOLDEN
        if item["muxType"] not in (None, Extension.type) and item["name"] not in SHORTER_FORM_IS_VALID
    ],
    ids=lambda item: item["name"],
)
def test_a_message_cut_short_anywhere_is_refused(golden: Fields) -> None:
    body = bytes.fromhex(golden["hex"])
    for size in range(len(body)):
        with pytest.raises(DecodeError):
            decode_message(golden["muxType"], body[:size])


@pytest.mark.parametrize("size", [0, 1, 32])
def test_a_handshake_cut_short_is_refused(size: int) -> None:
    with pytest.raises(DecodeError):
        Handshake.decode(bytes.fromhex("01" + "22" * 32)[:size])


def test_a_proof_with_too_many_nodes_is_refused() -> None:
    node = Node(0, 1, bytes(32))
    body = Data(1, Proof(block=DataBlock(0, b"x", (node,) * (MAX_PROOF_NODES + 1)))).encode()
    with pytest.raises(DecodeError, match="at most"):
        Data.decode(body)


def test_a_node_count_beyond_the_message_is_refused() -> None:
    with pytest.raises(DecodeError):
        Data.decode(bytes((1, 1, 0, 0, 0, 0xFC)))


def test_a_manifest_that_is_not_canonical_is_refused() -> None:
    body = bytearray(Data(1, Proof(manifest=Manifest.default(bytes(32)))).encode())
    body[3] = 0xFD
    with pytest.raises(DecodeError):
        Data.decode(bytes(body[:3]) + b"\xfd\x01\x00" + bytes(body[4:]))


@pytest.mark.parametrize("start", [1, 31, 33])
def test_a_bitfield_that_does_not_start_at_a_word_is_refused(start: int) -> None:
    with pytest.raises(DecodeError, match="multiple"):
        Bitfield.decode(Bitfield(start, (1,)).encode())


def test_a_bitfield_with_too_many_words_is_refused() -> None:
    with pytest.raises(DecodeError, match="at most"):
        Bitfield.decode(Bitfield(0, (0,) * (MAX_BITFIELD_WORDS + 1)).encode())


def test_an_extension_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(DecodeError):
        Extension.decode(b"\x02\xff\xfe")


def test_a_number_above_what_javascript_can_hold_is_refused() -> None:
    with pytest.raises(DecodeError):
        Cancel.decode(b"\xff" + (2**53).to_bytes(8, "little"))


@settings(max_examples=200)
@given(type=st.integers(0, 12), body=st.binary(max_size=300))
def test_arbitrary_bytes_decode_or_are_refused_with_a_decode_error(type: int, body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_message(type, body)
