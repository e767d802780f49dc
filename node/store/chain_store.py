"""Blocks, states and trie nodes on disk: each imported block is one write transaction, forks cost nothing.

The flat table holds the state of the *folded* block, `window_blocks` behind the best one. Every block above it is a
journalled change set, held in memory as a layer. When the best block advances, the oldest layer of its chain is folded
into the table, and forks that do not contain it are given up. Kill the process anywhere: it restarts at a block.

All methods belong to the event loop's thread; only the write transactions run elsewhere (`Writer`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.consensus.fork_choice import TreeRoute, tree_route
from node.store.archive import archived_from
from node.store.database import MAP_SIZE_BYTES, Database
from node.store.errors import StateUnavailable, StoreCorrupt, StoreError, UnknownBlock
from node.store.folding import JournalEntry, NodeLedger, journal_key, number_key, split_journal_key
from node.store.layers import Layer, LayerIndex
from node.store.state import BlockState
from node.store.writer import ThreadWriter, Writer
from node.sync.envelope import decode_envelope, encode_envelope
from runtime.header import Header
from runtime.state import StateView
from runtime.transition import ExecutedBlock, GenesisBlock
from runtime.trie_state import TrieState

WINDOW_BLOCKS: Final = 256
"""Blocks below the best one whose states stay readable and which a re-organisation can still undo."""

_BEST: Final = b"best"
_FINALIZED: Final = b"finalized"
_FOLDED: Final = b"folded"
_GENESIS: Final = b"genesis"


@dataclass(frozen=True, slots=True)
class _Heads:
    """The pointers of a write: what the store's view becomes once it is on disk."""

    best: Header
    finalized: Header
    folded: Header


class ChainStore:
    """See the module. `put_genesis` comes first on an empty store; `is_empty` tells."""

    def __init__(self, database: Database, *, archive: bool, window_blocks: int, writer: Writer) -> None:
        self._database = database
        self._window_blocks = window_blocks
        self._writer = writer
        self._layers = LayerIndex()
        self._ending: frozenset[bytes] = frozenset()
        self._last_state: BlockState | None = None
        self._heads: _Heads | None = None
        self._genesis_hash = b""
        self._load()
        oldest_state = 0 if self._heads is None else self._heads.folded.number
        self._archived_from = archived_from(database, oldest_state, archive=archive)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        archive: bool = False,
        window_blocks: int = WINDOW_BLOCKS,
        writer: Writer | None = None,
        map_size_bytes: int = MAP_SIZE_BYTES,
    ) -> ChainStore:
        """Open or create the store of a directory. Raises StoreLocked, StoreCorrupt, StoreError.

        `archive` keeps trie nodes that no state in the window needs any more: old states can be read and proven.
        """
        database = Database(path, map_size_bytes)
        try:
            return cls(database, archive=archive, window_blocks=window_blocks, writer=writer or ThreadWriter())
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Give the directory free."""
        self._database.close()

    # Pointers

    @property
    def is_empty(self) -> bool:
        """Whether no genesis was put yet."""
        return self._heads is None

    @property
    def genesis_hash(self) -> bytes:
        """The hash of block 0."""
        self._required_heads()
        return self._genesis_hash

    @property
    def best(self) -> Header:
        """The tip of the best chain."""
        return self._required_heads().best

    @property
    def finalized(self) -> Header:
        """The last finalized block."""
        return self._required_heads().finalized

    @property
    def folded(self) -> Header:
        """The oldest block whose state can be read; no re-organisation goes below it."""
        return self._required_heads().folded

    # Blocks

    def header(self, block_hash: bytes) -> Header | None:
        """A header by hash, of any chain that was not given up."""
        layer = self._layers.by_hash.get(block_hash)
        if layer is not None:
            return layer.header
        data = self._database.get("headers", block_hash)
        return None if data is None else Header.decode(data)

    def required_header(self, block_hash: bytes) -> Header:
        """A header by hash. Raises UnknownBlock."""
        header = self.header(block_hash)
        if header is None:
            raise UnknownBlock(block_hash)
        return header

    def body(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """The extrinsics of a block."""
        data = self.envelope(block_hash)
        return None if data is None else decode_envelope(data).extrinsics

    def justification(self, block_hash: bytes) -> bytes:
        """The proof of finality that was stored with a block; empty when there is none."""
        data = self.envelope(block_hash)
        return b"" if data is None else decode_envelope(data).justification

    def envelope(self, block_hash: bytes) -> bytes | None:
        """The block as RLP `[header, [extrinsic…], justification]`, as it is sent to peers."""
        return self._database.get("blocks", block_hash)

    def hash_at(self, number: int) -> bytes | None:
        """The hash of a block of the best chain."""
        return self._database.get("canonical", number_key(number)) if number >= 0 else None

    def children(self, block_hash: bytes) -> tuple[Header, ...]:
        """The blocks above the folded one whose parent this is."""
        layers = self._layers.by_hash.values()
        return tuple(layer.header for layer in layers if layer.header.parent_hash == block_hash)

    def leaves(self) -> tuple[Header, ...]:
        """Blocks without a child, highest first; among equals the one that came first."""
        layers = self._layers.by_hash
        parents = {layer.header.parent_hash for layer in layers.values()}
        tips = [layer.header for layer in layers.values() if layer.hash not in parents]
        return tuple(sorted(tips, key=lambda header: -header.number)) or (self.folded,)

    @property
    def unfolded_blocks(self) -> int:
        """How many blocks above the folded one are held in memory, forks included."""
        return len(self._layers.by_hash)

    def route(self, old: bytes, new: bytes) -> TreeRoute:
        """The way from block `old` to block `new`. Raises UnknownBlock."""
        return tree_route(self.required_header, self.required_header(old), self.required_header(new))

    def written_keys(self, block_hash: bytes) -> tuple[bytes, ...]:
        """The storage keys that a block wrote; none for one that is folded already."""
        layer = self._layers.by_hash.get(block_hash)
        return () if layer is None else tuple(layer.changes)

    # States

    def state(self, block_hash: bytes) -> StateView:
        """The state after a block. Raises StateUnavailable, which names the window of blocks whose states are kept."""
        if not self.can_read(block_hash):
            oldest = self.folded.number if self._archived_from is None else self._archived_from
            raise StateUnavailable(block_hash, oldest, self.best.number)
        if not self.has_state(block_hash):
            return TrieState(self.get_node, self.required_header(block_hash).state_root)
        if self._last_state is None or self._last_state.block_hash != block_hash:
            # A state knows all its ancestors: hundreds of clients that ask for the best one share it.
            layer = self._layers.by_hash.get(block_hash)
            self._last_state = BlockState(self._database, self._layers, block_hash, layer, self._require_state)
        return self._last_state

    def has_state(self, block_hash: bytes) -> bool:
        """Whether a block on top of this one could be executed and committed."""
        if block_hash in self._ending:
            return False
        return block_hash in self._layers.by_hash or block_hash == self.folded.hash

    def can_read(self, block_hash: bytes) -> bool:
        """Whether `state` would answer."""
        if self.has_state(block_hash) or self._archived_from is None:
            return self.has_state(block_hash)
        header = self.header(block_hash)
        return header is not None and header.number >= self._archived_from

    def get_node(self, node_hash: bytes) -> bytes:
        """An encoded trie node. KeyError when it is not (or no longer) stored."""
        data = self._database.get("nodes", node_hash)
        if data is None:
            raise KeyError(f"trie node 0x{node_hash.hex()} is not in the database")
        return data

    def reading(self) -> AbstractContextManager[None]:
        """Serve the reads inside from one transaction: faster. Never await inside."""
        return self._database.reading()

    # Writes

    def put_genesis(self, genesis: GenesisBlock) -> None:
        """Write block 0 and its state. Raises StoreError if there is one already."""
        if self._heads is not None:
            raise StoreError("the database already has a genesis block")
        header = genesis.header
        heads = _Heads(header, header, header)
        entry = JournalEntry(dict(genesis.changes), genesis.trie.places)
        entry.check_keys()
        with self._database.write() as txn:
            ledger = self._ledger(txn)
            ledger.store_nodes(0, genesis.trie)
            ledger.fold(0, entry)
            self._write_block(txn, header, ())
            self._put(txn, "canonical", number_key(0), header.hash)
            self._put(txn, "meta", _GENESIS, header.hash)
            self._write_heads(txn, heads)
        self._heads = heads
        self._genesis_hash = header.hash

    async def commit(self, block: ExecutedBlock, *, best: bool, finalized: bytes | None = None) -> None:
        """Store an executed block with its sealed header, in one transaction with what it moves.

        `best` makes it the tip of the best chain, `finalized` moves the finalized block. Raises StateUnavailable if the
        parent's state is not kept, StoreFull and StoreError if writing fails: then the store is unchanged.
        """
        header = block.header
        if header.hash in self._layers.by_hash:
            raise StoreError(f"block 0x{header.hash.hex()} is already in the database")
        self._require_state(header.parent_hash)
        entry = JournalEntry(dict(block.changes), block.trie.places)
        entry.check_keys()
        layer = Layer(header, self._layers.by_hash.get(header.parent_hash), entry.changes)

        def write_block(txn: Any, ledger: NodeLedger) -> None:
            ledger.store_nodes(header.number, block.trie)
            self._write_block(txn, header, block.extrinsics)
            self._put(txn, "journal", journal_key(header.number, header.hash), entry.encode())

        self._layers.add(layer)
        try:
            await self._move(header.hash if best else None, finalized, write_block)
        except BaseException:
            self._layers.remove(layer)
            raise

    async def set_best(self, block_hash: bytes, *, finalized: bytes | None = None) -> None:
        """Make a known block the best, and one finalized, even back. Raises UnknownBlock, StateUnavailable."""
        await self._move(block_hash, finalized, None)

    async def finalize(self, block_hash: bytes) -> None:
        """Move the finalized block. Raises UnknownBlock."""
        await self._move(None, block_hash, None)

    async def _move(
        self, best: bytes | None, finalized: bytes | None, extra: Callable[[Any, NodeLedger], None] | None
    ) -> None:
        """One write: `extra`, the new pointers, the canonical index, and the folding that a new best block brings."""
        old = self._required_heads()
        if best is not None:
            self._require_state(best)
        new_best = old.best if best is None else self.required_header(best)
        new_finalized = old.finalized if finalized is None else self.required_header(finalized)
        route = self.route(old.best.hash, new_best.hash)
        self._check_finalized(new_finalized, route)
        folding = self._layers.old_line(new_best.hash, new_best.number - self._window_blocks)
        given_up = self._layers.not_on(folding)
        folded = folding[-1].header if folding else old.folded
        heads = _Heads(new_best, new_finalized, folded)

        def write() -> None:
            with self._database.write() as txn:
                ledger = self._ledger(txn)
                if extra is not None:
                    extra(txn, ledger)
                for header in route.retracted:
                    txn.delete(number_key(header.number), db=self._database.tables["canonical"])
                for header in route.enacted:
                    self._put(txn, "canonical", number_key(header.number), header.hash)
                for layer in folding:
                    ledger.fold(layer.number, self._take_journal(txn, layer))
                for layer in given_up:
                    ledger.give_up(layer.number, self._take_journal(txn, layer))
                    txn.delete(layer.hash, db=self._database.tables["headers"])
                    txn.delete(layer.hash, db=self._database.tables["blocks"])
                ledger.prune(folded.number)
                self._write_heads(txn, heads)

        # A reader must not mix the new table with an older block's layers: such states end before the write begins.
        self._heads = _Heads(old.best, old.finalized, folded)
        self._ending = frozenset(layer.hash for layer in [*folding[:-1], *given_up])
        try:
            await self._writer.run(write)
        except BaseException:
            self._heads = old
            raise
        finally:
            self._ending = frozenset()
        self._layers.remove_all([*folding, *given_up])
        self._heads = heads

    # Parts

    def _required_heads(self) -> _Heads:
        if self._heads is None:
            raise StoreError("the database has no genesis block yet")
        return self._heads

    def _require_state(self, block_hash: bytes) -> None:
        if not self.has_state(block_hash):
            raise StateUnavailable(block_hash, self.folded.number, self.best.number)

    def _check_finalized(self, finalized: Header, route: TreeRoute) -> None:
        if finalized.number > route.common.number:
            on_best_chain = any(header.hash == finalized.hash for header in route.enacted)
        else:
            on_best_chain = self.hash_at(finalized.number) == finalized.hash
        if not on_best_chain:
            raise StoreError(f"the finalized block {finalized.number} would not be on the best chain")

    def _ledger(self, txn: Any) -> NodeLedger:
        archive = self._archived_from is not None
        return NodeLedger(txn, self._database.tables, archive=archive, window_blocks=self._window_blocks)

    def _put(self, txn: Any, table: str, key: bytes, value: bytes) -> None:
        txn.put(key, value, db=self._database.tables[table])

    def _write_block(self, txn: Any, header: Header, extrinsics: tuple[bytes, ...]) -> None:
        encoded = header.encode()
        self._put(txn, "headers", header.hash, encoded)
        self._put(txn, "blocks", header.hash, encode_envelope(encoded, extrinsics))

    def _write_heads(self, txn: Any, heads: _Heads) -> None:
        self._put(txn, "meta", _BEST, heads.best.hash)
        self._put(txn, "meta", _FINALIZED, heads.finalized.hash)
        self._put(txn, "meta", _FOLDED, heads.folded.hash)

    def _take_journal(self, txn: Any, layer: Layer) -> JournalEntry:
        data: bytes | None = txn.pop(journal_key(layer.number, layer.hash), db=self._database.tables["journal"])
        if data is None:
            raise StoreCorrupt(f"the journal lacks block {layer.number} (0x{layer.hash.hex()})")
        return JournalEntry.decode(data)

    # Opening

    def _load(self) -> None:
        genesis_hash = self._database.get("meta", _GENESIS)
        if genesis_hash is None:
            return
        folded = self._pointer(_FOLDED)
        for key, data in self._database.items("journal"):
            _, block_hash = split_journal_key(key)
            header = self._required_stored(block_hash)
            parent = self._layers.by_hash.get(header.parent_hash)
            if parent is None and header.parent_hash != folded.hash:
                raise StoreCorrupt(f"the journal lacks the parent of block {header.number} (0x{block_hash.hex()})")
            self._layers.add(Layer(header, parent, JournalEntry.decode(data).changes))
        heads = _Heads(self._pointer(_BEST), self._pointer(_FINALIZED), folded)
        if heads.best.hash not in self._layers.by_hash and heads.best.hash != folded.hash:
            raise StoreCorrupt(f"the best block {heads.best.number} is not in the journal")
        self._heads = heads
        self._genesis_hash = genesis_hash

    def _pointer(self, name: bytes) -> Header:
        block_hash = self._database.get("meta", name)
        if block_hash is None:
            raise StoreCorrupt(f"the database does not say which block is {name.decode()}")
        return self._required_stored(block_hash)

    def _required_stored(self, block_hash: bytes) -> Header:
        header = self.header(block_hash)
        if header is None:
            raise StoreCorrupt(f"the database lacks the header of block 0x{block_hash.hex()}")
        return header
