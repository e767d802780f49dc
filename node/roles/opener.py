"""Opening sealed chunks for readers: in worker processes, a few at a time, the last ones opened kept.

Opening takes milliseconds of arithmetic, which consensus and JSON-RPC must not wait for. A reader's request that needs
a chunk stays where it is until the chunk is opened; one whose chunk cannot be opened is told so.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import trio

from node.roles import limits
from node.roles.hoster_store import LaneDamaged, LaneStore, StoredLane
from node.roles.sealer import SealPool, SealWorkerError
from pallets.datdot.sealing import SealingError

log = logging.getLogger(__name__)

BlockKey = tuple[bytes, int]
"""A feed's key and the number of a block."""

Places = Callable[[], Sequence[tuple[StoredLane, int]]]
"""The lanes that hold a block now, each with the block's place in it."""


class OpenedCache:
    """The blocks opened last, at most `max_bytes` of them, or the very last one."""

    def __init__(self, max_bytes: int = limits.OPENED_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._blocks: OrderedDict[BlockKey, bytes] = OrderedDict()

    def __contains__(self, key: BlockKey) -> bool:
        return key in self._blocks

    def get(self, key: BlockKey) -> bytes | None:
        """A block that was opened lately."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: BlockKey, block: bytes) -> None:
        """Keep a block; older ones make room."""
        self._bytes += len(block) - len(self._blocks.pop(key, b""))
        self._blocks[key] = block
        while self._bytes > self._max_bytes and len(self._blocks) > 1:
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= len(oldest)

    def forget(self, feed_key: bytes) -> None:
        """Drop the blocks of a feed."""
        for key in [key for key in self._blocks if key[0] == feed_key]:
            self._bytes -= len(self._blocks.pop(key))


class ChunkOpener:
    """See the module. `run` must be running, or nothing is ever opened."""

    def __init__(self, store: LaneStore, pool: SealPool, cache: OpenedCache | None = None) -> None:
        self._store = store
        self._pool = pool
        self._cache = cache or OpenedCache()
        self._failed: set[BlockKey] = set()
        self._waiting: dict[BlockKey, dict[Callable[[], None], None]] = {}
        self._queue: deque[tuple[BlockKey, Places]] = deque()
        self._queued = trio.Semaphore(0)

    async def run(self) -> None:
        """Open what is asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(limits.OPENINGS_AT_ONCE):
                nursery.start_soon(self._work)

    def prepare(self, key: BlockKey, places: Places, ready: Callable[[], None]) -> bool:
        """True when `take` has an answer now; otherwise `ready` is called once it has."""
        if key in self._cache or key in self._failed:
            return True
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= limits.OPENINGS_WAITING_MAX:
                return True  # and the answer is that it is not to be had
            waiting = self._waiting[key] = {}
            self._queue.append((key, places))
            self._queued.release()
        waiting[ready] = None
        return False

    def take(self, key: BlockKey) -> bytes | None:
        """An opened block; None for one that could not be opened, which is then tried anew."""
        self._failed.discard(key)
        return self._cache.get(key)

    def forget(self, feed_key: bytes) -> None:
        """Drop what is known of a feed."""
        self._cache.forget(feed_key)
        self._failed = {key for key in self._failed if key[0] != feed_key}

    async def _work(self) -> None:
        while True:
            await self._queued.acquire()
            key, places = self._queue.popleft()
            block = await self._open(key, places)
            if block is None:
                self._failed.add(key)
            else:
                self._cache.put(key, block)
            for ready in self._waiting.pop(key):
                ready()

    async def _open(self, key: BlockKey, places: Places) -> bytes | None:
        """The block, from the first lane that still gives it."""
        for lane, place in tuple(places()):
            try:
                sealed = await trio.to_thread.run_sync(self._store.read_sealed, lane, place)
                return await self._pool.open(lane.lane, key[1], sealed)
            except (LaneDamaged, SealingError, SealWorkerError) as error:
                if (lane, place) in places():  # else it was erased meanwhile
                    log.error("block %d cannot be opened from %s: %s", key[1], lane.path.name, error)
        return None
