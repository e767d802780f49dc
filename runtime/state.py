"""State as a block sees it: an overlay of decoded values over a read-only view, with nested transactions.

A value is decoded once when it is first read and encoded once when the block ends; in between it is a Python object.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from runtime import limits
from runtime.errors import TransactionalFault

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

_UNKNOWN: Any = object()


class StateView(Protocol):
    """The encoded state of one block."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, or None."""
        ...

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys that begin with `prefix` and are greater than `start`, ascending."""
        ...


class DictState:
    """A `StateView` over a dictionary: tests, genesis, tools."""

    def __init__(self, pairs: Mapping[bytes, bytes] | None = None) -> None:
        self.pairs: dict[bytes, bytes] = dict(pairs or {})

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, or None."""
        return self.pairs.get(key)

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys that begin with `prefix` and are greater than `start`, ascending."""
        ordered = sorted(self.pairs)
        after = start is not None and start >= prefix
        first = bisect_right(ordered, start or b"") if after else bisect_left(ordered, prefix)
        found: list[bytes] = []
        for key in ordered[first:]:
            if len(found) == limit or not key.startswith(prefix):
                break
            found.append(key)
        return found

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Write a block's changes; None deletes."""
        for key, value in changes.items():
            if value is None:
                self.pairs.pop(key, None)
            else:
                self.pairs[key] = value


class Overlay:
    """Decoded values over a view. `begin`, then `commit` or `rollback`, nest; `changes()` encodes what was written."""

    def __init__(self, view: StateView) -> None:
        self.view = view
        self._values: dict[bytes, Any] = {}
        self._encoders: dict[bytes, Encode] = {}
        self._frames: list[dict[bytes, tuple[Any, Encode | None]]] = []

    def read(self, key: bytes, decode: Decode) -> Any:
        """Return the decoded value under a key, or None."""
        value = self._values.get(key, _UNKNOWN)
        if value is _UNKNOWN:
            raw = self.view.get(key)
            value = self._values[key] = None if raw is None else decode(raw)
        elif type(value) is _Growing:
            return value.snapshot()
        return value

    def write(self, key: bytes, value: Any, encode: Encode) -> None:
        """Put a decoded value under a key; None deletes it."""
        self._remember(key)
        self._values[key] = value
        self._encoders[key] = encode

    def append(self, key: bytes, item: Any, decode: Decode, encode: Encode) -> None:
        """Append to the sequence under a key without copying it; one that is absent is empty."""
        value = self._values.get(key, _UNKNOWN)
        if type(value) is not _Growing:
            value = _Growing(self.read(key, decode) or ())
            self._remember(key)
            self._values[key] = value
        if self._frames and key not in self._frames[-1]:
            self._frames[-1][key] = (_Mark(value, len(value.items)), self._encoders.get(key))
        value.items.append(item)
        self._encoders[key] = encode

    def _remember(self, key: bytes) -> None:
        if self._frames and key not in self._frames[-1]:
            value = self._values.get(key, _UNKNOWN)
            if type(value) is _Growing:
                value = _Mark(value, len(value.items))
            self._frames[-1][key] = (value, self._encoders.get(key))

    def begin(self) -> None:
        """Open a nested transaction."""
        if len(self._frames) >= limits.STORAGE_TRANSACTIONS:
            raise TransactionalFault
        self._frames.append({})

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a nested transaction: kept at the end of the block of code, undone when an exception leaves it."""
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def commit(self) -> None:
        """Keep the changes of the innermost transaction."""
        frame = self._frames.pop()
        if self._frames:
            outer = self._frames[-1]
            for key, before in frame.items():
                outer.setdefault(key, before)

    def rollback(self) -> None:
        """Undo the changes of the innermost transaction."""
        for key, (value, encode) in self._frames.pop().items():
            if value is _UNKNOWN:
                del self._values[key]
            elif type(value) is _Mark:
                del value.growing.items[value.length :]
                self._values[key] = value.growing
            else:
                self._values[key] = value
            if encode is None:
                self._encoders.pop(key, None)
            else:
                self._encoders[key] = encode

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` present keys with `prefix` greater than `start`, ascending, written ones included."""
        added = sorted(
            key
            for key in self._encoders
            if key.startswith(prefix) and (start is None or key > start) and self._values[key] is not None
        )
        found: list[bytes] = []
        cursor = start
        while len(found) < limit:
            page = self.view.keys(prefix, cursor, limits.KEYS_PAGE)
            found.extend(key for key in page if key not in self._encoders)
            if len(page) < limits.KEYS_PAGE:
                break
            cursor = page[-1]
        return sorted(found + added)[:limit]

    def changes(self) -> dict[bytes, bytes | None]:
        """Encode every key that was written, in the order of the keys; None is a deletion."""
        encoded: dict[bytes, bytes | None] = {}
        for key in sorted(self._encoders):
            value = self._values[key]
            if type(value) is _Growing:
                value = value.snapshot()
            encoded[key] = None if value is None else self._encoders[key](value)
        return encoded


class _Growing:
    """A sequence that is being appended to."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Any, ...]) -> None:
        self.items = list(items)

    def snapshot(self) -> tuple[Any, ...]:
        return tuple(self.items)


class _Mark:
    """How long a growing sequence was when a transaction first touched it."""

    __slots__ = ("growing", "length")

    def __init__(self, growing: _Growing, length: int) -> None:
        self.growing = growing
        self.length = length
