"""Time, as the chain's driver gets it: wall clock for slots, sleeping for the wait between them."""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """The only source of time of the node's chain code."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        ...

    async def sleep_ms(self, duration_ms: int) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, duration_ms: int) -> None:
        """Wait."""
        await trio.sleep(duration_ms / 1000)


class AdjustableClock(SystemClock):
    """The machine's clock, set ahead: for development chains, whose time may be moved and never goes back.

    It starts no earlier than `not_before_ms`, so that a chain whose time ran ahead goes on where it was.
    """

    def __init__(self, not_before_ms: int = 0) -> None:
        self._offset_ms = max(not_before_ms - super().now_ms(), 0)

    def now_ms(self) -> int:
        """Unix time in milliseconds, as it was set."""
        return super().now_ms() + self._offset_ms

    def travel_to(self, time_ms: int) -> None:
        """It is this time now."""
        self._offset_ms = time_ms - super().now_ms()


class TrioClock:
    """Unix time that runs with trio's own clock, from `start_ms` on: real, or a mock that jumps."""

    def __init__(self, start_ms: int) -> None:
        self._offset_ms = start_ms - round(trio.current_time() * 1000)

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return self._offset_ms + round(trio.current_time() * 1000)

    async def sleep_ms(self, duration_ms: int) -> None:
        """Wait."""
        await trio.sleep(duration_ms / 1000)
