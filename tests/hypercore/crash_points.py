"""A disk that remembers every operation, so that one run of a workload gives a crash at each of them.

`python -m tests.hypercore.crash_points [POINTS]` counts crash points of random workloads until POINTS were tried.

Workloads: a writer with durability "fsync", a writer with durability "process", and a copy that peers fill, which never
waits for the disk. Crashes, after every operation of each:

    kill             everything written so far is there
    torn kill        and a part of the next write
    power cut        only what was synced is there
    torn power cut   and any of the writes since, whole or some of their 512-byte sectors, in any order
"""

from __future__ import annotations

import copy
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypercore.crypto import KeyPair
from hypercore.io import store as store_module
from hypercore.io.core import Core
from hypercore.io.files import MemoryDirectory, MemoryFile
from hypercore.io.store import Durability
from hypercore.proof import BlockRequest, ProofRequest, UpgradeRequest

KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)
JOURNAL_BYTES = 3000
SECTOR_BYTES = 512
# One large block of a batch goes into the journal, two do not.
INLINE_BYTES = store_module.INLINE_BLOCK_BYTES_MAXIMUM + 1000
BLOCK_SIZES = (0, 30, 700, store_module.INLINE_BLOCK_BYTES_MAXIMUM + 1)


@dataclass(frozen=True)
class Operation:
    """One write, cut, hole or sync of a file, or the replacement of a small one."""

    name: str
    apply: Callable[[MemoryFile], object] | None
    small: bytes | None = None
    write: tuple[int, bytes] | None = None

    def tear(self, file: MemoryFile, chance: random.Random) -> None:
        """Does a part of it: some sectors of a write, all or nothing of anything else."""
        if self.write is None:
            if self.apply is not None and chance.random() < 0.5:
                self.apply(file)
            return
        offset, data = self.write
        start = 0
        while start < len(data):
            end = min(len(data), start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES)
            if chance.random() < 0.5:
                file.write(offset + start, data[start:end])
            start = end


class RecordingFile(MemoryFile):
    def __init__(self, name: str, log: list[Operation]) -> None:
        super().__init__()
        self._name = name
        self._log = log

    def write(self, offset: int, data: bytes) -> None:
        data = bytes(data)
        self._log.append(
            Operation(self._name, lambda file: MemoryFile.write(file, offset, data), write=(offset, data))
        )
        super().write(offset, data)

    def truncate(self, size: int) -> None:
        self._log.append(Operation(self._name, lambda file: MemoryFile.truncate(file, size)))
        super().truncate(size)

    def free(self, offset: int, size: int) -> bool:
        self._log.append(Operation(self._name, lambda file: MemoryFile.free(file, offset, size)))
        return super().free(offset, size)

    def sync(self) -> None:
        self._log.append(Operation(self._name, None))


class RecordingDirectory(MemoryDirectory):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[Operation] = []

    def open(self, name: str) -> RecordingFile:
        file = self._files.get(name)
        if not isinstance(file, RecordingFile):
            file = self._files[name] = RecordingFile(name, self.log)
        return file

    def replace(self, name: str, data: bytes, *, private: bool = False) -> None:
        self.log.append(Operation(name, None, data))
        super().replace(name, data, private=private)


@dataclass
class Workload:
    """What was done: operations, where in them each change was acknowledged, and (fork, blocks) after each.

    `synced`: acknowledged means that a power cut cannot undo it.
    """

    kind: str
    operations: list[Operation]
    marks: list[int]
    states: list[tuple[int, list[bytes]]]
    synced: bool


def write(seed: int, steps: int, durability: Durability) -> Workload:
    """A writer that appends, goes back, clears, keeps user data, and is opened again now and then."""
    chance = random.Random(seed)
    directory = RecordingDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=directory, durability=durability)
    marks, states = [len(directory.log)], [(0, list[bytes]())]
    for _ in range(steps):
        fork, blocks = states[-1][0], list(states[-1][1])
        choice = chance.random()
        if choice < 0.7:
            batch = [chance.randbytes(size) for size in [chance.choice(BLOCK_SIZES)] * chance.randint(1, 4)]
            core.append(batch)
            blocks += batch
        elif choice < 0.85 and blocks:
            keep = chance.randint(0, len(blocks))
            core.truncate(keep)
            fork, blocks = fork + 1, blocks[:keep]
        elif choice < 0.93:
            core.clear(start := chance.randint(0, len(blocks)), start + 2)
        elif choice < 0.97:
            core.set_user_data("step", b"%d" % len(marks))
        else:
            core.close()
            core = Core.open(directory=directory, durability=durability)
        marks.append(len(directory.log))
        states.append((fork, blocks))
    core.close()
    return Workload(durability, directory.log, marks, states, synced=durability == "fsync")


def replicate(seed: int, steps: int) -> Workload:
    """A copy that takes growth, forks and single blocks from an author."""
    chance = random.Random(seed)
    author = Core.create(key_pair=KEY_PAIR)
    directory = RecordingDirectory()
    core = Core.open(key=author.key, directory=directory)
    marks, states = [len(directory.log)], [(0, list[bytes]())]
    for _ in range(steps):
        choice = chance.random()
        missing = [index for index in range(core.length) if not core.has(index)]
        if choice < 0.3 or not missing:
            if choice < 0.05 and author.length:
                author.truncate(chance.randint(0, author.length - 1))
            author.append([chance.randbytes(chance.choice(BLOCK_SIZES)) for _ in range(chance.randint(1, 3))])
            start = core.length if author.fork == core.fork else 0
            growth = UpgradeRequest(start, author.length - start)
            core.apply(author.proof(ProofRequest(author.fork, upgrade=growth, manifest=True)))
        else:
            wanted = chance.choice(missing)
            path = BlockRequest(wanted, core.missing_nodes(2 * wanted))
            core.apply(author.proof(ProofRequest(core.fork, block=path)))
        marks.append(len(directory.log))
        states.append((core.fork, [author.get(index) for index in range(core.length)]))
    core.close()
    return Workload("copy", directory.log, marks, states, synced=False)


WORKLOADS: dict[str, Callable[[int, int], Workload]] = {
    "fsync": lambda seed, steps: write(seed, steps, "fsync"),
    "process": lambda seed, steps: write(seed, steps, "process"),
    "copy": replicate,
}


def crashes(log: list[Operation], chance: random.Random) -> Iterator[tuple[int, str, MemoryDirectory]]:
    """(operations done, kind, what the disk then shows) for every kind of crash after every operation."""
    written, durable = MemoryDirectory(), MemoryDirectory()
    since: dict[str, list[Operation]] = {}
    for done, operation in enumerate(log):
        yield done, "kill", copy.deepcopy(written)
        if operation.write is not None:
            torn = copy.deepcopy(written)
            offset, data = operation.write
            torn.open(operation.name).write(offset, data[: chance.randint(0, len(data))])
            yield done, "torn kill", torn
        yield done, "power cut", copy.deepcopy(durable)
        torn = copy.deepcopy(durable)
        for name, operations in since.items():
            for pending in operations:
                if chance.random() < 0.6 and pending.apply is not None:
                    pending.apply(torn.open(name))
                else:
                    pending.tear(torn.open(name), chance)
        yield done, "torn power cut", torn
        if operation.small is not None:
            written.replace(operation.name, operation.small)
            durable.replace(operation.name, operation.small)
        elif operation.apply is not None:
            operation.apply(written.open(operation.name))
            since.setdefault(operation.name, []).append(operation)
        else:
            for pending in since.pop(operation.name, []):
                if pending.apply is not None:
                    pending.apply(durable.open(operation.name))


def check(left: MemoryDirectory, done: int, workload: Workload, *, kept: bool) -> None:
    """The disk opens at an acknowledged state or at the one that was being made, whole and signed, and goes on.

    `kept`: the last acknowledged state must not be lost; else it may be any state before.
    """
    last = max((number for number, mark in enumerate(workload.marks) if mark <= done), default=0)
    core = Core.open(directory=left)
    possible = workload.states[last if kept else 0 : last + 2]
    acknowledged = workload.states[last]
    assert any(core.fork == fork and core.length == len(blocks) for fork, blocks in possible), (
        f"{core.length} blocks of fork {core.fork}, acknowledged were {len(acknowledged[1])} of fork {acknowledged[0]}"
    )
    blocks = next(blocks for fork, blocks in possible if core.fork == fork and core.length == len(blocks))
    for index in range(core.length):
        if core.has(index):
            assert core.get(index) == blocks[index], f"block {index}"
    assert core._store.cut_off == (), "no crash makes the data file shorter than what counts as here"
    if core.recovered is not None:
        assert f"{core.length} blocks of fork {core.fork}" in core.recovered
    if core.writable:
        core.append(b"goes on")
    core.close()
    again = Core.open(directory=left)
    assert again.length == len(blocks) + core.writable
    assert again.recovered is None


def run(kind: str, seed: int, steps: int) -> Counter[str]:
    """Try every crash point of one workload; returns how many there were, by kind of crash."""
    limits = store_module.JOURNAL_BYTES_MAXIMUM, store_module.INLINE_SYNCED_BYTES_MAXIMUM
    store_module.JOURNAL_BYTES_MAXIMUM, store_module.INLINE_SYNCED_BYTES_MAXIMUM = JOURNAL_BYTES, INLINE_BYTES
    try:
        workload = WORKLOADS[kind](seed, steps)
        points = Counter[str]()
        for done, crash, left in crashes(workload.operations, random.Random(seed)):
            if done < workload.marks[0]:
                continue
            points[crash] += 1
            try:
                check(left, done, workload, kept=workload.synced or "kill" in crash)
            except Exception as error:
                raise AssertionError(f"{kind} {seed}, {crash} after {done} operations: {error}") from error
        return points
    finally:
        store_module.JOURNAL_BYTES_MAXIMUM, store_module.INLINE_SYNCED_BYTES_MAXIMUM = limits


def main(wanted: int) -> None:
    """Runs workloads of all kinds until so many crash points were tried, and prints how many of which kind."""
    points: dict[str, Counter[str]] = {kind: Counter() for kind in WORKLOADS}
    seed = 0
    while sum(counter.total() for counter in points.values()) < wanted:
        for kind, counter in points.items():
            counter.update(run(kind, seed, 40))
        seed += 1
    crash_kinds = sorted({crash for counter in points.values() for crash in counter})
    print(f"{'workload':10}" + "".join(f"{crash:>16}" for crash in crash_kinds))
    for kind, counter in points.items():
        print(f"{kind:10}" + "".join(f"{counter[crash]:16}" for crash in crash_kinds))
    total = sum(counter.total() for counter in points.values())
    print(f"{total} crash points of {seed} workloads of each kind: every reopening consistent; with fsync and after")
    print("kills every acknowledged change there")


if __name__ == "__main__":
    logging.disable()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
