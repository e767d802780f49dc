"""Typed storage items of a pallet: a value, a map, a double map, with the keys that FRAME would give them.

An item is declared on the pallet class; every pallet instance gets its own copy, which `attach` binds to the runtime.
Key: twox128(pallet) ++ twox128(item) ++ hasher(encoded key) …
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from runtime import limits
from runtime.codec import Codec, Codecs
from runtime.crypto import blake2_128, blake2_256, twox64, twox128, twox256
from runtime.state import Overlay
from runtime.types import camel_case

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import TypeForm

K = TypeVar("K")
K1 = TypeVar("K1")
K2 = TypeVar("K2")
V = TypeVar("V")
G = TypeVar("G")
"""What `get` returns: V with a default, V | None without."""


@dataclass(frozen=True)
class Hasher:
    """How a key becomes part of a storage key: `digest(key)`, followed by the key itself when `concat`."""

    name: str
    index: int
    digest: Callable[[bytes], bytes]
    digest_bytes: int
    concat: bool

    def __call__(self, key: bytes) -> bytes:
        return self.digest(key) + key if self.concat else self.digest(key)


BLAKE2_128 = Hasher("Blake2_128", 0, blake2_128, 16, False)
BLAKE2_256 = Hasher("Blake2_256", 1, blake2_256, 32, False)
BLAKE2_128_CONCAT = Hasher("Blake2_128Concat", 2, blake2_128, 16, True)
TWOX_128 = Hasher("Twox128", 3, twox128, 16, False)
TWOX_256 = Hasher("Twox256", 4, twox256, 32, False)
TWOX_64_CONCAT = Hasher("Twox64Concat", 5, twox64, 8, True)
IDENTITY = Hasher("Identity", 6, lambda key: b"", 0, True)


class StateHost:
    """The place where a runtime keeps the overlay that its storage items read and write now."""

    __slots__ = ("_overlay",)

    def __init__(self) -> None:
        self._overlay: Overlay | None = None

    @property
    def overlay(self) -> Overlay:
        """The bound overlay; outside of `Runtime.at(...)` there is no state."""
        if self._overlay is None:
            raise LookupError("no state is bound: use `with runtime.at(view):`")
        return self._overlay

    def bind(self, overlay: Overlay | None) -> Overlay | None:
        """Put an overlay in place and return the one before."""
        before, self._overlay = self._overlay, overlay
        return before


class StorageItem:
    """What every storage item has: its name in metadata, its prefix, its value's codec once attached."""

    def __init__(self, value_type: Any, default: Any, docs: str, name: str | None) -> None:
        self.value_type = value_type
        self.default = default
        self.docs = docs
        self.name = name or ""
        self.prefix = b""
        self._host: StateHost

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.name = self.name or camel_case(attribute)

    def attach(self, pallet: str, codecs: Codecs, host: StateHost) -> Self:
        """Return a copy that belongs to one pallet of one runtime."""
        item = copy.copy(self)
        item.prefix = twox128(pallet.encode()) + twox128(self.name.encode())
        item._host = host
        codec: Codec[Any] = codecs.codec_for(self.value_type)
        item._encode = codec.encode
        item._decode = codec.decode
        item._attach_keys(codecs)
        return item

    _encode: Callable[[Any], bytes]
    _decode: Callable[[bytes], Any]

    def _attach_keys(self, codecs: Codecs) -> None:
        """Compile the codecs of the keys."""

    @property
    def hashers(self) -> tuple[tuple[Any, Hasher], ...]:
        """(key type, hasher) of every key, none for a plain value."""
        return ()

    def _read(self, key: bytes) -> Any:
        value = self._host.overlay.read(key, self._decode)
        return self.default if value is None else value

    def _items(self, prefix: bytes) -> Iterator[tuple[bytes, Any]]:
        cursor: bytes | None = None
        while True:
            page = self._host.overlay.keys(prefix, cursor, limits.KEYS_PAGE)
            for key in page:
                yield key, self._host.overlay.read(key, self._decode)
            if len(page) < limits.KEYS_PAGE:
                return
            cursor = page[-1]


class StorageValue(StorageItem, Generic[V, G]):
    """One value. With a `default`, `get` never returns None."""

    @overload
    def __init__(
        self: StorageValue[V, V], value: TypeForm[V], *, default: V, docs: str = "", name: str | None = None
    ) -> None: ...

    @overload
    def __init__(
        self: StorageValue[V, V | None], value: TypeForm[V], *, docs: str = "", name: str | None = None
    ) -> None: ...

    def __init__(self, value: Any, *, default: Any = None, docs: str = "", name: str | None = None) -> None:
        super().__init__(value, default, docs, name)

    def key_of(self) -> bytes:
        """Return the storage key."""
        return self.prefix

    def get(self) -> G:
        """Return the value, the default, or None."""
        value: G = self._read(self.prefix)
        return value

    def put(self, value: V) -> None:
        """Store a value."""
        self._host.overlay.write(self.prefix, value, self._encode)

    def remove(self) -> None:
        """Delete the value."""
        self._host.overlay.write(self.prefix, None, self._encode)

    def exists(self) -> bool:
        """Tell whether a value is stored."""
        return self._host.overlay.read(self.prefix, self._decode) is not None

    def mutate(self, change: Callable[[G], V]) -> V:
        """Store what `change` makes of the value and return it."""
        value = change(self.get())
        self.put(value)
        return value

    def append(self, item: Any) -> None:
        """Append to a stored sequence in constant time."""
        self._host.overlay.append(self.prefix, item, self._decode, self._encode)


class StorageMap(StorageItem, Generic[K, V, G]):
    """A value per key. With a `default`, `get` never returns None."""

    @overload
    def __init__(
        self: StorageMap[K, V, V],
        key: TypeForm[K],
        value: TypeForm[V],
        *,
        default: V,
        hasher: Hasher = BLAKE2_128_CONCAT,
        docs: str = "",
        name: str | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: StorageMap[K, V, V | None],
        key: TypeForm[K],
        value: TypeForm[V],
        *,
        hasher: Hasher = BLAKE2_128_CONCAT,
        docs: str = "",
        name: str | None = None,
    ) -> None: ...

    def __init__(
        self,
        key: Any,
        value: Any,
        *,
        default: Any = None,
        hasher: Hasher = BLAKE2_128_CONCAT,
        docs: str = "",
        name: str | None = None,
    ) -> None:
        super().__init__(value, default, docs, name)
        self.key_type = key
        self.hasher = hasher

    @property
    def hashers(self) -> tuple[tuple[Any, Hasher], ...]:
        """The key's type and hasher."""
        return ((self.key_type, self.hasher),)

    def _attach_keys(self, codecs: Codecs) -> None:
        self._key_codec: Codec[Any] = codecs.codec_for(self.key_type)
        self._keys: dict[K, bytes] = {}

    def key_of(self, key: K) -> bytes:
        """Return the storage key of `key`."""
        found = self._keys.get(key)
        if found is None:
            if len(self._keys) >= limits.STORAGE_KEY_CACHE_ENTRIES:
                self._keys.clear()
            found = self._keys[key] = self.prefix + self.hasher(self._key_codec.encode(key))
        return found

    def get(self, key: K) -> G:
        """Return the value under `key`, the default, or None."""
        value: G = self._read(self.key_of(key))
        return value

    def put(self, key: K, value: V) -> None:
        """Store a value under `key`."""
        self._host.overlay.write(self.key_of(key), value, self._encode)

    def remove(self, key: K) -> None:
        """Delete the value under `key`."""
        self._host.overlay.write(self.key_of(key), None, self._encode)

    def contains(self, key: K) -> bool:
        """Tell whether a value is stored under `key`."""
        return self._host.overlay.read(self.key_of(key), self._decode) is not None

    def mutate(self, key: K, change: Callable[[G], V]) -> V:
        """Store what `change` makes of the value under `key` and return it."""
        value = change(self.get(key))
        self.put(key, value)
        return value

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield (key, value) in the order of storage keys: for genesis, migrations and `try_state` only."""
        for raw, value in self._items(self.prefix):
            yield read_key(raw, len(self.prefix), self.hasher, self._key_codec)[0], value


class StorageDoubleMap(StorageItem, Generic[K1, K2, V, G]):
    """A value per pair of keys, declared as `StorageDoubleMap((K1, hasher), (K2, hasher), V)`."""

    @overload
    def __init__(
        self: StorageDoubleMap[K1, K2, V, V],
        first: tuple[TypeForm[K1], Hasher],
        second: tuple[TypeForm[K2], Hasher],
        value: TypeForm[V],
        *,
        default: V,
        docs: str = "",
        name: str | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: StorageDoubleMap[K1, K2, V, V | None],
        first: tuple[TypeForm[K1], Hasher],
        second: tuple[TypeForm[K2], Hasher],
        value: TypeForm[V],
        *,
        docs: str = "",
        name: str | None = None,
    ) -> None: ...

    def __init__(
        self, first: Any, second: Any, value: Any, *, default: Any = None, docs: str = "", name: str | None = None
    ) -> None:
        super().__init__(value, default, docs, name)
        self.first = first
        self.second = second

    @property
    def hashers(self) -> tuple[tuple[Any, Hasher], ...]:
        """The keys' types and hashers."""
        return (self.first, self.second)

    def _attach_keys(self, codecs: Codecs) -> None:
        self._first_codec: Codec[Any] = codecs.codec_for(self.first[0])
        self._second_codec: Codec[Any] = codecs.codec_for(self.second[0])
        self._keys: dict[tuple[K1, K2], bytes] = {}

    def prefix_of(self, first: K1) -> bytes:
        """Return the storage prefix of everything under the first key."""
        return self.prefix + bytes(self.first[1](self._first_codec.encode(first)))

    def key_of(self, first: K1, second: K2) -> bytes:
        """Return the storage key of a pair."""
        found = self._keys.get((first, second))
        if found is None:
            if len(self._keys) >= limits.STORAGE_KEY_CACHE_ENTRIES:
                self._keys.clear()
            found = self.prefix_of(first) + self.second[1](self._second_codec.encode(second))
            self._keys[first, second] = found
        return found

    def get(self, first: K1, second: K2) -> G:
        """Return the value under a pair, the default, or None."""
        value: G = self._read(self.key_of(first, second))
        return value

    def put(self, first: K1, second: K2, value: V) -> None:
        """Store a value under a pair."""
        self._host.overlay.write(self.key_of(first, second), value, self._encode)

    def remove(self, first: K1, second: K2) -> None:
        """Delete the value under a pair."""
        self._host.overlay.write(self.key_of(first, second), None, self._encode)

    def contains(self, first: K1, second: K2) -> bool:
        """Tell whether a value is stored under a pair."""
        return self._host.overlay.read(self.key_of(first, second), self._decode) is not None

    def mutate(self, first: K1, second: K2, change: Callable[[G], V]) -> V:
        """Store what `change` makes of the value under a pair and return it."""
        value = change(self.get(first, second))
        self.put(first, second, value)
        return value

    def items(self) -> Iterator[tuple[tuple[K1, K2], V]]:
        """Yield ((first, second), value) in the order of storage keys: for genesis, migrations and `try_state` only."""
        for raw, value in self._items(self.prefix):
            first, end = read_key(raw, len(self.prefix), self.first[1], self._first_codec)
            yield (first, read_key(raw, end, self.second[1], self._second_codec)[0]), value

    def items_under(self, first: K1) -> Iterator[tuple[K2, V]]:
        """Yield (second, value) of one first key, which must be bounded by the pallet's own rules."""
        prefix = self.prefix_of(first)
        for raw, value in self._items(prefix):
            yield read_key(raw, len(prefix), self.second[1], self._second_codec)[0], value


def read_key(raw: bytes, offset: int, hasher: Hasher, codec: Codec[Any]) -> tuple[Any, int]:
    """Read a key back out of a storage key; only hashers that keep the key allow it."""
    if not hasher.concat:
        raise TypeError(f"{hasher.name} does not keep the key, so it cannot be listed")
    return codec.read(raw, offset + hasher.digest_bytes)


def storage_items(pallet: type) -> dict[str, StorageItem]:
    """Return the storage items of a pallet class by attribute, base classes first, in declaration order."""
    found: dict[str, StorageItem] = {}
    for base in reversed(pallet.__mro__):
        for attribute, item in vars(base).items():
            if isinstance(item, StorageItem):
                found[attribute] = item
    return found


__all__ = [
    "BLAKE2_128",
    "BLAKE2_128_CONCAT",
    "BLAKE2_256",
    "IDENTITY",
    "TWOX_64_CONCAT",
    "TWOX_128",
    "TWOX_256",
    "Hasher",
    "StateHost",
    "StorageDoubleMap",
    "StorageItem",
    "StorageMap",
    "StorageValue",
    "storage_items",
]
