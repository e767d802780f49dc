"""The vocabulary of syncing: what the machine reads of our chain, what it asks for, and what peers do wrong."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from node.sync.envelope import HeaderSummary


@dataclass(frozen=True)
class BlockRef:
    """A block by number and hash."""

    number: int
    hash: bytes


class LocalChain(Protocol):
    """Our own chain, as far as syncing reads it. `finalized` is the oldest block that a fork may start from."""

    @property
    def best(self) -> BlockRef: ...

    @property
    def finalized(self) -> BlockRef: ...

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of that block of the best chain, None above it."""

    def has(self, block_hash: bytes) -> bool:
        """Say whether the block is imported, on whichever fork."""


@dataclass(frozen=True)
class ReceivedBlock:
    """A block as a peer sent it: what its header says, and its envelope."""

    summary: HeaderSummary
    envelope: bytes


class SyncFault(enum.Enum):
    """What a peer did wrong, one sentence each."""

    Stalled = "It did not answer a request in time."
    Empty = "It has not got blocks of the chain that it announced."
    WrongAnswer = "Its answer holds other blocks than were asked for."
    Unlinked = "Its blocks do not follow each other."
    InvalidBlock = "It sent a block that breaks the rules."
    OtherChain = "It shares no block with us since the last finalized one."
    Inconsistent = "Its chain kept changing under the download."


class ImportOutcome(enum.Enum):
    """What became of a block that was handed over for import."""

    Imported = "imported"
    Known = "known"
    UnknownParent = "unknown_parent"
    Invalid = "invalid"


@dataclass(frozen=True)
class RequestHash:
    """Ask `peer` which block of its best chain has `number`."""

    peer: str
    request: int
    number: int


@dataclass(frozen=True)
class RequestBlocks:
    """Ask `peer` for the blocks `start … start + count - 1` of its best chain."""

    peer: str
    request: int
    start: int
    count: int


@dataclass(frozen=True)
class ImportBlocks:
    """Import these linked blocks in order, stop at the first that fails, and report each to the machine."""

    blocks: tuple[ReceivedBlock, ...]


@dataclass(frozen=True)
class PeerMisbehaved:
    """Part with `peer`; the machine has already forgotten it."""

    peer: str
    fault: SyncFault
    detail: str


Action = RequestHash | RequestBlocks | ImportBlocks | PeerMisbehaved
