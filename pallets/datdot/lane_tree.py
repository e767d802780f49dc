"""The leaf tree of a lane: what encoder and hoster sign, and what a storage challenge is checked against.

The sealed chunks of a lane, one after another, are one stream, cut into leaves of 1,024 bytes; only the last may be
shorter, and none is empty. All integers are big endian.

    leaf = BLAKE2b-256(0x00 | amendment u64 | position u8 | leaf number u64 | length u16 | bytes)
    node = BLAKE2b-256(0x01 | left | right)

The shape is that of RFC 6962: a node without a sibling moves up unchanged, so a path has exactly as many hashes as the
leaf has siblings on its way to the root.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pallets.datdot.lane import HASH_BYTES, U64_END, LaneKey, SealingError, SealingFault, check_place

LEAF_BYTES = 1_024
LANE_LEAVES_MAX = 65_536
COMMITMENT_DOMAIN = b"dd/root/v1"


def leaf_hash(amendment: int, position: int, leaf_number: int, length: int, leaf: bytes) -> bytes:
    """Hash of one leaf of `length` bytes at its place; raises SealingError for an impossible place or length."""
    check_place(amendment, position)
    if not 0 <= leaf_number < LANE_LEAVES_MAX:
        raise SealingError(SealingFault.TREE, f"leaf number {leaf_number} is not below {LANE_LEAVES_MAX}")
    if length != len(leaf) or not 1 <= length <= LEAF_BYTES:
        raise SealingError(SealingFault.TREE, f"a leaf of {len(leaf)} bytes given as {length}")
    place = amendment.to_bytes(8, "big") + position.to_bytes(1, "big") + leaf_number.to_bytes(8, "big")
    return _hash(b"\0" + place + length.to_bytes(2, "big") + leaf)


def verify_leaf(
    root: bytes, leaf_count: int, amendment: int, position: int, leaf_number: int, leaf: bytes, path: Sequence[bytes]
) -> bool:
    """Whether these bytes are leaf `leaf_number` under the root; `path` is its siblings (32 bytes each) from below.

    Every leaf but the last has exactly 1,024 bytes, and the path exactly the length that the number demands. Never
    raises: whatever is malformed is not a proof.
    """
    if not 0 <= leaf_number < leaf_count <= LANE_LEAVES_MAX:
        return False
    if len(leaf) != LEAF_BYTES and leaf_number != leaf_count - 1:
        return False
    if any(len(sibling) != HASH_BYTES for sibling in path):
        return False
    try:
        current = leaf_hash(amendment, position, leaf_number, len(leaf), leaf)
    except SealingError:
        return False
    levels = sibling_levels(leaf_count, leaf_number)
    if len(path) != len(levels):
        return False
    for level, sibling in zip(levels, path, strict=True):
        is_right = leaf_number >> level & 1
        current = _node(sibling, current) if is_right else _node(current, sibling)
    return current == root


def sibling_levels(leaf_count: int, leaf_number: int) -> list[int]:
    """The levels (leaves are level 0) at which the node above a leaf has a sibling: one path hash for each."""
    levels = []
    level, width, number = 0, leaf_count, leaf_number
    while width > 1:
        if number ^ 1 < width:
            levels.append(level)
        level, width, number = level + 1, (width + 1) // 2, number // 2
    return levels


def leaf_of_byte(total_bytes: int, byte_offset: int) -> int:
    """Number of the leaf that holds a byte of the lane; raises SealingError when the lane has no such byte."""
    if not 0 <= byte_offset < total_bytes:
        raise SealingError(SealingFault.TREE, f"byte {byte_offset} of {total_bytes}")
    return byte_offset // LEAF_BYTES


def leaf_range_of_bytes(total_bytes: int, byte_offset: int, length: int) -> range:
    """Numbers of the leaves that hold `length` (at least 1) bytes from an offset; raises SealingError."""
    first = leaf_of_byte(total_bytes, byte_offset)
    if length < 1:
        raise SealingError(SealingFault.TREE, f"a range of {length} bytes")
    return range(first, leaf_of_byte(total_bytes, byte_offset + length - 1) + 1)


def leaf_count_of(total_bytes: int) -> int:
    """How many leaves a lane of so many bytes has."""
    return -(-total_bytes // LEAF_BYTES)


@dataclass(frozen=True)
class LaneCommitment:
    """What encoder and hoster sign about a lane and the chain stores: root, leaf count, bytes, H(N, e).

    Raises SealingError when a hash is not 32 bytes or the leaf count is not that of the bytes.
    """

    root: bytes
    leaf_count: int
    total_bytes: int
    key_hash: bytes

    def __post_init__(self) -> None:
        if len(self.root) != HASH_BYTES or len(self.key_hash) != HASH_BYTES:
            raise SealingError(SealingFault.TREE, "root and key hash have 32 bytes each")
        if not 1 <= self.leaf_count <= LANE_LEAVES_MAX or self.leaf_count != leaf_count_of(self.total_bytes):
            raise SealingError(SealingFault.TREE, f"{self.total_bytes} bytes in {self.leaf_count} leaves")

    def verify_leaf(self, amendment: int, position: int, leaf_number: int, leaf: bytes, path: Sequence[bytes]) -> bool:
        """Like the function `verify_leaf`, and the last leaf has exactly the bytes that are left for it."""
        expected_bytes = min(LEAF_BYTES, self.total_bytes - leaf_number * LEAF_BYTES)
        if len(leaf) != expected_bytes:
            return False
        return verify_leaf(self.root, self.leaf_count, amendment, position, leaf_number, leaf, path)


def commitment_message(
    genesis: bytes,
    contract: int,
    amendment: int,
    position: int,
    commitment: LaneCommitment,
    domain: bytes = COMMITMENT_DOMAIN,
) -> bytes:
    """The bytes that encoder and hoster sign with ed25519; raises SealingError for a place that does not exist.

    Layout: domain | genesis 32 | contract u64 | amendment u64 | position u8 | root 32 | leaf count u64 | bytes u64 |
    H(N, e) 32.
    """
    check_place(amendment, position)
    if len(genesis) != HASH_BYTES or not 0 <= contract < U64_END:
        raise SealingError(SealingFault.LANE, f"genesis of {len(genesis)} bytes, contract {contract}")
    place = contract.to_bytes(8, "big") + amendment.to_bytes(8, "big") + position.to_bytes(1, "big")
    counts = commitment.leaf_count.to_bytes(8, "big") + commitment.total_bytes.to_bytes(8, "big")
    return domain + genesis + place + commitment.root + counts + commitment.key_hash


@dataclass(frozen=True)
class LaneTree:
    """Hashes of all leaves and nodes of a lane, level 0 being the leaves; the bytes themselves are not kept."""

    levels: tuple[tuple[bytes, ...], ...]
    total_bytes: int

    @staticmethod
    def of_chunks(amendment: int, position: int, sealed_chunks: Iterable[bytes]) -> "LaneTree":
        """The tree of a lane's sealed chunks in their order; raises SealingError when there are none, or too many."""
        builder = LaneTreeBuilder(amendment, position)
        for sealed in sealed_chunks:
            builder.update(sealed)
        return builder.finish()

    @property
    def root(self) -> bytes:
        """Hash at the top, 32 bytes."""
        return self.levels[-1][0]

    @property
    def leaf_count(self) -> int:
        """Number of leaves, at least 1."""
        return len(self.levels[0])

    def path(self, leaf_number: int) -> tuple[bytes, ...]:
        """Siblings of a leaf from below, for `verify_leaf`; raises SealingError when there is no such leaf."""
        if not 0 <= leaf_number < self.leaf_count:
            raise SealingError(SealingFault.TREE, f"leaf {leaf_number} of {self.leaf_count}")
        levels = sibling_levels(self.leaf_count, leaf_number)
        return tuple(self.levels[level][leaf_number >> level ^ 1] for level in levels)

    def commitment(self, key: LaneKey) -> LaneCommitment:
        """The tuple that encoder and hoster sign."""
        return LaneCommitment(self.root, self.leaf_count, self.total_bytes, key.key_hash())


class LaneTreeBuilder:
    """Builds a LaneTree from sealed chunks as they come; keeps hashes and less than one leaf of bytes."""

    def __init__(self, amendment: int, position: int) -> None:
        check_place(amendment, position)
        self._amendment = amendment
        self._position = position
        self._leaves: list[bytes] = []
        self._rest = b""
        self._total_bytes = 0

    def update(self, sealed_chunk: bytes) -> None:
        """Append the bytes of the next sealed chunk; raises SealingError when the lane gets too long."""
        self._total_bytes += len(sealed_chunk)
        if self._total_bytes > LANE_LEAVES_MAX * LEAF_BYTES:
            raise SealingError(SealingFault.TREE, f"a lane has at most {LANE_LEAVES_MAX * LEAF_BYTES} bytes")
        stream = self._rest + sealed_chunk
        whole = len(stream) - len(stream) % LEAF_BYTES
        for start in range(0, whole, LEAF_BYTES):
            self._leaves.append(self._hash_leaf(stream[start : start + LEAF_BYTES]))
        self._rest = stream[whole:]

    def finish(self) -> LaneTree:
        """The tree of everything so far; raises SealingError when there is nothing."""
        leaves = [*self._leaves, self._hash_leaf(self._rest)] if self._rest else list(self._leaves)
        if not leaves:
            raise SealingError(SealingFault.TREE, "a lane has at least one byte")
        levels = [tuple(leaves)]
        while len(levels[-1]) > 1:
            levels.append(_parents(levels[-1]))
        return LaneTree(tuple(levels), self._total_bytes)

    def _hash_leaf(self, leaf: bytes) -> bytes:
        return leaf_hash(self._amendment, self._position, len(self._leaves), len(leaf), leaf)


def _parents(level: tuple[bytes, ...]) -> tuple[bytes, ...]:
    pairs = [_node(level[index], level[index + 1]) for index in range(0, len(level) - 1, 2)]
    return (*pairs, level[-1]) if len(level) % 2 else tuple(pairs)


def _node(left: bytes, right: bytes) -> bytes:
    return _hash(b"\1" + left + right)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()
