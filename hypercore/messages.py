"""The handshake and the ten messages of a `hypercore/alpha` channel.

Each message class has its number on the wire as `type`, `encode()` for its body and `decode(body)`, which raises
`DecodeError` for anything that is not such a body. Bytes behind the last known field are ignored, as newer peers may
add fields.

Source: Hypercore 11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

from hypercore.crypto import KEY_SIZE
from hypercore.encoding import Reader, Writer
from hypercore.errors import DecodeError
from hypercore.manifest import Manifest
from hypercore.merkle import Node, read_nodes, write_nodes
from hypercore.proof import (
    BlockRequest,
    DataBlock,
    DataHash,
    DataSeek,
    DataUpgrade,
    HashRequest,
    Proof,
    ProofRequest,
    SeekRequest,
    UpgradeRequest,
)

PROTOCOL = "hypercore/alpha"
PROTOCOL_ALIAS = "hypercore"

MAX_PROOF_NODES = 512
MAX_SIGNATURE_BYTES = 1 << 20
MAX_BITFIELD_WORDS = 1 << 16
MAX_EXTENSION_NAME_BYTES = 1024
BITS_PER_WORD = 32

_BLOCK, _HASH, _SEEK, _UPGRADE, _MANIFEST, _PRIORITY = 1, 2, 4, 8, 16, 32


def _flags(*values: bool) -> int:
    return sum(1 << bit for bit, value in enumerate(values) if value)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What travels inside the channel's open: `capability` (32 bytes) shows that the sender knows the core's key."""

    capability: bytes
    seeks: bool = True

    def encode(self) -> bytes:
        """The handshake bytes."""
        return Writer().uint(_flags(self.seeks)).fixed(self.capability, KEY_SIZE).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The handshake in `body`."""
        reader = Reader(body)
        flags = reader.uint()
        return cls(capability=reader.fixed(KEY_SIZE), seeks=bool(flags & 1))


@dataclass(frozen=True, slots=True)
class Sync:
    """The sender's state: its fork and length, the length it last heard from us, and what it wants."""

    type: ClassVar[int] = 0
    fork: int
    length: int
    remote_length: int
    can_upgrade: bool = True
    uploading: bool = True
    downloading: bool = True
    has_manifest: bool = False
    allow_push: bool = False

    def encode(self) -> bytes:
        """The message body."""
        flags = _flags(self.can_upgrade, self.uploading, self.downloading, self.has_manifest, self.allow_push)
        return Writer().uint(flags).uint(self.fork).uint(self.length).uint(self.remote_length).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        flags = reader.uint()
        bits = [bool(flags & 1 << bit) for bit in range(5)]
        return cls(reader.uint(), reader.uint(), reader.uint(), *bits)


@dataclass(frozen=True, slots=True)
class Request:
    """A proof asked for under a number that the sender chooses; number 0 is a probe for conflicting heads."""

    type: ClassVar[int] = 1
    id: int
    proof: ProofRequest
    priority: int = 0

    def encode(self) -> bytes:
        """The message body."""
        wanted = self.proof
        parts = (wanted.block, wanted.hash, wanted.seek, wanted.upgrade)
        flags = _flags(*(part is not None for part in parts), wanted.manifest, self.priority != 0)
        out = Writer().uint(flags).uint(self.id).uint(wanted.fork)
        if wanted.block is not None:
            out.uint(wanted.block.index).uint(wanted.block.nodes)
        if wanted.hash is not None:
            out.uint(wanted.hash.index).uint(wanted.hash.nodes)
        if wanted.seek is not None:
            out.uint(wanted.seek.bytes).uint(wanted.seek.padding)
        if wanted.upgrade is not None:
            out.uint(wanted.upgrade.start).uint(wanted.upgrade.length)
        if self.priority:
            out.uint(self.priority)
        return out.finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        flags = reader.uint()
        id, fork = reader.uint(), reader.uint()
        block = BlockRequest(reader.uint(), reader.uint()) if flags & _BLOCK else None
        hash = HashRequest(reader.uint(), reader.uint()) if flags & _HASH else None
        seek = SeekRequest(reader.uint(), reader.uint()) if flags & _SEEK else None
        upgrade = UpgradeRequest(reader.uint(), reader.uint()) if flags & _UPGRADE else None
        priority = reader.uint() if flags & _PRIORITY else 0
        return cls(id, ProofRequest(fork, block, hash, seek, upgrade, bool(flags & _MANIFEST)), priority)


@dataclass(frozen=True, slots=True)
class Cancel:
    """The sender no longer wants the answer to its request `request`."""

    type: ClassVar[int] = 2
    request: int

    def encode(self) -> bytes:
        """The message body."""
        return Writer().uint(self.request).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        return cls(Reader(body).uint())


@dataclass(frozen=True, slots=True)
class Data:
    """The answer to request `request`."""

    type: ClassVar[int] = 3
    request: int
    proof: Proof

    def encode(self) -> bytes:
        """The message body."""
        proof = self.proof
        parts = (proof.block, proof.hash, proof.seek, proof.upgrade, proof.manifest)
        out = Writer().uint(_flags(*(part is not None for part in parts))).uint(self.request).uint(proof.fork)
        if proof.block is not None:
            out.uint(proof.block.index).buffer(proof.block.value)
            write_nodes(out, proof.block.nodes)
        if proof.hash is not None:
            write_nodes(out.uint(proof.hash.index), proof.hash.nodes)
        if proof.seek is not None:
            write_nodes(out.uint(proof.seek.bytes), proof.seek.nodes)
        if proof.upgrade is not None:
            write_nodes(out.uint(proof.upgrade.start).uint(proof.upgrade.length), proof.upgrade.nodes)
            write_nodes(out, proof.upgrade.additional_nodes)
            out.optional_buffer(proof.upgrade.signature)
        if proof.manifest is not None:
            out.raw(proof.manifest.encode())
        return out.finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        flags = reader.uint()
        request, fork = reader.uint(), reader.uint()
        block = DataBlock(reader.uint(), reader.buffer(), _nodes(reader)) if flags & _BLOCK else None
        hash = DataHash(reader.uint(), _nodes(reader)) if flags & _HASH else None
        seek = DataSeek(reader.uint(), _nodes(reader)) if flags & _SEEK else None
        upgrade = None
        if flags & _UPGRADE:
            upgrade = DataUpgrade(
                reader.uint(),
                reader.uint(),
                _nodes(reader),
                _nodes(reader),
                reader.optional_buffer(MAX_SIGNATURE_BYTES) or b"",
            )
        manifest = Manifest.read(reader) if flags & _MANIFEST else None
        return cls(request, Proof(fork, block, hash, seek, upgrade, manifest))


def _nodes(reader: Reader) -> tuple[Node, ...]:
    return read_nodes(reader, MAX_PROOF_NODES)


@dataclass(frozen=True, slots=True)
class NoData:
    """Request `request` is not answered; `reason` is one of the constants below, UNKNOWN from older peers."""

    type: ClassVar[int] = 4
    UNKNOWN: ClassVar[int] = 0
    NOT_AVAILABLE: ClassVar[int] = 1
    INVALID_REQUEST: ClassVar[int] = 2
    request: int
    reason: int = 0

    def encode(self) -> bytes:
        """The message body."""
        out = Writer().uint(self.request).uint(_flags(self.reason != self.UNKNOWN))
        return out.uint(self.reason).finish() if self.reason else out.finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        request = reader.uint()
        flags = 0 if reader.at_end else reader.uint()
        return cls(request, reader.uint() if flags & 1 else cls.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Want:
    """The sender wants to hear which blocks of [start, start + length) we have; with `any`, one of them is enough."""

    type: ClassVar[int] = 5
    start: int
    length: int
    any: bool = False

    def encode(self) -> bytes:
        """The message body."""
        out = Writer().uint(self.start).uint(self.length)
        return out.uint(1).finish() if self.any else out.finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        start, length = reader.uint(), reader.uint()
        return cls(start, length, not reader.at_end and bool(reader.uint() & 1))


@dataclass(frozen=True, slots=True)
class Unwant(Want):
    """The sender no longer wants to hear about these blocks."""

    type: ClassVar[int] = 6


@dataclass(frozen=True, slots=True)
class Bitfield:
    """Which blocks the sender has from `start` on: bit i (lowest first) of word w is block start + 32 w + i."""

    type: ClassVar[int] = 7
    start: int
    words: tuple[int, ...]

    def encode(self) -> bytes:
        """The message body."""
        return Writer().uint(self.start).uint32_array(self.words).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        start = reader.uint()
        if start % BITS_PER_WORD:
            raise DecodeError(f"bitfield starts at block {start}, which is not a multiple of {BITS_PER_WORD}")
        words = reader.uint32_array()
        if len(words) > MAX_BITFIELD_WORDS:
            raise DecodeError(f"bitfield of {len(words)} words, at most {MAX_BITFIELD_WORDS} are allowed")
        return cls(start, tuple(words))


@dataclass(frozen=True, slots=True)
class Range:
    """The sender has (or with `drop`, no longer has) the blocks [start, start + length)."""

    type: ClassVar[int] = 8
    start: int
    length: int = 1
    drop: bool = False

    def encode(self) -> bytes:
        """The message body."""
        out = Writer().uint(_flags(self.drop, self.length == 1)).uint(self.start)
        return out.finish() if self.length == 1 else out.uint(self.length).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        flags, start = reader.uint(), reader.uint()
        return cls(start, 1 if flags & 2 else reader.uint(), bool(flags & 1))


@dataclass(frozen=True, slots=True)
class Extension:
    """A message of a named extension; an empty name stands for the last name that the sender used."""

    type: ClassVar[int] = 9
    name: str
    message: bytes

    def encode(self) -> bytes:
        """The message body."""
        return Writer().string(self.name).raw(self.message).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message in `body`."""
        reader = Reader(body)
        return cls(reader.string(MAX_EXTENSION_NAME_BYTES), reader.rest())


Message = Sync | Request | Cancel | Data | NoData | Want | Unwant | Bitfield | Range | Extension

_DECODERS: tuple[Callable[[bytes], Message], ...] = (
    Sync.decode,
    Request.decode,
    Cancel.decode,
    Data.decode,
    NoData.decode,
    Want.decode,
    Unwant.decode,
    Bitfield.decode,
    Range.decode,
    Extension.decode,
)


def decode_message(type: int, body: bytes) -> Message | None:
    """The message of wire type `type` in `body`; None for a type that this version does not know."""
    return _DECODERS[type](body) if type < len(_DECODERS) else None
