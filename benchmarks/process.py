"""A `datdot dev` of its own for a benchmark: started, listened to, weighed and stopped."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import trio

STOP_SECONDS: Final = 20.0
MEBIBYTE: Final = 1 << 20


@dataclass
class DevProcess:
    """A running `datdot dev --json`; `events` are what it printed, each with the seconds since the command."""

    process: trio.Process
    directory: Path
    url: str
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

    async def wait_until(self, name: str, enough: Callable[[list[dict[str, Any]]], bool]) -> float:
        """When the events of a name were enough. Raises RuntimeError when the process ends before they are."""
        seen: list[dict[str, Any]] = []
        while True:
            for at, event in self.all_of(name)[len(seen) :]:
                seen.append(event)
                if enough(seen):
                    return at
            if self._ended:
                raise RuntimeError(f"datdot dev ended, {len(seen)} events {name!r} were not enough")
            await self._changed.wait()

    def seconds(self) -> float:
        """Seconds since the command."""
        return time.monotonic() - self.started_at

    def all_of(self, name: str) -> list[tuple[float, dict[str, Any]]]:
        """Every event of a name so far."""
        return [(at, event) for at, event in self.events if event["event"] == name]

    def memory_mib(self, kind: str = "pss") -> float:
        """Memory of the process and its children: "pss" is resident, shared pages in proportion; "uss" their own."""
        root = psutil.Process(self.process.pid)
        total = 0
        for one in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += getattr(one.memory_full_info(), kind)
        return total / MEBIBYTE

    def processor_seconds(self) -> float:
        """Processor time of the node itself so far: unlike all else, little changed by what else the machine does."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    async def read(self) -> None:
        """Collect events until the process ends."""
        assert self.process.stdout is not None
        pending = b""
        async for data in self.process.stdout:
            *lines, pending = (pending + data).split(b"\n")
            at = self.seconds()
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
        port = free_port()
        command = [str(Path(sys.executable).with_name("datdot")), "dev", "--json", "--rpc-port", str(port)]
        started_at = time.monotonic()
        process = await trio.lowlevel.open_process(
            [*command, "--app-port", "0", "--data", directory, *arguments], stdout=subprocess.PIPE
        )
        dev = DevProcess(process, Path(directory), f"ws://127.0.0.1:{port}", started_at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dev.read)
            try:
                yield dev
            finally:
                await stop(process)


def free_port() -> int:
    """A port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def stop(process: trio.Process) -> None:
    """Ends a process by SIGTERM, or by SIGKILL when it takes too long."""
    with trio.CancelScope(shield=True):
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_SECONDS) as stopping:
            await process.wait()
        if stopping.cancelled_caught:
            process.kill()
            await process.wait()
