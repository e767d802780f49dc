"""Whom a node dials: address records, bounds on peers, reserved peers, bootnodes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from node import limits
from node.net.addresses import AddressRecord, InvalidRecord
from node.net.host import ListenFailed
from node.net.identity import InvalidPeerId
from node.net.peers import TooManyReserved
from node.net.service import NetworkConfig

from .support import GENESIS, OTHER_GENESIS, FakeNode, seed, until


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


async def test_a_peers_flood_of_address_records_pushes_out_its_own() -> None:
    a, b, c = FakeNode("a"), FakeNode("b"), FakeNode("c")

    def record(name: str) -> AddressRecord:
        return AddressRecord.create(seed(name), GENESIS, addresses=(), sequence=1)

    async with a.run() as net_a, b.run(a) as net_b, c.run(a) as net_c:
        await until(lambda: a.sees(b, c))
        net_a.address_book._max_from_peer = 2
        net_c.publish_address(record("honest"))
        await until(lambda: net_a.address_book.lookup(record("honest").noise_key))
        for name in ("1", "2", "3", "4"):
            net_b.publish_address(record(name))
        await until(lambda: net_a.address_book.lookup(record("4").noise_key))
        kept = [name for name in ("honest", "1", "2", "3", "4") if net_a.address_book.lookup(record(name).noise_key)]
        assert kept == ["honest", "3", "4"]


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
