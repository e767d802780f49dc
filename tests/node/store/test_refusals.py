"""What the store does not write, and which databases it does not open."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.store.chain_store import ChainStore
from node.store.database import MAX_KEY_BYTES
from node.store.errors import StateUnavailable, StoreCorrupt, StoreError, StoreLocked, UnknownBlock
from node.store.writer import InlineWriter
from runtime.header import Header
from runtime.trie import EMPTY_ROOT
from tests.node.store.chains import extend, extend_fork
from tests.node.store.conftest import make_block, make_genesis, read_all


async def test_a_key_longer_than_the_database_takes_is_refused_before_anything_is_written(store: ChainStore) -> None:
    block = make_block(store, store.best, {b"k" * (MAX_KEY_BYTES + 1): b"value"})
    with pytest.raises(StoreError, match="512 bytes"):
        await store.commit(block, best=True)
    assert store.header(block.header.hash) is None


async def test_a_block_is_committed_once(store: ChainStore) -> None:
    block = make_block(store, store.best, {b"new": b"value"})
    await store.commit(block, best=True)
    with pytest.raises(StoreError, match="already"):
        await store.commit(block, best=True)


async def test_a_block_on_an_unknown_or_folded_parent_is_refused(store: ChainStore) -> None:
    headers = await extend(store, 6)
    stranger = Header(b"\x07" * 32, 5, EMPTY_ROOT, EMPTY_ROOT)
    for parent in (stranger, headers[0]):
        block = make_block(store, headers[-1], {b"new": b"value"})
        orphan = Header(parent.hash, parent.number + 1, block.header.state_root, EMPTY_ROOT)
        with pytest.raises(StateUnavailable):
            await store.commit(type(block)(orphan, (), block.changes, block.trie, ()), best=True)


async def test_only_a_block_of_the_best_chain_can_be_finalized(store: ChainStore) -> None:
    base = (await extend(store, 1))[0]
    await extend(store, 2)
    fork = (await extend_fork(store, base, 1))[0]
    with pytest.raises(StoreError, match="best chain"):
        await store.finalize(fork.hash)
    with pytest.raises(UnknownBlock):
        await store.finalize(b"\x09" * 32)
    assert store.finalized.number == 0


async def test_the_best_chain_cannot_leave_the_finalized_block(store: ChainStore) -> None:
    base = (await extend(store, 1))[0]
    tip = (await extend(store, 1))[0]
    fork = (await extend_fork(store, base, 2))[1]
    await store.finalize(tip.hash)
    with pytest.raises(StoreError, match="finalized"):
        await store.set_best(fork.hash)
    assert store.best == tip


async def test_a_failed_write_leaves_the_store_as_it_was(store: ChainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await extend(store, 5)
    state = read_all(store, store.folded.hash)
    block = make_block(store, store.best, {b"new": b"value"})

    async def failing(self: InlineWriter, job: object) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(InlineWriter, "run", failing)
        with pytest.raises(StoreError, match="no room"):
            await store.commit(block, best=True)
    assert store.best == headers[-1]
    assert read_all(store, store.folded.hash) == state
    assert not store.has_state(block.header.hash)
    await store.commit(block, best=True)
    assert store.best == block.header


async def test_a_full_database_says_so_and_stays_usable(tmp_path: Path) -> None:
    store = ChainStore.open(tmp_path, writer=InlineWriter(), map_size_bytes=1 << 18)
    store.put_genesis(make_genesis())
    big = make_block(store, store.best, {b"big %d" % index: b"x" * 4000 for index in range(100)})
    with pytest.raises(StoreError, match="full"):
        await store.commit(big, best=True)
    await store.commit(make_block(store, store.best, {b"small": b"value"}), best=True)
    assert store.best.number == 1
    store.close()


def test_a_second_opening_is_refused_in_one_sentence(store: ChainStore) -> None:
    with pytest.raises(StoreLocked, match=r"in use by process \d+"):
        ChainStore.open(store._database.path)


def test_an_empty_store_says_that_it_is_empty(tmp_path: Path) -> None:
    store = ChainStore.open(tmp_path)
    assert store.is_empty
    with pytest.raises(StoreError, match="genesis"):
        _ = store.best
    store.close()


def test_a_second_genesis_is_refused(store: ChainStore) -> None:
    with pytest.raises(StoreError, match="already has a genesis"):
        store.put_genesis(make_genesis({b"other": b"state"}))


def test_a_database_of_another_layout_is_refused(tmp_path: Path) -> None:
    store = ChainStore.open(tmp_path)
    with store._database.write() as txn:
        txn.put(b"schema", b"99", db=store._database.tables["meta"])
    store.close()
    with pytest.raises(StoreCorrupt, match="layout 99"):
        ChainStore.open(tmp_path)


@pytest.mark.parametrize(("table", "message"), [("journal", "not in the journal"), ("headers", "lacks the header")])
async def test_a_database_that_lacks_a_part_is_refused(tmp_path: Path, table: str, message: str) -> None:
    store = ChainStore.open(tmp_path, window_blocks=2, writer=InlineWriter())
    store.put_genesis(make_genesis())
    await extend(store, 1)
    with store._database.write() as txn:
        txn.drop(store._database.tables[table], delete=False)
    store.close()
    with pytest.raises(StoreCorrupt, match=message):
        ChainStore.open(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreCorrupt):
        ChainStore.open(tmp_path)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be used"):
        ChainStore.open(tmp_path / "file")
