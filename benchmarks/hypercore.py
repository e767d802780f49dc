"""Hypercore against npm `hypercore`, side by side in one run: `python -m benchmarks.hypercore [--quick]`.

Append (ours with fdatasync before it returns, and without; JavaScript never syncs) and replication between processes
over loopback TCP, reading single blocks over a link with a latency, in interleaved rounds of which the median counts;
then opening a core of a million blocks.
A goal of 1 is as fast as JavaScript in the same run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
from nacl import bindings as sodium

from benchmarks.delay import delayed
from benchmarks.figures import Figure, median_seconds, progress, show
from hypercore import flat_tree
from hypercore.crypto import leaf_hash
from hypercore.io.core import Core
from hypercore.io.store import Durability
from hypercore.proof import BlockRequest, ProofRequest
from tests.interop.node import find_node

SCRIPTS = Path(__file__).resolve().parents[1] / "tests" / "interop" / "hypercore"
ROUNDS = 3
# bytes a block, blocks a batch, batches, least ratio to JavaScript with and without sync
APPENDS = (
    (1024, 1, 1000, 1.0, 2.0),
    (1024, 64, 200, 1.0, 2.0),
    (65_536, 1, 300, 0.75, 1.0),
    (65_536, 16, 40, 0.75, 1.0),
)
# bytes a block, blocks, least ratios to JavaScript of Python to Python and of the mixed pairs
REPLICATIONS = ((65_536, 4096, 1.5, 1.0), (1024, 16_384, 1.0, 1.0))
LATENCY_SECONDS = 0.010
# blocks under way at a time, blocks read in all
SPARSE_READS = ((1, 200), (16, 3000), (48, 6000))
# least share of blocks under way / latency
SPARSE_GOAL = 0.8
MILLION_BLOCKS = 1_000_000
BATCH_BLOCKS = 50_000


def python_append(size: int, batch: int, batches: int, durability: Durability) -> float:
    """Blocks a second."""
    with tempfile.TemporaryDirectory() as folder:
        core = Core.create(Path(folder) / "core", durability=durability)
        blocks = [os.urandom(size) for _ in range(batch)]
        core.append(blocks)
        start = time.perf_counter()
        for _ in range(batches):
            core.append(blocks)
        seconds = time.perf_counter() - start
        core.close()
        return batch * batches / seconds


def javascript_append(size: int, batch: int, batches: int) -> float:
    """Blocks a second."""
    command = [str(find_node()), str(SCRIPTS / "append.mjs"), str(size), str(batch), str(batches)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return float(answer["blocks_per_second"])


def append_figures(rounds: int) -> Iterator[Figure]:
    """Appending, in blocks a second, as ratios to JavaScript."""
    for size, batch, batches, synced_goal, unsynced_goal in APPENDS:
        name = f"append {size // 1024} KiB × {batch}"
        progress(name)
        runs = [
            (
                javascript_append(size, batch, batches),
                python_append(size, batch, batches, "fsync"),
                python_append(size, batch, batches, "process"),
            )
            for _ in range(rounds)
        ]
        javascript, synced, unsynced = (statistics.median(values) for values in zip(*runs, strict=True))
        yield Figure(f"{name}: JavaScript, no sync", javascript, "blocks/s")
        yield Figure(f"{name}: Python, fdatasync", synced, "blocks/s", synced_goal * javascript, True)
        yield Figure(f"{name}: Python, no sync", unsynced, "blocks/s", unsynced_goal * javascript, True)


@contextmanager
def serving(language: str, folder: Path, size: int) -> Iterator[dict[str, Any]]:
    """A writer process of a language."""
    if language == "py":
        command = [sys.executable, "-m", "benchmarks.hypercore_peer", "serve", str(folder / "core")]
    else:
        script = str(SCRIPTS / "writer.mjs")
        command = [str(find_node()), script, str(folder / "content"), "--block-size", str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline()) | {"pid": process.pid}
        finally:
            process.terminate()


def read_once(language: str, server: dict[str, Any]) -> dict[str, Any]:
    """Download everything with a reader process of a language."""
    address = f"{server['host']}:{server['port']}"
    with tempfile.TemporaryDirectory() as folder:
        if language == "py":
            command = [sys.executable, "-m", "benchmarks.hypercore_peer", "read", server["key"], address, folder]
        else:
            script = str(SCRIPTS / "reader.mjs")
            command = [str(find_node()), script, server["key"], address, "--length", str(server["length"])]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(answer))


def make_core(folder: Path, size: int, count: int) -> None:
    """A file of random bytes, `content`, and a Python core of its blocks, `core`."""
    with (folder / "content").open("wb") as content:
        for _ in range(count):
            content.write(os.urandom(size))
    core = Core.create(folder / "core", durability="process")
    with (folder / "content").open("rb") as source:
        while batch := [block for _ in range(64) if (block := source.read(size))]:
            core.append(batch)
    core.close()


def replication_figures(rounds: int, share: int) -> Iterator[Figure]:
    """Replicating between processes, in megabytes a second, as ratios to JavaScript."""
    pairs = (("js", "js"), ("py", "py"), ("js", "py"), ("py", "js"))
    for size, count, own_goal, mixed_goal in REPLICATIONS:
        count //= share
        speeds: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
        memory = 0.0
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_core(folder, size, count)
            for _ in range(rounds):
                for writer, reader in pairs:
                    progress(f"replicate {count} × {size // 1024} KiB, {writer} to {reader}")
                    with serving(writer, folder, size) as server:
                        answer = read_once(reader, server)
                    speeds[writer, reader].append(size * count / 1000 / float(answer["milliseconds"]))
                    memory = max(memory, float(answer.get("megabytes_of_memory", 0)))
        medians = {pair: statistics.median(values) for pair, values in speeds.items()}
        base = medians["js", "js"]
        for pair, value in medians.items():
            goal = None if pair == ("js", "js") else (own_goal if pair == ("py", "py") else mixed_goal) * base
            yield Figure(f"replicate {size // 1024} KiB: {pair[0]} to {pair[1]}", value, "MB/s", goal, True)
        yield Figure(f"replicate {size // 1024} KiB: memory of the Python reader", memory, "MiB", 100)


def sparse_figures(rounds: int, share: int) -> Iterator[Figure]:
    """Random single blocks of 1 KiB over a link whose round trip takes LATENCY_SECONDS, in blocks a second.

    The bound is what an infinitely fast pair would reach: blocks under way / latency. The link is a third program on
    the machine, so where there are two cores only, all three share them.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_core(folder, 1024, 16_384)
        for in_flight, count in SPARSE_READS:
            runs: dict[str, list[SparseRun]] = {"js": [], "py": []}
            for _ in range(rounds):
                for language, done in runs.items():
                    progress(f"sparse reads, {in_flight} at a time, {language} to {language}")
                    done.append(read_sparsely(language, folder, count // share, in_flight))
            for language, done in runs.items():
                speed, reader, server = (statistics.median(values) for values in zip(*done, strict=True))
                title = f"sparse reads over 10 ms, {in_flight} at a time: {language} to {language}"
                goal = SPARSE_GOAL * in_flight / LATENCY_SECONDS if language == "py" else None
                yield Figure(title, speed, "blocks/s", goal, goal is not None)
                yield Figure(f"{title}, processor time of the reader", reader, "µs/block")
                yield Figure(f"{title}, processor time of the server", server, "µs/block")


class SparseRun(NamedTuple):
    """What a run showed: blocks a second, and microseconds of processor time a block."""

    blocks_per_second: float
    reader_microseconds: float
    server_microseconds: float


def read_sparsely(language: str, folder: Path, count: int, in_flight: int) -> SparseRun:
    """Read random blocks over a slow link, both sides in processes of one language."""
    with (
        tempfile.TemporaryDirectory() as copy,
        serving(language, folder, 1024) as server,
        delayed(server["port"], LATENCY_SECONDS / 2) as port,
    ):
        arguments = [server["key"], f"127.0.0.1:{port}"]
        if language == "py":
            command = [sys.executable, "-m", "benchmarks.hypercore_peer", "sparse", *arguments, copy]
        else:
            command = [str(find_node()), str(SCRIPTS / "sparse.mjs"), *arguments]
        before = processor_seconds(server["pid"])
        output = subprocess.run([*command, str(count), str(in_flight)], check=True, capture_output=True, text=True)
        used = processor_seconds(server["pid"]) - before
    answer = json.loads(output.stdout)
    blocks = answer["blocks"]
    speed = 1000 * blocks / answer["milliseconds"]
    return SparseRun(speed, 1000 * answer["processor_milliseconds"] / blocks, 1_000_000 * used / blocks)


def processor_seconds(pid: int) -> float:
    """Processor time that a process used so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def bound_figures() -> Iterator[Figure]:
    """What one core decrypts and hashes when it does nothing else: no reader of these blocks can be faster."""
    for size, *_ in REPLICATIONS:
        push, pull = (sodium.crypto_secretstream_xchacha20poly1305_state() for _ in range(2))
        header = sodium.crypto_secretstream_xchacha20poly1305_init_push(push, bytes(32))
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(pull, header, bytes(32))
        count = 65_536 // size
        portion = b"".join(os.urandom(size) for _ in range(count))
        messages = iter([sodium.crypto_secretstream_xchacha20poly1305_push(push, portion) for _ in range(300)])

        def take(count: int, size: int, messages: Iterator[bytes], pull: object) -> None:
            plaintext, _ = sodium.crypto_secretstream_xchacha20poly1305_pull(pull, next(messages))
            for start in range(0, count * size, size):
                leaf_hash(plaintext[start : start + size])

        seconds = median_seconds(partial(take, count, size, messages, pull), 300)
        yield Figure(f"replicate {size // 1024} KiB: bound of a core (decrypt, hash)", 0.065536 / seconds, "MB/s")


def million_figures(count: int) -> Iterator[Figure]:
    """Opening a core of a million blocks, and a proof from it."""
    with tempfile.TemporaryDirectory() as folder:
        progress(f"make a core of {count} blocks")
        core = Core.create(Path(folder), durability="process")
        for start in range(0, count, BATCH_BLOCKS):
            core.append([b"%d" % index for index in range(start, start + BATCH_BLOCKS)])
        core.close()
        opening = median_seconds(lambda: Core.open(Path(folder)).close(), 9)
        core = Core.open(Path(folder))
        root = core.roots()[0].index
        levels, blocks = flat_tree.depth(root), flat_tree.leaf_count(root)
        indexes = iter(range(1, blocks, blocks // 1000))
        proof = median_seconds(lambda: core.proof(ProofRequest(block=BlockRequest(next(indexes), levels))), 900)
        core.close()
    yield Figure(f"open and close a core of {count:,} blocks", 1000 * opening, "ms", 200)
    yield Figure("a proof from it", 1000 * proof, "ms", 1)


def figures(*, quick: bool = False) -> list[Figure]:
    """Everything; with `quick` one round of an eighth of the data."""
    rounds, share = (1, 8) if quick else (ROUNDS, 1)
    return [
        *append_figures(rounds),
        *bound_figures(),
        *replication_figures(rounds, share),
        *sparse_figures(rounds, share),
        *million_figures(200_000 if quick else MILLION_BLOCKS),
    ]


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv), "--json" in sys.argv)
