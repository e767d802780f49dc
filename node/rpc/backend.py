"""What the JSON-RPC methods read and use of the node, in one place."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from node.chain.author import Author
from node.chain.chain import Chain, TooManySubscribers
from node.chain.events import BestChanged, ChainEvent, Lagged
from node.chain.transactions import Transactions
from node.keys.keystore import Keystore
from node.rpc.development import Development
from node.rpc.errors import INTERNAL_ERROR, STATE_UNAVAILABLE, TOO_MANY_SUBSCRIPTIONS, UNKNOWN_BLOCK, RpcError
from node.store.errors import StateUnavailable
from pallets.runtime_apis import runtime_apis
from runtime.api import RuntimeApis
from runtime.construct import Runtime
from runtime.genesis import ChainSpec
from runtime.header import Header
from runtime.state import StateView

LAGGED = "Subscription is too slow: notifications were lost, subscribe again"


class NetworkView(Protocol):
    """What the methods ask of the network."""

    def peers(self) -> Sequence[Any]:
        """The peers with a session: peer_id, role, best_number, best_hash."""

    @property
    def is_major_syncing(self) -> bool:
        """Whether the chain is more than a few blocks behind the best peer."""

    @property
    def reserved_peers(self) -> Sequence[str]:
        """The ids of the reserved peers."""

    def add_reserved_peer(self, address: str) -> str:
        """Dial a peer for as long as it is reserved."""

    def remove_reserved_peer(self, peer_id: str) -> None:
        """Treat a reserved peer like any other."""


class OffchainStorage(Protocol):
    """The persistent store of the off-chain workers, by keys as stored."""

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value. Raises ValueError for a key or value that it does not take."""


@dataclass(frozen=True)
class NodeIdentity:
    """How the node is reached and what it does."""

    peer_id: str
    addresses: tuple[str, ...]
    is_authority: bool


class ChainEvents:
    """Events of the chain in order and without gaps: raises RpcError in place of an event that was lost."""

    def __init__(self, channel: trio.MemoryReceiveChannel[ChainEvent]) -> None:
        self._channel = channel

    def __aiter__(self) -> "ChainEvents":
        """The events themselves."""
        return self

    async def __anext__(self) -> ChainEvent:
        """The next event."""
        event = await self._channel.receive()
        if isinstance(event, Lagged):
            raise RpcError(INTERNAL_ERROR, LAGGED)
        return event

    def close(self) -> None:
        """Ends the iteration, from outside of it, with trio.ClosedResourceError."""
        self._channel.close()


@dataclass(frozen=True)
class Backend:
    """The parts of a node that answer JSON-RPC. `network` and `identity` are asked late: the network starts last."""

    chain: Chain
    transactions: Transactions
    spec: ChainSpec
    version: str
    network: Callable[[], NetworkView | None]
    identity: Callable[[], NodeIdentity]
    starting_block: int
    author: Author | None = None
    keystore: Keystore | None = None
    offchain: OffchainStorage | None = None
    development: Development | None = None

    def runtime_at(self, block_hash: bytes) -> Runtime:
        """The runtime that stands in a block's state, the newest when that is pruned."""
        store = self.chain.store
        return self.chain.runtime_at(store.state(block_hash)) if store.can_read(block_hash) else self.chain.runtime

    def apis_at(self, block_hash: bytes) -> RuntimeApis:
        """The APIs of the runtime at a block."""
        return runtime_apis(self.runtime_at(block_hash))

    def block_at(self, at: bytes | None) -> bytes:
        """The hash itself, or that of the best block for None; raises RpcError for an unknown block."""
        return self.header_at(at).hash

    def header_at(self, at: bytes | None) -> Header:
        """The header of a block, of the best one for None; raises RpcError for an unknown block."""
        header = self.chain.best if at is None else self.chain.store.header(at)
        if header is None:
            raise RpcError(UNKNOWN_BLOCK, "Client error: UnknownBlock", f"no block 0x{(at or b'').hex()} is known")
        return header

    def state_at(self, at: bytes | None) -> StateView:
        """The state after a block; raises RpcError for unknown blocks and pruned states."""
        try:
            return self.chain.store.state(self.block_at(at))
        except StateUnavailable as error:
            raise self.state_unavailable(error) from None

    @staticmethod
    def state_unavailable(error: StateUnavailable) -> RpcError:
        """The error of a question about a state that is pruned: Substrate's text, and the window that is kept."""
        message = f"Client error: UnknownBlock: State already discarded for 0x{error.block_hash.hex()}"
        return RpcError(STATE_UNAVAILABLE, message, str(error))

    @contextmanager
    def events(self) -> Iterator["ChainEvents"]:
        """Chain events from now on. Raises RpcError when too many listen."""
        try:
            channel = self.chain.subscribe()
        except TooManySubscribers as error:
            raise RpcError(TOO_MANY_SUBSCRIPTIONS, "Too many subscriptions on the node", str(error)) from None
        with channel:
            yield ChainEvents(channel)

    def headers_between(self, old: Header, new: Header) -> Sequence[Header]:
        """The headers above `old` up to and including `new`, ascending."""
        return self.chain.store.route(old.hash, new.hash).enacted

    def written_keys(self, change: BestChanged) -> frozenset[bytes]:
        """The storage keys that the newly enacted (and the retracted) blocks wrote."""
        hashes = (*change.retracted, *change.enacted)
        return frozenset(key for block_hash in hashes for key in self.chain.store.written_keys(block_hash))

    def next_nonce(self, account: bytes) -> int:
        """The nonce after those in the best state and in the pool's ready queue."""
        with self.chain.runtime.at(self.state_at(None)) as runtime:
            nonce = runtime.system.nonce(account)
        return self.transactions.pool.next_nonce(account, nonce)
