"""What the chain tells its subscribers, and what it answers to a block."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from node.consensus.aura import Equivocation
from runtime.events import EventRecord
from runtime.header import Header


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """Base of the events."""


@dataclass(frozen=True, slots=True)
class BlockImported(ChainEvent):
    """A block was executed and stored, on whichever fork."""

    header: Header
    is_best: bool
    events: tuple[EventRecord, ...]


@dataclass(frozen=True, slots=True)
class BestChanged(ChainEvent):
    """The best chain has a new tip; hashes of the blocks undone (newest first) and applied (oldest first)."""

    header: Header
    retracted: tuple[bytes, ...]
    enacted: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Finalized(ChainEvent):
    """This block and all below it are final."""

    header: Header


@dataclass(frozen=True, slots=True)
class Equivocated(ChainEvent):
    """An authority sealed two blocks for one slot; here is the proof."""

    proof: Equivocation


@dataclass(frozen=True, slots=True)
class Lagged(ChainEvent):
    """The subscriber was too slow: events are lost and the subscription ends with this one."""


class ImportStatus(enum.Enum):
    """What became of a block that was handed over for import."""

    IMPORTED = "imported"
    KNOWN = "already known"
    UNKNOWN_PARENT = "its parent is not known"
    TOO_OLD = "its parent's state is no longer kept"
    TOO_EARLY = "it is not looked at yet, but may be later"
    INVALID = "it breaks a rule of the chain"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The answer to a block, with the reason why it was not imported."""

    status: ImportStatus
    reason: str = ""
    is_best: bool = False

    @property
    def is_imported(self) -> bool:
        """Whether the block is in the store because of this import."""
        return self.status is ImportStatus.IMPORTED
