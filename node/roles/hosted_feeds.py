"""What a hoster shows to readers: the hypercores of its lanes, their blocks opened from the sealed copies on demand.

The replica of a feed on disk holds the author's signed head and tree nodes, never block contents. A block that a reader
asks for is opened from a lane by the `ChunkOpener` and checked against its leaf.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
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
from node.roles.hoster_store import StoredLane
from node.roles.opener import ChunkOpener

log = logging.getLogger(__name__)


class SealedBlocks:
    """The blocks of one feed as a `BlockSource`: opened from whichever lane holds them."""

    def __init__(self, feed_key: bytes, opener: ChunkOpener) -> None:
        self._feed_key = feed_key
        self._opener = opener
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
        self._opener.forget(self._feed_key)
        return lost

    def has(self, index: int) -> bool:
        """True when some lane holds the block."""
        return index in self._places

    def prepare(self, index: int, ready: Callable[[], None]) -> bool:
        """True when `read` answers; otherwise the block is being opened, and `ready` is called after that."""
        return self._opener.prepare((self._feed_key, index), lambda: self._places.get(index, ()), ready)

    def read(self, index: int) -> bytes | None:
        """A block that was prepared; None when no lane gives it."""
        return self._opener.take((self._feed_key, index))


class HostedFeeds:
    """The replicas of all feeds of a hoster, below one directory."""

    def __init__(self, path: Path, opener: ChunkOpener) -> None:
        self._path = path
        self._opener = opener
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
            source = SealedBlocks(lane.feed_key, self._opener)
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
