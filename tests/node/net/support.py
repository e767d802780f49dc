"""Hosts and chain nodes on loopback for the network tests."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import trio

from node.net.gossip import Verdict
from node.net.host import Host
from node.net.service import Network, NetworkConfig
from node.net.sync_protocol import ImportResult
from node.sync.envelope import decode_envelope, summarize_header

from ..sync.fake_chain import FakeChain

LOOPBACK = ("127.0.0.1", 0)
GENESIS = hashlib.blake2b(b"genesis of the tests", digest_size=32).digest()
OTHER_GENESIS = bytes(31) + b"\x01"
PATIENCE_SECONDS = 30


def seed(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=32).digest()


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks run until the condition holds."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def connected_hosts(*names: str) -> AsyncIterator[tuple[Host, ...]]:
    """Start hosts, each later one connected to the first."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(Host.start(seed(name), LOOPBACK)) for name in names]
        for host in hosts[1:]:
            await host.connect(hosts[0].addresses[0])
        await until(lambda: len(hosts[0].connected_peers) == len(hosts) - 1)
        yield tuple(hosts)


@dataclass
class FakeNode:
    """A chain node without rules: a fake chain, an importer that believes it, and a pool that keeps everything."""

    name: str
    chain: FakeChain = field(default_factory=FakeChain)
    genesis: bytes = GENESIS
    extrinsics: list[bytes] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    judge: Callable[[bytes], Verdict] = lambda extrinsic: Verdict.ACCEPT
    imported_from: dict[bytes, str] = field(default_factory=dict)
    net: Network | None = None

    async def import_block(self, envelope: bytes, origin: str) -> ImportResult:
        await trio.lowlevel.checkpoint()
        outcome = self.chain.import_envelope(envelope)
        header = decode_envelope(envelope).header
        self.imported_from[summarize_header(header).hash] = origin
        return ImportResult(outcome, "scripted")

    async def on_extrinsics(self, extrinsics: list[bytes], peer_id: str) -> Sequence[Verdict]:
        await trio.lowlevel.checkpoint()
        self.extrinsics += extrinsics
        self.senders += [peer_id] * len(extrinsics)
        return [self.judge(extrinsic) for extrinsic in extrinsics]

    @asynccontextmanager
    async def run(self, *bootnodes: FakeNode, mesh: bool = False, port: int = 0) -> AsyncIterator[Network]:
        config = NetworkConfig(
            seed(self.name),
            ("127.0.0.1", port),
            bootnodes=tuple(address for node in bootnodes for address in node.address),
            mesh=mesh,
        )
        async with Network.start(config, self.genesis, self.chain, self, self.on_extrinsics) as net:
            self.net = net
            yield net

    @property
    def address(self) -> tuple[str, ...]:
        assert self.net is not None
        return self.net.host.addresses

    @property
    def peer_id(self) -> str:
        assert self.net is not None
        return self.net.host.peer_id

    def announce_best(self) -> None:
        assert self.net is not None
        best = self.chain.best
        header = self.chain.header(best.hash)
        assert header is not None
        self.net.announce_block(header, best.hash, True)

    def sees(self, *others: FakeNode) -> bool:
        assert self.net is not None
        return {other.peer_id for other in others} <= set(self.net.sessions.live)
