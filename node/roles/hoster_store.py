"""Sealed lanes on disk: one file each, complete and on the medium before its hoster signs for it.

A file is `<contract>-<amendment>-<position>-<key hash>.lane`: the sealed chunks one after another from byte 0, so that
leaf n begins at byte 1,024 n; then the trailer, a canonical CBOR map that makes the file explain itself; then the
trailer's length (u32), its BLAKE2b-256, and eight bytes of magic. While it grows it is called `.part`, and a restart
throws such files away. The index in memory is rebuilt from the trailers alone.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from node.limits import KIB
from node.net.cbor import InvalidMessage, bounded_bytes, bytes_list, decode, encode, fixed_bytes, unsigned
from node.roles import limits
from node.roles.lane_protocol import MODULUS_MAX_BYTES, Offer
from node.roles.market_view import LaneId, LaneTerms
from pallets.datdot.sealing import (
    LEAF_BYTES,
    Lane,
    LaneCommitment,
    LaneKey,
    LaneTree,
    LaneTreeBuilder,
    SealingError,
    max_sealed_bytes,
)

LANE_SUFFIX: Final = ".lane"
MAGIC: Final = b"ddlane1\n"
HASH_BYTES: Final = 32
FOOTER_BYTES: Final = 4 + HASH_BYTES + len(MAGIC)
PLACE_BYTES: Final = 12
TRAILER_MAX_BYTES: Final = limits.LANE_CHUNKS_MAX * (limits.BLOCK_PROOF_MAX_BYTES + PLACE_BYTES) + 64 * KIB
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger(__name__)


class QuotaFull(Exception):
    """The lane does not fit into the space that the owner offers."""


class DiskFull(Exception):
    """The disk has no room for the lane."""


class LaneDamaged(Exception):
    """A lane's file is missing, cut or changed."""


@dataclass(frozen=True)
class _Trailer:
    genesis: bytes = fixed_bytes(HASH_BYTES)
    contract: int = unsigned(64)
    amendment: int = unsigned(64)
    position: int = unsigned(8)
    feed_key: bytes = fixed_bytes(32)
    modulus: bytes = bounded_bytes(MODULUS_MAX_BYTES)
    root: bytes = fixed_bytes(HASH_BYTES)
    places: bytes = bounded_bytes(limits.LANE_CHUNKS_MAX * PLACE_BYTES)
    head_proof: bytes = bounded_bytes(limits.HEAD_PROOF_MAX_BYTES)
    block_proofs: tuple[bytes, ...] = bytes_list(limits.LANE_CHUNKS_MAX, limits.BLOCK_PROOF_MAX_BYTES)


@dataclass(frozen=True)
class StoredLane:
    """A lane on disk: `chunks` are the feed's numbers of its chunks, `offsets` where each begins, and the end."""

    id: LaneId
    lane: Lane
    feed_key: bytes
    chunks: tuple[int, ...]
    offsets: tuple[int, ...]
    root: bytes
    head_proof: bytes
    block_proofs: tuple[bytes, ...]
    path: Path

    @property
    def sealed_bytes(self) -> int:
        """Bytes of all sealed chunks."""
        return self.offsets[-1]


class LaneStore:
    """The lanes of one hoster below one directory, within a quota. Methods are synchronous; one owner uses them."""

    def __init__(self, path: Path, quota_bytes: int, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._path = path
        self._quota_bytes = quota_bytes
        self._free_bytes = free_bytes or _free_bytes
        self._reserved_bytes = 0
        self._attempts = 0
        self._lanes: dict[Path, StoredLane] = {}

    @classmethod
    def open(cls, path: Path, quota_bytes: int, free_bytes: Callable[[Path], int] | None = None) -> LaneStore:
        """The lanes below `path`; unfinished ones are deleted, unreadable ones renamed to `.damaged` and logged."""
        path.mkdir(parents=True, exist_ok=True)
        store = cls(path, quota_bytes, free_bytes)
        for part in sorted(path.glob("*.part")):
            part.unlink()
        for file in sorted(path.glob(f"*{LANE_SUFFIX}")):
            try:
                store._lanes[file] = _read_lane(file)
            except (LaneDamaged, OSError) as error:
                log.error("the sealed lane %s cannot be used: %s", file.name, error)
                file.rename(file.with_suffix(".damaged"))
        return store

    @property
    def used_bytes(self) -> int:
        """Sealed bytes of all lanes, those being written at their largest, as the chain books them."""
        return sum(lane.sealed_bytes for lane in self._lanes.values()) + self._reserved_bytes

    def lanes(self) -> tuple[StoredLane, ...]:
        """Every complete lane."""
        return tuple(self._lanes.values())

    def of(self, lane_id: LaneId) -> tuple[StoredLane, ...]:
        """The copies of a lane; more than one when its setup was begun anew with another key."""
        return tuple(lane for lane in self._lanes.values() if lane.id == lane_id)

    def find(self, lane_id: LaneId, root: bytes) -> StoredLane | None:
        """The copy of a lane with this root."""
        return next((lane for lane in self.of(lane_id) if lane.root == root), None)

    @contextmanager
    def begin(self, terms: LaneTerms, lane: Lane, offer: Offer) -> Iterator[LaneWriter]:
        """Write a new lane; what was not finished when the block of code ends is deleted and its space given back.

        Raises QuotaFull or DiskFull before anything is written.
        """
        needed = len(terms.chunks) * max_sealed_bytes(lane.key.bits)
        if len(self.of(_lane_id(terms))) >= limits.LANES_KEPT_PER_POSITION:
            raise QuotaFull(f"{terms} is stored {limits.LANES_KEPT_PER_POSITION} times already")
        if self.used_bytes + needed > self._quota_bytes:
            raise QuotaFull(f"{self.used_bytes} of {self._quota_bytes} bytes are in use, {needed} are needed")
        if self._free_bytes(self._path) < needed + self._reserved_bytes + TRAILER_MAX_BYTES + limits.DISK_RESERVE_BYTES:
            raise DiskFull(f"the disk has no {needed} bytes to spare")
        self._reserved_bytes += needed
        self._attempts += 1
        writer = LaneWriter(self._path, terms, lane, offer, self._attempts)
        try:
            with _disk_errors():
                writer.create()
            yield writer
        finally:
            writer.close()
            self._reserved_bytes -= needed

    def add(self, lane: StoredLane) -> None:
        """Take a finished lane into the index."""
        self._lanes[lane.path] = lane

    def erase(self, lane: StoredLane) -> None:
        """Delete a lane for good."""
        self._lanes.pop(lane.path, None)
        lane.path.unlink(missing_ok=True)

    def read_sealed(self, lane: StoredLane, place: int) -> bytes:
        """The sealed chunk at a place (from 0) of the lane; raises LaneDamaged."""
        return _read(lane.path, lane.offsets[place], lane.offsets[place + 1] - lane.offsets[place])

    def read_leaf(self, lane: StoredLane, leaf_number: int) -> bytes:
        """The bytes of a leaf; raises LaneDamaged."""
        start = leaf_number * LEAF_BYTES
        return _read(lane.path, start, min(LEAF_BYTES, lane.sealed_bytes - start))

    def tree(self, lane: StoredLane) -> LaneTree:
        """The leaf tree of what is on disk now, which is the signed one if nothing was changed; raises LaneDamaged."""
        builder = LaneTreeBuilder(lane.id.amendment, lane.id.position)
        for place in range(len(lane.chunks)):
            builder.update(self.read_sealed(lane, place))
        return builder.finish()

    def is_intact(self, lane: StoredLane) -> bool:
        """Whether the file still has the root that was signed; reads it whole."""
        try:
            return self.tree(lane).root == lane.root
        except LaneDamaged:
            return False


class LaneWriter:
    """A lane that is being written; made by `LaneStore.begin`. `write` and `finish` raise DiskFull."""

    def __init__(self, directory: Path, terms: LaneTerms, lane: Lane, offer: Offer, attempt: int) -> None:
        name = f"{terms.contract}-{terms.amendment}-{terms.position}-{lane.key.key_hash().hex()[:16]}"
        self._final = directory / f"{name}{LANE_SUFFIX}"
        self._part = directory / f"{name}-{attempt}.part"
        self._terms, self._lane, self._offer = terms, lane, offer
        self._file: BinaryIO | None = None
        self._lengths: list[int] = []
        self._proofs: list[bytes] = []

    def create(self) -> None:
        """Make the file."""
        self._file = self._part.open("wb")

    def write(self, sealed: bytes, block_proof: bytes) -> None:
        """Append the next sealed chunk."""
        assert self._file is not None
        with _disk_errors():
            self._file.write(sealed)
            self._file.flush()
        self._lengths.append(len(sealed))
        self._proofs.append(block_proof)

    def finish(self, commitment: LaneCommitment) -> StoredLane:
        """Write the trailer and return once the whole file is on the medium under its final name; may take a while."""
        assert self._file is not None
        terms = self._terms
        pairs = zip(terms.chunks, self._lengths, strict=True)
        trailer = _Trailer(
            genesis=terms.genesis,
            contract=terms.contract,
            amendment=terms.amendment,
            position=terms.position,
            feed_key=terms.feed_key,
            modulus=self._lane.key.to_bytes(),
            root=commitment.root,
            places=b"".join(chunk.to_bytes(8, "big") + length.to_bytes(4, "big") for chunk, length in pairs),
            head_proof=self._offer.head_proof,
            block_proofs=tuple(self._proofs),
        )
        data = encode(trailer)
        with _disk_errors():
            self._file.write(data + len(data).to_bytes(4, "big") + _hash(data) + MAGIC)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._part.rename(self._final)
            _sync_directory(self._final.parent)
        return _stored_lane(self._final, trailer)

    def close(self) -> None:
        """Delete what was not finished."""
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFull(f"the disk is full: {error.strerror}") from error
        raise


def _read_lane(path: Path) -> StoredLane:
    size = path.stat().st_size
    footer = _read(path, size - FOOTER_BYTES, FOOTER_BYTES)
    length = int.from_bytes(footer[:4], "big")
    if footer[4 + HASH_BYTES :] != MAGIC or length > min(TRAILER_MAX_BYTES, size - FOOTER_BYTES):
        raise LaneDamaged("it does not end like a lane")
    data = _read(path, size - FOOTER_BYTES - length, length)
    if _hash(data) != footer[4 : 4 + HASH_BYTES]:
        raise LaneDamaged("its trailer was changed")
    try:
        lane = _stored_lane(path, decode(_Trailer, data, TRAILER_MAX_BYTES))
    except (InvalidMessage, SealingError) as error:
        raise LaneDamaged(f"its trailer is malformed: {error}") from error
    if lane.sealed_bytes + length + FOOTER_BYTES != size:
        raise LaneDamaged("its length is not that of its chunks")
    return lane


def _stored_lane(path: Path, trailer: _Trailer) -> StoredLane:
    places = [trailer.places[start : start + PLACE_BYTES] for start in range(0, len(trailer.places), PLACE_BYTES)]
    offsets = [0]
    for place in places:
        offsets.append(offsets[-1] + int.from_bytes(place[8:], "big"))
    key = LaneKey.from_bytes(trailer.modulus, len(trailer.modulus) * 8)
    return StoredLane(
        id=LaneId(trailer.contract, trailer.amendment, trailer.position),
        lane=Lane(trailer.genesis, trailer.amendment, trailer.position, key),
        feed_key=trailer.feed_key,
        chunks=tuple(int.from_bytes(place[:8], "big") for place in places),
        offsets=tuple(offsets),
        root=trailer.root,
        head_proof=trailer.head_proof,
        block_proofs=trailer.block_proofs,
        path=path,
    )


def _read(path: Path, offset: int, length: int) -> bytes:
    if offset < 0 or length < 0:
        raise LaneDamaged("it is too short")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except OSError as error:
        raise LaneDamaged(f"{path.name} cannot be read: {error.strerror}") from error
    if len(data) != length:
        raise LaneDamaged(f"{path.name} ends before byte {offset + length}")
    return data


def _lane_id(terms: LaneTerms) -> LaneId:
    return LaneId(terms.contract, terms.amendment, terms.position)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
