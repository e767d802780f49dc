"""Seeks, forks and conflicts with the unmodified npm package `hypercore` over TCP."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from hypercore.io.core import Core
from hypercore.io.streams import byte_stream, core_stream
from hypercore.messages import Request
from hypercore.replicate_peer import ReplicationPeer
from tests.interop.hypercore.test_replication import PATIENCE_SECONDS, content, javascript_writer

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
