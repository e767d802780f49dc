"""Replication with the unmodified npm package `hypercore` over TCP, in both directions."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from hypercore.errors import InvalidProof, RemoteProtocolError
from hypercore.io.core import Core
from hypercore.io.replication import Replication, open_replication
from hypercore.io.session import Session
from hypercore.proof import Proof, ProofRequest
from hypercore.replicate_peer import ReplicationPeer, capability
from hypercore.requests import Peer
from tests.interop.node import Script, run_script

SCRIPTS = Path(__file__).parent
PATIENCE_SECONDS = 60
BLOCK_BYTES = 65_536

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


def content(blocks: int, size: int) -> list[bytes]:
    """Blocks of patterned bytes; the last one is shorter."""
    pattern = bytes(range(251)) * (size // 251 + 1)
    return [pattern[index % 7 :][: size if index < blocks - 1 else size - 3] for index in range(blocks)]


@asynccontextmanager
async def javascript_writer(
    folder: Path, blocks: list[bytes], *options: str
) -> AsyncIterator[tuple[Script, Core, Replication]]:
    """A JavaScript writer of these blocks, and an empty reader of its core that is connected to it."""
    file = folder / "content"
    file.write_bytes(b"".join(blocks))
    size = str(len(blocks[0])) if blocks else "16"
    async with run_script(SCRIPTS / "writer.mjs", [str(file), "--block-size", size, *options]) as script:
        hello = await script.line()
        assert hello["length"] == len(blocks)
        reader = Core.open(folder / "reader", hello["key"])
        async with open_replication() as replication:
            replication.add(reader)
            await replication.connect(hello["host"], hello["port"])
            yield script, reader, replication
        reader.close()


@asynccontextmanager
async def python_writer(core: Core) -> AsyncIterator[tuple[str, str]]:
    """Serves a core; gives what a script needs to find it."""
    async with open_replication() as replication:
        replication.add(core)
        yield core.key.hex(), f"127.0.0.1:{await replication.listen()}"


@pytest.mark.parametrize("options", [(), ("--compat",)], ids=["manifest", "compat"])
@pytest.mark.parametrize(("count", "size"), [(1, 100), (10, 16), (1000, 16), (64, BLOCK_BYTES)])
async def test_python_reads_what_javascript_wrote(
    tmp_path: Path, count: int, size: int, options: tuple[str, ...]
) -> None:
    blocks = content(count, size)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, blocks, *options) as (_, reader, replication):
            await replication.update(reader, count)
            await replication.download(reader)
            assert [reader.get(index) for index in range(count)] == blocks
            assert (reader.manifest is None) is ("--compat" in options)


@pytest.mark.parametrize("compat", [False, True], ids=["manifest", "compat"])
@pytest.mark.parametrize(("count", "size"), [(1, 100), (10, 16), (1000, 16), (64, BLOCK_BYTES)])
async def test_javascript_reads_what_python_wrote(count: int, size: int, compat: bool) -> None:
    blocks = content(count, size)
    writer = Core.create(compat=compat)
    writer.append(blocks)
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "reader.mjs", where) as script:
            result = await script.line()
    everything = b"".join(blocks)
    assert (result["length"], result["bytes"]) == (count, len(everything))
    assert result["sha256"] == hashlib.sha256(everything).hexdigest()


async def test_javascript_downloads_from_two_python_peers_together(tmp_path: Path) -> None:
    blocks = content(100, 4096)
    writer = Core.create()
    writer.append(blocks)
    copies = [Core.open(key=writer.key) for _ in range(2)]
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as (_, address), open_replication() as one, open_replication() as two:
            host, _, port = address.partition(":")
            for replication, copy, part in ((one, copies[0], (0, 60)), (two, copies[1], (40, 100))):
                replication.add(copy)
                session = await replication.connect(host, int(port))
                await replication.update(copy, 100)
                await replication.download(copy, *part)
                session.stop_replicating(replication.add(copy))
            addresses = ",".join([f"127.0.0.1:{await replication.listen()}" for replication in (one, two)])
            async with run_script(SCRIPTS / "reader.mjs", [writer.key.hex(), addresses]) as script:
                result = await script.line()
    assert result["sha256"] == hashlib.sha256(b"".join(blocks)).hexdigest()


async def test_python_follows_a_javascript_writer_through_appends_and_a_fork(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, content(5, 16)) as (script, reader, replication):
            await replication.update(reader, 5)
            async with replication.following(reader):
                await script.write(append=["live-5", "live-6"])
                assert await script.line() == {"length": 7, "fork": 0}
                assert await replication.get(reader, 6) == b"live-6"
                await script.write(truncate=4)
                assert await script.line() == {"length": 4, "fork": 1}
                await script.write(append=["fork-4", "fork-5"])
                assert await script.line() == {"length": 6, "fork": 1}
                while (reader.fork, reader.length) != (1, 6):
                    await replication.update(reader, reader.length + 1)
                assert await replication.get(reader, 4) == b"fork-4"
                assert reader.get(0) == content(5, 16)[0]


async def test_javascript_follows_a_python_writer_through_appends_and_a_fork() -> None:
    writer = Core.create()
    writer.append([b"block-%d" % index for index in range(5)])
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            await script.write(get=4)
            assert (await script.line())["block"] == "block-4"
            writer.append([b"live-5", b"live-6"])
            await script.write(get=6)
            assert await script.line() == {"index": 6, "block": "live-6", "length": 7, "fork": 0}
            writer.truncate(4)
            await script.write(fork=1)
            assert await script.line() == {"length": 4, "fork": 1}
            writer.append(b"fork-4")
            await script.write(get=4)
            assert await script.line() == {"index": 4, "block": "fork-4", "length": 5, "fork": 1}
            await script.write(get=0)
            assert (await script.line())["block"] == "block-0"


async def test_a_log_that_is_empty_at_first_reaches_javascript_live() -> None:
    writer = Core.create()
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            await script.write(get=0)
            writer.append(b"first")
            assert (await script.line())["block"] == "first"


async def test_a_log_that_is_empty_at_first_reaches_python_live(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, []) as (script, reader, replication):
            await script.write(append=["first"])
            assert await replication.get(reader, 0) == b"first"


async def test_python_gets_single_blocks_out_of_order(tmp_path: Path) -> None:
    blocks = content(1000, 16)
    wanted = (42, 999, 0, 511, 512)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, blocks) as (_, reader, replication):
            for index in wanted:
                assert await replication.get(reader, index) == blocks[index]
            assert [index for index in range(1000) if reader.has(index)] == sorted(wanted)


async def test_javascript_gets_single_blocks_and_seeks_in_a_python_core() -> None:
    writer = Core.create()
    writer.append([b"block-%03d" % index for index in range(1000)])
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            for index in (42, 999, 0):
                await script.write(get=index)
                assert (await script.line())["block"] == f"block-{index:03d}"
            await script.write(seek=4500)
            assert await script.line() == {"seek": [500, 0]}
            await script.write(seek=4507)
            assert await script.line() == {"seek": [500, 7]}


async def test_python_learns_that_javascript_cleared_blocks(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, content(10, 16)) as (script, reader, replication):
            await replication.update(reader, 10)
            await script.write(clear=[4, 6])
            await script.line()
            await replication.download(reader, 0, 4)
            await replication.download(reader, 6, 10)
            await script.write(append=["mark"])
            assert await replication.get(reader, 10) == b"mark"
            (peer,) = replication.sessions[0].peers
            assert [index for index in range(11) if not peer.blocks.has(index)] == [4, 5]


async def test_javascript_may_dial_or_be_dialled() -> None:
    writer = Core.create()
    writer.append([b"one", b"two"])
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPTS / "follower.mjs", [writer.key.hex(), "--listen"]) as script:
            port = (await script.line())["port"]
            async with open_replication() as replication:
                replication.add(writer)
                await replication.connect("127.0.0.1", port)
                await script.write(get=1)
                assert (await script.line())["block"] == "two"


async def test_extension_messages_pass_both_ways() -> None:
    writer = Core.create()
    writer.append(b"one")
    received: list[tuple[str, bytes]] = []
    arrived = trio.Event()

    def on_extension(peer: Peer, name: str, message: bytes) -> None:
        received.append((name, message))
        peer.send_extension(name, b"pong")
        peer.send_extension(name, b"pong again")
        arrived.set()

    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as replication:
            replication.add(writer).on_extension = on_extension
            where = [writer.key.hex(), f"127.0.0.1:{await replication.listen()}"]
            async with run_script(SCRIPTS / "follower.mjs", where) as script:
                await script.write(get=0)
                await script.line()
                await script.write(extension="ping")
                await arrived.wait()
                assert received == [("datdot-test", b"ping")]
                assert await script.line() == {"extension": "pong"}
                assert await script.line() == {"extension": "pong again"}


async def test_javascript_refuses_a_wrong_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Core.create()
    writer.append(b"one")

    def guess(self: ReplicationPeer) -> bytes:
        return b"\x01" + capability(self.core.discovery_key, self._handshake_hash, self._is_initiator)

    monkeypatch.setattr(ReplicationPeer, "handshake", guess)
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            end = await script.line()
    assert end["event"] == "end"
    assert "capability" in end["error"]


async def test_python_refuses_a_wrong_capability_of_javascript(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Core.create()

    class Misnamed(Core):
        """A core that we serve under the discovery key of another one, which is the one JavaScript wants."""

        discovery_key = other.discovery_key

    def please_javascript(self: ReplicationPeer) -> bytes:
        return b"\x01" + capability(other.key, self._handshake_hash, self._is_initiator)

    monkeypatch.setattr(ReplicationPeer, "handshake", please_javascript)
    sessions: list[Session] = []
    ended = trio.Event()
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication(on_session_end=lambda session: (sessions.append(session), ended.set())) as ours:
            ours.add(Misnamed.create())
            where = [other.key.hex(), f"127.0.0.1:{await ours.listen()}"]
            async with run_script(SCRIPTS / "follower.mjs", where):
                await ended.wait()
    assert isinstance(sessions[0].error, RemoteProtocolError)
    assert "does not know the key" in str(sessions[0].error)


async def test_javascript_refuses_a_corrupted_block(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Core.create()
    writer.append([b"one", b"two", b"three"])
    truth = writer.proof

    def lie(request: ProofRequest) -> Proof:
        proof = truth(request)
        return replace(proof, block=replace(proof.block, value=b"forged")) if proof.block else proof

    monkeypatch.setattr(writer, "proof", lie)
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(writer) as where, run_script(SCRIPTS / "follower.mjs", where) as script:
            await script.write(get=1)
            assert await script.line() == {"event": "verification-error", "code": "INVALID_CHECKSUM"}


async def test_python_refuses_a_corrupted_block_of_javascript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = ReplicationPeer.receive

    def damage(self: ReplicationPeer, type: int, body: bytes) -> None:
        position = body.find(b"the content")
        receive(self, type, body if position < 0 else body[:position] + b"The content" + body[position + 11 :])

    monkeypatch.setattr(ReplicationPeer, "receive", damage)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_writer(tmp_path, [b"the content 000"]) as (_, reader, replication):
            (session,) = replication.sessions
            async with replication.following(reader):
                await session.ended.wait()
            assert isinstance(session.error, InvalidProof)
            assert not reader.has(0)
