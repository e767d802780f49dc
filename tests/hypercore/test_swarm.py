"""A swarm dials what its discoveries say, keeps what proves useful, and never itself or a peer twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

from hypercore.crypto import KeyPair
from hypercore.errors import LocalProtocolError
from hypercore.io import swarm as swarm_module
from hypercore.io.core import Core
from hypercore.io.replication import Replication, open_replication
from hypercore.io.swarm import (
    ANNOUNCE_RETRY_SECONDS,
    DIAL_LARGEST_PAUSE_SECONDS,
    Discovery,
    DiscoveryFailed,
    Endpoint,
    StaticPeers,
    Swarm,
    open_swarm,
)

PATIENCE_SECONDS = 30
KEY = bytes(32)


class Scripted:
    """A discovery of which the test says what it finds; it keeps what was announced."""

    def __init__(self, *endpoints: tuple[str, int], again_seconds: float = 60.0) -> None:
        self.endpoints = [Endpoint(*endpoint) for endpoint in endpoints]
        self.again_seconds = again_seconds
        self.announced: list[tuple[bytes, int]] = []
        self.withdrawn: list[bytes] = []
        self.lookups = 0
        self.failing = False

    async def announce(self, discovery_key: bytes, port: int) -> float:
        await trio.lowlevel.checkpoint()
        self.announced.append((discovery_key, port))
        if self.failing:
            raise DiscoveryFailed("scripted")
        return self.again_seconds

    def withdraw(self, discovery_key: bytes, port: int) -> None:
        self.withdrawn.append(discovery_key)

    async def lookup(self, discovery_key: bytes) -> AsyncIterator[Endpoint]:
        self.lookups += 1
        await trio.lowlevel.checkpoint()
        for endpoint in self.endpoints:
            yield endpoint
        if self.failing:
            raise DiscoveryFailed("scripted")


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def peers(count: int) -> AsyncIterator[list[tuple[Replication, Endpoint]]]:
    """Replications that listen on loopback."""
    with trio.fail_after(PATIENCE_SECONDS):
        async with AsyncExitStack() as stack:
            found = []
            for _ in range(count):
                replication = await stack.enter_async_context(open_replication())
                found.append((replication, Endpoint("127.0.0.1", await replication.listen())))
            yield found


def writer() -> Core:
    core = Core.create()
    core.append([b"one", b"two"])
    return core


async def test_blocks_come_from_peers_of_several_discoveries() -> None:
    core = writer()
    copy = Core.open(key=core.key)
    async with peers(3) as [(left, at_left), (right, at_right), (reader, _)]:
        left.add(core)
        right.add(core)
        async with open_swarm(reader, [StaticPeers([at_left]), Scripted(at_right)]) as swarm:
            swarm.find(copy)
            await reader.update(copy)
            await reader.download(copy)
            await until(lambda: len(reader.sessions) == 2)
    assert copy.get(1) == b"two"


async def test_a_swarm_does_not_keep_a_link_to_itself() -> None:
    async with peers(2) as [(own, here), (other, there)]:
        core = writer()
        other.add(core)
        discovery = Scripted(here, there)
        async with open_swarm(own, [discovery]) as swarm:
            swarm.find(Core.open(key=core.key))
            await until(lambda: here in swarm._candidates)
            await until(lambda: swarm._candidates[here].next_dial_seconds == float("inf"))
            await until(lambda: [session.remote_public_key for session in own.sessions] == [other.key_pair.public_key])
            assert swarm.dialled == 1


async def test_two_addresses_of_one_peer_make_one_link() -> None:
    async with peers(2) as [(own, _), (other, there)]:
        core = writer()
        other.add(core)
        async with open_swarm(own, [Scripted(there, ("localhost", there.port))]) as swarm:
            swarm.find(Core.open(key=core.key))
            await until(lambda: len(swarm._candidates) == 2 and all(c.public_key for c in swarm._candidates.values()))
            await until(lambda: swarm.dialled == 1 and len(own.sessions) == 1)


async def test_two_peers_that_find_each_other_keep_one_link_in_the_end() -> None:
    core = writer()
    async with peers(2) as [(left, at_left), (right, at_right)]:
        left.add(core)
        copy = Core.open(key=core.key)
        async with open_swarm(left, [Scripted(at_right)]) as one, open_swarm(right, [Scripted(at_left)]) as two:
            one.find(core)
            two.find(copy)
            await right.update(copy)
            await right.download(copy)
            await until(lambda: len(left.sessions) == len(right.sessions) == 1 and one.dialled + two.dialled == 1)
            assert left.sessions[0].peers
            assert right.sessions[0].peers


@pytest.mark.parametrize("ours_is_smaller", [True, False])
async def test_of_links_dialled_from_both_ends_the_one_that_the_smaller_key_began_stays(ours_is_smaller: bool) -> None:
    core = writer()
    smaller, larger = sorted((KeyPair.from_seed(bytes([n]) * 32) for n in (1, 2)), key=lambda key: key.public_key)
    ours, theirs = (smaller, larger) if ours_is_smaller else (larger, smaller)
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication(key_pair=ours) as own, open_replication(key_pair=theirs) as other:
            other.add(core)
            here, there = await own.listen(), await other.listen()
            async with open_swarm(own, [StaticPeers([("127.0.0.1", there)])]) as swarm:
                swarm.find(Core.open(key=core.key))
                await until(lambda: own.sessions and own.sessions[0].peers)
                await other.connect("127.0.0.1", here)
                await until(lambda: len(own.sessions) == len(other.sessions) == 1)
                assert own.sessions[0].is_initiator is ours_is_smaller
                assert swarm.dialled == int(ours_is_smaller)


async def test_a_peer_that_shares_no_core_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm_module, "PROVE_SECONDS", 0.05)
    async with peers(2) as [(own, _), (stranger, there)]:
        stranger.add(writer())
        async with open_swarm(own, [Scripted(there)]) as swarm:
            swarm.find(Core.open(key=writer().key))
            await until(lambda: swarm._candidates and swarm._candidates[there].failures)
            await until(lambda: not own.sessions)
            assert swarm.dialled == 0


async def test_what_does_not_answer_is_dialled_ever_more_rarely(autojump_clock: trio.testing.MockClock) -> None:
    async with open_replication() as own:
        closed = Endpoint("127.0.0.1", 1)
        async with open_swarm(own, [Scripted(closed)]) as swarm:
            swarm.find(Core.open(key=writer().key))
            await trio.sleep(4 * 3_600)
            candidate = swarm._candidates[closed]
            assert 10 < candidate.failures < 100
            assert candidate.next_dial_seconds <= trio.current_time() + DIAL_LARGEST_PAUSE_SECONDS


async def test_no_more_links_are_dialled_than_the_bound() -> None:
    async with peers(4) as [(own, _), *others]:
        core = writer()
        for replication, _ in others:
            replication.add(core)
        async with open_swarm(own, [Scripted(*(there for _, there in others))], max_dialled=2) as swarm:
            swarm.find(Core.open(key=core.key))
            await until(lambda: sum(bool(session.peers) for session in own.sessions) == 2)
            assert swarm.dialled == 2
            assert len(swarm._candidates) == 3


async def test_a_flood_of_endpoints_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm_module, "MAX_CANDIDATES", 5)
    monkeypatch.setattr(swarm_module, "MAX_ENDPOINTS_PER_LOOKUP", 50)
    async with open_replication() as own:
        flood = Scripted(*(("127.0.0.1", port) for port in range(1, 500)))
        async with open_swarm(own, [flood], max_dialled=1) as swarm:
            swarm.find(Core.open(key=writer().key))
            with trio.fail_after(PATIENCE_SECONDS):
                await until(lambda: len(swarm._candidates) == 5)
                await until(lambda: not swarm.dialled)
            assert len(swarm._candidates) == 5


async def test_a_lost_link_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm_module, "LOOKUP_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(swarm_module, "PROVE_SECONDS", 0.05)
    async with peers(2) as [(own, _), (other, there)]:
        core = writer()
        other.add(core)
        async with open_swarm(own, [Scripted(there)]) as swarm:
            swarm.find(Core.open(key=core.key))
            await until(lambda: own.sessions and own.sessions[0].peers)
            first = own.sessions[0]
            first.close()
            await until(lambda: own.sessions and own.sessions[0] is not first and own.sessions[0].peers)


async def test_a_discovery_that_fails_is_asked_and_told_again(autojump_clock: trio.testing.MockClock) -> None:
    discovery = Scripted()
    discovery.failing = True
    async with open_replication() as own, open_swarm(own, [discovery], port=4000) as swarm:
        swarm.serve(KEY)
        swarm.find(Core.open(key=writer().key))
        await trio.sleep(2.5 * ANNOUNCE_RETRY_SECONDS)
        assert len(discovery.announced) == 3
        assert discovery.lookups > 1


async def test_served_cores_are_announced_again_when_due_and_withdrawn(autojump_clock: trio.testing.MockClock) -> None:
    discovery, never_again = Scripted(again_seconds=60), Scripted(again_seconds=float("inf"))
    discoveries: list[Discovery] = [discovery, never_again]
    async with open_replication() as own, open_swarm(own, discoveries, port=4000) as swarm:
        swarm.serve_only([KEY, bytes([1]) * 32])
        await trio.sleep(130)
        assert discovery.announced.count((KEY, 4000)) == 3
        assert never_again.announced == [(KEY, 4000), (bytes([1]) * 32, 4000)]
        swarm.stop_serving(KEY)
        await trio.sleep(130)
        assert discovery.withdrawn == [KEY]
        assert discovery.announced.count((KEY, 4000)) == 3
    assert set(discovery.withdrawn) == {KEY, bytes([1]) * 32}


async def test_limits_of_what_is_served_and_looked_for_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm_module, "MAX_SERVED", 1)
    monkeypatch.setattr(swarm_module, "MAX_FOUND", 0)
    async with open_replication() as own, open_swarm(own, [], port=4000) as swarm, open_swarm(own, []) as mute:
        swarm.serve(KEY)
        with pytest.raises(LocalProtocolError, match="more than 1 cores"):
            swarm.serve(bytes([1]) * 32)
        with pytest.raises(LocalProtocolError, match="more than 0 cores"):
            swarm.find(writer())
        with pytest.raises(LocalProtocolError, match="no port"):
            mute.serve(KEY)


async def test_what_goes_wrong_inside_the_block_comes_out_as_it_is() -> None:
    async with open_replication() as own:
        with pytest.raises(ValueError, match="as it is"):
            async with open_swarm(own, [Scripted()]) as swarm:
                assert isinstance(swarm, Swarm)
                raise ValueError("as it is")
