"""Extrinsics signed by metadata are those of the runtime, and follow the extensions of another chain."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from node.client.errors import NotSupported
from node.client.metadata import ChainMetadata
from node.client.signing import SpecVersion, Terms, sign_call
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Keypair
from pallets.chain import build_runtime
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.era import Mortal
from runtime.extrinsic import sign_extrinsic
from runtime.portable import ExtensionMetadata, MetadataV14, TupleDef

RUNTIME = build_runtime()
PLAIN = codec_for(MetadataV14).decode(RUNTIME.metadata_v14)
UNIT = next(one.id for one in PLAIN.types if one.definition == TupleDef(()))
VERSION = SpecVersion(RUNTIME.version.spec_name, RUNTIME.version.spec_version, RUNTIME.version.transaction_version)
GENESIS, BIRTH = b"\1" * 32, b"\2" * 32
ERA = Mortal.starting(100, 64)
TERMS = Terms(ERA, ERA.birth(100), BIRTH, nonce=300, tip=10**12)
CALL = RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(bytes(32)), "value": 7})
LONG = RuntimeCall("System", "remark", {"remark": bytes(1_000)})


def metadata(extensions: tuple[ExtensionMetadata, ...]) -> ChainMetadata:
    extrinsic = dataclasses.replace(PLAIN.extrinsic, extensions=extensions)
    return ChainMetadata(codec_for(MetadataV14).encode(dataclasses.replace(PLAIN, extrinsic=extrinsic)))


def signer(scheme: Any = "ed25519") -> Keypair:
    return keypair_from_uri("//Alice", scheme)


@pytest.mark.parametrize("call", [CALL, LONG], ids=lambda call: call.name)
def test_the_bytes_are_those_of_the_runtime(call: RuntimeCall) -> None:
    signed = sign_call(ChainMetadata(RUNTIME.metadata_v14), VERSION, GENESIS, call, signer(), TERMS)
    assert signed.encoded == sign_extrinsic(
        RUNTIME.extrinsic_codec, RUNTIME.version, call, signer(),
        nonce=300, genesis_hash=GENESIS, era=ERA, era_block_hash=BIRTH, tip=10**12,
    )  # fmt: skip
    assert TERMS.death_number == TERMS.birth_number + 64


def test_extensions_are_written_in_the_chains_order() -> None:
    turned = sign_call(metadata(tuple(reversed(PLAIN.extrinsic.extensions))), VERSION, GENESIS, CALL, signer(), TERMS)
    plain = sign_call(metadata(PLAIN.extrinsic.extensions), VERSION, GENESIS, CALL, signer(), TERMS)
    assert len(turned.encoded) == len(plain.encoded)
    assert turned.encoded != plain.encoded


def test_an_unknown_extension_without_bytes_is_passed_over() -> None:
    quiet = ExtensionMetadata("CheckMood", UNIT, UNIT)
    signed = sign_call(metadata((*PLAIN.extrinsic.extensions, quiet)), VERSION, GENESIS, CALL, signer(), TERMS)
    plain = sign_call(metadata(PLAIN.extrinsic.extensions), VERSION, GENESIS, CALL, signer(), TERMS)
    assert signed == plain


@pytest.mark.parametrize("position", ["type", "additional"])
def test_an_unknown_extension_with_bytes_is_not_supported(position: str) -> None:
    nonce = next(one for one in PLAIN.extrinsic.extensions if one.identifier == "CheckNonce")
    kinds = {"type": UNIT, "additional": UNIT, position: nonce.type}
    wanting = ExtensionMetadata("CheckMood", kinds["type"], kinds["additional"])
    with pytest.raises(NotSupported, match="wants CheckMood in every transaction"):
        sign_call(metadata((*PLAIN.extrinsic.extensions, wanting)), VERSION, GENESIS, CALL, signer(), TERMS)


def test_a_scheme_that_is_none_is_refused() -> None:
    stranger = dataclasses.replace(signer(), scheme="rot13")
    with pytest.raises(ValueError, match="rot13"):
        sign_call(ChainMetadata(RUNTIME.metadata_v14), VERSION, GENESIS, CALL, stranger, TERMS)
