"""Why a submitted transaction is not taken; RPC answers with Substrate's code for each class."""

from __future__ import annotations

from collections.abc import Sequence

from node.txpool.events import Happening


class PoolError(Exception):
    """Base of the refusals."""


class TemporarilyBanned(PoolError):
    """The transaction was invalid a short while ago and is not looked at again yet."""


class AlreadyImported(PoolError):
    """The transaction is in the pool."""

    def __init__(self, transaction_hash: bytes) -> None:
        super().__init__(f"transaction 0x{transaction_hash.hex()} is already in the pool")
        self.transaction_hash = transaction_hash


class TooLowPriority(PoolError):
    """Another transaction (`by`) for the same nonce is in the pool, and this one does not pay strictly more."""

    def __init__(self, old: int, new: int, by: bytes) -> None:
        super().__init__(f"the priority {new} does not exceed the priority {old} of what it would replace")
        self.old = old
        self.new = new
        self.by = by


class CycleDetected(PoolError):
    """The transaction requires what it provides itself."""


class ImmediatelyDropped(PoolError):
    """The pool, or the sender's share of it, is full of transactions that are not worse.

    `happened` tells what became of others meanwhile.
    """

    def __init__(self, reason: str, happened: Sequence[Happening] = ()) -> None:
        super().__init__(reason)
        self.happened = tuple(happened)
