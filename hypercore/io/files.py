"""Files as stores need them, on disk or in memory, so that one store serves both and tests can break either."""

import ctypes
import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Protocol

from hypercore.errors import StoreLocked

_PAGE_BYTES = 65_536
_PUNCH_HOLE_KEEP_SIZE = 0x03


class RandomFile(Protocol):
    """Bytes addressed by offset. What was never written, below the end, reads as zeros."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes; fewer at the end of the file."""

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`, growing the file where needed."""

    def size(self) -> int:
        """Bytes from the start to the end, holes included."""

    def truncate(self, size: int) -> None:
        """Cut or extend the file."""

    def free(self, offset: int, size: int) -> bool:
        """Give the space of a range back; returns False where the file system cannot."""

    def sync(self) -> None:
        """Return once everything written is on the medium."""

    def close(self) -> None:
        """Release the file."""


class Directory(Protocol):
    """The few named files of one store; its `str` says for messages where they are."""

    def lock(self) -> None:
        """Become the only user; raises `StoreLocked`."""

    def open(self, name: str) -> RandomFile:
        """Open a file, made empty when missing."""

    def load(self, name: str) -> bytes | None:
        """The whole content of a small file, or None."""

    def replace(self, name: str, data: bytes, *, private: bool = False) -> None:
        """Write a small file so that a crash leaves either the old or the new content, on the medium."""

    def close(self) -> None:
        """Release the lock."""


class DiskFile:
    """A `RandomFile` of the operating system."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size and (part := os.pread(self._descriptor, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view = view[written:]
            offset += written

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def free(self, offset: int, size: int) -> bool:
        return _punch_hole(self._descriptor, offset, size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class DiskDirectory:
    """A `Directory` of the operating system, locked with `flock` while open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __str__(self) -> str:
        return str(self.path)

    def lock(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise StoreLocked(f"{self.path} is open elsewhere; close it there first") from None
        self._lock = descriptor

    def open(self, name: str) -> DiskFile:
        return DiskFile(self.path / name)

    def load(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, name: str, data: bytes, *, private: bool = False) -> None:
        temporary = self.path / f"{name}.new"
        temporary.unlink(missing_ok=True)
        mode = 0o600 if private else 0o644
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)
        self._sync_names()

    def _sync_names(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class MemoryFile:
    """A `RandomFile` in memory; pages that were never written take no space."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._size = 0

    def read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._size)
        parts = []
        while offset < end:
            number, start = divmod(offset, _PAGE_BYTES)
            stop = min(_PAGE_BYTES, start + end - offset)
            page = self._pages.get(number)
            parts.append(bytes(page[start:stop]) if page is not None else bytes(stop - start))
            offset += stop - start
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        position = 0
        while position < len(data):
            number, start = divmod(offset + position, _PAGE_BYTES)
            part = data[position : position + _PAGE_BYTES - start]
            page = self._pages.setdefault(number, bytearray(_PAGE_BYTES))
            page[start : start + len(part)] = part
            position += len(part)
        self._size = max(self._size, offset + len(data))

    def size(self) -> int:
        return self._size

    def truncate(self, size: int) -> None:
        last, kept = divmod(size, _PAGE_BYTES)
        for number in [number for number in self._pages if number >= last + bool(kept)]:
            del self._pages[number]
        if kept and last in self._pages:
            self._pages[last][kept:] = bytes(_PAGE_BYTES - kept)
        self._size = size

    def free(self, offset: int, size: int) -> bool:
        first, last = -(-offset // _PAGE_BYTES), (offset + size) // _PAGE_BYTES
        for number in range(first, last):
            self._pages.pop(number, None)
        return True

    def sync(self) -> None:
        """Memory is as durable as it gets."""

    def close(self) -> None:
        """Memory is kept by its directory."""


class MemoryDirectory:
    """A `Directory` in memory; what was written is there when it is opened again."""

    def __init__(self) -> None:
        self._files: dict[str, MemoryFile] = {}
        self._small: dict[str, bytes] = {}
        self._locked = False

    def __str__(self) -> str:
        return "memory"

    def lock(self) -> None:
        if self._locked:
            raise StoreLocked("this memory store is open elsewhere; close it there first")
        self._locked = True

    def open(self, name: str) -> RandomFile:
        return self._files.setdefault(name, MemoryFile())

    def load(self, name: str) -> bytes | None:
        return self._small.get(name)

    def replace(self, name: str, data: bytes, *, private: bool = False) -> None:
        self._small[name] = data

    def close(self) -> None:
        self._locked = False


def _punch_hole(descriptor: int, offset: int, size: int) -> bool:
    """Linux can free a range inside a file; elsewhere the space comes back when the file is cut or removed."""
    if not sys.platform.startswith("linux") or size <= 0:
        return False
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(fallocate(descriptor, _PUNCH_HOLE_KEEP_SIZE, offset, size) == 0)
