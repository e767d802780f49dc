"""A thousand clients that follow new heads, each on a WebSocket of its own: how late the last one hears, and memory.

python -m benchmarks.subscribers [--subscribers 1000]
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import AsyncExitStack
from typing import Any, Final

import trio

from benchmarks.client import WebSocketClient
from benchmarks.figures import Figure, progress, show
from benchmarks.process import DevProcess, dev_process

SUBSCRIBERS: Final = 1_000
HEADS: Final = 10


class Arrivals:
    """When each head reached the first and the last of the subscribers, seconds; complete when all have it."""

    def __init__(self, subscribers: int) -> None:
        self.spreads: list[float] = []
        self._subscribers = subscribers
        self._seen: dict[str, list[float]] = {}
        self._enough = trio.Event()

    def begin(self) -> None:
        """Everybody has subscribed: heads count from the next one on."""
        self._seen.clear()
        self.spreads.clear()

    def note(self, head: Any) -> None:
        """A subscriber received a head."""
        times = self._seen.setdefault(head["number"], [])
        times.append(trio.current_time())
        if len(times) == self._subscribers:
            self.spreads.append(times[-1] - times[0])
            if len(self.spreads) == HEADS:
                self._enough.set()

    async def wait(self) -> None:
        """Until enough heads have reached everybody."""
        await self._enough.wait()


async def follow(dev: DevProcess, arrivals: Arrivals, subscribers: int, stack: AsyncExitStack) -> None:
    """Connect and subscribe."""
    for _ in range(subscribers):
        client = await stack.enter_async_context(WebSocketClient.open(dev.url, arrivals.note))
        await client.call("chain_subscribeNewHeads")


async def measure(subscribers: int) -> list[Figure]:
    """Everything on a fresh market."""
    progress(f"{subscribers} subscribers to new heads")
    async with dev_process() as dev, AsyncExitStack() as stack:
        await dev.wait_for("ready")
        memory_mib = dev.memory_mib("uss")
        arrivals = Arrivals(subscribers)
        begin = trio.current_time()
        await follow(dev, arrivals, subscribers, stack)
        connected = trio.current_time() - begin
        arrivals.begin()
        processor = dev.processor_seconds()
        begin = trio.current_time()
        await arrivals.wait()
        load = (dev.processor_seconds() - processor) / (trio.current_time() - begin)
        added_mib = dev.memory_mib("uss") - memory_mib
    name = f"rpc: a head reaches the last of {subscribers} subscribers"
    return [
        Figure(f"{name}, median", 1_000 * statistics.median(arrivals.spreads), "ms"),
        Figure("  slowest", 1_000 * max(arrivals.spreads), "ms"),
        Figure("  processor use of the node, 1 s blocks", 100 * load, "%"),
        Figure("  memory for all of them", added_mib, "MiB"),
        Figure("  connecting and subscribing, one after the other", subscribers / connected, "/s"),
    ]


def figures(subscribers: int = SUBSCRIBERS) -> list[Figure]:
    """Run the benchmark."""
    return trio.run(measure, subscribers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    show(figures(parser.parse_args().subscribers))
