from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from node import limits
from node.net.addresses import AddressRecord, InvalidRecord
from node.net.cbor import encode
from node.net.frames import PeerGone
from node.net.gossip import Verdict
from node.net.host import Host, ListenFailed
from node.net.identity import InvalidPeerId
from node.net.messages import CONTROL_PROTOCOL, Batch, Handshake, chain_protocol
from node.net.peers import Offence, TooManyReserved
from node.net.service import NetworkConfig

from ..sync.fake_chain import FakeChain
from .support import GENESIS, LOOPBACK, OTHER_GENESIS, FakeNode, seed, until

TRANSACTIONS = chain_protocol(GENESIS, "transactions")
BLOCKS = chain_protocol(GENESIS, "blocks")


async def test_two_nodes_shake_hands_and_know_each_other() -> None:
    a, b = FakeNode("a", FakeChain().grow(3)), FakeNode("b")
    async with a.run() as net_a, b.run(a) as net_b:
        await until(lambda: a.sees(b) and b.sees(a))
        (peer,) = net_b.peers()
        assert (peer.peer_id, peer.role, peer.best_number) == (net_a.host.peer_id, "full", 3)
        assert peer.best_hash == a.chain.best.hash
        assert [other.peer_id for other in net_a.peers()] == [net_b.host.peer_id]


async def test_nodes_that_dial_each_other_at_once_have_one_session() -> None:
    a, b = FakeNode("a"), FakeNode("b")
    async with a.run(), b.run(a):
        assert a.net is not None
        assert b.net is not None
        a.net.add_reserved_peer(b.address[0])
        await until(lambda: a.sees(b) and b.sees(a))
        a.net.broadcast_extrinsics([b"once"])
        await until(lambda: b.extrinsics)
        assert len(a.net.peers()) == len(b.net.peers()) == 1


async def test_extrinsics_reach_a_third_node_through_the_second_and_only_once() -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")
    async with b.run(), a.run(b) as net_a, c.run(b):
        await until(lambda: b.sees(a, c) and a.sees(b) and c.sees(b))
        net_a.broadcast_extrinsics([b"one", b"two"])
        await until(lambda: len(c.extrinsics) == 2)
        net_a.broadcast_extrinsics([b"two", b"three"])
        await until(lambda: len(c.extrinsics) == 3)
    assert c.extrinsics == [b"one", b"two", b"three"]
    assert set(c.senders) == {b.peer_id}
    assert a.extrinsics == []


async def test_a_peer_that_comes_later_is_sent_the_extrinsics_that_still_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EXTRINSICS_SENT_ON_CONNECT", 2)
    a, b = FakeNode("a"), FakeNode("b")
    async with a.run() as net_a:
        net_a.waiting_extrinsics = lambda: iter([b"one", b"two", b"beyond the bound"])
        async with b.run(a):
            await until(lambda: len(b.extrinsics) == 2)
            net_a.broadcast_extrinsics([b"three"])
            await until(lambda: len(b.extrinsics) == 3)
    assert b.extrinsics == [b"one", b"two", b"three"]


async def test_extrinsics_in_a_full_triangle_are_judged_once_by_each_node() -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")
    async with a.run() as net_a, b.run(a), c.run(a, b):
        await until(lambda: a.sees(b, c) and b.sees(a, c) and c.sees(a, b))
        batch = [index.to_bytes(2, "big") for index in range(1000)]
        net_a.broadcast_extrinsics(batch)
        await until(lambda: len(b.extrinsics) >= 1000 and len(c.extrinsics) >= 1000)
    assert sorted(b.extrinsics) == sorted(c.extrinsics) == batch


@pytest.mark.parametrize("verdict", [Verdict.IGNORE, Verdict.REJECT])
async def test_an_extrinsic_that_is_not_accepted_is_not_passed_on(verdict: Verdict) -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")
    b.judge = lambda extrinsic: verdict if extrinsic == b"bad" else Verdict.ACCEPT
    async with b.run() as net_b, a.run(b) as net_a, c.run(b):
        await until(lambda: b.sees(a, c) and a.sees(b) and c.sees(b))
        net_a.broadcast_extrinsics([b"bad"])
        await until(lambda: b.extrinsics)
        net_a.broadcast_extrinsics([b"good"])
        await until(lambda: c.extrinsics)
        points = net_b.peer_book.points(a.peer_id, trio.current_time())
    assert c.extrinsics == [b"good"]
    assert (points > 0) == (verdict is Verdict.REJECT)


async def test_a_late_joiner_syncs_300_blocks() -> None:
    a, b = FakeNode("a", FakeChain().grow(300)), FakeNode("b")
    async with a.run(), b.run(a) as net_b:
        await until(lambda: b.chain.best == a.chain.best)
        assert not net_b.is_major_syncing
    assert set(b.imported_from.values()) == {a.peer_id}


async def test_a_new_block_travels_from_node_to_node_as_each_imports_and_announces_it() -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")
    async with b.run(), a.run(b), c.run(b):
        await until(lambda: b.sees(a, c) and a.sees(b) and c.sees(b))
        for height in range(1, 4):
            a.chain.grow(1)
            a.announce_best()
            await until(lambda height=height: b.chain.best.number == height)
            b.announce_best()
            await until(lambda height=height: c.chain.best.number == height)
    assert c.chain.canonical == a.chain.canonical


async def test_a_longer_fork_is_adopted() -> None:
    base = FakeChain().grow(50)
    a, b = FakeNode("a", base.forked_at(30, 40, "longer")), FakeNode("b", base.copy())
    async with a.run(), b.run(a):
        await until(lambda: b.chain.canonical == a.chain.canonical)


async def test_a_node_with_another_genesis_is_refused_with_the_reason_and_not_banned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "node.net")
    a, b = FakeNode("a"), FakeNode("b", genesis=OTHER_GENESIS)
    async with a.run() as net_a, b.run(a) as net_b:
        await until(lambda: caplog.text.count("other genesis") >= 2 and not net_a.host.connected_peers)
        assert net_a.peers() == net_b.peers() == []
        now = trio.current_time()
        for net, other in ((net_a, b), (net_b, a)):
            assert net.peer_book.points(other.peer_id, now) == 0
        assert net_b.peer_book.due(now + limits.OTHER_GENESIS_RETRY_SECONDS, ()) != []
        assert net_b.peer_book.due(now + limits.OTHER_GENESIS_RETRY_SECONDS / 2, ()) == []
    assert GENESIS.hex()[:16] in caplog.text


async def test_a_bootnode_that_comes_back_is_dialled_again() -> None:
    b = FakeNode("b")
    async with trio.open_nursery() as nursery:
        first = FakeNode("a")
        async with first.run():
            port = int(first.address[0].split("/")[4])
            leave = trio.Event()

            async def run_b() -> None:
                async with b.run(first):
                    await leave.wait()

            nursery.start_soon(run_b)
            await until(lambda: b.net and b.sees(first))
        await until(lambda: b.net and not b.net.peers())
        second = FakeNode("a", FakeChain().grow(5))
        async with second.run(port=port):
            await until(lambda: b.sees(second) and b.chain.best.number == 5)
            leave.set()


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


async def test_address_records_are_exchanged_on_connect_and_gossiped_on() -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")

    def record(name: str, sequence: int) -> AddressRecord:
        return AddressRecord.create(
            seed(name), GENESIS, addresses=(), sequence=sequence, hypercore=("127.0.0.1", 1000 + sequence)
        )

    async with a.run() as net_a:
        net_a.publish_address(record("service", 1))
        async with b.run(a) as net_b, c.run(b) as net_c:
            key = record("service", 1).noise_key
            await until(lambda: net_c.address_book.lookup(key))
            net_a.publish_address(record("service", 2))
            await until(lambda: net_c.address_book.lookup(key) == record("service", 2))
            assert net_b.address_book.lookup(key) == record("service", 2)
            with pytest.raises(InvalidRecord):
                net_a.publish_address(AddressRecord.create(seed("x"), OTHER_GENESIS, addresses=(), sequence=1))


async def test_chain_nodes_are_found_through_address_records() -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")
    async with a.run(), b.run(a) as net_b, c.run(a):
        net_b.publish_address(
            AddressRecord.create(seed("b"), GENESIS, addresses=b.address, sequence=1, serves_chain=True)
        )
        await until(lambda: c.sees(a, b))


async def test_there_is_a_bound_on_peers_and_reserved_ones_still_find_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PEERS", 2)
    monkeypatch.setattr(limits, "RESERVED_PEER_SLOTS", 1)
    a, b, c, reserved = (FakeNode(name) for name in ("a", "b", "c", "reserved"))
    async with a.run() as net_a, b.run(a) as net_b:
        await until(lambda: a.sees(b))
        net_b.peer_book.postpone(a.peer_id, trio.current_time(), 1000)
        async with c.run(a) as net_c, reserved.run():
            await until(lambda: net_c.peer_book.due(trio.current_time(), ()) == [] and not net_c.peers())
            net_a.add_reserved_peer(reserved.address[0])
            await until(lambda: a.sees(b, reserved))
            assert not a.sees(c)


async def test_reserved_peers_come_and_go_and_bootnodes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_RESERVED_PEERS", 1)
    a, b, c = (FakeNode(name) for name in "abc")
    async with a.run(), b.run(a) as net_b, c.run():
        assert net_b.reserved_peers == ()
        for _ in range(2):
            net_b.add_reserved_peer(a.address[0])
        assert net_b.reserved_peers == (a.peer_id,)
        with pytest.raises(TooManyReserved):
            net_b.add_reserved_peer(c.address[0])
        net_b.remove_reserved_peer(a.peer_id)
        assert net_b.peer_book.permanent_peers == (a.peer_id,)
        net_b.add_reserved_peer(c.address[0])
        await until(lambda: b.sees(a, c))
        net_b.remove_reserved_peer(c.peer_id)
        assert (net_b.reserved_peers, net_b.peer_book.permanent_peers) == ((), (a.peer_id,))
        assert b.sees(a, c)
        for refused in ("", "12D3KooWnonsense"):
            with pytest.raises(InvalidPeerId):
                net_b.remove_reserved_peer(refused)


async def test_a_bootnode_without_a_peer_id_is_refused_at_the_start() -> None:
    node = FakeNode("a")
    config = NetworkConfig(seed("a"), bootnodes=("/ip4/127.0.0.1/tcp/1",))
    with pytest.raises(InvalidPeerId, match="names no peer"):
        async with node_network(node, config):
            pass


async def test_a_port_in_use_is_refused_at_the_start() -> None:
    a, b = FakeNode("a"), FakeNode("b")
    async with a.run():
        with pytest.raises(ListenFailed):
            async with b.run(port=int(a.address[0].split("/")[4])):
                pass


def node_network(node: FakeNode, config: NetworkConfig) -> Any:
    from node.net.service import Network

    return Network.start(config, node.genesis, node.chain, node, node.on_extrinsics)
