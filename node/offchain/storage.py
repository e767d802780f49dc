"""What off-chain workers keep on this node: a small database beside the chain's, with values by pallet.

A pallet's key is stored as its name, a zero byte, the key; whoever operates the node sees and changes all of them
through the keys as stored. Methods may be called from any thread. Writes are durable when they return.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Final

import lmdb

MAX_KEY_BYTES: Final = 400
"""Longest key as stored; LMDB allows 511."""

MAX_VALUE_BYTES: Final = 64 * 1024
MAX_TOTAL_BYTES: Final = 256 * 1024 * 1024
"""Size of the whole database."""


class OffchainStorageError(Exception):
    """The local storage cannot be read or written: it is full, or its directory cannot be used."""


class OffchainStorage:
    """The values of all pallets, by keys as stored. The database is made with the first access."""

    def __init__(self, path: Path, total_bytes: int = MAX_TOTAL_BYTES) -> None:
        self.path = path
        self.total_bytes = total_bytes
        self._opening = Lock()
        self._opened: Any = None

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none. Raises OffchainStorageError."""
        if not 0 < len(key) <= MAX_KEY_BYTES:
            return None
        with self._transaction(write=False) as transaction:
            value: bytes | None = transaction.get(key)
        return value

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value. Raises ValueError for a key or value that is too long, OffchainStorageError."""
        _check(key, value)
        with self._transaction() as transaction:
            transaction.put(key, value)

    def remove(self, key: bytes) -> None:
        """Delete a value. Raises ValueError, OffchainStorageError."""
        _check(key)
        with self._transaction() as transaction:
            transaction.delete(key)

    def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Store a value if the present one is `expected`; tell whether it was. Raises as `set`."""
        _check(key, value)
        with self._transaction() as transaction:
            if transaction.get(key) != expected:
                return False
            transaction.put(key, value)
        return True

    def of(self, pallet: str) -> PalletStorage:
        """Return the part that belongs to one pallet."""
        return PalletStorage(self, pallet.encode() + b"\0")

    def close(self) -> None:
        """Close the database; the next access opens it again."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _transaction(self, *, write: bool = True) -> _Transaction:
        with self._opening:
            if self._opened is None:
                self._opened = _open(self.path, self.total_bytes)
        return _Transaction(self._opened, write)


class PalletStorage:
    """The values of one pallet; satisfies `runtime.offchain.LocalStorage`."""

    def __init__(self, storage: OffchainStorage, prefix: bytes) -> None:
        self._storage = storage
        self._prefix = prefix

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none."""
        return self._storage.get(self._prefix + key)

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        self._storage.set(self._prefix + key, value)

    def remove(self, key: bytes) -> None:
        """Delete a value."""
        self._storage.remove(self._prefix + key)

    def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Store a value if the present one is `expected`; tell whether it was."""
        return self._storage.compare_and_set(self._prefix + key, expected, value)


class _Transaction:
    """An LMDB transaction whose errors are ours."""

    def __init__(self, environment: Any, write: bool) -> None:
        self._environment = environment
        self._write = write

    def __enter__(self) -> Any:
        try:
            self._transaction = self._environment.begin(write=self._write)
        except lmdb.Error as error:
            raise OffchainStorageError(f"the off-chain storage cannot be used: {error}") from error
        return self._transaction

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if error is None:
                self._transaction.commit()
            else:
                self._transaction.abort()
        except lmdb.Error as failure:
            raise OffchainStorageError(f"the off-chain storage cannot be written: {failure}") from failure
        if isinstance(error, lmdb.MapFullError):
            raise OffchainStorageError("the off-chain storage is full") from error
        if isinstance(error, lmdb.Error):
            raise OffchainStorageError(f"the off-chain storage cannot be used: {error}") from error


def _open(path: Path, total_bytes: int) -> Any:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return lmdb.open(str(path), map_size=total_bytes, max_dbs=0, subdir=True)
    except (OSError, lmdb.Error) as error:
        raise OffchainStorageError(f"the off-chain storage {path} cannot be opened: {error}") from error


def _check(key: bytes, value: bytes = b"") -> None:
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"a key has 1 to {MAX_KEY_BYTES} bytes, this one {len(key)}")
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"a value has at most {MAX_VALUE_BYTES} bytes, this one {len(value)}")
