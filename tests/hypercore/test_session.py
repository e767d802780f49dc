"""Sessions and the replication object over memory streams and loopback TCP."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing

from hypercore.errors import InvalidProof, RemoteProtocolError
from hypercore.io import session as session_module
from hypercore.io.core import Core
from hypercore.io.replication import Replication, ReplicationTimeout, open_replication
from hypercore.io.session import HANDSHAKE_TIMEOUT_SECONDS, KEEP_ALIVE_SECONDS, SEND_TIMEOUT_SECONDS, Session
from hypercore.proof import Proof, ProofRequest
from hypercore.replicate_peer import ReplicationPeer, capability
from hypercore.secret_stream import SecretStream

PATIENCE_SECONDS = 30


def make_writer(blocks: int, size: int = 10) -> Core:
    core = Core.create()
    core.append([index.to_bytes(4, "big") * (size // 4) for index in range(blocks)])
    return core


def watch_portions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each portion that a side which did not dial sends from now on: the bytes it may have, and has."""
    portions: list[tuple[int, int]] = []
    collect = Session._collect

    def watch(self: Session, portion_bytes: int) -> bytes:
        data = collect(self, portion_bytes)
        if not self.is_initiator:
            portions.append((portion_bytes, len(data)))
        return data

    monkeypatch.setattr(Session, "_collect", watch)
    return portions


@asynccontextmanager
async def two_sides() -> AsyncIterator[tuple[Replication, Replication]]:
    async with open_replication() as left, open_replication() as right:
        yield left, right


def link(left: Replication, right: Replication) -> tuple[Session, Session]:
    one, two = trio.testing.memory_stream_pair()
    return left.attach(one, is_initiator=True), right.attach(two, is_initiator=False)


async def test_a_core_is_downloaded_over_tcp_and_live_appends_follow() -> None:
    writer = make_writer(20)
    reader = Core.open(key=writer.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right):
            left.add(writer)
            right.add(reader)
            session = await right.connect("127.0.0.1", await left.listen())
            assert session.remote_public_key == left.key_pair.public_key
            assert await right.update(reader) == 20
            await right.download(reader)
            assert reader.contiguous_length == 20
            async with right.following(reader, 20):
                writer.append([b"live"])
                assert await right.get(reader, 20) == b"live"


async def test_answers_begin_in_small_portions_which_double_until_the_peer_is_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = make_writer(256, 1024)
    reader = Core.open(key=writer.key)
    portions = watch_portions(monkeypatch)
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right):
            left.add(writer)
            right.add(reader)
            link(right, left)
            await right.update(reader)
            await right.download(reader)
    for (before, sent), (portion, _) in itertools.pairwise(portions):
        assert portion == (min(2 * before, session_module.SEND_BYTES) if sent else session_module.FIRST_SEND_BYTES)
    assert all(sent < 1.5 * portion + 2048 for portion, sent in portions)
    assert sum(sent for _, sent in portions) > 256 * 1024


async def test_a_reader_has_its_block_before_all_that_came_with_it_is_worked_off() -> None:
    writer = make_writer(40)
    reader = Core.open(key=writer.key)
    here: list[int] = []
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right):
            left.add(writer)
            right.add(reader)
            link(left, right)
            await right.update(reader)

            async def read(index: int) -> None:
                assert await right.get(reader, index) == writer.get(index)
                here.append(reader.bitfield.count())

            async with trio.open_nursery() as nursery:
                for index in range(40):
                    nursery.start_soon(read, index)
    assert here[0] <= 3 * session_module.FIRST_MESSAGES


async def test_large_blocks_pass_with_a_bounded_amount_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = make_writer(60, 65_536)
    reader = Core.open(key=writer.key)
    portions = watch_portions(monkeypatch)
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right):
            left.add(writer)
            right.add(reader)
            link(right, left)
            await right.update(reader)
            await right.download(reader)
    assert reader.tree_hash() == writer.tree_hash()
    assert [reader.get(index) for index in range(60)] == [writer.get(index) for index in range(60)]
    assert 65_536 < max(sent for _, sent in portions) < session_module.SEND_BYTES + 2 * 65_536


async def test_several_cores_share_one_link_and_late_ones_join() -> None:
    writers = [make_writer(count) for count in (3, 4, 5)]
    readers = [Core.open(key=writer.key) for writer in writers]
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right):
            link(left, right)
            for index, (writer, reader) in enumerate(zip(writers, readers, strict=True)):
                for side, core in ((left, writer), (right, reader)) if index else ((right, reader), (left, writer)):
                    side.add(core)
                await right.update(reader, writer.length)
                await right.download(reader)
    assert [reader.contiguous_length for reader in readers] == [3, 4, 5]


async def test_a_core_is_found_by_its_discovery_key_only_when_asked_for() -> None:
    known, unknown = make_writer(2), make_writer(2)
    asked: list[bytes] = []

    def resolve(discovery_key: bytes) -> Core | None:
        asked.append(discovery_key)
        return known if discovery_key == known.discovery_key else None

    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication(resolve=resolve) as left, open_replication() as right:
            link(left, right)
            refused, served = Core.open(key=unknown.key), Core.open(key=known.key)
            right.add(refused)
            right.add(served)
            assert await right.update(served) == 2
            assert asked == [unknown.discovery_key, known.discovery_key]
            assert refused.length == 0
            left.add(unknown)
            assert await right.update(refused) == 2


async def test_blocks_come_from_several_peers_together() -> None:
    writer = make_writer(300)
    reader = Core.open(key=writer.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right), open_replication() as third:
            middle = Core.open(key=writer.key)
            left.add(writer)
            third.add(middle)
            link(third, left)
            await third.update(middle)
            await third.download(middle, 0, 100)
            right.add(reader)
            link(right, third)
            await right.update(reader)
            await right.download(reader, 0, 100)
            assert reader.contiguous_length == 100
            link(right, left)
            await right.download(reader)
    assert reader.contiguous_length == 300


async def test_removing_a_core_closes_its_channel_but_not_the_link() -> None:
    first, second = make_writer(1), make_writer(1)
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right):
            readers = [Core.open(key=core.key) for core in (first, second)]
            left.add(first)
            left.add(second)
            _, session = link(left, right)
            right.add(readers[0])
            await right.update(readers[0])
            left.remove(first)
            right.add(readers[1])
            await right.update(readers[1])
            assert [peer.core for peer in session.peers] == [readers[1]]


async def test_a_wrong_capability_ends_the_link_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = make_writer(1)
    ended = trio.Event()

    def guess(self: ReplicationPeer) -> bytes:
        return b"\x01" + capability(self.core.discovery_key, self._handshake_hash, self._is_initiator)

    monkeypatch.setattr(ReplicationPeer, "handshake", guess)
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication(on_session_end=lambda session: ended.set()) as left, open_replication() as right:
            left.add(writer)
            right.add(Core.open(key=writer.key))
            one, two = link(left, right)
            await ended.wait()
            await two.ended.wait()
    reasons = [str(session.error) for session in (one, two) if isinstance(session.error, RemoteProtocolError)]
    assert reasons
    assert all("does not know the key" in reason for reason in reasons)


async def test_a_corrupted_block_ends_the_link_and_the_block_comes_from_another_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = make_writer(3)
    reader, liar = Core.open(key=writer.key), Core.open(key=writer.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with two_sides() as (left, right), open_replication() as third:
            left.add(writer)
            third.add(liar)
            link(third, left)
            await third.update(liar)
            await third.download(liar)
            truth = liar.proof

            def lie(request: ProofRequest) -> Proof:
                proof = truth(request)
                return replace(proof, block=replace(proof.block, value=b"forged")) if proof.block else proof

            monkeypatch.setattr(liar, "proof", lie)
            right.add(reader)
            session, _ = link(right, third)
            await right.update(reader)
            async with right.following(reader):
                await session.ended.wait()
            assert isinstance(session.error, InvalidProof)
            assert not any(reader.has(index) for index in range(3))
            link(right, left)
            await right.download(reader)
            assert reader.get(1) == writer.get(1)


async def test_garbage_instead_of_a_handshake_ends_the_link() -> None:
    one, two = trio.testing.memory_stream_pair()
    session = Session(one, is_initiator=False)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_SECONDS):
            nursery.start_soon(two.send_all, b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(RemoteProtocolError, match="handshake frame"):
                await session.run()


async def test_a_peer_that_closes_at_once_is_an_ordinary_end() -> None:
    one, two = trio.testing.memory_stream_pair()
    session = Session(one, is_initiator=False)
    await two.aclose()
    with trio.fail_after(PATIENCE_SECONDS):
        await session.run()
    assert session.error is None
    assert session.ended.is_set()


async def test_a_peer_that_never_shakes_hands_is_left(autojump_clock: trio.testing.MockClock) -> None:
    one, _two = trio.testing.memory_stream_pair()
    session = Session(one, is_initiator=True)
    with pytest.raises(RemoteProtocolError, match="no handshake"):
        await session.run()
    assert trio.current_time() == pytest.approx(HANDSHAKE_TIMEOUT_SECONDS, abs=1)


async def test_an_idle_link_is_kept_alive_and_never_ended(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[float] = []
    keep_alive = SecretStream.keep_alive

    def watch(self: SecretStream) -> bytes:
        sent.append(trio.current_time())
        return keep_alive(self)

    monkeypatch.setattr(SecretStream, "keep_alive", watch)
    one, two = trio.testing.memory_stream_pair()
    sessions = [Session(one, is_initiator=True), Session(two, is_initiator=False)]
    async with trio.open_nursery() as nursery:
        for session in sessions:
            nursery.start_soon(session.run)
        await trio.sleep(1000)
        assert not any(session.ended.is_set() for session in sessions)
        nursery.cancel_scope.cancel()
    assert len(sent) == pytest.approx(2 * 1000 / KEEP_ALIVE_SECONDS, abs=4)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent[::2])]
    assert max(gaps) == pytest.approx(KEEP_ALIVE_SECONDS, abs=0.1)


class Stuck(trio.abc.HalfCloseableStream):
    """Passes `passes` writes on, then takes nothing more."""

    def __init__(self, stream: trio.StapledStream, passes: int) -> None:
        self.stream, self.passes = stream, passes

    async def send_all(self, data: bytes | memoryview) -> None:
        if self.passes == 0:
            await trio.sleep_forever()
        self.passes -= 1
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def test_a_peer_that_takes_no_data_is_left(autojump_clock: trio.testing.MockClock) -> None:
    one, two = trio.testing.memory_stream_pair()
    stuck = Session(Stuck(one, passes=2), is_initiator=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Session(two, is_initiator=False).run)
        with pytest.raises(RemoteProtocolError, match="took no data"):
            await stuck.run()
    assert trio.current_time() >= SEND_TIMEOUT_SECONDS


async def test_waiting_in_vain_says_who_could_have_helped(autojump_clock: trio.testing.MockClock) -> None:
    writer = make_writer(2)
    reader = Core.open(key=writer.key)
    async with two_sides() as (left, right):
        with pytest.raises(ReplicationTimeout, match="0 links, 0 of them have this core"):
            await right.get(reader, 0, timeout_seconds=3)
        left.add(writer)
        link(left, right)
        await right.update(reader)
        with pytest.raises(ReplicationTimeout, match=r"1 links, 1 of them have this core, the longest with 2 blocks"):
            await right.get(reader, 2, timeout_seconds=3)
        with pytest.raises(ReplicationTimeout, match="a log of 3 blocks"):
            await right.update(reader, timeout_seconds=3)
        assert await right.get(reader, 1, timeout_seconds=3) == writer.get(1)
