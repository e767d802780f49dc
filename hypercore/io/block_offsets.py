"""Where blocks begin: byte offsets, found from the sizes of tree nodes and remembered."""

from hypercore import merkle
from hypercore.merkle import NodeReader

REMEMBERED_MAXIMUM = 4096
MILESTONES_MAXIMUM = 16_384
MILESTONE_BLOCKS = 64
"""Offsets of multiples of this are remembered apart: from there any block is found with a page of the file `tree`."""


class BlockOffsets:
    """The byte offsets of blocks of one fork; what was found lately is remembered, so that it takes few steps."""

    def __init__(self, read_node: NodeReader) -> None:
        self._read_node = read_node
        self._remembered: dict[int, int] = {}
        self._milestones: dict[int, int] = {}

    def find(self, index: int, read_node: NodeReader | None = None) -> int:
        """The offset of a block of the log; raises `BlockNotAvailable` when the tree on its left is not stored.

        `read_node` stands in for the stored tree, where nodes are known that are still to be stored.
        """
        known = self._milestones.get(index) if index % MILESTONE_BLOCKS == 0 else self._remembered.get(index)
        if known is not None or index == 0:
            return known or 0
        # The largest perfect tree that ends where the block begins is a sibling on its path, or a full root.
        blocks = index & -index
        size = merkle.require(read_node or self._read_node, 2 * index - blocks - 1).size
        offset = self.find(index - blocks, read_node) + size
        self._keep(index, offset)
        return offset

    def remember(self, index: int, offset: int, size: int) -> None:
        """Keeps the offset of a block of `size` bytes, and that of the one behind it."""
        self._keep(index, offset)
        self._keep(index + 1, offset + size)

    def clear(self) -> None:
        """Forgets all: another fork begins."""
        self._remembered.clear()
        self._milestones.clear()

    def _keep(self, index: int, offset: int) -> None:
        kept, maximum = self._remembered, REMEMBERED_MAXIMUM
        if index % MILESTONE_BLOCKS == 0:
            kept, maximum = self._milestones, MILESTONES_MAXIMUM
        if len(kept) >= maximum:
            kept.clear()
        kept[index] = offset
