"""Bytes as JSON-RPC writes them."""

from __future__ import annotations

from typing import Any

from node.client.errors import BadAnswer


def to_hex(data: bytes) -> str:
    """Bytes as a node reads them."""
    return f"0x{data.hex()}"


def to_bytes(value: Any) -> bytes:
    """Bytes of a node's answer; raises BadAnswer."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise BadAnswer("the node sent something else than hexadecimal digits") from None
