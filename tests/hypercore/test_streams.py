"""Streams, seeks and heads over real links on the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from hypercore.crypto import KeyPair
from hypercore.errors import BlockNotAvailable, CoreFrozen, HeadUnconfirmed, LocalProtocolError
from hypercore.io.core import Core
from hypercore.io.replication import Replication, ReplicationTimeout, open_replication
from hypercore.io.streams import byte_stream, core_stream

PATIENCE_SECONDS = 20
KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)


def writer_of(blocks: int) -> Core:
    writer = Core.create(key_pair=KEY_PAIR)
    writer.append([b"%d," % index for index in range(blocks)])
    return writer


@asynccontextmanager
async def connected(writer: Core, reader: Core) -> AsyncIterator[Replication]:
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as serving, open_replication() as reading:
            serving.add(writer)
            reading.add(reader)
            await reading.connect("127.0.0.1", await serving.listen())
            if writer.length > reader.length:
                await reading.update(reader, writer.length)
            yield reading


async def test_a_stream_reads_what_a_peer_has_in_order() -> None:
    writer = writer_of(1000)
    reader = Core.open(key=writer.key)
    async with connected(writer, reader) as replication:
        blocks = [block async for block in core_stream(reader, 10, 900, replication=replication)]
    assert blocks == [b"%d," % index for index in range(10, 900)]
    assert not reader.has(9)


async def test_a_live_stream_follows_appends_until_it_is_left() -> None:
    writer = writer_of(2)
    reader = Core.open(key=writer.key)
    async with connected(writer, reader) as replication:
        stream = core_stream(reader, live=True, replication=replication)
        seen = [await anext(stream), await anext(stream)]
        writer.append([b"live"])
        seen.append(await anext(stream))
        await stream.aclose()
        writer.append(b"unwanted")
        await replication.update(reader, 4)
        assert not reader.has(3)
    assert seen == [b"0,", b"1,", b"live"]


async def test_a_stream_without_peers_reads_what_is_here_and_our_own_appends() -> None:
    core = writer_of(3)
    assert [block async for block in core_stream(core)] == [b"0,", b"1,", b"2,"]
    live = core_stream(core, 3, live=True)
    received: list[bytes] = []

    async def read() -> None:
        received.append(await anext(live))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        core.append(b"new")
    await live.aclose()
    assert received == [b"new"]
    core.clear(1, 2)
    with pytest.raises(BlockNotAvailable):
        _ = [block async for block in core_stream(core)]


@pytest.mark.parametrize(("start", "length"), [(0, None), (0, 1), (1, 5), (250, 777), (0, 0), (2000, None)])
async def test_a_byte_stream_gives_exactly_the_bytes_of_its_range(start: int, length: int | None) -> None:
    writer = writer_of(1000)
    everything = b"".join(b"%d," % index for index in range(1000))
    expected = everything[start : None if length is None else start + length]
    assert b"".join([part async for part in byte_stream(writer, start, length)]) == expected
    reader = Core.open(key=writer.key)
    async with connected(writer, reader) as replication:
        parts = [part async for part in byte_stream(reader, start, length, replication=replication)]
    assert b"".join(parts) == expected


async def test_a_byte_range_outside_of_the_log_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        _ = [part async for part in byte_stream(writer_of(3), 0, 1000)]


async def test_a_seek_asks_peers_and_gives_up_in_time() -> None:
    writer = writer_of(1000)
    reader = Core.open(key=writer.key)
    async with connected(writer, reader) as replication:
        assert await replication.seek(reader, 1234) == writer.seek(1234)
        assert await replication.seek(reader, 1234) == reader.seek(1234)
        with pytest.raises(ReplicationTimeout, match="byte 999999"):
            await replication.seek(reader, 999_999, timeout_seconds=0.01)
        with pytest.raises(LocalProtocolError):
            await replication.seek(reader, -1)


async def test_single_blocks_are_downloaded_together() -> None:
    writer = writer_of(100)
    reader = Core.open(key=writer.key)
    async with connected(writer, reader) as replication:
        await replication.download_blocks(reader, [99, 0, 50])
        assert [index for index in range(100) if reader.has(index)] == [0, 50, 99]
        with pytest.raises(ReplicationTimeout, match="1 blocks"):
            await replication.download_blocks(reader, [50, 100], timeout_seconds=0.01)


async def test_a_restored_writer_takes_over_the_longer_log_before_it_appends() -> None:
    ahead = writer_of(5)
    restored = Core.create(key_pair=KEY_PAIR)
    restored.append([b"0,", b"1,"])
    restored._unconfirmed = True
    async with connected(ahead, restored) as replication:
        assert await replication.confirm_head(restored) == 5
        assert restored.append(b"next") == 6


async def test_a_writer_that_no_peer_answers_is_not_confirmed() -> None:
    core = writer_of(2)
    core._unconfirmed = True
    async with open_replication() as replication:
        with pytest.raises(HeadUnconfirmed):
            await replication.confirm_head(core, timeout_seconds=0.01)
    with pytest.raises(HeadUnconfirmed):
        core.append(b"x")


async def test_two_logs_of_one_key_end_replication_on_all_sides() -> None:
    one, other = writer_of(3), writer_of(3)
    one.append(b"here")
    other.append(b"there")
    reader = Core.open(key=one.key)
    async with connected(one, reader) as replication:
        async with open_replication() as elsewhere:
            elsewhere.add(other)
            frozen = trio.Event()
            reader.subscribe(lambda event: frozen.set() if reader.frozen else None)
            await replication.connect("127.0.0.1", await elsewhere.listen())
            other.append(b"a longer log makes the reader ask")
            await frozen.wait()
            while not (one.frozen and other.frozen):
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert not any(session.peers for session in replication.sessions)
        replication.remove(reader)
        with pytest.raises(CoreFrozen):
            replication.add(reader)
