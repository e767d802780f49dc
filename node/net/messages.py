"""What chain nodes say to each other, message by message. The form on the wire is `node.net.cbor`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node import limits
from node.net.cbor import (
    bounded_bytes,
    bounded_text,
    bytes_list,
    choice,
    fixed_bytes,
    flag,
    optional_fixed_bytes,
    text_list,
    unsigned,
)

HASH_BYTES: Final = 32
BLOCK_NUMBER_BITS: Final = 32

# The same on every chain, so that a stranger can be told why it is refused.
CONTROL_PROTOCOL: Final = "/datdot/control/1"


def chain_protocol(genesis_hash: bytes, name: str) -> str:
    """Return the libp2p protocol id of `name` on the chain with this genesis: `/<first 8 bytes, hex>/<name>/1`."""
    return f"/{genesis_hash[:8].hex()}/{name}/1"


@dataclass(frozen=True)
class Handshake:
    """The first frame in each direction of a control stream."""

    genesis: bytes = fixed_bytes(HASH_BYTES)
    best_number: int = unsigned(BLOCK_NUMBER_BITS)
    best_hash: bytes = fixed_bytes(HASH_BYTES)
    role: str = choice("full", "authority")
    addresses: tuple[str, ...] = text_list(limits.MAX_ADDRESSES_PER_RECORD, limits.MAX_MULTIADDRESS_BYTES)


@dataclass(frozen=True)
class Control:
    """Every later frame of a control stream: a ping, its pong with the same nonce, or the reason of a parting."""

    kind: str = choice("ping", "pong", "bye")
    nonce: int = unsigned(64)
    reason: str = bounded_text(200)


@dataclass(frozen=True)
class Batch:
    """What a notification stream carries: items of its kind, opaque here."""

    items: tuple[bytes, ...] = bytes_list(limits.MAX_BATCH_ITEMS, limits.MAX_EXTRINSIC_BYTES)


@dataclass(frozen=True)
class BlockAnnounce:
    """A block that the sender has imported: its SCALE header, and whether it is the sender's best."""

    header: bytes = bounded_bytes(limits.MAX_HEADER_BYTES)
    is_best: bool = flag()


@dataclass(frozen=True)
class SyncRequest:
    """A question about the answering peer's best chain.

    kind "hash": which block has number `start`; "blocks": the blocks `start … start + count - 1`.
    """

    request: int = unsigned(32)
    kind: str = choice("hash", "blocks")
    start: int = unsigned(BLOCK_NUMBER_BITS)
    count: int = unsigned(16)


@dataclass(frozen=True)
class SyncResponse:
    """The answer: the hash (null when there is no such block), or as many of the blocks as fit, as RLP envelopes."""

    request: int = unsigned(32)
    hash: bytes | None = optional_fixed_bytes(HASH_BYTES)
    blocks: tuple[bytes, ...] = bytes_list(limits.MAX_BLOCKS_PER_REQUEST, limits.MAX_BLOCK_BYTES)
