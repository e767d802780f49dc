"""The calls of System with which root writes storage by raw keys (FRAME system's `set_storage`, `kill_*`)."""

from __future__ import annotations

from typing import Annotated, Any

from pallets.weights import system as weights
from runtime.limits import RAW_STORAGE_ITEMS, STORAGE_KEY_BYTES
from runtime.origin import Origin, ensure_root
from runtime.pallet import Pallet, call
from runtime.types import U32, Bytes, MaxLength
from runtime.weights import OPERATIONAL, Weight

RawKey = Annotated[bytes, MaxLength(STORAGE_KEY_BYTES)]
RawKeys = Annotated[tuple[RawKey, ...], MaxLength(RAW_STORAGE_ITEMS)]
RawItems = Annotated[tuple[tuple[RawKey, Bytes], ...], MaxLength(RAW_STORAGE_ITEMS)]


def _items_weight(pallet: Pallet, items: tuple[Any, ...]) -> Weight:
    return weights.SET_STORAGE + weights.SET_STORAGE_PER_KEY * len(items)


def _keys_weight(pallet: Pallet, keys: tuple[Any, ...]) -> Weight:
    return weights.KILL_STORAGE + weights.KILL_STORAGE_PER_KEY * len(keys)


def _prefix_weight(pallet: Pallet, prefix: bytes, subkeys: int) -> Weight:
    return weights.KILL_PREFIX + weights.KILL_PREFIX_PER_KEY * min(subkeys, RAW_STORAGE_ITEMS)


class RawStorageCalls(Pallet):
    """Writes that go past every pallet's rules: a value must fit the type of its item, nothing else is checked."""

    @call(weight=_items_weight, dispatch_class=OPERATIONAL, index=4)
    def set_storage(self, origin: Origin, items: RawItems) -> None:
        """Set some items of storage."""
        ensure_root(origin)
        for key, value in items:
            self.runtime.write_raw(key, value)

    @call(weight=_keys_weight, dispatch_class=OPERATIONAL, index=5)
    def kill_storage(self, origin: Origin, keys: RawKeys) -> None:
        """Kill some items from storage."""
        ensure_root(origin)
        for key in keys:
            self.runtime.write_raw(key, None)

    @call(weight=_prefix_weight, dispatch_class=OPERATIONAL, index=6)
    def kill_prefix(self, origin: Origin, prefix: RawKey, subkeys: U32) -> None:
        """Kill the storage items whose key starts with the given prefix, at most `subkeys` of them."""
        ensure_root(origin)
        for key in self.runtime.host.overlay.keys(prefix, None, min(subkeys, RAW_STORAGE_ITEMS)):
            self.runtime.write_raw(key, None)
