"""What is known about a stored core: its identity, its signed head and its tree. Nothing here changes the core."""

from collections.abc import Callable
from dataclasses import dataclass

from hypercore import crypto, merkle
from hypercore.bitfield import Bitfield
from hypercore.conflict import Conflict
from hypercore.demand import Unknown, locate
from hypercore.errors import BlockNotAvailable, CoreClosed, LocalProtocolError, StoreCorrupt
from hypercore.io.block_offsets import BlockOffsets
from hypercore.io.events import BlockSource
from hypercore.io.store import Store
from hypercore.manifest import Manifest, Verifier, verifier_for
from hypercore.merkle import Node, NodeReader
from hypercore.proof import HeadProof, SignedHead, TreeView, encode_head_proof
from hypercore.quorum import needs_quorum


@dataclass(frozen=True, slots=True)
class CoreInfo:
    """A summary of a core.

    `padding` is how many bytes of each block are not content; the last four are the bytes of its files.
    """

    key: bytes
    discovery_key: bytes
    length: int
    contiguous_length: int
    byte_length: int
    fork: int
    padding: int
    data_bytes: int
    tree_bytes: int
    bitfield_bytes: int
    journal_bytes: int


class CoreState:
    """The reading half of `hypercore.io.core.Core`."""

    def __init__(self, store: Store, block_source: BlockSource | None) -> None:
        self._store = store
        self.read_node: NodeReader = store.read_node
        self._source = block_source
        self._verifier: Verifier | None = None
        self._closed = False
        self._roots: tuple[Node, ...] = ()
        self._contiguous = 0
        self._discovery_key = crypto.discovery_key(store.identity.key)
        self._offsets = BlockOffsets(store.read_node)
        self._signed = True
        self._conflict: Conflict | None = None
        self._load()

    @property
    def key(self) -> bytes:
        """32 bytes that identify the core and let it be read."""
        return self._store.identity.key

    @property
    def discovery_key(self) -> bytes:
        """32 bytes that find the core without giving its key away."""
        return self._discovery_key

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
    def bitfield(self) -> Bitfield:
        """Which blocks are here; not to be changed."""
        return self._store.bitfield

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    @property
    def frozen(self) -> bool:
        """True when a second log was signed for this core: it may be read, not changed or replicated."""
        return self._conflict is not None

    @property
    def conflict(self) -> Conflict | None:
        """The two signed logs that froze this core."""
        return self._conflict

    @property
    def signed(self) -> bool:
        """True when peers accept the head: for several signers, when a quorum's signature is installed."""
        return self._signed

    @property
    def recovered(self) -> str | None:
        """What this opening found lost, in a crash or from a data file that was cut, in one sentence, or None."""
        return self._store.recovered

    def roots(self, length: int | None = None) -> tuple[Node, ...]:
        """The full roots of the tree, or of its first `length` blocks."""
        self._check_open()
        return self._roots if length is None else merkle.read_roots(self.read_node, self._checked_length(length))

    def tree_hash(self, length: int | None = None) -> bytes:
        """The hash that a signature covers, of the whole log or of its first `length` blocks."""
        return merkle.tree_hash(self.roots(length))

    def view(self) -> TreeView:
        """The core as proofs see it."""
        self._check_open()
        head = self._store.head
        return TreeView(self.key, head.fork, self._roots, head.signature, self.manifest, self.read_node, self.get)

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

    def has(self, index: int) -> bool:
        """True when the block is here."""
        return self._store.bitfield.get(index)

    def has_range(self, start: int, end: int) -> bool:
        """True when all blocks from `start` to `end - 1` are here."""
        return self._store.bitfield.all_set(start, end)

    def prepare(self, index: int, ready: Callable[[], None]) -> bool:
        """True when `get` answers at once; a `BlockSource` may need a while, and then `ready` is called."""
        source = self._source
        return source is None or not (self.has(index) and source.has(index)) or source.prepare(index, ready)

    def get(self, index: int) -> bytes:
        """A block that is here, checked against its hash. One of a `BlockSource` must be prepared first.

        Raises `BlockNotAvailable` when it is not here and `StoreCorrupt` when the stored bytes were damaged.
        """
        self._check_open()
        if not self.has(index):
            raise BlockNotAvailable(f"block {index} is not stored")
        leaf = merkle.require(self.read_node, 2 * index)
        if self._source is not None and self._source.has(index):
            value = self._source.read(index)
            if value is None:
                raise BlockNotAvailable(f"the source of block {index} did not deliver it")
        else:
            offset = self._offsets.find(index)
            self._offsets.remember(index, offset, leaf.size)
            value = self._store.read_data(offset, leaf.size)
        if crypto.leaf_hash(value) == leaf.hash:
            return value
        if self._source is not None:
            raise BlockNotAvailable(f"block {index} is neither in its source nor in the store")
        raise StoreCorrupt(f"the stored bytes of block {index} are lost or damaged; {self._store.advice}")

    def block_bytes(self, index: int) -> int:
        """The size of a block that is here, or of which a proof came; raises `BlockNotAvailable`."""
        self._check_open()
        return merkle.require(self.read_node, 2 * index).size

    def stored_bytes(self) -> int:
        """Bytes of the blocks that are here."""
        self._check_open()
        return sum(self._data_range(*run)[1] for run in self._store.bitfield.runs(0, self.length))

    def seek(self, byte_offset: int, padding: int = 0) -> tuple[int, int]:
        """(block, offset in it) of a byte of the log; its end is (length, 0). Blocks count as `padding` bytes smaller.

        Raises `LocalProtocolError` for an offset beyond the log, and `BlockNotAvailable` when parts of the tree are not
        here: `Replication.seek` asks peers for them.
        """
        self._check_open()
        place = locate(self.read_node, self._roots, byte_offset, padding)
        if isinstance(place, Unknown):
            raise BlockNotAvailable(f"the tree below node {place.node.index}, which holds the byte, is not stored")
        return place

    def user_data(self, name: str) -> bytes | None:
        """A value that was kept with `set_user_data`. It stays on this machine."""
        self._check_open()
        return self._store.user_data.get(name)

    def info(self, padding: int = 0) -> CoreInfo:
        """A summary, with the bytes that the store takes on the disk."""
        self._check_open()
        data, tree, bitfield, journal = self._store.file_bytes()
        byte_length = self.byte_length - padding * self.length
        return CoreInfo(
            self.key, self.discovery_key, self.length, self.contiguous_length, byte_length, self.fork, padding,
            data, tree, bitfield, journal,
        )  # fmt: skip

    def _load(self) -> None:
        head = self._store.head
        try:
            self._roots = merkle.read_roots(self.read_node, head.length)
        except BlockNotAvailable as error:
            raise StoreCorrupt(f"the tree lost a root of the head: {error}; {self._store.advice}") from None
        self._contiguous = self._store.bitfield.first_unset()
        self._signed = not head.length or self._verifier_now().verify(self._roots, self.fork, self.signature)
        if not self._signed and not self._awaits_quorum():
            raise StoreCorrupt(f"the stored tree does not match its signature; {self._store.advice}")
        frozen = self._store.conflict()
        self._conflict = Conflict.decode(frozen) if frozen is not None else None

    def _awaits_quorum(self) -> bool:
        """True when the head is signed by one signer's own part only."""
        return needs_quorum(self.manifest) and len(self.signature) == crypto.SIGNATURE_SIZE

    def _data_range(self, start: int, end: int) -> tuple[int, int]:
        """(first byte, count) of blocks that are here, one after another."""
        first = merkle.byte_offset(self.read_node, self.length, 2 * start)
        last = merkle.require(self.read_node, 2 * end - 2)
        return first, merkle.byte_offset(self.read_node, self.length, last.index) + last.size - first

    def _verifier_now(self) -> Verifier:
        if self._verifier is None:
            self._verifier = verifier_for(self.key, self.manifest)
        return self._verifier

    def _checked_length(self, length: int) -> int:
        if not 0 <= length <= self.length:
            raise LocalProtocolError(f"length {length} is outside a log of {self.length} blocks")
        return length

    def _check_open(self) -> None:
        if self._closed:
            raise CoreClosed("the core is closed")
