"""The part of Protocol Buffers that Hyperbee uses: varints, byte strings, nested messages and packed lists of varints.

Fields come in any order and unknown ones are skipped, as every protobuf reader does; each bound is checked before it is
used, and integers above 2^53-1 are refused because JavaScript peers cannot hold them.
"""

from collections.abc import Iterator, Sequence

from hypercore.encoding import MAXIMUM_UINT
from hypercore.errors import DecodeError, LocalProtocolError

VARINT_BYTES_MAXIMUM = 10

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and the position behind it; raises `DecodeError`."""
    if position < len(data) and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for number in range(VARINT_BYTES_MAXIMUM):
        if position + number >= len(data):
            raise DecodeError("a varint is cut short")
        byte = data[position + number]
        value |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            if value > MAXIMUM_UINT:
                raise DecodeError(f"integer {value} is above 2^53-1")
            return value, position + number + 1
    raise DecodeError(f"a varint of more than {VARINT_BYTES_MAXIMUM} bytes")


def read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message in its order: integers of varint fields, bytes of all others."""
    position = 0
    while position < len(data):
        prefix, position = read_varint(data, position)
        number, kind = prefix >> 3, prefix & 7
        if number == 0:
            raise DecodeError("field number 0 is not allowed")
        if kind == _VARINT:
            value, position = read_varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = read_varint(data, position)
        elif kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            raise DecodeError(f"wire type {kind} is unknown")
        if size > len(data) - position:
            raise DecodeError(f"field {number} needs {size} bytes, {len(data) - position} are left")
        yield number, data[position : position + size]
        position += size


def read_bytes_fields(data: bytes) -> dict[int, bytes]:
    """The byte-string fields of a message; of a repeated one the last, of other types none."""
    return {number: value for number, value in read_fields(data) if isinstance(value, bytes)}


def read_packed(data: bytes) -> tuple[int, ...]:
    """A packed list of varints."""
    if data.isascii():  # all below 128, so that each is one byte
        return tuple(data)
    values = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte >= 0x80:
            shift += 7
            if shift >= 7 * VARINT_BYTES_MAXIMUM:
                raise DecodeError(f"a varint of more than {VARINT_BYTES_MAXIMUM} bytes")
            continue
        if value > MAXIMUM_UINT:
            raise DecodeError(f"integer {value} is above 2^53-1")
        values.append(value)
        value = shift = 0
    if shift:
        raise DecodeError("a varint is cut short")
    return tuple(values)


def varint(value: int) -> bytes:
    """The shortest varint of 0 to 2^53-1."""
    if 0 <= value < 0x80:
        return bytes((value,))
    if not 0 <= value <= MAXIMUM_UINT:
        raise LocalProtocolError(f"integer {value} is outside 0 to 2^53-1")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def bytes_field(number: int, data: bytes) -> bytes:
    """A byte-string or nested-message field."""
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def packed_field(number: int, values: Sequence[int]) -> bytes:
    """A packed list of varints, each 0 to 2^53-1; nothing at all for an empty one."""
    if not values:
        return b""
    if min(values) < 0 or max(values) > MAXIMUM_UINT:
        raise LocalProtocolError(f"one of the integers {list(values)} is outside 0 to 2^53-1")
    packed = bytearray()
    for value in values:
        while value >= 0x80:
            packed.append(value & 0x7F | 0x80)
            value >>= 7
        packed.append(value)
    return bytes_field(number, bytes(packed))
