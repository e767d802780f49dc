"""Opening for readers: a few at a time, each chunk once for all who wait, within bounds, and never in silence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing

from node.roles import limits
from node.roles.hoster_store import LaneStore, StoredLane
from node.roles.opener import ChunkOpener, OpenedCache
from node.roles.sealer import SealPool, SealWorkerError
from pallets.datdot.sealing import Lane, SealingError, SealingFault

from .test_hoster_store import ROOMY, keep
from .test_lane_protocol import CORE

KEY = bytes(32)


class Gate:
    """A pool whose jobs end when a test says so, with what it says."""

    def __init__(self) -> None:
        self.jobs: list[int] = []
        self._ends: dict[int, trio.Event] = {}
        self._faults: dict[int, Exception] = {}

    async def open(self, lane: Lane, chunk_index: int, sealed: bytes) -> bytes:
        self.jobs.append(chunk_index)
        end = self._ends[chunk_index] = trio.Event()
        await end.wait()
        if fault := self._faults.pop(chunk_index, None):
            raise fault
        return CORE.get(chunk_index)

    async def end(self, index: int, fault: Exception | None = None) -> None:
        if fault is not None:
            self._faults[index] = fault
        self._ends[index].set()
        await trio.testing.wait_all_tasks_blocked()


class Desk:
    """An opener over one stored lane, and what it told those who wait."""

    def __init__(self, gate: Gate, store: LaneStore, lane: StoredLane, cache: OpenedCache | None) -> None:
        self.gate, self.lane = gate, lane
        self.told: list[str] = []
        self.opener = ChunkOpener(store, cast("SealPool", gate), cache)
        self._readers: dict[str, Any] = {}

    def ask(self, index: int, reader: str = "reader") -> bool:
        ready = self._readers.setdefault(reader, partial(self.told.append, reader))
        return self.opener.prepare((KEY, index), lambda: [(self.lane, 0)], ready)


@asynccontextmanager
async def desk(path: Path, cache: OpenedCache | None = None) -> AsyncIterator[Desk]:
    store = LaneStore.open(path / "lanes", ROOMY)
    async with trio.open_nursery() as nursery:
        made = Desk(Gate(), store, keep(store), cache)
        nursery.start_soon(made.opener.run)
        yield made
        nursery.cancel_scope.cancel()


async def under_way(desk: Desk, count: int) -> None:
    """Until so many jobs have come to the pool, and no more come."""
    while len(desk.gate.jobs) < count:
        await trio.testing.wait_all_tasks_blocked(0.001)
    await trio.testing.wait_all_tasks_blocked(0.001)


async def test_a_chunk_is_opened_once_for_all_who_wait_for_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        assert not one.ask(1, "first")
        assert not one.ask(1, "second")
        assert not one.ask(1, "first")
        assert one.opener.take((KEY, 1)) is None
        await under_way(one, 1)
        await one.gate.end(1)
        assert one.told == ["first", "second"]
        assert one.ask(1)
        assert one.opener.take((KEY, 1)) == CORE.get(1)
        assert one.gate.jobs == [1]


async def test_only_a_few_are_opened_at_once_in_the_order_of_asking(tmp_path: Path) -> None:
    count = limits.OPENINGS_AT_ONCE
    async with desk(tmp_path) as one:
        for index in range(count + 2):
            assert not one.ask(index)
        await under_way(one, count)
        assert sorted(one.gate.jobs) == list(range(count))
        await one.gate.end(0)
        await under_way(one, count + 1)
        assert one.gate.jobs[count:] == [count]


async def test_beyond_the_bound_the_answer_is_no_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPENINGS_WAITING_MAX", 2)
    async with desk(tmp_path) as one:
        assert not one.ask(1)
        assert not one.ask(2)
        assert one.ask(3)
        assert one.opener.take((KEY, 3)) is None
        assert not one.ask(2, "another who waits for the same")
        await under_way(one, 2)
        await one.gate.end(1)
        assert not one.ask(3)


@pytest.mark.parametrize(
    "fault", [SealWorkerError("killed"), SealingError(SealingFault.LENGTH, "cut")], ids=["worker", "chunk"]
)
async def test_what_cannot_be_opened_is_told_and_tried_anew(tmp_path: Path, fault: Exception) -> None:
    async with desk(tmp_path) as one:
        assert not one.ask(1)
        await under_way(one, 1)
        await one.gate.end(1, fault)
        assert one.told == ["reader"]
        assert one.ask(1)
        assert one.opener.take((KEY, 1)) is None
        assert not one.ask(1)
        await under_way(one, 2)
        await one.gate.end(1)
        assert one.ask(1)
        assert one.opener.take((KEY, 1)) == CORE.get(1)


async def test_a_lane_whose_file_is_gone_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with desk(tmp_path) as one:
        one.lane.path.unlink()
        assert not one.ask(1)
        while not one.told:
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert one.ask(1)
        assert one.opener.take((KEY, 1)) is None
        assert "block 1 cannot be opened from" in caplog.text


async def test_a_block_is_there_for_those_who_were_told_however_small_the_cache(tmp_path: Path) -> None:
    async with desk(tmp_path, OpenedCache(0)) as one:
        assert not one.ask(1)
        await under_way(one, 1)
        await one.gate.end(1)
        assert one.opener.take((KEY, 1)) == CORE.get(1)


def test_opened_blocks_are_kept_within_the_bound_and_the_last_used_stay() -> None:
    cache = OpenedCache(max_bytes=20)

    def kept() -> list[int]:
        return [index for index in range(5) if (KEY, index) in cache]

    cache.put((KEY, 0), bytes(10))
    cache.put((KEY, 1), bytes(10))
    assert cache.get((KEY, 0)) == bytes(10)
    cache.put((KEY, 2), bytes(10))
    assert kept() == [0, 2]
    cache.put((KEY, 0), bytes(20))
    assert kept() == [0]
    cache.put((KEY, 3), bytes(21))
    assert kept() == [3]
    cache.put((KEY, 4), bytes(5))
    assert kept() == [4]
    cache.forget(KEY)
    assert cache.get((KEY, 4)) is None
