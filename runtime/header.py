"""Block headers and their digest, in SCALE: what is hashed, sealed and shown to clients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar

from runtime import limits
from runtime.codec import codec_for
from runtime.crypto import blake2_256
from runtime.types import H256, Bytes, Bytes4, CompactU32, MaxLength, Variant, type_path


class DigestItem(Variant):
    """`sp_runtime::generic::DigestItem`: what consensus and runtime put into a header."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::generic::digest::DigestItem")


@dataclass(frozen=True)
class Other(DigestItem, index=0, unnamed=True):
    """Bytes without a meaning to the chain."""

    data: Bytes


@dataclass(frozen=True)
class Consensus(DigestItem, index=4, unnamed=True):
    """A message from the runtime to the consensus engine."""

    engine: Bytes4
    data: Bytes


@dataclass(frozen=True)
class Seal(DigestItem, index=5, unnamed=True):
    """The author's signature over the header without it; always the last item."""

    engine: Bytes4
    data: Bytes


@dataclass(frozen=True)
class PreRuntime(DigestItem, index=6, unnamed=True):
    """A message from the consensus engine to the runtime, known before the block is executed."""

    engine: Bytes4
    data: Bytes


@dataclass(frozen=True)
class RuntimeEnvironmentUpdated(DigestItem, index=8):
    """The runtime's code changed in this block."""


DigestItems = Annotated[tuple[DigestItem, ...], MaxLength(limits.DIGEST_ITEMS)]


@dataclass(frozen=True)
class Digest:
    """`sp_runtime::generic::Digest`: the digest as System stores it."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::generic::digest::Digest")
    logs: DigestItems = ()


@dataclass(frozen=True)
class Header:
    """A block header; `hash` is BLAKE2b-256 of its SCALE bytes, seal included."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::generic::header::Header")
    parent_hash: H256
    number: CompactU32
    state_root: H256
    extrinsics_root: H256
    digest: DigestItems = ()

    def encode(self) -> bytes:
        """Return the SCALE bytes."""
        return HEADER_CODEC.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Read a header that takes the whole of `data`; raises CodecError."""
        return HEADER_CODEC.decode(data)

    @cached_property
    def hash(self) -> bytes:
        """The block's hash, 32 bytes."""
        return blake2_256(self.encode())

    def without_seal(self) -> Header:
        """Return the header that the seal signs: without trailing seals."""
        items = self.digest
        while items and isinstance(items[-1], Seal):
            items = items[:-1]
        return replace(self, digest=items)


HEADER_CODEC = codec_for(Header)


@dataclass(frozen=True)
class Block:
    """A header and the opaque bytes of its extrinsics, each with its length prefix."""

    header: Header
    extrinsics: tuple[bytes, ...]
