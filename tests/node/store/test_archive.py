"""A store that archives answers for every state since it began to; another one only for its window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.store.chain_store import ChainStore
from node.store.errors import StateUnavailable
from node.store.writer import InlineWriter
from tests.node.store.chains import extend, extend_fork
from tests.node.store.conftest import Model, make_block, make_genesis, read_all

WINDOW = 3


@contextmanager
def opened(path: Path, *, archive: bool) -> Iterator[ChainStore]:
    store = ChainStore.open(path, window_blocks=WINDOW, archive=archive, writer=InlineWriter())
    try:
        if store.is_empty:
            store.put_genesis(make_genesis())
        yield store
    finally:
        store.close()


async def test_every_state_of_an_archive_is_read_as_it_was(tmp_path: Path) -> None:
    model = Model()
    model.genesis(make_genesis())
    with opened(tmp_path, archive=True) as store:
        for number in range(12):
            changes = {b"number": b"%d" % number, b"key 00%d" % (number % 5): None if number % 3 else b"v" * 50}
            block = make_block(store, store.best, changes)
            model.block(block)
            await store.commit(block, best=True)
    with opened(tmp_path, archive=True) as store:
        for block_hash, state in model.states.items():
            assert store.can_read(block_hash)
            assert read_all(store, block_hash) == state


async def test_nothing_can_be_built_on_an_archived_state(tmp_path: Path) -> None:
    with opened(tmp_path, archive=True) as store:
        genesis = store.best
        await extend(store, 10)
        assert store.can_read(genesis.hash)
        assert not store.has_state(genesis.hash)
        with pytest.raises(StateUnavailable, match="blocks 7 to 10"):
            await store.commit(make_block(store, genesis, {b"late": b"fork"}), best=False)
        with pytest.raises(StateUnavailable, match="blocks 7 to 10"):
            await store.set_best(genesis.hash)


async def test_an_archive_that_begins_late_says_what_it_keeps(tmp_path: Path) -> None:
    with opened(tmp_path, archive=False) as store:
        first = await extend(store, 8)
    with opened(tmp_path, archive=True) as store:
        await extend(store, 8)
        assert store.state(first[4].hash).get(b"number") == b"5"
        assert not store.can_read(first[3].hash)
        with pytest.raises(StateUnavailable, match="blocks 5 to 16"):
            store.state(first[3].hash)


async def test_opening_without_it_ends_an_archive(tmp_path: Path) -> None:
    with opened(tmp_path, archive=True) as store:
        headers = await extend(store, 8)
    with opened(tmp_path, archive=False) as store, pytest.raises(StateUnavailable, match="blocks 5 to 8"):
        store.state(headers[0].hash)
    with opened(tmp_path, archive=True) as store:
        assert not store.can_read(headers[0].hash)
        assert store.can_read(headers[4].hash)


async def test_forks_that_were_given_up_are_not_archived(tmp_path: Path) -> None:
    with opened(tmp_path, archive=True) as store:
        base = (await extend(store, 1))[0]
        fork = await extend_fork(store, base, 2)
        await extend(store, 8, base)
        assert store.can_read(base.hash)
        assert not store.can_read(fork[0].hash)
        assert not store.can_read(bytes(32))
