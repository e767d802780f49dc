"""Where the blocks of a core begin, in bytes from the start of its log."""

from collections.abc import Iterable, Mapping

from hypercore import flat_tree, merkle
from hypercore.merkle import NodeReader

REMEMBERED_MAXIMUM = 4096
MILESTONES_MAXIMUM = 16_384
MILESTONE_BLOCKS = 64
"""Any offset is found from the nearest multiple of this: the tree in between is one page of the file `tree`."""


class BlockOffsets:
    """The offsets of the present fork. Those of blocks that were read or written lately are remembered."""

    def __init__(self, read_node: NodeReader) -> None:
        self._read_node = read_node
        self._remembered: dict[int, int] = {}
        self._milestones: dict[int, int] = {0: 0}

    @property
    def remembered(self) -> Mapping[int, int]:
        """Those that need no tree."""
        return self._remembered

    def find(self, index: int) -> int:
        """The offset of a block of the log; raises `BlockNotAvailable` when the tree on its left is not stored."""
        known = self._remembered.get(index)
        if known is not None:
            return known
        milestone = index - index % MILESTONE_BLOCKS
        start = self._milestones.get(milestone)
        if start is None:
            start = self._bytes_of(flat_tree.full_roots(milestone))
            if len(self._milestones) >= MILESTONES_MAXIMUM:
                self._milestones.clear()
            self._milestones[milestone] = start
        return start + self._bytes_of(flat_tree.cover(milestone, index))

    def remember(self, index: int, offset: int, size: int) -> None:
        """Keeps the offset of a block of `size` bytes, and that of the one behind it."""
        if len(self._remembered) >= REMEMBERED_MAXIMUM:
            self._remembered.clear()
        self._remembered[index] = offset
        self._remembered[index + 1] = offset + size

    def clear(self) -> None:
        """Forgets all: another fork begins."""
        self._remembered.clear()
        self._milestones.clear()

    def _bytes_of(self, nodes: Iterable[int]) -> int:
        return sum([merkle.require(self._read_node, node).size for node in nodes])
