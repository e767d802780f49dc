"""What a hoster shows to readers: the hypercores of its lanes, their blocks opened from the sealed copies on demand.

The replica of a feed on disk holds the author's signed head and tree nodes, never block contents. A block that a reader
asks for is opened from a lane and checked against its leaf; the last ones opened are kept, within a bound.
"""

from __future__ import annotations

import logging
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from hypercore import flat_tree
from hypercore.crypto import discovery_key
from hypercore.errors import StoreCorrupt
from hypercore.io.core import Core
from hypercore.manifest import Manifest
from hypercore.merkle import Node
from hypercore.proof import (
    BlockProof,
    DataBlock,
    DataUpgrade,
    Proof,
    decode_block_proof,
    decode_head_proof,
)
from node.roles import limits
from node.roles.hoster_store import LaneDamaged, LaneStore, StoredLane
from pallets.datdot.sealing import SealingError, open_chunk

log = logging.getLogger(__name__)


class OpenedCache:
    """The blocks opened last, at most `max_bytes` of them."""

    def __init__(self, max_bytes: int = limits.OPENED_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._blocks: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()

    def get(self, feed_key: bytes, index: int) -> bytes | None:
        """A block that was opened lately."""
        block = self._blocks.get((feed_key, index))
        if block is not None:
            self._blocks.move_to_end((feed_key, index))
        return block

    def put(self, feed_key: bytes, index: int, block: bytes) -> None:
        """Keep a block; older ones make room."""
        self._bytes += len(block) - len(self._blocks.pop((feed_key, index), b""))
        self._blocks[(feed_key, index)] = block
        while self._bytes > self._max_bytes:
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= len(oldest)

    def forget(self, feed_key: bytes) -> None:
        """Drop the blocks of a feed."""
        for key in [key for key in self._blocks if key[0] == feed_key]:
            self._bytes -= len(self._blocks.pop(key))


class SealedBlocks:
    """The blocks of one feed as a `BlockSource`: opened from whichever lane holds them."""

    def __init__(self, feed_key: bytes, store: LaneStore, cache: OpenedCache) -> None:
        self._feed_key = feed_key
        self._store = store
        self._cache = cache
        self._places: dict[int, list[tuple[StoredLane, int]]] = {}

    @property
    def is_empty(self) -> bool:
        """True when no lane holds a block of the feed."""
        return not self._places

    def add(self, lane: StoredLane) -> None:
        """Serve from a lane too."""
        for place, index in enumerate(lane.chunks):
            self._places.setdefault(index, []).append((lane, place))

    def remove(self, lane: StoredLane) -> list[int]:
        """Serve from a lane no longer; returns the blocks that no lane holds now."""
        lost = []
        for place, index in enumerate(lane.chunks):
            self._places[index].remove((lane, place))
            if not self._places[index]:
                del self._places[index]
                lost.append(index)
        self._cache.forget(self._feed_key)
        return lost

    def has(self, index: int) -> bool:
        """True when some lane holds the block."""
        return index in self._places

    def read(self, index: int) -> bytes | None:
        """The block, opened from the first lane that still gives it."""
        cached = self._cache.get(self._feed_key, index)
        if cached is not None:
            return cached
        for lane, place in self._places.get(index, ()):
            try:
                block = open_chunk(lane.lane, index, self._store.read_sealed(lane, place))
            except (LaneDamaged, SealingError) as error:
                log.error("block %d cannot be opened from %s: %s", index, lane.path.name, error)
                continue
            self._cache.put(self._feed_key, index, block)
            return block
        return None


class HostedFeeds:
    """The replicas of all feeds of a hoster, below one directory."""

    def __init__(self, path: Path, store: LaneStore, cache: OpenedCache | None = None) -> None:
        self._path = path
        self._store = store
        self._cache = cache or OpenedCache()
        self._feeds: dict[bytes, tuple[Core, SealedBlocks]] = {}

    def resolve(self, discovery: bytes) -> Core | None:
        """The core that a reader asks for by its discovery key."""
        feed = self._feeds.get(discovery)
        return feed[0] if feed is not None else None

    @property
    def discovery_keys(self) -> tuple[bytes, ...]:
        """The feeds that are served, by discovery key."""
        return tuple(self._feeds)

    def attach(self, lane: StoredLane) -> tuple[int, ...]:
        """Serve from a lane; returns the places (from 0) whose blocks the replica does not know yet, for `teach`."""
        core, source = self._feed(lane)
        source.add(lane)
        return tuple(place for place, index in enumerate(lane.chunks) if not core.has(index))

    def teach(self, lane: StoredLane, opened: Sequence[tuple[int, bytes]]) -> None:
        """Let the replica know blocks of a lane, given as (place, content); on the medium when this returns."""
        core, _ = self._feed(lane)
        length = decode_head_proof(lane.head_proof).length
        for place, block in opened:
            proof = decode_block_proof(lane.block_proofs[place])
            data = data_block(length, lane.chunks[place], block, proof)
            core.apply(Proof(core.fork, block=data), keep_block=False)
        core.sync()

    def detach(self, lane: StoredLane) -> Core | None:
        """Serve from a lane no longer; returns the replica if that was its last lane, to be given to `delete`."""
        discovery = discovery_key(lane.feed_key)
        core, source = self._feeds[discovery]
        for index in source.remove(lane):
            core.clear(index, index + 1)
        if not source.is_empty:
            return None
        del self._feeds[discovery]
        return core

    def delete(self, core: Core) -> None:
        """Close a replica that nobody uses any more and remove its files."""
        core.close()
        shutil.rmtree(self._directory(core.key), ignore_errors=True)

    def close(self) -> None:
        """Close every replica."""
        for core, _ in self._feeds.values():
            core.close()
        self._feeds.clear()

    def _feed(self, lane: StoredLane) -> tuple[Core, SealedBlocks]:
        discovery = discovery_key(lane.feed_key)
        if discovery not in self._feeds:
            source = SealedBlocks(lane.feed_key, self._store, self._cache)
            core = self._open(lane.feed_key, source)
            if core.length == 0:
                core.apply(head_upgrade(lane.head_proof))
            self._feeds[discovery] = (core, source)
        return self._feeds[discovery]

    def _open(self, key: bytes, source: SealedBlocks) -> Core:
        directory = self._directory(key)
        try:
            return Core.open(directory, key, block_source=source)
        except StoreCorrupt as error:
            log.error("the replica of %s is rebuilt from the sealed lanes: %s", key.hex(), error)
            shutil.rmtree(directory)
            return Core.open(directory, key, block_source=source)

    def _directory(self, key: bytes) -> Path:
        return self._path / key.hex()


def head_upgrade(encoded: bytes) -> Proof:
    """An encoded head proof as the growth from nothing that a replica applies."""
    head = decode_head_proof(encoded)
    growth = DataUpgrade(0, head.length, head.nodes, (), head.signature)
    return Proof(head.fork, upgrade=growth, manifest=Manifest.decode(head.manifest) if head.manifest else None)


def data_block(length: int, index: int, block: bytes, proof: BlockProof) -> DataBlock:
    """A block with its path to the full root above it, out of a proof against the whole head of `length` blocks."""
    places = flat_tree.cover(0, index) + flat_tree.cover(index + 1, length)
    siblings = dict(zip(places, proof.siblings, strict=True))
    nodes = []
    position = 2 * index
    while (beside := flat_tree.sibling(position)) in siblings:
        nodes.append(Node(beside, siblings[beside].size, siblings[beside].hash))
        position = flat_tree.parent(position)
    return DataBlock(index, block, tuple(nodes))
