"""What happens to a transaction on its way, as Substrate's `author_extrinsicUpdate` tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """Base of the events of one transaction."""


@dataclass(frozen=True, slots=True)
class Future(TransactionEvent):
    """It waits for another transaction, usually an earlier nonce of its sender."""


@dataclass(frozen=True, slots=True)
class Ready(TransactionEvent):
    """It may enter the next block."""


@dataclass(frozen=True, slots=True)
class Broadcast(TransactionEvent):
    """It was sent to these peers."""

    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InBlock(TransactionEvent):
    """It is in a block of the best chain, at this position."""

    block_hash: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Retracted(TransactionEvent):
    """The block that held it is no longer on the best chain."""

    block_hash: bytes


@dataclass(frozen=True, slots=True)
class FinalityTimeout(TransactionEvent):
    """The block that holds it was not finalized in time. Last event."""

    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Finalized(TransactionEvent):
    """The block that holds it is final. Last event."""

    block_hash: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Usurped(TransactionEvent):
    """Another transaction with a higher priority took its place. Last event."""

    by: bytes


@dataclass(frozen=True, slots=True)
class Dropped(TransactionEvent):
    """The pool was full. Last event."""


@dataclass(frozen=True, slots=True)
class Invalid(TransactionEvent):
    """It can no longer be included. Last event."""


LAST_EVENTS = (FinalityTimeout, Finalized, Usurped, Dropped, Invalid)
"""After one of these the transaction has no further events."""

Happening = tuple[bytes, TransactionEvent]
"""(transaction hash, event)"""
