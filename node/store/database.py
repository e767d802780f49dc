"""The LMDB environment: its tables, its lock, and reads in one short transaction each or many in one.

Tables (keys → values; block numbers are 8 bytes, big endian, so that they sort):

- `flat`: storage key → value, the state of the folded block
- `nodes`: keccak-256 → encoded trie node, shared by all blocks that are kept
- `places`: node hash → in how many places of the folded trie it stands, and the newest block that brought it
- `headers`: block hash → SCALE header; `blocks`: block hash → RLP envelope
- `canonical`: number → hash, of the best chain
- `journal`: number, hash → change set and node places of a block that is not folded yet
- `doomed`: number → node hashes to look at, and erase if unused, when that block is folded
- `meta`: named pointers
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import lmdb

from node.store.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

MAP_SIZE_BYTES: Final = 64 << 30
"""Address space set aside for the database; the file only takes what it uses."""

MAX_KEY_BYTES: Final = 511
"""LMDB's longest key, and therefore the longest storage key."""

TABLES: Final = ("flat", "nodes", "places", "headers", "blocks", "canonical", "journal", "doomed", "meta")
SCHEMA_VERSION: Final = b"1"

_LOCK_FILE: Final = "lock"
_SCHEMA: Final = b"schema"


class Database:
    """One open environment; the only one of its directory. Reads belong to one thread (the event loop's)."""

    def __init__(self, path: Path, map_size_bytes: int = MAP_SIZE_BYTES) -> None:
        """Open or create the database in a directory. Raises StoreLocked, StoreCorrupt, StoreError."""
        self.path = path
        self._reading: Any = None
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
        except OSError as error:
            raise StoreError(f"the database directory {path} cannot be used: {error.strerror}") from error
        try:
            self._env = lmdb.open(str(path), map_size=map_size_bytes, max_dbs=len(TABLES), subdir=True)
            self.tables: dict[str, Any] = {name: self._env.open_db(name.encode()) for name in TABLES}
            self._check_schema()
        except (lmdb.Error, StoreCorrupt) as error:
            os.close(self._lock)
            if isinstance(error, StoreCorrupt):
                raise
            raise StoreCorrupt(f"the database in {path} cannot be read: {error}") from error

    def close(self) -> None:
        """Close the environment and give the directory free; a second time does nothing. Nothing is lost without it."""
        if self._lock < 0:
            return
        self._env.close()
        os.close(self._lock)
        self._lock = -1

    def _check_schema(self) -> None:
        found = self.get("meta", _SCHEMA)
        if found is None:
            with self.write() as txn:
                txn.put(_SCHEMA, SCHEMA_VERSION, db=self.tables["meta"])
        elif found != SCHEMA_VERSION:
            raise StoreCorrupt(
                f"the database in {self.path} has layout {found.decode(errors='replace')}, "
                f"this program reads layout {SCHEMA_VERSION.decode()}"
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Serve all reads inside from one transaction. For synchronous work only: never await inside."""
        if self._reading is not None:
            yield
            return
        with self._env.begin() as self._reading:
            try:
                yield
            finally:
                self._reading = None

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value under a key, or None."""
        if self._reading is not None:
            return self._get(self._reading, table, key)
        with self._env.begin() as txn:
            return self._get(txn, table, key)

    def _get(self, txn: Any, table: str, key: bytes) -> bytes | None:
        return cast("bytes | None", txn.get(key, db=self.tables[table]))

    def keys_from(self, table: str, start: bytes) -> Generator[bytes, None, None]:
        """Keys of a table from `start` on, ascending. Only inside `reading`."""
        with self._reading.cursor(self.tables[table]) as cursor:
            if cursor.set_range(start):
                yield from cursor.iternext(keys=True, values=False)

    def items(self, table: str) -> list[tuple[bytes, bytes]]:
        """All pairs of a table that is known to be small."""
        with self._env.begin() as txn, txn.cursor(self.tables[table]) as cursor:
            return list(cursor)

    @contextmanager
    def write(self) -> Iterator[Any]:
        """One write transaction: all of it is on disk afterwards, or nothing. Raises StoreFull, StoreError."""
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except (lmdb.MapFullError, lmdb.DiskError) as error:
            raise StoreFull(f"the database in {self.path} is full: {error}") from error
        except lmdb.Error as error:
            raise StoreError(f"writing the database in {self.path} failed: {error}") from error


def _lock(path: Path) -> int:
    """Take the directory for this process; the operating system gives it back however the process ends."""
    handle = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StoreLocked(f"the database in {path} is in use by process {owner}; stop it first") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle
