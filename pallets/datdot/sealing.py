"""Sealed copies: what anyone can open and check, and only the encoder can make.

A *lane* is one position of one amendment. Its encoder owns a fresh RSA key (n, e = 65537) and turns every chunk of the
lane into a sealed chunk by applying the *private* exponent to it. Opening needs the public key only, so every hoster,
attestor, node and accuser opens; making a sealed chunk again that was thrown away needs the private exponent, so a
hoster has to keep the bytes.

All integers are big endian. k is the size of the modulus in bytes (128 or 256). A chunk of at most 65,536 bytes becomes

    header   = format u8 (0 raw, 1 brotli) | chunk length u32 | stored length u32                          9 bytes
    payload  = header | the chunk, or its brotli stream where that is smaller | zeros up to a multiple of k - 2
    data_j   = block j of the payload                                                                  k - 2 bytes
    mask_j   = SHAKE-256("dd/mask/v1" | genesis 32 | amendment u64 | position u8 | H(N, e) 32 | chunk index u64
                         | j u32 | sealed_(j-1), k zeros for j = 0)                                    k - 2 bytes
    sealed_j = integer(data_j XOR mask_j) ^ d mod n                                                        k bytes

and the sealed chunk is sealed_0 | sealed_1 | ... An integer of k - 2 bytes is below n, so the map is one to one:
opening raises sealed_j to e, requires the two top bytes of the k-byte result to be zero, and takes the mask off. Values
of n or more and padding that is not zero are refused: one payload has exactly one sealed form in a lane.

The sealed chunks of a lane, one after another, are one stream (its tree is in `lane_tree`). It is self-delimiting:
`sealed_length` reads a sealed chunk's length from its first block, so where chunk i lies is proven by the first blocks
of the chunks before it.

Source: replica encodings with client setup (Damgaard, Ganesh, Orlandi, "Proofs of Replicated Storage Without Timing
Assumptions", 2019), hourglass schemes (van Dijk et al., 2012). Not protected: an encoder that seals again on demand for
its hoster, and the few bits per block that a hoster may drop and find again by trying.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

import brotli
import gmpy2

from pallets.datdot.lane import (
    POSITIONS_PER_AMENDMENT,
    PUBLIC_EXPONENT,
    SEAL_KEY_BITS,
    U64_END,
    Lane,
    LaneKey,
    SealingError,
    SealingFault,
    check_key,
    is_leaked_key,
)
from pallets.datdot.lane_tree import (
    LEAF_BYTES,
    LaneCommitment,
    LaneTree,
    LaneTreeBuilder,
    commitment_message,
    leaf_hash,
    leaf_of_byte,
    leaf_range_of_bytes,
    verify_leaf,
)

__all__ = [
    "CHUNK_MAX_BYTES",
    "LEAF_BYTES",
    "POSITIONS_PER_AMENDMENT",
    "PUBLIC_EXPONENT",
    "SEAL_KEY_BITS",
    "Lane",
    "LaneCommitment",
    "LaneKey",
    "LaneTree",
    "LaneTreeBuilder",
    "MaskMaker",
    "SealingError",
    "SealingFault",
    "check_fraud",
    "check_key",
    "commitment_message",
    "is_leaked_key",
    "leaf_hash",
    "leaf_of_byte",
    "leaf_range_of_bytes",
    "mask",
    "max_sealed_bytes",
    "open_chunk",
    "pack_payload",
    "sealed_length",
    "sealed_size_bytes",
    "verify_leaf",
]

CHUNK_MAX_BYTES = 65_536
HEADER_BYTES = 9
FORMAT_RAW = 0
FORMAT_BROTLI = 1
MASK_DOMAIN = b"dd/mask/v1"


def sealed_size_bytes(stored_bytes: int, bits: int) -> int:
    """Size of a sealed chunk whose chunk, after compression, takes `stored_bytes`."""
    block_bytes = bits // 8
    return -(-(HEADER_BYTES + stored_bytes) // (block_bytes - 2)) * block_bytes


def max_sealed_bytes(bits: int) -> int:
    """Size of the largest sealed chunk, 65,536 bytes that do not compress: 66,688 or 66,304 bytes."""
    return sealed_size_bytes(CHUNK_MAX_BYTES, bits)


def mask(lane: Lane, chunk_index: int, block_number: int, previous_block: bytes) -> bytes:
    """The k - 2 bytes that hide a block of a chunk; `previous_block` is the sealed block before it, or k zeros.

    Raises SealingError for an index, a number or a previous block that does not fit.
    """
    if len(previous_block) != lane.key.size_bytes:
        raise SealingError(SealingFault.LENGTH, f"expected a block of {lane.key.size_bytes} bytes")
    if not 0 <= block_number < 1 << 32:
        raise SealingError(SealingFault.LANE, f"block number {block_number} is not an unsigned 32-bit number")
    return MaskMaker(lane, chunk_index).mask(block_number, previous_block)


class MaskMaker:
    """Masks of one chunk; the part of the hash that all blocks share is absorbed once."""

    def __init__(self, lane: Lane, chunk_index: int) -> None:
        if not 0 <= chunk_index < U64_END:
            raise SealingError(SealingFault.LANE, f"chunk index {chunk_index} is not an unsigned 64-bit number")
        place = lane.amendment.to_bytes(8, "big") + lane.position.to_bytes(1, "big")
        shared = (MASK_DOMAIN, lane.genesis, place, lane.key.key_hash(), chunk_index.to_bytes(8, "big"))
        self._shared = hashlib.shake_256(b"".join(shared))
        self._mask_bytes = lane.key.size_bytes - 2

    def mask(self, block_number: int, previous_block: bytes) -> bytes:
        """Like the function `mask`, for arguments that are known to fit."""
        hasher = self._shared.copy()
        hasher.update(block_number.to_bytes(4, "big"))
        hasher.update(previous_block)
        return hasher.digest(self._mask_bytes)


def open_chunk(lane: Lane, chunk_index: int, sealed: bytes) -> bytes:
    """Open one whole sealed chunk with the public key and return the chunk (0 … 65,536 bytes).

    Raises SealingError with its fault for anything but the sealed form of some chunk. The work is bounded: at most
    `max_sealed_bytes` are opened, and decompression stops at the length that the header names.
    """
    if len(sealed) > max_sealed_bytes(lane.key.bits):
        raise SealingError(SealingFault.LENGTH, f"{len(sealed)} bytes are more than a sealed chunk can have")
    payload = _open_blocks(lane, chunk_index, sealed)
    header = _Header.read(payload)
    if len(sealed) != sealed_size_bytes(header.stored_bytes, lane.key.bits):
        raise SealingError(SealingFault.LENGTH, f"{len(sealed)} bytes do not hold {header.stored_bytes} stored bytes")
    end = HEADER_BYTES + header.stored_bytes
    if any(payload[end:]):
        raise SealingError(SealingFault.PADDING, f"after byte {end} of the payload")
    stored = payload[HEADER_BYTES:end]
    return stored if header.format == FORMAT_RAW else _decompress(stored, header.chunk_bytes)


def sealed_length(lane: Lane, chunk_index: int, first_block: bytes) -> int:
    """Length in bytes of the sealed chunk that begins with this block (k bytes); raises SealingError."""
    if len(first_block) != lane.key.size_bytes:
        raise SealingError(SealingFault.LENGTH, f"expected one block, got {len(first_block)} bytes")
    header = _Header.read(_open_blocks(lane, chunk_index, first_block))
    return sealed_size_bytes(header.stored_bytes, lane.key.bits)


def _open_blocks(lane: Lane, chunk_index: int, sealed: bytes) -> bytes:
    size, modulus = lane.key.size_bytes, lane.key.modulus
    if not sealed or len(sealed) % size:
        raise SealingError(SealingFault.LENGTH, f"{len(sealed)} bytes are not a whole number of blocks of {size}")
    masks = MaskMaker(lane, chunk_index)
    previous = bytes(size)
    payload = bytearray()
    for number, start in enumerate(range(0, len(sealed), size)):
        block = sealed[start : start + size]
        value = int.from_bytes(block, "big")
        if value >= modulus:
            raise SealingError(SealingFault.RANGE, f"block {number}")
        opened = int(gmpy2.powmod(value, PUBLIC_EXPONENT, modulus))
        if opened >> (8 * (size - 2)):
            raise SealingError(SealingFault.TOP_BYTES, f"block {number}")
        payload += (opened ^ int.from_bytes(masks.mask(number, previous), "big")).to_bytes(size - 2, "big")
        previous = block
    return bytes(payload)


@dataclass(frozen=True)
class _Header:
    format: int
    chunk_bytes: int
    stored_bytes: int

    @classmethod
    def read(cls, payload: bytes) -> Self:
        header = cls(payload[0], int.from_bytes(payload[1:5], "big"), int.from_bytes(payload[5:HEADER_BYTES], "big"))
        if header.chunk_bytes > CHUNK_MAX_BYTES:
            raise SealingError(SealingFault.HEADER, f"a chunk of {header.chunk_bytes} bytes is too large")
        if header.format == FORMAT_RAW and header.stored_bytes == header.chunk_bytes:
            return header
        if header.format == FORMAT_BROTLI and header.stored_bytes < header.chunk_bytes:
            return header
        raise SealingError(SealingFault.HEADER, f"format {header.format}, {header.stored_bytes} bytes stored")


def pack_payload(chunk: bytes, compressed: bytes, bits: int) -> bytes:
    """Header, the smaller of the chunk and its brotli stream, and zeros up to whole blocks of k - 2 bytes.

    Raises SealingError when the chunk has more than 65,536 bytes.
    """
    if len(chunk) > CHUNK_MAX_BYTES:
        raise SealingError(SealingFault.LENGTH, f"a chunk of {len(chunk)} bytes is too large")
    is_smaller = len(compressed) < len(chunk)
    stored = compressed if is_smaller else chunk
    header = bytes([FORMAT_BROTLI if is_smaller else FORMAT_RAW])
    header += len(chunk).to_bytes(4, "big") + len(stored).to_bytes(4, "big")
    blocks = sealed_size_bytes(len(stored), bits) // (bits // 8)
    return (header + stored).ljust(blocks * (bits // 8 - 2), b"\0")


def _decompress(stored: bytes, chunk_bytes: int) -> bytes:
    decompressor = brotli.Decompressor()
    try:
        # One byte more than is expected, so that a stream of the right length also reaches its end mark.
        chunk = bytes(decompressor.process(stored, output_buffer_limit=chunk_bytes + 1))
    except brotli.error:
        raise SealingError(SealingFault.COMPRESSION, "not a brotli stream") from None
    if len(chunk) != chunk_bytes or not decompressor.is_finished():
        raise SealingError(SealingFault.COMPRESSION, f"the stream does not hold exactly {chunk_bytes} bytes")
    return chunk


def check_fraud(lane: Lane, chunk_index: int, sealed: bytes, true_chunk: bytes) -> bool:
    """Whether a sealed chunk that was signed for is a lie: it does not open to `true_chunk`."""
    try:
        return open_chunk(lane, chunk_index, sealed) != true_chunk
    except SealingError:
        return True
