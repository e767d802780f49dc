"""TCP listeners whose refusal names the address."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hypercore.errors import HypercoreError


class ListenFailed(HypercoreError, OSError):
    """The address cannot be listened on: it is taken, not one of this machine, or none at all."""


async def open_listeners(host: str, port: int) -> Sequence[trio.SocketListener]:
    """Listeners on all addresses of a host name; port 0 takes any free one. Raises `ListenFailed`."""
    try:
        if not 0 <= port <= 65_535:
            raise OSError("a port is 0 to 65535")
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as problem:
        raise ListenFailed(f"cannot listen on {host}:{port}: {problem.strerror or problem}") from problem
