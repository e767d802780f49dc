"""Proofs of storage values: what is there, what is not, and everything that proves nothing."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from node.client.state_proof import InvalidProof, verify, verify_answer
from node.rpc.state_proof import prove
from runtime.crypto import keccak256
from runtime.trie import EMPTY_ROOT, update

KEYS = st.binary(min_size=1, max_size=4)
STATES = st.dictionaries(KEYS, st.binary(min_size=1, max_size=40), max_size=12)


def build(pairs: dict[bytes, bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    made = update(lambda _: b"", EMPTY_ROOT, pairs)
    return made.root, made.new


def no_node(node_hash: bytes) -> bytes:
    raise KeyError(node_hash)


@settings(max_examples=60)
@given(STATES, KEYS)
def test_what_a_state_holds_and_does_not_hold_is_proven(pairs: dict[bytes, bytes], other: bytes) -> None:
    root, nodes = build(pairs)
    for key in [*pairs, other]:
        proof = prove(nodes.__getitem__, root, key)
        assert verify(root, key, proof) == pairs.get(key)


@settings(max_examples=30)
@given(STATES.filter(bool))
def test_proofs_are_those_of_the_ethereum_trie(pairs: dict[bytes, bytes]) -> None:
    root, nodes = build(pairs)
    ethereum = HexaryTrie({})
    for key, value in pairs.items():
        ethereum[key] = value
    assert ethereum.root_hash == root
    for key in pairs:
        proof = prove(nodes.__getitem__, root, key)
        assert HexaryTrie.get_from_proof(root, key, [rlp.decode(node) for node in proof]) == pairs[key]


STATE = {bytes([first, second]): bytes([first, second]) * 20 for first in range(5) for second in range(9)}
ROOT, NODES = build(STATE)
KEY = b"\x01\x02"
PROOF = prove(NODES.__getitem__, ROOT, KEY)


@settings(max_examples=60)
@given(st.data())
def test_a_changed_node_proves_nothing(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PROOF) - 1))
    position = data.draw(st.integers(0, len(PROOF[at]) - 1))
    changed = bytearray(PROOF[at])
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidProof, match="is not the node"):
        verify(ROOT, KEY, [*PROOF[:at], bytes(changed), *PROOF[at + 1 :]])


@pytest.mark.parametrize(
    ("root", "key", "proof", "reason"),
    [
        (ROOT, KEY, [], "ends before"),
        (ROOT, KEY, PROOF[:-1], "ends before"),
        (ROOT, KEY, PROOF[1:], "is not the node"),
        (ROOT, KEY, [*PROOF, PROOF[-1]], "does not use"),
        (ROOT, KEY, list(reversed(PROOF)), "is not the node"),
        (EMPTY_ROOT, KEY, PROOF, "does not use"),
        (keccak256(b"other"), KEY, PROOF, "is not the node"),
        (ROOT[:-1], KEY, PROOF, "32 bytes"),
        (ROOT, b"", PROOF, "1 to 511"),
        (ROOT, bytes(512), PROOF, "1 to 511"),
        (ROOT, KEY, [b""] * 2_000, "at most"),
        (ROOT, KEY, ["not bytes"], "is not the node"),
        (keccak256(b"\xc0"), KEY, [b"\xc0"], "no trie node"),
        (keccak256(b"\x01"), KEY, [b"\x01"], "no trie node"),
    ],
)
def test_what_proves_nothing_is_refused(root: bytes, key: bytes, proof: list[bytes], reason: str) -> None:
    with pytest.raises(InvalidProof, match=reason):
        verify(root, key, proof)


def hostile(node: object) -> tuple[bytes, list[bytes]]:
    encoded = rlp.encode(node)
    return keccak256(encoded), [encoded]


@pytest.mark.parametrize(
    "node",
    [
        [b"\x20", [b"list"]],
        [b"\x90", b"value"],
        [b"", b"value"],
        [b"\x01", b"value"],
        [[b"\x20"], b"value"],
        [b"\x10", [b"a", b"b", b"c"]],
        [b"\x10", b"short"],
        [b""] * 16 + [[b"list"]],
        [b"short"] * 17,
        [[b"a"]] * 17,
    ],
)
def test_a_root_over_malformed_nodes_never_crashes_the_verifier(node: object) -> None:
    root, proof = hostile(node)
    for key in (b"\x00", b"\x01\x02", b"\xff"):
        try:
            assert verify(root, key, proof) is None
        except InvalidProof:
            continue


def test_a_deeply_nested_node_is_refused() -> None:
    node = b"\xc2\x20\x01"
    for _ in range(5_000):
        size = len(node) + 1
        node = bytes([0xFA]) + size.to_bytes(3, "big") + b"\x00" + node
    with pytest.raises(InvalidProof, match="no trie node"):
        verify(keccak256(node), b"\x20", [node])


def answer(**changes: object) -> dict[str, object]:
    entry = {"key": f"0x{KEY.hex()}", "value": f"0x{STATE[KEY].hex()}", "proof": [f"0x{one.hex()}" for one in PROOF]}
    return {"stateRoot": f"0x{ROOT.hex()}", "storageProof": [{**entry, **changes}]}


def test_an_answer_is_checked_against_the_callers_root() -> None:
    assert verify_answer(answer(), ROOT) == {KEY: STATE[KEY]}
    with pytest.raises(InvalidProof):
        verify_answer(answer(), EMPTY_ROOT)


@pytest.mark.parametrize("changes", [{"value": None}, {"value": "0x00"}, {"value": 5}, {"key": None}, {"proof": None}])
def test_an_answer_that_states_something_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidProof):
        verify_answer(answer(**changes), ROOT)


@pytest.mark.parametrize("broken", [{}, {"storageProof": 1}, {"storageProof": [[]]}, {"storageProof": [None]}])
def test_what_is_no_answer_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(InvalidProof, match="no answer"):
        verify_answer(broken, ROOT)


def test_a_missing_node_is_the_provers_error() -> None:
    with pytest.raises(KeyError):
        prove(no_node, ROOT, KEY)
    assert prove(no_node, EMPTY_ROOT, KEY) == []
