"""More than two peers: one language passes on what the other wrote, whole or in part, through appends and forks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from hypercore.io.core import Core
from hypercore.io.replication import Replication, ReplicationTimeout, open_replication
from tests.interop.hypercore.test_replication import (
    PATIENCE_SECONDS,
    SCRIPTS,
    content,
    javascript_writer,
    python_writer,
)
from tests.interop.node import Script, run_script

FOLLOWER = SCRIPTS / "follower.mjs"

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


@asynccontextmanager
async def through_javascript(writer: Core, reader: Core) -> AsyncIterator[tuple[Script, Replication]]:
    """A Python writer, a JavaScript peer that dials it, and a Python reader that dials and knows only that peer."""
    async with python_writer(writer) as where, run_script(FOLLOWER, [*where, "--listen"]) as script:
        port = (await script.line())["port"]
        async with open_replication() as replication:
            replication.add(reader)
            await replication.connect("127.0.0.1", port)
            yield script, replication


async def reached(core: Core, fork: int, length: int) -> None:
    """Returns when the core is there."""
    changed = trio.Event()
    unsubscribe = core.subscribe(lambda event: changed.set())
    while (core.fork, core.length) != (fork, length):
        await changed.wait()
        changed = trio.Event()
    unsubscribe()


@pytest.mark.parametrize("compat", [False, True], ids=["manifest", "compat"])
async def test_a_javascript_peer_in_the_middle_passes_on_appends_and_forks(compat: bool) -> None:
    writer = Core.create(compat=compat)
    writer.append(content(50, 300))
    reader = Core.open(key=writer.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with through_javascript(writer, reader) as (script, replication):
            await script.write(download=[0, -1])
            await replication.update(reader, 50)
            await replication.download(reader)
            assert [reader.get(index) for index in range(50)] == content(50, 300)
            async with replication.following(reader):
                writer.append([b"live-50", b"live-51"])
                assert await replication.get(reader, 51) == b"live-51"
                writer.truncate(20)
                writer.append([b"fork-20", b"fork-21"])
                await reached(reader, 1, 22)
                assert await replication.get(reader, 21) == b"fork-21"
                assert await replication.get(reader, 0) == content(50, 300)[0]
            assert reader.tree_hash() == writer.tree_hash()


async def test_a_python_peer_in_the_middle_passes_on_appends_and_forks(tmp_path: Path) -> None:
    blocks = [b"%d" % (index % 3) * 300 for index in range(50)]
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, blocks) as (script, middle, replication):
            where = [middle.key.hex(), f"127.0.0.1:{await replication.listen()}"]
            async with replication.following(middle), run_script(FOLLOWER, where) as far:
                await far.write(get=49)
                assert (await far.line())["block"] == "1" * 300
                await script.write(append=["live-50", "live-51"])
                await script.line()
                await far.write(get=51)
                assert await far.line() == {"index": 51, "block": "live-51", "length": 52, "fork": 0}
                await script.write(truncate=20)
                await script.line()
                await script.write(append=["fork-20", "fork-21"])
                await script.line()
                await far.write(fork=1)
                await far.line()
                await far.write(get=21)
                assert await far.line() == {"index": 21, "block": "fork-21", "length": 22, "fork": 1}


async def test_a_sparse_javascript_peer_gives_what_it_has_and_says_what_it_lacks() -> None:
    writer = Core.create()
    writer.append([b"block-%03d" % index for index in range(300)])
    reader = Core.open(key=writer.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with through_javascript(writer, reader) as (script, replication):
            for index in (3, 7, 250):
                await script.write(get=index)
                assert (await script.line())["block"] == f"block-{index:03d}"
            await script.write(has=300)
            assert await script.line() == {"has": [3, 7, 250]}
            await replication.update(reader, 300)
            for index in (250, 3, 7):
                assert await replication.get(reader, index) == b"block-%03d" % index
            with pytest.raises(ReplicationTimeout):
                await replication.get(reader, 8, timeout_seconds=0.2)
            (peer,) = replication.sessions[0].peers
            assert [index for index in range(300) if peer.blocks.has(index)] == [3, 7, 250]


async def test_javascript_completes_a_log_from_two_sparse_python_peers_that_never_met() -> None:
    writer = Core.create()
    writer.append([b"block-%03d" % index for index in range(100)])
    halves = [Core.open(key=writer.key) for _ in range(2)]
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as one, open_replication() as two:
            async with python_writer(writer) as (_, address):
                host, _, port = address.partition(":")
                for side, (replication, half) in enumerate(zip((one, two), halves, strict=True)):
                    replication.add(half)
                    await replication.connect(host, int(port))
                    await replication.update(half, 100)
                    await replication.download_blocks(half, range(side, 100, 2))
            ports = [f"127.0.0.1:{await replication.listen()}" for replication in (one, two)]
            async with run_script(FOLLOWER, [writer.key.hex(), *ports]) as script:
                await script.write(download=[0, 100])
                assert await script.line() == {"downloaded": [0, 100]}
                await script.write(get=99)
                assert (await script.line())["block"] == "block-099"


async def test_javascript_learns_that_python_cleared_blocks_and_still_gets_the_others() -> None:
    writer = Core.create()
    writer.append([b"block-%d" % index for index in range(10)])
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(FOLLOWER, where) as script:
            await script.write(get=0)
            await script.line()
            writer.clear(4, 6)
            await script.write(download=[0, 4])
            await script.line()
            await script.write(download=[6, 10])
            await script.line()
            await script.write(has=10)
            assert await script.line() == {"has": [0, 1, 2, 3, 6, 7, 8, 9]}
            writer.append(b"mark")
            await script.write(get=10)
            assert (await script.line())["block"] == "mark"
