"""How chain values look in JSON: hexadecimal bytes, headers and digests as Substrate shows them."""

from typing import Any

from runtime.codec import codec_for
from runtime.header import DigestItem, Header

_DIGEST_ITEM = codec_for(DigestItem)
MAX_EXACT_INTEGER = 2**53


def hexadecimal(data: bytes) -> str:
    """0x and the hexadecimal digits."""
    return "0x" + data.hex()


def optional_hexadecimal(data: bytes | None) -> str | None:
    """As `hexadecimal`; null for nothing."""
    return None if data is None else "0x" + data.hex()


def exact_numbers(value: Any) -> Any:
    """The value with integers that JavaScript would round (beyond 2^53) as decimal text."""
    if isinstance(value, dict):
        return {name: exact_numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [exact_numbers(part) for part in value]
    is_large = isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER
    return str(value) if is_large else value


def header_json(header: Header) -> dict[str, Any]:
    """A header; its number in hexadecimal without leading zeros."""
    return {
        "parentHash": hexadecimal(header.parent_hash),
        "number": hex(header.number),
        "stateRoot": hexadecimal(header.state_root),
        "extrinsicsRoot": hexadecimal(header.extrinsics_root),
        "digest": {"logs": [hexadecimal(_DIGEST_ITEM.encode(item)) for item in header.digest]},
    }
