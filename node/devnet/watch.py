"""`datdot dev --watch`: the source of a project's pallets is looked at, and an edit becomes an upgrade of the chain.

Only the modules of the project are loaded anew; those of this package stay, so that the node's services keep their
types. A module that cannot be loaded leaves everything as it was.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

import trio

from node.devnet.progress import Reporter
from node.devnet.upgrade import UpgradeRefused, build_next, upgrade
from node.node import Node
from node.runtime_source import RuntimeRefused, project_files

POLL_SECONDS: Final = 0.05
"""Between two looks; an edit counts once two looks in a row saw the same."""

Stamps = Mapping[Path, tuple[int, int]]
"""Modification time in nanoseconds and size of every source file."""


async def watch_project(node: Node, reference: str, reporter: Reporter) -> None:
    """Follow the source for ever; `reference` is the chain file's `runtime`."""
    seen = stamps(reference)
    while True:
        now = stamps(reference)
        if now != seen:
            while now != (later := await _next_look(reference)):
                now = later
            seen = now
            await reload(node, reference, reporter)
        else:
            await trio.sleep(POLL_SECONDS)


async def reload(node: Node, reference: str, reporter: Reporter) -> None:
    """Load the project's modules anew and upgrade the chain to them; tells what became of it."""
    started = time.perf_counter()
    top = reference.partition(":")[0].partition(".")[0]
    try:
        _ = node.chain.runtime.metadata_v14  # while the modules that it was made from are the loaded ones
        with fresh_modules(top):
            runtime = build_next(node)
        read_anew = await upgrade(node, runtime) if runtime is not None else ()
    except UpgradeRefused as refusal:
        reporter.event("reload_refused", error=str(refusal))
        return
    if runtime is None:
        reporter.event("unchanged")
        return
    spent_ms = round((time.perf_counter() - started) * 1000)
    version = runtime.version.spec_version
    reporter.event("reloaded", spec_version=version, block=node.chain.best.number, milliseconds=spent_ms)
    if read_anew:
        reporter.event("read_anew", items=", ".join(read_anew))


@contextmanager
def fresh_modules(top: str) -> Iterator[None]:
    """Inside, a package and what is below it is imported from its source; an exception brings the old modules back."""
    old = _take_out(top)
    writes_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # compiled files are told apart by seconds, edits come faster
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        _take_out(top)
        sys.modules.update(old)
        raise
    finally:
        sys.dont_write_bytecode = writes_bytecode


def stamps(reference: str) -> Stamps:
    """What tells that a source file was edited, added or removed."""
    found = {}
    try:
        files = project_files(reference)
    except RuntimeRefused:
        files = ()
    for _, path in files:
        try:
            status = path.stat()
        except FileNotFoundError:  # between two looks an editor replaces the file
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


async def _next_look(reference: str) -> Stamps:
    await trio.sleep(POLL_SECONDS)
    return stamps(reference)


def _take_out(top: str) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == top or name.startswith(f"{top}.")]
    return {name: sys.modules.pop(name) for name in names}
