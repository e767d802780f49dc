"""A chain as programs see it: types and two protocols, one for the chain at hand and one for any chain.

    FollowedChain     the chain of this process: its state is at hand, reads do not wait; the node's services use it
    ChainConnection   a chain here or behind a WebSocket: every read waits; `ChainAPI` is written over it
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from runtime.call import RuntimeCall
from runtime.errors import DispatchErrorValue
from runtime.events import ApplyExtrinsic, Event, EventRecord
from runtime.extrinsic import Signer

E = TypeVar("E")

INCLUSION_TIMEOUT_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Receipt:
    """Where a call was included and what became of it; `error` is None when it succeeded, `events` are its own."""

    extrinsic_hash: bytes
    block_hash: bytes
    block_number: int
    index: int
    error: DispatchErrorValue | None
    events: tuple[Event, ...]


@dataclass(frozen=True)
class BlockRef:
    """A block by its number and hash."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class BlockEvents:
    """A block and everything that happened in it, each with its phase."""

    number: int
    hash: bytes
    parent_hash: bytes
    records: tuple[EventRecord, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened, in order."""
        return tuple(record.event for record in self.records)

    def of(self, kind: type[E]) -> tuple[E, ...]:
        """The events of one class, such as `block.of(NewFeed)`."""
        return tuple(event for event in self.events if isinstance(event, kind))

    def of_extrinsic(self, index: int) -> tuple[Event, ...]:
        """What the extrinsic of this index did."""
        return tuple(record.event for record in self.records if record.phase == ApplyExtrinsic(index))

    def receipt(self, extrinsic_hash: bytes, index: int) -> Receipt:
        """What became of the extrinsic of this index."""
        own = self.of_extrinsic(index)
        failed: Any = next((event for event in own if type(event).__name__ == "ExtrinsicFailed"), None)
        error = None if failed is None else failed.dispatch_error
        return Receipt(extrinsic_hash, self.hash, self.number, index, error, own)


@dataclass(frozen=True)
class Retracted:
    """A block that was told before is no longer on the chain: a reorganisation replaced it."""

    number: int
    hash: bytes


class FollowedChain(Protocol):
    """A chain that this process follows."""

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0, 32 bytes."""

    @property
    def best_number(self) -> int:
        """Number of the best block."""

    @property
    def finalized_number(self) -> int:
        """Number of the finalized block; before there is a finality protocol, of the block shown as final."""

    def constant(self, pallet: str, name: str) -> Any:
        """A constant by its metadata name, such as ("DatDot", "SealKeyBits")."""

    def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The decoded value of a storage item by its metadata name, or its default; at a block hash, else the best."""

    async def submit(self, call: RuntimeCall, signer: Signer, *, tip: int = 0) -> Receipt:
        """Sign and send a call and wait for its inclusion. Nonces are kept per signer, so callers may submit at once.

        Raises SubmitFailed; an error of the call itself is in the receipt.
        """

    def blocks(self) -> AsyncGenerator[BlockEvents, None]:
        """The best chain from now on, one block at a time; after a reorganisation it goes on with the new branch.

        A consumer that lags behind the bounded queue misses blocks, never the newest one.
        """


class ChainConnection(Protocol):
    """A chain, here or behind a WebSocket. What goes wrong is a `node.client.errors.ClientError`."""

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0, 32 bytes."""

    def constant(self, pallet: str, name: str) -> Any:
        """A constant by its metadata name; raises NotSupported."""

    def error_text(self, error: DispatchErrorValue) -> str:
        """An error of a call by its names, such as "DatDot.BadProof: A proof does not hold."."""

    async def head(self, *, finalized: bool = False) -> BlockRef:
        """The best block, or the finalized one."""

    async def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The decoded value of a storage item, or its default. Raises NotSupported, UnknownBlock, HistoryPruned."""

    async def submit(
        self,
        call: RuntimeCall,
        signer: Signer,
        *,
        tip: int = 0,
        finalized: bool = False,
        timeout_seconds: float = INCLUSION_TIMEOUT_SECONDS,
    ) -> Receipt:
        """Sign and send a call and wait for its block, or for that block's finality; many may do so at once.

        Raises SubmitFailed, NotSupported; an error of the call itself is in the receipt.
        """

    def events(
        self, from_block: int | bytes | None = None, *, finalized: bool = False
    ) -> AsyncGenerator[BlockEvents | Retracted, None]:
        """Every block from `from_block` on (its number or hash, without it the next one), then those to come.

        No block is left out or told twice, through reconnections too. It follows the best chain, where a block that is
        replaced is `Retracted` first, newest first; or the finalized one, of which that is not expected.
        Raises UnknownBlock, HistoryPruned, ConnectionLost.
        """
