"""Hashes, addresses and signatures of the chain, each a pure function of its bytes.

Sources: BLAKE2 RFC 7693, xxHash 64, Keccak-256 as in Ethereum, SS58 and the signature schemes as in Substrate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import base58
import coincurve
import nacl.bindings
import nacl.exceptions
import sha3
import sr25519
import xxhash

from runtime.types import Signature64, Signature65, Variant, type_path

SS58_PREFIX_GENERIC = 42

ECDSA_SIGNATURE_BYTES = 65
ECDSA_PUBLIC_KEY_BYTES = 33
ECDSA_HALF_ORDER = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
"""Half the order of secp256k1: of the two valid `s` of a signature, signers take the one that is not greater."""


def blake2_128(data: bytes) -> bytes:
    """Return BLAKE2b of 16 bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def blake2_256(data: bytes) -> bytes:
    """Return BLAKE2b of 32 bytes: block, extrinsic and call hashes."""
    return hashlib.blake2b(data, digest_size=32).digest()


def twox64(data: bytes) -> bytes:
    """Return xxHash64 with seed 0, little endian."""
    return xxhash.xxh64_intdigest(data, 0).to_bytes(8, "little")


def twox128(data: bytes) -> bytes:
    """Return xxHash64 with seeds 0 and 1, each little endian: the hash of storage prefixes."""
    return twox64(data) + xxhash.xxh64_intdigest(data, 1).to_bytes(8, "little")


def twox256(data: bytes) -> bytes:
    """Return xxHash64 with seeds 0 to 3, each little endian."""
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in range(4))


def keccak256(data: bytes) -> bytes:
    """Return Keccak-256 (not SHA3-256): the hash of the state trie."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


class AddressError(ValueError):
    """A text is no SS58 address; the message says which part is wrong."""


def ss58_encode(account: bytes, prefix: int = SS58_PREFIX_GENERIC) -> str:
    """Return the SS58 address of 32 bytes with a network prefix below 16,384 (46 and 47 are reserved)."""
    if len(account) != 32:
        raise AddressError(f"an account id has 32 bytes, not {len(account)}")
    if not 0 <= prefix < 16_384 or prefix in (46, 47):
        raise AddressError(f"SS58 prefix {prefix} is out of range or reserved")
    if prefix < 64:
        head = bytes([prefix])
    else:
        head = bytes([((prefix & 0xFC) >> 2) | 0x40, (prefix >> 8) | ((prefix & 3) << 6)])
    encoded: bytes = base58.b58encode(head + account + _ss58_checksum(head + account))
    return encoded.decode()


def ss58_decode(address: str, prefix: int | None = None) -> bytes:
    """Return the 32 bytes of an SS58 address; with `prefix` another network's address is refused."""
    if len(address) > 64:
        raise AddressError("an SS58 address has fewer than 64 characters")
    try:
        raw = base58.b58decode(address)
    except ValueError:
        raise AddressError("an SS58 address is base58 text") from None
    if not raw or raw[0] >= 0x80:
        raise AddressError("the SS58 prefix is not valid")
    size = 1 if raw[0] < 64 else 2
    if len(raw) != size + 34:
        raise AddressError(f"an SS58 address of an account holds {size + 34} bytes, not {len(raw)}")
    found = raw[0] if size == 1 else ((raw[0] & 0x3F) << 2) | (raw[1] >> 6) | ((raw[1] & 0x3F) << 8)
    if raw[-2:] != _ss58_checksum(raw[:-2]):
        raise AddressError("the SS58 checksum does not match: a character is wrong")
    if prefix is not None and found != prefix:
        raise AddressError(f"the address belongs to network {found}, not {prefix}")
    return bytes(raw[size:-2])


def _ss58_checksum(data: bytes) -> bytes:
    return hashlib.blake2b(b"SS58PRE" + data).digest()[:2]


class MultiSignature(Variant):
    """`sp_runtime::MultiSignature`: a signature and its scheme."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::MultiSignature")


@dataclass(frozen=True)
class Ed25519(MultiSignature, unnamed=True):
    """Ed25519, RFC 8032."""

    value: Signature64


@dataclass(frozen=True)
class Sr25519(MultiSignature, unnamed=True):
    """Schnorrkel over ristretto255, signing context "substrate"."""

    value: Signature64


@dataclass(frozen=True)
class Ecdsa(MultiSignature, unnamed=True):
    """ECDSA over secp256k1 of the message's BLAKE2b-256: r, s (32 bytes each, big endian), recovery id (0 to 3)."""

    value: Signature65


def verify_sr25519(signature: bytes, message: bytes, public: bytes) -> bool:
    """Tell whether an sr25519 signature (context "substrate") is valid; malformed input is simply not valid."""
    if len(signature) != 64 or len(public) != 32:
        return False
    try:
        return bool(sr25519.verify(signature, message, public))
    except (ValueError, TypeError):
        return False


def verify_ed25519(signature: bytes, message: bytes, public: bytes) -> bool:
    """Tell whether an Ed25519 signature is valid; malformed input is simply not valid."""
    if len(signature) != 64 or len(public) != 32:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError, ValueError):
        return False
    return True


def ecdsa_account(public_key: bytes) -> bytes:
    """Return the account of a compressed secp256k1 public key (33 bytes): its BLAKE2b-256."""
    return blake2_256(public_key)


def verify_ecdsa(signature: bytes, message: bytes, account: bytes) -> bool:
    """Tell whether an ECDSA signature recovers the key of an account; malformed input is simply not valid.

    One signature has one form: a greater `s` and recovery ids of 27 and more, which Substrate also takes, are not
    valid here. Otherwise anybody could give a transaction on its way another hash.
    """
    if len(signature) != ECDSA_SIGNATURE_BYTES or int.from_bytes(signature[32:64], "big") > ECDSA_HALF_ORDER:
        return False
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, blake2_256(message), hasher=None)
    except ValueError:
        return False
    return ecdsa_account(key.format(compressed=True)) == account


def verify_signature(signature: MultiSignature, message: bytes, account: bytes) -> bool:
    """Tell whether `account` signed `message`."""
    match signature:
        case Sr25519(value):
            return verify_sr25519(value, message, account)
        case Ed25519(value):
            return verify_ed25519(value, message, account)
        case Ecdsa(value):
            return verify_ecdsa(value, message, account)
        case _:
            return False
