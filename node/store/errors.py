"""What can go wrong in the store; each error is one sentence that says what to do or what was asked."""

from __future__ import annotations


class StoreError(Exception):
    """Base of the store's errors."""


class StoreLocked(StoreError):
    """Another process has the database open."""


class StoreCorrupt(StoreError):
    """The database contradicts itself or was made by another version; it is not opened."""


class StoreFull(StoreError):
    """The disk or the address space set aside for the database is used up; nothing of the block was written."""


class UnknownBlock(StoreError):
    """A block was named that the store does not have."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"block 0x{block_hash.hex()} is not in the database")
        self.block_hash = block_hash


class StateUnavailable(StoreError):
    """The state of a block is no longer kept (or its block was never known)."""

    def __init__(self, block_hash: bytes, oldest: int, newest: int) -> None:
        super().__init__(
            f"the state of block 0x{block_hash.hex()} is not available: "
            f"this node keeps the states of blocks {oldest} to {newest}"
        )
        self.block_hash = block_hash
        self.oldest = oldest
        self.newest = newest
