"""The chain of this process as services see it: no network between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any, Final

import trio

from node.chain.chain import Chain
from node.chain.events import BestChanged, BlockImported
from node.chain.transactions import Transactions
from node.client.chain import INCLUSION_TIMEOUT_SECONDS, BlockEvents, Receipt
from node.client.errors import SubmitFailed, SubmitFailure
from node.txpool import events as pool_events
from node.txpool.errors import PoolError
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.crypto import blake2_256
from runtime.errors import CodecError, InvalidTransaction
from runtime.events import EventRecord
from runtime.extrinsic import Signer
from runtime.header import Header
from runtime.storage import StorageItem

MAX_ATTEMPTS: Final = 3
DECODED_BLOCKS: Final = 16
"""Blocks whose decoded events are shared by all who follow the chain."""


class LocalChain:
    """A `FollowedChain` over the node's own chain and pool. All methods belong to the node's trio thread."""

    def __init__(self, chain: Chain, transactions: Transactions) -> None:
        self.chain = chain
        self._transactions = transactions
        self._decoded: OrderedDict[bytes, tuple[EventRecord, ...]] = OrderedDict()
        self._declared = _Declarations(chain.runtime)

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0, 32 bytes."""
        return self.chain.store.genesis_hash

    @property
    def best_number(self) -> int:
        """Number of the best block."""
        return self.chain.best.number

    @property
    def finalized_number(self) -> int:
        """Number of the block shown as final."""
        return self.chain.finalized.number

    def constant(self, pallet: str, name: str) -> Any:
        """A constant by its metadata name."""
        return self._declarations().constants[pallet, name]

    def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The decoded value of a storage item by its metadata name, or its default."""
        store = self.chain.store
        storage: Any = self._declarations().items[pallet, item]
        with self.chain.runtime.at(store.state(store.best.hash if at is None else at)):
            return storage.get(*keys)

    async def submit(
        self,
        call: RuntimeCall,
        signer: Signer,
        *,
        tip: int = 0,
        finalized: bool = False,
        timeout_seconds: float = INCLUSION_TIMEOUT_SECONDS,
    ) -> Receipt:
        """Sign and send a call and wait for its block; a nonce that somebody else took is tried again."""
        with trio.move_on_after(timeout_seconds):
            for attempt in range(MAX_ATTEMPTS):
                try:
                    # From reading the nonce to the pool nothing is awaited, so nobody else can take it.
                    extrinsic = self._signed(call, signer, tip)
                    happenings = self._transactions.watch(extrinsic)
                except (InvalidTransaction, PoolError, CodecError) as error:
                    raise SubmitFailed(f"{call.name} was refused: {error}") from error
                with happenings:
                    included = await _inclusion(happenings, finalized)
                if included is not None:
                    block_hash, index = included
                    return self.block_events(block_hash).receipt(blake2_256(extrinsic), index)
                if attempt + 1 < MAX_ATTEMPTS:
                    await trio.lowlevel.checkpoint()
            raise SubmitFailed(f"{call.name} lost its place in the pool {MAX_ATTEMPTS} times", SubmitFailure.DROPPED)
        raise SubmitFailed(
            f"{call.name} is not in a block after {timeout_seconds:g} s: the chain stands still", SubmitFailure.UNKNOWN
        )

    async def blocks(self) -> AsyncGenerator[BlockEvents, None]:
        """The best chain from now on, with the events of each block; a consumer that lags skips to the newest."""
        while True:
            with self.chain.subscribe() as channel:
                async for event in channel:
                    if isinstance(event, BlockImported):
                        self._remember(event.header.hash, event.events)
                    elif isinstance(event, BestChanged):
                        for block_hash in event.enacted:
                            yield self.block_events(block_hash)
            await trio.lowlevel.checkpoint()

    def _declarations(self) -> _Declarations:
        if self._declared.runtime is not self.chain.runtime:
            self._declared = _Declarations(self.chain.runtime)
        return self._declared

    def _signed(self, call: RuntimeCall, signer: Signer, tip: int) -> bytes:
        return self._transactions.sign(call, signer, tip)

    def block_events(self, block_hash: bytes) -> BlockEvents:
        """A stored block with its events; raises StateUnavailable."""
        header = self.chain.store.required_header(block_hash)
        return BlockEvents(header.number, block_hash, header.parent_hash, self._records(header))

    def _records(self, header: Header) -> tuple[EventRecord, ...]:
        records = self._decoded.get(header.hash)
        if records is None:
            with self.chain.runtime_of(header).at(self.chain.store.state(header.hash)) as runtime:
                records = runtime.system.event_records()
            self._remember(header.hash, records)
        return records

    def _remember(self, block_hash: bytes, records: tuple[EventRecord, ...]) -> None:
        self._decoded[block_hash] = records
        if len(self._decoded) > DECODED_BLOCKS:
            self._decoded.popitem(last=False)


async def _inclusion(
    happenings: trio.MemoryReceiveChannel[pool_events.TransactionEvent], finalized: bool
) -> tuple[bytes, int] | None:
    """Block hash and index of a transaction, None when it left the pool otherwise."""
    async for event in happenings:
        if isinstance(event, pool_events.Finalized) or (isinstance(event, pool_events.InBlock) and not finalized):
            return event.block_hash, event.index
    return None


class _Declarations:
    """The storage items and constants of a runtime by their metadata names."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.items: dict[tuple[str, str], StorageItem] = {
            (pallet.name, item.name): getattr(pallet, attribute)
            for pallet in runtime.pallets
            for attribute, item in pallet.storage().items()
        }
        self.constants: dict[tuple[str, str], Any] = {
            (pallet.name, constant.name): constant.value
            for pallet in runtime.pallets
            for constant in pallet.constants()
        }
