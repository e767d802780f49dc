"""Whoever waits for a core hears at once that nothing will come: the disk is full, or the core was closed."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from hypercore.errors import CoreClosed, LocalProtocolError, StoreFull
from hypercore.io.bee import Bee
from hypercore.io.core import Core
from hypercore.io.events import Closed, CoreEvent
from hypercore.io.files import MemoryDirectory, MemoryFile
from hypercore.io.log import Log
from hypercore.io.replication import Replication, open_replication

PATIENCE_SECONDS = 20
BLOCKS = 40
BLOCK = bytes(40_000)


class FullFile(MemoryFile):
    def write(self, offset: int, data: bytes) -> None:
        if FullFile.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(offset, data)

    is_full = False


class FullDirectory(MemoryDirectory):
    def open(self, name: str) -> MemoryFile:
        return self._files.setdefault(name, FullFile())


@pytest.fixture(autouse=True)
def room_again() -> None:
    FullFile.is_full = False


@asynccontextmanager
async def linked(writer: Log, reader: Log) -> AsyncIterator[Replication]:
    """A reader that heard of the writer's head and has its first block."""
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as serving, open_replication() as reading:
            serving.add(writer.core)
            reader.replication = reading
            await reading.connect("127.0.0.1", await serving.listen())
            await reader.update()
            await reader.get(0)
            yield reading


def reader_of(writer: Log) -> Log:
    return Log(Core.open(key=writer.key, directory=FullDirectory()), timeout_seconds=None)


async def first_of(blocks: AsyncIterator[bytes]) -> bytes:
    return await anext(blocks)


async def whole(log: Log) -> None:
    await log.download()


WAITS: list[Callable[[Log], Awaitable[object]]] = [
    lambda log: log.get(7),
    whole,
    lambda log: first_of(log.blocks(7)),
    lambda log: log.fetch([7, 8]),
]


@pytest.mark.parametrize("wait", WAITS)
async def test_a_full_disk_ends_every_wait_for_blocks(wait: Callable[[Log], Awaitable[object]]) -> None:
    writer = Log.open()
    writer.append([BLOCK] * BLOCKS)
    reader = reader_of(writer)
    async with linked(writer, reader):
        FullFile.is_full = True
        with pytest.raises(StoreFull):
            await wait(reader)
        assert await reader.get(0) == BLOCK
        assert not reader.has(7)


async def test_after_a_full_disk_the_same_core_goes_on_where_it_stopped() -> None:
    writer = Log.open()
    writer.append([BLOCK] * BLOCKS)
    reader = reader_of(writer)
    async with linked(writer, reader):
        FullFile.is_full = True
        with pytest.raises(StoreFull):
            await reader.download()
    FullFile.is_full = False
    async with linked(writer, reader):
        await reader.download()
    assert reader.contiguous_length == BLOCKS


NEVER: list[Callable[[Log], Awaitable[object]]] = [
    lambda log: log.get(BLOCKS),
    lambda log: log.update(BLOCKS + 1),
    lambda log: log.replication.seek(log.core, BLOCKS * len(BLOCK) + 1),  # type: ignore[union-attr]
    lambda log: first_of(log.blocks(BLOCKS, live=True)),
    lambda log: log.download(BLOCKS, BLOCKS + 1)._wait(),
]


@pytest.mark.parametrize("wait", NEVER)
async def test_closing_a_core_ends_every_wait_for_it(wait: Callable[[Log], Awaitable[object]]) -> None:
    writer = Log.open()
    writer.append([BLOCK] * BLOCKS)
    reader = reader_of(writer)
    async with linked(writer, reader), trio.open_nursery() as nursery:

        async def refused() -> None:
            with pytest.raises(CoreClosed):
                await wait(reader)

        nursery.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        reader.core.close()


async def test_closing_our_own_core_ends_a_live_stream_and_a_watch() -> None:
    log = Log.open()
    bee = Bee(log)
    await bee.put("key", "value")

    async def refused(wait: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(CoreClosed):
            await wait()

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refused, lambda: anext(log.blocks(log.length, live=True)))
            nursery.start_soon(refused, lambda: anext(bee.watch()))
            await trio.testing.wait_all_tasks_blocked()
            log.close()


def test_the_last_event_of_a_core_is_that_it_was_closed() -> None:
    core = Core.create()
    heard: list[CoreEvent] = []
    core.subscribe(heard.append)
    core.close()
    core.close()
    assert heard == [Closed()]


async def test_closing_one_of_several_cores_leaves_the_others_of_a_link_alone() -> None:
    closing, staying = Log.open(), Log.open()
    for log in (closing, staying):
        log.append([BLOCK] * BLOCKS)
    closing_reader, reader = reader_of(closing), reader_of(staying)
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as serving, open_replication() as reading:
            serving.add(closing.core)
            serving.add(staying.core)
            session = await reading.connect("127.0.0.1", await serving.listen())
            closing_reader.replication = reader.replication = reading
            await closing_reader.update()
            await reader.update()
            closing_reader.download()
            closing.core.close()
            assert await reader.get(1) == BLOCK
            closing_reader.core.close()
            staying.append(b"after")
            assert await reader.get(BLOCKS) == b"after"
            assert reading.sessions == [session]


async def test_a_core_that_is_added_and_removed_at_once_leaves_the_link_alone() -> None:
    writer = Log.open()
    writer.append([BLOCK] * BLOCKS)
    reader, other = reader_of(writer), Core.open(key=bytes(32))
    async with linked(writer, reader) as reading:
        for _ in range(3):
            reading.add(other)
            reading.remove(other)
        writer.append(b"after")
        assert await reader.get(BLOCKS) == b"after"


async def test_a_second_core_of_one_key_is_refused() -> None:
    writer = Log.open()
    async with open_replication() as replication:
        replication.add(writer.core)
        with pytest.raises(LocalProtocolError, match="another Core of the same key"):
            Log.open(key=writer.key, replication=replication)
        writer.close()
        assert Log.open(key=writer.key, replication=replication).length == 0
