"""How fast `datdot dev` starts and how big it is while nothing happens but a block a second.

    python -m benchmarks.dev_market [--idle-seconds 30 90 180]

Memory is that of all processes of the market, pages shared between processes counted in proportion (PSS); what grows is
told by the pages of their own (USS).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import trio

from benchmarks.client import HttpClient, RpcFailed
from benchmarks.figures import Figure, progress, show
from benchmarks.process import DevProcess, dev_process

IDLE_SECONDS: Final = (30, 90, 180)
FIRST_BLOCK_GOAL_SECONDS: Final = 5
READY_GOAL_SECONDS: Final = 15
MEMORY_GOAL_MIB: Final = 600
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


def figures(idle_seconds: Sequence[int] = IDLE_SECONDS) -> list[Figure]:
    """Run the benchmark."""
    return trio.run(measure_idle, idle_seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle-seconds", type=int, nargs="+", default=IDLE_SECONDS)
    show(figures(parser.parse_args().idle_seconds))
