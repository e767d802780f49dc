"""Strict messages: frozen dataclasses as canonical CBOR maps (RFC 8949, section 4.2.1).

Each field names how it is read, with its bound:

    @dataclass(frozen=True)
    class Ping:
        nonce: int = unsigned(64)

`encode` and `decode` are each other's inverse; `decode` accepts exactly the bytes that `encode` makes: no unknown,
missing or repeated field, no other type, no other spelling of a number, no nesting beyond the bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import cbor2

from node import limits

T = TypeVar("T")
Reader = Callable[[Any], Any]


class InvalidMessage(Exception):
    """The bytes are not the canonical form of the expected message; the text says what is wrong."""


def encode(message: Any) -> bytes:
    """Return the canonical CBOR map of a message's fields."""
    fields = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return cbor2.dumps(fields, canonical=True)


def decode(message_type: type[T], data: bytes, max_bytes: int = limits.MAX_FRAME_BYTES) -> T:
    """Read a message of `message_type`. Raises InvalidMessage."""
    name = message_type.__name__
    if len(data) > max_bytes:
        raise InvalidMessage(f"{name}: {len(data)} bytes, at most {max_bytes} are allowed")
    try:
        values = cbor2.loads(
            data,
            max_depth=limits.MAX_CBOR_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"{name}: not CBOR: {error}") from error
    if not isinstance(values, dict):
        raise InvalidMessage(f"{name}: not a map")
    fields: tuple[Any, ...] = dataclasses.fields(message_type)  # type: ignore[arg-type]
    expected = {field.name for field in fields}
    if values.keys() != expected:
        unknown, missing = sorted(map(str, values.keys() - expected)), sorted(expected - values.keys())
        raise InvalidMessage(f"{name}: unknown fields {unknown[:4]}, missing fields {missing}")
    read = {}
    for field in fields:
        try:
            read[field.name] = field.metadata["read"](values[field.name])
        except (ValueError, TypeError) as error:
            raise InvalidMessage(f"{name}.{field.name}: {error}") from error
    message = message_type(**read)
    if encode(message) != data:
        raise InvalidMessage(f"{name}: not in canonical form")
    return message


def unsigned(bits: int) -> Any:
    """A field holding an integer of at least 0 and below 2**bits."""

    def read(value: Any) -> int:
        if type(value) is not int or not 0 <= value < 1 << bits:
            raise ValueError(f"not an unsigned integer of {bits} bits")
        return value

    return _field(read)


def flag() -> Any:
    """A field holding true or false."""

    def read(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError("not a boolean")
        return value

    return _field(read)


def fixed_bytes(size: int) -> Any:
    """A field holding exactly `size` bytes."""
    return _field(_fixed_reader(size))


def optional_fixed_bytes(size: int) -> Any:
    """A field holding exactly `size` bytes or null."""
    read = _fixed_reader(size)
    return _field(lambda value: None if value is None else read(value))


def bounded_bytes(max_bytes: int) -> Any:
    """A field holding at most `max_bytes` bytes."""
    return _field(_bytes_reader(max_bytes))


def bounded_text(max_bytes: int) -> Any:
    """A field holding text of at most `max_bytes` bytes of UTF-8."""
    return _field(_text_reader(max_bytes))


def choice(*allowed: str) -> Any:
    """A field holding one of a closed set of words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"not one of {', '.join(allowed)}")
        return value

    return _field(read)


def bytes_list(max_items: int, max_bytes: int) -> Any:
    """A field holding a tuple of at most `max_items` byte strings of at most `max_bytes` each."""
    return _field(_list_reader(max_items, _bytes_reader(max_bytes)))


def text_list(max_items: int, max_bytes: int) -> Any:
    """A field holding a tuple of at most `max_items` texts of at most `max_bytes` each."""
    return _field(_list_reader(max_items, _text_reader(max_bytes)))


def _field(read: Reader) -> Any:
    return dataclasses.field(metadata={"read": read})


def _fixed_reader(size: int) -> Reader:
    def read(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != size:
            raise ValueError(f"not {size} bytes")
        return value

    return read


def _bytes_reader(max_bytes: int) -> Reader:
    def read(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) > max_bytes:
            raise ValueError(f"not at most {max_bytes} bytes")
        return value

    return read


def _text_reader(max_bytes: int) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value.encode()) > max_bytes:
            raise ValueError(f"not text of at most {max_bytes} bytes")
        return value

    return read


def _list_reader(max_items: int, read_item: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > max_items:
            raise ValueError(f"not a list of at most {max_items} items")
        return tuple(read_item(item) for item in value)

    return read
