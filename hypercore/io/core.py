"""A local copy of one hypercore: append, read, prove, and apply what peers prove.

    from hypercore.io.core import Core
    from hypercore.proof import BlockRequest, ProofRequest, UpgradeRequest

    with Core.create(Path("author")) as author, Core.open(Path("copy"), author.key) as copy:
        author.append([b"one", b"two"])
        request = ProofRequest(0, block=BlockRequest(1, 0), upgrade=UpgradeRequest(0, 2), manifest=True)
        copy.apply(author.proof(request))                   # what a peer sends; raises InvalidProof unless it holds
        assert copy.length == 2 and copy.get(1) == b"two" and not copy.has(0)

Applications use `hypercore.io.log.Log`, a handle of a core that decrypts and waits for peers.
"""

import os
from pathlib import Path
from typing import Literal

from hypercore import crypto
from hypercore.crypto import KeyPair
from hypercore.errors import CoreFrozen, InvalidSignature, StoreError, StoreMissing
from hypercore.io.block_offsets import BlockOffsets
from hypercore.io.core_editing import MAXIMUM_BATCH_BLOCKS, MAXIMUM_BLOCK_BYTES, CoreEditor
from hypercore.io.events import (
    Appended,
    Applied,
    BlockSource,
    Cleared,
    Closed,
    Conflicted,
    CoreEvent,
    Downloaded,
    NotStored,
    Signed,
    Truncated,
)
from hypercore.io.files import Directory, DiskDirectory, MemoryDirectory
from hypercore.io.journal import Change, StoredBlock, StoredHead
from hypercore.io.store import Durability, Store
from hypercore.io.store_files import Identity
from hypercore.manifest import Manifest, verifier_for
from hypercore.merkle import NodeReader
from hypercore.proof import (
    Proof,
    ProofRequest,
    VerifiedBatch,
    create_proof,
    missing_nodes,
    verify_proof,
)

WriterGuard = Literal["off", "unclean", "always"]


class Core(CoreEditor):
    """One hypercore in a directory or in memory; writable when the signing key is here.

    Methods are synchronous. After `close`, or the end of a `with` block, each that reads or writes raises `CoreClosed`.
    """

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
        writer_guard: WriterGuard = "off",
    ) -> "Core":
        """The core of a directory, or, where there is none yet, a new empty copy of `key` that only peers can fill.

        A writer whose last blocks were lost, in a crash without fsync or by restoring a backup, signs a second log when
        it appends, which freezes the core everywhere. With `writer_guard` "always", or "unclean" after a start that
        followed a crash, it appends only once `Replication.confirm_head` has asked peers.
        Raises `StoreMissing` when there is no core and no key, or a core of another key; `StoreLocked`; `StoreCorrupt`.
        """
        wanted = None if key is None else crypto.parse_key(key)
        directory = directory or _directory(path)
        try:
            store = Store.open(directory, durability=durability, has_source=block_source is not None)
        except StoreMissing:
            if wanted is None:
                raise
            store = Store.create(directory, Identity(wanted, None), None, durability=durability)
        try:
            if wanted is not None and store.identity.key != wanted:
                raise StoreMissing(f"the core in this directory is {crypto.z32_encode(store.identity.key)}")
            if key_pair is not None:
                _check_signer(store.identity, key_pair)
            core = cls(store, key_pair or store.key_pair(), block_source)
            core._unconfirmed = writer_guard == "always" or (writer_guard == "unclean" and store.unclean)
            return core
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

    def proof(self, request: ProofRequest) -> Proof:
        """Answer a peer; raises `InvalidRequest`, `BlockNotAvailable` or `StaleProof`."""
        return create_proof(self.view(), request)

    def missing_nodes(self, index: int) -> int:
        """How many levels a proof of tree node `index` (2i for block i) must climb to reach a stored node.

        0 also when it lies beyond the length, and an upgrade is needed first.
        """
        return missing_nodes(self.read_node, self.length, index)

    def apply(self, proof: Proof, *, keep_block: bool = True) -> Applied:
        """Verify an answer of a peer and store it in one atomic change.

        With `keep_block=False` the block counts as here but its content is not written: a `BlockSource` has it.
        Raises `InvalidProof` (nothing is stored then) or `StaleProof`.
        """
        return self.adopt(verify_proof(self.view(), proof), keep_block=keep_block)

    def adopt(self, batch: VerifiedBatch, *, keep_block: bool = True) -> Applied:
        """Store what a verified proof showed, in one atomic change; raises `CoreFrozen`, `StoreFull`, `StoreFailed`."""
        self._check_open()
        if self._conflict is not None:
            raise CoreFrozen(f"the core is frozen: {self._conflict}")
        old_length, old_fork = self.length, self.fork
        if batch.head is not None and batch.head.fork > old_fork:
            self._keep_for_snapshots(batch.ancestors, old_length, goes_back=True)
        try:
            if batch.block is not None:
                self._give_up_cut_off()
            if batch.manifest is not None:
                self._store.set_manifest(batch.manifest)
                self._verifier = None
            self._store.commit(self._change_of(batch, keep_block), sync=False)
        except StoreError as problem:
            self._emit(NotStored(problem))
            raise
        if batch.head is not None:
            self._set_head(batch.head.roots)
        if self.fork != old_fork:
            self._offsets.clear()
        return self._announce(batch, old_length, old_fork)

    def _change_of(self, batch: VerifiedBatch, keep_block: bool) -> Change:
        head, truncate_to = None, None
        if batch.head is not None:
            head = StoredHead(batch.head.fork, batch.head.length, batch.head.signature)
            truncate_to = batch.ancestors if head.fork > self.fork else None
        blocks: tuple[StoredBlock, ...] = ()
        bits: tuple[tuple[int, int, bool], ...] = ()
        if batch.block is not None:
            index, value = batch.block
            bits = ((index, index + 1, True),)
            if keep_block and (truncate_to is not None or not self.has(index)):
                offsets = self._offsets if truncate_to is None else BlockOffsets(self.read_node)
                offset = offsets.find(index, self._reader_after(batch))
                offsets.remember(index, offset, len(value))
                blocks = (StoredBlock(index, offset, len(value), value),)
        return Change(truncate_to, batch.nodes, blocks, bits, head)

    def _reader_after(self, batch: VerifiedBatch) -> NodeReader:
        """Reads nodes as they will be stored once the batch is."""
        shown = {node.index: node for node in (*batch.nodes, *(batch.head.roots if batch.head else ()))}
        return lambda index: shown.get(index) or self.read_node(index)

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

    def sync(self) -> None:
        """Return once everything that was applied is on the medium."""
        self._check_open()
        self._store.sync()

    def close(self) -> None:
        """Write everything out and release the store; closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._emit(Closed())
            self._listeners.clear()
            self._snapshots.clear()
            self._store.close()

    def __enter__(self) -> "Core":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _directory(path: Path | None) -> Directory:
    return MemoryDirectory() if path is None else DiskDirectory(Path(path))


def _check_signer(identity: Identity, key_pair: KeyPair) -> None:
    verifier = verifier_for(identity.key, identity.manifest)
    if key_pair.public_key not in {signer.public_key for signer in verifier.manifest.signers}:
        raise InvalidSignature("this key pair is not a signer of the core")


__all__ = [
    "MAXIMUM_BATCH_BLOCKS",
    "MAXIMUM_BLOCK_BYTES",
    "Appended",
    "Applied",
    "BlockSource",
    "Cleared",
    "Closed",
    "Conflicted",
    "Core",
    "CoreEvent",
    "Downloaded",
    "NotStored",
    "Signed",
    "Truncated",
]
