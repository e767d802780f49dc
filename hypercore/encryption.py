"""Block encryption of Hypercore 11: what is stored, signed and replicated is ciphertext; whoever has the key reads it.

A stored block is 8 bytes of padding and the body. The padding is the fork number under the blinding key; the body is
XORed with XSalsa20 under the block key, and its nonce is the block's index and the padding. There is no authenticator:
the Merkle tree covers the ciphertext.

libsodium's stream cipher is not among PyNaCl's bindings, but its secretbox is the same key stream from byte 32 on, so
only the first 32 bytes of each block come from a Salsa20 core of our own.

Source: Hypercore 11; D. J. Bernstein, "Extending the Salsa20 nonce".
"""

import struct
from hashlib import blake2b

from nacl.bindings import crypto_secretbox

from hypercore import crypto
from hypercore.errors import DecodeError, LocalProtocolError

PADDING_BYTES = 8

_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_MASK = 0xFFFFFFFF
_ROUND_PAIRS = 10
_HEAD_BYTES = 32
_TAG_BYTES = 16
_QUARTERS = (
    (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
    (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
)  # fmt: skip


class BlockCipher:
    """Encrypts and decrypts the blocks of one core.

    `encryption_key` has 32 bytes; with `is_block_key` it is the key of the stream cipher itself, which can be given to
    readers without giving away the encryption key. `compat` cores (their key is a public key) derive it otherwise.
    """

    def __init__(self, core_key: bytes, encryption_key: bytes, *, compat: bool, is_block_key: bool = False) -> None:
        check_encryption_key(encryption_key)
        if is_block_key:
            self.block_key = encryption_key
        else:
            self.block_key = block_key(core_key, encryption_key, compat=compat)
        self.blinding_key = crypto.hash_bytes(self.block_key)

    def encrypt(self, index: int, fork: int, block: bytes) -> bytes:
        """The stored form of block `index`, written at `fork`: PADDING_BYTES longer."""
        number = index.to_bytes(8, "little")
        padding = stream_xor(fork.to_bytes(8, "little"), number + bytes(16), self.blinding_key)
        return padding + stream_xor(block, number + padding + bytes(8), self.block_key)

    def decrypt(self, index: int, stored: bytes) -> bytes:
        """The content of a stored block; raises `DecodeError` when it is too short to be encrypted."""
        if len(stored) < PADDING_BYTES:
            raise DecodeError(f"block {index} has {len(stored)} bytes: it is not encrypted")
        padding = stored[:PADDING_BYTES]
        nonce = index.to_bytes(8, "little") + padding + bytes(8)
        return stream_xor(stored[PADDING_BYTES:], nonce, self.block_key)


def check_encryption_key(key: bytes | None) -> None:
    """Raises `LocalProtocolError` for a key of a wrong size; None is no encryption."""
    if key is not None and len(key) != crypto.KEY_SIZE:
        raise LocalProtocolError(f"an encryption key has {crypto.KEY_SIZE} bytes, got {len(key)}")


def block_key(core_key: bytes, encryption_key: bytes, *, compat: bool) -> bytes:
    """The stream cipher's key of a core."""
    if compat:
        return blake2b(encryption_key, key=core_key, digest_size=crypto.HASH_SIZE).digest()
    return crypto.hash_bytes(crypto.NAMESPACE_ENCRYPTION, core_key, encryption_key)


def stream_xor(data: bytes, nonce: bytes, key: bytes) -> bytes:
    """`data` XORed with XSalsa20 under a nonce of 24 bytes."""
    if not data:
        return b""
    head = _key_stream_head(nonce, key)[: len(data)]
    first = (int.from_bytes(data[: len(head)], "little") ^ int.from_bytes(head, "little")).to_bytes(len(head), "little")
    if len(data) <= _HEAD_BYTES:
        return first
    return first + crypto_secretbox(data[_HEAD_BYTES:], nonce, key)[_TAG_BYTES:]


def _key_stream_head(nonce: bytes, key: bytes) -> bytes:
    """The first 32 bytes of XSalsa20's key stream: HSalsa20 takes 16 bytes of the nonce, Salsa20 the other 8."""
    mixed = _rounds(_matrix(struct.unpack("<8I", key), struct.unpack("<4I", nonce[:16])))
    subkey = (mixed[0], mixed[5], mixed[10], mixed[15], mixed[6], mixed[7], mixed[8], mixed[9])
    start = _matrix(subkey, (*struct.unpack("<2I", nonce[16:]), 0, 0))
    ended = _rounds(start)
    return struct.pack("<8I", *[(ended[place] + start[place]) & _MASK for place in range(8)])


def _matrix(key: tuple[int, ...], nonce: tuple[int, ...]) -> list[int]:
    return [_SIGMA[0], *key[:4], _SIGMA[1], *nonce, _SIGMA[2], *key[4:], _SIGMA[3]]


def _rounds(state: list[int]) -> list[int]:
    x = list(state)
    for _ in range(_ROUND_PAIRS):
        for a, b, c, d in _QUARTERS:
            t = (x[a] + x[d]) & _MASK
            x[b] ^= (t << 7 | t >> 25) & _MASK
            t = (x[b] + x[a]) & _MASK
            x[c] ^= (t << 9 | t >> 23) & _MASK
            t = (x[c] + x[b]) & _MASK
            x[d] ^= (t << 13 | t >> 19) & _MASK
            t = (x[d] + x[c]) & _MASK
            x[a] ^= (t << 18 | t >> 14) & _MASK
    return x
