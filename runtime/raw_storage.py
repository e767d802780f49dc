"""Storage by raw keys: which item a key belongs to, its keys decoded, its value written as bytes.

Pallets use their declared items; this is for `System.set_storage`, for tools and for traces, which know bytes only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runtime import limits
from runtime.codec import Codecs
from runtime.errors import CodecError, OtherError
from runtime.pallet import Pallet
from runtime.state import Overlay
from runtime.storage import StorageItem, read_key

PREFIX_BYTES = 32
"""twox128 of the pallet's name and twox128 of the item's."""


@dataclass(frozen=True)
class FoundItem:
    """The item that a storage key belongs to, and the keys inside it where its hashers keep them (else None)."""

    pallet: Pallet
    item: StorageItem
    keys: tuple[Any, ...] | None


class StorageIndex:
    """All storage items of a runtime by their prefix."""

    def __init__(self, pallets: Iterable[Pallet], codecs: Codecs) -> None:
        self._codecs = codecs
        self._items: dict[bytes, tuple[Pallet, StorageItem]] = {}
        for pallet in pallets:
            for attribute in pallet.storage():
                item: StorageItem = vars(pallet)[attribute]
                self._items[item.prefix] = pallet, item

    def find(self, key: bytes) -> FoundItem | None:
        """The item of a full storage key; None for a key that no declared item can have."""
        pallet, item = self._items.get(key[:PREFIX_BYTES], (None, None))
        if pallet is None or item is None:
            return None
        keys: list[Any] = []
        offset = PREFIX_BYTES
        try:
            for annotation, hasher in item.hashers:
                if not hasher.concat:
                    return FoundItem(pallet, item, None)
                value, offset = read_key(key, offset, hasher, self._codecs.codec_for(annotation))
                keys.append(value)
        except CodecError:
            return None
        return FoundItem(pallet, item, tuple(keys)) if offset == len(key) else None

    def decode(self, key: bytes, value: bytes) -> Any:
        """The Python value of the bytes under a key, the bytes themselves under an unknown one. Raises CodecError."""
        found = self.find(key)
        return value if found is None else self._codecs.codec_for(found.item.value_type).decode(value)

    def encode(self, key: bytes, value: Any) -> bytes:
        """The bytes of a decoded value under a key."""
        found = self.find(key)
        encoded: bytes = value if found is None else self._codecs.codec_for(found.item.value_type).encode(value)
        return encoded

    def write(self, overlay: Overlay, key: bytes, value: bytes | None) -> None:
        """Write bytes under a key, None to delete it. Raises OtherError for what the state cannot hold."""
        if not 0 < len(key) <= limits.STORAGE_KEY_BYTES:
            raise OtherError(f"a storage key has 1 to {limits.STORAGE_KEY_BYTES} bytes, not {len(key)}")
        if value is None:
            overlay.write(key, None, bytes)
            return
        if not value:
            raise OtherError("a stored value is not empty")
        try:
            decoded = self.decode(key, value)
        except CodecError as error:
            raise OtherError(f"the value under 0x{key.hex()} does not fit its type: {error}") from None
        overlay.write(key, decoded, lambda kept: self.encode(key, kept))
