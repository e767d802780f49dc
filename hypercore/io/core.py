"""A local copy of one hypercore: append, read, prove, and apply what peers prove."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hypercore import crypto, merkle
from hypercore.crypto import KeyPair
from hypercore.errors import (
    InvalidSignature,
    LocalProtocolError,
    ReadOnly,
    StoreMissing,
)
from hypercore.io.core_state import CoreState
from hypercore.io.events import Appended, Applied, BlockSource, Cleared, CoreEvent, Downloaded, Truncated
from hypercore.io.files import Directory, DiskDirectory, MemoryDirectory
from hypercore.io.journal import Change, StoredBlock, StoredHead
from hypercore.io.store import Durability, Identity, Store
from hypercore.manifest import Manifest, verifier_for
from hypercore.proof import (
    Proof,
    ProofRequest,
    VerifiedBatch,
    create_proof,
    missing_nodes,
    verify_proof,
)

MAXIMUM_BLOCK_BYTES = 15 * 1024 * 1024
MAXIMUM_BATCH_BLOCKS = 262_144


class Core(CoreState):
    """One hypercore in a directory or in memory; writable when the signing key is here.

    Methods are synchronous. After `close` every method that reads or writes raises `CoreClosed`.
    """

    def __init__(self, store: Store, key_pair: KeyPair | None, block_source: BlockSource | None) -> None:
        super().__init__(store, block_source)
        self._key_pair = key_pair
        self._listeners: list[Callable[[CoreEvent], None]] = []

    @classmethod
    def create(
        cls,
        path: Path | None = None,
        *,
        key_pair: KeyPair | None = None,
        compat: bool = False,
        manifest: Manifest | None = None,
        durability: Durability = "fsync",
        directory: Directory | None = None,
    ) -> "Core":
        """A new, empty, writable core; in memory when `path` is None, with a random key when none is given.

        Raises `StoreExists`, `StoreLocked`.
        """
        key_pair = key_pair or KeyPair.from_seed(os.urandom(crypto.KEY_SIZE))
        if compat:
            identity = Identity(key_pair.public_key, None)
        else:
            manifest = manifest or Manifest.default(key_pair.public_key)
            identity = Identity(manifest.key(), manifest)
        _check_signer(identity, key_pair)
        store = Store.create(directory or _directory(path), identity, key_pair, durability=durability)
        return cls(store, key_pair, None)

    @classmethod
    def open(
        cls,
        path: Path | None = None,
        key: bytes | str | None = None,
        *,
        key_pair: KeyPair | None = None,
        durability: Durability = "fsync",
        block_source: BlockSource | None = None,
        directory: Directory | None = None,
    ) -> "Core":
        """The core of a directory, or, where there is none yet, a new empty copy of `key` that only peers can fill.

        Raises `StoreMissing` when there is no core and no key, or a core of another key; `StoreLocked`; `StoreCorrupt`.
        """
        wanted = None if key is None else crypto.parse_key(key)
        directory = directory or _directory(path)
        try:
            store = Store.open(directory, durability=durability)
        except StoreMissing:
            if wanted is None:
                raise
            store = Store.create(directory, Identity(wanted, None), None, durability=durability)
        try:
            if wanted is not None and store.identity.key != wanted:
                raise StoreMissing(f"the core in this directory is {crypto.z32_encode(store.identity.key)}")
            if key_pair is not None:
                _check_signer(store.identity, key_pair)
            return cls(store, key_pair or store.key_pair(), block_source)
        except BaseException:
            store.abandon()
            raise

    @property
    def writable(self) -> bool:
        """True when the signing key is here."""
        return self._key_pair is not None

    def unlock(self, key_pair: KeyPair, manifest: Manifest | None = None) -> None:
        """Make a copy writable with the signing key; `manifest` is needed while the copy has not learned its own.

        Raises `InvalidSignature` when the key is not a signer. The key is not stored.
        """
        self._check_open()
        identity = Identity(self.key, self.manifest or manifest)
        _check_signer(identity, key_pair)
        if self.manifest is None and manifest is not None:
            self._store.set_manifest(manifest)
            self._verifier = None
        self._key_pair = key_pair

    def append(self, blocks: bytes | Sequence[bytes]) -> int:
        """Add one block, or several as one atomic change; returns the new length.

        With durability "fsync" the blocks are on the medium when this returns. Raises `ReadOnly`, and
        `LocalProtocolError` for a block above 15 MiB.
        """
        key_pair = self._signing_key()
        batch = [blocks] if isinstance(blocks, bytes) else [bytes(block) for block in blocks]
        if not batch:
            return self.length
        if len(batch) > MAXIMUM_BATCH_BLOCKS:
            raise LocalProtocolError(f"a batch of {len(batch)} blocks, at most {MAXIMUM_BATCH_BLOCKS} are allowed")
        for block in batch:
            if len(block) > MAXIMUM_BLOCK_BYTES:
                raise LocalProtocolError(f"a block of {len(block)} bytes, at most {MAXIMUM_BLOCK_BYTES} are allowed")
        growth = merkle.append_batch(self._roots, batch)
        start, offset = self.length, self.byte_length
        stored = []
        for index, block in enumerate(batch, start):
            stored.append(StoredBlock(index, offset, len(block), block))
            offset += len(block)
        end = start + len(batch)
        head = StoredHead(self.fork, end, self._verifier_now().sign(growth.roots, self.fork, key_pair))
        self._store.commit(
            Change(nodes=tuple(growth.nodes), blocks=tuple(stored), bits=((start, end, True),), head=head)
        )
        self._roots = tuple(growth.roots)
        self._update_contiguous(start)
        self._emit(Appended(end))
        return end

    def truncate(self, length: int, fork: int | None = None) -> None:
        """Go back to the first `length` blocks and begin a new fork (the next number unless given).

        Raises `ReadOnly`, and `LocalProtocolError` when the length or the fork does not go in that direction.
        """
        key_pair = self._signing_key()
        fork = self.fork + 1 if fork is None else fork
        if fork <= self.fork:
            raise LocalProtocolError(f"fork {fork} is not above the present fork {self.fork}")
        roots = merkle.read_roots(self._read_node, self._checked_length(length))
        head = StoredHead(fork, length, self._verifier_now().sign(roots, fork, key_pair))
        self._store.commit(Change(truncate_to=length, head=head))
        self._roots = roots
        self._contiguous = min(self._contiguous, length)
        self._store.cut_data(self.byte_length)
        self._emit(Truncated(length, fork))

    def clear(self, start: int, end: int) -> int:
        """Give up the contents of blocks `start` to `end - 1`; returns how many bytes the file system took back.

        Tree and head stay, so the blocks can be downloaded again and proofs about others still work.
        """
        self._check_open()
        end = min(end, self.length)
        ranges = [self._data_range(*run) for run in self._store.bitfield.runs(start, end)]
        if not ranges:
            return 0
        self._store.commit(Change(bits=((start, end, False),)))
        self._contiguous = min(self._contiguous, start)
        freed = self._store.free_data(ranges)
        self._emit(Cleared(start, end))
        return freed

    def proof(self, request: ProofRequest) -> Proof:
        """Answer a peer; raises `InvalidRequest`, `BlockNotAvailable` or `StaleProof`."""
        return create_proof(self.view(), request)

    def missing_nodes(self, index: int) -> int:
        """How many levels a proof of tree node `index` (2i for block i) must climb to reach a stored node.

        0 also when it lies beyond the length, and an upgrade is needed first.
        """
        return missing_nodes(self._read_node, self.length, index)

    def apply(self, proof: Proof, *, keep_block: bool = True) -> Applied:
        """Verify an answer of a peer and store it in one atomic change.

        With `keep_block=False` the block counts as here but its content is not written: a `BlockSource` has it.
        Raises `InvalidProof` (nothing is stored then) or `StaleProof`.
        """
        batch = verify_proof(self.view(), proof)
        old_length, old_fork = self.length, self.fork
        if batch.manifest is not None:
            self._store.set_manifest(batch.manifest)
            self._verifier = None
        self._store.commit(self._change_of(batch, keep_block), sync=False)
        if batch.head is not None:
            self._roots = batch.head.roots
        return self._announce(batch, old_length, old_fork)

    def _change_of(self, batch: VerifiedBatch, keep_block: bool) -> Change:
        head = None
        if batch.head is not None:
            head = StoredHead(batch.head.fork, batch.head.length, batch.head.signature)
        truncate_to = batch.ancestors if head is not None and head.fork > self.fork else None
        change = Change(truncate_to=truncate_to, nodes=batch.nodes, head=head)
        if batch.block is None:
            return change
        index, value = batch.block
        change = replace(change, bits=((index, index + 1, True),))
        if not keep_block or (self.has(index) and truncate_to is None):
            return change
        shown = {node.index: node for node in batch.nodes}
        shown |= {root.index: root for root in batch.head.roots} if batch.head else {}
        length = head.length if head else self.length
        offset = merkle.byte_offset(lambda node: shown.get(node) or self._read_node(node), length, 2 * index)
        return replace(change, blocks=(StoredBlock(index, offset, len(value), value),))

    def _announce(self, batch: VerifiedBatch, old_length: int, old_fork: int) -> Applied:
        if self.fork != old_fork:
            self._contiguous = min(self._contiguous, batch.ancestors)
            self._emit(Truncated(batch.ancestors, self.fork))
        if batch.head is not None:
            self._emit(Appended(self.length))
        index = batch.block[0] if batch.block else None
        if index is not None:
            self._update_contiguous(index)
            self._emit(Downloaded(index))
        return Applied((self.length, self.fork) != (old_length, old_fork), index)

    def subscribe(self, listener: Callable[[CoreEvent], None]) -> Callable[[], None]:
        """Call `listener` after each change, from within the changing call; returns what ends the subscription."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def sync(self) -> None:
        """Return once everything that was applied is on the medium."""
        self._check_open()
        self._store.sync()

    def close(self) -> None:
        """Write everything out and release the store; closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._listeners.clear()
            self._store.close()

    def _signing_key(self) -> KeyPair:
        self._check_open()
        if self._key_pair is None:
            raise ReadOnly("this copy of the core has no signing key")
        return self._key_pair

    def _data_range(self, start: int, end: int) -> tuple[int, int]:
        first = merkle.byte_offset(self._read_node, self.length, 2 * start)
        last = merkle.require(self._read_node, 2 * end - 2)
        return first, merkle.byte_offset(self._read_node, self.length, last.index) + last.size - first

    def _update_contiguous(self, index: int) -> None:
        if index == self._contiguous:
            self._contiguous = self._store.bitfield.first_unset(index)

    def _emit(self, event: CoreEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)


def _directory(path: Path | None) -> Directory:
    return MemoryDirectory() if path is None else DiskDirectory(Path(path))


def _check_signer(identity: Identity, key_pair: KeyPair) -> None:
    verifier = verifier_for(identity.key, identity.manifest)
    if key_pair.public_key not in {signer.public_key for signer in verifier.manifest.signers}:
        raise InvalidSignature("this key pair is not a signer of the core")


__all__ = ["Appended", "Applied", "BlockSource", "Cleared", "Core", "CoreEvent", "Downloaded", "Truncated"]
