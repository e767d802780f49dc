"""How many messages a second pass over one link, in frames of their own and in batches, and through the whole gossip.

Run as `python -m benchmarks.gossip [messages]`. Both hosts live in this process, so one core does the work of two.
"""

from __future__ import annotations

import sys
import time
from contextlib import AsyncExitStack

import trio

from benchmarks.figures import Figure, progress, show
from node.net.frames import FrameStream
from node.net.gossip import Outbox
from node.net.host import Host

PROTOCOL = "/benchmark/1"
MESSAGE_BYTES = 200
LOOPBACK = ("127.0.0.1", 0)


class Counter:
    """Counts the frames that arrive and says when there are enough."""

    def __init__(self, messages_per_frame: int, expected: int) -> None:
        self._per_frame = messages_per_frame
        self._missing = expected
        self.done = trio.Event()

    async def __call__(self, stream: FrameStream, peer_id: str) -> None:
        while self._missing > 0:
            await stream.receive()
            self._missing -= self._per_frame
        self.done.set()


async def frames_per_second(frames_per_write: int, messages: int) -> float:
    """Send `messages` frames of 200 bytes, so many in one write, and return how many arrive a second."""
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(Host.start(bytes([1]) * 32, LOOPBACK))
        receiver = await stack.enter_async_context(Host.start(bytes([2]) * 32, LOOPBACK))
        counter = Counter(1, messages)
        receiver.handle(PROTOCOL, counter)
        await sender.connect(receiver.addresses[0])
        stream = await sender.open_stream(receiver.peer_id, PROTOCOL)
        frame = bytes(MESSAGE_BYTES)
        start = time.perf_counter()
        for _ in range(messages // frames_per_write):
            await stream.send_many([frame] * frames_per_write)
        await counter.done.wait()
        return messages / (time.perf_counter() - start)


async def batched_per_second(messages: int) -> float:
    """Queue `messages` items of 200 bytes in an outbox and return how many arrive a second as CBOR batches."""
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(Host.start(bytes([1]) * 32, LOOPBACK))
        receiver = await stack.enter_async_context(Host.start(bytes([2]) * 32, LOOPBACK))
        outbox = Outbox(messages)
        outbox.put(index.to_bytes(MESSAGE_BYTES, "big") for index in range(messages))
        start = time.perf_counter()
        frames = await outbox.take()
        counter = Counter(1, len(frames))
        receiver.handle(PROTOCOL, counter)
        await sender.connect(receiver.addresses[0])
        stream = await sender.open_stream(receiver.peer_id, PROTOCOL)
        await stream.send_many(frames)
        await counter.done.wait()
        return messages / (time.perf_counter() - start)


def figures(messages: int = 20_000) -> list[Figure]:
    """One figure per way of sending."""
    progress("gossip")
    found = []
    for frames_per_write in (1, 20, 200):
        rate = trio.run(frames_per_second, frames_per_write, messages)
        found.append(Figure(f"gossip: {frames_per_write} frames of {MESSAGE_BYTES} B a write", rate, "/s"))
    found.append(Figure("gossip: all queued at once, CBOR batches", trio.run(batched_per_second, messages), "/s"))
    return found


if __name__ == "__main__":
    show(figures(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
