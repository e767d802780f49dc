"""Where blocks begin: byte offsets, found from the sizes of tree nodes and remembered."""

from hypercore import merkle
from hypercore.merkle import NodeReader

REMEMBERED_BLOCKS_MAXIMUM = 8192


class BlockOffsets:
    """The byte offsets of blocks of one fork; what was found lately is remembered, so that it takes few steps."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def find(self, read: NodeReader, block: int) -> int:
        """Bytes before a block; raises `BlockNotAvailable` when a node on the left of its path is not stored."""
        known = self._known.get(block)
        if known is not None or block == 0:
            return known or 0
        # The largest perfect tree that ends where the block begins is a left sibling on its path, or a full root.
        span = block & -block
        offset = self.find(read, block - span) + merkle.require(read, 2 * block - span - 1).size
        self.remember(block, offset)
        return offset

    def remember(self, block: int, offset: int) -> None:
        """Keep an offset that is known from elsewhere."""
        if len(self._known) >= REMEMBERED_BLOCKS_MAXIMUM:
            self._known.clear()
        self._known[block] = offset

    def forget(self) -> None:
        """The log is another one now."""
        self._known.clear()
