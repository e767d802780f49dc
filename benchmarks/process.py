"""A `datdot dev` of its own for a benchmark: started, listened to, weighed and stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import trio

STOP_SECONDS: Final = 20.0
MEBIBYTE: Final = 1 << 20


@dataclass
class DevProcess:
    """A running `datdot dev --json`; `events` are what it printed, each with the seconds since the command."""

    process: trio.Process
    directory: Path
    started_at: float
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _changed: trio.Event = field(default_factory=trio.Event)
    _ended: bool = False

    async def wait_for(self, name: str) -> tuple[float, dict[str, Any]]:
        """The first event of a name, and when it came. Raises RuntimeError when the process ends without it."""
        while True:
            for at, event in self.events:
                if event["event"] == name:
                    return at, event
            if self._ended:
                raise RuntimeError(f"datdot dev ended without the event {name!r}")
            await self._changed.wait()

    def all_of(self, name: str) -> list[tuple[float, dict[str, Any]]]:
        """Every event of a name so far."""
        return [(at, event) for at, event in self.events if event["event"] == name]

    def memory_mib(self) -> float:
        """Resident memory of the process and its children, pages that they share counted once (PSS)."""
        root = psutil.Process(self.process.pid)
        total = 0
        for one in [root, *root.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total / MEBIBYTE

    async def read(self) -> None:
        """Collect events until the process ends."""
        assert self.process.stdout is not None
        pending = b""
        async for data in self.process.stdout:
            *lines, pending = (pending + data).split(b"\n")
            at = time.monotonic() - self.started_at
            self.events.extend((at, json.loads(line)) for line in lines)
            self._wake()
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def dev_process(arguments: Sequence[str] = ()) -> AsyncIterator[DevProcess]:
    """A market in a temporary directory, on free ports, while the block of code runs."""
    with tempfile.TemporaryDirectory(prefix="datdot-benchmark-", ignore_cleanup_errors=True) as directory:
        command = [str(Path(sys.executable).with_name("datdot")), "dev", "--json", "--rpc-port", "0", "--app-port", "0"]
        started_at = time.monotonic()
        process = await trio.lowlevel.open_process(
            [*command, "--data", directory, *arguments], stdout=subprocess.PIPE
        )
        dev = DevProcess(process, Path(directory), started_at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dev.read)
            try:
                yield dev
            finally:
                await _stop(process)


async def _stop(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_SECONDS):
            await process.wait()
            return
        process.kill()
        await process.wait()
