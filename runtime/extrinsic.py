"""Extrinsics, version 4: how they are laid out, what their sender signs, how the signature is checked.

Layout: compact length ++ (0x84 ++ address ++ signature ++ extra ++ call, or 0x04 ++ call).
Signed: call ++ extra ++ additional, replaced by its BLAKE2b-256 digest when longer than 256 bytes.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, Protocol

from runtime import limits
from runtime.account import Id, MultiAddress
from runtime.call import RuntimeCall
from runtime.codec import Codec, codec_for
from runtime.codec_scalars import read_compact, write_compact
from runtime.crypto import Ecdsa, Ed25519, MultiSignature, Sr25519, blake2_256, verify_signature
from runtime.era import Era, Immortal
from runtime.errors import CodecError
from runtime.types import H256, U32, CompactU32, CompactU128, Fixed, type_path
from runtime.version import RuntimeVersion

SIGNED_VERSION = 0x84
BARE_VERSION = 0x04


class MetadataHashMode(enum.Enum):
    """Whether the sender signed the metadata's hash too; only DISABLED is accepted."""

    DISABLED = "The metadata's hash is not signed."
    ENABLED = "The metadata's hash is signed."


setattr(MetadataHashMode, "__scale_path__", type_path("frame_metadata_hash_extension::Mode"))  # noqa: B010


@dataclass(frozen=True)
class Extra:
    """What the signed extensions put into the extrinsic, in their order."""

    era: Era
    nonce: CompactU32
    tip: CompactU128 = 0
    metadata_hash_mode: MetadataHashMode = MetadataHashMode.DISABLED


@dataclass(frozen=True)
class Additional:
    """What the signed extensions sign besides, in their order; both sides know it, so it is not sent."""

    spec_version: U32
    transaction_version: U32
    genesis_hash: H256
    era_block_hash: H256
    metadata_hash: Annotated[bytes, Fixed(32)] | None = None


@dataclass(frozen=True)
class Extension:
    """One signed extension: its identifier and path, the types of its extra and its additional (None: nothing)."""

    identifier: str
    path: str
    extra: Any = None
    additional: Any = None
    field: str | None = None


EXTENSIONS = (
    Extension("CheckNonZeroSender", "frame_system::extensions::check_non_zero_sender::CheckNonZeroSender"),
    Extension("CheckSpecVersion", "frame_system::extensions::check_spec_version::CheckSpecVersion", None, U32),
    Extension("CheckTxVersion", "frame_system::extensions::check_tx_version::CheckTxVersion", None, U32),
    Extension("CheckGenesis", "frame_system::extensions::check_genesis::CheckGenesis", None, H256),
    Extension("CheckMortality", "frame_system::extensions::check_mortality::CheckMortality", Era, H256),
    Extension("CheckNonce", "frame_system::extensions::check_nonce::CheckNonce", CompactU32),
    Extension("CheckWeight", "frame_system::extensions::check_weight::CheckWeight"),
    Extension(
        "ChargeTransactionPayment", "pallet_transaction_payment::ChargeTransactionPayment", CompactU128
    ),
    Extension(
        "CheckMetadataHash",
        "frame_metadata_hash_extension::CheckMetadataHash",
        MetadataHashMode,
        Annotated[bytes, Fixed(32)] | None,
        field="mode",
    ),
)

EXTRA_CODEC = codec_for(Extra)
ADDITIONAL_CODEC = codec_for(Additional)
ADDRESS_CODEC = codec_for(MultiAddress)
SIGNATURE_CODEC = codec_for(MultiSignature)


@dataclass(frozen=True)
class SignedPart:
    """Who signed, how, and with which extra."""

    address: MultiAddress
    signature: MultiSignature
    extra: Extra
    extra_bytes: bytes = dataclasses.field(repr=False)


@dataclass(frozen=True)
class Extrinsic:
    """A decoded extrinsic. `encoded` is the whole, length prefix included; `signed` is None for a bare one."""

    encoded: bytes = dataclasses.field(repr=False)
    signed: SignedPart | None
    call: RuntimeCall
    call_bytes: bytes = dataclasses.field(repr=False)

    @cached_property
    def hash(self) -> bytes:
        """BLAKE2b-256 of the whole extrinsic."""
        return blake2_256(self.encoded)


class ExtrinsicCodec:
    """Encodes and decodes whole extrinsics of one runtime."""

    def __init__(self, call_codec: Codec[RuntimeCall], extra_codec: Codec[Extra] = EXTRA_CODEC) -> None:
        self.call_codec = call_codec
        self.extra_codec = extra_codec

    def decode(self, data: bytes) -> Extrinsic:
        """Decode an extrinsic that takes the whole of `data`; raises CodecError."""
        if len(data) > limits.EXTRINSIC_LENGTH_BYTES:
            raise CodecError(f"an extrinsic has at most {limits.EXTRINSIC_LENGTH_BYTES} bytes, got {len(data)}")
        length, start = read_compact(data, 0, 4)
        if start + length != len(data):
            raise CodecError(f"the length prefix says {length} bytes, {len(data) - start} follow", 0)
        version = data[start] if length else 0
        if version == BARE_VERSION:
            return Extrinsic(data, None, *self._read_call(data, start + 1))
        if version != SIGNED_VERSION:
            raise CodecError(f"extrinsic version byte is 0x84 (signed) or 0x04 (bare), not 0x{version:02x}", start)
        address, offset = ADDRESS_CODEC.read(data, start + 1)
        signature, offset = SIGNATURE_CODEC.read(data, offset)
        extra, end = self.extra_codec.read(data, offset)
        signed = SignedPart(address, signature, extra, data[offset:end])
        return Extrinsic(data, signed, *self._read_call(data, end))

    def _read_call(self, data: bytes, offset: int) -> tuple[RuntimeCall, bytes]:
        call, end = self.call_codec.read(data, offset)
        if end != len(data):
            raise CodecError(f"{len(data) - end} bytes are left over after the call", end)
        return call, data[offset:]

    def encode_bare(self, call: RuntimeCall) -> bytes:
        """Return an inherent."""
        return with_length(bytes([BARE_VERSION]) + self.call_codec.encode(call))

    def encode_signed(
        self, address: MultiAddress, signature: MultiSignature, extra: Extra, call: RuntimeCall
    ) -> bytes:
        """Return a signed extrinsic."""
        return with_length(
            bytes([SIGNED_VERSION])
            + ADDRESS_CODEC.encode(address)
            + SIGNATURE_CODEC.encode(signature)
            + self.extra_codec.encode(extra)
            + self.call_codec.encode(call)
        )


def with_length(body: bytes) -> bytes:
    """Prefix an extrinsic's body with its compact length."""
    return write_compact(len(body)) + body


def has_right_length(data: bytes) -> bool:
    """Tell whether the length prefix is right: then only what it holds can be no extrinsic of some runtime."""
    try:
        length, start = read_compact(data, 0, 4)
    except CodecError:
        return False
    return start + length == len(data)


def signing_payload(call_bytes: bytes, extra_bytes: bytes, additional_bytes: bytes) -> bytes:
    """Return the message that is signed."""
    payload = call_bytes + extra_bytes + additional_bytes
    return blake2_256(payload) if len(payload) > limits.SIGNED_PAYLOAD_BYTES else payload


@lru_cache(limits.ADDITIONAL_CACHE_ENTRIES)
def additional_bytes(version: RuntimeVersion, genesis_hash: bytes, era_block_hash: bytes) -> bytes:
    """Return what is signed besides call and extra."""
    return ADDITIONAL_CODEC.encode(
        Additional(version.spec_version, version.transaction_version, genesis_hash, era_block_hash)
    )


class SignatureCache:
    """Remembers signatures that verified, so that pool, author and importer verify each only once."""

    def __init__(self, entries_maximum: int = limits.SIGNATURE_CACHE_ENTRIES) -> None:
        self.entries_maximum = entries_maximum
        self._known: OrderedDict[tuple[MultiSignature, bytes, bytes], None] = OrderedDict()

    def verify(self, signature: MultiSignature, message: bytes, account: bytes) -> bool:
        """Tell whether `account` signed `message`; a yes is remembered, a no is not."""
        key = (signature, message, account)
        if key in self._known:
            return True
        if not verify_signature(signature, message, account):
            return False
        while len(self._known) >= self.entries_maximum:
            self._known.popitem(last=False)
        self._known[key] = None
        return True

    def __len__(self) -> int:
        return len(self._known)


class Signer(Protocol):
    """Whoever signs an extrinsic; `node.keys.keypair.Keypair` is one.

    `scheme` is "sr25519", "ed25519" (signatures have 64 bytes) or "ecdsa" (65).
    """

    @property
    def account_id(self) -> bytes: ...
    @property
    def scheme(self) -> str: ...
    def sign(self, message: bytes, /) -> bytes: ...


def multi_signature(signer: Signer, message: bytes) -> MultiSignature:
    """Have a message signed; raises ValueError for an unknown scheme."""
    if signer.scheme == "sr25519":
        return Sr25519(signer.sign(message))
    if signer.scheme == "ed25519":
        return Ed25519(signer.sign(message))
    if signer.scheme == "ecdsa":
        return Ecdsa(signer.sign(message))
    raise ValueError(f"scheme is sr25519, ed25519 or ecdsa, not {signer.scheme}")


def sign_extrinsic(
    codec: ExtrinsicCodec,
    version: RuntimeVersion,
    call: RuntimeCall,
    signer: Signer,
    *,
    nonce: int,
    genesis_hash: bytes,
    era: Era | None = None,
    era_block_hash: bytes | None = None,
    tip: int = 0,
) -> bytes:
    """Return a signed extrinsic; a mortal era needs the hash of the block where it begins."""
    chosen = Immortal() if era is None else era
    if era_block_hash is None and not isinstance(chosen, Immortal):
        raise ValueError("a mortal era needs the hash of its first block")
    extra = Extra(chosen, nonce, tip)
    message = signing_payload(
        codec.call_codec.encode(call),
        codec.extra_codec.encode(extra),
        additional_bytes(version, genesis_hash, era_block_hash or genesis_hash),
    )
    return codec.encode_signed(Id(signer.account_id), multi_signature(signer, message), extra, call)
