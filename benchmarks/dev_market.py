"""How fast and how big `datdot dev` is: start-up, hosting a 5 MB file, memory.

    python -m benchmarks.dev_market [--file-bytes 5000000] [--idle-seconds 30 90 180]

Memory is that of all processes of the market, pages shared between processes counted in proportion (PSS); what grows is
told by the pages of their own (USS).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from benchmarks.client import HttpClient, RpcFailed
from benchmarks.figures import Figure, progress, show
from benchmarks.process import DevProcess, dev_process

FILE_BYTES: Final = 5_000_000
IDLE_SECONDS: Final = (30, 90, 180)
PLACES: Final = 3
"""Hosters of each contract."""
HOSTING_SECONDS_MOST: Final = 300
FIRST_BLOCK_GOAL_SECONDS: Final = 5
READY_GOAL_SECONDS: Final = 15
HOSTING_GOAL_SECONDS: Final = 60
MEMORY_GOAL_MIB: Final = 600
SETTLE_SECONDS: Final = 10
POLL_SECONDS: Final = 0.02


async def first_block_seconds(dev: DevProcess) -> float:
    """Seconds from the command until the port tells of block 1."""
    while True:
        try:
            client = await HttpClient.open(dev.url)
            while int((await client.call("chain_getHeader"))["number"], 16) < 1:  # noqa: ASYNC110 - another process
                await trio.sleep(POLL_SECONDS)
            return dev.seconds()
        except (OSError, RpcFailed):
            await trio.sleep(POLL_SECONDS)


async def measure_idle(idle_seconds: Sequence[int]) -> list[Figure]:
    """Start-up, then the memory of a market in which nothing happens but a block a second."""
    progress("start-up and idle memory")
    async with dev_process() as dev:
        first_block = await first_block_seconds(dev)
        ready, _ = await dev.wait_for("ready")
        figures = [
            Figure("dev: command to first block", first_block, "s", FIRST_BLOCK_GOAL_SECONDS),
            Figure("dev: command to market ready", ready, "s", READY_GOAL_SECONDS),
        ]
        begin = trio.current_time()
        own = []
        for seconds in idle_seconds:
            await trio.sleep_until(begin + seconds)
            own.append(dev.memory_mib("uss"))
            name = f"dev: memory, idle for {seconds} s"
            figures.append(Figure(name, dev.memory_mib(), "MiB", MEMORY_GOAL_MIB))
        growth = f"dev: growth of its own memory, {idle_seconds[0]} s to {idle_seconds[-1]} s"
        return [*figures, Figure(growth, own[-1] - own[0], "MiB")]


async def measure_hosting(file_bytes: int) -> list[Figure]:
    """From the command to publish (the market is ready) until all is hosted and each hoster has proven it."""
    progress(f"hosting {file_bytes:,} bytes")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        path.write_bytes(os.urandom(file_bytes))
        async with dev_process(["--share", str(path)]) as dev, trio.open_nursery() as nursery:
            begin, _ = await dev.wait_for("ready")
            readings: list[float] = []
            nursery.start_soon(_weigh, dev, readings)
            with trio.fail_after(HOSTING_SECONDS_MOST):
                hosted = await _all_hosted(dev)
                proven = await _all_proven(dev)
                available, _ = await dev.wait_for("available")
            await trio.sleep(SETTLE_SECONDS)
            nursery.cancel_scope.cancel()
            after = dev.memory_mib()
    what = f"{file_bytes / 1e6:g} MB"
    return [
        Figure(f"{what}: publish to all contracts hosted", hosted - begin, "s"),
        Figure(f"{what}: publish to hosted and proven by each hoster", proven - begin, "s", HOSTING_GOAL_SECONDS),
        Figure(f"{what}: publish to read back from the hosters", available - begin, "s"),
        Figure("dev: most memory while hosting", max(readings), "MiB", MEMORY_GOAL_MIB),
        Figure("dev: memory after hosting", after, "MiB", MEMORY_GOAL_MIB),
    ]


async def _weigh(dev: DevProcess, readings: list[float]) -> None:
    while True:
        readings.append(dev.memory_mib())
        await trio.sleep(1)


async def _all_hosted(dev: DevProcess) -> float:
    """When the last place of the last contract was hosted."""
    _, plan = await dev.wait_for("plan_published")
    return await dev.wait_until(
        "hosting_started",
        lambda events: len({(event["contract"], event["hoster"]) for event in events}) == PLACES * plan["contracts"],
    )


async def _all_proven(dev: DevProcess) -> float:
    """When the last of the hosters had its first proof confirmed."""
    hosters = {event["hoster"] for _, event in dev.all_of("hosting_started")}
    confirmed = await dev.wait_until(
        "storage_proof_confirmed", lambda events: {event["hoster"] for event in events} >= hosters
    )
    return max(confirmed, max(at for at, _ in dev.all_of("hosting_started")))


def figures(file_bytes: int = FILE_BYTES, idle_seconds: Sequence[int] = IDLE_SECONDS) -> list[Figure]:
    """Run the benchmark."""
    return [*trio.run(measure_idle, idle_seconds), *trio.run(measure_hosting, file_bytes)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file-bytes", type=int, default=FILE_BYTES)
    parser.add_argument("--idle-seconds", type=int, nargs="*", default=IDLE_SECONDS)
    options = parser.parse_args()
    show(figures(options.file_bytes, options.idle_seconds))
