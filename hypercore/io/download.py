"""Blocks that are on their way from peers: something to await, or to cancel.

    from hypercore.io.log import Log
    from hypercore.io.replication import open_replication

    author = Log.open()
    author.append([b"one", b"two", b"three"])
    async with open_replication() as theirs, open_replication() as ours:
        theirs.add(author.core)
        await ours.connect("127.0.0.1", await theirs.listen())
        log = Log.open(key=author.key, replication=ours)
        await log.update()
        ahead = log.download()                  # begins at once
        few = log.download(blocks=[0, 2])
        await few                               # until they are here
        ahead.cancel()
        assert few.done and log.has(0) and log.has(2)

Blocks of several downloads are fetched once, from whichever peers have them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import trio

from hypercore.demand import Demand
from hypercore.errors import HypercoreError
from hypercore.io.core import Core
from hypercore.io.events import CoreEvent, Downloaded
from hypercore.io.replication import Replication, ReplicationTimeout
from hypercore.io.waiting import reason_to_give_up


class DownloadCancelled(HypercoreError):
    """The download that was waited for was cancelled."""


class Download:
    """Blocks that are wanted from peers until they are here or `cancel` is called; made by `Log.download`.

    It goes on whether or not anybody waits. Awaiting it returns once all blocks are here; a wait that is cancelled or
    that times out ends the download. Raises `DownloadCancelled`, `ReplicationTimeout` when no block came for
    `timeout_seconds`, `StoreFull` or `StoreFailed` when a block could not be stored, and `CoreClosed`.
    """

    def __init__(
        self,
        core: Core,
        replication: Replication | None,
        wanted: range | frozenset[int],
        timeout_seconds: float | None,
    ) -> None:
        self._core = core
        self._replication = replication
        self._missing = _RangeMissing(core, wanted) if isinstance(wanted, range) else _SetMissing(core, wanted)
        self._timeout_seconds = timeout_seconds
        self._ended = trio.Event()
        self._scopes: list[trio.CancelScope] = []
        self._release: list[Callable[[], None]] = []
        self._failure: HypercoreError | None = None
        self.cancelled = False
        if self._missing.is_empty():
            self._ended.set()
        elif replication is not None:
            replicator = replication.add(core)
            demand: Demand
            if isinstance(wanted, range):
                demand = replicator.want(wanted.start, wanted.stop)
            else:
                demand = replicator.want_blocks(wanted)
            self._release = [core.subscribe(self._heard), lambda: replicator.release(demand)]

    @property
    def done(self) -> bool:
        """True when all blocks are here."""
        return self._missing.is_empty()

    def cancel(self) -> None:
        """Want the blocks no more; those that came stay. Does nothing once it has ended."""
        if not self._ended.is_set():
            self.cancelled = True
            self._end()

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            self._extend(scope)
            try:
                await self._ended.wait()
            finally:
                self._scopes.remove(scope)
                self.cancel()
        if scope.cancelled_caught:
            raise ReplicationTimeout(
                f"no block came for {self._timeout_seconds:g} s: {self._missing} are missing still"
            )
        if self._failure is not None:
            raise self._failure
        if self.cancelled:
            raise DownloadCancelled(f"the download was cancelled: {self._missing} are missing still")

    def _heard(self, event: CoreEvent) -> None:
        self._failure = self._failure or reason_to_give_up(event)
        if isinstance(event, Downloaded):
            for scope in self._scopes:
                self._extend(scope)
        if self._failure is not None or self._missing.is_empty():
            self._end()

    def _extend(self, scope: trio.CancelScope) -> None:
        if self._timeout_seconds is not None:
            scope.deadline = trio.current_time() + self._timeout_seconds

    def _end(self) -> None:
        for release in self._release:
            release()
        self._release.clear()
        self._ended.set()


class _RangeMissing:
    """What a range lacks; looks at every block once."""

    def __init__(self, core: Core, wanted: range) -> None:
        self._core = core
        self._position = wanted.start
        self._stop = wanted.stop

    def is_empty(self) -> bool:
        if self._position < self._stop:
            self._position = min(self._core.bitfield.first_unset(self._position), self._stop)
        return self._position >= self._stop

    def __str__(self) -> str:
        return f"blocks {self._position} and others before {self._stop}"


class _SetMissing:
    """What a set of blocks lacks."""

    def __init__(self, core: Core, wanted: Iterable[int]) -> None:
        self._core = core
        self._left = {index for index in wanted if not core.has(index)}

    def is_empty(self) -> bool:
        self._left -= {index for index in self._left if self._core.has(index)}
        return not self._left

    def __str__(self) -> str:
        return f"{len(self._left)} blocks"
