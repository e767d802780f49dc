"""None"""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from node import limits
from node.net.gossip import Verdict

from ..sync.fake_chain import FakeChain
from .support import GENESIS, OTHER_GENESIS, FakeNode, until


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
