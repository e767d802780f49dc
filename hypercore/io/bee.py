"""Hyperbee: a sorted key-value store in one core, versioned, readable from peers without downloading it whole.

    from hypercore.io.bee import Bee, Entry
    from hypercore.io.corestore import Corestore

    async with Corestore(Path("store")) as store:
        bee = Bee(store.get("contacts"))
        await bee.put(b"ada", b"+44 1")
        async with bee.batch() as batch:                        # one append, all or nothing
            await batch.put(b"bob", b"+44 2")
            await batch.delete(b"ada")
        found = await bee.get("bob")
        assert found == Entry(number=2, key=b"bob", value=b"+44 2")
        async for entry in bee.entries(gte="a", lt="c"):
            print(entry.key, entry.value)
        async for difference in bee.differences(2):             # between version 2 and now
            print(difference.key, difference.new, difference.old)
        friends = bee.sub("friends")                            # keys under a prefix of their own
        await friends.put("carl", b"+44 3")

A bee of somebody else is read in the same way; blocks that are not here come from the peers of `store.replicate()`.
Keys and values are bytes; text is written as UTF-8.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import trio

from hypercore.bee import Batch, Compare, Entry
from hypercore.bee_blocks import BlockCache, Header
from hypercore.bee_read import Bounds, Difference, Differences, Entries, History, find
from hypercore.bee_tree import TREE_BYTES, Tree
from hypercore.errors import HypercoreError, LocalProtocolError
from hypercore.io.events import CoreEvent, Truncated
from hypercore.io.log import Log
from hypercore.io.waiting import reason_to_give_up

SEPARATOR = b"\x00"
Text = bytes | str
T = TypeVar("T")


def _bytes(value: Text) -> bytes:
    return value.encode() if isinstance(value, str) else value


class BeeView:
    """A bee, or its part below a prefix, as of one version. Reading only; needs no closing."""

    def __init__(self, shared: _Shared, version: int | None, prefix: bytes) -> None:
        self._shared = shared
        self._version = version
        self._prefix = prefix

    @property
    def version(self) -> int:
        """The length of the log that this view shows; 1 (or 0) is the empty bee."""
        return self._shared.log.length if self._version is None else self._version

    @property
    def log(self) -> Log:
        """The log below."""
        return self._shared.log

    async def header(self) -> Header:
        """The first block; raises `DecodeError` when the core holds no bee."""
        return Header.decode(await self.log.get(0))

    async def get(self, key: Text) -> Entry | None:
        """What a key holds, or None."""
        found = await find(self._shared.cache, self.version, self._prefix + _bytes(key))
        return None if found is None else self._shown(found)

    def entries(
        self,
        *,
        gt: Text | None = None,
        gte: Text | None = None,
        lt: Text | None = None,
        lte: Text | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Entry]:
        """The entries between bounds in the order of their keys, or against it, at most `limit`."""
        bounds = self._bounds(gt, gte, lt, lte)
        found = Entries(self._shared.cache, self.version, bounds, reverse=reverse, limit=limit)
        return found if not self._prefix else _Shown(found, self._shown)

    async def peek(
        self,
        *,
        gt: Text | None = None,
        gte: Text | None = None,
        lt: Text | None = None,
        lte: Text | None = None,
        reverse: bool = False,
    ) -> Entry | None:
        """The first entry between bounds (the last with `reverse`), or None."""
        return await anext(self.entries(gt=gt, gte=gte, lt=lt, lte=lte, reverse=reverse, limit=1), None)

    def history(self, start: int = 1, end: int | None = None, *, reverse: bool = False) -> History:
        """The changes [start, end) of the whole bee, with full keys; `end` None is this version."""
        return History(
            self._shared.cache, start, self.version if end is None else min(end, self.version), reverse=reverse
        )

    def differences(
        self,
        other: int | BeeView,
        *,
        gt: Text | None = None,
        gte: Text | None = None,
        lt: Text | None = None,
        lte: Text | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Difference]:
        """What differs between this version (`new`) and another one (`old`), in the order of keys."""
        version = other if isinstance(other, int) else other.version
        bounds = self._bounds(gt, gte, lt, lte)
        found = Differences(self._shared.cache, self.version, version, bounds, limit=limit)
        return found if not self._prefix else _Shown(found, self._shown_difference)

    def checkout(self, version: int) -> BeeView:
        """This bee as it was (or will be) when its log had `version` blocks."""
        if version < 0:
            raise LocalProtocolError(f"{version} is not a version")
        return BeeView(self._shared, version, self._prefix)

    def snapshot(self) -> BeeView:
        """This bee as it is now, whatever is written later."""
        return self.checkout(self.version)

    def _bounds(self, gt: Text | None, gte: Text | None, lt: Text | None, lte: Text | None) -> Bounds:
        if (gt is not None and gte is not None) or (lt is not None and lte is not None):
            raise LocalProtocolError("a range has one lower and one upper bound")
        lower, upper = gte if gt is None else gt, lte if lt is None else lt
        end = None if not self._prefix else self._prefix[:-1] + bytes((self._prefix[-1] + 1,))
        return Bounds(
            lower=self._prefix + _bytes(lower) if lower is not None else self._prefix or None,
            upper=self._prefix + _bytes(upper) if upper is not None else end,
            lower_inclusive=gt is None,
            upper_inclusive=lte is not None,
        )

    def _shown(self, entry: Entry) -> Entry:
        return Entry(entry.number, entry.key[len(self._prefix) :], entry.value) if self._prefix else entry

    def _shown_difference(self, found: Difference) -> Difference:
        return Difference(found.new and self._shown(found.new), found.old and self._shown(found.old))


class Bee(BeeView):
    """A bee at its newest version, which writes when the core is ours. It closes `log` with itself.

    `header` is written as block 0 with the first change. Raises nothing on opening: whether a core holds a bee shows
    when it is read.
    """

    def __init__(self, log: Log, *, header: Header | None = None) -> None:
        super().__init__(_Shared(log, header or Header()), None, b"")

    @classmethod
    def _below(cls, shared: _Shared, prefix: bytes) -> Bee:
        bee = cls.__new__(cls)
        BeeView.__init__(bee, shared, None, prefix)
        return bee

    @property
    def key(self) -> bytes:
        """The core's key."""
        return self.log.key

    @property
    def writable(self) -> bool:
        """True when the signing key is here."""
        return self.log.core.writable

    async def put(self, key: Text, value: Text | None, *, compare: Compare | None = None) -> bool:
        """Sets a key; False when it is there and `compare(present, new)` says no. Raises `ReadOnly`."""
        async with self.batch() as batch:
            return await batch.put(key, value, compare=compare)

    async def delete(self, key: Text, *, compare: Callable[[Entry], bool] | None = None) -> bool:
        """Removes a key; False when it is not there or `compare(present)` says no. Raises `ReadOnly`."""
        async with self.batch() as batch:
            return await batch.delete(key, compare=compare)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[BeeBatch]:
        """Several changes as one append at the end of the block of code; an exception drops them all.

        Other writers of this bee wait meanwhile.
        """
        shared = self._shared
        async with shared.lock:
            present = shared.log.length, shared.log.fork
            tree = shared.take_tree()
            batch = Batch(tree, shared.header)
            yield BeeBatch(self, batch)
            blocks = batch.finish()
            if (shared.log.length, shared.log.fork) != present:
                raise LocalProtocolError("the log changed under a batch: write through one Bee only")
            if blocks:
                shared.log.append(blocks)
            shared.tree = tree

    def sub(self, name: Text) -> Bee:
        """The part of the bee under a prefix, with the same methods; keys are shown without it."""
        return Bee._below(self._shared, self._prefix + _bytes(name) + SEPARATOR)

    async def update(self, version: int | None = None, *, timeout_seconds: float | None = None) -> int:
        """Waits for a version, or for the newest of the peers linked by now, and returns the present one."""
        return await self.log.update(version, timeout_seconds=timeout_seconds)

    def watch(
        self, *, gt: Text | None = None, gte: Text | None = None, lt: Text | None = None, lte: Text | None = None
    ) -> AsyncIterator[tuple[BeeView, BeeView]]:
        """Gives (new, old) whenever something between the bounds changed; never ends by itself."""
        return _Watch(self, partial(self.changed_since, gt=gt, gte=gte, lt=lt, lte=lte))

    async def changed_since(
        self,
        version: int,
        *,
        gt: Text | None = None,
        gte: Text | None = None,
        lt: Text | None = None,
        lte: Text | None = None,
    ) -> tuple[BeeView, BeeView]:
        """Waits until something between the bounds differs from `version`; returns the bee now and at that version.

        Raises `CoreClosed`, and as `get`.
        """
        changed = trio.Event()
        failure: HypercoreError | None = None
        oldest = version

        def listen(event: CoreEvent) -> None:
            nonlocal oldest, failure
            failure = failure or reason_to_give_up(event)
            if isinstance(event, Truncated):
                oldest = min(oldest, event.length)
            changed.set()

        stop = self.log.core.subscribe(listen)
        try:
            while failure is None:
                changed = trio.Event()
                new, old = self.snapshot(), self.checkout(min(oldest, self.version))
                if await anext(new.differences(old, gt=gt, gte=gte, lt=lt, lte=lte, limit=1), None) is not None:
                    return new, old
                await changed.wait()
            raise failure
        finally:
            stop()

    def close(self) -> None:
        """Gives the log back."""
        self._shared.stop()
        self.log.close()

    async def __aenter__(self) -> Bee:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class BeeBatch:
    """Changes that are not written yet; `get` sees them."""

    def __init__(self, bee: Bee, batch: Batch) -> None:
        self._bee = bee
        self._batch = batch

    async def get(self, key: Text) -> Entry | None:
        """What a key holds with the changes so far."""
        found = await self._batch.get(self._bee._prefix + _bytes(key))
        return None if found is None else self._bee._shown(found)

    async def put(self, key: Text, value: Text | None, *, compare: Compare | None = None) -> bool:
        """As `Bee.put`."""
        shown = self._bee._shown
        check = None if compare is None else lambda present, new: compare(shown(present), shown(new))
        return await self._batch.put(self._bee._prefix + _bytes(key), None if value is None else _bytes(value), check)

    async def delete(self, key: Text, *, compare: Callable[[Entry], bool] | None = None) -> bool:
        """As `Bee.delete`."""
        shown = self._bee._shown
        check = None if compare is None else lambda present: compare(shown(present))
        return await self._batch.delete(self._bee._prefix + _bytes(key), check)


@dataclass(slots=True)
class _Shared:
    """What a bee, its parts and its views have in common."""

    log: Log
    header: Header
    cache: BlockCache = field(init=False)
    lock: trio.Lock = field(default_factory=trio.Lock)
    tree: Tree | None = None
    stop: Callable[[], None] = field(init=False)

    def __post_init__(self) -> None:
        self.cache = BlockCache(self.log)
        self.stop = self.log.core.subscribe(self._forget)

    def take_tree(self) -> Tree:
        """The newest tree to change; the one that the last batch left, unless that is of another log or large."""
        tree, self.tree = self.tree, None
        if tree is None or tree.length != self.log.length or tree.size > TREE_BYTES:
            return Tree(self.cache, self.log.length)
        return tree

    def _forget(self, event: CoreEvent) -> None:
        if isinstance(event, Truncated):
            self.cache.clear()
            self.tree = None


class _Shown(AsyncIterator[T]):
    """What another iterator gives, with keys as the reader knows them."""

    def __init__(self, inner: AsyncIterator[T], show: Callable[[T], T]) -> None:
        self._inner = inner
        self._show = show

    def __aiter__(self) -> _Shown[T]:
        return self

    async def __anext__(self) -> T:
        return self._show(await anext(self._inner))


class _Watch(AsyncIterator[tuple[BeeView, BeeView]]):
    """Remembers only the version that was shown last."""

    def __init__(self, bee: Bee, wait: Callable[[int], Awaitable[tuple[BeeView, BeeView]]]) -> None:
        self._version = bee.version
        self._wait = wait

    def __aiter__(self) -> _Watch:
        return self

    async def __anext__(self) -> tuple[BeeView, BeeView]:
        new, old = await self._wait(self._version)
        self._version = new.version
        return new, old
