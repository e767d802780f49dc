"""Peers that break a rule, fall silent or lie are counted, banned or left, and the node goes on."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from node import limits
from node.net.cbor import encode
from node.net.frames import PeerGone
from node.net.host import Host
from node.net.messages import CONTROL_PROTOCOL, Batch, Handshake, chain_protocol
from node.net.peers import Offence

from ..sync.fake_chain import FakeChain
from .support import GENESIS, LOOPBACK, FakeNode, seed, until

TRANSACTIONS = chain_protocol(GENESIS, "transactions")
BLOCKS = chain_protocol(GENESIS, "blocks")


async def settled() -> None:
    """Let streams that are being opened be open, so that a clock that jumps does not run into their time limits."""
    await trio.testing.wait_all_tasks_blocked(0.05)


async def drain(stream: Any, peer_id: str) -> None:
    while True:
        await stream.receive()


class Stranger:
    """A host that speaks the control protocol by hand and listens to everything else without an answer."""

    def __init__(self, host: Host) -> None:
        self.host = host
        for kind in ("transactions", "blocks", "addresses", "sync"):
            host.handle(chain_protocol(GENESIS, kind), drain, max_frame_bytes=limits.MAX_SYNC_FRAME_BYTES)

    async def shake_hands(self, node: FakeNode, best_number: int = 0, best_hash: bytes = bytes(32)) -> Any:
        """Connect and shake hands, whichever side has to open the control stream; return the stream."""
        handshake = encode(Handshake(GENESIS, best_number, best_hash, "full", ()))
        opened, arrived = trio.open_memory_channel[Any](1)
        keep = trio.Event()

        async def accept(stream: Any, peer_id: str) -> None:
            await opened.send(stream)
            await keep.wait()

        self.host.handle(CONTROL_PROTOCOL, accept)
        await self.host.connect(node.address[0])
        if self.host.peer_id < node.peer_id:
            stream = await self.host.open_stream(node.peer_id, CONTROL_PROTOCOL)
        else:
            stream = await arrived.receive()
        await stream.send(handshake)
        await stream.receive()
        await until(lambda: node.net and self.host.peer_id in node.net.sessions.live)
        await settled()
        return stream


def names(text: str) -> list[str]:
    return [f"{text}{index}" for index in range(2)]


@pytest.mark.parametrize("name", names("stranger"))
@pytest.mark.parametrize("protocol", [TRANSACTIONS, BLOCKS, chain_protocol(GENESIS, "addresses")])
async def test_garbage_is_counted_and_then_bans_and_the_node_goes_on(
    name: str, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = FakeNode("a"), FakeNode("b")
    async with a.run() as net_a, b.run(a) as net_b, Host.start(seed(name), LOOPBACK) as host:
        await Stranger(host).shake_hands(a)
        stream = await host.open_stream(a.peer_id, protocol)
        needed = limits.BAN_THRESHOLD // Offence.Undecodable.weight
        for index in range(needed + 1):
            await stream.send(b"garbage %d" % index)
        await until(lambda: net_a.peer_book.is_banned(host.peer_id, trio.current_time()))
        await until(lambda: not net_a.host.is_connected(host.peer_id))
        assert f"banned {host.peer_id}" in caplog.text
        assert Offence.Undecodable.sentence in caplog.text
        await until(lambda: a.sees(b) and b.sees(a))
        net_b.broadcast_extrinsics([b"still here"])
        await until(lambda: a.extrinsics == [b"still here"])


async def test_items_that_break_their_kind_ban_too() -> None:
    a = FakeNode("a")
    async with a.run() as net_a, Host.start(seed("stranger"), LOOPBACK) as host:
        await Stranger(host).shake_hands(a)
        stream = await host.open_stream(a.peer_id, BLOCKS)
        await stream.send(encode(Batch(tuple(b"no announce %d" % index for index in range(11)))))
        await until(lambda: net_a.peer_book.is_banned(host.peer_id, trio.current_time()))


async def test_a_frame_over_the_bound_is_an_offence() -> None:
    a = FakeNode("a")
    async with a.run() as net_a, Host.start(seed("stranger"), LOOPBACK) as host:
        await Stranger(host).shake_hands(a)
        stream = await host.open_stream(a.peer_id, TRANSACTIONS, max_frame_bytes=2 * limits.MAX_FRAME_BYTES)
        with suppress(PeerGone):  # the receiver may reset the stream before everything is sent
            await stream.send(bytes(limits.MAX_FRAME_BYTES + 1))
        await until(lambda: net_a.peer_book.points(host.peer_id, trio.current_time()) > 0)
    assert a.extrinsics == []


async def test_more_messages_than_the_rate_allows_are_dropped_and_an_offence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRANSACTION_BURST", 10)
    monkeypatch.setattr(limits, "TRANSACTIONS_PER_SECOND", 0.001)
    a = FakeNode("a")
    async with a.run() as net_a, Host.start(seed("stranger"), LOOPBACK) as host:
        await Stranger(host).shake_hands(a)
        stream = await host.open_stream(a.peer_id, TRANSACTIONS)
        await stream.send(encode(Batch(tuple(bytes([index]) for index in range(10)))))
        await stream.send(encode(Batch((b"one too many",))))
        await until(lambda: net_a.peer_book.points(host.peer_id, trio.current_time()) > 0)
    assert len(a.extrinsics) == 10


@pytest.mark.parametrize("name", names("garbler"))
async def test_a_broken_handshake_is_an_offence_and_ends_the_connection(name: str) -> None:
    a = FakeNode("a")
    async with a.run() as net_a, Host.start(seed(name), LOOPBACK) as host:

        async def garble(stream: Any, peer_id: str) -> None:
            await stream.send(b"garbage")
            await stream.receive()
            await stream.receive()

        host.handle(CONTROL_PROTOCOL, garble)
        await host.connect(a.address[0])
        if host.peer_id < a.peer_id:
            stream = await host.open_stream(a.peer_id, CONTROL_PROTOCOL)
            await stream.send(b"garbage")
        await until(lambda: net_a.peer_book.points(host.peer_id, trio.current_time()) > 0)
        await until(lambda: not net_a.host.is_connected(host.peer_id))
        assert net_a.peers() == []


@pytest.mark.parametrize("name", names("sleeper"))
async def test_a_hung_peer_is_dropped_after_two_missed_pings(name: str, mock_clock: Any) -> None:
    mock_clock.rate = 1
    a = FakeNode("a")
    async with a.run() as net_a, Host.start(seed(name), LOOPBACK) as host:
        stream = await Stranger(host).shake_hands(a)
        for _ in range(limits.MAX_MISSED_PINGS):
            assert net_a.peers() != []
            mock_clock.jump(limits.PING_INTERVAL_SECONDS)
            assert b"ping" in await stream.receive()
        mock_clock.jump(limits.PING_INTERVAL_SECONDS)
        await until(lambda: not net_a.peers() and not net_a.host.is_connected(host.peer_id))


async def test_peers_that_answer_pings_stay(mock_clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    mock_clock.rate = 1
    caplog.set_level(logging.INFO, "node.net")
    a, b = FakeNode("a"), FakeNode("b")
    async with a.run(), b.run(a) as net_b:
        await until(lambda: a.sees(b) and b.sees(a))
        for index in range(4):
            await settled()
            mock_clock.jump(limits.PING_INTERVAL_SECONDS)
            net_b.broadcast_extrinsics([bytes([index])])
            await until(lambda index=index: len(a.extrinsics) == index + 1)
        assert a.sees(b)
    assert "did not answer" not in caplog.text


async def test_a_connection_without_a_session_or_a_stream_is_not_kept(mock_clock: Any) -> None:
    mock_clock.rate = 1
    a = FakeNode("a")
    async with a.run() as net_a, Host.start(seed("idler"), LOOPBACK) as host:
        await host.connect(a.address[0])
        await until(lambda: net_a.host.is_connected(host.peer_id))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(limits.HANDSHAKE_TIMEOUT_SECONDS)
        await until(lambda: not net_a.host.is_connected(host.peer_id))


@pytest.mark.parametrize("name", names("liar"))
async def test_a_peer_that_announces_blocks_it_does_not_have_is_dropped_and_another_is_used(name: str) -> None:
    a, b = FakeNode("a", FakeChain().grow(100)), FakeNode("b")
    async with a.run(), b.run() as net_b, Host.start(seed(name), LOOPBACK) as host:

        async def answer_nothing(stream: Any, peer_id: str) -> None:
            while True:
                await stream.receive()
                await stream.send(b"garbage")

        stranger = Stranger(host)
        host.handle(chain_protocol(GENESIS, "sync"), answer_nothing, max_frame_bytes=limits.MAX_SYNC_FRAME_BYTES)
        await stranger.shake_hands(b, best_number=1000, best_hash=bytes([1]) * 32)
        await until(lambda: net_b.peer_book.points(host.peer_id, trio.current_time()) > 0)
        net_b.add_reserved_peer(a.address[0])
        await until(lambda: b.chain.best == a.chain.best)
        assert [peer.peer_id for peer in net_b.peers()] == [a.peer_id]


@pytest.mark.parametrize("name", names("staller"))
async def test_a_peer_that_stalls_is_dropped_and_another_is_used(name: str, mock_clock: Any) -> None:
    mock_clock.rate = 1
    a, b = FakeNode("a", FakeChain().grow(100)), FakeNode("b")
    async with a.run(), b.run() as net_b, Host.start(seed(name), LOOPBACK) as host:
        await Stranger(host).shake_hands(b, best_number=1000, best_hash=bytes([1]) * 32)
        await until(lambda: net_b.is_major_syncing)
        net_b.add_reserved_peer(a.address[0])
        await until(lambda: b.sees(a))
        await settled()
        assert b.chain.best.number == 0
        mock_clock.jump(limits.HASH_REQUEST_TIMEOUT_SECONDS)
        await until(lambda: b.chain.best == a.chain.best)
        assert net_b.peer_book.points(host.peer_id, trio.current_time()) > 0
