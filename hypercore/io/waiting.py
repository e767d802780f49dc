"""Waiting for something to become true of a core."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hypercore.errors import CoreClosed, HypercoreError
from hypercore.io.core import Core
from hypercore.io.events import Closed, CoreEvent, Downloaded, NotStored


def any_event(event: CoreEvent) -> bool:
    """True."""
    return True


def may_bring(index: int, event: CoreEvent) -> bool:
    """False for another block's arrival: many readers may wait at once, and it must not wake them all."""
    return not isinstance(event, Downloaded) or event.index == index


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


async def until(core: Core, condition: Callable[[], bool], wakes: Callable[[CoreEvent], bool] = any_event) -> None:
    """Returns once `condition` holds, which is looked at after each event that `wakes` says yes to.

    Raises `StoreFull` or `StoreFailed` when what a peer brought meanwhile could not be stored, and `CoreClosed`.
    """
    changed = trio.Event()
    failure: HypercoreError | None = None

    def heard(event: CoreEvent) -> None:
        nonlocal failure
        failure = failure or reason_to_give_up(event)
        if failure is not None or wakes(event):
            changed.set()

    unsubscribe = core.subscribe(heard)
    try:
        while not condition():
            await changed.wait()
            changed = trio.Event()
            if failure is not None:
                raise failure
    finally:
        unsubscribe()
