"""A local copy of one hypercore: append, read, prove, and apply what peers prove."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hypercore import crypto, merkle
from hypercore.crypto import KeyPair
from hypercore.errors import (
    BlockNotAvailable,
    CoreClosed,
    InvalidSignature,
    LocalProtocolError,
    ReadOnly,
    StoreCorrupt,
    StoreMissing,
)
from hypercore.io.events import Appended, Applied, BlockSource, Cleared, CoreEvent, Downloaded, Truncated
from hypercore.io.files import Directory, DiskDirectory, MemoryDirectory
from hypercore.io.journal import Change, StoredBlock, StoredHead
from hypercore.io.store import Durability, Identity, Store
from hypercore.manifest import Manifest, Verifier, verifier_for
from hypercore.merkle import Node
from hypercore.proof import (
    HeadProof,
    Proof,
    ProofRequest,
    SignedHead,
    TreeView,
    VerifiedBatch,
    create_proof,
    encode_head_proof,
    missing_nodes,
    verify_proof,
)

MAXIMUM_BLOCK_BYTES = 15 * 1024 * 1024
MAXIMUM_BATCH_BLOCKS = 262_144


class Core:
    """One hypercore in a directory or in memory; writable when the signing key is here.

    Methods are synchronous. After `close` every method that reads or writes raises `CoreClosed`.
    """

    def __init__(self, store: Store, key_pair: KeyPair | None, block_source: BlockSource | None) -> None:
        self._store = store
        self._verifier: Verifier | None = None
        self._key_pair = key_pair
        self._source = block_source
        self._listeners: list[Callable[[CoreEvent], None]] = []
        self._closed = False
        self._roots: tuple[Node, ...] = ()
        self._contiguous = 0
        self._load()

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
    def key(self) -> bytes:
        """32 bytes that identify the core and let it be read."""
        return self._store.identity.key

    @property
    def discovery_key(self) -> bytes:
        """32 bytes that find the core without giving its key away."""
        return crypto.discovery_key(self.key)

    @property
    def public_id(self) -> str:
        """The key in z-base-32."""
        return crypto.z32_encode(self.key)

    @property
    def manifest(self) -> Manifest | None:
        """Who may sign; None while unknown, and for compatible cores, whose key is the public key."""
        return self._store.identity.manifest

    @property
    def length(self) -> int:
        """Number of blocks in the log, here or not."""
        return self._store.head.length

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks in the log."""
        return merkle.byte_length(self._roots)

    @property
    def fork(self) -> int:
        """How often the author went back (0 at first)."""
        return self._store.head.fork

    @property
    def signature(self) -> bytes:
        """The author's signature of the present head; empty while the core is empty and was never signed."""
        return self._store.head.signature

    @property
    def contiguous_length(self) -> int:
        """Blocks from the start that are all here."""
        return self._contiguous

    @property
    def writable(self) -> bool:
        """True when the signing key is here."""
        return self._key_pair is not None

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    @property
    def recovered(self) -> str | None:
        """What was lost in a crash before this opening, in one sentence; None when nothing was."""
        return self._store.recovered

    def roots(self, length: int | None = None) -> tuple[Node, ...]:
        """The full roots of the tree, or of its first `length` blocks."""
        self._check_open()
        return self._roots if length is None else merkle.read_roots(self._read_node, self._checked_length(length))

    def tree_hash(self, length: int | None = None) -> bytes:
        """The hash that a signature covers, of the whole log or of its first `length` blocks."""
        return merkle.tree_hash(self.roots(length))

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

    def has(self, index: int) -> bool:
        """True when the block is here."""
        return self._store.bitfield.get(index)

    def has_range(self, start: int, end: int) -> bool:
        """True when all blocks from `start` to `end - 1` are here."""
        return self._store.bitfield.all_set(start, end)

    def get(self, index: int) -> bytes:
        """A block that is here, checked against its hash.

        Raises `BlockNotAvailable` when it is not here and `StoreCorrupt` when the stored bytes were damaged.
        """
        self._check_open()
        if not self.has(index):
            raise BlockNotAvailable(f"block {index} is not stored")
        leaf = merkle.require(self._read_node, 2 * index)
        if self._source is not None and self._source.has(index):
            value = self._source.read(index)
            if value is None:
                raise BlockNotAvailable(f"the source of block {index} did not deliver it")
        else:
            value = self._store.read_data(merkle.byte_offset(self._read_node, self.length, leaf.index), leaf.size)
        if crypto.leaf_hash(value) == leaf.hash:
            return value
        if self._source is not None:
            raise BlockNotAvailable(f"block {index} is neither in its source nor in the store")
        raise StoreCorrupt(f"the stored bytes of block {index} do not have its hash")

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

    def words(self, start: int, count: int) -> list[int]:
        """Which blocks are here, as 32-bit words from block `start` (a multiple of 32) on."""
        return self._store.bitfield.words(start, count)

    def first_missing(self, start: int = 0) -> int:
        """The first block from `start` on that is not here; may be `length` or above."""
        return self._store.bitfield.first_unset(start)

    def view(self) -> TreeView:
        """The core as proofs see it."""
        self._check_open()
        head = self._store.head
        return TreeView(self.key, head.fork, self._roots, head.signature, self.manifest, self._read_node, self.get)

    def proof(self, request: ProofRequest) -> Proof:
        """Answer a peer; raises `InvalidRequest`, `BlockNotAvailable` or `StaleProof`."""
        return create_proof(self.view(), request)

    def missing_nodes(self, index: int) -> int:
        """How many levels a proof of block `index` must climb; 0 also when an upgrade is needed first."""
        return missing_nodes(self._read_node, self.length, 2 * index)

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

    def signed_head(self) -> SignedHead:
        """The present head as a chain stores it."""
        return SignedHead(self.length, self.fork, self.tree_hash(), self.byte_length)

    def head_proof(self) -> bytes:
        """The present head as its author publishes it on a chain; raises `LocalProtocolError` while it is empty."""
        self._check_open()
        if self.length == 0:
            raise LocalProtocolError("an empty core has no head to prove")
        manifest = self.manifest.encode() if self.manifest else None
        return encode_head_proof(HeadProof(manifest, self.fork, self.length, self._roots, self.signature))

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

    def abandon(self) -> None:
        """Release the store as a killed process would; for tests of recovery."""
        self._closed = True
        self._store.abandon()

    def _load(self) -> None:
        head = self._store.head
        try:
            self._roots = merkle.read_roots(self._read_node, head.length)
        except BlockNotAvailable as error:
            raise StoreCorrupt(f"the tree lost a root of the head: {error}") from None
        self._contiguous = self._store.bitfield.first_unset()
        if head.length and not self._head_is_signed():
            raise StoreCorrupt("the stored tree does not match its signature")

    def _head_is_signed(self) -> bool:
        several_signers = self.manifest is not None and len(self.manifest.signers) > 1
        if several_signers and len(self.signature) == crypto.SIGNATURE_SIZE:
            return True  # one signer's own part: the quorum's signature is put together elsewhere
        return self._verifier_now().verify(self._roots, self.fork, self.signature)

    def _read_node(self, index: int) -> Node | None:
        return self._store.read_node(index)

    def _verifier_now(self) -> Verifier:
        if self._verifier is None:
            self._verifier = verifier_for(self.key, self.manifest)
        return self._verifier

    def _signing_key(self) -> KeyPair:
        self._check_open()
        if self._key_pair is None:
            raise ReadOnly("this copy of the core has no signing key")
        return self._key_pair

    def _checked_length(self, length: int) -> int:
        if not 0 <= length <= self.length:
            raise LocalProtocolError(f"length {length} is outside a log of {self.length} blocks")
        return length

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

    def _check_open(self) -> None:
        if self._closed:
            raise CoreClosed("the core is closed")


def _directory(path: Path | None) -> Directory:
    return MemoryDirectory() if path is None else DiskDirectory(Path(path))


def _check_signer(identity: Identity, key_pair: KeyPair) -> None:
    verifier = verifier_for(identity.key, identity.manifest)
    if key_pair.public_key not in {signer.public_key for signer in verifier.manifest.signers}:
        raise InvalidSignature("this key pair is not a signer of the core")


__all__ = ["Appended", "Applied", "BlockSource", "Cleared", "Core", "CoreEvent", "Downloaded", "Truncated"]
