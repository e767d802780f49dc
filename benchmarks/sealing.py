"""How long sealing takes on this machine: `python -m benchmarks.sealing`.

Prints the median per operation for 64 KiB chunks of noise and of text, for both key sizes, then the leaf tree, then the
pool: one chunk through a worker, chunks a second over all workers, and the memory of a worker.
"""

import os
import random
import statistics
import time
from collections.abc import Iterator
from functools import partial

import psutil  # type: ignore[import-untyped]
import trio

from benchmarks.figures import Figure, median_seconds, progress, show
from node.roles.sealer import SealKey, SealPool, seal_chunk
from pallets.datdot.sealing import (
    CHUNK_MAX_BYTES,
    LEAF_BYTES,
    SEAL_KEY_BITS,
    Lane,
    LaneTree,
    check_key,
    is_leaked_key,
    open_chunk,
    sealed_length,
    verify_leaf,
)

GENESIS = bytes(32)
NOISE = random.Random(1).randbytes(CHUNK_MAX_BYTES)
LINES = (b"line %d of a log that compresses about as text does\n" % (number * number) for number in range(2_000))
TEXT = b"".join(LINES)[:CHUNK_MAX_BYTES]
CHUNKS_PER_LANE = 10
POOL_CHUNKS = 40


def milliseconds(what: str, seconds: float) -> Figure:
    """A time as a figure."""
    return Figure(f"sealing: {what}", 1_000 * seconds, "ms")


def key_size_figures(bits: int) -> Iterator[Figure]:
    """Keys, sealing and opening for one size of keys."""
    yield milliseconds(f"{bits}: make a key", median_seconds(lambda: SealKey.generate(bits), 9))
    key = SealKey.generate(bits)
    lane = Lane(GENESIS, 1, 0, key.public)
    yield milliseconds(f"{bits}: check a public key", median_seconds(lambda: check_key(key.public, bits), 50))
    exponent = pow(65_537, -1, (key.prime_p - 1) * (key.prime_q - 1))
    yield milliseconds(
        f"{bits}: check a leaked exponent", median_seconds(lambda: is_leaked_key(key.public, exponent), 20)
    )
    for name, chunk in (("noise", NOISE), ("text", TEXT)):
        sealed = seal_chunk(lane, key, 0, chunk)
        yield milliseconds(
            f"{bits}: seal 64 KiB of {name}", median_seconds(partial(seal_chunk, lane, key, 0, chunk), 7)
        )
        yield milliseconds(
            f"{bits}: open it ({len(sealed)} bytes)", median_seconds(partial(open_chunk, lane, 0, sealed), 15)
        )
    first = sealed[: bits // 8]
    yield milliseconds(
        f"{bits}: read a length from a first block", median_seconds(lambda: sealed_length(lane, 0, first), 200)
    )


def tree_figures() -> Iterator[Figure]:
    """The tree over a lane and the check of a leaf."""
    chunks = [random.Random(number).randbytes(66_688) for number in range(CHUNKS_PER_LANE)]
    yield milliseconds("tree of a lane of ten chunks", median_seconds(lambda: LaneTree.of_chunks(1, 0, chunks), 15))
    tree = LaneTree.of_chunks(1, 0, chunks)
    leaf, path = chunks[0][:LEAF_BYTES], tree.path(0)
    seconds = median_seconds(lambda: verify_leaf(tree.root, tree.leaf_count, 1, 0, 0, leaf, path), 500)
    yield milliseconds(f"verify one leaf ({len(leaf) + 32 * len(path)} bytes with its path)", seconds)


async def pool_figures() -> list[Figure]:
    """The worker processes."""
    found = []
    key = SealKey.generate(1_024)
    lane = Lane(GENESIS, 1, 0, key.public)
    workers = os.cpu_count() or 1
    async with SealPool(workers=workers) as pool:
        start = time.perf_counter()
        sealed = await pool.seal(lane, key, 0, b"")
        found.append(milliseconds("pool: first job of a worker, its start included", time.perf_counter() - start))
        durations = []
        for _ in range(200):
            start = time.perf_counter()
            await pool.open(lane, 0, sealed)
            durations.append(time.perf_counter() - start)
        found.append(milliseconds("pool: round trip of the smallest job", statistics.median(durations)))
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(POOL_CHUNKS):
                nursery.start_soon(pool.seal, lane, key, number, NOISE)
        rate = POOL_CHUNKS / (time.perf_counter() - start)
        found.append(Figure(f"sealing: pool of {workers} workers, chunks", rate, "/s"))
        for pid in pool.worker_pids:
            memory = psutil.Process(pid).memory_full_info()
            found.append(Figure("sealing: pool, memory of a worker, its own", memory.uss / (1 << 20), "MiB"))
    return found


def figures() -> list[Figure]:
    """Run the benchmark."""
    progress("sealing")
    found = [figure for bits in SEAL_KEY_BITS for figure in key_size_figures(bits)]
    return [*found, *tree_figures(), *trio.run(pool_figures)]


if __name__ == "__main__":
    show(figures())
