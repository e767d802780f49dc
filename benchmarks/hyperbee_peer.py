"""Times our Hyperbee as `tests/interop/hypercore/bee_speed.mjs` times npm's, with the same input and output.

    python -m benchmarks.hyperbee_peer FILE

Each append is on the medium before it returns. Prints two more: "unsynced", the singles once more without that, and
"megabytes_of_memory".
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from benchmarks.hypercore_peer import peak_megabytes
from hypercore.io.bee import Bee
from hypercore.io.log import Log


async def rate(count: int, operation: Callable[[], Awaitable[None]]) -> float:
    """What an operation that does something `count` times does a second."""
    start = time.perf_counter()
    await operation()
    return count / (time.perf_counter() - start)


async def put_all(bee: Bee, keys: list[str], size: int) -> None:
    """Write keys in batches."""
    for start in range(0, len(keys), size):
        async with bee.batch() as batch:
            for key in keys[start : start + size]:
                await batch.put(key, "value of " + key)


async def delete_all(bee: Bee, keys: list[str], size: int) -> None:
    """Delete keys in batches."""
    for start in range(0, len(keys), size):
        async with bee.batch() as batch:
            for key in keys[start : start + size]:
                await batch.delete(key)


async def put_each(bee: Bee, keys: list[str]) -> None:
    """Write keys one by one."""
    for key in keys:
        await bee.put(key, "again")


async def get_each(bee: Bee, keys: list[str]) -> None:
    """Read keys one by one."""
    for key in keys:
        if await bee.get(key) is None:
            raise RuntimeError(f"{key} is missing")


async def read_all(bee: Bee, count: int) -> None:
    """Read every entry."""
    found = 0
    async for _ in bee.entries():
        found += 1
    if found != count:
        raise RuntimeError(f"{found} entries")


async def measure(work: dict[str, Any], directory: Path) -> dict[str, float]:
    """Everything, in what it does a second."""
    puts, gets, singles, deletes = (work[name] for name in ("puts", "gets", "singles", "deletes"))
    rates = {}
    async with Bee(Log.open(directory)) as bee:
        rates["puts"] = await rate(len(puts), lambda: put_all(bee, puts, work["batch"]))
    async with Bee(Log.open(directory)) as bee:
        rates["gets"] = await rate(len(gets), lambda: get_each(bee, gets))
    async with Bee(Log.open(directory)) as bee:
        rates["range"] = await rate(len(puts), lambda: read_all(bee, len(puts)))
        rates["singles"] = await rate(len(singles), lambda: put_each(bee, singles))
        rates["deletes"] = await rate(len(deletes), lambda: delete_all(bee, deletes, work["batch"]))
    async with Bee(Log.open(directory, durability="process")) as bee:
        rates["unsynced"] = await rate(len(singles), lambda: put_each(bee, singles))
    return {**rates, "megabytes_of_memory": peak_megabytes()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        work = json.loads(Path(sys.argv[1]).read_text())
        print(json.dumps(trio.run(measure, work, Path(folder) / "core")))
