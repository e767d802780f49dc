"""A whole node behind a real port on loopback, and a way to it that can be cut."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from node.chain.author import AuthoringMode
from node.client.link import Backoff
from node.client.remote import RemoteChain, open_remote
from node.keys.keypair import Keypair
from node.rpc.server import RpcServer, open_port
from runtime.account import Id
from runtime.call import RuntimeCall
from tests.node.chain.conftest import ALICE, BOB
from tests.node.rpc.conftest import RpcNode

PATIENT = Backoff(first_seconds=0.001, most_seconds=0.01, give_up_seconds=30)
RECEIVE_BYTES = 65_536


@asynccontextmanager
async def served(
    path: Path, mode: AuthoringMode = AuthoringMode.INSTANT, authorities: tuple[Keypair, ...] = (ALICE,)
) -> AsyncIterator[tuple[RpcNode, str]]:
    """A node with one block and the address of its port; it authors on each extrinsic unless told otherwise."""
    rpc = RpcNode(path, authorities)
    rpc.node.author._mode = mode
    listeners = await open_port("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(RpcServer(rpc.registry).serve, listeners)
        if mode is AuthoringMode.INSTANT:
            nursery.start_soon(rpc.node.author.run)
        await rpc.author()
        yield rpc, f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
    rpc.node.store.close()


class Wire:
    """A TCP proxy. The connection that brings the node's `cut_after`-th piece is cut; the piece is lost, or told last.

    `lifetimes` are how many pieces each next connection lives.
    """

    def __init__(self, url: str) -> None:
        self.port = int(url.rpartition(":")[2])
        self.url = ""
        self.connections = 0
        self.cut_after: int | None = None
        self.passes_last = False
        self.lifetimes: Iterator[int] = iter(())
        self._streams: list[trio.abc.Stream] = []

    async def cut(self) -> None:
        """Cuts every connection now."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await trio.aclose_forcefully(stream)

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        self.cut_after = next(self.lifetimes, self.cut_after)
        try:
            async with stream, await trio.open_tcp_stream("127.0.0.1", self.port) as server:
                self._streams += [stream, server]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._copy, stream, server, False, nursery.cancel_scope)
                    nursery.start_soon(self._copy, server, stream, True, nursery.cancel_scope)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass

    async def _copy(
        self, source: trio.abc.Stream, target: trio.abc.Stream, counts: bool, scope: trio.CancelScope
    ) -> None:
        while data := await source.receive_some(RECEIVE_BYTES):
            if counts and self.cut_after is not None:
                self.cut_after -= 1
                if self.cut_after < 0:
                    self.cut_after = None
                    if self.passes_last:
                        await target.send_all(data)
                    break
            await target.send_all(data)
        scope.cancel()


@asynccontextmanager
async def wire_to(url: str, certificate: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """A proxy in front of a node, which speaks TLS when it has a certificate."""
    wire = Wire(url)
    async with trio.open_nursery() as nursery:
        (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = plain.socket.getsockname()[1]
        wire.url = f"ws://127.0.0.1:{port}" if certificate is None else f"wss://127.0.0.1:{port}"
        listener = plain if certificate is None else trio.SSLListener(plain, certificate)
        nursery.start_soon(trio.serve_listeners, wire.serve, [listener])
        yield wire
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def wired(
    path: Path, mode: AuthoringMode = AuthoringMode.INSTANT, backoff: Backoff = PATIENT
) -> AsyncIterator[tuple[RpcNode, Wire, RemoteChain]]:
    """A node, a client of it, and the proxy between them."""
    async with served(path, mode) as (rpc, url), wire_to(url) as wire, open_remote(wire.url, backoff=backoff) as chain:
        yield rpc, wire, chain


def transfer(value: int = 1_000_000) -> RuntimeCall:
    return RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(BOB.account_id), "value": value})


def transfers(rpc: RpcNode) -> list[int]:
    """What went to Bob, over the whole chain, as its bodies say."""
    node, found = rpc.node, []
    for number in range(1, node.best.number + 1):
        for extrinsic in node.store.body(node.store.hash_at(number) or b"") or ():
            call = node.runtime.extrinsic_codec.decode(extrinsic).call
            if call.function == "transfer_keep_alive":
                found.append(call.arguments["value"])
    return found
