from __future__ import annotations

import trio
import trio.testing

from node.net.host import Host
from node.net.mesh import Mesh

from ..sync.fake_chain import FakeChain
from .support import GENESIS, LOOPBACK, OTHER_GENESIS, FakeNode, seed, until

TOPIC = "votes"


def is_valid(data: bytes) -> bool:
    return data.startswith(b"good")


async def test_messages_reach_a_host_that_is_not_directly_connected() -> None:
    heard: dict[str, list[bytes]] = {"a": [], "b": [], "c": []}
    async with (
        Host.start(seed("a"), LOOPBACK) as a,
        Host.start(seed("b"), LOOPBACK) as b,
        Host.start(seed("c"), LOOPBACK) as c,
        Mesh.start(a, GENESIS) as mesh_a,
        Mesh.start(b, GENESIS) as mesh_b,
        Mesh.start(c, GENESIS) as mesh_c,
    ):
        for name, mesh in (("a", mesh_a), ("b", mesh_b), ("c", mesh_c)):
            await mesh.subscribe(TOPIC, is_valid, heard[name].append)
        await a.connect(b.addresses[0])
        await c.connect(b.addresses[0])
        await until(lambda: mesh_b.neighbours(TOPIC) == 2 and mesh_a.neighbours(TOPIC) and mesh_c.neighbours(TOPIC))
        assert not a.is_connected(c.peer_id)

        mesh_a.publish(TOPIC, b"good morning")
        mesh_a.publish(TOPIC, b"good morning")
        mesh_a.publish(TOPIC, b"bad news")
        mesh_c.publish(TOPIC, b"good night")
        await until(lambda: heard["c"] and heard["a"] and len(heard["b"]) == 2)
        assert heard["c"] == [b"good morning"]
        assert heard["a"] == [b"good night"]
        assert sorted(heard["b"]) == [b"good morning", b"good night"]


async def test_meshes_of_other_chains_do_not_mix() -> None:
    heard: list[bytes] = []
    async with (
        Host.start(seed("a"), LOOPBACK) as a,
        Host.start(seed("b"), LOOPBACK) as b,
        Mesh.start(a, GENESIS) as mesh_a,
        Mesh.start(b, OTHER_GENESIS) as mesh_b,
    ):
        await mesh_a.subscribe(TOPIC, is_valid, heard.append)
        await mesh_b.subscribe(TOPIC, is_valid, heard.append)
        await a.connect(b.addresses[0])
        mesh_a.publish(TOPIC, b"good for nobody")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert mesh_a.neighbours(TOPIC) == mesh_b.neighbours(TOPIC) == 0
    assert heard == []


async def test_a_full_queue_drops_and_counts(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from node import limits

    monkeypatch.setattr(limits, "MAX_MESH_QUEUE", 2)
    async with Host.start(seed("a"), LOOPBACK) as a, Mesh.start(a, GENESIS) as mesh:
        for _ in range(5):
            mesh.publish(TOPIC, b"good")
        assert mesh.dropped == 3


async def test_block_announcements_reach_nodes_beyond_direct_reach_through_the_mesh() -> None:
    a, b, c = FakeNode("a", FakeChain().grow(7)), FakeNode("b"), FakeNode("c")
    async with b.run(mesh=True), a.run(b, mesh=True), c.run(b, mesh=True) as net_c:
        await until(lambda: b.sees(a, c) and a.sees(b) and c.sees(b))
        height = 7
        while net_c.highest_announced == 0:
            a.announce_best()
            a.chain.grow(1)
            height += 1
            await trio.testing.wait_all_tasks_blocked(0.05)
        assert 7 <= net_c.highest_announced < height
