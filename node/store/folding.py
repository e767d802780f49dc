"""The life of trie nodes and flat values on disk, as steps inside one write transaction.

A node is stored when the first block that has it is committed. When a block is folded, the number of places in which
each of its nodes stands is brought up to date. A node that may have become unused is looked at again a window of blocks
later, and erased when it stands nowhere and no younger block brought it (else that one sees to it in its turn).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, cast

import cbor2

from node.store.database import MAX_KEY_BYTES
from node.store.errors import StoreError
from runtime.trie import TrieUpdate

_NUMBER: Final = Struct(">Q")
_PLACES: Final = Struct(">IQ")  # places in the folded trie, number of the newest block that brought the node
_HASH_BYTES: Final = 32


def number_key(number: int) -> bytes:
    """A block number as a key that sorts."""
    return _NUMBER.pack(number)


def journal_key(number: int, block_hash: bytes) -> bytes:
    """Where the journal holds a block."""
    return _NUMBER.pack(number) + block_hash


def split_journal_key(key: bytes) -> tuple[int, bytes]:
    """Number and hash of a journalled block."""
    return _NUMBER.unpack_from(key)[0], key[_NUMBER.size :]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What folding a block needs: its change set, and how many places each trie node gained or lost."""

    changes: dict[bytes, bytes | None]
    places: dict[bytes, int]

    def check_keys(self) -> None:
        """Raises StoreError for a storage key that the database cannot take."""
        for key in self.changes:
            if not 0 < len(key) <= MAX_KEY_BYTES:
                raise StoreError(
                    f"storage key 0x{key[:32].hex()}… has {len(key)} bytes; the database takes 1 to {MAX_KEY_BYTES}"
                )

    def encode(self) -> bytes:
        """The entry as CBOR."""
        return cbor2.dumps([self.changes, self.places])

    @classmethod
    def decode(cls, data: bytes) -> JournalEntry:
        """Read an entry that `encode` made."""
        changes, places = cast("list[Any]", cbor2.loads(data))
        return cls(changes, places)


class NodeLedger:
    """The steps, over one write transaction."""

    def __init__(self, txn: Any, tables: dict[str, Any], *, archive: bool, window_blocks: int) -> None:
        self._txn = txn
        self._tables = tables
        self._archive = archive
        self._window_blocks = window_blocks

    def store_nodes(self, number: int, trie: TrieUpdate) -> None:
        """Write the nodes that block `number` brings; they stand in no folded place yet."""
        known = self._places_of(trie.new)
        self._cursor("nodes").putmulti([(key, data) for key, data in trie.new.items() if key not in known])
        fresh = (0, number)
        self._write_places(
            {key: (known[key][0], max(known[key][1], number)) if key in known else fresh for key in trie.new}
        )

    def fold(self, number: int, entry: JournalEntry) -> None:
        """Make block `number` the state of the flat table."""
        flat = self._tables["flat"]
        for key, value in entry.changes.items():
            if value is None:
                self._txn.delete(key, db=flat)
            else:
                self._txn.put(key, value, db=flat)
        known = self._places_of(entry.places)
        after = {key: (known[key][0] + change, known[key][1]) for key, change in entry.places.items()}
        self._write_places(after)
        self._doom(number, [key for key, (places, _) in after.items() if places == 0])

    def give_up(self, number: int, entry: JournalEntry) -> None:
        """A block `number` on a fork that lost will never be folded."""
        self._doom(number, [key for key, change in entry.places.items() if change > 0])

    def prune(self, folded_number: int) -> None:
        """Erase the unused among the nodes whose time has come; in an archive none, though one may have begun late."""
        if self._archive:
            return
        cursor = self._cursor("doomed")
        while cursor.first() and _NUMBER.unpack_from(cursor.key())[0] <= folded_number:
            hashes = cursor.value()
            doomed = [hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES)]
            for key, (places, brought_by) in self._places_of(doomed).items():
                if places == 0 and brought_by <= folded_number:
                    self._txn.delete(key, db=self._tables["nodes"])
                    self._txn.delete(key, db=self._tables["places"])
            cursor.delete()

    def _doom(self, number: int, hashes: list[bytes]) -> None:
        if self._archive or not hashes:
            return
        key = number_key(number + self._window_blocks)
        before = self._txn.get(key, b"", db=self._tables["doomed"])
        self._txn.put(key, before + b"".join(hashes), db=self._tables["doomed"])

    def _places_of(self, hashes: Any) -> dict[bytes, tuple[int, int]]:
        found = self._cursor("places").getmulti(list(hashes))
        return {key: cast("tuple[int, int]", _PLACES.unpack(value)) for key, value in found}

    def _write_places(self, places: dict[bytes, tuple[int, int]]) -> None:
        self._cursor("places").putmulti([(key, _PLACES.pack(*value)) for key, value in places.items()])

    def _cursor(self, table: str) -> Any:
        return self._txn.cursor(self._tables[table])
