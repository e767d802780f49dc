"""Reading a core in order, as blocks or as bytes, from here and from peers, also while it grows.

    from hypercore.io.core import Core
    from hypercore.io.streams import byte_stream, core_stream

    core = Core.create()
    core.append([b"one", b"two", b"three"])
    assert [block async for block in core_stream(core, 1)] == [b"two", b"three"]
    assert b"".join([part async for part in byte_stream(core, 2, 5)]) == b"etwot"

`Log.blocks` and `Log.read` are the same for applications: decrypted, and with the log's own replication.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from hypercore.io.core import Core
from hypercore.io.replication import Replication
from hypercore.io.waiting import until

READ_AHEAD_BLOCKS = 256


async def core_stream(
    core: Core,
    start: int = 0,
    end: int | None = None,
    *,
    live: bool = False,
    replication: Replication | None = None,
    timeout_seconds: float | None = None,
) -> AsyncGenerator[bytes, None]:
    """Blocks `start` to `end - 1` in their order; `end` None is the present length, or with `live` never comes.

    With a `replication` missing blocks are fetched, READ_AHEAD_BLOCKS ahead of the reader, so memory stays flat.
    Without one a missing block raises `BlockNotAvailable`, and `live` waits for our own appends. `timeout_seconds`
    bounds the wait for each block that the log has; raises `ReplicationTimeout`.
    """
    if end is None and not live:
        end = core.length
    index = start
    ahead = _ReadAhead(core, replication)
    try:
        while end is None or index < end:
            if index >= core.length:
                await grown(core, index, replication)
            ahead.move_to(index, end)
            if replication is None or core.has(index):
                yield core.get(index)
            else:
                yield await replication.get(core, index, timeout_seconds=timeout_seconds)
            index += 1
    finally:
        ahead.stop()


async def byte_stream(
    core: Core,
    start: int = 0,
    length: int | None = None,
    *,
    replication: Replication | None = None,
    timeout_seconds: float | None = None,
) -> AsyncGenerator[bytes, None]:
    """`length` bytes of the log from byte `start` on (None: to its present end), in pieces of at most one block.

    Raises `LocalProtocolError` when the range leaves the log, otherwise as `core_stream`.
    """
    remaining = core.byte_length - start if length is None else length
    if remaining <= 0:
        return
    if replication is None:
        first, offset = core.seek(start)
        last, inside = core.seek(start + remaining)
    else:
        first, offset = await replication.seek(core, start, timeout_seconds=timeout_seconds)
        last, inside = await replication.seek(core, start + remaining, timeout_seconds=timeout_seconds)
    blocks = core_stream(
        core, first, last + bool(inside), replication=replication, timeout_seconds=timeout_seconds
    )
    try:
        async for piece in pieces(blocks, offset, remaining):
            yield piece
    finally:
        await blocks.aclose()


async def pieces(blocks: AsyncIterator[bytes], offset: int, remaining: int) -> AsyncGenerator[bytes, None]:
    """`remaining` bytes of what blocks hold, from byte `offset` of the first one on."""
    async for block in blocks:
        piece = block[offset : offset + remaining]
        offset = 0
        remaining -= len(piece)
        if piece:
            yield piece


class _ReadAhead:
    """Keeps a window of blocks in front of a reader wanted."""

    def __init__(self, core: Core, replication: Replication | None) -> None:
        self._core = core
        self._replicator = replication.add(core) if replication is not None else None
        self._demand = None if self._replicator is None else self._replicator.want(0, 0)
        self._until = 0

    def move_to(self, index: int, end: int | None) -> None:
        if self._replicator is None or self._demand is None or index < self._until - READ_AHEAD_BLOCKS // 2:
            return
        self._until = index + READ_AHEAD_BLOCKS if end is None else min(end, index + READ_AHEAD_BLOCKS)
        demand = self._replicator.want(index, self._until)
        self._replicator.release(self._demand)
        self._demand = demand

    def stop(self) -> None:
        if self._replicator is not None and self._demand is not None:
            self._replicator.release(self._demand)
            self._demand = None


async def grown(core: Core, index: int, replication: Replication | None) -> None:
    """Returns once the log reaches beyond block `index`, by an append here or at a peer."""
    if replication is not None:
        await replication.update(core, index + 1)
        return
    await until(core, lambda: index < core.length)
