"""Which runtime this is: its version as clients read it, and the digest of its source that stands under `:code`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from runtime.crypto import blake2_256
from runtime.types import U8, U32, Fixed, Text, type_path

CODE_KEY = b":code"
SOURCE_DIGEST_BYTES = 32
CODE_BYTES = SOURCE_DIGEST_BYTES + 4
UNKNOWN_SOURCE = bytes(SOURCE_DIGEST_BYTES)
"""The source digest of a runtime that will not author: tests and tools."""


@dataclass(frozen=True)
class RuntimeVersion:
    """`sp_version::RuntimeVersion`; `apis` are (first 8 bytes of BLAKE2b-64 of the API's name, its version)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_version::RuntimeVersion")
    spec_name: Text
    impl_name: Text
    authoring_version: U32
    spec_version: U32
    impl_version: U32
    apis: tuple[tuple[Annotated[bytes, Fixed(8)], U32], ...]
    transaction_version: U32
    state_version: U8


def api_id(name: str) -> bytes:
    """Return the 8-byte id of a runtime API such as "Core"."""
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def source_digest(files: Mapping[str, bytes]) -> bytes:
    """Return one 32-byte digest of named source files, whatever their order in the mapping."""
    parts: list[bytes] = []
    for name in sorted(files):
        encoded = name.encode()
        parts.append(len(encoded).to_bytes(4, "little") + encoded + blake2_256(files[name]))
    return blake2_256(b"".join(parts))


def runtime_code(digest: bytes, spec_version: int) -> bytes:
    """Return what stands under `:code`: the 32-byte source digest and the spec version (u32, little endian)."""
    if len(digest) != SOURCE_DIGEST_BYTES:
        raise ValueError(f"a source digest has {SOURCE_DIGEST_BYTES} bytes, not {len(digest)}")
    return digest + spec_version.to_bytes(4, "little")


def split_code(code: bytes) -> tuple[bytes, int]:
    """Return the source digest and the spec version that `:code` names; raises ValueError for other bytes."""
    if len(code) != CODE_BYTES:
        raise ValueError(f"the code of a runtime has {CODE_BYTES} bytes, not {len(code)}")
    return code[:SOURCE_DIGEST_BYTES], int.from_bytes(code[SOURCE_DIGEST_BYTES:], "little")
