"""Crash-safe storage of one core: tree, blocks, bitfield and head, each in a file where a place follows from a number.

    journal.0, journal.1   every change as one checksummed record; see `hypercore.io.journal`
    tree                   node i in the 40 bytes at 40 i: size, hash; zeros when not stored
    data                   block contents at their byte offset in the log; sparse where blocks are missing
    bitfield               which blocks are here, one bit each
    identity               key and manifest; `secret`: the signing seed, readable by its owner only
    user-data, conflict    what the application keeps here; why the core is frozen

A change goes to the journal first (with small blocks inside, large ones in `data` before it). Tree and bitfield changes
are held in memory, bounded by the journal's size, until a checkpoint writes them out and starts the journal over.
Opening replays the journal. With durability "fsync" a synced change survives a power cut; with "process" it survives a
killed process, and a power cut loses at most what the operating system had not written, never consistency.
"""

import errno
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from hypercore import crypto, flat_tree
from hypercore.bitfield import PAGE_BYTES, Bitfield
from hypercore.errors import (
    DecodeError,
    StoreCorrupt,
    StoreExists,
    StoreFailed,
    StoreFull,
    StoreMissing,
)
from hypercore.io.files import Directory
from hypercore.io.journal import Change, Journal, StoredBlock, StoredHead, contiguous
from hypercore.io.store_files import Identity, decode_identity, decode_user_data, encode_identity, encode_user_data
from hypercore.manifest import Manifest
from hypercore.merkle import Node

Durability = Literal["fsync", "process"]

JOURNAL_BYTES_MAXIMUM = 1 << 22
CACHED_NODES_MAXIMUM = 32_768
# While a full disk prevents checkpoints, the journal may grow to this size.
JOURNAL_BYTES_WITHOUT_CHECKPOINT_MAXIMUM = 1 << 26
INLINE_BLOCK_BYTES_MAXIMUM = 16_384
BLOCK_BYTES_EXPECTED_MAXIMUM = 1 << 24

_NODE_BYTES = 40
_NO_HASH = bytes(crypto.HASH_SIZE)
_log = logging.getLogger(__name__)


class Store:
    """One core's files. All methods are synchronous and fast; a single owner uses them."""

    def __init__(self, directory: Directory, identity: Identity, *, durability: Durability) -> None:
        self._directory = directory
        self._sync_changes = durability == "fsync"
        self._tree = directory.open("tree")
        self._data = directory.open("data")
        self._bitfield_file = directory.open("bitfield")
        self._journal = Journal(directory)
        self._pending: dict[int, Node] = {}
        self._cache: dict[int, Node] = {}
        # Nodes in the tree file count only up to the shortest length since the last checkpoint.
        self._tree_file_length = 0
        self._unsynced_data = False
        self._unsynced_truncation = False
        self.identity = identity
        self.bitfield = Bitfield()
        self.head = StoredHead(0, 0, b"")
        self.recovered: str | None = None
        self.unclean = False
        self.user_data: Mapping[str, bytes] = {}
        self._failed: str | None = None

    @classmethod
    def create(
        cls, directory: Directory, identity: Identity, key_pair: crypto.KeyPair | None, *, durability: Durability
    ) -> "Store":
        """A new store in an empty directory; raises `StoreExists` or `StoreLocked`."""
        directory.lock()
        try:
            if directory.load("identity") is not None:
                raise StoreExists("there is already a core in this directory")
            store = cls(directory, identity, durability=durability)
            store._journal.restart(store.head)
            if key_pair is not None:
                directory.replace("secret", key_pair.seed, private=True)
            # The identity makes the store exist, so it is written last.
            directory.replace("identity", encode_identity(identity))
        except BaseException:
            directory.close()
            raise
        return store

    @classmethod
    def open(cls, directory: Directory, *, durability: Durability) -> "Store":
        """The store in a directory, recovered; raises `StoreMissing`, `StoreLocked` or `StoreCorrupt`."""
        directory.lock()
        try:
            stored = directory.load("identity")
            if stored is None:
                raise StoreMissing("there is no core in this directory")
            store = cls(directory, decode_identity(stored), durability=durability)
            store.user_data = decode_user_data(directory.load("user-data"))
            store._recover()
        except BaseException:
            directory.close()
            raise
        return store

    def key_pair(self) -> crypto.KeyPair | None:
        """The signing key, when it is kept here."""
        seed = self._directory.load("secret")
        if seed is None:
            return None
        if len(seed) != crypto.KEY_SIZE:
            raise StoreCorrupt("the stored signing key is damaged")
        return crypto.KeyPair.from_seed(seed)

    def set_manifest(self, manifest: Manifest) -> None:
        """Remember a manifest that was learned from a peer."""
        self.identity = Identity(self.identity.key, manifest)
        self._directory.replace("identity", encode_identity(self.identity))

    def read_node(self, index: int) -> Node | None:
        """A stored tree node, or None."""
        node = self._pending.get(index) or self._cache.get(index)
        if node is not None:
            return node
        if flat_tree.right_span(index) >= 2 * self._tree_file_length:
            return None
        record = self._tree.read(_NODE_BYTES * index, _NODE_BYTES)
        if len(record) < _NODE_BYTES or record[8:] == _NO_HASH:
            return None
        node = Node(index, int.from_bytes(record[:8], "little"), record[8:])
        if len(self._cache) >= CACHED_NODES_MAXIMUM:
            self._cache.clear()
        self._cache[index] = node
        return node

    def read_data(self, offset: int, size: int) -> bytes:
        """Bytes of the data file; what was never written reads as zeros or is missing at the end."""
        if size > BLOCK_BYTES_EXPECTED_MAXIMUM:  # a damaged size must not become a request for memory
            size = max(0, min(size, self._data.size() - offset))
        return self._data.read(offset, size)

    def set_user_data(self, name: str, value: bytes | None) -> None:
        """Keep a value, or forget it; raises `LocalProtocolError` when all values together are too large."""
        changed = {**self.user_data, name: value}
        kept = {key: content for key, content in sorted(changed.items()) if content is not None}
        encoded = encode_user_data(kept)
        with self._disk_errors(recoverable=True):
            self._directory.replace("user-data", encoded)
        self.user_data = kept

    def conflict(self) -> bytes | None:
        """What `keep_conflict` kept."""
        return self._directory.load("conflict")

    def keep_conflict(self, conflict: bytes) -> None:
        """Keep for good why the core is frozen."""
        self._directory.replace("conflict", conflict)

    def file_bytes(self) -> tuple[int, int, int, int]:
        """Bytes of the files: data, tree, bitfield, journal."""
        return self._data.size(), self._tree.size(), self._bitfield_file.size(), self._journal.file_bytes()

    def commit(self, change: Change, *, sync: bool = True) -> None:
        """Apply a change atomically. `sync=False` lets a crash undo it, together with everything after it.

        Raises `StoreFull`: nothing was changed; `StoreFailed`: the change may or may not be there after reopening.
        """
        self._check_usable()
        if change.truncate_to is not None and change.blocks:
            # In one record, the new blocks would lie over the old ones before it is known that those are given up.
            self.commit(Change(change.truncate_to, change.nodes, head=change.head), sync=sync)
            self.commit(Change(blocks=change.blocks, nodes=change.nodes, bits=change.bits), sync=sync)
            return
        sync = sync and self._sync_changes
        if self._unsynced_truncation and change.blocks:
            with self._disk_errors(recoverable=False):
                self._sync_journal()
        logged = []
        with self._disk_errors(recoverable=True):
            for offset, content in contiguous(change.blocks):
                self._data.write(offset, content)
            for block in change.blocks:
                inline = block.size <= INLINE_BLOCK_BYTES_MAXIMUM
                self._unsynced_data |= not inline
                logged.append(block if inline else StoredBlock(block.index, block.offset, block.size, None))
        with self._disk_errors(recoverable=False):
            if sync and self._unsynced_data:
                self._data.sync()
                self._unsynced_data = False
        record = Change(change.truncate_to, change.nodes, tuple(logged), change.bits, change.head).encode()
        with self._disk_errors(recoverable=True):
            self._journal.append(record)
        self._unsynced_truncation |= change.truncate_to is not None
        if sync:
            with self._disk_errors(recoverable=False):
                self._sync_journal()
        self._apply(change)
        if self._journal.size > JOURNAL_BYTES_MAXIMUM:
            self._checkpoint_or_wait()

    def _checkpoint_or_wait(self) -> None:
        """The change is in the journal already, so a disk that is too full for a checkpoint does not undo it."""
        try:
            self.checkpoint()
        except StoreFull:
            if self._journal.size > JOURNAL_BYTES_WITHOUT_CHECKPOINT_MAXIMUM:
                self._failed = "the disk was full for too long"
            _log.warning("the disk is full: the journal grows to %d bytes", self._journal.size)

    def _check_usable(self) -> None:
        if self._failed is not None:
            raise StoreFailed(f"the store takes no more changes until it is opened again: {self._failed}")

    @contextmanager
    def _disk_errors(self, *, recoverable: bool) -> Iterator[None]:
        """Names what the operating system reports. After a failed sync nobody knows what is on the medium."""
        try:
            yield
        except OSError as error:
            if recoverable and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"the disk is full: {error}") from error
            self._failed = str(error)
            raise StoreFailed(f"the disk failed: {error}") from error

    def free_data(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Give back the space of (offset, size) ranges; returns the bytes for which the file system could."""
        self._sync_journal()
        return sum(size for offset, size in ranges if self._data.free(offset, size))

    def cut_data(self, size: int) -> None:
        """Drop what lies behind the log's last byte."""
        if self._data.size() > size:
            self._sync_journal()
            self._data.truncate(size)

    def sync(self) -> None:
        """Return once everything committed is on the medium."""
        if self._unsynced_data:
            self._data.sync()
            self._unsynced_data = False
        self._sync_journal()

    def _sync_journal(self) -> None:
        self._journal.sync()
        self._unsynced_truncation = False

    def checkpoint(self) -> None:
        """Write tree and bitfield out and start the journal over; raises `StoreFull` and then changed nothing."""
        self._check_usable()
        with self._disk_errors(recoverable=False):
            # Only what can no longer be lost may reach the tree and the bitfield.
            self.sync()
        pages = self.bitfield.take_changed_pages()
        try:
            with self._disk_errors(recoverable=True):
                self._cut_tree_file()
                for offset, records in _runs(self._pending):
                    self._tree.write(offset, records)
                for number, page in pages:
                    self._bitfield_file.write(number * PAGE_BYTES, page)
                for file in (self._data, self._tree, self._bitfield_file):
                    file.sync()
                self._journal.restart(self.head)
        except BaseException:
            self.bitfield.mark_changed(number for number, _ in pages)
            raise
        self._cache.clear()
        self._pending.clear()
        self._tree_file_length = self.head.length

    def close(self) -> None:
        """Write everything out and release the directory."""
        try:
            if self._failed is None:
                self._checkpoint_or_wait()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Release the files as a killed process would: the next opening recovers from the journal."""
        for file in (self._tree, self._data, self._bitfield_file, self._journal):
            file.close()
        self._directory.close()

    def _apply(self, change: Change) -> None:
        if change.truncate_to is not None:
            self._cache.clear()
            limit = 2 * change.truncate_to
            self._tree_file_length = min(self._tree_file_length, change.truncate_to)
            for index in [index for index in self._pending if flat_tree.right_span(index) >= limit]:
                del self._pending[index]
            self.bitfield.set_range(change.truncate_to, max(change.truncate_to, self.head.length), False)
        for node in change.nodes:
            self._pending[node.index] = node
        for start, end, value in change.bits:
            self.bitfield.set_range(start, end, value)
        if change.head is not None:
            self.head = change.head

    def _cut_tree_file(self) -> None:
        """Remove nodes beyond the shortest length since the last checkpoint.

        A node further left that reaches beyond it may stay: it counts again only once the log has grown over it, and
        that growth computes it anew.
        """
        size = _NODE_BYTES * max(0, 2 * self._tree_file_length - 1)
        if self._tree.size() > size:
            self._tree.truncate(size)

    def _recover(self) -> None:
        self.head, records = self._journal.recover()
        self._tree_file_length = self.head.length
        self.bitfield = Bitfield.from_bytes(self._bitfield_file.read(0, self._bitfield_file.size()))
        reason = "is cut short or damaged"
        changes = list(_decoded(records))
        removing = [
            (number, change)
            for number, (_, change) in enumerate(changes)
            if change.truncate_to is not None or not all(value for _, _, value in change.bits)
        ]
        if removing:
            self._journal.sync()  # before small blocks are put back, perhaps where others lay that are given up
        for number, (end, change) in enumerate(changes):
            later = [after for position, after in removing if position > number]
            if not self._replay_blocks(change, later):
                reason = "refers to block data that did not reach the disk"
                break
            self._apply(change)
            self._journal.accept(end)
        lost = self._journal.lost_bytes()
        self.unclean = bool(changes or lost)
        if lost:
            self.recovered = (
                f"the journal {reason}: its last {lost} bytes were dropped, "
                f"the core is at {self.head.length} blocks of fork {self.head.fork}"
            )
            _log.warning("recovered a core: %s", self.recovered)
        # Bits above the length can only come from a page that was written for changes which were lost.
        self.bitfield.set_range(self.head.length, max(self.head.length, 8 * self._bitfield_file.size()), False)
        if lost or changes:
            self._checkpoint_or_wait()

    def _replay_blocks(self, change: Change, later: list[Change]) -> bool:
        """Put small blocks back into the data file and check that large ones are there.

        Blocks that a later change removed are left alone: their place may hold other data by now, or none.
        """
        hashes = {node.index: node.hash for node in change.nodes}
        for block in change.blocks:
            if any(_removes(after, block.index) for after in later):
                continue
            if block.value is not None:
                if self._data.read(block.offset, block.size) != block.value:
                    with self._disk_errors(recoverable=True):
                        self._data.write(block.offset, block.value)
                continue
            stored = hashes.get(2 * block.index)
            if crypto.leaf_hash(self._data.read(block.offset, block.size)) != stored:
                return False
        return True


def _decoded(records: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Change]]:
    for end, payload in records:
        try:
            yield end, Change.decode(payload)
        except DecodeError:
            return


def _removes(change: Change, index: int) -> bool:
    if change.truncate_to is not None and change.truncate_to <= index:
        return True
    return any(start <= index < end and not value for start, end, value in change.bits)


def _runs(nodes: dict[int, Node]) -> Iterator[tuple[int, bytes]]:
    """(file offset, records) of nodes that lie side by side, so that each run is one write."""
    start: int | None = None
    records: list[bytes] = []
    for index in sorted(nodes):
        if start is not None and index != start + len(records):
            yield _NODE_BYTES * start, b"".join(records)
            start, records = None, []
        if start is None:
            start = index
        records.append(nodes[index].size.to_bytes(8, "little") + nodes[index].hash)
    if start is not None:
        yield _NODE_BYTES * start, b"".join(records)
