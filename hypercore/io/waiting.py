"""Waiting for something to become true of a core."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hypercore.errors import CoreClosed, HypercoreError
from hypercore.io.core import Core
from hypercore.io.events import Closed, CoreEvent, NotStored


def reason_to_give_up(event: CoreEvent) -> HypercoreError | None:
    """The error after which nothing that is waited for will come, if the event is one."""
    match event:
        case NotStored(error=error):
            return error
        case Closed():
            return CoreClosed("the core was closed meanwhile")
    return None


async def any_of(*events: trio.Event) -> None:
    """Returns once one of the events is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


async def until(core: Core, condition: Callable[[], bool], *, block: int | None = None) -> None:
    """Returns once `condition` holds; with `block`, the arrival of another block is known to change nothing.

    Raises `StoreFull` or `StoreFailed` when what a peer brought meanwhile could not be stored, and `CoreClosed`.
    """
    changed = trio.Event()
    failure: HypercoreError | None = None

    def heard(event: CoreEvent) -> None:
        nonlocal failure
        failure = failure or reason_to_give_up(event)
        changed.set()

    unsubscribe = core.subscribe(heard, block=block)
    try:
        while not condition():
            await changed.wait()
            changed = trio.Event()
            if failure is not None:
                raise failure
    finally:
        unsubscribe()
