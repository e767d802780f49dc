"""The Merkle value of everything that is stored below a key prefix, as `closestDescendantMerkleValue` wants it.

The chain's state is an Ethereum hexary trie, so the value is not that of Substrate's trie. It is the root node of the
trie that the entries beginning with the prefix would make by themselves, with the prefix cut off their keys: the node's
RLP when that is shorter than 32 bytes, else its Keccak-256. Two blocks have the same value exactly when all these
entries are the same, which is what the value is defined for; as in Substrate it is no proof.
"""

from collections.abc import Callable, Sequence
from typing import Any

import rlp

from runtime.crypto import keccak256
from runtime.trie import EMPTY_ROOT, decode_node

HASH_BYTES = 32
BRANCH_ITEMS = 17
GetNode = Callable[[bytes], bytes]


def closest_descendant_merkle_value(get_node: GetNode, root: bytes, prefix: bytes) -> bytes | None:
    """The Merkle value of the entries whose keys begin with `prefix`; None when there are none.

    `get_node` returns a stored node by hash and raises KeyError where it is not kept.
    """
    if root == EMPTY_ROOT:
        return None
    path = prefix.hex()
    node: Sequence[Any] = decode_node(get_node(root))
    while path:
        if len(node) == BRANCH_ITEMS:
            child: Any = node[int(path[0], 16)]
            if not child:
                return None
            path, node = path[1:], _resolve(get_node, child)
            continue
        own, is_leaf = unpack_path(node[0])
        if own.startswith(path):
            return _shortened(get_node, own[len(path) :], node[1], is_leaf)
        if is_leaf or not path.startswith(own):
            return None
        path, node = path[len(own) :], _resolve(get_node, node[1])
    return _merkle_value(node)


def _shortened(get_node: GetNode, rest: str, below: Any, is_leaf: bool) -> bytes:
    """The value of a leaf or extension of which the prefix used a part of the path."""
    if not rest and not is_leaf:
        return _merkle_value(_resolve(get_node, below))
    return _merkle_value([_pack(rest, is_leaf), below])


def _resolve(get_node: GetNode, child: Any) -> Sequence[Any]:
    """A child: the hash of a stored node, or the node itself where it is embedded."""
    if isinstance(child, bytes):
        return decode_node(get_node(child))
    embedded: Sequence[Any] = child
    return embedded


def _merkle_value(node: Sequence[Any]) -> bytes:
    encoded: bytes = rlp.encode(list(node))
    return encoded if len(encoded) < HASH_BYTES else keccak256(encoded)


def unpack_path(packed: bytes) -> tuple[str, bool]:
    """The nibbles of a hex-prefix encoded path, and whether it is a leaf's."""
    nibbles = packed.hex()
    flag = int(nibbles[0], 16)
    return nibbles[1 if flag & 1 else 2 :], flag >= 2


def _pack(nibbles: str, is_leaf: bool) -> bytes:
    flag = 2 * is_leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag}{nibbles}" if len(nibbles) % 2 else f"{flag}0{nibbles}")
