"""Seeks, forks and conflicts with the unmodified npm package `hypercore` over TCP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from hypercore.io.core import Core
from hypercore.io.streams import byte_stream, core_stream
from hypercore.messages import Data, Message, Request
from hypercore.replicate_peer import ReplicationPeer
from tests.interop.hypercore.test_replication import (
    PATIENCE_SECONDS,
    SCRIPTS,
    content,
    javascript_writer,
    python_writer,
)
from tests.interop.node import run_script

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


async def test_python_seeks_and_reads_bytes_in_a_javascript_core(tmp_path: Path) -> None:
    blocks = content(1000, 16)
    everything = b"".join(blocks)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, blocks) as (_, reader, replication):
            await replication.update(reader, 1000)
            for offset in (0, 1, 4567, 8192, len(everything) - 1):
                assert await replication.seek(reader, offset) == (offset // 16, offset % 16)
            assert await replication.seek(reader, len(everything)) == (1000, 0)
            assert reader.bitfield.count() <= 12
            parts = [part async for part in byte_stream(reader, 5000, 333, replication=replication)]
            assert b"".join(parts) == everything[5000:5333]


async def test_python_streams_a_javascript_core_that_grows(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, content(3, 16)) as (script, reader, replication):
            stream = core_stream(reader, live=True, replication=replication)
            assert [await anext(stream) for _ in range(3)] == content(3, 16)
            await script.write(append=["live"])
            assert await anext(stream) == b"live"
            await stream.aclose()


async def test_python_keeps_what_a_javascript_fork_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []
    take = ReplicationPeer.take

    def noted(self: ReplicationPeer, budget_bytes: int) -> list[object]:
        messages = take(self, budget_bytes)
        asked.extend(message for message in messages if isinstance(message, Request))
        return list(messages)

    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, content(100, 16)) as (script, reader, replication):
            await replication.update(reader, 100)
            await replication.download(reader)
            monkeypatch.setattr(ReplicationPeer, "take", noted)
            await script.write(truncate=71)
            await script.line()
            await script.write(append=[f"new-{index}" for index in range(60)])
            assert await script.line() == {"length": 131, "fork": 1}
            while (reader.fork, reader.length) != (1, 131):
                await replication.update(reader, reader.length + 1)
            assert reader.contiguous_length >= 71
            await replication.download(reader)
            assert [reader.get(index) for index in range(71)] == content(100, 16)[:71]
            assert reader.get(130) == b"new-59"
    assert min(message.proof.block.index for message in asked if message.proof.block) >= 71
    again = Core.open(tmp_path / "reader")
    assert again.length == 131
    again.close()


@pytest.fixture
def upload_begins(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[None]]:
    """Returns after a block was sent from now on."""
    uploaded = trio.Event()
    take = ReplicationPeer.take

    def noted(self: ReplicationPeer, budget_bytes: int) -> list[Message]:
        messages = take(self, budget_bytes)
        if any(isinstance(message, Data) and message.proof.block for message in messages):
            uploaded.set()
        return messages

    async def begins() -> None:
        nonlocal uploaded
        uploaded = trio.Event()
        await uploaded.wait()

    monkeypatch.setattr(ReplicationPeer, "take", noted)
    return begins


async def test_javascript_follows_python_forks_that_happen_while_it_downloads(
    upload_begins: Callable[[], Awaitable[None]],
) -> None:
    writer = Core.create()
    writer.append([b"%0512d" % index for index in range(2000)])
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            await script.write(download=[0, 2000])
            for fork in (1, 2, 3):
                await upload_begins()
                writer.truncate(1000)
                writer.append([b"%d of fork %d" % (index, fork) for index in range(1000)])
            assert await script.line() == {"downloaded": [0, 2000]}
            for index in (0, 999, 1000, 1999):
                await script.write(get=index)
                line = await script.line()
                assert (line["fork"], line["block"].encode()) == (3, writer.get(index))


async def test_javascript_goes_on_with_a_python_peer_that_clears_what_it_downloads(
    upload_begins: Callable[[], Awaitable[None]],
) -> None:
    writer = Core.create()
    writer.append(content(300, 32_768))
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            await script.write(want=[0, 300])
            await upload_begins()
            writer.clear(0, 300)
            writer.append(b"after")
            await script.write(get=300)
            assert (await script.line())["block"] == "after"
