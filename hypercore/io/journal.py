"""The journal of a store: every change as one checksummed record, in two files that take turns.

A file starts with a checkpoint record, the full head at the moment it was begun; the records behind it are the changes
since. To start over, the *other* file is written from the beginning and takes effect when its checkpoint is on the
medium. A record that a crash cut short, or whose checksum is wrong, ends the journal: it and what follows never
happened.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hypercore import merkle
from hypercore.encoding import Reader, Writer, encode_uint
from hypercore.errors import DecodeError, StoreCorrupt
from hypercore.io.files import Directory, RandomFile
from hypercore.merkle import Node

MAXIMUM_RECORD_BYTES = 1 << 28

_FRAME = struct.Struct("<II")
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


def contiguous(blocks: Iterable[StoredBlock]) -> Iterator[tuple[int, bytes]]:
    """(file offset, content) of blocks that lie side by side, so that each run is one write."""
    start, end = 0, -1
    parts: list[bytes] = []
    for block in blocks:
        assert block.value is not None
        if block.offset != end:
            if parts:
                yield start, b"".join(parts)
            start, parts = block.offset, []
        parts.append(block.value)
        end = block.offset + block.size
    if parts:
        yield start, parts[0] if len(parts) == 1 else b"".join(parts)


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

    def encode(self) -> bytes:
        """The record's payload."""
        out = Writer().uint(0 if self.truncate_to is None else self.truncate_to + 1)
        nodes = [b"%b%b%b" % (encode_uint(node.index), encode_uint(node.size), node.hash) for node in self.nodes]
        out.uint(len(nodes)).raw(b"".join(nodes))
        out.array(self.blocks, _write_block)
        out.array(self.bits, lambda writer, run: writer.uint(run[0]).uint(run[1]).boolean(run[2]))
        out.boolean(self.head is not None)
        if self.head is not None:
            write_head(out, self.head)
        return out.finish()

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


def _write_block(out: Writer, block: StoredBlock) -> None:
    out.uint(block.index).uint(block.offset).uint(block.size).boolean(block.value is not None)
    if block.value is not None:
        out.raw(block.value)


def _read_block(reader: Reader) -> StoredBlock:
    index, offset, size = reader.uint(), reader.uint(), reader.uint()
    return StoredBlock(index, offset, size, reader.fixed(size) if reader.boolean() else None)


def write_head(out: Writer, head: StoredHead) -> None:
    """Encode a head."""
    out.uint(head.fork).uint(head.length).buffer(head.signature)


def read_head(reader: Reader) -> StoredHead:
    """Decode a head."""
    return StoredHead(reader.uint(), reader.uint(), reader.buffer())


class Journal:
    """Appends records, starts over, and reads back what survived."""

    def __init__(self, directory: Directory) -> None:
        self._files: tuple[RandomFile, ...] = tuple(directory.open(name) for name in _NAMES)
        self._current = 0
        self.generation = 0
        self.size = 0

    @property
    def empty(self) -> bool:
        """True when no checkpoint was ever completed."""
        return self.generation == 0

    def recover(self) -> tuple[StoredHead, Iterator[tuple[int, bytes]]]:
        """Choose the file with the newest whole checkpoint; returns its head and the (end offset, payload) after it.

        The caller sets the end with `accept` for each record that it took.
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
            if any(file.size() for file in self._files):
                raise StoreCorrupt("neither journal file begins with a whole checkpoint")
            return StoredHead(0, 0, b""), iter(())
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
        """Bytes behind the last accepted record."""
        return self._files[self._current].size() - self.size

    def append(self, payload: bytes, *, sync: bool = False) -> None:
        """Add one record; with `sync` it is on the medium when this returns."""
        file = self._files[self._current]
        try:
            file.write(self.size, _frame(payload, self.generation))
        except OSError:
            # What a full disk left of the record would otherwise lie behind the next, perhaps shorter one.
            file.truncate(self.size)
            raise
        if sync:
            file.sync()
        self.size += _FRAME.size + len(payload)

    def sync(self) -> None:
        """Return once every record is on the medium."""
        self._files[self._current].sync()

    def restart(self, head: StoredHead) -> None:
        """Begin the other file with a checkpoint. Everything the old records did must be on the medium already."""
        number = 1 - self._current if self.generation else 0
        file = self._files[number]
        file.truncate(0)
        out = Writer().uint(self.generation + 1)
        write_head(out, head)
        record = _frame(out.finish(), None)
        try:
            file.write(0, record)
            file.sync()
        except OSError:
            # A checkpoint that nobody knows of must not outrank the records that still follow in the present file.
            file.truncate(0)
            raise
        self._current, self.generation, self.size = number, self.generation + 1, len(record)

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()


def _checksum(payload: bytes, generation: int | None) -> int:
    # The generation is part of the checksum, so that a record left from an earlier turn of the file is never taken.
    return zlib.crc32(payload, zlib.crc32(b"" if generation is None else generation.to_bytes(8, "little")))


def _frame(payload: bytes, generation: int | None) -> bytes:
    return _FRAME.pack(len(payload), _checksum(payload, generation)) + payload


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
