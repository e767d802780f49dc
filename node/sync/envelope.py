"""The block envelope `[header, [extrinsic…], justification]` in RLP, whose parts are opaque SCALE bytes.

Reading the number and the parent out of a header is all that syncing needs to know about a block: a SCALE header
starts with the 32-byte parent hash and the number as a compact integer, and its hash is BLAKE2b-256 of all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import rlp

HASH_BYTES = 32


class InvalidEnvelope(ValueError):
    """The bytes are not an envelope, or its header is cut short."""


@dataclass(frozen=True)
class HeaderSummary:
    """What a header says about its place in the chain."""

    number: int
    hash: bytes
    parent_hash: bytes


@dataclass(frozen=True)
class Envelope:
    """A block as it is stored and sent: SCALE header, SCALE extrinsics, justification (empty when there is none)."""

    header: bytes
    extrinsics: tuple[bytes, ...]
    justification: bytes = b""


def encode_envelope(header: bytes, extrinsics: Sequence[bytes], justification: bytes = b"") -> bytes:
    """Return the RLP envelope of a block."""
    return bytes(rlp.encode([header, list(extrinsics), justification]))


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope. Raises InvalidEnvelope for anything that `encode_envelope` cannot have made."""
    try:
        parts = rlp.decode(data)
    except (rlp.exceptions.RLPException, RecursionError) as error:
        raise InvalidEnvelope(f"not RLP: {error}") from error
    match parts:
        case [bytes(header), list(extrinsics), bytes(justification)] if all(
            isinstance(extrinsic, bytes) for extrinsic in extrinsics
        ):
            return Envelope(header, tuple(extrinsics), justification)
    raise InvalidEnvelope("not [header, [extrinsic…], justification]")


def summarize_header(header: bytes) -> HeaderSummary:
    """Read number, hash and parent hash of a SCALE header. Raises InvalidEnvelope when it is cut short."""
    if len(header) <= HASH_BYTES:
        raise InvalidEnvelope(f"a header of {len(header)} bytes is cut short")
    mode = header[HASH_BYTES] & 3
    if mode == 3:
        size = (header[HASH_BYTES] >> 2) + 4
        raw = header[HASH_BYTES + 1 : HASH_BYTES + 1 + size]
        number = int.from_bytes(raw, "little")
    else:
        size = 1 << mode
        raw = header[HASH_BYTES : HASH_BYTES + size]
        number = int.from_bytes(raw, "little") >> 2
    if len(raw) != size:
        raise InvalidEnvelope("the block number of the header is cut short")
    return HeaderSummary(number, hashlib.blake2b(header, digest_size=HASH_BYTES).digest(), header[:HASH_BYTES])


def summarize_block(envelope: bytes) -> HeaderSummary:
    """Read number, hash and parent hash of the block in an RLP envelope. Raises InvalidEnvelope."""
    return summarize_header(decode_envelope(envelope).header)
