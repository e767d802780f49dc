"""Extrinsics signed as the node's metadata says: version 4, its own order and types of signed extensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.client.errors import NotSupported
from node.client.metadata import ChainMetadata
from runtime import extrinsic as extrinsics
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.codec_scalars import write_compact
from runtime.crypto import blake2_256
from runtime.era import Mortal, encode_era
from runtime.errors import CodecError


@dataclass(frozen=True)
class SpecVersion:
    """What a signature binds a call to, besides the chain."""

    spec_name: str
    spec_version: int
    transaction_version: int

    def __str__(self) -> str:
        return f"{self.spec_name} {self.spec_version}"


@dataclass(frozen=True)
class Terms:
    """When a signed call is valid (its era, and the block in which that begins), its nonce, its tip in planck."""

    era: Mortal
    birth_number: int
    birth_hash: bytes
    nonce: int
    tip: int

    @property
    def death_number(self) -> int:
        """The first block in which the call can no longer be."""
        return self.birth_number + self.era.period


@dataclass(frozen=True)
class SignedCall:
    """A call that is signed: whatever happens, these bytes can enter the chain only once."""

    call_name: str
    account: bytes
    encoded: bytes
    terms: Terms

    @property
    def hash(self) -> bytes:
        """BLAKE2b-256 of the extrinsic."""
        return blake2_256(self.encoded)


def sign_call(
    metadata: ChainMetadata,
    version: SpecVersion,
    genesis_hash: bytes,
    call: RuntimeCall,
    signer: extrinsics.Signer,
    terms: Terms,
) -> SignedCall:
    """Sign a call. Raises NotSupported for what the chain or this program lacks, CodecError for a value."""
    call_bytes = encode_call(metadata, call)
    in_extrinsic: dict[str, bytes] = {
        "CheckMortality": encode_era(terms.era),
        "CheckNonce": write_compact(terms.nonce),
        "ChargeTransactionPayment": write_compact(terms.tip),
        "CheckMetadataHash": b"\0",
    }
    besides: dict[str, bytes] = {
        "CheckSpecVersion": version.spec_version.to_bytes(4, "little"),
        "CheckTxVersion": version.transaction_version.to_bytes(4, "little"),
        "CheckGenesis": genesis_hash,
        "CheckMortality": terms.birth_hash,
        "CheckMetadataHash": b"\0",
    }
    extra = b"".join(_part(metadata, one.identifier, one.type, in_extrinsic) for one in metadata.extensions)
    additional = b"".join(_part(metadata, one.identifier, one.additional, besides) for one in metadata.extensions)
    signature = extrinsics.multi_signature(signer, extrinsics.signing_payload(call_bytes, extra, additional))
    body = (
        bytes([extrinsics.SIGNED_VERSION])
        + extrinsics.ADDRESS_CODEC.encode(Id(signer.account_id))
        + extrinsics.SIGNATURE_CODEC.encode(signature)
        + extra
        + call_bytes
    )
    return SignedCall(call.name, signer.account_id, extrinsics.with_length(body), terms)


def encode_call(metadata: ChainMetadata, call: RuntimeCall) -> bytes:
    """The bytes of a call; raises NotSupported when the chain lacks it, CodecError when an argument does not fit."""
    metadata.find_call(call.pallet, call.function)
    return metadata.call_codec.encode(call)


def _part(metadata: ChainMetadata, identifier: str, kind: int, known: dict[str, bytes]) -> bytes:
    if identifier in known:
        return known[identifier]
    if _takes_bytes(metadata, kind):
        raise NotSupported(f"the connected chain wants {identifier} in every transaction, which this program lacks")
    return b""


def _takes_bytes(metadata: ChainMetadata, kind: int) -> bool:
    codec: Any = metadata.types.codec(kind)
    try:
        codec.decode(b"")
    except CodecError:
        return True
    return False
