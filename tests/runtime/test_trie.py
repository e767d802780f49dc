"""The batch trie against `trie.HexaryTrie`, an independent implementation of the same structure."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from runtime.crypto import keccak256
from runtime.trie import EMPTY_ROOT, TrieError, TrieUpdate, decode_node, root_of_list, update

Changes = dict[bytes, bytes | None]


class NodeTable:
    """Nodes with the number of places each has in the current trie; a node without a place is erased at once."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.places: Counter[bytes] = Counter()
        self.root = EMPTY_ROOT

    def get(self, node_hash: bytes) -> bytes:
        return self.nodes[node_hash]

    def apply(self, changes: Changes) -> TrieUpdate:
        result = update(self.get, self.root, changes)
        assert set(result.places) == set(result.new) | result.dead
        for node_hash, data in result.new.items():
            assert keccak256(data) == node_hash
            self.nodes[node_hash] = data
        for node_hash, change in result.places.items():
            self.places[node_hash] += change
            assert self.places[node_hash] >= 0
            if not self.places[node_hash]:
                del self.nodes[node_hash]
        self.root = result.root
        return result


def oracle_root(pairs: dict[bytes, bytes]) -> bytes:
    trie = HexaryTrie({})
    for key, value in pairs.items():
        trie.set(key, value)
    return bytes(trie.root_hash)


def run_batches(batches: list[Changes]) -> None:
    table = NodeTable()
    oracle = HexaryTrie({})
    pairs: dict[bytes, bytes] = {}
    for changes in batches:
        table.apply(changes)
        for key, value in changes.items():
            if value is None:
                oracle.delete(key)
                pairs.pop(key, None)
            else:
                oracle.set(key, value)
                pairs[key] = value
        assert table.root == oracle.root_hash
        # Every erased node was really unused, and nothing unused was kept.
        rebuilt = NodeTable()
        rebuilt.apply(dict(pairs))
        assert rebuilt.root == table.root
        assert rebuilt.nodes == table.nodes
        reader = HexaryTrie(dict(table.nodes), table.root)
        for key, value in pairs.items():
            assert reader.get(key) == value


short_keys = st.binary(min_size=0, max_size=3)
dense_keys = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11]), max_size=4).map(bytes)
map_prefixes = st.sampled_from([b"\x01" * 32, b"\x01" * 31 + b"\x02", b"\x99" * 32])
storage_keys = st.tuples(map_prefixes, st.integers(0, 40)).map(lambda pair: pair[0] + keccak256(bytes([pair[1]]))[:20])
values = st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"v" * 31, b"w" * 32, b"x" * 80]))


@pytest.mark.parametrize("keys", [short_keys, dense_keys, storage_keys], ids=["short", "dense", "storage"])
def test_root_equals_the_reference_and_only_used_nodes_remain(keys: st.SearchStrategy[bytes]) -> None:
    batch = st.dictionaries(keys, st.one_of(st.none(), values), max_size=25)

    @settings(max_examples=120)
    @given(st.lists(batch, min_size=1, max_size=5))
    def check(batches: list[Changes]) -> None:
        run_batches(batches)

    check()


def test_equal_subtrees_in_two_places_share_nodes_and_survive_the_loss_of_one() -> None:
    suffixes = [keccak256(bytes([index])) for index in range(40)]
    first, second = b"\x01" * 16, b"\x02" * 16
    both: Changes = {prefix + suffix: b"granted" * 6 for prefix in (first, second) for suffix in suffixes}
    drop_first: Changes = {first + suffix: None for suffix in suffixes[:39]}
    run_batches([both, drop_first, {first + suffixes[39]: None}, {second + suffixes[0]: None}])
    table = NodeTable()
    result = table.apply(both)
    assert any(count > 1 for count in result.places.values())


def test_one_key_may_be_a_prefix_of_many_others() -> None:
    chain: Changes = {b"\xab" * length: bytes([length + 1]) * 40 for length in range(64)}
    run_batches([chain, {b"\xab" * 10: None, b"\xab" * 63: None}, dict.fromkeys(chain)])


def test_deleting_everything_returns_to_the_empty_root_with_no_nodes_left() -> None:
    table = NodeTable()
    keys = [keccak256(bytes([index])) for index in range(200)]
    table.apply({key: key for key in keys})
    table.apply(dict.fromkeys(keys))
    assert table.root == EMPTY_ROOT
    assert not table.nodes


def test_every_subset_of_four_crossing_keys_collapses_to_its_own_root() -> None:
    keys = [b"\x12\x34", b"\x12\x35", b"\x12", b"\x13\x34\x56"]
    everything: Changes = dict.fromkeys(keys, b"long enough to be stored alone..")
    for kept in product([True, False], repeat=4):
        table = NodeTable()
        table.apply(everything)
        table.apply({key: None for key, keep in zip(keys, kept, strict=True) if not keep})
        expected = {key: b"long enough to be stored alone.." for key, keep in zip(keys, kept, strict=True) if keep}
        assert table.root == oracle_root(expected)


@pytest.mark.parametrize(
    "changes",
    [{}, {b"absent": None}, {b"key": b"value"}, {b"key" + b"longer": None, b"k": None}, {b"\x00": None, b"\xff": None}],
)
def test_changes_that_change_nothing_give_the_same_root_and_no_nodes(changes: Changes) -> None:
    table = NodeTable()
    table.apply({b"key": b"value", b"kex": b"other", b"": b"at the root"})
    assert update(table.get, table.root, changes) == TrieUpdate(table.root, {}, frozenset(), {})


def test_a_node_put_back_in_the_same_batch_is_neither_new_nor_dead() -> None:
    table = NodeTable()
    keys = [keccak256(bytes([index])) for index in range(50)]
    table.apply({key: key for key in keys})
    before = dict(table.nodes)
    first = table.apply({keys[0]: b"changed" * 5})
    second = table.apply({keys[0]: keys[0]})
    assert table.nodes == before
    assert first.dead == frozenset(second.new)


def test_each_touched_node_is_read_once() -> None:
    table = NodeTable()
    keys = [keccak256(index.to_bytes(2, "big")) for index in range(500)]
    table.apply({key: key for key in keys})
    reads: Counter[bytes] = Counter()

    def counting(node_hash: bytes) -> bytes:
        reads[node_hash] += 1
        return table.nodes[node_hash]

    update(counting, table.root, dict.fromkeys(keys, b"next" * 9))
    assert set(reads.values()) == {1}


def test_reference_proofs_verify_over_our_nodes() -> None:
    table = NodeTable()
    pairs = {b"\x26" * 32 + keccak256(bytes([index])): bytes([index + 1]) * 50 for index in range(120)}
    table.apply(dict(pairs))
    reader = HexaryTrie(dict(table.nodes), table.root)
    for key in [*list(pairs)[:10], b"\x26" * 32 + b"absent"]:
        proof = reader.get_proof(key)
        assert HexaryTrie.get_from_proof(table.root, key, proof) == pairs.get(key, b"")


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 300])
def test_root_of_list_is_the_trie_of_rlp_indices(count: int) -> None:
    items = [b"extrinsic %d" % index * 5 for index in range(count)]
    assert root_of_list(items) == oracle_root({rlp.encode(index): item for index, item in enumerate(items)})


def test_order_of_a_list_changes_its_root() -> None:
    assert root_of_list([b"first", b"second"]) != root_of_list([b"second", b"first"])


def test_an_empty_value_is_refused_and_its_key_named() -> None:
    with pytest.raises(ValueError, match="0xbeef"):
        update({}.__getitem__, EMPTY_ROOT, {b"\xbe\xef": b""})


def test_an_empty_item_of_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        root_of_list([b"full", b""])


def test_a_missing_node_passes_the_error_of_the_store_through() -> None:
    with pytest.raises(KeyError):
        update({}.__getitem__, b"\x11" * 32, {b"key": b"value"})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        rlp.encode(b"not a list"),
        rlp.encode([b"one"]),
        rlp.encode([b""] * 16),
        rlp.encode([b"\x20", b"value"]) + b"\x00",
        rlp.encode([b"\x20", b"value"])[:-1],
        b"\xc2\xa0\x01",
        b"\xf9\x02",
        b"\xf8",
        b"\xc3\x83ab",
    ],
)
def test_a_damaged_node_is_refused(data: bytes) -> None:
    with pytest.raises(TrieError):
        decode_node(data)


@pytest.mark.parametrize("path", [b"", b"\x40", b"\x21", b"\x01\x23"])
def test_a_damaged_path_is_refused(path: bytes) -> None:
    node = rlp.encode([path, b"value of a leaf that is long enough"])
    with pytest.raises(TrieError, match="path"):
        update(lambda _hash: node, b"\x11" * 32, {b"key": b"value"})


@given(
    st.lists(
        st.one_of(st.just(b""), st.binary(min_size=32, max_size=32), st.binary(max_size=80)), min_size=17, max_size=17
    )
)
def test_nodes_decode_like_the_general_codec(items: list[bytes]) -> None:
    decoded: list[Any] = decode_node(rlp.encode(items))
    assert decoded == items
