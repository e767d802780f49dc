"""The file `tree`: node i in the 40 bytes at 40 i (size, hash; zeros when not stored), and what is not written yet."""

import struct
from collections.abc import Iterable, Iterator

from hypercore import crypto, flat_tree
from hypercore.io.files import Directory
from hypercore.merkle import Node

PAGE_NODES = 128
CACHED_PAGES_MAXIMUM = 256

_NODE = struct.Struct("<Q32s")
_NODE_BYTES = _NODE.size
_PAGE_BYTES = PAGE_NODES * _NODE_BYTES
_NO_HASH = bytes(crypto.HASH_SIZE)


class TreeFile:
    """Nodes of one core's tree. New ones wait in memory until `write_out`; the journal has them."""

    def __init__(self, directory: Directory) -> None:
        self._file = directory.open("tree")
        self._pending: dict[int, Node] = {}
        # Neighbours are read together, as proofs of neighbouring blocks need them.
        self._pages: dict[int, bytes] = {}
        # Nodes in the file count only up to the shortest length since the last `write_out`.
        self._length = 0

    def opened_at(self, length: int) -> None:
        """The file holds a tree of so many blocks."""
        self._length = length

    def read(self, index: int) -> Node | None:
        """A stored node, or None."""
        node = self._pending.get(index)
        if node is not None:
            return node
        if flat_tree.right_span(index) >= 2 * self._length:
            return None
        number, place = divmod(index, PAGE_NODES)
        page = self._pages.get(number)
        if page is None:
            page = self._file.read(number * _PAGE_BYTES, _PAGE_BYTES)
            if len(self._pages) >= CACHED_PAGES_MAXIMUM:
                self._pages.clear()
            self._pages[number] = page
        start = place * _NODE_BYTES
        if start + _NODE_BYTES > len(page):
            return None
        size, hash = _NODE.unpack_from(page, start)
        return None if hash == _NO_HASH else Node(index, size, hash)

    def add(self, nodes: Iterable[Node]) -> None:
        """Keep nodes."""
        pending = self._pending
        for node in nodes:
            pending[node.index] = node

    def truncate(self, length: int) -> None:
        """Forget every node that reaches beyond `length` blocks."""
        self._length = min(self._length, length)
        for index in [index for index in self._pending if flat_tree.right_span(index) >= 2 * length]:
            del self._pending[index]

    def write_out(self) -> None:
        """Write what waits; nothing is forgotten until `written`, so a full disk may interrupt it.

        Nodes beyond the shortest length since the last time are removed. A node further left that reaches beyond it may
        stay: it counts again only once the log has grown over it, and that growth computes it anew.
        """
        size = _NODE_BYTES * max(0, 2 * self._length - 1)
        if self._file.size() > size:
            self._file.truncate(size)
        for offset, records in _runs(self._pending):
            self._file.write(offset, records)
        self._file.sync()

    def written(self, length: int) -> None:
        """What `write_out` wrote is what counts now, for a log of `length` blocks."""
        self._pages.clear()
        self._pending.clear()
        self._length = length

    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size()

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _runs(nodes: dict[int, Node]) -> Iterator[tuple[int, bytes]]:
    """(file offset, records) of nodes that lie side by side, so that each run is one write."""
    start: int | None = None
    records: list[bytes] = []
    for index in sorted(nodes):
        if start is not None and index != start + len(records):
            yield _NODE_BYTES * start, b"".join(records)
            start, records = None, []
        if start is None:
            start = index
        node = nodes[index]
        records.append(_NODE.pack(node.size, node.hash))
    if start is not None:
        yield _NODE_BYTES * start, b"".join(records)
