"""Telling a chain block by block: whatever the chain does, who applies what is told has the chain, each block once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from node.client.chain import BlockEvents, BlockRef, Retracted
from node.client.errors import BadAnswer, ClientError, HistoryPruned, UnknownBlock
from node.client.replay import BLOCKS_AT_ONCE, replay


@dataclass
class Chain:
    """A chain that is moved by hand; `blocks` is its best chain, block 0 first."""

    blocks: list[BlockEvents] = field(default_factory=lambda: [BlockEvents(0, b"0", b"", ())])
    final: int = 0
    pruned_below: int = 0
    made: int = 0
    reads: list[int] = field(default_factory=list)
    listeners: list[trio.Event] = field(default_factory=list)
    all: dict[bytes, BlockEvents] = field(default_factory=dict)
    meanwhile: tuple[int, Callable[[], None]] | None = None
    """Called once after so many further questions: the chain moves under the reader."""

    def grow(self, count: int = 1) -> None:
        for _ in range(count):
            self.made += 1
            block = BlockEvents(len(self.blocks), f"{self.made}".encode(), self.blocks[-1].hash, ())
            self.blocks.append(block)
            self.all[block.hash] = block
        self.moved()

    def reorganise(self, depth: int, more: int = 1) -> None:
        del self.blocks[max(len(self.blocks) - depth, 1) :]
        self.grow(depth + more)

    async def asked(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.meanwhile is not None:
            left, call = self.meanwhile
            self.meanwhile = (left - 1, call) if left else None
            if not left:
                call()

    def moved(self) -> None:
        for listener in self.listeners:
            listener.set()

    # BlockSource

    def moves(self, finalized: bool) -> Listening:
        return Listening(self)

    async def head(self, *, finalized: bool = False) -> BlockRef:
        await self.asked()
        block = self.blocks[self.final if finalized else -1]
        return BlockRef(block.number, block.hash)

    async def hashes(self, numbers: Sequence[int]) -> list[bytes | None]:
        await self.asked()
        return [self.blocks[number].hash if number < len(self.blocks) else None for number in numbers]

    async def number_of(self, block_hash: bytes) -> int | None:
        await self.asked()
        return self.all[block_hash].number if block_hash in self.all else None

    async def block(self, ref: BlockRef) -> BlockEvents:
        await self.asked()
        if ref.number < self.pruned_below:
            raise HistoryPruned(f"blocks {self.pruned_below} to {len(self.blocks) - 1} are kept")
        self.reads.append(ref.number)
        return self.all.get(ref.hash) or self.blocks[0]


class Listening:
    """What the chain tells one reader."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._event = trio.Event()
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._chain.listeners = [one for one in self._chain.listeners if one is not self._event]
        self._event = trio.Event()
        self._chain.listeners.append(self._event)

    async def aclose(self) -> None:
        self._chain.listeners = [one for one in self._chain.listeners if one is not self._event]


class Reader:
    """Applies what it is told, and checks that each step fits what it has."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.has: list[BlockEvents] = []
        self.retracted = 0

    def take(self, told: BlockEvents | Retracted) -> None:
        if isinstance(told, Retracted):
            assert (told.number, told.hash) == (self.has[-1].number, self.has[-1].hash)
            self.has.pop()
            self.retracted += 1
            return
        assert told.number == self.first + len(self.has)
        assert not self.has or told.parent_hash == self.has[-1].hash
        self.has.append(told)

    async def read(self, events: AsyncGenerator[BlockEvents | Retracted, None]) -> None:
        async with aclosing(events):
            async for told in events:
                self.take(told)


Step = tuple[str, int, int]
STEP = st.one_of(
    st.tuples(st.just("grow"), st.integers(1, 3 * BLOCKS_AT_ONCE), st.just(0)),
    st.tuples(st.just("reorganise"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("reorganise while read"), st.integers(1, 6), st.integers(0, 8)),
)


@settings(max_examples=60)
@given(st.integers(0, 30), st.integers(0, 40), st.lists(STEP, max_size=8))
def test_whoever_applies_what_is_told_has_the_best_chain(first: int, height: int, steps: list[Step]) -> None:
    async def main() -> None:
        chain, reader = Chain(), Reader(first)
        chain.grow(height)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.read, replay(chain, first, False))
            await trio.testing.wait_all_tasks_blocked()
            assert reader.has == chain.blocks[first:]
            for step, size, questions in steps:
                if step == "grow":
                    chain.grow(size)
                elif step == "reorganise":
                    chain.reorganise(size)
                else:
                    chain.meanwhile = (questions, lambda size=size: chain.reorganise(size))
                    chain.grow()
                await trio.testing.wait_all_tasks_blocked()
                assert reader.has == chain.blocks[first:]
            nursery.cancel_scope.cancel()
        assert chain.listeners == []

    trio.run(main)


async def told_of(chain: Chain, start: int | bytes | None, finalized: bool = False) -> Reader:
    """What is told until there is nothing more."""
    reader = Reader(start if isinstance(start, int) else 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read, replay(chain, start, finalized))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return reader


async def test_only_finalized_blocks_are_told_when_they_are_asked_for() -> None:
    chain = Chain()
    chain.grow(9)
    chain.final = 6
    assert [block.number for block in (await told_of(chain, 1, finalized=True)).has] == [1, 2, 3, 4, 5, 6]


async def test_without_a_start_the_next_block_is_the_first() -> None:
    chain, told = Chain(), []
    chain.grow(3)
    async with aclosing(replay(chain, None, False)) as events, trio.open_nursery() as nursery:

        async def read() -> None:
            told.append(await anext(events))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        chain.grow()
    assert [block.number for block in told] == [4]


async def test_a_node_that_is_behind_after_a_restart_has_lost_nothing() -> None:
    chain, reader = Chain(), Reader(0)
    chain.grow(10)
    whole = list(chain.blocks)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read, replay(chain, 0, False))
        await trio.testing.wait_all_tasks_blocked()
        for height in (4, 8, 11):
            chain.blocks = whole[:height]
            chain.moved()
            await trio.testing.wait_all_tasks_blocked()
        chain.grow(2)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert reader.retracted == 0
    assert reader.has == chain.blocks


async def test_a_shorter_chain_in_its_place_is_a_reorganisation() -> None:
    chain, reader = Chain(), Reader(0)
    chain.grow(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read, replay(chain, 0, False))
        await trio.testing.wait_all_tasks_blocked()
        chain.reorganise(5, more=-3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert reader.retracted == 5
    assert reader.has == chain.blocks


async def test_no_block_is_read_twice_without_a_reason() -> None:
    chain = Chain()
    chain.grow(50)
    await told_of(chain, 1)
    assert sorted(chain.reads) == list(range(1, 51))


async def test_a_reorganisation_deeper_than_what_is_remembered_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.replay.MAX_TRAIL_BLOCKS", 4)
    chain, reader = Chain(), Reader(0)
    chain.grow(10)
    with pytest.RaisesGroup(pytest.RaisesExc(BadAnswer, match="further back than 4 blocks")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.read, replay(chain, 0, False))
            await trio.testing.wait_all_tasks_blocked()
            chain.reorganise(8)


@pytest.mark.parametrize(
    ("start", "kind"), [(-1, UnknownBlock), (b"nowhere", UnknownBlock), (3, HistoryPruned), (b"3", HistoryPruned)]
)
async def test_a_start_that_cannot_be_told_is_refused(start: int | bytes, kind: type[ClientError]) -> None:
    chain = Chain(pruned_below=5)
    chain.grow(8)
    async with aclosing(replay(chain, start, False)) as events:
        with pytest.raises(kind):
            await anext(events)
    assert chain.listeners == []


async def test_a_hash_that_was_replaced_is_no_start() -> None:
    chain = Chain()
    chain.grow(5)
    old = chain.blocks[4].hash
    chain.reorganise(3)
    async with aclosing(replay(chain, old, False)) as events:
        with pytest.raises(UnknownBlock, match="not on the node's best chain"):
            await anext(events)
