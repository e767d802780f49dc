"""The journal of a store: every change as one checksummed record, in two files that take turns.

A file starts with a checkpoint record, the full head at the moment it was begun; the records behind it are the changes
since, and eight zeros end them. To start over, the *other* file is written from the beginning and takes effect when its
checkpoint is on the medium. A record that a crash cut short, or whose checksum is wrong, ends the journal: it and what
follows never happened.

Where records are synced, files are filled with zeros ahead, and they are written over when their turn comes again: to
sync bytes inside a file costs one write of the medium, to sync a file that grows the file system's own journal as well.

    record   payload size (u32), CRC-32 over generation (u64; nothing for a checkpoint) and payload, payload
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from hypercore import merkle
from hypercore.encoding import Reader, Writer, encode_uint
from hypercore.errors import DecodeError, StoreCorrupt
from hypercore.io.files import Directory, RandomFile
from hypercore.merkle import Node

MAXIMUM_RECORD_BYTES = 1 << 28
# How much a file is made larger than it must be.
RESERVED_BYTES_MINIMUM = 1 << 16
RESERVED_BYTES_MAXIMUM = 1 << 20

_FRAME = struct.Struct("<II")
_END = bytes(_FRAME.size)
# Numbers in their longest form, so that one call packs a whole item.
_U64 = 0xFF
_NODE = struct.Struct("<BQBQ32s")
_BLOCK = struct.Struct("<BQBQBQ?")
_BITS = struct.Struct("<BQBQ?")
_NAMES = ("journal.0", "journal.1")


@dataclass(frozen=True, slots=True)
class StoredHead:
    """Fork, length in blocks and signature of a stored log. Its roots are in the tree."""

    fork: int
    length: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block's place in the data file. `value` is None in a record that relies on the data file for the content."""

    index: int
    offset: int
    size: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Change:
    """One atomic change of a store, applied in this order: cut to `truncate_to` blocks, nodes, blocks, bits, head.

    `bits` are (first block, one past the last, here or not).
    """

    truncate_to: int | None = None
    nodes: tuple[Node, ...] = ()
    blocks: tuple[StoredBlock, ...] = ()
    bits: tuple[tuple[int, int, bool], ...] = ()
    head: StoredHead | None = None

    @property
    def gives_up(self) -> bool:
        """True when something that was stored no longer is."""
        return self.truncate_to is not None or not all(value for _, _, value in self.bits)

    def encode(self, inline_bytes_maximum: int) -> bytes:
        """The record's payload, without the contents of blocks that are larger than this."""
        parts = [encode_uint(0 if self.truncate_to is None else self.truncate_to + 1), encode_uint(len(self.nodes))]
        parts += [_NODE.pack(_U64, node.index, _U64, node.size, node.hash) for node in self.nodes]
        parts.append(encode_uint(len(self.blocks)))
        for block in self.blocks:
            value = block.value if block.size <= inline_bytes_maximum else None
            parts.append(_BLOCK.pack(_U64, block.index, _U64, block.offset, _U64, block.size, value is not None))
            if value is not None:
                parts.append(value)
        parts.append(encode_uint(len(self.bits)))
        parts += [_BITS.pack(_U64, start, _U64, end, value) for start, end, value in self.bits]
        if self.head is None:
            parts.append(b"\x00")
        else:
            parts += (b"\x01", encode_head(self.head))
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> "Change":
        """The change in a record's payload; raises `DecodeError`."""
        reader = Reader(data)
        truncate_to = reader.uint()
        nodes = merkle.read_nodes(reader)
        blocks = tuple(reader.array(_read_block, item_size_minimum=4))
        bits = tuple(reader.array(lambda item: (item.uint(), item.uint(), item.boolean()), item_size_minimum=3))
        head = read_head(reader) if reader.boolean() else None
        reader.finish()
        return cls(truncate_to - 1 if truncate_to else None, nodes, blocks, bits, head)


def _read_block(reader: Reader) -> StoredBlock:
    index, offset, size = reader.uint(), reader.uint(), reader.uint()
    return StoredBlock(index, offset, size, reader.fixed(size) if reader.boolean() else None)


def encode_head(head: StoredHead) -> bytes:
    """The bytes of a head."""
    return Writer().uint(head.fork).uint(head.length).buffer(head.signature).finish()


def read_head(reader: Reader) -> StoredHead:
    """Decode a head."""
    return StoredHead(reader.uint(), reader.uint(), reader.buffer())


class Journal:
    """Appends records, starts over, and reads back what survived. With `reserves` files are made large ahead."""

    def __init__(self, directory: Directory, *, reserves: bool) -> None:
        self._reserves = reserves
        self._files: tuple[RandomFile, ...] = tuple(directory.open(name) for name in _NAMES)
        self._reserved = [file.size() for file in self._files]
        self._current = 0
        self.generation = 0
        self.size = 0

    def recover(self) -> tuple[StoredHead, Iterator[tuple[int, bytes]]]:
        """Choose the file with the newest whole checkpoint; returns its head and the (end offset, payload) after it.

        The caller sets the end with `accept` for each record that it took. Raises `StoreCorrupt` when there is none.
        """
        candidates = []
        for number, file in enumerate(self._files):
            try:
                end, payload = next(_records(file, 0, None), (0, b""))
                reader = Reader(payload)
                candidates.append((reader.uint(), number, end, read_head(reader)))
            except DecodeError:
                continue
        if not candidates:
            raise StoreCorrupt("neither journal file begins with a whole checkpoint")
        self.generation, self._current, end, head = max(candidates, key=lambda candidate: candidate[0])
        self.size = end
        return head, _records(self._files[self._current], end, self.generation)

    def accept(self, end: int) -> None:
        """Keep the records up to this offset."""
        self.size = end

    def file_bytes(self) -> int:
        """Bytes of both files."""
        return sum(file.size() for file in self._files)

    def lost_bytes(self) -> int:
        """Bytes of the records behind the last accepted one, whole or not."""
        file = self._files[self._current]
        end = max((end for end, _ in _records(file, self.size, self.generation)), default=self.size)
        begun = file.read(end, _FRAME.size)
        if any(begun):
            claimed = _FRAME.size + int.from_bytes(begun[:4], "little")
            end = min(file.size(), end + claimed)
        return end - self.size

    def append(self, payload: bytes) -> None:
        """Add one record; it is on the medium after `sync`."""
        file, record = self._files[self._current], _frame(payload, self.generation)
        try:
            if self._reserves and self.size + len(record) > self._reserved[self._current]:
                self._reserve(self.size + len(record))
            file.write(self.size, record)
        except OSError:
            # What a full disk left of the record would otherwise lie behind the next, perhaps shorter one.
            file.truncate(self.size)
            self._reserved[self._current] = self.size
            raise
        self.size += len(record) - len(_END)

    def sync(self) -> None:
        """Return once every record is on the medium."""
        self._files[self._current].sync()

    def restart(self, head: StoredHead) -> None:
        """Begin the other file with a checkpoint. Everything the old records did must be on the medium already."""
        number = 1 - self._current if self.generation else 0
        file = self._files[number]
        record = _frame(encode_uint(self.generation + 1) + encode_head(head), None)
        try:
            file.write(0, record)
            file.sync()
        except OSError:
            # A checkpoint that nobody knows of must not outrank the records that still follow in the present file.
            file.truncate(0)
            self._reserved[number] = 0
            raise
        self._current, self.generation, self.size = number, self.generation + 1, len(record) - len(_END)

    def trim(self) -> None:
        """Give back the space that no record needs."""
        for number, file in enumerate(self._files):
            self._reserved[number] = self.size if number == self._current else 0
            file.truncate(self._reserved[number])

    def _reserve(self, needed: int) -> None:
        """Make the present file larger than is needed now, unless the disk is too full for that."""
        file, reserved = self._files[self._current], self._reserved[self._current]
        start = max(self.size, reserved)
        wanted = needed + min(max(reserved, RESERVED_BYTES_MINIMUM), RESERVED_BYTES_MAXIMUM)
        try:
            file.write(start, bytes(wanted - start))
        except OSError:
            file.truncate(start)
        else:
            self._reserved[self._current] = wanted

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()


def _checksum(payload: bytes, generation: int | None) -> int:
    # The generation is part of the checksum, so that a record left from an earlier turn of the file is never taken.
    return zlib.crc32(payload, zlib.crc32(b"" if generation is None else generation.to_bytes(8, "little")))


def _frame(payload: bytes, generation: int | None) -> bytes:
    return b"".join((_FRAME.pack(len(payload), _checksum(payload, generation)), payload, _END))


def _records(file: RandomFile, offset: int, generation: int | None) -> Iterator[tuple[int, bytes]]:
    """(end offset, payload) of every whole record from `offset` on."""
    while len(header := file.read(offset, _FRAME.size)) == _FRAME.size:
        size, checksum = _FRAME.unpack(header)
        if not 0 < size <= MAXIMUM_RECORD_BYTES:
            return
        payload = file.read(offset + _FRAME.size, size)
        if len(payload) != size or _checksum(payload, generation) != checksum:
            return
        offset += _FRAME.size + size
        yield offset, payload
