"""Proofs of storage values: the nodes of the state trie from its root to a key, as `eth_getProof` gives them.

`node.client.state_proof` checks them against a state root.
"""

from collections.abc import Callable, Sequence
from typing import Any

from node.rpc.merkle import BRANCH_ITEMS, unpack_path
from runtime.trie import EMPTY_ROOT, decode_node

GetNode = Callable[[bytes], bytes]


def prove(get_node: GetNode, root: bytes, key: bytes) -> list[bytes]:
    """The encoded nodes on the way to a key, root first; the last one holds the value or shows that there is none.

    Nodes embedded in others are not repeated. `get_node` raises KeyError where a node is not kept.
    """
    proof: list[bytes] = []
    child: Any = root if root != EMPTY_ROOT else b""
    path = key.hex()
    while child:
        if isinstance(child, bytes):
            proof.append(get_node(child))
            child = decode_node(proof[-1])
        path, child = _step(child, path)
    return proof


def _step(node: Sequence[Any], path: str) -> tuple[str, Any]:
    """The rest of the path and the child that it leads to; an empty child at the end of the way."""
    if len(node) == BRANCH_ITEMS:
        return (path[1:], node[int(path[0], 16)]) if path else ("", b"")
    own, is_leaf = unpack_path(node[0])
    return ("", b"") if is_leaf or not path.startswith(own) else (path[len(own) :], node[1])
