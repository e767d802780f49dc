"""Who runs the write transactions: one at a time, each from beginning to end in one thread, as LMDB wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio


class Writer(Protocol):
    """Runs one job after another; what a job raises reaches the caller."""

    async def run(self, job: Callable[[], None]) -> None:
        """Run the job to its end, even when the caller is cancelled meanwhile."""
        ...


class ThreadWriter:
    """Writes beside the event loop, so that a disk's fsync never delays it."""

    def __init__(self) -> None:
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def run(self, job: Callable[[], None]) -> None:
        """Run the job in a worker thread."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(job, limiter=self._one_at_a_time)


class InlineWriter:
    """Writes on the spot: for tools, and wherever a schedule must be reproducible."""

    async def run(self, job: Callable[[], None]) -> None:
        """Run the job, and let others run afterwards."""
        job()
        await trio.lowlevel.cancel_shielded_checkpoint()
