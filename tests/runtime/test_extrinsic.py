"""Extrinsics made by real clients and executed by the real FRAME runtime; and everything that is no extrinsic."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from node.keys.keypair import Keypair
from runtime.account import Address20, Address32, Id, Index, MultiAddress, Raw, lookup
from runtime.codec import codec_for
from runtime.codec_scalars import Codec
from runtime.crypto import blake2_256, ss58_decode, verify_signature
from runtime.era import Immortal, Mortal, read_era
from runtime.errors import CannotLookup, CodecError
from runtime.extrinsic import (
    Extra,
    ExtrinsicCodec,
    MetadataHashMode,
    SignatureCache,
    additional_bytes,
    multi_signature,
    sign_extrinsic,
    signing_payload,
    with_length,
)
from runtime.header import Header, PreRuntime, Seal
from tests.runtime.conftest import VERSION, TinyChain, make_signer
from tests.runtime.independent_metadata import Cursor, read_metadata

FOLDER = Path(__file__).parent.parent / "vectors/substrate"
PROTOTYPE = json.loads((FOLDER / "pynode_extrinsics_blocks_events.json").read_text())
TEMPLATE = json.loads((FOLDER / "real_node_template_txs.json").read_text())
TEMPLATE_INCLUDED = [entry for entry in TEMPLATE["txs"] if "decoded" in entry]
OPAQUE: Codec[Any] = Codec("call", bytes, lambda data, offset: (data[offset:], len(data)), 2)


def read_template_extra(data: bytes, offset: int) -> tuple[Extra, int]:
    """The node template has no CheckMetadataHash: era, nonce, tip."""
    era, offset = read_era(data, offset)
    cursor = Cursor(data)
    cursor.at = offset
    return Extra(era, cursor.compact(), cursor.compact()), cursor.at


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


CODEC = ExtrinsicCodec(OPAQUE)
TEMPLATE_CODEC = ExtrinsicCodec(OPAQUE, Codec("extra", lambda extra: b"", read_template_extra, 3))


@pytest.mark.parametrize("entry", PROTOTYPE, ids=lambda entry: entry["name"][:30])
def test_extrinsics_of_polkadotjs_decode_and_verify(entry: dict[str, Any]) -> None:
    extrinsic = CODEC.decode(raw(entry["extrinsic"]))
    signed = extrinsic.signed
    assert signed is not None
    assert extrinsic.hash == raw(entry["extrinsic_hash"])
    assert extrinsic.call_bytes == raw(entry["call"])
    assert (signed.extra.nonce, signed.extra.tip) == (entry["nonce"], int(entry["tip"]))
    assert signed.extra.metadata_hash_mode is MetadataHashMode.DISABLED
    sender = ss58_decode(entry["signer"])
    assert signed.address == Id(sender)
    payload = entry["payload"]
    genesis = raw(payload["genesis"])
    if isinstance(signed.extra.era, Mortal):
        assert signed.extra.era.birth(entry["block"]["header_json"]["number"]) < 1824
        return  # the hash of the era's first block was not recorded
    additional = additional_bytes(VERSION, genesis, genesis)
    message = signing_payload(extrinsic.call_bytes, signed.extra_bytes, additional)
    assert verify_signature(signed.signature, message, sender)
    assert (len(message) == 32) == ("256" in entry["name"])
    wrong = additional_bytes(VERSION, bytes(32), genesis)
    assert not verify_signature(
        signed.signature, signing_payload(extrinsic.call_bytes, signed.extra_bytes, wrong), sender
    )
    again = CODEC.encode_signed(signed.address, signed.signature, signed.extra, extrinsic.call)
    assert again == extrinsic.encoded


@pytest.mark.parametrize("entry", TEMPLATE_INCLUDED, ids=lambda entry: entry["name"])
def test_extrinsics_that_frame_itself_accepted_decode_and_verify(entry: dict[str, Any]) -> None:
    """The signing payload, and its hashing above 256 bytes, as the real runtime checked them."""
    extrinsic = TEMPLATE_CODEC.decode(raw(entry["extrinsic"]))
    signed = extrinsic.signed
    assert signed is not None
    assert extrinsic.hash == raw(entry["hash"])
    assert signed.extra.nonce == int(entry["decoded"]["nonce"])
    genesis = raw(TEMPLATE["genesis"])
    born = genesis
    number = entry["block"]["header_json"]["number"]
    if isinstance(signed.extra.era, Mortal):
        assert signed.extra.era.birth(number) == number - 1
        born = raw(entry["block"]["header_json"]["parentHash"])
    additional = (100).to_bytes(4, "little") + (1).to_bytes(4, "little") + genesis + born
    message = signing_payload(extrinsic.call_bytes, signed.extra_bytes, additional)
    sender = ss58_decode(entry["decoded"]["signer"]["Id"])
    assert verify_signature(signed.signature, message, sender)
    assert not verify_signature(signed.signature, message + b"\0", sender)


def test_calls_and_events_of_frame_decode_by_its_metadata() -> None:
    """Our independent reader of metadata V14 reads FRAME's own, and with it FRAME's calls and events."""
    blob = raw((FOLDER / "real_node_template_metadata_v14.hex").read_text().strip())
    metadata = read_metadata(blob)
    events = metadata.find("frame_system", "EventRecord")
    assert events >= 0
    record = next(e for e in metadata.pallet("System")["storage"]["entries"] if e["name"] == "Events")["value"]
    for entry in TEMPLATE_INCLUDED:
        cursor = Cursor(raw(entry["events_raw"]))
        decoded = metadata.decode(record, cursor)
        assert cursor.finished
        assert len(decoded) == len(entry["events"])


@pytest.mark.parametrize("entry", [*PROTOTYPE, *TEMPLATE_INCLUDED], ids=lambda entry: entry["name"][:30])
def test_headers_hash_as_clients_hash_them(entry: dict[str, Any]) -> None:
    block = entry["block"]
    header = Header.decode(raw(block["header_scale"]))
    assert header.encode() == raw(block["header_scale"])
    assert header.hash == raw(block["hash"])
    assert header.number == block["header_json"]["number"]
    assert header.parent_hash == raw(block["header_json"]["parentHash"])
    logs = [next(iter(log)) for log in block["header_json"]["digest"]["logs"]]
    kinds = {"preRuntime": PreRuntime, "seal": Seal}
    assert [type(item) for item in header.digest] == [kinds[log] for log in logs]
    assert not any(isinstance(item, Seal) for item in header.without_seal().digest)
    for encoded in block["extrinsics"][:1]:
        assert CODEC.decode(raw(encoded)).signed is None


GOOD = raw(PROTOTYPE[0]["extrinsic"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends"),
        (b"\0", "version byte"),
        (GOOD[:-1], "length prefix"),
        (GOOD + b"\0", "length prefix"),
        (GOOD[:2] + b"\x85" + GOOD[3:], "version byte is 0x84"),
        (GOOD[:2] + b"\x05" + GOOD[3:], "not 0x05"),
        (GOOD[:2] + b"\x45" + GOOD[3:], "not 0x45"),
        (GOOD[:3] + b"\x07" + GOOD[4:], "MultiAddress has no variant 7"),
        (GOOD[:36] + b"\x03" + GOOD[37:], "MultiSignature has no variant 3"),
        (with_length(GOOD[2:40]), "needs 64 bytes"),
        (with_length(GOOD[2:101]), "era|ends"),
        (b"\x03" + GOOD, "length prefix|compact|fit"),
    ],
)
def test_what_is_no_extrinsic_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        CODEC.decode(data)


def test_trailing_bytes_after_the_call_are_refused(chain: TinyChain) -> None:
    with pytest.raises(CodecError, match="left over after the call"):
        chain.runtime.extrinsic_codec.decode(with_length(chain.inherent(2)[1:] + b"\0"))


def test_an_extrinsic_longer_than_a_block_is_refused_before_decoding(chain: TinyChain) -> None:
    with pytest.raises(CodecError, match="at most"):
        chain.runtime.extrinsic_codec.decode(bytes(6 * 1024 * 1024))


@pytest.mark.parametrize("length", [255, 256, 257])
def test_only_payloads_above_256_bytes_are_hashed(length: int) -> None:
    payload = signing_payload(bytes(length - 2), b"\1", b"\2")
    assert payload == (bytes(length - 2) + b"\1\2" if length <= 256 else blake2_256(bytes(length - 2) + b"\1\2"))


def test_a_mortal_extrinsic_needs_the_hash_of_its_first_block(chain: TinyChain, alice: Keypair) -> None:
    with pytest.raises(ValueError, match="first block"):
        chain.signed(alice, "count", amount=1, era=Mortal(64, 0))


def test_unknown_signature_schemes_are_refused(chain: TinyChain, alice: Keypair) -> None:
    signer = dataclasses.replace(alice, scheme="rsa")
    with pytest.raises(ValueError, match="sr25519, ed25519 or ecdsa"):
        chain.signed(signer, "count", amount=1)


def test_the_signature_cache_is_bounded_and_never_believes_a_bad_signature() -> None:
    cache = SignatureCache(entries_maximum=2)
    signers = [make_signer(name) for name in ("one", "two", "three")]
    for signer in signers:
        signature = multi_signature(signer, b"message")
        assert cache.verify(signature, b"message", signer.account_id)
        assert cache.verify(signature, b"message", signer.account_id)
        assert not cache.verify(signature, b"other", signer.account_id)
    assert len(cache) == 2


def test_only_account_ids_are_looked_up() -> None:
    assert lookup(Id(bytes(32))) == bytes(32)
    others: list[MultiAddress] = [Index(0), Raw(b""), Address32(bytes(32)), Address20(bytes(20))]
    for address in others:
        assert codec_for(MultiAddress).decode(codec_for(MultiAddress).encode(address)) == address
        with pytest.raises(CannotLookup):
            lookup(address)


def test_signing_gives_what_decoding_reads(chain: TinyChain, alice: Keypair) -> None:
    call = chain.runtime.extrinsic_codec.decode(chain.signed(alice, "count", amount=9)).call
    encoded = sign_extrinsic(
        chain.runtime.extrinsic_codec, VERSION, call, alice, nonce=3, genesis_hash=bytes(32), era=Immortal(), tip=4
    )
    extrinsic = chain.runtime.extrinsic_codec.decode(encoded)
    assert extrinsic.call == call
    assert hash(extrinsic.call) == hash(call)
    assert extrinsic.call.arguments == {"amount": 9}
    assert extrinsic.signed is not None
    assert extrinsic.signed.extra == Extra(Immortal(), 3, 4)
    with pytest.raises(TypeError, match="cannot be changed"):
        extrinsic.call.arguments["amount"] = 10  # type: ignore[index]
