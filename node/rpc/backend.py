"""What the JSON-RPC methods read and use of the node, in one place."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from node.chain.chain import Chain
from node.chain.events import BestChanged, ChainEvent
from node.rpc.errors import STATE_UNAVAILABLE, UNKNOWN_BLOCK, RpcError
from node.store.errors import StateUnavailable
from node.txpool.pool import TransactionPool
from runtime.genesis import ChainSpec
from runtime.header import Header
from runtime.state import StateView


class NetworkView(Protocol):
    """What the methods ask of the network; a node without one has no peers."""

    def peers(self) -> list[dict[str, Any]]:
        """The connected peers as `system_peers` shows them."""

    def is_syncing(self) -> bool:
        """Whether the node is catching up with its peers."""

    def highest_seen(self) -> int:
        """The highest block number that a peer announced."""

    def peer_id(self) -> str:
        """The node's own peer id."""

    def addresses(self) -> list[str]:
        """The node's own multiaddresses."""


class Submitter(Protocol):
    """Takes extrinsics from clients into the pool and to the network."""

    async def submit(self, extrinsic: bytes) -> bytes:
        """The extrinsic's hash once the pool has it. Raises what `node.rpc.errors` translates."""

    def watch(self, extrinsic: bytes) -> AsyncGenerator[Any, None]:
        """Submits and yields the statuses of `author_extrinsicUpdate`."""


@dataclass
class Backend:
    """The parts of a node that answer JSON-RPC."""

    chain: Chain
    pool: TransactionPool
    submitter: Submitter
    network: NetworkView
    spec: ChainSpec
    version: str
    is_authority: bool
    starting_block: int

    def block_at(self, at: bytes | None) -> bytes:
        """The hash itself, or that of the best block for None; raises RpcError for an unknown block."""
        if at is None:
            return self.chain.store.best.hash
        if self.chain.store.header(at) is None:
            raise RpcError(UNKNOWN_BLOCK, "Client error: UnknownBlock", f"no block 0x{at.hex()} is known")
        return at

    def state_at(self, at: bytes | None) -> StateView:
        """The state after a block; raises RpcError for unknown blocks and pruned states."""
        try:
            return self.chain.store.state(self.block_at(at))
        except StateUnavailable as error:
            raise RpcError(STATE_UNAVAILABLE, "Client error: State already discarded", str(error)) from None

    async def events(self) -> AsyncGenerator[ChainEvent, None]:
        """Chain events from now on; ends when the consumer is too slow or the node stops."""
        with self.chain.subscribe() as events:
            async for event in events:
                yield event

    def headers_between(self, old: Header, new: Header) -> list[Header]:
        """The headers above `old` up to and including `new`, ascending."""
        return list(self.chain.store.route(old.hash, new.hash).enacted)

    def written_keys(self, change: BestChanged) -> frozenset[bytes]:
        """The storage keys that the newly enacted (and the retracted) blocks wrote."""
        hashes = [*change.retracted, *change.enacted]
        return frozenset(key for block_hash in hashes for key in self.chain.store.written_keys(block_hash))

    def next_nonce(self, account: bytes) -> int:
        """The nonce after those in the best state and in the pool's ready queue."""
        with self.chain.runtime.at(self.state_at(None)) as runtime:
            nonce = runtime.system.nonce(account)
        return self.pool.next_nonce(account, nonce)
