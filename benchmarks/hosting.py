"""How long a file takes to be hosted on `datdot dev`, from publish to proven, and how big the market gets.

    python -m benchmarks.hosting [--file-bytes 5000000]

The file is random bytes, which do not compress: the most work for sealing. Memory as in `benchmarks.dev_market`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Final

import trio

from benchmarks.dev_market import MEMORY_GOAL_MIB
from benchmarks.figures import Figure, progress, show
from benchmarks.process import DevProcess, dev_process

FILE_BYTES: Final = 5_000_000
PLACES: Final = 3
"""Hosters of each contract."""
MOST_SECONDS: Final = 300
GOAL_SECONDS: Final = 60
SETTLE_SECONDS: Final = 10


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
            with trio.fail_after(MOST_SECONDS):
                hosted = await _all_hosted(dev)
                proven = await _all_proven(dev)
                available, _ = await dev.wait_for("available")
            await trio.sleep(SETTLE_SECONDS)
            nursery.cancel_scope.cancel()
            after = dev.memory_mib()
    what = f"{file_bytes / 1e6:g} MB"
    return [
        Figure(f"{what}: publish to all contracts hosted", hosted - begin, "s"),
        Figure(f"{what}: publish to hosted and proven by each hoster", proven - begin, "s", GOAL_SECONDS),
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


def figures(file_bytes: int = FILE_BYTES) -> list[Figure]:
    """Run the benchmark."""
    return trio.run(measure_hosting, file_bytes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file-bytes", type=int, default=FILE_BYTES)
    show(figures(parser.parse_args().file_bytes))
