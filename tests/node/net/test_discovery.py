"""Provider records of the chain's nodes lead to the TCP endpoints of those who host a core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import trio

from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from hypercore.io.swarm import DiscoveryFailed, Endpoint, open_swarm
from node import limits
from node.net.addresses import AddressRecord
from node.net.cbor import encode
from node.net.discovery import NAME, HostsResponse
from node.net.frames import PeerGone
from node.net.kademlia import Kademlia
from node.net.messages import chain_protocol
from node.net.service import Network

from .support import GENESIS, OTHER_GENESIS, PATIENCE_SECONDS, FakeNode, connected_hosts, seed, until

KEY = bytes(range(32))
ACCOUNT = seed("an account")


def account_record(port: int = 4000, *, sequence: int = 1, account: bytes = ACCOUNT) -> AddressRecord:
    return AddressRecord.create(
        account, GENESIS, addresses=(), hypercore=("127.0.0.1", port), sequence=sequence
    )


@asynccontextmanager
async def line_of_nodes(count: int) -> AsyncIterator[list[Network]]:
    """Chain nodes each of which knows the one before it; each has told its neighbours where it is."""
    nodes = [FakeNode(f"discovery {number}") for number in range(count)]
    async with AsyncExitStack() as stack:
        networks = []
        for number, node in enumerate(nodes):
            networks.append(await stack.enter_async_context(node.run(*nodes[max(0, number - 1) : number])))
        for left, right in pairwise(nodes):
            await until(lambda left=left, right=right: left.sees(right) and right.sees(left))  # type: ignore[misc]
        await until(lambda: all(table_size(network) for network in networks))
        yield networks


def table_size(network: Network) -> int:
    return int(network.hosted_cores.kademlia._dht.routing_table.size())


async def found(network: Network, key: bytes = KEY) -> list[Endpoint]:
    return [endpoint async for endpoint in network.hosted_cores.of_account(bytes(32)).lookup(key)]


async def announce(network: Network, record: AddressRecord) -> float:
    network.address_book.add(record, None)
    return await network.hosted_cores.of_account(record.noise_key).announce(KEY, record.hypercore_port)


async def test_a_node_finds_who_hosts_a_core_beyond_its_own_peers() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(4) as networks:
            assert await announce(networks[0], account_record()) == limits.PROVIDE_AGAIN_SECONDS
            assert await found(networks[3]) == [("127.0.0.1", 4000)]
            assert networks[3].address_book.lookup(account_record().noise_key) is not None


async def test_a_reader_without_any_address_gets_the_blocks() -> None:
    core = Core.create()
    core.append([b"found", b"it"])
    copy = Core.open(key=core.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks, open_replication() as serving, open_replication() as reading:
            serving.add(core)
            record = account_record(await serving.listen())
            networks[0].address_book.add(record, None)
            here, there = (network.hosted_cores.of_account(record.noise_key) for network in networks)
            async with open_swarm(serving, [here], port=record.hypercore_port) as host:
                host.serve(core.discovery_key)
                await until(lambda: networks[0].hosted_cores._told_at)
                async with open_swarm(reading, [there]) as reader:
                    reader.find(copy)
                    await reading.update(copy)
                    await reading.download(copy)
    assert [copy.get(0), copy.get(1)] == [b"found", b"it"]


async def test_two_accounts_of_a_node_are_both_found_and_one_that_withdraws_is_not() -> None:
    other = account_record(4001, account=seed("another account"))
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks:
            await announce(networks[0], account_record())
            assert await announce(networks[0], other) == limits.PROVIDE_AGAIN_SECONDS / 2
            assert set(await found(networks[1])) == {("127.0.0.1", 4000), ("127.0.0.1", 4001)}
            networks[0].hosted_cores.of_account(other.noise_key).withdraw(KEY, 4001)
            assert await found(networks[1]) == [("127.0.0.1", 4000)]


async def test_the_newest_record_of_an_account_counts() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks:
            await announce(networks[0], account_record())
            networks[1].address_book.add(account_record(5000, sequence=2), None)
            assert await found(networks[1]) == [("127.0.0.1", 5000)]


async def test_nobody_is_found_for_a_core_that_nobody_hosts() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks:
            await announce(networks[0], account_record())
            assert await found(networks[1], bytes(32)) == []


async def test_a_node_does_not_find_itself() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks:
            await announce(networks[0], account_record())
            assert await found(networks[0]) == []


async def test_a_node_alone_announces_again_soon() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with FakeNode("alone").run() as network:
            assert await announce(network, account_record()) == limits.PROVIDE_RETRY_SECONDS


async def test_more_cores_than_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_HOSTED_CORES", 1)
    with trio.fail_after(PATIENCE_SECONDS):
        async with FakeNode("alone").run() as network:
            discovery = network.hosted_cores.of_account(ACCOUNT)
            await discovery.announce(KEY, 1)
            with pytest.raises(DiscoveryFailed, match="more than 1"):
                await discovery.announce(bytes(32), 1)


FORGED = AddressRecord(**{**account_record().__dict__, "hypercore_port": 6666})
OTHER_CHAIN = AddressRecord.create(ACCOUNT, bytes(32), addresses=(), hypercore=("127.0.0.1", 4000), sequence=1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        encode(HostsResponse((b"no record",))),
        encode(HostsResponse((FORGED.encode(),))),
        encode(HostsResponse((OTHER_CHAIN.encode(),))),
    ],
    ids=["empty", "no CBOR", "no record", "changed port", "record for another chain"],
)
async def test_a_node_that_answers_nonsense_is_not_believed(answer: bytes) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks:
            await announce(networks[0], account_record())

            async def lie(stream: object, peer_id: str) -> None:
                await stream.receive()  # type: ignore[attr-defined]
                await stream.send(answer)  # type: ignore[attr-defined]

            networks[0].host.handle(chain_protocol(GENESIS, NAME), lie)
            assert await found(networks[1]) == []


@pytest.mark.parametrize("question", [b"", b"\xff" * 100, encode(HostsResponse(()))], ids=["empty", "noise", "other"])
async def test_a_question_that_is_none_is_not_answered_and_later_ones_are(question: bytes) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with line_of_nodes(2) as networks:
            await announce(networks[0], account_record())
            peer = networks[0].host.peer_id
            stream = await networks[1].host.open_stream(peer, chain_protocol(GENESIS, NAME))
            await stream.send(question)
            with pytest.raises(PeerGone):
                await stream.receive()
            assert await found(networks[1]) == [("127.0.0.1", 4000)]


async def test_a_flood_of_keys_displaces_the_oldest_and_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PROVIDED_KEYS", 3)
    async with connected_hosts("flooded", "provider") as hosts, Kademlia.start(hosts[0], GENESIS) as kademlia:
        from libp2p.peer.id import ID
        from libp2p.peer.peerinfo import PeerInfo
        from multiaddr import Multiaddr

        info = PeerInfo(ID.from_base58(hosts[1].peer_id), [Multiaddr("/ip4/127.0.0.1/tcp/1")] * 100)
        for number in range(10):
            kademlia._store.add_provider(bytes([number]), info)
        assert list(kademlia._store.providers) == [b"\x07", b"\x08", b"\x09"]
        assert len(kademlia._store.get_providers(b"\x09")[0].addrs) == limits.MAX_ADDRESSES_PER_RECORD


async def test_values_of_strangers_are_not_kept() -> None:
    async with connected_hosts("keeper") as hosts, Kademlia.start(hosts[0], GENESIS) as kademlia:
        from libp2p.records.validator import InvalidRecordType

        for key in ("/pk/anything", "/ipns/anything", "plain"):
            with pytest.raises(InvalidRecordType):
                kademlia._dht.validator.validate(key, b"value")


async def test_addresses_that_cannot_be_read_are_left_out_of_the_table() -> None:
    stranger = account_record().peer_id
    async with connected_hosts("reader") as hosts, Kademlia.start(hosts[0], GENESIS) as kademlia:
        await kademlia.add_peer(stranger, ["nonsense", ""])
        assert kademlia._dht.routing_table.size() == 0
        await kademlia.add_peer(stranger, ["nonsense", f"/ip4/127.0.0.1/tcp/1/p2p/{stranger}"])
        assert kademlia._dht.routing_table.size() == 1


async def test_tables_of_different_chains_do_not_mix() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with AsyncExitStack() as stack:
            ours, same, other = await stack.enter_async_context(connected_hosts("ours", "same chain", "other chain"))
            tables = {}
            for host, genesis in ((ours, GENESIS), (same, GENESIS), (other, OTHER_GENESIS)):
                tables[host.peer_id] = await stack.enter_async_context(Kademlia.start(host, genesis))
            table = tables[ours.peer_id]
            for host in (same, other):
                await table.add_peer(host.peer_id, host.addresses)
                await tables[host.peer_id].add_peer(ours.peer_id, ours.addresses)
            assert await table.provide(KEY) == 1
            assert [one.peer_id for one in await tables[same.peer_id].find_providers(KEY)] == [ours.peer_id]
            assert await tables[other.peer_id].find_providers(KEY) == []
            assert await tables[other.peer_id].provide(KEY) == 0


async def test_the_librarys_own_name_of_the_table_is_not_answered() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with connected_hosts("asks", "answers") as (asks, answers), Kademlia.start(answers, GENESIS):
            with pytest.raises(PeerGone):
                await asks.open_stream(answers.peer_id, "/ipfs/kad/1.0.0")
            async with await asks.open_stream(answers.peer_id, f"/{GENESIS[:8].hex()}/kad/1"):
                pass
