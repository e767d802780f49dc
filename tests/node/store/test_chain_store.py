"""The store keeps blocks, forks and states, folds what is old, and forgets nothing that a kept block needs."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from trie import HexaryTrie

from node.store.chain_store import ChainStore
from node.store.database import MAX_KEY_BYTES
from node.store.errors import StateUnavailable
from node.store.state import BlockState
from node.store.writer import InlineWriter, ThreadWriter
from tests.node.store.chains import NodesOf, extend, extend_fork
from tests.node.store.conftest import Changes, Model, make_block, make_genesis, read_all


async def test_a_committed_block_is_found_by_hash_and_by_number(store: ChainStore) -> None:
    block = make_block(store, store.best, {b"new": b"value"})
    await store.commit(block, best=True)
    assert store.best == block.header
    assert store.header(block.header.hash) == block.header
    assert store.body(block.header.hash) == block.extrinsics
    assert store.hash_at(1) == block.header.hash
    assert store.hash_at(0) == store.genesis_hash
    assert store.state(block.header.hash).get(b"new") == b"value"


async def test_a_block_that_is_not_best_moves_no_pointer(store: ChainStore) -> None:
    genesis = store.best
    block = make_block(store, genesis, {b"new": b"value"})
    await store.commit(block, best=False)
    assert store.best == genesis
    assert store.hash_at(1) is None
    assert store.leaves() == (block.header,)
    assert store.children(genesis.hash) == (block.header,)


async def test_forks_read_their_own_values_and_deletions(store: ChainStore) -> None:
    base = (await extend(store, 1))[0]
    left = make_block(store, base, {b"key 001": b"left", b"key 002": None}, b"left")
    right = make_block(store, base, {b"key 001": None, b"key 002": b"right"}, b"right")
    await store.commit(left, best=True)
    await store.commit(right, best=False)
    assert store.state(left.header.hash).get(b"key 001") == b"left"
    assert store.state(left.header.hash).get(b"key 002") is None
    assert store.state(right.header.hash).get(b"key 001") is None
    assert store.state(right.header.hash).get(b"key 002") == b"right"
    assert store.state(base.hash).get(b"key 001") is not None
    assert b"key 001" not in store.state(right.header.hash).keys(b"key", None, 100)


async def test_setting_another_tip_rewrites_the_canonical_index(store: ChainStore) -> None:
    base = store.best
    long = await extend(store, 3)
    other = make_block(store, base, {b"other": b"fork"}, b"other")
    await store.commit(other, best=True)
    assert [store.hash_at(number) for number in range(4)] == [base.hash, other.header.hash, None, None]
    await store.set_best(long[2].hash)
    assert [store.hash_at(number) for number in range(1, 4)] == [header.hash for header in long]


async def test_route_names_what_to_undo_and_what_to_apply(store: ChainStore) -> None:
    base = (await extend(store, 1))[0]
    left = await extend(store, 2, base)
    right = [make_block(store, base, {b"right": b"1"}, b"right")]
    await store.commit(right[0], best=False)
    route = store.route(left[1].hash, right[0].header.hash)
    assert route.retracted == (left[1], left[0])
    assert route.common == base
    assert route.enacted == (right[0].header,)


async def test_blocks_older_than_the_window_are_folded_and_their_states_end(store: ChainStore) -> None:
    headers = await extend(store, 10)
    assert store.folded == headers[5]
    assert store.state(headers[5].hash).get(b"number") == b"6"
    assert store.state(headers[9].hash).get(b"of 0") == b"x" * 40
    with pytest.raises(StateUnavailable, match="blocks 6 to 10"):
        store.state(headers[4].hash)


async def test_a_view_of_a_block_that_is_folded_over_refuses_to_answer(store: ChainStore) -> None:
    first = (await extend(store, 1))[0]
    view = store.state(first.hash)
    assert view.get(b"number") == b"1"
    await extend(store, 4)
    assert view.get(b"number") == b"1"
    await extend(store, 1)
    with pytest.raises(StateUnavailable):
        view.get(b"number")


async def test_forks_beside_the_folded_block_are_given_up(store: ChainStore) -> None:
    base = (await extend(store, 1))[0]
    fork = await extend_fork(store, base, 2)
    best = await extend(store, 3, base)
    assert store.header(fork[1].hash) is not None
    await extend(store, 2, best[-1])
    assert store.header(fork[0].hash) is None
    assert store.header(fork[1].hash) is None
    assert store.body(fork[1].hash) is None
    with pytest.raises(StateUnavailable):
        store.state(fork[1].hash)


@pytest.mark.parametrize("seed", range(6))
async def test_random_chains_with_forks_match_the_model_and_the_reference_trie(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    store = ChainStore.open(tmp_path, window_blocks=3, writer=InlineWriter())
    model = Model()
    genesis = make_genesis()
    store.put_genesis(genesis)
    model.genesis(genesis)
    for step in range(60):
        candidates = [header for header in (store.folded, *store.leaves(), store.best) if store.has_state(header.hash)]
        parent = chance.choice(candidates)
        keys = [b"key %03d" % chance.randrange(40) for _ in range(6)]
        changes: Changes = {
            key: None if chance.random() < 0.3 else b"value %d" % chance.randrange(3) * 6 for key in keys
        }
        block = make_block(store, parent, changes, b"%d" % step)
        await store.commit(block, best=block.header.number > store.best.number)
        model.block(block)
        if step % 10 == 9:
            store.close()
            store = ChainStore.open(tmp_path, window_blocks=3, writer=InlineWriter())
        for header in (store.folded, *store.leaves()):
            pairs = read_all(store, header.hash)
            assert pairs == model.states[header.hash]
            reader = HexaryTrie(NodesOf(store), header.state_root)
            assert all(reader.get(key) == value for key, value in pairs.items())
            rebuilt = HexaryTrie({})
            for key, value in pairs.items():
                rebuilt.set(key, value)
            assert rebuilt.root_hash == header.state_root
    store.close()


async def test_reopening_finds_everything_where_it_was(tmp_path: Path) -> None:
    store = ChainStore.open(tmp_path, window_blocks=3, writer=InlineWriter())
    store.put_genesis(make_genesis())
    headers = await extend(store, 7)
    fork = make_block(store, headers[4], {b"fork": b"value"}, b"fork")
    await store.commit(fork, best=False)
    await store.finalize(headers[5].hash)
    states = {header.hash: read_all(store, header.hash) for header in (*headers[3:], fork.header)}
    store.close()
    again = ChainStore.open(tmp_path, window_blocks=3, writer=InlineWriter())
    assert (again.best, again.finalized, again.folded) == (headers[6], headers[5], headers[3])
    assert again.genesis_hash == store.genesis_hash
    assert set(again.leaves()) == {headers[6], fork.header}
    for block_hash, state in states.items():
        assert read_all(again, block_hash) == state
    again.close()


async def test_keys_are_paged_in_order_over_table_and_layers(store: ChainStore) -> None:
    await store.commit(make_block(store, store.best, {b"key 0005": b"between", b"key 006": None}), best=True)
    view = store.state(store.best.hash)
    assert view.keys(b"key 00", b"key 000", 4) == [b"key 0005", b"key 001", b"key 002", b"key 003"]
    assert view.keys(b"key 00", b"key 005", 2) == [b"key 007", b"key 008"]
    assert view.keys(b"key 02", b"key 00", 100) == [b"key 02%d" % index for index in range(10)]
    assert view.keys(b"nothing", None, 10) == []
    assert view.keys(b"key", None, 0) == []
    assert view.keys(b"key", b"z", 10) == []
    assert view.keys(b"key 029", b"key 029" + b"\x00" * MAX_KEY_BYTES, 10) == []


async def test_a_key_that_no_table_could_hold_reads_as_absent(store: ChainStore) -> None:
    view = store.state(store.best.hash)
    assert view.get(b"") is None
    assert view.get(b"k" * (MAX_KEY_BYTES + 1)) is None


async def test_readers_beside_a_write_get_the_right_value_or_a_refusal(tmp_path: Path) -> None:
    chance = random.Random(3)
    model = Model()

    class WatchedWriter:
        async def run(self, job: Callable[[], None]) -> None:
            self.read_all()
            job()
            self.read_all()

        def read_all(self) -> None:
            for view in views:
                expected = model.states[view.block_hash]
                for key in (b"key 001", b"key 002", b"key 003", b"number"):
                    with contextlib.suppress(StateUnavailable):
                        assert view.get(key) == expected.get(key)
                        answered.add(view.block_hash)
            for block_hash, expected in model.states.items():
                if store.has_state(block_hash):
                    assert store.state(block_hash).get(b"key 001") == expected.get(b"key 001")

    views: list[BlockState] = []
    answered: set[bytes] = set()
    store = ChainStore.open(tmp_path, window_blocks=2, writer=WatchedWriter())
    genesis = make_genesis()
    store.put_genesis(genesis)
    model.genesis(genesis)
    views.append(store.state(store.genesis_hash))
    for step in range(40):
        parent = chance.choice([store.best, store.best, store.folded, *store.leaves()])
        key = b"key %03d" % chance.randrange(1, 4)
        block = make_block(store, parent, {key: b"%d" % step, b"number": b"%d" % step}, b"%d" % step)
        model.block(block)
        await store.commit(block, best=block.header.number > store.best.number)
        views.append(store.state(block.header.hash))
    assert len(answered) > 20
    store.close()


async def test_writes_work_beside_the_event_loop(tmp_path: Path) -> None:
    store = ChainStore.open(tmp_path, window_blocks=2, writer=ThreadWriter())
    store.put_genesis(make_genesis())
    headers = await extend(store, 5)
    assert store.folded == headers[2]
    assert store.state(headers[-1].hash).get(b"number") == b"5"
    store.close()
