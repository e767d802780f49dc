"""Change sets of the blocks above the folded one, in memory, indexed so that a read does not search all of them.

Every block above the folded state is a layer on its parent's. A read at a block must find the newest change among the
block's own ancestors; forks share the index. Per key the index lists the layers that changed it by number, so a read at
the best block looks at one entry, and a read at an old or forked block skips the few that are not its ancestors.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

from runtime.header import Header

Changes = Mapping[bytes, bytes | None]


class Layer:
    """One block's change set; `parent` is None when the parent is the folded block."""

    __slots__ = ("changes", "hash", "header", "number", "parent")

    def __init__(self, header: Header, parent: Layer | None, changes: Changes) -> None:
        self.header = header
        self.hash = header.hash
        self.number = header.number
        self.parent = parent
        self.changes = changes

    def line(self) -> Iterator[Layer]:
        """This layer and those below it, newest first."""
        layer: Layer | None = self
        while layer is not None:
            yield layer
            layer = layer.parent

    def __lt__(self, other: Layer) -> bool:
        return self.number < other.number


class LayerIndex:
    """All layers by block hash, and the layers that changed a key by key."""

    def __init__(self) -> None:
        self.by_hash: dict[bytes, Layer] = {}
        self._by_key: dict[bytes, list[Layer]] = {}
        self._sorted_keys: list[bytes] | None = None

    def add(self, layer: Layer) -> None:
        """Put a block on top of its parent."""
        self.by_hash[layer.hash] = layer
        for key in layer.changes:
            versions = self._by_key.get(key)
            if versions is None:
                self._by_key[key] = [layer]
                self._sorted_keys = None
            elif versions[-1].number <= layer.number:
                versions.append(layer)
            else:
                insort(versions, layer)

    def remove_all(self, layers: Sequence[Layer]) -> None:
        """Forget blocks that were folded into the table below or whose fork was given up."""
        for layer in layers:
            self.remove(layer)
        for layer in self.by_hash.values():
            if layer.parent is not None and layer.parent.hash not in self.by_hash:
                layer.parent = None

    def remove(self, layer: Layer) -> None:
        """Forget a block on which no other stands."""
        del self.by_hash[layer.hash]
        for key in layer.changes:
            versions = self._by_key[key]
            versions.remove(layer)
            if not versions:
                del self._by_key[key]
                self._sorted_keys = None

    def find(self, key: bytes, number: int, line: frozenset[bytes]) -> Layer | None:
        """The newest layer of `line` (hashes of a block `number` and its ancestors) that changed the key."""
        versions = self._by_key.get(key)
        if versions is None:
            return None
        for layer in reversed(versions):
            if layer.number <= number and layer.hash in line:
                return layer
        return None

    def keys_from(self, start: bytes) -> Iterator[bytes]:
        """Keys that any layer changed, from `start` on, ascending; sorted again only after keys came or went."""
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self._by_key)
        ordered = self._sorted_keys
        for at in range(bisect_left(ordered, start), len(ordered)):
            yield ordered[at]

    def old_line(self, block_hash: bytes, newest: int) -> list[Layer]:
        """A block and its ancestors up to the number `newest`, oldest first."""
        layer = self.by_hash.get(block_hash)
        return [] if layer is None else [one for one in reversed(list(layer.line())) if one.number <= newest]

    def not_on(self, line: Sequence[Layer]) -> list[Layer]:
        """The layers that neither are among nor stand on those of a line; none for an empty line."""
        if not line:
            return []
        kept = {layer.hash for layer in [*line, *self.descendants(line[-1].hash)]}
        return [layer for layer in self.by_hash.values() if layer.hash not in kept]

    def descendants(self, of: bytes) -> list[Layer]:
        """The layers that stand on block `of`, parents before children."""
        above = {of}
        found = []
        for layer in sorted(self.by_hash.values()):
            if layer.header.parent_hash in above:
                above.add(layer.hash)
                found.append(layer)
        return found
