"""Hyperbee against the unmodified npm package: the same bytes, the same answers, over TCP."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from hypercore.io.bee import Bee
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.log import Log
from hypercore.io.replication import open_replication
from tests.hypercore.bee_operations import SEED, core_after, digest_of_blocks, perform, random_operations
from tests.interop.node import run_script

SCRIPT = Path(__file__).parent / "bee.mjs"
PATIENCE_SECONDS = 280
SIZES = [5_000, 100_000]
READ_ON_DEMAND_KEYS_MAXIMUM = 5_000
"""Larger bees are downloaded first: both languages read on demand block by block, one round trip after the other."""

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


async def digest(lines: AsyncIterator[list[Any]]) -> dict[str, Any]:
    """The count and hash that the script prints."""
    state, count = hashlib.sha256(), 0
    async for line in lines:
        state.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        count += 1
    return {"count": count, "sha256": state.hexdigest()}


async def listed(bee: Any, **bounds: Any) -> dict[str, Any]:
    return await digest(
        [entry.key.decode(), entry.value.decode(), entry.number] async for entry in bee.entries(**bounds)
    )


async def history(bee: Bee) -> dict[str, Any]:
    return await digest(
        ["put" if change.kind == "put" else "del", change.entry.key.decode(), change.entry.number]
        async for change in bee.history()
    )


async def differences(bee: Bee, new: int, old: int) -> dict[str, Any]:
    return await digest(
        [found.new and found.new.number, found.old and found.old.number]
        async for found in bee.checkout(new).differences(old)
    )


@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("seed", range(5))
async def test_both_write_the_same_blocks_for_the_same_changes(tmp_path: Path, seed: int, batched: bool) -> None:
    operations = random_operations(seed, 400, batched)
    (tmp_path / "operations").write_text(json.dumps(operations))
    core = await core_after(operations)
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT, ["--seed", SEED.hex()]) as script:
            assert (await script.line())["key"] == core.key.hex()
            await script.write(file=str(tmp_path / "operations"))
            assert (await script.line())["version"] == core.length
            await script.write(blocks=True)
            assert await script.line() == digest_of_blocks(core)


def large_operations(keys: int) -> list[Any]:
    """Many keys in ten batches, and then deletes of every third in four."""
    names = [f"k{number:05d}" for number in range(keys)]
    random.Random(1).shuffle(names)
    puts = [["put", name, "value of " + name] for name in names]
    deletes = [["del", name] for name in names[::3]]
    size = keys // 10
    return [["batch", part[n : n + size]] for part in (puts, deletes) for n in range(0, len(part), size)]


@pytest.mark.parametrize("keys", SIZES)
async def test_python_reads_a_large_bee_of_javascript(tmp_path: Path, keys: int) -> None:
    operations = large_operations(keys)
    (tmp_path / "operations").write_text(json.dumps(operations))
    store = Corestore()
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT) as script, store.replicate() as replication:
            hello = await script.line()
            await script.write(file=str(tmp_path / "operations"))
            version = (await script.line())["version"]
            await replication.connect("127.0.0.1", hello["port"])
            bee = Bee(store.get(key=hello["key"]))
            assert await bee.update(version) == version
            if keys > READ_ON_DEMAND_KEYS_MAXIMUM:
                await bee.log.download()
            await script.write(get="k00123")
            answer = (await script.line())["entry"]
            found = await bee.get("k00123")
            assert (found and found.number) == (answer and answer["seq"])
            for options, bounds in (
                ({"gte": "k01000", "lt": "k01200"}, {"gte": "k01000", "lt": "k01200"}),
                ({"reverse": True, "limit": 50}, {"reverse": True, "limit": 50}),
                ({"gt": "", "lt": "z"}, {}),
            ):
                await script.write(list=options)
                assert await script.line() == await listed(bee, **bounds)
            older = version - len(operations[-1][1])
            await script.write(diff=[version, older])
            assert await script.line() == await differences(bee, version, older)
            await script.write(history=True)
            assert await script.line() == await history(bee)


@pytest.mark.parametrize("keys", SIZES)
async def test_javascript_reads_a_large_bee_of_python(keys: int) -> None:
    operations = large_operations(keys)
    core = Core.create()
    bee = Bee(Log(core))
    await perform(bee, operations)
    version = bee.version
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as replication:
            replication.add(core)
            where = ["--key", core.key.hex(), "--dial", f"127.0.0.1:{await replication.listen()}"]
            async with run_script(SCRIPT, where) as script:
                await script.write(version=version)
                await script.line()
                if keys > READ_ON_DEMAND_KEYS_MAXIMUM:
                    await script.write(download=version)
                    await script.line()
                for options, bounds in (
                    ({"gte": "k01000", "lt": "k01200"}, {"gte": "k01000", "lt": "k01200"}),
                    ({"gt": "", "lt": "z"}, {}),
                ):
                    await script.write(list=options)
                    assert await script.line() == await listed(bee, **bounds)
                older = version - len(operations[-1][1])
                await script.write(diff=[version, older])
                assert await script.line() == await differences(bee, version, older)
                await script.write(history=True)
                assert await script.line() == await history(bee)
                await bee.put("live", "yes")
                await script.write(version=version + 1)
                await script.line()
                await script.write(get="live")
                assert await script.line() == {"entry": {"seq": version, "key": "live", "value": "yes"}}
