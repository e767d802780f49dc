"""Programs as a user starts them: JSON lines out of standard output, text out of standard error, signals in.

`Program` is a running process, `datdot(…)` and `javascript(…)` start one, and each ends with its block of code whatever
happens inside. Nothing here sleeps: every wait ends with a line, an exit or a deadline that fails the test.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from tests.interop import node

ROOT = Path(__file__).resolve().parents[2]
DATDOT = (sys.executable, "-m", "node.cli")
LINE_SECONDS = 60.0
STOP_SECONDS = 20.0
MAX_LINES = 20_000

Line = dict[str, Any]


class Program:
    """A process and everything that it has printed so far."""

    def __init__(self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = " ".join(Path(part).name for part in argv[:6])
        self.lines: list[Line] = []
        self.log: list[str] = []
        self.not_json: list[str] = []
        self._is_json = "--json" in argv
        self._changed = threading.Condition()
        self._open_pipes = 2
        self._process = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment or {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # a signal for the test run must not reach it before the test ends it
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        readers = (
            (self._process.stdout, self._keep_line),
            (self._process.stderr, self.log.append),
        )
        self._threads = [threading.Thread(target=self._read, args=reader, daemon=True) for reader in readers]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def line(self, wanted: Callable[[Line], bool], within_seconds: float = LINE_SECONDS) -> Line:
        """The first line that satisfies the condition, already printed or to come; an error when there is none."""
        return cast(Line, self._wait_for(self.lines, wanted, within_seconds))

    def event(self, name: str, within_seconds: float = LINE_SECONDS, **values: object) -> Line:
        """The first line with this value of "event" and these other values."""
        expected = {"event": name, **values}
        return self.line(lambda line: expected.items() <= line.items(), within_seconds)

    def logged(self, text: str, within_seconds: float = LINE_SECONDS) -> str:
        """The first line of standard error that contains the text."""
        return cast(str, self._wait_for(self.log, lambda line: text in line, within_seconds))

    def events(self, name: str) -> list[Line]:
        """All lines with this value of "event" up to now."""
        return [line for line in tuple(self.lines) if line.get("event") == name]

    def exit_status(self, within_seconds: float = LINE_SECONDS) -> int:
        """Waits for the process to end by itself."""
        try:
            status = self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {within_seconds:g} s:\n{self.tail()}") from None
        self._join()
        return status

    def stop(self) -> int:
        """SIGTERM; the exit status, which must come within STOP_SECONDS."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        return self.exit_status(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a power cut would: nothing of the process runs after it."""
        self._process.kill()
        self._process.wait()
        self._join()

    def write(self, **command: object) -> None:
        """Sends one JSON line to the process's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Ends the process if it still runs, by force in the end, and closes its pipes."""
        try:
            if self.is_running:
                self.stop()
        finally:
            if self.is_running:
                self.kill()
            self._join()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
        assert not (self._is_json and self.not_json), f"{self.name} printed other lines than JSON: {self.not_json}"

    def tail(self) -> str:
        """The last lines of both outputs, for messages."""
        printed = [json.dumps(line)[:300] for line in self.lines[-10:]]
        return "\n".join(("--- standard output", *printed, "--- standard error", *self.log[-40:]))

    def _wait_for(self, lines: list[Any], wanted: Callable[[Any], bool], within_seconds: float) -> Any:
        deadline = time.monotonic() + within_seconds
        seen = 0
        with self._changed:
            while True:
                while seen < len(lines):
                    seen += 1
                    if wanted(lines[seen - 1]):
                        return lines[seen - 1]
                if self._open_pipes == 0:
                    raise AssertionError(f"{self.name} ended before it printed what was expected:\n{self.tail()}")
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(
                        f"{self.name} did not print what was expected within {within_seconds:g} s:\n{self.tail()}"
                    )

    def _keep_line(self, text: str) -> None:
        try:
            self.lines.append(json.loads(text))
        except ValueError:
            self.not_json.append(text)

    def _read(self, pipe: IO[str], keep: Callable[[str], None]) -> None:
        for text in pipe:
            with self._changed:
                assert len(self.lines) + len(self.log) + len(self.not_json) < MAX_LINES, f"{self.name} prints too much"
                keep(text.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open_pipes -= 1
            self._changed.notify_all()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(STOP_SECONDS)


@contextmanager
def running(argv: Sequence[str], cwd: Path = ROOT) -> Iterator[Program]:
    """A process that ends with the block of code."""
    program = Program(argv, cwd)
    try:
        yield program
    finally:
        program.close()


@contextmanager
def datdot(*arguments: object, cwd: Path = ROOT) -> Iterator[Program]:
    """`datdot ARGUMENTS…`, running."""
    with running([*DATDOT, *map(str, arguments)], cwd) as program:
        yield program


@contextmanager
def javascript(script: str | Path, *arguments: object) -> Iterator[Program]:
    """A script of tests/interop/hypercore, running in Node; fails when Node or its packages are missing."""
    path = node.FOLDER / "hypercore" / script
    with running([str(node.require(path)), str(path), *map(str, arguments)], node.FOLDER) as program:
        yield program


def read_with_javascript(available: Line, *options: object, timeout_seconds: int = 60) -> Line:
    """What an unmodified JavaScript hypercore gets from the peers of an `available` line: length, bytes, sha256."""
    peers = ",".join(f"{peer['host']}:{peer['port']}" for peer in available["peers"])
    with javascript("reader.mjs", available["key"], peers, *options, "--timeout", timeout_seconds) as reader:
        result = reader.line(lambda line: True, timeout_seconds + 10)
        assert reader.exit_status() == 0, result
    return result


def kill_process(pid: int) -> None:
    """SIGKILL to a process that another program of the test started; returns when it is dead."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert wait_until_dead(descriptor, STOP_SECONDS), f"process {pid} survives SIGKILL"
    finally:
        os.close(descriptor)


def wait_until_dead(descriptor: int, within_seconds: float) -> bool:
    """Whether the process of a pidfd ends in time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1_000 * within_seconds))
