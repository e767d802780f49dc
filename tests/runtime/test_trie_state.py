"""A state read from its trie answers as the dictionary that the trie was made of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.state import DictState
from runtime.trie import EMPTY_ROOT, update
from runtime.trie_state import TrieState

KEYS = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.lists(st.sampled_from([b"\0", b"\1", b"\x10", b"\x11", b"\xff"]), min_size=1, max_size=6).map(b"".join),
)
PAIRS = st.dictionaries(KEYS, st.binary(min_size=1, max_size=40), max_size=30)


def trie_of(pairs: dict[bytes, bytes]) -> tuple[TrieState, dict[bytes, bytes]]:
    made = update({}.__getitem__, EMPTY_ROOT, dict(pairs))
    nodes = dict(made.new)
    return TrieState(nodes.__getitem__, made.root), nodes


@settings(max_examples=150)
@given(pairs=PAIRS, others=st.lists(KEYS, max_size=5))
def test_every_key_has_its_value_and_others_have_none(pairs: dict[bytes, bytes], others: list[bytes]) -> None:
    view, _ = trie_of(pairs)
    for key in (*pairs, *others, b""):
        assert view.get(key) == pairs.get(key)


@settings(max_examples=150)
@given(
    pairs=PAIRS,
    prefix=st.one_of(st.just(b""), KEYS.map(lambda key: key[:2])),
    start=st.none() | KEYS | st.just(b""),
    limit=st.integers(0, 40),
)
def test_keys_come_in_order_after_the_start(
    pairs: dict[bytes, bytes], prefix: bytes, start: bytes | None, limit: int
) -> None:
    view, _ = trie_of(pairs)
    assert view.keys(prefix, start, limit) == DictState(pairs).keys(prefix, start, limit)


def test_a_page_opens_only_the_nodes_on_its_way() -> None:
    view, nodes = trie_of({number.to_bytes(2, "big"): b"value" * 10 for number in range(4_096)})
    opened: list[bytes] = []

    def counted(node_hash: bytes) -> bytes:
        opened.append(node_hash)
        return nodes[node_hash]

    page = TrieState(counted, view._root).keys(b"", (2_000).to_bytes(2, "big"), 16)
    assert page == [number.to_bytes(2, "big") for number in range(2_001, 2_017)]
    assert len(opened) < 60


def test_a_node_that_is_not_kept_is_an_error() -> None:
    view, nodes = trie_of({b"key": b"value" * 10})
    nodes.clear()
    for read in (lambda: view.get(b"key"), lambda: view.keys(b"", None, 1)):
        with pytest.raises(KeyError):
            read()
