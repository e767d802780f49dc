"""The JSON-RPC methods over a whole node without a network: real chain, pool and author, a clock set by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from node.keys.keypair import Keypair
from node.keys.keystore import Keystore
from node.net.identity import noise_key_of
from node.net.peers import peer_id_in
from node.rpc.backend import Backend, NodeIdentity
from node.rpc.development import Development
from node.rpc.jsonrpc import Peer
from node.rpc.methods.every import registry_of
from node.rpc.registry import Registry
from node.txpool.pool import PoolLimits
from runtime.header import Header
from tests.node.chain.conftest import ALICE, SLOT_MS, ManualClock, Node, make_spec

WINDOW_BLOCKS = 4
STARTING_BLOCK = 0


@dataclass(frozen=True)
class FakePeer:
    """A session as the network would show it."""

    peer_id: str = "12D3KooWPeer"
    role: str = "full"
    best_number: int = 7
    best_hash: bytes = bytes(range(32))


@dataclass(frozen=True)
class FakeNetwork:
    """A network with one peer, far ahead."""

    is_major_syncing: bool = True
    reserved_peers: dict[str, None] = field(default_factory=dict)

    def peers(self) -> list[FakePeer]:
        return [FakePeer()]

    def add_reserved_peer(self, address: str) -> str:
        peer_id = peer_id_in(address)
        self.reserved_peers[peer_id] = None
        return peer_id

    def remove_reserved_peer(self, peer_id: str) -> None:
        noise_key_of(peer_id)
        self.reserved_peers.pop(peer_id, None)


class OffchainStore(dict[bytes, bytes]):
    """The store of the off-chain workers, in memory."""

    def set(self, key: bytes, value: bytes) -> None:
        if not key:
            raise ValueError("a key is not empty")
        self[key] = value


class RpcNode:
    """One node with a single authority and a small window of states; speaks JSON-RPC without a socket."""

    def __init__(self, path: Path, authorities: tuple[Keypair, ...] = (ALICE,)) -> None:
        self.clock = ManualClock()
        self.spec = make_spec(authorities)
        self.trusted = False
        limits = PoolLimits(transactions_per_sender=8)
        self.node = Node(path, self.clock, keys=authorities, spec=self.spec, window_blocks=WINDOW_BLOCKS, limits=limits)
        self.network: FakeNetwork | None = None
        identity = NodeIdentity("12D3KooWSelf", ("/ip4/127.0.0.1/tcp/1",), is_authority=True)
        self.backend = Backend(
            self.node.chain,
            self.node.transactions,
            self.spec,
            "1.2.3",
            lambda: self.network,
            lambda: identity,
            STARTING_BLOCK,
            author=self.node.author,
            keystore=Keystore(path.parent / "keystore"),
            offchain=OffchainStore(),
            development=Development(
                self.node.chain, self.node.transactions, self.node.author, self.clock, authorities[0]
            ),
        )
        self.registry = registry_of(self.backend)

    async def answer(self, name: str, *params: Any) -> Any:
        """The answer to one call, as a client of plain HTTP gets it."""
        request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": list(params)}
        peer = Peer(self.registry, trusted=self.trusted)
        return json.loads(await peer.handle(json.dumps(request).encode()) or b"null")

    async def call(self, name: str, *params: Any) -> Any:
        """The result of a call that must succeed."""
        answer = await self.answer(name, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, name: str, *params: Any) -> Any:
        """The error of a call that must fail."""
        answer = await self.answer(name, *params)
        assert "result" not in answer, answer
        return answer["error"]

    async def author(self, count: int = 1) -> Header:
        """Makes blocks; returns the header of the last one."""
        for _ in range(count):
            self.clock.time_ms += SLOT_MS
            header = await self.node.author.author_block()
            assert header is not None
        return header

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RpcClient]:
        """A client with subscriptions."""
        async with trio.open_nursery() as nursery:
            yield RpcClient(self.registry, nursery, self.trusted)
            nursery.cancel_scope.cancel()


class RpcClient:
    """What a WebSocket client sends and sees."""

    def __init__(self, registry: Registry, nursery: trio.Nursery, trusted: bool) -> None:
        self._send, self._received = trio.open_memory_channel[bytes](10_000)
        self.peer = Peer(registry, nursery, self._send.send_nowait, trusted)

    async def ask(self, name: str, *params: Any) -> Any:
        """Sends a request; the answer, wherever it comes from."""
        request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": list(params)}
        answer = await self.peer.handle(json.dumps(request).encode())
        return json.loads(answer if answer is not None else self._received.receive_nowait())

    async def result(self, name: str, *params: Any) -> Any:
        """The result of a call that must succeed."""
        answer = await self.ask(name, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def code(self, name: str, *params: Any) -> int:
        """The error code of a call that must fail."""
        answer = await self.ask(name, *params)
        assert "result" not in answer, answer
        code: int = answer["error"]["code"]
        return code

    async def message(self) -> Any:
        """The next message, whatever it is."""
        with trio.fail_after(5):
            return json.loads(await self._received.receive())

    async def failure(self, subscription: str) -> Any:
        """The error that ends this subscription, which must come next."""
        params = (await self.message())["params"]
        assert params["subscription"] == subscription
        return params["error"]

    async def next(self, subscription: str, notifies: str) -> Any:
        """The result of the next notification, which must belong to this subscription."""
        notification = await self.message()
        assert notification["method"] == notifies
        assert notification["params"]["subscription"] == subscription
        return notification["params"]["result"]

    async def is_quiet(self) -> bool:
        """Whether nothing more comes of what has happened so far."""
        await trio.testing.wait_all_tasks_blocked()
        return self._received.statistics().current_buffer_used == 0


@pytest.fixture
def rpc(tmp_path: Path) -> Iterator[RpcNode]:
    node = RpcNode(tmp_path / "chain")
    yield node
    node.node.store.close()
