"""What readers see of a hoster follows its lanes: as many blocks as it holds, from whichever copy is good."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypercore.errors import BlockNotAvailable
from hypercore.io.core import Core
from node.roles.hosted_feeds import HostedFeeds, OpenedCache
from node.roles.hoster_store import LaneStore, StoredLane

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
def feeds(tmp_path: Path, store: LaneStore) -> HostedFeeds:
    return HostedFeeds(tmp_path / "feeds", store, OpenedCache(0))


def test_replica_has_the_signed_head_and_exactly_the_blocks_of_its_lanes(store: LaneStore, feeds: HostedFeeds) -> None:
    core = attach(feeds, keep(store))
    assert core.signed_head() == CORE.signed_head()
    assert [index for index in range(core.length) if core.has(index)] == list(TERMS.chunks)
    assert [core.get(index) for index in TERMS.chunks] == [CORE.get(index) for index in TERMS.chunks]
    with pytest.raises(BlockNotAvailable):
        core.get(0)


def test_unknown_feed_is_not_served(feeds: HostedFeeds) -> None:
    assert feeds.resolve(bytes(32)) is None


def test_block_comes_from_another_copy_when_one_is_damaged(store: LaneStore, feeds: HostedFeeds) -> None:
    first, second = keep(store), keep_under_another_key(store)
    core = attach(feeds, first)
    attach(feeds, second)
    change_first_byte(first.path)
    assert core.get(1) == CORE.get(1)
    second.path.unlink()
    with pytest.raises(BlockNotAvailable):
        core.get(1)


def test_blocks_stay_until_their_last_lane_goes(store: LaneStore, feeds: HostedFeeds, tmp_path: Path) -> None:
    first, second = keep(store), keep_under_another_key(store)
    attach(feeds, first)
    core = attach(feeds, second)
    assert feeds.detach(first) is None
    assert core.get(4) == CORE.get(4)
    assert feeds.detach(second) is core
    feeds.delete(core)
    assert feeds.resolve(CORE.discovery_key) is None
    assert list((tmp_path / "feeds").iterdir()) == []


def test_restarted_replica_needs_to_learn_nothing(store: LaneStore, feeds: HostedFeeds, tmp_path: Path) -> None:
    lane = keep(store)
    attach(feeds, lane)
    feeds.close()
    again = HostedFeeds(tmp_path / "feeds", store)
    assert again.attach(lane) == ()
    core = again.resolve(CORE.discovery_key)
    assert core is not None
    assert core.get(1) == CORE.get(1)
    again.close()


def test_opened_blocks_are_kept_within_the_bound_and_the_last_used_stay() -> None:
    cache = OpenedCache(max_bytes=20)
    key = bytes(32)
    cache.put(key, 0, bytes(10))
    cache.put(key, 1, bytes(10))
    assert cache.get(key, 0) == bytes(10)
    cache.put(key, 2, bytes(10))
    assert cache.get(key, 1) is None
    assert cache.get(key, 0) == bytes(10)
    cache.put(key, 0, bytes(20))
    assert cache.get(key, 2) is None
    cache.put(key, 3, bytes(21))
    assert [cache.get(key, index) for index in range(4)] == [None] * 4
    cache.put(key, 4, bytes(5))
    cache.forget(key)
    assert cache.get(key, 4) is None
