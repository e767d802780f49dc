"""Corestore: JavaScript's keys, shared handles, one replication for all cores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from hypercore import crypto
from hypercore.crypto import KeyPair
from hypercore.errors import CoreClosed, InvalidSignature, LocalProtocolError, StoreCorrupt, StoreLocked, StoreMissing
from hypercore.io import corestore
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.replication import Replication, ReplicationTimeout
from hypercore.manifest import Manifest

PRIMARY_KEY = b"\x07" * 32
PATIENCE_SECONDS = 30


def test_names_and_namespaces_give_the_keys_of_javascript(vectors: Callable[[str], Any]) -> None:
    vector = vectors("15_corestore")
    store = Corestore(None, bytes.fromhex(vector["primaryKey"]))
    for core in vector["cores"]:
        space: corestore.CoreNamespace = store
        for name in core["namespacePath"]:
            space = space.namespace(name)
        log = space.get(core["name"])
        assert log.key.hex() == core["key"]
        assert log.core.discovery_key.hex() == core["discoveryKey"]
        assert log.core.public_id == core["id"]
        assert space.key_pair(core["name"]).public_key.hex() == core["publicKey"]
        assert log.core.writable


async def test_what_was_written_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    async with Corestore(tmp_path / "store") as store:
        primary_key = store.primary_key
        store.get("a").append(b"one")
        store.namespace("app").get("a").append([b"two", b"three"])
    async with Corestore(tmp_path / "store") as store:
        assert store.primary_key == primary_key
        assert await store.get("a").get(0) == b"one"
        assert await store.namespace("app").get("a").get(1) == b"three"
        assert (tmp_path / "store" / "primary-key").stat().st_mode & 0o077 == 0


async def test_cores_are_listed_with_their_names(tmp_path: Path) -> None:
    async with Corestore(tmp_path, PRIMARY_KEY) as store:
        assert store.cores() == []
        log = store.get("a")
        inner = store.namespace("app").get("b")
        stranger = store.get(key=bytes(range(32)))
        found = {info.key: info for info in store.cores()}
        assert set(found) == {log.key, inner.key, stranger.key}
        assert (found[log.key].name, found[log.key].namespace) == ("a", bytes(32))
        assert found[stranger.key].name is None
        assert [info.name for info in store.namespace("app").cores()] == ["b"]
        assert store.namespace("other").cores() == []


async def test_handles_share_a_core_and_the_last_one_closes_it() -> None:
    store = Corestore()
    one, two = store.get("a"), store.get("a")
    three = store.get(key=one.key)
    assert one.core is two.core is three.core
    one.append(b"x")
    one.close()
    one.close()
    two.close()
    assert not three.core.closed
    assert await three.get(0) == b"x"
    three.close()
    assert three.core.closed
    assert await store.get("a").get(0) == b"x"


async def test_a_core_that_was_copied_by_key_becomes_writable_by_its_name() -> None:
    key = Corestore(None, PRIMARY_KEY).get("a").key
    store = Corestore(None, PRIMARY_KEY)
    reader = store.get(key=key)
    assert not reader.core.writable
    store.get("a").append(b"mine")
    assert reader.core.writable
    assert await reader.get(0) == b"mine"


def test_a_key_pair_that_does_not_sign_a_core_cannot_unlock_it() -> None:
    core = Core.open(key=Core.create().key)
    other = KeyPair.from_seed(bytes(32))
    with pytest.raises(InvalidSignature):
        core.unlock(other)
    with pytest.raises(InvalidSignature):
        core.unlock(other, Manifest.default(other.public_key))
    assert not core.writable


def test_a_core_needs_something_to_be_found_by() -> None:
    with pytest.raises(LocalProtocolError, match="by its name"):
        Corestore().get()


def test_a_store_is_locked_while_it_is_open(tmp_path: Path) -> None:
    store = Corestore(tmp_path)
    with pytest.raises(StoreLocked):
        Corestore(tmp_path)
    store.close()
    store.close()
    Corestore(tmp_path).close()
    with pytest.raises(CoreClosed):
        store.get("a")


def test_another_primary_key_is_refused(tmp_path: Path) -> None:
    Corestore(tmp_path, PRIMARY_KEY).close()
    with pytest.raises(StoreMissing, match="another primary key"):
        Corestore(tmp_path, bytes(32))
    with pytest.raises(LocalProtocolError, match="has 32 bytes"):
        Corestore(tmp_path / "new", bytes(31))
    Corestore(tmp_path, PRIMARY_KEY).close()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    store = Corestore(tmp_path)
    log = store.get("a")
    log.close()
    about = tmp_path / "cores" / log.core.discovery_key.hex() / "about"
    about.write_text("{}")
    with pytest.raises(StoreCorrupt, match="`about`"):
        store.cores()
    store.close()
    (tmp_path / "primary-key").write_bytes(b"short")
    with pytest.raises(StoreCorrupt, match="primary key"):
        Corestore(tmp_path)


@asynccontextmanager
async def linked(one: Corestore, two: Corestore) -> AsyncIterator[tuple[Replication, Replication]]:
    with trio.fail_after(PATIENCE_SECONDS):
        async with one.replicate() as serving, two.replicate() as reading:
            await reading.connect("127.0.0.1", await serving.listen())
            yield serving, reading


async def test_one_connection_carries_all_cores_of_a_store() -> None:
    ours, theirs = Corestore(), Corestore()
    written = [ours.get(name) for name in "abc"]
    for number, log in enumerate(written):
        log.append([b"%d" % number, b"block"])
    copies = [theirs.get(key=log.key) for log in written]
    async with linked(ours, theirs):
        for number, copy in enumerate(copies):
            assert await copy.update() == 2
            assert await copy.get(0) == b"%d" % number
        late = ours.get("late")
        copy = theirs.get(key=late.key)
        late.append(b"after the link")
        assert await copy.get(0) == b"after the link"
    assert copy.replication is None


async def test_a_core_that_is_only_stored_is_opened_for_a_peer_that_knows_its_key(tmp_path: Path) -> None:
    ours, theirs = Corestore(tmp_path), Corestore()
    log = ours.get("a")
    log.append(b"stored")
    log.close()
    async with linked(ours, theirs):
        assert await theirs.get(key=log.key).get(0) == b"stored"
    with pytest.raises(StoreLocked):
        Corestore(tmp_path)
    ours.close()


async def test_a_core_that_nobody_has_is_waited_for_only_so_long() -> None:
    ours, theirs = Corestore(), Corestore()
    async with linked(ours, theirs):
        with pytest.raises(ReplicationTimeout, match="1 links, 0 of them have this core"):
            await theirs.get(key=bytes(range(32)), timeout_seconds=0.05).get(0)


async def test_only_one_replication_at_a_time() -> None:
    store = Corestore()
    async with store.replicate():
        with pytest.raises(LocalProtocolError, match="already replicates"):
            async with store.replicate():
                pass
    assert store.replication is None


async def test_idle_cores_are_closed_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corestore, "IDLE_CORES_MAXIMUM", 2)
    store = Corestore()
    cores = []
    async with store.replicate():
        kept = store.get("kept")
        for number in range(5):
            log = store.get(str(number))
            cores.append(log.core)
            log.close()
        store.get("last")
        assert [core.closed for core in cores] == [True, True, True, False, False]
        assert not kept.core.closed
    assert all(core.closed for core in cores)
    assert not kept.core.closed


def test_the_derivation_uses_every_part() -> None:
    seen = {
        corestore.derive_key_pair(primary, namespace, name).public_key
        for primary in (bytes(32), PRIMARY_KEY)
        for namespace in (bytes(32), corestore.derive_namespace(bytes(32), "x"))
        for name in ("a", "b")
    }
    assert len(seen) == 8
    assert all(len(key) == crypto.KEY_SIZE for key in seen)


def test_what_names_two_cores_is_refused_and_leaves_no_trace() -> None:
    pair = KeyPair.from_seed(b"\x01" * 32)
    store = Corestore(None, PRIMARY_KEY)
    with pytest.raises(LocalProtocolError, match="not both"):
        store.get("a", key=bytes(32))
    with pytest.raises(LocalProtocolError, match="not that of the manifest"):
        store.get(key=bytes(32), manifest=Manifest.default(pair.public_key))
    assert store.cores() == []


@pytest.mark.parametrize("compat", [False, True])
def test_a_key_pair_makes_the_copy_of_its_core_writable(compat: bool) -> None:
    pair = KeyPair.from_seed(b"\x01" * 32)
    key = pair.public_key if compat else Manifest.default(pair.public_key).key()
    store = Corestore()
    assert not store.get(key=key).writable
    with pytest.raises(InvalidSignature):
        store.get(key=key, key_pair=KeyPair.from_seed(b"\x02" * 32))
    assert store.get(key=key, key_pair=pair).append(b"block") == 1
