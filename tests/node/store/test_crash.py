"""Kill the process anywhere: the store opens at a block, with all that was acknowledged and nothing in between."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from trie import HexaryTrie

from node.store.chain_store import ChainStore
from tests.node.store.conftest import GENESIS_STATE, read_all
from tests.node.store.crash_child import WINDOW_BLOCKS, changes_of, open_store

ROUNDS = 8
ROOT = Path(__file__).parents[3]


def run_until_killed(path: Path, acknowledged: int) -> int:
    """Start the writer, kill it in full flight after it acknowledged so many blocks; the last number it said."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.node.store.crash_child", str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    last = 0
    for _ in range(acknowledged):
        last = int(child.stdout.readline())
    child.kill()
    rest = child.stdout.read().split("\n")[:-1]
    child.stdout.close()
    child.wait()
    return int(rest[-1]) if rest else last


def expected_state(number: int) -> dict[bytes, bytes]:
    state = {key: value for key, value in GENESIS_STATE.items() if value is not None}
    for one in range(1, number + 1):
        for key, value in changes_of(one).items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
    return state


def check_everything(store: ChainStore) -> None:
    best = store.best
    assert store.folded.number == max(best.number - WINDOW_BLOCKS, 0)
    for number in range(store.folded.number, best.number + 1):
        block_hash = store.hash_at(number)
        assert block_hash is not None
        header = store.header(block_hash)
        assert header is not None
        state = read_all(store, block_hash)
        assert state == expected_state(number)
        nodes: dict[bytes, bytes] = {}
        collect_nodes(store, header.state_root, nodes)
        reader = HexaryTrie(nodes, header.state_root)
        assert all(reader.get(key) == value for key, value in state.items())
    for number in range(best.number + 1):
        block_hash = store.hash_at(number)
        assert block_hash is not None
        assert store.body(block_hash) is not None
    assert store.hash_at(best.number + 1) is None
    assert {header.number for header in store.leaves()} <= set(range(store.folded.number, best.number + 2))


def collect_nodes(store: ChainStore, root: bytes, found: dict[bytes, bytes]) -> None:
    """Every node below a root, which must all be there."""
    pending = [root]
    while pending:
        node_hash = pending.pop()
        try:
            data = store.get_node(node_hash)
        except KeyError:
            # Thirty-two bytes inside a node may be a value instead of a hash; the reader fails if it was a hash.
            continue
        if node_hash not in found:
            found[node_hash] = data
            pending.extend(data[at : at + 32] for at in range(len(data) - 31))


def test_a_killed_writer_leaves_a_block_and_nothing_in_between(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(ROUNDS):
        acknowledged = run_until_killed(tmp_path, chance.randrange(1, 12))
        store = open_store(tmp_path)
        assert acknowledged <= store.best.number <= acknowledged + 1
        check_everything(store)
        store.close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    run_until_killed(tmp_path, 1)
    store = open_store(tmp_path)
    assert store.best.number >= 1
    store.close()
