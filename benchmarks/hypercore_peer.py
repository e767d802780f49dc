"""One side of a replication between processes.

    python -m benchmarks.hypercore_peer serve DIR
    python -m benchmarks.hypercore_peer read KEY HOST:PORT DIR
    python -m benchmarks.hypercore_peer sparse KEY HOST:PORT DIR BLOCKS IN_FLIGHT

Each prints one JSON line: {"key", "host", "port", "length"} of the server, which then runs until killed, and
{"milliseconds", "blocks", "megabytes_of_memory"} of the readers, of `sparse` also "processor_milliseconds". Both verify
and store what they read: `read` every block, `sparse` BLOCKS of them in random order, IN_FLIGHT at a time.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import trio

from hypercore.io.core import Core
from hypercore.io.replication import open_replication


def peak_megabytes() -> float:
    """The most memory that this program had; `getrusage` would count what its parent had when it started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def serve(directory: Path) -> None:
    """Serve a core until killed."""
    core = Core.open(directory)
    async with open_replication() as replication:
        replication.add(core)
        port = await replication.listen()
        print(json.dumps({"key": core.key.hex(), "host": "127.0.0.1", "port": port, "length": core.length}), flush=True)
        await trio.sleep_forever()


async def read(key: str, address: str, directory: Path) -> None:
    """Download a whole core, and say how long it took."""
    host, _, port = address.partition(":")
    core = Core.open(directory, key)
    async with open_replication() as replication:
        replication.add(core)
        await replication.connect(host, int(port))
        start = trio.current_time()
        if not core.length:
            await replication.update(core)
        await replication.download(core)
        milliseconds = 1000 * (trio.current_time() - start)
    memory = peak_megabytes()
    core.close()
    print(json.dumps({"milliseconds": milliseconds, "blocks": core.length, "megabytes_of_memory": memory}), flush=True)


async def sparse(key: str, address: str, directory: Path, count: int, in_flight: int) -> None:
    """Read single blocks in random order, and say how long it took."""
    host, _, port = address.partition(":")
    core = Core.open(directory, key)
    async with open_replication() as replication:
        replication.add(core)
        await replication.connect(host, int(port))
        if not core.length:
            await replication.update(core)
        wanted = random.sample(range(core.length), min(count, core.length))
        start, used = trio.current_time(), time.process_time()

        async def reader() -> None:
            while wanted:
                await replication.get(core, wanted.pop())

        async with trio.open_nursery() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(reader)
        answer = {
            "milliseconds": 1000 * (trio.current_time() - start),
            "processor_milliseconds": 1000 * (time.process_time() - used),
            "blocks": count,
            "megabytes_of_memory": peak_megabytes(),
        }
    core.close()
    print(json.dumps(answer))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", directory]:
            trio.run(serve, Path(directory))
        case ["read", key, address, directory]:
            trio.run(read, key, address, Path(directory))
        case ["sparse", key, address, directory, count, in_flight]:
            trio.run(sparse, key, address, Path(directory), int(count), int(in_flight))
        case _:
            sys.exit(__doc__)
