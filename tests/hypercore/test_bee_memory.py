"""What a bee keeps in memory between changes: never more than its bounds, and never what the log does not hold."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from hypercore import bee_blocks
from hypercore.bee_blocks import BeeBlock, BlockCache, encode_index
from hypercore.errors import BlockNotAvailable
from hypercore.io import bee as io_bee
from hypercore.io.bee import Bee
from hypercore.io.core import Core
from hypercore.io.log import Log
from tests.hypercore.bee_operations import core_after, digest_of_blocks, perform, random_operations

TINY_BYTES = 4096


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to no memory, so that everything leaves it soon."""
    monkeypatch.setattr(bee_blocks, "CACHE_BYTES", TINY_BYTES)
    monkeypatch.setattr(io_bee, "TREE_BYTES", TINY_BYTES)


async def written(bee: Bee) -> dict[bytes, bytes | None]:
    """What a reader that remembers nothing finds."""
    return {entry.key: entry.value async for entry in Bee(Log(bee.log.core)).entries()}


@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
async def test_the_blocks_do_not_depend_on_what_is_remembered(batched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = random_operations(7, 300, batched)
    expected = digest_of_blocks(await core_after(operations))
    for size in (0, TINY_BYTES):
        monkeypatch.setattr(bee_blocks, "CACHE_BYTES", size)
        monkeypatch.setattr(io_bee, "TREE_BYTES", size)
        assert digest_of_blocks(await core_after(operations)) == expected


class CountingReader:
    """Blocks of one entry each, and how often each was read."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    async def get(self, index: int) -> bytes:
        self.reads.append(index)
        return BeeBlock(index, b"key", bytes(100), encode_index([])).encode()

    async def fetch(self, indexes: object) -> None:
        """They are here."""


@pytest.mark.usefixtures("tiny")
async def test_the_cache_keeps_what_is_asked_for_and_forgets_the_rest() -> None:
    reader = CountingReader()
    cache = BlockCache(reader)
    for number in range(1, 200):
        await cache.block(number)
        await cache.block(1)
    assert reader.reads.count(1) == 1
    await cache.block(2)
    assert reader.reads.count(2) == 2


@pytest.mark.usefixtures("tiny")
async def test_the_cache_holds_no_more_than_its_bound() -> None:
    reader = CountingReader()
    cache = BlockCache(reader)
    size = (await cache.block(1)).size
    for number in range(2, 100):
        await cache.block(number)
    reader.reads.clear()
    for number in range(99, 0, -1):
        await cache.block(number)
    assert 99 - len(reader.reads) <= TINY_BYTES // size + 1


class WatchedLog(Log):
    """Counts what is read from it, and does not have some of its blocks."""

    reads = 0
    missing: frozenset[int] = frozenset()

    async def get(self, index: int, *, timeout_seconds: float | None = None) -> bytes:
        self.reads += 1
        if index in self.missing:
            raise BlockNotAvailable(f"block {index} is missing")
        return await super().get(index, timeout_seconds=timeout_seconds)


async def test_a_tree_is_loaded_once_for_many_batches() -> None:
    bee = Bee(Log(Core.create()))
    keys = [b"%04d" % number for number in range(500)]
    random.Random(1).shuffle(keys)
    for key in keys:
        await bee.put(key, b"1")
    log = WatchedLog(bee.log.core)
    writer = Bee(log)
    for key in keys:
        await writer.put(key, b"2")
    assert 0 < log.reads <= 501
    log.reads = 0
    for key in keys:
        await writer.put(key, b"3")
    assert log.reads == 0


async def test_keys_that_left_the_tree_leave_its_memory() -> None:
    log = Log(Core.create())
    bee = Bee(log)
    for number in range(100):
        await bee.put(b"%03d" % number, b"1")
        await bee.put(b"%03d" % number, b"2")
    tree = bee._shared.tree
    assert tree is not None
    full = tree.size
    for number in range(100):
        await bee.delete(b"%03d" % number)
    assert bee._shared.tree is tree
    assert tree.size == 0 < full
    assert await written(bee) == {}


async def test_a_batch_that_fails_leaves_nothing_in_memory() -> None:
    bee = Bee(Log(Core.create()))
    await perform(bee, random_operations(1, 50, True))
    before = await written(bee)
    with pytest.raises(ValueError, match="stop"):
        async with bee.batch() as batch:
            await batch.put("lost", b"1")
            for key in list(before)[::2]:
                await batch.delete(key)
            raise ValueError("stop")
    await bee.put("kept", b"1")
    assert await written(bee) == {**before, b"kept": b"1"}


async def test_another_writer_of_the_same_log_is_noticed() -> None:
    core = Core.create()
    one, two = Bee(Log(core)), Bee(Log(core))
    for number in range(30):
        await (one if number % 3 else two).put(b"%02d" % number, b"")
    core.truncate(11)
    for number in range(10, 20):
        await (two if number % 3 else one).put(b"%02d" % number, b"new")
    keys = [b"%02d" % number for number in range(20)]
    assert list(await written(one)) == keys
    assert [entry.key async for entry in two.entries()] == keys


@pytest.mark.parametrize("seed", range(3))
async def test_a_change_that_cannot_be_made_changes_nothing_of_its_batch(seed: int) -> None:
    generator = random.Random(seed)
    core = Core.create()
    keys = [b"%03d" % number for number in range(200)]
    generator.shuffle(keys)
    await perform(Bee(Log(core)), [["put", key, b""] for key in keys])
    log = WatchedLog(core)
    bee = Bee(log)
    left = set(keys)
    log.missing = frozenset(generator.sample(range(1, 190), 8))
    async with bee.batch() as batch:
        for key in keys:
            with suppress(BlockNotAvailable):
                await batch.delete(key)
                left.remove(key)
    assert 0 < len(left) < 200
    assert set(await written(bee)) == left
