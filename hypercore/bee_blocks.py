"""What the blocks of a Hyperbee hold, and a bounded cache of decoded ones.

A bee is a B-tree inside an append-only log. Block 0 is a header. Every later block is one change: a key, its value, and
those tree nodes that the change made anew. A node is named by (block number, level offset) and names its keys by the
number of the block that wrote them, so version v of the tree is what is reachable from the first node of block v - 1.

Source: Hyperbee 2 (protobuf messages Header, Node, YoloIndex).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hypercore import protobuf
from hypercore.errors import DecodeError

KEYS_MINIMUM = 4
KEYS_MAXIMUM = 2 * KEYS_MINIMUM
DEPTH_MAXIMUM = 40
CACHE_BYTES = 32 * 1024 * 1024

_PROTOCOL = b"hyperbee"
_ENTRY_COST_BYTES = 512


class BlockReader(Protocol):
    """Where the blocks of a bee's log come from: a local copy, or peers."""

    async def get(self, index: int) -> bytes:
        """Block `index`, decrypted."""

    async def fetch(self, indexes: Sequence[int]) -> None:
        """Has these blocks come in together; a later `get` of them is then fast. May do nothing."""


@dataclass(frozen=True, slots=True)
class Header:
    """Block 0. `metadata` is present in headers of drives; `content_key` names the blobs core of old drives."""

    metadata: bool = False
    content_key: bytes | None = None
    user_data: bytes | None = None

    def encode(self) -> bytes:
        """The block's bytes."""
        out = protobuf.bytes_field(1, _PROTOCOL)
        if not self.metadata:
            return out
        inner = b"" if self.content_key is None else protobuf.bytes_field(1, self.content_key)
        if self.user_data is not None:
            inner += protobuf.bytes_field(2, self.user_data)
        return out + protobuf.bytes_field(2, inner)

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        """The header in `data`; raises `DecodeError` when the log holds no bee."""
        fields = protobuf.read_bytes_fields(data)
        if fields.get(1) != _PROTOCOL:
            raise DecodeError("block 0 is not the header of a Hyperbee")
        if 2 not in fields:
            return cls()
        inner = protobuf.read_bytes_fields(fields[2])
        return cls(True, inner.get(1), inner.get(2))


@dataclass(frozen=True, slots=True)
class Level:
    """One tree node as stored: block numbers of its keys, and (block number, offset) of its children."""

    keys: tuple[int, ...]
    children: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """The node as a message."""
        return encode_level(self.keys, [number for child in self.children for number in child])

    @classmethod
    def decode(cls, data: bytes, block_number: int) -> "Level":
        """The node in `data` of block `block_number`; raises `DecodeError` for shapes no B-tree of this kind has."""
        fields = protobuf.read_bytes_fields(data)
        keys = protobuf.read_packed(fields.get(1, b""))
        flat = protobuf.read_packed(fields.get(2, b""))
        if len(flat) % 2 or len(keys) > KEYS_MAXIMUM or len(flat) not in (0, 2 * len(keys) + 2):
            raise DecodeError(f"a node in block {block_number} has {len(keys)} keys and {len(flat) / 2:g} children")
        children = tuple(zip(flat[::2], flat[1::2], strict=True))
        if flat and not keys:
            raise DecodeError(f"a node in block {block_number} has children but no key")
        if keys and not 0 < min(keys + flat[::2]) <= max(keys + flat[::2]) <= block_number:
            raise DecodeError(f"a node in block {block_number} refers to a block that did not exist then")
        return cls(keys, children)


class BeeBlock:
    """One change: `value` None with the key gone from the tree is a deletion."""

    __slots__ = ("_index", "_parts", "key", "number", "value")

    def __init__(self, number: int, key: bytes, value: bytes | None, index: bytes) -> None:
        self.number = number
        self.key = key
        self.value = value
        self._index = index
        self._parts: list[bytes | Level] | None = None

    @property
    def levels(self) -> tuple[Level, ...]:
        """All tree nodes in this block; raises `DecodeError`."""
        return tuple([self.level(offset) for offset in range(len(self._read_parts()))])

    def level(self, offset: int) -> Level:
        """The tree node at `offset`; raises `DecodeError`.

        Only this one is checked: a batch of JavaScript may leave nodes behind that nothing refers to, and that are
        those of a later change.
        """
        parts = self._read_parts()
        if offset >= len(parts):
            raise DecodeError(f"block {self.number} has no node {offset}")
        part = parts[offset]
        if isinstance(part, bytes):
            part = parts[offset] = Level.decode(part, self.number)
        return part

    @property
    def is_deletion(self) -> bool:
        """True when this change removed its key."""
        return self.value is None and not any(self.number in _keys_of(part) for part in self._read_parts())

    def _read_parts(self) -> list[bytes | Level]:
        if self._parts is None:
            fields = protobuf.read_fields(self._index)
            self._parts = [value for number, value in fields if number == 1 and isinstance(value, bytes)]
        return self._parts

    @property
    def size(self) -> int:
        """Bytes that it occupies, about."""
        return _ENTRY_COST_BYTES + len(self.key) + len(self.value or b"") + len(self._index)

    def encode(self) -> bytes:
        """The block's bytes."""
        out = protobuf.bytes_field(1, self._index) + protobuf.bytes_field(2, self.key)
        return out if self.value is None else out + protobuf.bytes_field(3, self.value)

    @classmethod
    def decode(cls, number: int, data: bytes) -> "BeeBlock":
        """Block `number` of a bee; raises `DecodeError`."""
        fields = protobuf.read_bytes_fields(data)
        if 1 not in fields or 2 not in fields:
            raise DecodeError(f"block {number} is not a change of a Hyperbee")
        return cls(number, fields[2], fields.get(3), fields[1])


def _keys_of(part: bytes | Level) -> tuple[int, ...]:
    return part.keys if isinstance(part, Level) else protobuf.read_packed(protobuf.read_bytes_fields(part).get(1, b""))


def encode_level(keys: Sequence[int], places: Sequence[int]) -> bytes:
    """A node as a message: the block numbers of its keys; block number and offset of each child in turn."""
    return protobuf.packed_field(1, keys) + protobuf.packed_field(2, places)


def encode_index(levels: Iterable[bytes]) -> bytes:
    """The encoded nodes of one block as its index field."""
    return b"".join([protobuf.bytes_field(1, level) for level in levels])


class BlockCache:
    """Decoded blocks of one log, at most about CACHE_BYTES of them; those that were not asked for lately leave.

    There are two halves. What is asked for moves to the newer one; when that is full, it becomes the older one, and all
    that is still in the older one goes.
    """

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self._newer: dict[int, BeeBlock] = {}
        self._older: dict[int, BeeBlock] = {}
        self._newer_bytes = 0

    async def block(self, number: int) -> BeeBlock:
        """Block `number`, from here or from the reader."""
        found = self._newer.get(number)
        if found is None:
            found = self._older.pop(number, None) or BeeBlock.decode(number, await self._reader.get(number))
            self._keep(found)
        return found

    async def level(self, place: tuple[int, int]) -> Level:
        """The tree node at (block number, offset)."""
        return (await self.block(place[0])).level(place[1])

    async def prepare(self, numbers: Iterable[int]) -> None:
        """Has the reader fetch those of the blocks that are not cached, all together."""
        missing = [number for number in numbers if number not in self._newer and number not in self._older]
        if missing:
            await self._reader.fetch(missing)

    def clear(self) -> None:
        """Forgets everything: the author went back."""
        self._newer, self._older, self._newer_bytes = {}, {}, 0

    def _keep(self, block: BeeBlock) -> None:
        self._newer[block.number] = block
        self._newer_bytes += block.size
        if self._newer_bytes >= CACHE_BYTES // 2:
            self._older, self._newer, self._newer_bytes = self._newer, {}, 0
