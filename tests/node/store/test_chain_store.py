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
from node.store.errors import StateUnavailable, StoreCorrupt, StoreError, StoreLocked, UnknownBlock
from node.store.state import BlockState
from node.store.writer import InlineWriter, ThreadWriter
from runtime.header import Header
from runtime.trie import EMPTY_ROOT
from tests.node.store.conftest import Changes, Model, make_block, make_genesis, read_all


async def extend(store: ChainStore, count: int, start: Header | None = None, *, best: bool = True) -> list[Header]:
    headers = []
    parent = start or store.best
    for _ in range(count):
        block = make_block(store, parent, {b"number": b"%d" % (parent.number + 1), b"of %d" % parent.number: b"x" * 40})
        await store.commit(block, best=best)
        parent = block.header
        headers.append(parent)
    return headers


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


async def extend_fork(store: ChainStore, parent: Header, count: int) -> list[Header]:
    headers = []
    for _ in range(count):
        block = make_block(store, parent, {b"fork": b"f" * 40}, b"fork")
        await store.commit(block, best=False)
        parent = block.header
        headers.append(parent)
    return headers


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


class NodesOf(dict[bytes, bytes]):
    """The store's nodes as the mapping that HexaryTrie reads."""

    def __init__(self, store: ChainStore) -> None:
        super().__init__()
        self.store = store

    def __contains__(self, key: object) -> bool:
        try:
            self.store.get_node(key)  # type: ignore[arg-type]
        except KeyError:
            return False
        return True

    def __getitem__(self, key: bytes) -> bytes:
        return self.store.get_node(key)


async def count_nodes(store: ChainStore) -> int:
    return len(store._database.items("nodes"))


@pytest.mark.parametrize(("archive", "grows"), [(False, False), (True, True)])
async def test_dead_nodes_are_erased_a_window_later_unless_archiving(
    tmp_path: Path, archive: bool, grows: bool
) -> None:
    store = ChainStore.open(tmp_path, window_blocks=2, archive=archive, writer=InlineWriter())
    store.put_genesis(make_genesis())
    sizes = []
    for round_number in range(40):
        block = make_block(store, store.best, {b"key 001": b"%d" % round_number * 40}, b"%d" % round_number)
        await store.commit(block, best=True)
        sizes.append(await count_nodes(store))
    assert (sizes[-1] > sizes[10]) is grows
    store.close()


async def test_nodes_of_forks_that_were_given_up_are_erased(tmp_path: Path) -> None:
    plain = ChainStore.open(tmp_path / "plain", window_blocks=2, writer=InlineWriter())
    forked = ChainStore.open(tmp_path / "forked", window_blocks=2, writer=InlineWriter())
    for store in (plain, forked):
        store.put_genesis(make_genesis())
    fork_parent = forked.best
    for index in range(3):
        block = make_block(forked, fork_parent, {b"fork": b"%d" % index * 50, b"key 003": None}, b"fork")
        await forked.commit(block, best=False)
        fork_parent = block.header
    for store in (plain, forked):
        await extend(store, 12)
    assert forked._database.items("nodes") == plain._database.items("nodes")
    assert not [key for key, _ in forked._database.items("journal") if key[:8] < (11).to_bytes(8, "big")]
    plain.close()
    forked.close()


async def test_a_value_that_comes_and_goes_keeps_its_nodes(tmp_path: Path) -> None:
    store = ChainStore.open(tmp_path, window_blocks=2, writer=InlineWriter())
    store.put_genesis(make_genesis())
    for step in range(20):
        value = [b"on" * 30, None, b"off" * 30][step % 3]
        block = make_block(store, store.best, {b"switch": value, b"switch beside": b"on" * 30}, b"%d" % step)
        await store.commit(block, best=True)
        reader = HexaryTrie(NodesOf(store), store.best.state_root)
        assert reader.get(b"switch") == (value or b"")
        folded = HexaryTrie(NodesOf(store), store.folded.state_root)
        assert folded.get(b"switch") == (store.state(store.folded.hash).get(b"switch") or b"")
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
