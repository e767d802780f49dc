"""A TCP proxy on the loopback that holds every byte back for a while, in both directions: a link with a latency."""

from __future__ import annotations

import queue
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

READ_BYTES = 65_536
TRIAL_SLEEPS = 50


@contextmanager
def delayed(port: int, delay_seconds: float) -> Iterator[int]:
    """The port of a proxy in front of a local `port`; a round trip through it takes twice `delay_seconds` longer.

    Threads, not trio: their sleep is exact to a tenth of a millisecond, and that tenth is taken off the delay.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        held_seconds = delay_seconds - _oversleeping_seconds(delay_seconds)
        threading.Thread(target=_accept, args=(server, port, held_seconds), daemon=True).start()
        yield server.getsockname()[1]


def _oversleeping_seconds(delay_seconds: float) -> float:
    """How much longer than asked for a sleep takes."""
    durations = []
    for _ in range(TRIAL_SLEEPS):
        start = time.perf_counter()
        time.sleep(delay_seconds)
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) - delay_seconds


def _accept(server: socket.socket, port: int, delay_seconds: float) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", port))
        for source, target in ((near, far), (far, near)):
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            threading.Thread(target=_take, args=(source, held, delay_seconds), daemon=True).start()
            threading.Thread(target=_give, args=(target, held), daemon=True).start()


def _take(source: socket.socket, held: queue.SimpleQueue[tuple[float, bytes]], delay_seconds: float) -> None:
    data = b"-"
    while data:
        try:
            data = source.recv(READ_BYTES)
        except OSError:
            data = b""
        held.put((time.perf_counter() + delay_seconds, data))


def _give(target: socket.socket, held: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    while True:
        due, data = held.get()
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            if not data:
                target.shutdown(socket.SHUT_RDWR)
                return
            target.sendall(data)
        except OSError:
            return
