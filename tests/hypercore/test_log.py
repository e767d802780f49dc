"""Handles of a core: sessions and snapshots, what closing them does, downloads that can be awaited and cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from hypercore.errors import (
    BlockNotAvailable,
    CoreClosed,
    LocalProtocolError,
    ReadOnly,
    SnapshotNotAvailable,
    StoreLocked,
    StoreMissing,
)
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.download import DownloadCancelled
from hypercore.io.events import Appended, CoreEvent
from hypercore.io.log import Log
from hypercore.io.replication import HEAD_SECONDS, Replication, ReplicationTimeout, open_replication
from hypercore.io.session import Session

KEY = bytes(range(32))
PATIENCE_SECONDS = 30
BLOCKS = [b"block %d of some length" % index * (index + 1) for index in range(12)]


@asynccontextmanager
async def copied(author: Log, *, encryption_key: bytes | None = None) -> AsyncIterator[tuple[Log, Replication]]:
    """A reader that is linked to an author and knows the length of the log, and the author's replication."""
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as theirs, open_replication() as ours:
            theirs.add(author.core)
            await ours.connect("127.0.0.1", await theirs.listen())
            log = Log.open(key=author.key, replication=ours, encryption_key=encryption_key)
            await log.update(author.length)
            yield log, theirs
            log.close()


def written(*, encryption_key: bytes | None = None) -> Log:
    log = Log.open(encryption_key=encryption_key)
    log.append(BLOCKS)
    return log


def test_a_log_is_made_kept_and_opened_again(tmp_path: Path) -> None:
    with Log.open(tmp_path / "log") as log:
        log.append(b"kept")
        key = log.key
        log.set_user_data("name", b"mine")
        with pytest.raises(StoreLocked):
            Log.open(tmp_path / "log")
    with Log.open(tmp_path / "log") as log:
        assert (log.key, log.length, log.writable, log.user_data("name")) == (key, 1, True, b"mine")
    with pytest.raises(StoreMissing):
        Log.open(tmp_path / "log", bytes(32))
    with Log.open(tmp_path / "copy", key) as copy:
        assert (copy.key, copy.length, copy.writable) == (key, 0, False)
        with pytest.raises(ReadOnly):
            copy.append(b"no")


def test_the_core_closes_with_its_last_handle() -> None:
    first = Log.open()
    second = first.session()
    view = second.snapshot()
    first.close()
    first.close()
    assert (first.closed, second.closed, first.core.closed) == (True, False, False)
    second.append(b"still open")
    second.close()
    assert not first.core.closed
    view.close()
    assert first.core.closed


@pytest.mark.parametrize(
    "use",
    [
        lambda log: log.append(b"x"),
        lambda log: log.truncate(0),
        lambda log: log.clear(0, 1),
        lambda log: log.session(),
        lambda log: log.snapshot(),
        lambda log: log.download(),
    ],
)
def test_a_closed_handle_does_nothing_and_its_siblings_go_on(use: Callable[[Log], object]) -> None:
    log = Log.open()
    other = log.session()
    log.close()
    with pytest.raises(CoreClosed):
        use(log)
    other.append(b"x")
    other.close()
    with pytest.raises(CoreClosed):
        use(other)


def test_a_core_that_was_open_before_stays_open() -> None:
    core = Core.create()
    log = Log(core)
    log.session().close()
    log.close()
    core.append(b"mine")
    assert core.length == 1


async def test_sessions_and_snapshots_of_a_store_are_its_handles() -> None:
    async with Corestore() as store:
        log = store.get("name")
        session, view = log.session(), log.snapshot()
        log.close()
        session.close()
        assert not log.core.closed
        view.close()
        assert log.core.closed
        assert store.get("name").core is not log.core


async def test_closing_the_last_handle_ends_the_replication_of_its_core() -> None:
    author = written()
    async with copied(author) as (log, theirs):
        (peer,) = theirs.sessions[0].peers
        log.close()
        while peer.is_open:
            await trio.lowlevel.checkpoint()


async def test_update_waits_for_what_peers_that_were_just_linked_have() -> None:
    author = written()
    async with copied(author) as (log, theirs), open_replication() as again:
        theirs.remove(author.core)
        author.append([b"more"] * 5)
        again.add(author.core)
        assert log.replication is not None
        await log.replication.connect("127.0.0.1", await again.listen())
        assert await log.update() == 17


async def test_update_follows_an_author_who_went_back() -> None:
    author = written()
    async with copied(author) as (log, theirs), open_replication() as again:
        theirs.remove(author.core)
        author.truncate(4)
        again.add(author.core)
        assert log.replication is not None
        await log.replication.connect("127.0.0.1", await again.listen())
        assert await log.update() == 4
        assert log.fork == 1


async def test_update_does_not_wait_for_peers_that_do_not_have_the_core(autojump_clock: MockClock) -> None:
    ours_end, their_end = memory_stream_pair()
    async with open_replication() as theirs, open_replication() as ours:
        log = Log.open(replication=ours)
        log.append(b"mine")
        session = ours.attach(ours_end, is_initiator=True)
        theirs.attach(their_end, is_initiator=False)
        await session.established.wait()
        assert await log.update() == 1
        assert trio.current_time() < HEAD_SECONDS


async def test_update_gives_silent_peers_a_bounded_time(autojump_clock: MockClock) -> None:
    ours_end, their_end = memory_stream_pair()
    async with open_replication() as ours:
        log = Log.open(replication=ours)
        log.append(b"mine")
        session = ours.attach(ours_end, is_initiator=True)
        silent = Session(their_end, is_initiator=False)
        silent._answer_open = lambda event: None  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(silent.run)
            await session.established.wait()
            assert await log.update() == 1
            assert trio.current_time() >= HEAD_SECONDS
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("encryption_key", [None, KEY])
async def test_a_snapshot_shows_the_log_as_it_was(encryption_key: bytes | None) -> None:
    log = written(encryption_key=encryption_key)
    with log.snapshot() as view:
        log.truncate(3)
        log.append([b"new"] * 20)
        log.clear(0, 2)
        assert (view.length, view.fork, log.length, log.fork) == (12, 0, 23, 1)
        assert view.byte_length == sum(map(len, BLOCKS))
        assert [block async for block in view.blocks()] == BLOCKS
        assert await view.update() == 12
        assert await log.get(3) == b"new"
        with pytest.raises(SnapshotNotAvailable):
            await view.seek(0)
        with pytest.raises(LocalProtocolError):
            await view.get(12)


async def test_a_snapshot_gets_what_it_lacks_from_peers_until_the_log_goes_back() -> None:
    author = written()
    async with copied(author) as (log, _), log.snapshot() as view:
        assert (view.has(1), view.contiguous_length) == (False, 0)
        assert await view.get(1) == BLOCKS[1]
        assert b"".join([part async for part in view.read(5, 40)]) == b"".join(BLOCKS)[5:45]
        author.truncate(4)
        author.append(b"other")
        while log.fork == 0:
            await trio.lowlevel.checkpoint()
        assert await view.get(2) == BLOCKS[2]
        with pytest.raises(SnapshotNotAvailable):
            await view.get(9)


@pytest.mark.parametrize("encryption_key", [None, KEY])
@pytest.mark.parametrize(("start", "length"), [(0, None), (0, 0), (7, 1), (20, 500), (1_000, None), (1_830, None)])
async def test_any_bytes_of_a_log_are_read_from_peers(
    encryption_key: bytes | None, start: int, length: int | None
) -> None:
    whole = b"".join(BLOCKS)
    expected = whole[start:] if length is None else whole[start : start + length]
    author = written(encryption_key=encryption_key)
    assert b"".join([part async for part in author.read(start, length)]) == expected
    async with copied(author, encryption_key=encryption_key) as (log, _):
        assert b"".join([part async for part in log.read(start, length)]) == expected


async def test_bytes_beyond_the_log_are_refused() -> None:
    with pytest.raises(LocalProtocolError):
        _ = [part async for part in written().read(0, 1 << 20)]


async def test_a_live_iteration_goes_on_with_what_is_appended() -> None:
    author = written(encryption_key=KEY)
    async with copied(author, encryption_key=KEY) as (log, _):
        following, ours = log.blocks(10, live=True), author.blocks(10, live=True)
        for expected in BLOCKS[10:]:
            assert await anext(following) == await anext(ours) == expected
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect, following, b"live")
            nursery.start_soon(_expect, ours, b"live")
            await trio.testing.wait_all_tasks_blocked(0.01)
            author.append(b"live")


async def _expect(blocks: AsyncIterator[bytes], block: bytes) -> None:
    assert await anext(blocks) == block


async def test_a_download_of_a_range_and_one_of_single_blocks() -> None:
    async with copied(written()) as (log, _):
        single = log.download(blocks=[1, 5, 9])
        assert not single.done
        await single
        assert [index for index in range(12) if log.has(index)] == [1, 5, 9]
        await log.download(2, 5)
        assert [index for index in range(12) if log.has(index)] == [1, 2, 3, 4, 5, 9]
        await log.download()
        await log.download()  # nothing is missing
        assert log.contiguous_length == 12
        assert single.done
        assert not single.cancelled


async def test_a_download_goes_on_when_nobody_waits() -> None:
    async with copied(written()) as (log, _):
        download = log.download(0, 6)
        while not download.done:
            await trio.lowlevel.checkpoint()
        await download
        download.cancel()
        assert not download.cancelled


async def test_a_cancelled_download_stops_and_tells_who_waits_for_it() -> None:
    author = written()
    async with copied(author) as (log, _):
        download = log.download(0, 40)  # the log has 12
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_cancelled, download)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert log.contiguous_length == 12
            download.cancel()
        author.append([b"later"] * 4)
        await log.update(16)
        await log.download(blocks=[15])
        assert [index for index in range(16) if log.has(index)] == [*range(12), 15]


async def _expect_cancelled(download: object) -> None:
    with pytest.raises(DownloadCancelled, match="before 40"):
        await download  # type: ignore[misc]


async def test_a_wait_that_is_cancelled_ends_its_download() -> None:
    async with copied(written()) as (log, _):
        download = log.download(0, 40)
        with trio.CancelScope() as scope:
            scope.cancel()
            await download
        assert download.cancelled


async def test_a_download_that_brings_nothing_in_time_says_what_is_missing(autojump_clock: MockClock) -> None:
    async with open_replication() as replication:
        log = Log.open(key=KEY, replication=replication, timeout_seconds=5)
        with pytest.raises(ReplicationTimeout, match="no block came for 5 s: 2 blocks are missing"):
            await log.download(blocks=[3, 8])
        assert trio.current_time() >= 5


async def test_without_a_replication_a_download_is_refused_unless_all_is_here() -> None:
    log = written()
    await log.download()
    log.clear(4, 5)
    with pytest.raises(BlockNotAvailable, match="block 4"):
        log.download()
    with pytest.raises(BlockNotAvailable, match="block 4"):
        log.download(blocks=[4, 5])


def test_every_handle_hears_of_changes_until_it_stops_listening() -> None:
    log = Log.open()
    heard: list[CoreEvent] = []
    stop = log.session().subscribe(heard.append)
    log.append(b"one")
    stop()
    log.append(b"two")
    assert heard == [Appended(1)]


def test_info_of_an_encrypted_log_counts_what_was_written() -> None:
    info = written(encryption_key=KEY).info()
    assert (info.length, info.padding, info.byte_length) == (12, 8, sum(map(len, BLOCKS)))


async def test_a_negative_index_is_refused_and_not_waited_for() -> None:
    author = written()
    async with open_replication() as replication:
        reader = Log.open(key=author.key, replication=replication)
        for log in (author, reader):
            with pytest.raises(LocalProtocolError, match="there is no block -1"):
                await log.get(-1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("encryption_key", [None, KEY])
async def test_a_block_may_be_anything_that_holds_bytes(
    kind: Callable[[bytes], bytes], encryption_key: bytes | None
) -> None:
    log = Log.open(encryption_key=encryption_key)
    assert log.append(kind(b"one")) == 1
    assert log.append([kind(b"two"), kind(b"")]) == 3
    assert [block async for block in log.blocks()] == [b"one", b"two", b""]


@pytest.mark.parametrize("blocks", ["text", ["text"], 5, [5], None, [b"bytes", None], [[b"deeper"]]])
@pytest.mark.parametrize("open_log", [Log.open, Core.create])
def test_what_holds_no_bytes_is_not_appended(blocks: Any, open_log: Callable[[], Log | Core]) -> None:
    log = open_log()
    with pytest.raises(TypeError):
        log.append(blocks)
    assert log.length == 0


async def test_blocks_are_counted_from_0() -> None:
    log = written()
    for refused in (
        lambda: log.clear(-1, 2),
        lambda: log.download(-1, 2),
        lambda: log.download(blocks=[3, -1]),
        lambda: log.truncate(-1),
    ):
        with pytest.raises(LocalProtocolError, match="-1"):
            refused()
    with pytest.raises(LocalProtocolError, match="-1"):
        await log.get(-1)
