"""How JSON values become Python arguments, by parameter annotation, and the JSON Schema that says so to clients."""

import re
import types
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from node.rpc.limits import MAX_STORAGE_KEYS

Converter = Callable[[Any], Any]
Schema = dict[str, Any]
C = TypeVar("C", bound=Callable[[Any], Any])

NUMBER = re.compile(r"[0-9]{1,39}|0x[0-9a-fA-F]{1,32}")
HEX_PATTERN = "^(0x)?([0-9a-fA-F]{2})*$"
HASH_PATTERN = "^(0x)?[0-9a-fA-F]{64}$"


def shown_as(**schema: Any) -> Callable[[C], C]:
    """Declares the JSON Schema of what a converter takes."""

    def mark(converter: C) -> C:
        cast(Any, converter).__schema__ = schema
        return converter

    return mark


@shown_as(type="string", pattern=HEX_PATTERN)
def hex_bytes(value: Any) -> bytes:
    """Bytes of a hexadecimal string, with or without 0x; clients also send the empty string."""
    if not isinstance(value, str):
        raise ValueError("expected a hexadecimal string")
    digits = value[2:] if value.startswith("0x") else value
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        data = b""
    if 2 * len(data) != len(digits):  # fromhex passes over spaces
        raise ValueError("not hexadecimal: an odd length or other characters than 0-9 and a-f")
    return data


@shown_as(type="string", pattern=HASH_PATTERN)
def hash_bytes(value: Any) -> bytes:
    """A 32-byte hash in hexadecimal."""
    data = hex_bytes(value)
    if len(data) != 32:
        raise ValueError(f"a hash has 32 bytes, this one {len(data)}")
    return data


@shown_as(type=["integer", "string"], minimum=0)
def integer(value: Any) -> int:
    """A non-negative integer, as a JSON number or as text in decimal or 0x-hexadecimal."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        number = int(value, 16) if value.startswith("0x") else int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise ValueError("expected a whole number")
    if not 0 <= number < 2**128:
        raise ValueError("the number is negative or too large")
    return number


@shown_as(type="string")
def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return value


@shown_as(type="boolean")
def boolean(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


@shown_as(type=["integer", "string", "array"], minimum=0)
def block_numbers(value: Any) -> int | list[int]:
    """One block number or a list of them: clients get the same shape back."""
    return [integer(item) for item in bounded_list(value)] if isinstance(value, list) else integer(value)


def bounded_list(value: Any) -> list[Any]:
    """A list, not longer than any call may need."""
    if not isinstance(value, list):
        raise ValueError("expected a list")
    if len(value) > MAX_STORAGE_KEYS:
        raise ValueError(f"at most {MAX_STORAGE_KEYS} items are taken, these are {len(value)}")
    return value


Hex = Annotated[bytes, hex_bytes]
Hash = Annotated[bytes, hash_bytes]
Number = Annotated[int, integer]
Numbers = Annotated[int | list[int], block_numbers]


def converter_for(annotation: Any) -> Converter:
    """The converter of a parameter annotation; raises TypeError for one that no converter is known for."""
    origin = get_origin(annotation)
    if origin is Annotated:
        converter: Converter = get_args(annotation)[1]
        return converter
    if origin in (Union, types.UnionType):
        rest = [item for item in get_args(annotation) if item is not type(None)]
        if len(rest) == 1:
            return converter_for(rest[0])
    if origin is list:
        item = converter_for(get_args(annotation)[0])
        return lambda value: [item(element) for element in bounded_list(value)]
    simple: dict[Any, Converter] = {str: text, bool: boolean, int: integer, Any: lambda value: value}
    if annotation in simple:
        return simple[annotation]
    raise TypeError(f"no JSON conversion is known for {annotation!r}")


def schema_for(annotation: Any) -> Schema:
    """The JSON Schema of a parameter or result annotation; empty where anything may come."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return dict(getattr(arguments[1], "__schema__", {}))
    if origin in (Union, types.UnionType):
        rest = [item for item in arguments if item is not type(None)]
        return {"anyOf": [*map(schema_for, rest), {"type": "null"}]}
    if origin is list:
        return {"type": "array", "items": schema_for(arguments[0])}
    simple = {str: "string", bool: "boolean", int: "integer", None: "null", type(None): "null"}
    return {"type": simple[annotation]} if annotation in simple else {}
