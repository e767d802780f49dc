"""A log as it was at one moment: what the core gives up later stays readable here."""

from tempfile import SpooledTemporaryFile

from hypercore import merkle
from hypercore.demand import Unknown, locate
from hypercore.errors import BlockNotAvailable, CoreClosed, LocalProtocolError, SnapshotNotAvailable
from hypercore.io.core_state import CoreState

MEMORY_BYTES_MAXIMUM = 1 << 20


class Snapshot:
    """A view of fixed length; made by `Core.snapshot`. It costs nothing until the core goes back or clears blocks.

    Blocks that were here at that moment are then copied, above MEMORY_BYTES_MAXIMUM to a temporary file that `close`
    removes. A snapshot that nobody refers to is forgotten.
    """

    def __init__(self, core: CoreState) -> None:
        self.length = core.length
        self.fork = core.fork
        self._core = core
        self._roots = core.roots()
        self._intact = core.length
        self._kept: dict[int, tuple[int, int]] = {}
        self._copies: SpooledTemporaryFile[bytes] | None = None
        self._closed = False

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks."""
        return merkle.byte_length(self._roots)

    def tree_hash(self) -> bytes:
        """The hash that the signature of this length and fork covers."""
        return merkle.tree_hash(self._roots)

    def has(self, index: int) -> bool:
        """True when `get` would return the block."""
        return index in self._kept or (0 <= index < self._intact and self._core.has(index))

    def get(self, index: int) -> bytes:
        """Block `index` as it was.

        Raises `SnapshotNotAvailable` when it is gone, `BlockNotAvailable` when it is not here and could still come.
        """
        self._check_open()
        if not 0 <= index < self.length:
            raise LocalProtocolError(f"block {index} is outside a log of {self.length} blocks")
        if index in self._kept and self._copies is not None:
            offset, size = self._kept[index]
            self._copies.seek(offset)
            return self._copies.read(size)
        if index >= self._intact:
            raise SnapshotNotAvailable(f"block {index} was not here when the log went back to {self._intact} blocks")
        return self._core.get(index)

    def seek(self, byte_offset: int, padding: int = 0) -> tuple[int, int]:
        """(block, offset in it) of a byte; raises as `Core.seek`, and `SnapshotNotAvailable` once the log went back."""
        self._check_open()
        if self._intact < self.length:
            raise SnapshotNotAvailable(f"the log went back to {self._intact} blocks, and its tree with it")
        place = locate(self._core.view().read_node, self._roots, byte_offset, padding)
        if isinstance(place, Unknown):
            raise BlockNotAvailable(f"the tree below node {place.node.index}, which holds the byte, is not stored")
        return place

    def keep(self, start: int, end: int, *, goes_back: bool) -> None:
        """Copies what the core is about to give up of blocks `start` to `end - 1`; called by the core."""
        if self._closed:
            return
        for first, last in self._core.bitfield.runs(start, min(end, self._intact)):
            for index in range(first, last):
                if index not in self._kept:
                    self._copy(index, self._core.get(index))
        if goes_back:
            self._intact = min(self._intact, start)

    def close(self) -> None:
        """Give the copies up; closing twice is fine."""
        self._closed = True
        self._kept.clear()
        if self._copies is not None:
            self._copies.close()
            self._copies = None

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _copy(self, index: int, value: bytes) -> None:
        if self._copies is None:
            self._copies = SpooledTemporaryFile(max_size=MEMORY_BYTES_MAXIMUM)  # noqa: SIM115 (closed by `close`)
        offset = self._copies.seek(0, 2)
        self._copies.write(value)
        self._kept[index] = (offset, len(value))

    def _check_open(self) -> None:
        if self._closed:
            raise CoreClosed("the snapshot is closed")
