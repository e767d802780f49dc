"""The leaves of SCALE: integers, compact integers, booleans, bytes and text, and the codec object itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from runtime.errors import CodecError

T = TypeVar("T")


class Codec(Generic[T]):
    """Encoder and decoder of one type.

    `encode(value) -> bytes`; `read(data, offset) -> (value, end)` reads from the middle of `data`; `decode(data)` wants
    the whole input used; `size_min` is the fewest bytes a value takes. All raise `CodecError`.
    """

    __slots__ = ("encode", "name", "read", "size_min")

    def __init__(
        self,
        name: str,
        encode: Callable[[T], bytes],
        read: Callable[[bytes, int], tuple[T, int]],
        size_min: int,
    ) -> None:
        self.name = name
        self.encode = encode
        self.read = read
        self.size_min = size_min

    def decode(self, data: bytes) -> T:
        """Decode a value that takes the whole of `data`."""
        value, end = self.read(data, 0)
        if end != len(data):
            raise CodecError(f"{len(data) - end} bytes are left over after {self.name}", end)
        return value

    def __repr__(self) -> str:
        return f"Codec({self.name})"


def integer_codec(size: int, *, signed: bool) -> Codec[Any]:
    """Return the codec of a little-endian integer of `size` bytes."""
    name = f"{'i' if signed else 'u'}{size * 8}"
    from_bytes = int.from_bytes

    def encode(value: Any) -> bytes:
        try:
            encoded: bytes = value.to_bytes(size, "little", signed=signed)
        except (OverflowError, AttributeError, TypeError):
            raise CodecError(f"{value!r} is no {name}") from None
        return encoded

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        end = offset + size
        if end > len(data):
            raise CodecError(f"{name} needs {size} bytes, {len(data) - offset} are left", offset)
        return from_bytes(data[offset:end], "little", signed=signed), end

    return Codec(name, encode, read, size)


def write_compact(value: int) -> bytes:
    """Encode an integer in compact form; the caller has checked its range."""
    if value < 0x40:
        return bytes((value << 2,))
    if value < 0x4000:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 0x4000_0000:
        return (value << 2 | 2).to_bytes(4, "little")
    size = (value.bit_length() + 7) // 8
    return bytes(((size - 4) << 2 | 3,)) + value.to_bytes(size, "little")


def read_compact(data: bytes, offset: int, size_max: int) -> tuple[int, int]:
    """Read a compact integer below 2^(8 * size_max), canonical form only."""
    if offset >= len(data):
        raise CodecError("compact integer: input ends", offset)
    first = data[offset]
    mode = first & 3
    if mode == 0:
        return first >> 2, offset + 1
    if mode == 3:
        size = (first >> 2) + 4
        start, least = offset + 1, max(1 << 30, 1 << (8 * (size - 1)))
        if size > max(size_max, 4):
            raise CodecError(f"compact integer of {size} bytes, at most {size_max} are allowed", offset)
    else:
        size = 2 * mode
        start, least = offset, 0x40 if mode == 1 else 0x4000
    end = start + size
    if end > len(data):
        raise CodecError(f"compact integer needs {size} bytes, {len(data) - start} are left", offset)
    value = int.from_bytes(data[start:end], "little")
    if mode != 3:
        value >>= 2
    if value < least:
        raise CodecError("compact integer is not in its shortest form", offset)
    if value >> (8 * size_max):
        raise CodecError(f"compact integer {value} does not fit {size_max} bytes", offset)
    return value, end


def compact_codec(size: int) -> Codec[Any]:
    """Return the codec of a compact integer below 2^(8 * size)."""
    name = f"Compact<u{size * 8}>"
    bound = 1 << (8 * size)

    def encode(value: Any) -> bytes:
        if not isinstance(value, int) or not 0 <= value < bound:
            raise CodecError(f"{value!r} is no {name}")
        return write_compact(value)

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        return read_compact(data, offset, size)

    return Codec(name, encode, read, 1)


def read_count(data: bytes, offset: int, limit: int | None, item_size_min: int) -> tuple[int, int]:
    """Read the count of a sequence and bound it by `limit` and by the bytes that are left."""
    count, start = read_compact(data, offset, 4)
    if limit is not None and count > limit:
        raise CodecError(f"{count} items, at most {limit} are allowed", offset)
    if count * item_size_min > len(data) - start:
        raise CodecError(f"{count} items need {count * item_size_min} bytes, {len(data) - start} are left", offset)
    return count, start


def bool_codec() -> Codec[Any]:
    """Return the codec of bool: 00 or 01."""

    def encode(value: Any) -> bytes:
        if value is True:
            return b"\1"
        if value is False:
            return b"\0"
        raise CodecError(f"{value!r} is no bool")

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        byte = data[offset : offset + 1]
        if byte == b"\1":
            return True, offset + 1
        if byte == b"\0":
            return False, offset + 1
        raise CodecError(f"bool is 00 or 01, not {byte.hex() or 'the end of input'}", offset)

    return Codec("bool", encode, read, 1)


def fixed_bytes_codec(size: int) -> Codec[Any]:
    """Return the codec of `[u8; size]`."""
    name = f"[u8; {size}]"

    def encode(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != size:
            raise CodecError(f"expected {size} bytes, got {describe(value)}")
        return value

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        end = offset + size
        if end > len(data):
            raise CodecError(f"{name} needs {size} bytes, {len(data) - offset} are left", offset)
        return data[offset:end], end

    return Codec(name, encode, read, size)


def bytes_codec(limit: int | None) -> Codec[Any]:
    """Return the codec of Vec<u8>, of at most `limit` bytes."""

    def encode(value: Any) -> bytes:
        if type(value) is not bytes:
            raise CodecError(f"expected bytes, got {describe(value)}")
        if limit is not None and len(value) > limit:
            raise CodecError(f"{len(value)} bytes, at most {limit} are allowed")
        return write_compact(len(value)) + value

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        count, start = read_count(data, offset, limit, 1)
        return data[start : start + count], start + count

    return Codec("Vec<u8>", encode, read, 1)


def text_codec(limit: int | None) -> Codec[Any]:
    """Return the codec of str: its UTF-8 bytes as Vec<u8>, of at most `limit` bytes."""
    inner = bytes_codec(limit)

    def encode(value: Any) -> bytes:
        if not isinstance(value, str):
            raise CodecError(f"expected text, got {describe(value)}")
        try:
            return inner.encode(value.encode())
        except UnicodeEncodeError:
            raise CodecError("text holds a lone surrogate") from None

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        raw, end = inner.read(data, offset)
        try:
            return raw.decode(), end
        except UnicodeDecodeError:
            raise CodecError("text is not UTF-8", offset) from None

    return Codec("str", encode, read, 1)


def describe(value: object) -> str:
    """Say what was given, without its content (it may be large or secret)."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
