"""The newest version of a Hyperbee as nodes in memory, which changes work on; nodes are loaded when one comes by.

What one batch leaves is where the next one begins, so a writer reads each part of its bee once.

Source: Hyperbee 2.
"""

from __future__ import annotations

from bisect import bisect_left

from hypercore.bee_blocks import DEPTH_MAXIMUM, BlockCache, Level, encode_level
from hypercore.errors import DecodeError

TREE_BYTES = 32 * 1024 * 1024

_KEY_COST_BYTES = 256
"""A key in `Tree`, with its share of a node."""


class Child:
    """Where a child node is stored; 0 for not at all. `node` is set once it is loaded."""

    __slots__ = ("node", "number", "offset")

    def __init__(self, number: int, offset: int, node: Node | None) -> None:
        self.number = number
        self.offset = offset
        self.node = node


class Node:
    """A tree node in memory; keys are block numbers."""

    __slots__ = ("changed", "children", "keys")

    def __init__(self, keys: list[int], children: list[Child], *, changed: bool) -> None:
        self.keys = keys
        self.children = children
        self.changed = changed

    @classmethod
    def of(cls, level: Level) -> Node:
        """A stored node."""
        return cls(list(level.keys), [Child(*place, None) for place in level.children], changed=False)

    def encode(self) -> bytes:
        """The node as it is stored."""
        return encode_level(self.keys, [number for child in self.children for number in (child.number, child.offset)])

    def split(self) -> tuple[int, Node]:
        """Cuts off the right half; returns the key between the halves, and that half."""
        count = len(self.keys) >> 1
        right = Node(self.keys[-count:], [], changed=True)
        del self.keys[-count:]
        median = self.keys.pop()
        if self.children:
            right.children = self.children[-(count + 1) :]
            del self.children[-(count + 1) :]
        self.changed = True
        return median, right

    def merge(self, median: int, right: Node) -> None:
        """Takes over everything of the right sibling."""
        self.changed = True
        self.keys += [median, *right.keys]
        self.children += right.children

    def remove_key(self, index: int) -> None:
        """Removes a key, and the child on its right."""
        del self.keys[index]
        if self.children:
            self.children.pop(index + 1).number = 0
        self.changed = True


Path = list[tuple[Node, int]]
"""Nodes from above to below, each with a place in it: of the child that comes next, or at the end of a key."""


class Tree:
    """The tree of the first `length` blocks of a log, and what a batch changed of it."""

    def __init__(self, cache: BlockCache, length: int) -> None:
        self.cache = cache
        self.length = length
        self.root: Node | None = Node([], [], changed=True) if length < 2 else None
        self._keys: dict[int, bytes] = {}
        self._key_bytes = 0

    @property
    def size(self) -> int:
        """Bytes that it occupies, about."""
        return self._key_bytes + _KEY_COST_BYTES * len(self._keys)

    async def load_root(self) -> Node:
        """The uppermost node."""
        if self.root is None:
            self.root = Node.of(await self.cache.level((self.length - 1, 0)))
        return self.root

    async def child(self, node: Node, index: int) -> Node:
        """A node below another one."""
        child = node.children[index]
        if child.node is None:
            child.node = Node.of(await self.cache.level((child.number, child.offset)))
        return child.node

    async def path(self, key: bytes) -> tuple[Path, bool]:
        """The way to a key, or to the leaf where it would be; and whether it is there."""
        node = await self.load_root()
        path: Path = []
        keys = self._keys
        while True:
            numbers = node.keys
            try:
                index = bisect_left(numbers, key, key=keys.__getitem__)
                found = index < len(numbers) and keys[numbers[index]] == key
            except KeyError as unknown:
                await self._load_key(unknown.args[0], node)
                continue
            path.append((node, index))
            if found or not node.children:
                return path, found
            if len(path) > DEPTH_MAXIMUM:
                raise DecodeError(f"the tree is deeper than {DEPTH_MAXIMUM} levels")
            node = node.children[index].node or await self.child(node, index)

    async def edge(self, node: Node, *, left: bool) -> Path:
        """The way from `node` down to the first or last key below it."""
        path: Path = []
        while node.children:
            if len(path) > DEPTH_MAXIMUM:
                raise DecodeError(f"the tree is deeper than {DEPTH_MAXIMUM} levels")
            index = 0 if left else len(node.keys)
            path.append((node, index))
            node = await self.child(node, index)
        path.append((node, 0 if left else len(node.keys) - 1))
        return path

    def add_key(self, number: int, key: bytes) -> None:
        """A key of a node, written by block `number`."""
        self._keys[number] = key
        self._key_bytes += len(key)

    def drop_key(self, number: int) -> None:
        """That key is in no node any more."""
        self._key_bytes -= len(self._keys.pop(number))

    async def _load_key(self, number: int, node: Node) -> None:
        await self.cache.prepare([other for other in node.keys if other not in self._keys])
        self.add_key(number, (await self.cache.block(number)).key)
