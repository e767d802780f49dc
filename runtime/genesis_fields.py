"""Reading a chain file strictly, field by field.

Every mistake is a `GenesisError` with the place in the file, such as `genesis.Balances.balances[3][1]`, and what was
expected there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.crypto import AddressError, ss58_decode
from runtime.errors import RuntimeFault

LIST_ITEMS_MAXIMUM = 1_000_000


class GenesisPath:
    """A place in a chain file; `path["balances"][3]` is deeper."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, step: str | int) -> GenesisPath:
        return GenesisPath(f"{self.text}[{step}]" if isinstance(step, int) else f"{self.text}.{step}")

    def __str__(self) -> str:
        return self.text


class GenesisError(RuntimeFault):
    """A chain file is wrong at `path`; `expected` says what must stand there."""

    def __init__(self, path: GenesisPath | str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = str(path)
        self.expected = expected


def read_mapping(
    value: Any, at: GenesisPath, *, required: Sequence[str], optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return an object that has exactly the named keys."""
    if not isinstance(value, Mapping):
        raise GenesisError(at, "an object")
    for key in value:
        if key not in required and key not in optional:
            allowed = ", ".join((*required, *optional)) or "no keys at all"
            raise GenesisError(at[str(key)], f"one of these keys instead: {allowed}")
    for key in required:
        if key not in value:
            raise GenesisError(at[key], "a value, but it is missing")
    return value


def read_list(value: Any, at: GenesisPath, *, maximum: int = LIST_ITEMS_MAXIMUM) -> Sequence[Any]:
    """Return a list of at most `maximum` items."""
    if not isinstance(value, list | tuple):
        raise GenesisError(at, "a list")
    if len(value) > maximum:
        raise GenesisError(at, f"at most {maximum} items, there are {len(value)}")
    return value


def read_integer(value: Any, at: GenesisPath, minimum: int = 0, maximum: int = 2**128 - 1) -> int:
    """Return an integer in a range; a text of digits is taken too, for numbers that JSON readers would round."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) <= 40:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise GenesisError(at, f"an integer from {minimum} to {maximum}")
    return value


def read_text(value: Any, at: GenesisPath) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise GenesisError(at, "a text")
    return value


def read_bytes(value: Any, at: GenesisPath, length: int | None = None) -> bytes:
    """Return bytes written as 0x and hexadecimal digits, of `length` bytes if given."""
    wanted = "0x and hexadecimal digits" + ("" if length is None else f" of {length} bytes")
    if not isinstance(value, str) or not value.startswith("0x"):
        raise GenesisError(at, wanted)
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise GenesisError(at, wanted) from None
    if length is not None and len(data) != length:
        raise GenesisError(at, wanted)
    return data


def read_account(value: Any, at: GenesisPath) -> bytes:
    """Return an account id written as an SS58 address or as 0x and 64 hexadecimal digits."""
    if isinstance(value, str) and value.startswith("0x"):
        return read_bytes(value, at, 32)
    try:
        return ss58_decode(read_text(value, at))
    except AddressError as error:
        raise GenesisError(at, f"an SS58 address or 0x and 64 hexadecimal digits ({error})") from None


def read_reference(value: Any, at: GenesisPath) -> str:
    """Return the name of a function: `module:function`, of plain dotted names; never a path."""
    module, _, function = read_text(value, at).partition(":")
    if not all(part.isascii() and part.isidentifier() for part in (*module.split("."), function)):
        raise GenesisError(at, "module:function, such as demo.chain:runtime_for")
    return f"{module}:{function}"
