"""The chain of this process as a `ChainConnection`, so that what is written over one works without a network too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import cached_property
from typing import Any

import trio

from node.chain.chain import Chain
from node.chain.events import BestChanged, ChainEvent, Finalized
from node.client.chain import INCLUSION_TIMEOUT_SECONDS, BlockEvents, BlockRef, Receipt, Retracted
from node.client.errors import ClientError, HistoryPruned, UnknownBlock
from node.client.local import LocalChain
from node.client.metadata import ChainMetadata
from node.client.replay import replay
from node.store.errors import StateUnavailable
from node.store.errors import UnknownBlock as NotStored
from runtime.call import RuntimeCall
from runtime.errors import CodecError, DispatchErrorValue
from runtime.extrinsic import Signer


class LocalConnection:
    """See the module. All methods belong to the node's trio thread."""

    def __init__(self, local: LocalChain) -> None:
        self._local = local
        self._store = local.chain.store

    @cached_property
    def metadata(self) -> ChainMetadata:
        """What the runtime says about itself."""
        return ChainMetadata(self._local.chain.runtime.metadata_v14)

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0, 32 bytes."""
        return self._local.genesis_hash

    def constant(self, pallet: str, name: str) -> Any:
        """A constant by its metadata name; raises NotSupported."""
        return self.metadata.constant(pallet, name)

    def error_text(self, error: DispatchErrorValue) -> str:
        """An error of a call by its names."""
        return self.metadata.error_text(error)

    async def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The decoded value of a storage item, or its default."""
        await trio.lowlevel.checkpoint()
        self.metadata.item(pallet, item)
        try:
            return self._local.query(pallet, item, *keys, at=at)
        except StateUnavailable as error:
            raise self._unavailable(error) from None
        except (CodecError, TypeError) as error:
            raise ClientError(f"the keys of {pallet}.{item} do not fit: {error}") from None

    async def submit(
        self,
        call: RuntimeCall,
        signer: Signer,
        *,
        tip: int = 0,
        finalized: bool = False,
        timeout_seconds: float = INCLUSION_TIMEOUT_SECONDS,
    ) -> Receipt:
        """See `ChainConnection.submit`."""
        self.metadata.find_call(call.pallet, call.function)
        return await self._local.submit(call, signer, tip=tip, finalized=finalized, timeout_seconds=timeout_seconds)

    def events(
        self, from_block: int | bytes | None = None, *, finalized: bool = False
    ) -> AsyncGenerator[BlockEvents | Retracted, None]:
        """See `ChainConnection.events`."""
        return replay(self, from_block, finalized)

    # --- blocks (BlockSource)

    async def head(self, *, finalized: bool = False) -> BlockRef:
        """The best block, or the finalized one."""
        await trio.lowlevel.checkpoint()
        header = self._store.finalized if finalized else self._store.best
        return BlockRef(header.number, header.hash)

    async def hashes(self, numbers: Sequence[int]) -> list[bytes | None]:
        """The hashes of the best chain's blocks at these heights."""
        return [self._store.hash_at(number) for number in numbers]

    async def number_of(self, block_hash: bytes) -> int | None:
        """The height of a block, None for an unknown one."""
        header = self._store.header(block_hash)
        return None if header is None else header.number

    async def block(self, ref: BlockRef) -> BlockEvents:
        """A block with its events."""
        try:
            return self._local.block_events(ref.hash)
        except StateUnavailable as error:
            raise self._unavailable(error) from None
        except NotStored as error:
            raise UnknownBlock(str(error)) from None

    def moves(self, finalized: bool) -> ChainMoves:
        """Movements of the best chain, or of the finalized one."""
        return ChainMoves(self._local.chain, Finalized if finalized else BestChanged)

    def _unavailable(self, error: StateUnavailable) -> ClientError:
        if self._store.header(error.block_hash) is None:
            return UnknownBlock(f"block 0x{error.block_hash.hex()} is not known")
        return HistoryPruned(str(error))


class ChainMoves:
    """Says when the chain told of a move; a reader that was too slow subscribes again, which is a move too."""

    def __init__(self, chain: Chain, kind: type[ChainEvent]) -> None:
        self._chain = chain
        self._kind = kind
        self._channel: trio.MemoryReceiveChannel[ChainEvent] | None = None

    async def wait(self) -> None:
        """Returns when the chain may have moved."""
        if self._channel is not None:
            async for event in self._channel:
                if isinstance(event, self._kind):
                    return
            self._channel.close()
        self._channel = self._chain.subscribe()

    async def aclose(self) -> None:
        """Ends it."""
        if self._channel is not None:
            self._channel.close()
