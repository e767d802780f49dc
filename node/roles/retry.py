"""Waiting between attempts, and running duties that the chain asks for until it no longer does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field

import trio

from node.roles import limits

log = logging.getLogger(__name__)

Duty = Callable[[], Awaitable[None]]


def is_ending() -> bool:
    """True when the task is being cancelled: what fails then fails because it, or something beside it, ends."""
    return trio.current_effective_deadline() == float("-inf")


class Backoff:
    """Pauses that double from RETRY_FIRST_SECONDS to RETRY_LARGEST_SECONDS."""

    def __init__(self) -> None:
        self._next_seconds = limits.RETRY_FIRST_SECONDS

    def next_pause(self) -> float:
        """Seconds to wait before the next attempt."""
        pause = self._next_seconds
        self._next_seconds = min(2 * pause, limits.RETRY_LARGEST_SECONDS)
        return pause


class BlockClock:
    """The number of the best block, to be waited for."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self._changed = trio.Event()

    def advance(self, number: int) -> None:
        """A new best block is there."""
        self.number = number
        self._changed.set()
        self._changed = trio.Event()

    async def reached(self, number: int) -> None:
        """Wait for a block of at least this number."""
        while self.number < number:
            await self._changed.wait()


@dataclass
class _Run:
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    backoff: Backoff = field(default_factory=Backoff)
    is_running: bool = False
    is_done: bool = False
    not_before: float = 0.0


class DutyRunner:
    """Keeps one task for each duty that is wanted; a crash is logged and the duty tried again after a pause."""

    def __init__(self, nursery: trio.Nursery, name: str) -> None:
        self._nursery = nursery
        self._name = name
        self._runs: dict[Hashable, _Run] = {}

    @property
    def running(self) -> tuple[Hashable, ...]:
        """The duties that have a task now."""
        return tuple(key for key, run in self._runs.items() if run.is_running)

    def reconcile(self, wanted: Mapping[Hashable, Duty]) -> None:
        """Cancel what is no longer wanted and start what is not running; duties that ended well are not repeated."""
        for key in [key for key in self._runs if key not in wanted]:
            self._runs.pop(key).scope.cancel()
        now = trio.current_time()
        for key, duty in wanted.items():
            run = self._runs.setdefault(key, _Run())
            if not run.is_running and not run.is_done and run.not_before <= now:
                run.is_running, run.scope = True, trio.CancelScope()
                self._nursery.start_soon(self._run, key, run, duty)

    async def _run(self, key: Hashable, run: _Run, duty: Duty) -> None:
        try:
            with run.scope:
                await duty()
                run.is_done = True
        except Exception as error:
            if is_ending():
                return
            pause = run.backoff.next_pause()
            run.not_before = trio.current_time() + pause
            log.warning("%s: %s failed, next attempt in %g s: %s", self._name, key, pause, _sentence(error))
            log.debug("%s: %s failed", self._name, key, exc_info=error)
        finally:
            run.is_running = False


def _sentence(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
