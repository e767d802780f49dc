"""Running a trio program until it ends or the process is told to stop."""

import resource
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
import trio

from node.exceptions import leaves_of

log = structlog.get_logger("datdot")
Result = TypeVar("Result")


def run_until_stopped(program: Callable[..., Awaitable[Result]], *arguments: Any) -> Result | None:
    """Runs `program(*arguments)`; SIGINT and SIGTERM cancel it, and then the result is None."""

    async def supervise() -> Result | None:
        result: Result | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_signal, nursery.cancel_scope)
            result = await program(*arguments)
            nursery.cancel_scope.cancel()
        return result

    _allow_open_files()
    try:
        return trio.run(supervise, strict_exception_groups=True)
    except BaseExceptionGroup as group:
        # Nested nurseries wrap one error many times over; a person wants to see the error.
        leaves = list(leaves_of(group))
        raise leaves[0] if len(leaves) == 1 else group from None


def _allow_open_files() -> None:
    """Take all file descriptors that are granted: a thousand clients need as many, the usual limit is 1,024."""
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))


async def _cancel_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return
