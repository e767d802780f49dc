"""Hashes, keys and signatures of Hypercore 11.

All hashes are BLAKE2b with 32 bytes; a leading type byte separates leaves, parents and trees. Signatures are Ed25519.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol, Self

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from hypercore.errors import DecodeError, LocalProtocolError

HASH_SIZE = 32
KEY_SIZE = 32
SIGNATURE_SIZE = 64
Z32_ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
_Z32_SIZE = 52
_Z32_VALUES = {letter: value for value, letter in enumerate(Z32_ALPHABET)}
_URL_PREFIXES = ("pear://", "hyper://")


class HashedNode(Protocol):
    """What a hash over nodes reads: index, size in bytes and 32-byte hash."""

    @property
    def index(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def hash(self) -> bytes: ...


def hash_bytes(*parts: bytes) -> bytes:
    """BLAKE2b-256 over the parts put together."""
    state = blake2b(digest_size=HASH_SIZE)
    for part in parts:
        state.update(part)
    return state.digest()


def leaf_hash(block: bytes) -> bytes:
    """Hash of a block's content; its size is part of it."""
    state = blake2b(b"\x00" + len(block).to_bytes(8, "little"), digest_size=HASH_SIZE)
    state.update(block)
    return state.digest()


def parent_hash(size: int, left: bytes, right: bytes) -> bytes:
    """Hash of an inner node over `size` bytes from the hashes of its children."""
    return blake2b(b"\x01" + size.to_bytes(8, "little") + left + right, digest_size=HASH_SIZE).digest()


def tree_hash(roots: Iterable[HashedNode]) -> bytes:
    """Hash of a whole log from its full roots, left to right."""
    state = blake2b(b"\x02", digest_size=HASH_SIZE)
    for root in roots:
        state.update(root.hash + root.index.to_bytes(8, "little") + root.size.to_bytes(8, "little"))
    return state.digest()


def namespace(name: str, number: int) -> bytes:
    """The `number`-th 32-byte domain separator of a module called `name`."""
    return hash_bytes(hash_bytes(name.encode()), bytes((number,)))


NAMESPACE_TREE, NAMESPACE_INITIATOR, NAMESPACE_RESPONDER, NAMESPACE_MANIFEST, NAMESPACE_SIGNER, NAMESPACE_ENCRYPTION = (
    namespace("hypercore", number) for number in range(6)
)


def discovery_key(key: bytes) -> bytes:
    """What may be told to strangers about a core: a hash from which the key cannot be found."""
    return blake2b(b"hypercore", key=key, digest_size=HASH_SIZE).digest()


def z32_encode(key: bytes) -> str:
    """A 32-byte key as 52 characters of z-base-32."""
    if len(key) != KEY_SIZE:
        raise LocalProtocolError(f"a key has {KEY_SIZE} bytes, got {len(key)}")
    number = int.from_bytes(key, "big") << 4
    return "".join(Z32_ALPHABET[(number >> shift) & 31] for shift in range(5 * (_Z32_SIZE - 1), -1, -5))


def z32_decode(text: str) -> bytes:
    """The 32-byte key behind 52 characters of z-base-32; the four pad bits must be zero."""
    if len(text) != _Z32_SIZE:
        raise DecodeError(f"a z-base-32 key has {_Z32_SIZE} characters, got {len(text)}")
    number = 0
    for letter in text:
        value = _Z32_VALUES.get(letter)
        if value is None:
            raise DecodeError(f"{letter!r} is not a z-base-32 character")
        number = number << 5 | value
    if number & 15:
        raise DecodeError("z-base-32 key with padding bits set")
    return (number >> 4).to_bytes(KEY_SIZE, "big")


def parse_key(key: bytes | str) -> bytes:
    """A core key from 32 bytes, 64 hex characters, 52 z-base-32 characters, or one of these after `pear://`.

    Raises `DecodeError` for anything else.
    """
    if isinstance(key, bytes | bytearray | memoryview):
        if len(key) != KEY_SIZE:
            raise DecodeError(f"a key has {KEY_SIZE} bytes, got {len(key)}")
        return bytes(key)
    text = key.strip()
    for prefix in _URL_PREFIXES:
        if text.startswith(prefix):
            text = text.removeprefix(prefix).split("/", 1)[0]
    if len(text) == _Z32_SIZE:
        return z32_decode(text)
    if len(text) != 2 * KEY_SIZE:
        raise DecodeError("a key is 32 bytes, 64 hex characters or 52 z-base-32 characters")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise DecodeError("a key of 64 characters must be hex") from None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair. `secret` is libsodium's form, 32-byte seed and then the public key; it is never printed."""

    public_key: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The pair that belongs to a 32-byte seed."""
        if len(seed) != KEY_SIZE:
            raise LocalProtocolError(f"a seed has {KEY_SIZE} bytes, got {len(seed)}")
        public_key, secret = crypto_sign_seed_keypair(seed)
        return cls(public_key, secret)

    @property
    def seed(self) -> bytes:
        """The 32 bytes the pair was made from."""
        return self.secret[:KEY_SIZE]

    def sign(self, message: bytes) -> bytes:
        """A deterministic 64-byte signature."""
        return crypto_sign(message, self.secret)[:SIGNATURE_SIZE]


def verify(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """True when `signature` is a valid Ed25519 signature of `message` (libsodium's strict rules)."""
    if len(signature) != SIGNATURE_SIZE or len(public_key) != KEY_SIZE:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True
