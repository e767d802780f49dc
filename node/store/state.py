"""The state after one block: the change sets of its line over the flat table."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from heapq import merge

from node.store.database import MAX_KEY_BYTES, Database
from node.store.layers import Layer, LayerIndex


class BlockState:
    """A `StateView` that answers while the store keeps the block's state, and raises StateUnavailable afterwards."""

    def __init__(
        self,
        database: Database,
        layers: LayerIndex,
        block_hash: bytes,
        layer: Layer | None,
        require_kept: Callable[[bytes], None],
    ) -> None:
        self.block_hash = block_hash
        self._database = database
        self._layers = layers
        self._require_kept = require_kept
        self._number = -1 if layer is None else layer.number
        self._line = frozenset() if layer is None else frozenset(one.hash for one in layer.line())

    def get(self, key: bytes) -> bytes | None:
        """The value under a key, or None."""
        self._require_kept(self.block_hash)
        layer = self._layers.find(key, self._number, self._line)
        if layer is not None:
            return layer.changes[key]
        if not 0 < len(key) <= MAX_KEY_BYTES:
            return None
        return self._database.get("flat", key)

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        """Up to `limit` keys that begin with `prefix` and are greater than `start`, ascending."""
        first = prefix if start is None or start < prefix else start + b"\x00"
        found: list[bytes] = []
        previous = None
        with self._database.reading(), closing(self._database.keys_from("flat", first[:MAX_KEY_BYTES])) as flat:
            for key in merge(flat, self._layers.keys_from(first)):
                if len(found) >= limit or not key.startswith(prefix):
                    break
                if key >= first and key != previous and self.get(key) is not None:
                    found.append(key)
                previous = key
        return found
