"""Checks proofs of storage values, as `datdot_getProof` gives them, against a state root that is trusted.

The state of a block is a Merkle Patricia trie as Ethereum has it (Yellow Paper, appendix D: Keccak-256, RLP,
hex-prefix paths) over the raw storage keys and values, so `eth_getProof` tools check the same nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.crypto import keccak256
from runtime.trie import BRANCH_ITEMS, EMPTY_ROOT, HASH_BYTES, VALUE_SLOT, TrieError, decode_node

MAX_PROOF_NODES: Final = 1_024
MAX_KEY_BYTES: Final = 511


class InvalidProof(ValueError):
    """A proof does not prove anything about the key under this root; the text says where it breaks."""


def verify(state_root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value that a state holds under a key, None when it is proven to hold none. Raises InvalidProof.

    `proof` are the encoded nodes on the way from the root to the key, in order, and no others.
    """
    if len(state_root) != HASH_BYTES:
        raise InvalidProof(f"a state root has {HASH_BYTES} bytes, not {len(state_root)}")
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise InvalidProof(f"a storage key has 1 to {MAX_KEY_BYTES} bytes, not {len(key)}")
    if len(proof) > MAX_PROOF_NODES:
        raise InvalidProof(f"a proof has at most {MAX_PROOF_NODES} nodes, not {len(proof)}")
    walk = _Walk(proof)
    value = None if state_root == EMPTY_ROOT else walk.find(state_root, key.hex())
    if walk.used != len(proof):
        raise InvalidProof(f"the proof has {len(proof) - walk.used} nodes that the way to the key does not use")
    return value


def verify_answer(answer: Mapping[str, Any], state_root: bytes) -> dict[bytes, bytes | None]:
    """All values of a `datdot_getProof` answer by key, each proven. Raises InvalidProof, also for what is no answer.

    What the answer says of its block and root is not believed: `state_root` is from a header that the caller trusts.
    """
    try:
        parts = [(_bytes(one["key"]), one["value"], [_bytes(node) for node in one["proof"]]) for one in
                 answer["storageProof"]]  # fmt: skip
        stated = {key: None if value is None else _bytes(value) for key, value, _ in parts}
    except (TypeError, KeyError, ValueError, AttributeError):
        raise InvalidProof("this is no answer of datdot_getProof") from None
    proven = {key: verify(state_root, key, nodes) for key, _, nodes in parts}
    for key, value in proven.items():
        if stated[key] != value:
            raise InvalidProof(f"the value stated for 0x{key.hex()} is not the one that is proven")
    return proven


class _Walk:
    """The way down; every node must hash to what its parent (or the root) says before it is looked at."""

    def __init__(self, proof: Sequence[bytes]) -> None:
        self._proof = proof
        self.used = 0

    def find(self, root: bytes, path: str) -> bytes | None:
        child: Any = root
        while child:
            node = self._open(child)
            if len(node) == BRANCH_ITEMS:
                if not path:
                    return _value(node[VALUE_SLOT])
                child, path = node[int(path[0], 16)], path[1:]
                continue
            own, is_leaf = _unpack(node[0])
            if is_leaf:
                return _value(node[1]) if own == path else None
            if not path.startswith(own):
                return None
            path, child = path[len(own) :], node[1]
        return None

    def _open(self, child: Any) -> Sequence[Any]:
        if isinstance(child, list):
            if len(child) not in (2, BRANCH_ITEMS):
                raise InvalidProof(f"node {self.used} embeds a list that is no trie node")
            return child
        if len(child) != HASH_BYTES:
            raise InvalidProof(f"node {self.used} names a child that is no hash")
        if self.used == len(self._proof):
            raise InvalidProof(f"the proof ends before the key is reached: node 0x{child.hex()} is missing")
        encoded = self._proof[self.used]
        if not isinstance(encoded, bytes) or keccak256(encoded) != child:
            raise InvalidProof(f"node {self.used} of the proof is not the node 0x{child.hex()}")
        self.used += 1
        try:
            return decode_node(encoded)
        except (TrieError, RecursionError):
            raise InvalidProof(f"node {self.used - 1} is no trie node") from None


def _value(value: Any) -> bytes | None:
    if not isinstance(value, bytes):
        raise InvalidProof("a node of the proof has a list in place of a value")
    return value or None


def _unpack(packed: Any) -> tuple[str, bool]:
    """The nibbles of a hex-prefix encoded path, and whether it is a leaf's."""
    nibbles = packed.hex() if isinstance(packed, bytes) else ""
    if not nibbles or nibbles[0] not in "0123" or (nibbles[0] in "02" and nibbles[1] != "0"):
        raise InvalidProof("a node of the proof has a path that is not hex-prefix encoded")
    flag = int(nibbles[0])
    return nibbles[1 if flag & 1 else 2 :], flag >= 2


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
