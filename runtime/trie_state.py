"""A state read from its trie alone, node by node: for old states, of which nothing else is left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from runtime.trie import EMPTY_ROOT, VALUE_SLOT, Extension, GetNode, Leaf, open_node


class TrieState:
    """A `StateView` over the trie under a root. What `get_node` raises for a hash passes through."""

    def __init__(self, get_node: GetNode, root: bytes) -> None:
        self._get_node = get_node
        self._root = b"" if root == EMPTY_ROOT else root

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, or None."""
        path, child = key.hex(), self._root
        while child:
            node = open_node(self._get_node, child)
            if isinstance(node, Leaf):
                return node.value if node.path == path else None
            if isinstance(node, Extension):
                if not path.startswith(node.path):
                    return None
                path, child = path[len(node.path) :], node.child
            elif not path:
                return node[VALUE_SLOT] or None
            else:
                path, child = path[1:], node[int(path[0], 16)]
        return None

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys that begin with `prefix` and are greater than `start`, ascending."""
        after = "" if start is None else start.hex()
        found = (path for path in self._paths(prefix.hex(), after) if start is None or path > after)
        return [bytes.fromhex(path) for path in islice(found, limit)]

    def _paths(self, prefix: str, after: str) -> Iterator[str]:
        """The paths of values that begin with `prefix`, ascending; whole branches below `after` are passed over."""
        waiting: list[tuple[str, Any]] = [("", self._root)]
        while waiting:
            path, child = waiting.pop()
            if not child or not _may_hold(path, prefix, after):
                continue
            node = open_node(self._get_node, child)
            if isinstance(node, Extension):
                waiting.append((path + node.path, node.child))
            elif isinstance(node, Leaf):
                if (path + node.path).startswith(prefix):
                    yield path + node.path
            else:
                if node[VALUE_SLOT] and path.startswith(prefix):
                    yield path
                waiting.extend((f"{path}{nibble:x}", node[nibble]) for nibble in reversed(range(VALUE_SLOT)))


def _may_hold(path: str, prefix: str, after: str) -> bool:
    """Whether below a path there may be paths that begin with `prefix` and are greater than `after`."""
    return (path.startswith(prefix) or prefix.startswith(path)) and path >= after[: len(path)]
