"""The Merkle value of a prefix is the root node of the trie of what is below it, as an independent trie has it."""

from __future__ import annotations

import rlp
import trie
from hypothesis import given, settings
from hypothesis import strategies as st

from node.rpc.merkle import closest_descendant_merkle_value
from runtime.crypto import keccak256
from runtime.trie import EMPTY_ROOT, update

KEYS = st.binary(min_size=1, max_size=4).map(lambda raw: bytes(byte & 0x31 for byte in raw))
VALUES = st.binary(min_size=1, max_size=40)
ENTRIES = st.dictionaries(KEYS, VALUES, max_size=12)


def stored(entries: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], bytes]:
    """The nodes and the root of the state trie of some entries."""
    made = update(lambda node_hash: b"", EMPTY_ROOT, dict(entries))
    return made.new, made.root


def merkle_value(entries: dict[bytes, bytes], prefix: bytes) -> bytes | None:
    nodes, root = stored(entries)
    return closest_descendant_merkle_value(nodes.__getitem__, root, prefix)


@given(entries=ENTRIES, prefix=st.binary(max_size=3).map(lambda raw: bytes(byte & 0x31 for byte in raw)))
@settings(max_examples=200)
def test_it_is_the_root_of_the_entries_below_alone(entries: dict[bytes, bytes], prefix: bytes) -> None:
    found = merkle_value(entries, prefix)
    below = {key[len(prefix) :]: value for key, value in entries.items() if key.startswith(prefix)}
    if not below:
        assert found is None
        return
    reference = trie.HexaryTrie({})
    for key, value in below.items():
        reference[key] = value
    encoded = rlp.encode(reference.root_node.raw)
    assert found == (encoded if len(encoded) < 32 else keccak256(encoded))


def test_an_empty_state_has_none() -> None:
    assert merkle_value({}, b"") is None
    assert merkle_value({}, b"a") is None


def test_entries_beside_the_prefix_change_nothing() -> None:
    entries = {b"ab1": b"one" * 20, b"ab2": b"two" * 20}
    alone = merkle_value(entries, b"ab")
    for key in (b"a", b"aa1", b"ac", b"b"):
        assert merkle_value({**entries, key: b"other" * 9}, b"ab") == alone


def test_every_change_below_the_prefix_shows() -> None:
    entries = {b"ab1": b"one" * 20, b"ab2": b"two" * 20}
    others = ({b"ab1": b"one" * 20}, {**entries, b"ab": b"x"}, {**entries, b"ab1": b"y"}, {**entries, b"ab11": b"z"})
    values = [merkle_value(some, b"ab") for some in (entries, *others)]
    moved = {key.replace(b"ab", b"abc"): value for key, value in entries.items()}
    assert len({*values, merkle_value(moved, b"ab")}) == len(others) + 2
