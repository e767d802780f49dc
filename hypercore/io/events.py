"""What a core tells its listeners, what applying a proof results in, and where else blocks may come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hypercore.errors import StoreError
from hypercore.replicate import Replicator


class BlockSource(Protocol):
    """Where block contents come from when they are not kept in the store, such as a hoster's sealed copies."""

    def has(self, index: int) -> bool:
        """True when the source holds the block."""

    def prepare(self, index: int, ready: Callable[[], None]) -> bool:
        """True when `read` answers at once; otherwise begin to make it so, and call `ready` then, in this thread."""

    def read(self, index: int) -> bytes | None:
        """The content of a block that was prepared, or None."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The log grew, by our own append or by a proof, to `length` blocks."""

    length: int


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Block `index` came in."""

    index: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """The author went back to `length` blocks, which began `fork`."""

    length: int
    fork: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """The contents of blocks `start` to `end - 1` were given up here."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The head of `length` blocks got the signature that peers accept: the quorum's."""

    length: int


@dataclass(frozen=True, slots=True)
class Conflicted:
    """Two logs were signed for `length` blocks of `fork`; the core is frozen from now on."""

    length: int
    fork: int


@dataclass(frozen=True, slots=True)
class NotStored:
    """What a peer brought could not be stored, because the disk is full or failed. Whoever waits for it hears why."""

    error: StoreError


@dataclass(frozen=True, slots=True)
class Closed:
    """The core was closed here; this is the last event."""


CoreEvent = Appended | Downloaded | Truncated | Cleared | Signed | Conflicted | NotStored | Closed


@dataclass(frozen=True, slots=True)
class Applied:
    """What a proof changed: whether length or fork are others now, and which block came in."""

    length_changed: bool
    block_index: int | None


def tell_replicator(replicator: Replicator, event: CoreEvent) -> None:
    """Hand what happened to a core to the replicator of it, which tells the peers."""
    match event:
        case Downloaded(index=index):
            replicator.block_arrived(index)
        case Appended():
            replicator.core_changed()
        case Truncated(length=length):
            replicator.truncated(length)
        case Cleared(start=start, end=end):
            replicator.blocks_cleared(start, end)
        case Signed():
            replicator.core_signed()
        case Conflicted():
            replicator.core_frozen()
