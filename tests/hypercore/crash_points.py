"""A disk that remembers every operation, so that one run of a workload gives a crash at each of them.

`python -m tests.hypercore.crash_points [POINTS]` counts crash points of random workloads until POINTS were tried.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypercore.crypto import KeyPair
from hypercore.io import store as store_module
from hypercore.io.core import Core
from hypercore.io.files import MemoryDirectory, MemoryFile

KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)
JOURNAL_BYTES = 3000


@dataclass(frozen=True)
class Operation:
    """One write, cut, hole or sync of a file, or (name None) a mark that the workload acknowledged a change."""

    name: str | None
    apply: Callable[[MemoryFile], object] | None
    small: bytes | None = None


class RecordingFile(MemoryFile):
    def __init__(self, name: str, log: list[Operation]) -> None:
        super().__init__()
        self._name = name
        self._log = log

    def write(self, offset: int, data: bytes) -> None:
        self._log.append(Operation(self._name, lambda file: MemoryFile.write(file, offset, data)))
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


Logs = list[tuple[int, list[bytes]]]


def work(seed: int, steps: int) -> tuple[list[Operation], list[int], Logs]:
    """A random workload: its operations, where in them each change was acknowledged, and (fork, blocks) after each."""
    chance = random.Random(seed)
    directory = RecordingDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=directory)
    marks, logs = [len(directory.log)], [(0, list[bytes]())]
    for _ in range(steps):
        fork, blocks = logs[-1][0], list(logs[-1][1])
        choice = chance.random()
        if choice < 0.7:
            sizes = [chance.choice((0, 30, 700, store_module.INLINE_BLOCK_BYTES_MAXIMUM + 1))] * chance.randint(1, 4)
            batch = [chance.randbytes(size) for size in sizes]
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
            core = Core.open(directory=directory)
        marks.append(len(directory.log))
        logs.append((fork, blocks))
    core.close()
    return directory.log, marks, logs


def crashes(log: list[Operation], chance: random.Random) -> Iterator[tuple[int, str, MemoryDirectory]]:
    """(operations done, kind, what the disk then shows) for a kill and two power cuts after every operation."""
    written, durable = MemoryDirectory(), MemoryDirectory()
    since: dict[str, list[Operation]] = {}
    for done, operation in enumerate(log):
        yield done, "kill", copy.deepcopy(written)
        yield done, "power cut", copy.deepcopy(durable)
        torn = copy.deepcopy(durable)
        for name, operations in since.items():
            for pending in operations:
                if pending.apply is not None and chance.random() < 0.5:
                    pending.apply(torn.open(name))
        yield done, "torn power cut", torn
        assert operation.name is not None
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


def check(left: MemoryDirectory, done: int, marks: list[int], logs: Logs) -> None:
    """The disk opens at an acknowledged state or at the one that was being made, whole and signed, and goes on."""
    last = max((number for number, mark in enumerate(marks) if mark <= done), default=0)
    core = Core.open(directory=left)
    possible = logs[last : last + 2]
    assert any(core.fork == fork and core.length == len(blocks) for fork, blocks in possible), (
        f"{core.length} blocks of fork {core.fork}, acknowledged were {len(logs[last][1])} of fork {logs[last][0]}"
    )
    blocks = next(blocks for fork, blocks in possible if core.fork == fork and core.length == len(blocks))
    for index in range(core.length):
        if core.has(index):
            assert core.get(index) == blocks[index], f"block {index}"
    core.append(b"goes on")
    core.close()
    again = Core.open(directory=left)
    assert again.length == len(blocks) + 1


def run(seed: int, steps: int) -> int:
    """Try every crash point of one workload; returns how many there were."""
    limit, store_module.JOURNAL_BYTES_MAXIMUM = store_module.JOURNAL_BYTES_MAXIMUM, JOURNAL_BYTES
    try:
        log, marks, logs = work(seed, steps)
        points = 0
        for done, kind, left in crashes(log, random.Random(seed)):
            if done < marks[0]:
                continue
            points += 1
            try:
                check(left, done, marks, logs)
            except Exception as error:
                raise AssertionError(f"seed {seed}, {kind} after {done} operations: {error}") from error
        return points
    finally:
        store_module.JOURNAL_BYTES_MAXIMUM = limit


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    points = seed = 0
    while points < wanted:
        points += run(seed, 40)
        seed += 1
    print(f"{points} crash points of {seed} workloads: every reopening consistent, every acknowledged append there")
