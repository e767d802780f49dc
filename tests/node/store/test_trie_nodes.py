"""The store erases trie nodes that no kept block needs, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from trie import HexaryTrie

from node.store.chain_store import ChainStore
from node.store.writer import InlineWriter
from tests.node.store.chains import NodesOf, extend
from tests.node.store.conftest import make_block, make_genesis


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
