"""What readers see of a hoster follows its lanes: as many blocks as it holds, from whichever copy is good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from hypercore.errors import BlockNotAvailable
from hypercore.io.core import Core
from node.roles.hosted_feeds import HostedFeeds
from node.roles.hoster_store import LaneStore, StoredLane
from node.roles.opener import ChunkOpener, OpenedCache
from node.roles.sealer import SealPool

from .test_hoster_store import ROOMY, keep, keep_under_another_key
from .test_lane_protocol import CORE, TERMS


def attach(feeds: HostedFeeds, lane: StoredLane) -> Core:
    """Serve from a lane whose chunks were just taken in."""
    feeds.attach(lane)
    feeds.teach(lane, [(place, CORE.get(index)) for place, index in enumerate(lane.chunks)])
    core = feeds.resolve(CORE.discovery_key)
    assert core is not None
    return core


def change_first_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.fixture
def store(tmp_path: Path) -> LaneStore:
    return LaneStore.open(tmp_path / "lanes", ROOMY)


@pytest.fixture
async def opener(store: LaneStore) -> AsyncIterator[ChunkOpener]:
    async with SealPool(workers=1) as pool, trio.open_nursery() as nursery:
        opener = ChunkOpener(store, pool, OpenedCache(0))
        nursery.start_soon(opener.run)
        yield opener
        nursery.cancel_scope.cancel()


@pytest.fixture
def feeds(tmp_path: Path, opener: ChunkOpener) -> HostedFeeds:
    return HostedFeeds(tmp_path / "feeds", opener)


async def read(core: Core, index: int) -> bytes:
    """A block as a peer gets it."""
    ready = trio.Event()
    if not core.prepare(index, ready.set):
        await ready.wait()
        assert core.prepare(index, ready.set)
    return core.get(index)


async def test_replica_has_the_signed_head_and_exactly_the_blocks_of_its_lanes(
    store: LaneStore, feeds: HostedFeeds
) -> None:
    core = attach(feeds, keep(store))
    assert core.signed_head() == CORE.signed_head()
    assert [index for index in range(core.length) if core.has(index)] == list(TERMS.chunks)
    assert [await read(core, index) for index in TERMS.chunks] == [CORE.get(index) for index in TERMS.chunks]
    with pytest.raises(BlockNotAvailable):
        await read(core, 0)


async def test_unknown_feed_is_not_served(feeds: HostedFeeds) -> None:
    assert feeds.resolve(bytes(32)) is None


async def test_block_comes_from_another_copy_when_one_is_damaged(store: LaneStore, feeds: HostedFeeds) -> None:
    first, second = keep(store), keep_under_another_key(store)
    core = attach(feeds, first)
    attach(feeds, second)
    change_first_byte(first.path)
    assert await read(core, 1) == CORE.get(1)
    second.path.unlink()
    assert await read(core, 4) == CORE.get(4)  # which drops the other block from the cache
    for _ in range(2):
        with pytest.raises(BlockNotAvailable):
            await read(core, 1)


async def test_blocks_stay_until_their_last_lane_goes(store: LaneStore, feeds: HostedFeeds, tmp_path: Path) -> None:
    first, second = keep(store), keep_under_another_key(store)
    attach(feeds, first)
    core = attach(feeds, second)
    assert feeds.detach(first) is None
    assert await read(core, 4) == CORE.get(4)
    assert feeds.detach(second) is core
    feeds.delete(core)
    assert feeds.resolve(CORE.discovery_key) is None
    assert list((tmp_path / "feeds").iterdir()) == []


async def test_restarted_replica_needs_to_learn_nothing(
    store: LaneStore, opener: ChunkOpener, feeds: HostedFeeds, tmp_path: Path
) -> None:
    lane = keep(store)
    attach(feeds, lane)
    feeds.close()
    again = HostedFeeds(tmp_path / "feeds", opener)
    assert again.attach(lane) == ()
    core = again.resolve(CORE.discovery_key)
    assert core is not None
    assert await read(core, 1) == CORE.get(1)
    again.close()
