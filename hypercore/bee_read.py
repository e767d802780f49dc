"""Reading a Hyperbee at a version: one key, ranges, history, and the difference of two versions; no IO of its own.

All of it works on `BlockCache`, which awaits blocks that are not here. Iterators are async iterators without a state to
clean up, so they may be dropped at any point.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from hypercore.bee import Entry
from hypercore.bee_blocks import DEPTH_MAXIMUM, BeeBlock, BlockCache, Level
from hypercore.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which keys: all above `lower` and below `upper` (None: no bound), the bounds themselves when inclusive."""

    lower: bytes | None = None
    upper: bytes | None = None
    lower_inclusive: bool = True
    upper_inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the history."""

    kind: Literal["put", "delete"]
    entry: Entry


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that differs between two versions; None where it does not exist."""

    new: Entry | None
    old: Entry | None

    @property
    def key(self) -> bytes:
        """The key."""
        entry = self.new or self.old
        assert entry is not None
        return entry.key


async def search(cache: BlockCache, level: Level, key: bytes) -> tuple[int, bool]:
    """The place of a key in a node: its own, or that of the child it would be under."""
    await cache.prepare(level.keys)
    low, high = 0, len(level.keys)
    while low < high:
        middle = (low + high) >> 1
        present = (await cache.block(level.keys[middle])).key
        if key == present:
            return middle, True
        if key < present:
            high = middle
        else:
            low = middle + 1
    return low, False


async def find(cache: BlockCache, version: int, key: bytes) -> Entry | None:
    """What the key holds at a version, or None."""
    place = (version - 1, 0)
    for _ in range(DEPTH_MAXIMUM if version > 1 else 0):
        level = await cache.level(place)
        index, found = await search(cache, level, key)
        if found:
            return entry_of(await cache.block(level.keys[index]))
        if not level.children:
            return None
        place = level.children[index]
    if version > 1:
        raise DecodeError(f"the tree is deeper than {DEPTH_MAXIMUM} levels")
    return None


def entry_of(block: BeeBlock) -> Entry:
    """The entry that a block wrote."""
    return Entry(block.number, block.key, block.value)


@dataclass(slots=True)
class _Frame:
    """A node on the way and a position in it: 2i is child i, 2i+1 is key i."""

    level: Level
    position: int


class Entries(AsyncIterator[Entry]):
    """The entries between bounds in the order of their keys, or against it."""

    def __init__(
        self, cache: BlockCache, version: int, bounds: Bounds, *, reverse: bool = False, limit: int | None = None
    ) -> None:
        self._cache = cache
        self._version = version
        self._reverse = reverse
        self._left = limit
        if reverse:
            self._start, self._start_inclusive = bounds.upper, bounds.upper_inclusive
            self._end, self._end_inclusive = bounds.lower, bounds.lower_inclusive
        else:
            self._start, self._start_inclusive = bounds.lower, bounds.lower_inclusive
            self._end, self._end_inclusive = bounds.upper, bounds.upper_inclusive
        self._stack: list[_Frame] | None = None
        self._last: bytes | None = None

    def __aiter__(self) -> Entries:
        return self

    async def __anext__(self) -> Entry:
        if self._stack is None:
            self._stack = []
            await self._seek()
        while self._stack and self._left != 0:
            frame = self._stack[-1]
            position = frame.position
            if not 0 <= position <= 2 * len(frame.level.keys):
                self._stack.pop()
                continue
            frame.position += -1 if self._reverse else 1
            if position & 1:
                block = await self._cache.block(frame.level.keys[position >> 1])
                if self._beyond(block.key):
                    break
                return self._deliver(block)
            if frame.level.children:
                await self._descend(frame.level.children[position >> 1])
        self._left = 0
        raise StopAsyncIteration

    async def _seek(self) -> None:
        if self._version < 2:
            return
        place = (self._version - 1, 0)
        while True:
            frame = await self._descend(place)
            if self._start is None:
                return
            index, found = await search(self._cache, frame.level, self._start)
            if found:
                skipped = 0 if self._start_inclusive else 1
                frame.position = 2 * index + 1 + (-skipped if self._reverse else skipped)
                return
            frame.position = 2 * index + (-1 if self._reverse else 1)
            if not frame.level.children:
                return
            place = frame.level.children[index]

    async def _descend(self, place: tuple[int, int]) -> _Frame:
        assert self._stack is not None
        if len(self._stack) >= DEPTH_MAXIMUM:
            raise DecodeError(f"the tree is deeper than {DEPTH_MAXIMUM} levels")
        level = await self._cache.level(place)
        await self._cache.prepare([*level.keys, *(number for number, _ in level.children)])
        if level.children and self._left is None:
            await self._prepare_below(level)
        frame = _Frame(level, 2 * len(level.keys) if self._reverse else 0)
        self._stack.append(frame)
        return frame

    async def _prepare_below(self, level: Level) -> None:
        """Fetches the keys of all children together: a round trip for dozens of blocks instead of one for each node."""
        wanted: list[int] = []
        for place in level.children:
            wanted += (await self._cache.level(place)).keys
        await self._cache.prepare(wanted)

    def _beyond(self, key: bytes) -> bool:
        if self._end is None:
            return False
        if key == self._end:
            return not self._end_inclusive
        return key < self._end if self._reverse else key > self._end

    def _deliver(self, block: BeeBlock) -> Entry:
        if self._last is not None and (block.key >= self._last if self._reverse else block.key <= self._last):
            raise DecodeError(f"the keys of the tree are not in order at block {block.number}")
        self._last = block.key
        if self._left is not None:
            self._left -= 1
        return entry_of(block)


class History(AsyncIterator[Change]):
    """The changes [start, end), by the numbers of their blocks."""

    def __init__(self, cache: BlockCache, start: int, end: int, *, reverse: bool = False) -> None:
        numbers = range(max(start, 1), end)
        self._cache = cache
        self._numbers = iter(reversed(numbers) if reverse else numbers)

    def __aiter__(self) -> History:
        return self

    async def __anext__(self) -> Change:
        number = next(self._numbers, None)
        if number is None:
            raise StopAsyncIteration
        block = await self._cache.block(number)
        return Change("delete" if block.is_deletion else "put", entry_of(block))


@dataclass(slots=True)
class _Cursor:
    """A position in one of two trees: the stack of nodes above it."""

    cache: BlockCache
    bounds: Bounds
    stack: list[_Frame] = field(default_factory=list)

    async def open(self, version: int) -> None:
        if version >= 2:
            await self._enter((version - 1, 0))

    async def _enter(self, place: tuple[int, int]) -> None:
        if len(self.stack) >= DEPTH_MAXIMUM:
            raise DecodeError(f"the tree is deeper than {DEPTH_MAXIMUM} levels")
        level = await self.cache.level(place)
        await self.cache.prepare([*level.keys, *(number for number, _ in level.children)])
        frame = _Frame(level, 0 if level.children else 1)
        lower = self.bounds.lower
        if lower is not None:
            index, found = await search(self.cache, level, lower)
            if found and self.bounds.lower_inclusive:
                frame.position = 2 * index + 1
            elif found:
                frame.position = 2 * index + (2 if level.children else 3)
            else:
                frame.position = 2 * index + (0 if level.children else 1)
        self.stack.append(frame)
        self._settle()

    def _settle(self) -> None:
        while self.stack and self.stack[-1].position > 2 * len(self.stack[-1].level.keys):
            self.stack.pop()

    @property
    def is_key(self) -> bool:
        return bool(self.stack[-1].position & 1)

    @property
    def place(self) -> tuple[int, int, int]:
        """What the position stands for: equal places are equal subtrees, or the same key."""
        frame = self.stack[-1]
        if self.is_key:
            return frame.level.keys[frame.position >> 1], -1, 0
        return (*frame.level.children[frame.position >> 1], 1)

    def skip(self) -> None:
        frame = self.stack[-1]
        frame.position += 1 if frame.level.children else 2
        self._settle()

    async def limit(self) -> bytes | None:
        """The key at the position, or the one right of the subtree there; None when nothing is right of it."""
        for frame in reversed(self.stack):
            # Frames below the top have moved on by one, from the child that they were entered through to its key.
            index = frame.position >> 1
            if index < len(frame.level.keys):
                return (await self.cache.block(frame.level.keys[index])).key
        return None

    async def enter(self) -> None:
        frame = self.stack[-1]
        place = frame.level.children[frame.position >> 1]
        frame.position += 1
        await self._enter(place)

    async def take(self) -> Entry:
        frame = self.stack[-1]
        block = await self.cache.block(frame.level.keys[frame.position >> 1])
        self.skip()
        return entry_of(block)


class Differences(AsyncIterator[Difference]):
    """What differs between two versions of one bee, in the order of keys; subtrees that both share are not read."""

    def __init__(self, cache: BlockCache, new: int, old: int, bounds: Bounds, *, limit: int | None = None) -> None:
        self._versions = (new, old)
        self._new, self._old = _Cursor(cache, bounds), _Cursor(cache, bounds)
        self._bounds = bounds
        self._left = limit
        self._open = False

    def __aiter__(self) -> Differences:
        return self

    async def __anext__(self) -> Difference:
        if not self._open:
            self._open = True
            await self._new.open(self._versions[0])
            await self._old.open(self._versions[1])
        while self._left != 0:
            found = await self._step()
            if found is None:
                continue
            if not self._within(found.key):
                break
            if self._left is not None:
                self._left -= 1
            return found
        self._left = 0
        raise StopAsyncIteration

    async def _step(self) -> Difference | None:
        """Moves on by one node or key; a difference when one was met."""
        new, old = self._new, self._old
        if not new.stack and not old.stack:
            self._left = 0
            return None
        if not new.stack or not old.stack:
            alone = new if new.stack else old
            if alone.is_key:
                entry = await alone.take()
                return Difference(entry, None) if alone is new else Difference(None, entry)
            await alone.enter()
            return None
        if new.place == old.place:
            new.skip()
            old.skip()
            return None
        if new.is_key and old.is_key:
            return await self._compare_keys()
        if new.is_key or old.is_key:
            await (old if new.is_key else new).enter()
            return None
        first, second = await new.limit(), await old.limit()
        if first == second:
            await new.enter()
            await old.enter()
        elif second is None or (first is not None and first < second):
            await old.enter()
        else:
            await new.enter()
        return None

    async def _compare_keys(self) -> Difference:
        first, second = await self._new.limit(), await self._old.limit()
        assert first is not None
        assert second is not None
        if first == second:
            return Difference(await self._new.take(), await self._old.take())
        if first < second:
            return Difference(await self._new.take(), None)
        return Difference(None, await self._old.take())

    def _within(self, key: bytes) -> bool:
        upper = self._bounds.upper
        return upper is None or key < upper or (key == upper and self._bounds.upper_inclusive)
