"""Sealing for the node: keys, `seal_chunk`, and a pool of worker processes that seal and open without blocking trio.

A worker is a Python process of its own that holds no state: a request goes into its standard input and the reply comes
from its standard output (`node.roles.seal_worker`). So a worker may be killed at any time, which is how a cancelled job
stops at once, and a dead one is simply replaced. Private keys travel through those pipes only.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from node.roles.seal_key import SealKey, SealKeyFault, seal_chunk
from node.roles.seal_worker import (
    LENGTH_BYTES,
    MessageError,
    message_length,
    open_request,
    read_reply,
    seal_request,
)
from pallets.datdot.sealing import CHUNK_MAX_BYTES, Lane, SealingError, SealingFault, max_sealed_bytes

__all__ = ["SealKey", "SealKeyFault", "SealPool", "SealWorkerError", "seal_chunk"]

WORKERS_MAX = 64
RECEIVE_BYTES = 65_536
ROOT = str(Path(__file__).resolve().parents[2])
# An interrupt from the terminal is ignored before anything else is imported.
WORKER_PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from node.roles.seal_worker import main
main()
"""


class SealWorkerError(RuntimeError):
    """A worker could not be started or ended during a job, or the pool is closed; the job may be tried again."""


class SealPool:
    """Up to `workers` sealing processes, used as `async with SealPool(workers=2) as pool`.

    A process starts at the first job that needs it. Each does one job at a time; further callers wait in their order,
    which is the only queue. A cancelled caller's worker is killed, and a new one starts with a later job.
    """

    def __init__(self, workers: int) -> None:
        if not 1 <= workers <= WORKERS_MAX:
            raise ValueError(f"a pool has 1 to {WORKERS_MAX} workers, not {workers}")
        self._turns = trio.CapacityLimiter(workers)
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        for worker in [*self._idle, *self._busy]:
            await worker.end()
        self._idle.clear()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers that were started and not seen to end."""
        return tuple(worker.pid for worker in [*self._idle, *self._busy])

    async def seal(self, lane: Lane, key: SealKey, chunk_index: int, chunk: bytes) -> bytes:
        """Like `seal_chunk`, in a worker; raises SealingError, SealKeyFault and SealWorkerError."""
        if len(chunk) > CHUNK_MAX_BYTES:
            raise SealingError(SealingFault.LENGTH, f"a chunk of {len(chunk)} bytes is too large")
        return await self._run(seal_request(lane, key, chunk_index, chunk), f"sealing chunk {chunk_index}")

    async def open(self, lane: Lane, chunk_index: int, sealed: bytes) -> bytes:
        """Like `open_chunk`, in a worker; raises SealingError and SealWorkerError."""
        if len(sealed) > max_sealed_bytes(lane.key.bits):
            raise SealingError(SealingFault.LENGTH, f"{len(sealed)} bytes are more than a sealed chunk can have")
        return await self._run(open_request(lane, chunk_index, sealed), f"opening chunk {chunk_index}")

    async def _run(self, request: bytes, job: str) -> bytes:
        async with self._turns:
            worker = await self._take_worker()
            self._busy.append(worker)
            is_usable = False
            try:
                reply = await worker.exchange(request)
                is_usable = True
            except (trio.BrokenResourceError, trio.ClosedResourceError, MessageError) as error:
                status = await worker.end()
                raise SealWorkerError(f"worker {worker.pid} ended with status {status} while {job}") from error
            finally:
                self._busy.remove(worker)
                if is_usable and self._is_open:
                    self._idle.append(worker)
                else:
                    await worker.end()
        return read_reply(reply)

    async def _take_worker(self) -> "_Worker":
        self._require_open()
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive():
                return worker
            await worker.end()
        worker = await _Worker.start()
        try:
            self._require_open()
        except SealWorkerError:
            await worker.end()
            raise
        return worker

    def _require_open(self) -> None:
        if not self._is_open:
            raise SealWorkerError("the sealing pool is closed")


class _Worker:
    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests = process.stdin
        self._replies = process.stdout
        self.pid = process.pid

    @classmethod
    async def start(cls) -> Self:
        # Without `site` (-S) a worker is smaller and starts sooner; its path already holds what site would add.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)])}
        command = [sys.executable, "-S", "-c", WORKER_PROGRAM]
        try:
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        except OSError as error:
            raise SealWorkerError(f"a sealing worker could not be started: {error}") from error
        return cls(process)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def exchange(self, request: bytes) -> bytes:
        await self._requests.send_all(request)
        prefix = await self._receive(LENGTH_BYTES)
        return await self._receive(message_length(prefix))

    async def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            part = await self._replies.receive_some(min(RECEIVE_BYTES, length - len(received)))
            if not part:
                raise trio.BrokenResourceError("the worker closed its output")
            received += part
        return bytes(received)

    async def end(self) -> int:
        """Kill the process, however it is, and return its exit status; not interrupted by cancellation."""
        with trio.CancelScope(shield=True):
            self._process.kill()
            status = await self._process.wait()
            await self._requests.aclose()
            await self._replies.aclose()
        return status
