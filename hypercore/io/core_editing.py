"""Changing a core: append, go back, give up contents, and what several signers or a conflict do to it."""

from collections.abc import Callable, Sequence
from functools import partial
from weakref import WeakSet

from hypercore import merkle
from hypercore.conflict import Conflict
from hypercore.crypto import KeyPair
from hypercore.errors import CoreFrozen, HeadUnconfirmed, InvalidSignature, LocalProtocolError, ReadOnly
from hypercore.io.core_state import CoreState
from hypercore.io.events import Appended, BlockSource, Cleared, Conflicted, CoreEvent, Downloaded, Signed, Truncated
from hypercore.io.journal import Change, StoredBlock, StoredHead
from hypercore.io.snapshot import Snapshot
from hypercore.io.store import Store
from hypercore.manifest import MultiSignature, PartialSignature
from hypercore.merkle import Node
from hypercore.quorum import SignaturePart, assemble, needs_quorum, sign_part

MAXIMUM_BLOCK_BYTES = 15 * 1024 * 1024
MAXIMUM_BATCH_BLOCKS = 262_144

Block = bytes | bytearray | memoryview


def blocks_of(blocks: Block | Sequence[Block]) -> list[bytes]:
    """The blocks of one append; raises `TypeError` for what holds no bytes, such as text and numbers."""
    batch = [blocks] if isinstance(blocks, Block) else list(blocks)
    for block in batch:
        if not isinstance(block, Block):
            raise TypeError(f"a block is bytes and not {type(block).__name__}")
    return [bytes(block) for block in batch]


class CoreEditor(CoreState):
    """The writing half of `hypercore.io.core.Core`."""

    def __init__(self, store: Store, key_pair: KeyPair | None, block_source: BlockSource | None) -> None:
        super().__init__(store, block_source)
        self._key_pair = key_pair
        self._unconfirmed = False
        # By the block whose arrival they wait for; None: every block's.
        self._listeners: dict[int | None, list[Callable[[CoreEvent], None]]] = {}
        self._snapshots: WeakSet[Snapshot] = WeakSet()

    def append(self, blocks: Block | Sequence[Block], *, signature: bytes | None = None) -> int:
        """Add one block, or several as one atomic change; returns the new length.

        With durability "fsync" the blocks are on the medium when this returns. With several signers the head then waits
        for `install_signature`, unless the quorum's `signature` of it is given; that needs no key here.
        Raises `ReadOnly`, `LocalProtocolError` for a block above 15 MiB, `InvalidSignature`, `CoreFrozen`,
        `HeadUnconfirmed`, and `StoreFull`, after which the core is as it was.
        """
        self._check_writable(signature is None)
        batch = blocks_of(blocks)
        if not batch:
            return self.length
        if len(batch) > MAXIMUM_BATCH_BLOCKS:
            raise LocalProtocolError(f"a batch of {len(batch)} blocks, at most {MAXIMUM_BATCH_BLOCKS} are allowed")
        for block in batch:
            if len(block) > MAXIMUM_BLOCK_BYTES:
                raise LocalProtocolError(f"a block of {len(block)} bytes, at most {MAXIMUM_BLOCK_BYTES} are allowed")
        self._give_up_cut_off()
        growth = merkle.append_batch(self._roots, batch)
        start, offset = self.length, self.byte_length
        stored = []
        for index, block in enumerate(batch, start):
            stored.append(StoredBlock(index, offset, len(block), block))
            offset += len(block)
        end = start + len(batch)
        signature = self._signature_of(growth.roots, self.fork, signature)
        head = StoredHead(self.fork, end, signature)
        self._store.commit(
            Change(nodes=tuple(growth.nodes), blocks=tuple(stored), bits=((start, end, True),), head=head)
        )
        self._set_head(growth.roots)
        self._update_contiguous(start)
        self._emit(Appended(end))
        return end

    def truncate(self, length: int, fork: int | None = None, *, signature: bytes | None = None) -> None:
        """Go back to the first `length` blocks and begin a new fork (the next number unless given).

        Raises `ReadOnly`, and `LocalProtocolError` when the length or the fork does not go in that direction.
        """
        self._check_writable(signature is None)
        fork = self.fork + 1 if fork is None else fork
        if fork <= self.fork:
            raise LocalProtocolError(f"fork {fork} is not above the present fork {self.fork}")
        roots = merkle.read_roots(self.read_node, self._checked_length(length))
        head = StoredHead(fork, length, self._signature_of(roots, fork, signature))
        self._keep_for_snapshots(length, self.length, goes_back=True)
        self._store.commit(Change(truncate_to=length, head=head))
        self._set_head(roots)
        self._offsets.clear()
        self._contiguous = min(self._contiguous, length)
        self._store.cut_data(self.byte_length)
        self._emit(Truncated(length, fork))

    def clear(self, start: int, end: int) -> int:
        """Give up the contents of blocks `start` to `end - 1`; returns how many bytes the file system took back.

        Tree and head stay, so the blocks can be downloaded again and proofs about others still work.
        """
        self._check_open()
        if start < 0:
            raise LocalProtocolError(f"blocks are counted from 0: there is no block {start}")
        end = min(end, self.length)
        ranges = [self._data_range(*run) for run in self._store.bitfield.runs(start, end)]
        if not ranges:
            return 0
        self._keep_for_snapshots(start, end, goes_back=False)
        self._store.commit(Change(bits=((start, end, False),)))
        self._contiguous = min(self._contiguous, start)
        freed = self._store.free_data(ranges)
        self._emit(Cleared(start, end))
        return freed

    def signature_part(self, length: int | None = None) -> SignaturePart:
        """Our part of the quorum's signature of the first `length` blocks (all unless given); raises `ReadOnly`."""
        self._check_writable(with_own_key=True)
        assert self._key_pair is not None
        return sign_part(self.view(), self._verifier_now(), self._key_pair, length)

    def assemble_signature(self, parts: Sequence[SignaturePart]) -> bytes:
        """The quorum's signature from the signers' parts; raises `LocalProtocolError` when they are too few."""
        return assemble(self._verifier_now().manifest, parts)

    def install_signature(self, signature: bytes) -> None:
        """Give the present head the quorum's signature, so that peers accept it.

        Raises `InvalidSignature` when it does not cover this very log, and `CoreFrozen`.
        """
        self._check_writable(with_own_key=False)
        if self.length == 0:
            raise LocalProtocolError("an empty core has no head to sign")
        head = StoredHead(self.fork, self.length, self._signature_of(self._roots, self.fork, signature))
        self._store.commit(Change(head=head))
        self._signed = True
        self._emit(Signed(self.length))

    def freeze(self, conflict: Conflict) -> None:
        """Stop changing and replicating this core for good, because a second log was signed for it."""
        self._check_open()
        if self._conflict is None:
            self._store.keep_conflict(conflict.encode())
            self._conflict = conflict
            self._emit(Conflicted(conflict.length, conflict.fork))

    def snapshot(self) -> Snapshot:
        """The log as it is now, with what of it is here; later changes of the core do not show in it."""
        snapshot = Snapshot(self)
        self._snapshots.add(snapshot)
        return snapshot

    def set_user_data(self, name: str, value: bytes | None) -> None:
        """Keep a value under a name on this machine, or forget it with None.

        Raises `LocalProtocolError` when all values together have more than 64 KiB.
        """
        self._check_open()
        self._store.set_user_data(name, value)

    def confirm_head(self) -> None:
        """Allow appending although no peer was asked whether it has a longer log."""
        self._unconfirmed = False

    def subscribe(self, listener: Callable[[CoreEvent], None], *, block: int | None = None) -> Callable[[], None]:
        """Call `listener` after each change, from within the changing call; returns what ends the subscription.

        With `block` it does not hear of other blocks that come in: then many may wait, each for its own.
        """
        self._listeners.setdefault(block, []).append(listener)
        return partial(self._unsubscribe, listener, block)

    def _unsubscribe(self, listener: Callable[[CoreEvent], None], block: int | None) -> None:
        listeners = self._listeners.get(block, [])
        if listener in listeners:
            listeners.remove(listener)
            if not listeners:
                del self._listeners[block]

    def _check_writable(self, with_own_key: bool) -> None:
        self._check_open()
        if self._conflict is not None:
            raise CoreFrozen(f"the core is frozen: {self._conflict}")
        if with_own_key and self._key_pair is None:
            raise ReadOnly("this copy of the core has no signing key")
        if self._unconfirmed:
            raise HeadUnconfirmed(
                "peers may have a longer log than this copy: call Replication.confirm_head, or confirm_head to overrule"
            )

    def _signature_of(self, roots: Sequence[Node], fork: int, given: bytes | None) -> bytes:
        verifier = self._verifier_now()
        if given is not None:
            if not verifier.verify(roots, fork, given):
                length = merkle.block_length(roots)
                raise InvalidSignature(f"the signature does not cover {length} blocks of fork {fork}")
            return given
        if self._key_pair is None:
            raise ReadOnly("this copy of the core has no signing key")
        signature = verifier.sign(roots, fork, self._key_pair)
        manifest = verifier.manifest
        if manifest.version > 0 and needs_quorum(manifest) and manifest.quorum == 1:
            signers = [signer.public_key for signer in manifest.signers]
            part = PartialSignature(signers.index(self._key_pair.public_key), signature)
            return MultiSignature((part,)).encode()
        return signature

    def _set_head(self, roots: Sequence[Node]) -> None:
        self._roots = tuple(roots)
        self._signed = not (self._awaits_quorum() and self.length)

    def _keep_for_snapshots(self, start: int, end: int, *, goes_back: bool) -> None:
        """Has snapshots copy what is about to be given up."""
        for snapshot in tuple(self._snapshots):
            snapshot.keep(start, end, goes_back=goes_back)

    def _give_up_cut_off(self) -> None:
        """Before something is stored: blocks that the data file lost are not here any more."""
        for start, end in self._store.give_up_cut_off():
            self._contiguous = min(self._contiguous, start)
            self._emit(Cleared(start, end))

    def _update_contiguous(self, index: int) -> None:
        if index == self._contiguous:
            self._contiguous = self._store.bitfield.first_unset(index)

    def _emit(self, event: CoreEvent) -> None:
        concerned = (None, event.index) if isinstance(event, Downloaded) else tuple(self._listeners)
        for block in concerned:
            for listener in tuple(self._listeners.get(block, ())):
                listener(event)
