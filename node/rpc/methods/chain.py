"""`chain_*`: headers, blocks and their subscriptions."""

from collections.abc import AsyncGenerator
from typing import Any

from node.chain.events import BestChanged, BlockImported, Finalized
from node.rpc.backend import Backend
from node.rpc.json import header_json, hexadecimal, optional_hexadecimal
from node.rpc.parameters import Hash, Numbers
from node.rpc.registry import method, subscription

UNSUBSCRIBE_NEW_HEADS = ("chain_unsubscribeNewHeads", "chain_unsubscribeNewHead", "unsubscribe_newHead")
UNSUBSCRIBE_FINALIZED_HEADS = ("chain_unsubscribeFinalizedHeads", "chain_unsubscribeFinalisedHeads")


class ChainMethods:
    """Reads of blocks; unknown hashes and heights past the head answer null."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.store = backend.chain.store

    @method("chain_getHeader")
    def get_header(self, hash: Hash | None = None) -> Any:
        """The header of a block, of the best one by default."""
        header = self.store.best if hash is None else self.store.header(hash)
        return None if header is None else header_json(header)

    @method("chain_getBlock")
    def get_block(self, hash: Hash | None = None) -> Any:
        """A block with its extrinsics, the best one by default."""
        block_hash = self.store.best.hash if hash is None else hash
        header, body = self.store.header(block_hash), self.store.body(block_hash)
        if header is None or body is None:
            return None
        extrinsics = [hexadecimal(extrinsic) for extrinsic in body]
        return {"block": {"header": header_json(header), "extrinsics": extrinsics}, "justifications": None}

    @method("chain_getBlockHash", "chain_getHead")
    def get_block_hash(self, number: Numbers | None = None) -> Any:
        """The hash of the best chain's block at a height; of the best block by default; a list for a list."""
        if number is None:
            return hexadecimal(self.store.best.hash)
        if isinstance(number, list):
            return [optional_hexadecimal(self.store.hash_at(one)) for one in number]
        return optional_hexadecimal(self.store.hash_at(number))

    @method("chain_getFinalizedHead", "chain_getFinalisedHead")
    def get_finalized_head(self) -> str:
        """The hash of the last finalized block."""
        return hexadecimal(self.store.finalized.hash)

    @subscription(
        "chain_subscribeNewHeads",
        *UNSUBSCRIBE_NEW_HEADS,
        notifies="chain_newHead",
        aliases=("chain_subscribeNewHead", "subscribe_newHead"),
    )
    async def new_heads(self) -> AsyncGenerator[Any, None]:
        """Every new best block's header, beginning with the current one."""
        with self.backend.events() as events:
            yield header_json(self.store.best)
            async for event in events:
                if isinstance(event, BestChanged):
                    yield header_json(event.header)

    @subscription(
        "chain_subscribeFinalizedHeads",
        *UNSUBSCRIBE_FINALIZED_HEADS,
        notifies="chain_finalizedHead",
        aliases=("chain_subscribeFinalisedHeads",),
    )
    async def finalized_heads(self) -> AsyncGenerator[Any, None]:
        """Every finalized block's header, without gaps, beginning with the last one."""
        with self.backend.events() as events:
            last = self.store.finalized
            yield header_json(last)
            async for event in events:
                if isinstance(event, Finalized):
                    for header in self.backend.headers_between(last, event.header):
                        yield header_json(header)
                    last = event.header

    @subscription("chain_subscribeAllHeads", "chain_unsubscribeAllHeads", notifies="chain_allHead")
    async def all_heads(self) -> AsyncGenerator[Any, None]:
        """Every imported block's header, forks included, beginning with the best one."""
        with self.backend.events() as events:
            yield header_json(self.store.best)
            async for event in events:
                if isinstance(event, BlockImported):
                    yield header_json(event.header)
