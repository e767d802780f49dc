"""One key signed two logs of the same length: whoever sees both freezes the core, in both languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from hypercore.crypto import KeyPair
from hypercore.errors import CoreFrozen
from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from tests.interop.hypercore.test_replication import PATIENCE_SECONDS, SCRIPTS, python_writer
from tests.interop.node import Script, run_script

SEED = b"\x01" * 32

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


def log_of(mark: str) -> Core:
    core = Core.create(key_pair=KeyPair.from_seed(SEED))
    core.append([b"same", *[f"{mark} {index}".encode() for index in range(4)]])
    return core


async def event(script: Script, name: str) -> dict[str, Any]:
    while (line := await script.line()).get("event") != name:
        pass
    return line


async def frozen(core: Core) -> None:
    """Returns when the core is."""
    changed = trio.Event()
    unsubscribe = core.subscribe(lambda event: changed.set())
    while not core.frozen:
        await changed.wait()
        changed = trio.Event()
    unsubscribe()


async def test_a_javascript_reader_that_meets_both_logs_freezes_and_so_does_the_second_writer() -> None:
    left, right = log_of("left"), log_of("right")
    with trio.fail_after(PATIENCE_SECONDS):
        async with (
            python_writer(left) as where,
            python_writer(right) as (_, other),
            run_script(SCRIPTS / "follower.mjs", where) as script,
        ):
            await script.write(get=0)
            assert (await script.line())["block"] == "same"
            left.clear(1, 5)
            await script.write(dial=other)
            await script.line()
            await script.write(download=[0, 5])
            assert await event(script, "conflict") == {"event": "conflict", "length": 5, "fork": 0}
            await frozen(right)
    assert right.conflict is not None
    assert right.conflict.their_tree_hash == left.tree_hash()
    with pytest.raises(CoreFrozen):
        right.append(b"more")


async def test_a_python_reader_that_meets_both_logs_freezes_and_tells_both_javascript_writers(tmp_path: Path) -> None:
    arguments = []
    for name in ("left", "right"):
        (tmp_path / name).write_bytes(b"".join(b"%-5s %02d" % (name.encode(), index) for index in range(5)))
        arguments.append([str(tmp_path / name), "--block-size", "8", "--seed", SEED.hex()])
    with trio.fail_after(PATIENCE_SECONDS):
        async with (
            run_script(SCRIPTS / "writer.mjs", arguments[0]) as left,
            run_script(SCRIPTS / "writer.mjs", arguments[1]) as right,
            open_replication() as replication,
        ):
            hello, other = await left.line(), await right.line()
            assert hello["key"] == other["key"]
            reader = Core.open(key=hello["key"])
            replication.add(reader)
            await left.write(clear=[2, 4])
            await left.line()
            await replication.connect(hello["host"], hello["port"])
            await replication.update(reader, 5)
            await replication.connect(other["host"], other["port"])
            async with replication.following(reader):
                await frozen(reader)
            for script in (left, right):
                assert await event(script, "conflict") == {"event": "conflict", "length": 5, "fork": 0}
    assert reader.conflict is not None
    assert (reader.conflict.length, reader.conflict.fork) == (5, 0)
    with pytest.raises(CoreFrozen), trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as replication:
            replication.add(reader)
