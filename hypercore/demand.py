"""What is wanted of a log: ranges of blocks, sets of blocks, and the block at a byte offset."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypercore import flat_tree
from hypercore.errors import LocalProtocolError
from hypercore.merkle import Node, NodeReader
from hypercore.remote_blocks import RemoteBlocks

MAXIMUM_SET_BLOCKS = 1 << 20


@dataclass(eq=False, slots=True)
class Demand:
    """Blocks [start, end) are wanted; `end` None stands for the end of the log, wherever it will be."""

    start: int
    end: int | None

    @property
    def is_single(self) -> bool:
        """True when block `start` alone is wanted."""
        return self.end == self.start + 1

    def covers(self, index: int) -> bool:
        """True when block `index` is wanted."""
        return self.start <= index and (self.end is None or index < self.end)

    def next(self, blocks: RemoteBlocks, position: int, length: int) -> int | None:
        """The first wanted block from `position` on that a peer has, in a log of `length` blocks."""
        return blocks.next(position, length if self.end is None else min(self.end, length))


class DemandSet(Demand):
    """Single blocks are wanted. Raises `LocalProtocolError` for more than MAXIMUM_SET_BLOCKS."""

    __slots__ = ("_ordered", "_wanted")

    def __init__(self, indexes: Iterable[int]) -> None:
        self._wanted = frozenset(indexes)
        self._ordered = sorted(self._wanted)
        if len(self._ordered) > MAXIMUM_SET_BLOCKS:
            raise LocalProtocolError(f"{len(self._ordered)} blocks are wanted at once, at most {MAXIMUM_SET_BLOCKS}")
        first, last = (self._ordered[0], self._ordered[-1]) if self._ordered else (0, -1)
        super().__init__(first, last + 1)

    def covers(self, index: int) -> bool:
        return index in self._wanted

    def next(self, blocks: RemoteBlocks, position: int, length: int) -> int | None:
        for place in range(bisect_left(self._ordered, position), len(self._ordered)):
            index = self._ordered[place]
            if index >= length:
                return None
            if blocks.has(index):
                return index
        return None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The byte looked for is `remaining` bytes into the subtree of `node`, below which nothing is stored."""

    node: Node
    remaining: int
    padding: int

    def likely_block(self) -> int:
        """The block that holds the byte if all blocks of the subtree have the same size."""
        first, end = flat_tree.block_range(self.node.index)
        size = self.node.size - self.padding * (end - first)
        return min(first + self.remaining * (end - first) // size, end - 1)


def locate(read: NodeReader, roots: Iterable[Node], byte_offset: int, padding: int = 0) -> tuple[int, int] | Unknown:
    """(block, offset in it) of a byte of the log, or the smallest stored subtree that holds it.

    Every block counts as `padding` bytes smaller than it is. The end of the log is (length, 0).
    Raises `LocalProtocolError` for an offset beyond it.
    """
    remaining = byte_offset
    length = 0
    for root in roots:
        size = root.size - padding * flat_tree.leaf_count(root.index)
        if 0 <= remaining < size:
            return _descend(read, root, remaining, padding)
        remaining -= size
        length = flat_tree.right_span(root.index) // 2 + 1
    if remaining:
        raise LocalProtocolError(f"byte {byte_offset} is outside a log of {byte_offset - remaining} bytes")
    return length, 0


def _descend(read: NodeReader, node: Node, remaining: int, padding: int) -> tuple[int, int] | Unknown:
    while below := flat_tree.children(node.index):
        left, right = read(below[0]), read(below[1])
        if left is None or right is None:
            return Unknown(node, remaining, padding)
        size = left.size - padding * flat_tree.leaf_count(left.index)
        node, remaining = (left, remaining) if remaining < size else (right, remaining - size)
    return node.index // 2, remaining


@dataclass(eq=False, slots=True)
class Seek:
    """The block that holds byte `bytes` is wanted; `on_found(block, offset)` is called once."""

    bytes: int
    padding: int
    on_found: Callable[[int, int], None]
    found: tuple[int, int] | None = None
    asked: bool = False
    plain: bool = False
    pair: Demand | None = None
