"""Crash-safe storage of one core: tree, blocks, bitfield and head, each in a file where a place follows from a number.

    journal.0, journal.1   every change as one checksummed record; see `hypercore.io.journal`
    tree                   nodes; see `hypercore.io.tree_file`
    data                   block contents at their byte offset in the log; see `hypercore.io.block_file`
    bitfield               which blocks are here, one bit each
    identity               key and manifest; `secret`: the signing seed, readable by its owner only
    user-data, conflict    what the application keeps here; why the core is frozen

A change goes to the journal first, with small blocks inside, and with larger ones too where that saves a sync; the rest
goes to `data` before it. What the journal has is held in memory, bounded by the journal's size, until a checkpoint
writes it out and starts the journal over. Opening replays the journal. With durability "fsync" a synced change survives
a power cut; with "process" it survives a killed process, and a power cut loses at most what the operating system had
not written, never consistency.
"""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from types import TracebackType
from typing import Literal

from hypercore import crypto
from hypercore.bitfield import PAGE_BYTES, Bitfield
from hypercore.errors import (
    DecodeError,
    StoreCorrupt,
    StoreExists,
    StoreFailed,
    StoreFull,
    StoreMissing,
)
from hypercore.io.block_file import BlockFile
from hypercore.io.files import Directory
from hypercore.io.journal import Change, Journal, StoredHead
from hypercore.io.recovery import beyond, replayable
from hypercore.io.store_files import Identity, decode_identity, decode_user_data, encode_identity, encode_user_data
from hypercore.io.tree_file import TreeFile
from hypercore.manifest import Manifest

Durability = Literal["fsync", "process"]

JOURNAL_BYTES_MAXIMUM = 1 << 22
# While a full disk prevents checkpoints, the journal may grow to this size.
JOURNAL_BYTES_WITHOUT_CHECKPOINT_MAXIMUM = 1 << 26
INLINE_BLOCK_BYTES_MAXIMUM = 16_384
# Up to here it costs less to write all blocks of a synced change twice than to sync a second file.
INLINE_SYNCED_BYTES_MAXIMUM = 1 << 18

_log = logging.getLogger(__name__)


class Store:
    """One core's files. All methods are synchronous and fast; a single owner uses them."""

    def __init__(self, directory: Directory, identity: Identity, *, durability: Durability) -> None:
        self._directory = directory
        self._sync_changes = durability == "fsync"
        self._tree = TreeFile(directory)
        self._blocks = BlockFile(directory)
        self._bitfield_file = directory.open("bitfield")
        self._journal = Journal(directory, reserves=self._sync_changes)
        self.read_node = self._tree.read
        self.identity = identity
        self.bitfield = Bitfield()
        self.head = StoredHead(0, 0, b"")
        self.recovered: str | None = None
        self.cut_off: tuple[tuple[int, int], ...] = ()
        self.unclean = False
        self._unsynced_removal = False
        self.user_data: Mapping[str, bytes] = {}
        self._failed: str | None = None
        self._writing = _DiskErrors(self, may_be_full=True)
        self._syncing = _DiskErrors(self, may_be_full=False)

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
    def open(cls, directory: Directory, *, durability: Durability, has_source: bool = False) -> "Store":
        """The store in a directory, recovered; with `has_source` the contents of its blocks may be elsewhere.

        Raises `StoreMissing`, `StoreLocked` or `StoreCorrupt`.
        """
        directory.lock()
        try:
            stored = directory.load("identity")
            if stored is None:
                raise StoreMissing("there is no core in this directory")
            store = cls(directory, decode_identity(stored), durability=durability)
            store.user_data = decode_user_data(directory.load("user-data"))
            store._recover(has_source)
        except BaseException:
            directory.close()
            raise
        return store

    @property
    def advice(self) -> str:
        """What to do about damage, as the end of a message."""
        return (
            f"`datdot core check {self._directory} --repair` mends the tree where it can and gives damaged blocks up, "
            "so that peers bring them again"
        )

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

    def read_data(self, offset: int, size: int) -> bytes:
        """Bytes of a block; what was never written reads as zeros or is missing at the end."""
        return self._blocks.read(offset, size)

    def set_user_data(self, name: str, value: bytes | None) -> None:
        """Keep a value, or forget it; raises `LocalProtocolError` when all values together are too large."""
        changed = {**self.user_data, name: value}
        kept = {key: content for key, content in sorted(changed.items()) if content is not None}
        encoded = encode_user_data(kept)
        with self._writing:
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
        return self._blocks.size(), self._tree.size(), self._bitfield_file.size(), self._journal.file_bytes()

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
        limit = INLINE_BLOCK_BYTES_MAXIMUM
        if sync and sum([block.size for block in change.blocks]) <= INLINE_SYNCED_BYTES_MAXIMUM:
            limit = INLINE_SYNCED_BYTES_MAXIMUM
        inline = [block for block in change.blocks if block.size <= limit]
        if change.truncate_to is not None:
            self._write_blocks_out()  # what waits must not overwrite what the new fork puts there
        if len(inline) < len(change.blocks):
            self._settle_removals()
            with self._writing:
                self._blocks.write(block for block in change.blocks if block.size > limit)
        if sync:
            with self._syncing:
                self._blocks.sync()
        with self._writing:
            self._journal.append(change.encode(limit))
        self._unsynced_removal |= change.gives_up
        if sync:
            with self._syncing:
                self._sync_journal()
        self._blocks.keep(inline)
        self._apply(change)
        if self._journal.size > JOURNAL_BYTES_MAXIMUM:
            self._checkpoint_or_wait()
        elif self._blocks.many_waiting:
            self._or_wait(self._write_blocks_out)

    def _checkpoint_or_wait(self) -> None:
        self._or_wait(self.checkpoint)
        if self._journal.size > JOURNAL_BYTES_WITHOUT_CHECKPOINT_MAXIMUM:
            self.fail("the disk was full for too long")

    def _or_wait(self, write_out: Callable[[], None]) -> None:
        """The journal has the change already, so a disk that is too full to write it out does not undo it."""
        try:
            write_out()
        except StoreFull:
            _log.warning("the disk is full: the journal grows to %d bytes", self._journal.size)

    def fail(self, reason: str) -> None:
        """Take no more changes."""
        self._failed = reason

    def _check_usable(self) -> None:
        if self._failed is not None:
            raise StoreFailed(f"the store takes no more changes until it is opened again: {self._failed}")

    def free_data(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Give back the space of (offset, size) ranges; returns the bytes for which the file system could."""
        self._sync_journal()
        return sum(size for offset, size in ranges if self._blocks.free(offset, size))

    def cut_data(self, size: int) -> None:
        """Drop what lies behind the log's last byte."""
        if self._blocks.size() > size:
            self._sync_journal()
            self._blocks.cut(size)

    def sync(self) -> None:
        """Return once everything committed is on the medium."""
        self._blocks.sync()
        self._sync_journal()

    def _sync_journal(self) -> None:
        self._journal.sync()
        self._unsynced_removal = False

    def _settle_removals(self) -> None:
        """Nothing may be written over what a change gave up while that change could still be lost."""
        if self._unsynced_removal:
            with self._syncing:
                self._sync_journal()

    def _write_blocks_out(self) -> None:
        self._settle_removals()
        with self._writing:
            self._blocks.write_out()

    def checkpoint(self) -> None:
        """Write out what the journal has and start it over; raises `StoreFull` and then changed nothing."""
        self._check_usable()
        # What is new does no harm in tree and bitfield when it is lost from the journal: beyond the head it does not
        # count, below it belongs to the same log.
        self._write_blocks_out()
        pages = self.bitfield.take_changed_pages()
        try:
            with self._writing:
                self._blocks.sync(all_of_it=True)
                self._tree.write_out()
                for number, page in pages:
                    self._bitfield_file.write(number * PAGE_BYTES, page)
                self._bitfield_file.sync()
                self._journal.restart(self.head)
        except BaseException:
            self.bitfield.mark_changed(number for number, _ in pages)
            raise
        self._tree.written(self.head.length)
        self._unsynced_removal = False

    def close(self) -> None:
        """Write everything out and release the directory."""
        try:
            if self._failed is None:
                self._checkpoint_or_wait()
                self._journal.trim()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Release the files as a killed process would: the next opening recovers from the journal."""
        for file in (self._tree, self._blocks, self._bitfield_file, self._journal):
            file.close()
        self._directory.close()

    def _apply(self, change: Change) -> None:
        if change.truncate_to is not None:
            self._tree.truncate(change.truncate_to)
            self.bitfield.set_range(change.truncate_to, max(change.truncate_to, self.head.length), False)
        self._tree.add(change.nodes)
        for start, end, value in change.bits:
            self.bitfield.set_range(start, end, value)
        if change.head is not None:
            self.head = change.head

    def _recover(self, has_source: bool) -> None:
        try:
            self.head, records = self._journal.recover()
        except StoreCorrupt as error:
            own = " and copy the file `secret` there, to go on writing it" if self._directory.load("secret") else ""
            raise StoreCorrupt(
                f"the signed head in {self._directory} is lost, {error}: "
                f"clone the core from a peer into another directory{own}; "
                "the file `data` still has the contents of blocks, one after another"
            ) from None
        self._tree.opened_at(self.head.length)
        self.bitfield = Bitfield.from_bytes(self._bitfield_file.read(0, self._bitfield_file.size()))
        # Bits above the length come from a page that was written when these changes were not sure to last.
        self.bitfield.set_range(self.head.length, max(self.head.length, 8 * self._bitfield_file.size()), False)
        changes = list(_decoded(records))
        data_bytes = self._blocks.size()
        contents = replayable([change for _, change in changes], self._blocks.read)
        for (end, change), blocks in zip(changes, contents, strict=False):
            self._blocks.keep(blocks)
            self._apply(change)
            self._journal.accept(end)
            self._unsynced_removal |= change.gives_up
        lost = self._journal.lost_bytes()
        self.unclean = bool(changes or lost)
        if lost:
            whole = len(contents) == len(changes)
            reason = "is cut short or damaged" if whole else "refers to block data that did not reach the disk"
            self.recovered = (
                f"the journal {reason}: its last {lost} bytes were dropped, "
                f"the core is at {self.head.length} blocks of fork {self.head.fork}"
            )
            _log.warning("recovered core %s: %s", crypto.z32_encode(self.identity.key), self.recovered)
        replayed = {block.index for blocks in contents for block in blocks}
        if not has_source:
            self._find_cut_off(data_bytes, replayed)
        if lost or changes:
            if replayed:
                self.give_up_cut_off()
            self._checkpoint_or_wait()

    def _find_cut_off(self, data_bytes: int, replayed: Set[int]) -> None:
        """Note which blocks ended behind a data file that somebody made shorter; no crash does."""
        self.cut_off = beyond(data_bytes, self.read_node, self.head.length, self.bitfield, replayed)
        if self.cut_off:
            count = sum(end - start for start, end in self.cut_off)
            first, last = self.cut_off[0][0], self.cut_off[-1][1] - 1
            found = f"the file `data` was cut short: {count} blocks from {first} to {last} are lost; {self.advice}"
            self.recovered = found if self.recovered is None else f"{self.recovered}; {found}"
            _log.warning("core %s is damaged: %s", crypto.z32_encode(self.identity.key), found)

    def give_up_cut_off(self) -> tuple[tuple[int, int], ...]:
        """Count blocks that the data file lost as not here, and return their runs.

        Necessary before the file grows: from then on its size tells of them no longer.
        """
        gone, self.cut_off = self.cut_off, ()
        if gone:
            self.commit(Change(bits=tuple((first, end, False) for first, end in gone)))
        return gone


class _DiskErrors:
    """Names what the operating system reports. After a failed sync nobody knows what is on the medium."""

    def __init__(self, store: Store, *, may_be_full: bool) -> None:
        self._store = store
        self._may_be_full = may_be_full

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):
            return
        if self._may_be_full and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull(f"the disk is full: {error}") from error
        self._store.fail(str(error))
        raise StoreFailed(f"the disk failed: {error}") from error


def _decoded(records: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Change]]:
    for end, payload in records:
        try:
            yield end, Change.decode(payload)
        except DecodeError:
            return
