"""Ports of development networks: the usual ones when they are free, others chosen by the system."""

import itertools
import secrets
import socket
from collections.abc import Sequence

import trio

from node.config import LOOPBACK, StartRefused
from node.rpc.server import open_port

FIRST_PORT, LAST_PORT = 12_000, 32_000


def free_or_any(wanted: int | None, usual: int) -> int:
    """The wanted port; where none is wanted the usual one if it is free, else 0 (the system chooses)."""
    if wanted is not None:
        return wanted
    return usual if is_free(usual) else 0


def is_free(port: int) -> bool:
    """Whether a TCP port on loopback can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """So many ports that are free now, from below the range that the system gives to outgoing connections.

    A port of that range may be taken by any connection before the process that it is meant for listens on it.
    """
    first = secrets.randbelow(LAST_PORT - FIRST_PORT)
    candidates = (FIRST_PORT + (first + offset) % (LAST_PORT - FIRST_PORT) for offset in range(LAST_PORT - FIRST_PORT))
    ports = list(itertools.islice((port for port in candidates if is_free(port)), count))
    if len(ports) < count:
        raise StartRefused(f"{count} free ports are needed between {FIRST_PORT} and {LAST_PORT}")
    return ports


async def bind_port(port: int, option: str) -> Sequence[trio.SocketListener]:
    """Listeners on a loopback port; raises StartRefused naming the option that chooses another."""
    try:
        return await open_port(LOOPBACK, port)
    except OSError as error:
        raise StartRefused(f"port {port} cannot be opened ({error.strerror}): choose another with {option}") from None
