"""The file `data`: block contents at their byte offset in the log, and those that are not written there yet."""

from collections.abc import Iterable, Iterator

from hypercore.io.files import Directory
from hypercore.io.journal import StoredBlock

WAITING_BYTES_MAXIMUM = 1 << 20
BLOCK_BYTES_EXPECTED_MAXIMUM = 1 << 24


class BlockFile:
    """Block contents of one core.

    Contents that the journal has too wait in memory, so that many small blocks become one write: until there are
    WAITING_BYTES_MAXIMUM of them, or until `write_out`.
    """

    def __init__(self, directory: Directory) -> None:
        self._file = directory.open("data")
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = 0
        self._unsynced = False

    @property
    def many_waiting(self) -> bool:
        """True when it is time for `write_out`."""
        return self._waiting_bytes >= WAITING_BYTES_MAXIMUM

    def read(self, offset: int, size: int) -> bytes:
        """A block's bytes; what was never written reads as zeros or is missing at the end."""
        waiting = self._waiting.get(offset)
        if waiting is not None and len(waiting) == size:
            return waiting
        if size > BLOCK_BYTES_EXPECTED_MAXIMUM:  # a damaged size must not become a request for memory
            size = max(0, min(size, self._file.size() - offset))
        return self._file.read(offset, size)

    def write(self, blocks: Iterable[StoredBlock]) -> None:
        """Write contents that are nowhere else; they are on the medium after the next `sync`."""
        for offset, content in _runs((block.offset, block.value) for block in blocks if block.value):
            self._file.write(offset, content)
            self._unsynced = True

    def keep(self, blocks: Iterable[StoredBlock]) -> None:
        """Take contents that the journal has."""
        for block in blocks:
            if block.value:
                self._waiting[block.offset] = block.value
                self._waiting_bytes += block.size

    def write_out(self) -> None:
        """Write what waits."""
        for offset, content in _runs(sorted(self._waiting.items())):
            self._file.write(offset, content)
        self._waiting.clear()
        self._waiting_bytes = 0

    def sync(self, *, all_of_it: bool = False) -> None:
        """Return once what `write` wrote is on the medium, or `all_of_it`."""
        if self._unsynced or all_of_it:
            self._file.sync()
            self._unsynced = False

    def free(self, offset: int, size: int) -> bool:
        """Give the space of a range back; returns False where the file system cannot."""
        self._forget(offset, offset + size)
        return self._file.free(offset, size)

    def cut(self, size: int) -> None:
        """Drop what lies behind the log's last byte."""
        self._forget(size, None)
        if self._file.size() > size:
            self._file.truncate(size)

    def size(self) -> int:
        """Bytes of the file, with what waits."""
        return max([self._file.size(), *(offset + len(content) for offset, content in self._waiting.items())])

    def close(self) -> None:
        """Release the file; what waits is in the journal."""
        self._file.close()

    def _forget(self, start: int, end: int | None) -> None:
        for offset in [offset for offset in self._waiting if start <= offset and (end is None or offset < end)]:
            self._waiting_bytes -= len(self._waiting.pop(offset))


def _runs(contents: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """(file offset, content) of blocks that lie side by side, so that each run is one write."""
    start, end = 0, -1
    parts: list[bytes] = []
    for offset, content in contents:
        if offset != end:
            if parts:
                yield start, b"".join(parts)
            start, end, parts = offset, offset, []
        parts.append(content)
        end += len(content)
    if parts:
        yield start, parts[0] if len(parts) == 1 else b"".join(parts)
