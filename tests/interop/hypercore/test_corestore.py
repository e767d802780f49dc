"""Corestore against the unmodified npm package `corestore`: the same keys, and many cores on one connection."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from hypercore.io.corestore import Corestore
from tests.interop.node import run_script

SCRIPT = Path(__file__).parent / "corestore.mjs"
PATIENCE_SECONDS = 60
PRIMARY_KEY = bytes(range(32))
ENCRYPTION_KEY = b"\x55" * 32

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


@pytest.mark.parametrize("namespace", [[], ["app"], ["app", "ünïcode"]])
async def test_one_primary_key_gives_both_the_same_cores(namespace: list[str]) -> None:
    store = Corestore(None, PRIMARY_KEY)
    inner = store
    for name in namespace:
        inner = inner.namespace(name)  # type: ignore[assignment]
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT, ["--primary-key", PRIMARY_KEY.hex()]) as script:
            await script.line()
            for name in ("a", "journal"):
                await script.write(open=name, namespace=namespace)
                assert (await script.line())["key"] == inner.get(name).key.hex()


async def test_python_reads_several_cores_of_javascript_on_one_connection() -> None:
    store = Corestore()
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT) as script, store.replicate() as replication:
            port = (await script.line())["port"]
            keys = []
            for name in ("a", "b", "c"):
                await script.write(open=name)
                keys.append((await script.line())["key"])
                await script.write(append=[f"{name}-0", f"{name}-1"], key=keys[-1])
                await script.line()
            await replication.connect("127.0.0.1", port)
            for name, key in zip("abc", keys, strict=True):
                log = store.get(key=key)
                assert await log.update(2) == 2
                assert [await log.get(index) for index in range(2)] == [f"{name}-0".encode(), f"{name}-1".encode()]
            assert len(replication.sessions) == 1
            await script.write(open="late")
            late = (await script.line())["key"]
            log = store.get(key=late)
            await script.write(append=["live"], key=late)
            await script.line()
            assert await log.get(0) == b"live"


async def test_javascript_reads_several_cores_of_python_on_one_connection(tmp_path: Path) -> None:
    store = Corestore(tmp_path)
    logs = {name: store.get(name) for name in "abc"}
    for name, log in logs.items():
        log.append([f"{name}-{index}".encode() for index in range(3)])
    stored = logs["c"].key.hex()
    logs["c"].close()
    with trio.fail_after(PATIENCE_SECONDS):
        async with store.replicate() as replication:
            address = f"127.0.0.1:{await replication.listen()}"
            async with run_script(SCRIPT, ["--dial", address]) as script:
                await script.line()
                for name, key in (("a", logs["a"].key.hex()), ("b", logs["b"].key.hex()), ("c", stored)):
                    await script.write(get=2, key=key)
                    assert await script.line() == {"block": f"{name}-2"}
                logs["a"].append(b"live")
                await script.write(get=3, key=logs["a"].key.hex())
                assert await script.line() == {"block": "live"}
                assert len(replication.sessions) == 1
    store.close()


CORES, BLOCKS = 50, 20
TEXTS = [[f"core-{number} block-{index}" for index in range(BLOCKS)] for number in range(CORES)]


async def test_python_reads_fifty_cores_of_javascript_at_once_on_one_connection() -> None:
    store = Corestore()
    texts: dict[str, list[str]] = {}

    async def read(key: str) -> None:
        log = store.get(key=key)
        texts[key] = [(await log.get(index)).decode() for index in range(BLOCKS)]

    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT) as script, store.replicate() as replication:
            port = (await script.line())["port"]
            await script.write(write=CORES, blocks=BLOCKS)
            keys = (await script.line())["keys"]
            await replication.connect("127.0.0.1", port)
            async with trio.open_nursery() as nursery:
                for key in keys:
                    nursery.start_soon(read, key)
            assert [texts[key] for key in keys] == TEXTS
            assert [len(session.peers) for session in replication.sessions] == [CORES]


async def test_javascript_reads_fifty_cores_of_python_at_once_on_one_connection(tmp_path: Path) -> None:
    async with Corestore(tmp_path) as store:
        logs = [store.get(f"core-{number}") for number in range(CORES)]
        for log, texts in zip(logs, TEXTS, strict=True):
            log.append([text.encode() for text in texts])
        with trio.fail_after(PATIENCE_SECONDS):
            async with store.replicate() as replication:
                address = f"127.0.0.1:{await replication.listen()}"
                async with run_script(SCRIPT, ["--dial", address]) as script:
                    await script.line()
                    await script.write(read=[log.key.hex() for log in logs], blocks=BLOCKS)
                    assert (await script.line())["texts"] == TEXTS
                    assert [len(session.peers) for session in replication.sessions] == [CORES]


async def test_javascript_decrypts_what_python_encrypted() -> None:
    store = Corestore()
    log = store.get("secret", encryption_key=ENCRYPTION_KEY)
    log.append([b"one", b"", b"x" * 100])
    with trio.fail_after(PATIENCE_SECONDS):
        async with store.replicate() as replication:
            address = f"127.0.0.1:{await replication.listen()}"
            async with run_script(SCRIPT, ["--dial", address]) as script:
                await script.line()
                await script.write(raw=0, key=log.key.hex())
                assert await script.line() == {"block": log.core.get(0).hex()}
                for index, text in enumerate(("one", "", "x" * 100)):
                    await script.write(get=index, key=log.key.hex(), encryption=ENCRYPTION_KEY.hex())
                    assert await script.line() == {"block": text}


async def test_python_decrypts_what_javascript_encrypted() -> None:
    store = Corestore()
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT) as script, store.replicate() as replication:
            port = (await script.line())["port"]
            await script.write(open="secret", encryption=ENCRYPTION_KEY.hex())
            key = (await script.line())["key"]
            await script.write(append=["one", "y" * 70_000], key=key)
            await script.line()
            await replication.connect("127.0.0.1", port)
            log = store.get(key=key, encryption_key=ENCRYPTION_KEY)
            assert await log.get(0) == b"one"
            assert await log.get(1) == b"y" * 70_000
            assert b"one" not in log.core.get(0)
