"""Compact-encoding: how Hypercore 11 writes numbers, strings and lists (little endian throughout).

The decoder checks every bound before it reads and refuses what JavaScript numbers cannot hold. Unlike the JavaScript
decoder it can also insist on minimal integers (`canonical=True`), which signed and hashed structures need.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Self, TypeVar

from hypercore.errors import DecodeError, LocalProtocolError

T = TypeVar("T")

MAXIMUM_UINT = 2**53 - 1
MAXIMUM_ARRAY_ITEMS = 0x100000
MAXIMUM_UINT32 = 2**32 - 1

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Reader:
    """Reads values off the front of `data`; every failure is a `DecodeError`."""

    __slots__ = ("_canonical", "_data", "_end", "_position")

    def __init__(self, data: bytes | bytearray | memoryview, *, canonical: bool = False) -> None:
        self._data = bytes(data)
        self._position = 0
        self._end = len(self._data)
        self._canonical = canonical

    @property
    def at_end(self) -> bool:
        """True when every byte was read."""
        return self._position == self._end

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._position

    def since(self, position: int) -> bytes:
        """The bytes read since an earlier `position`."""
        return self._data[position : self._position]

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return self._end - self._position

    def _advance(self, size: int) -> int:
        start = self._position
        if size > self._end - start:
            raise DecodeError(f"need {size} bytes at offset {start}, have {self._end - start}")
        self._position = start + size
        return start

    def fixed(self, size: int) -> bytes:
        """Exactly `size` bytes without a length prefix."""
        start = self._advance(size)
        return self._data[start : start + size]

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.fixed(self.remaining)

    def uint(self) -> int:
        """A variable-length integer of 1, 3, 5 or 9 bytes, at most 2^53-1."""
        start = self._position
        first = self._data[start] if start < self._end else 0xFF
        if first <= 0xFC:
            self._position = start + 1
            return first
        self._advance(1)
        value: int
        if first == 0xFD:
            (value,) = _U16.unpack_from(self._data, self._advance(2))
            minimum = 0xFD
        elif first == 0xFE:
            (value,) = _U32.unpack_from(self._data, self._advance(4))
            minimum = 0x10000
        else:
            (value,) = _U64.unpack_from(self._data, self._advance(8))
            minimum = 0x100000000
        if value > MAXIMUM_UINT:
            raise DecodeError(f"integer {value} is above 2^53-1")
        if self._canonical and value < minimum:
            raise DecodeError(f"integer {value} is not in its shortest form")
        return value

    def signed(self) -> int:
        """A signed integer: zig-zag, then `uint`."""
        value = self.uint()
        return -(value + 1) // 2 if value & 1 else value // 2

    def uint8(self) -> int:
        """One byte."""
        return self._data[self._advance(1)]

    def uint16(self) -> int:
        """Two bytes."""
        return int.from_bytes(self.fixed(2), "little")

    def uint32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.fixed(4), "little")

    def uint64(self) -> int:
        """Eight bytes; at most 2^53-1, like every number here."""
        value = int.from_bytes(self.fixed(8), "little")
        if value > MAXIMUM_UINT:
            raise DecodeError(f"integer {value} is above 2^53-1")
        return value

    def boolean(self) -> bool:
        """One byte, true only for 1; canonical readers refuse everything but 0 and 1."""
        value = self.uint8()
        if self._canonical and value > 1:
            raise DecodeError(f"byte {value} is not a boolean")
        return value == 1

    def buffer(self, maximum: int = MAXIMUM_UINT) -> bytes:
        """A length (at most `maximum`) and that many bytes."""
        size = self.uint()
        if size > maximum:
            raise DecodeError(f"buffer of {size} bytes, at most {maximum} are allowed")
        return self.fixed(size)

    def optional_buffer(self, maximum: int = MAXIMUM_UINT) -> bytes | None:
        """As `buffer`; an empty one means absent."""
        return self.buffer(maximum) or None

    def string(self, maximum: int = MAXIMUM_UINT) -> str:
        """A length in bytes (at most `maximum`) and UTF-8 text."""
        try:
            return self.buffer(maximum).decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"string is not UTF-8: {error.reason}") from None

    def count(self, maximum: int = MAXIMUM_ARRAY_ITEMS, item_size_minimum: int = 1) -> int:
        """The number of items of an array, refused above `maximum` or when the bytes left could not hold so many."""
        count = self.uint()
        if count > min(maximum, MAXIMUM_ARRAY_ITEMS):
            raise DecodeError(f"array of {count} items, at most {min(maximum, MAXIMUM_ARRAY_ITEMS)} are allowed")
        if count * item_size_minimum > self.remaining:
            raise DecodeError(f"array of {count} items in {self.remaining} bytes")
        return count

    def array(
        self, item: Callable[["Reader"], T], maximum: int = MAXIMUM_ARRAY_ITEMS, item_size_minimum: int = 1
    ) -> list[T]:
        """A count and that many items, each read by `item`."""
        return [item(self) for _ in range(self.count(maximum, item_size_minimum))]

    def uint32_array(self) -> list[int]:
        """A word count and that many 32-bit words."""
        count = self.count(item_size_minimum=4)
        return list(struct.unpack_from(f"<{count}I", self._data, self._advance(4 * count)))

    def finish(self) -> None:
        """Refuse bytes that were not read."""
        if not self.at_end:
            raise DecodeError(f"{self.remaining} bytes left over")


class Writer:
    """Collects encoded values; every method returns the writer, `finish` returns the bytes."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def finish(self) -> bytes:
        """All bytes written so far."""
        return b"".join(self._parts)

    def raw(self, data: bytes) -> Self:
        """Bytes as they are."""
        self._parts.append(bytes(data))
        return self

    def fixed(self, data: bytes, size: int) -> Self:
        """Exactly `size` bytes without a length prefix."""
        if len(data) != size:
            raise LocalProtocolError(f"expected {size} bytes, got {len(data)}")
        return self.raw(data)

    def uint(self, value: int) -> Self:
        """A variable-length integer, 0 to 2^53-1, in its shortest form."""
        self._parts.append(encode_uint(value))
        return self

    def signed(self, value: int) -> Self:
        """A signed integer: zig-zag, then `uint`."""
        return self.uint(2 * value if value >= 0 else -2 * value - 1)

    def _fixed_uint(self, value: int, size: int) -> Self:
        if not 0 <= value < min(1 << (8 * size), MAXIMUM_UINT + 1):
            raise LocalProtocolError(f"integer {value} does not fit into {size} bytes")
        return self.raw(value.to_bytes(size, "little"))

    def uint8(self, value: int) -> Self:
        """One byte."""
        return self._fixed_uint(value, 1)

    def uint16(self, value: int) -> Self:
        """Two bytes."""
        return self._fixed_uint(value, 2)

    def uint32(self, value: int) -> Self:
        """Four bytes."""
        return self._fixed_uint(value, 4)

    def uint64(self, value: int) -> Self:
        """Eight bytes; at most 2^53-1."""
        return self._fixed_uint(value, 8)

    def boolean(self, value: bool) -> Self:
        """One byte, 0 or 1."""
        return self.raw(b"\x01" if value else b"\x00")

    def buffer(self, data: bytes) -> Self:
        """A length and the bytes."""
        return self.uint(len(data)).raw(data)

    def optional_buffer(self, data: bytes | None) -> Self:
        """As `buffer`; None is written like an empty one."""
        return self.buffer(data or b"")

    def string(self, text: str) -> Self:
        """A length in bytes and UTF-8 text."""
        return self.buffer(text.encode())

    def array(self, items: Sequence[T], item: Callable[["Writer", T], object]) -> Self:
        """A count and every item, each written by `item(writer, value)`."""
        if len(items) > MAXIMUM_ARRAY_ITEMS:
            raise LocalProtocolError(f"array of {len(items)} items, at most {MAXIMUM_ARRAY_ITEMS} are allowed")
        self.uint(len(items))
        for value in items:
            item(self, value)
        return self

    def uint32_array(self, words: Iterable[int]) -> Self:
        """A word count and the 32-bit words."""
        values = list(words)
        if len(values) > MAXIMUM_ARRAY_ITEMS or any(not 0 <= word <= MAXIMUM_UINT32 for word in values):
            raise LocalProtocolError("not a list of at most 2^20 words of 32 bits")
        return self.uint(len(values)).raw(struct.pack(f"<{len(values)}I", *values))


def encode_uint(value: int) -> bytes:
    """The shortest variable-length form of `value` (0 to 2^53-1)."""
    if 0 <= value <= 0xFC:
        return bytes((value,))
    if value < 0 or value > MAXIMUM_UINT:
        raise LocalProtocolError(f"integer {value} is outside 0 to 2^53-1")
    if value <= 0xFFFF:
        return b"\xfd" + _U16.pack(value)
    if value <= 0xFFFFFFFF:
        return b"\xfe" + _U32.pack(value)
    return b"\xff" + _U64.pack(value)
