"""The leaf tree of a lane, held against a second implementation written from RFC 6962's recursive definition."""

import hashlib
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.datdot.lane_tree import LANE_LEAVES_MAX
from pallets.datdot.sealing import (
    LEAF_BYTES,
    LaneCommitment,
    LaneKey,
    LaneTree,
    LaneTreeBuilder,
    SealingError,
    commitment_message,
    leaf_hash,
    leaf_of_byte,
    leaf_range_of_bytes,
    verify_leaf,
)

AMENDMENT, POSITION = 5, 2


def blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def naive_leaves(stream: bytes) -> list[bytes]:
    hashes = []
    for number, start in enumerate(range(0, len(stream), 1_024)):
        leaf = stream[start : start + 1_024]
        place = (AMENDMENT).to_bytes(8, "big") + bytes([POSITION]) + number.to_bytes(8, "big")
        hashes.append(blake(b"\x00" + place + len(leaf).to_bytes(2, "big") + leaf))
    return hashes


def split(count: int) -> int:
    largest = 1
    while largest * 2 < count:
        largest *= 2
    return largest


def naive_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    middle = split(len(leaves))
    return blake(b"\x01" + naive_root(leaves[:middle]) + naive_root(leaves[middle:]))


def naive_path(number: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if number < middle:
        return [*naive_path(number, leaves[:middle]), naive_root(leaves[middle:])]
    return [*naive_path(number - middle, leaves[middle:]), naive_root(leaves[:middle])]


def stream_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def leaf_at(stream: bytes, number: int) -> bytes:
    return stream[number * LEAF_BYTES : (number + 1) * LEAF_BYTES]


STREAM = stream_of(7 * LEAF_BYTES + 128)
TREE = LaneTree.of_chunks(AMENDMENT, POSITION, [STREAM])


def is_proof(number: int, leaf: bytes, path: tuple[bytes, ...], count: int = 8, position: int = POSITION) -> bool:
    return verify_leaf(TREE.root, count, AMENDMENT, position, number, leaf, path)


@pytest.mark.parametrize("leaf_count", [*range(1, 18), 31, 32, 33, 64, 65, 127])
@pytest.mark.parametrize("last_bytes", [1, LEAF_BYTES])
def test_root_and_paths_are_those_of_rfc_6962(leaf_count: int, last_bytes: int) -> None:
    stream = stream_of((leaf_count - 1) * LEAF_BYTES + last_bytes)
    tree = LaneTree.of_chunks(AMENDMENT, POSITION, [stream])
    leaves = naive_leaves(stream)
    assert (tree.root, tree.leaf_count, tree.total_bytes) == (naive_root(leaves), leaf_count, len(stream))
    for number in range(leaf_count):
        path = tree.path(number)
        assert list(path) == naive_path(number, leaves)
        assert verify_leaf(tree.root, leaf_count, AMENDMENT, POSITION, number, leaf_at(stream, number), path)


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_the_cut_into_chunks_does_not_change_the_tree(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(STREAM)]
    builder = LaneTreeBuilder(AMENDMENT, POSITION)
    for start, end in pairwise(borders):
        builder.update(STREAM[start:end])
    assert builder.finish() == TREE
    assert builder.finish() == TREE


def test_a_changed_bit_anywhere_in_a_leaf_breaks_the_proof() -> None:
    leaf, path = leaf_at(STREAM, 3), TREE.path(3)
    assert is_proof(3, leaf, path)
    for position in range(0, LEAF_BYTES, 37):
        changed = bytearray(leaf)
        changed[position] ^= 1
        assert not is_proof(3, bytes(changed), path)


@pytest.mark.parametrize("level", range(3))
def test_a_changed_path_breaks_the_proof(level: int) -> None:
    path = list(TREE.path(3))
    path[level] = blake(path[level])
    assert not is_proof(3, leaf_at(STREAM, 3), tuple(path))


def test_a_path_has_exactly_the_demanded_length() -> None:
    leaf, path = leaf_at(STREAM, 3), TREE.path(3)
    assert not is_proof(3, leaf, path[:-1])
    assert not is_proof(3, leaf, (*path, bytes(32)))
    assert not is_proof(3, leaf, (*path, path[-1]))
    assert not is_proof(3, leaf, ())
    assert not is_proof(3, leaf, (path[0], path[1] + b"\0", path[2]))
    assert not is_proof(3, leaf, (path[0][:-1], path[1], path[2]))


def test_a_sibling_that_is_no_hash_is_refused_even_if_it_was_hashed_so() -> None:
    leaf = STREAM[:LEAF_BYTES]
    for sibling in (b"", bytes(31), bytes(33)):
        root = blake(b"\x01" + leaf_hash(AMENDMENT, POSITION, 0, LEAF_BYTES, leaf) + sibling)
        assert not verify_leaf(root, 2, AMENDMENT, POSITION, 0, leaf, [sibling])


def test_an_inner_node_is_not_a_leaf() -> None:
    node = TREE.levels[0][6] + TREE.levels[0][7]
    assert not verify_leaf(TREE.root, 4, AMENDMENT, POSITION, 3, node, TREE.path(7)[1:])


@pytest.mark.parametrize("number", [-1, 0, 2, 4, 7, 8, 2**64])
def test_a_leaf_proves_its_own_number_only(number: int) -> None:
    assert not is_proof(number, leaf_at(STREAM, 3), TREE.path(3))


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 4, 9, 16, LANE_LEAVES_MAX + 1])
def test_another_leaf_count_breaks_the_proof(count: int) -> None:
    assert not is_proof(3, leaf_at(STREAM, 3), TREE.path(3), count)


@pytest.mark.parametrize("position", [-1, 0, 1, 3, 256])
def test_a_leaf_of_another_position_proves_nothing(position: int) -> None:
    assert not is_proof(3, leaf_at(STREAM, 3), TREE.path(3), position=position)


def test_a_leaf_of_another_amendment_proves_nothing() -> None:
    for amendment in (-1, 4, 2**64):
        assert not verify_leaf(TREE.root, 8, amendment, POSITION, 3, leaf_at(STREAM, 3), TREE.path(3))


@pytest.mark.parametrize("leaf", [b"", STREAM[:1_023], STREAM[:1_025]])
def test_leaves_before_the_last_are_full(leaf: bytes) -> None:
    assert not is_proof(0, leaf, TREE.path(0))


def test_a_short_leaf_in_the_middle_is_refused_even_if_it_was_hashed_so() -> None:
    short = leaf_hash(AMENDMENT, POSITION, 0, 10, STREAM[:10])
    second = leaf_hash(AMENDMENT, POSITION, 1, 10, STREAM[:10])
    root = blake(b"\x01" + short + second)
    assert verify_leaf(root, 2, AMENDMENT, POSITION, 1, STREAM[:10], [short])
    assert not verify_leaf(root, 2, AMENDMENT, POSITION, 0, STREAM[:10], [second])


@pytest.mark.parametrize(
    ("number", "length", "leaf"),
    [(-1, 1, b"x"), (LANE_LEAVES_MAX, 1, b"x"), (0, 0, b""), (0, 2, b"x"), (0, 1_025, bytes(1_025)), (0, -1, b"")],
)
def test_an_impossible_leaf_has_no_hash(number: int, length: int, leaf: bytes) -> None:
    with pytest.raises(SealingError, match="bad leaf tree"):
        leaf_hash(AMENDMENT, POSITION, number, length, leaf)


def test_an_empty_lane_has_no_tree() -> None:
    with pytest.raises(SealingError):
        LaneTree.of_chunks(AMENDMENT, POSITION, [])
    with pytest.raises(SealingError):
        LaneTree.of_chunks(AMENDMENT, POSITION, [b"", b""])


def test_a_lane_has_a_largest_size() -> None:
    builder = LaneTreeBuilder(AMENDMENT, POSITION)
    with pytest.raises(SealingError, match="at most"):
        builder.update(bytes(LANE_LEAVES_MAX * LEAF_BYTES + 1))


@pytest.mark.parametrize(("amendment", "position"), [(-1, 0), (2**64, 0), (0, 3), (0, -1)])
def test_a_tree_belongs_to_a_real_place(amendment: int, position: int) -> None:
    with pytest.raises(SealingError):
        LaneTreeBuilder(amendment, position)


@pytest.mark.parametrize("number", [-1, 8, 100])
def test_there_is_no_path_to_a_leaf_that_is_not_there(number: int) -> None:
    with pytest.raises(SealingError):
        TREE.path(number)


def test_bytes_are_in_the_leaves_that_hold_them() -> None:
    assert [leaf_of_byte(3_000, offset) for offset in (0, 1_023, 1_024, 2_999)] == [0, 0, 1, 2]
    assert list(leaf_range_of_bytes(3_000, 1_023, 2)) == [0, 1]
    assert list(leaf_range_of_bytes(3_000, 1_024, 1_024)) == [1]
    assert list(leaf_range_of_bytes(3_000, 0, 3_000)) == [0, 1, 2]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (3_000, 1), (0, 0), (0, -5), (0, 3_001), (2_999, 2)])
def test_bytes_outside_the_lane_have_no_leaf(offset: int, length: int) -> None:
    with pytest.raises(SealingError):
        leaf_range_of_bytes(3_000, offset, length)


KEY = LaneKey(2**1_023 + 1)
COMMITMENT = TREE.commitment(KEY)


def test_the_commitment_is_root_counts_and_key_hash() -> None:
    expected = LaneCommitment(TREE.root, 8, 7 * 1_024 + 128, KEY.key_hash())
    assert expected == COMMITMENT
    for number in range(8):
        assert COMMITMENT.verify_leaf(AMENDMENT, POSITION, number, leaf_at(STREAM, number), TREE.path(number))


@pytest.mark.parametrize(
    "change",
    [
        {"root": bytes(31)},
        {"key_hash": bytes(33)},
        {"leaf_count": 0, "total_bytes": 0},
        {"leaf_count": 7},
        {"leaf_count": 9},
        {"total_bytes": 7 * 1_024},
        {"total_bytes": 8 * 1_024 + 1},
        {"total_bytes": -1},
        {"leaf_count": LANE_LEAVES_MAX + 1, "total_bytes": (LANE_LEAVES_MAX + 1) * 1_024},
    ],
)
def test_a_commitment_that_contradicts_itself_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(SealingError):
        replace(COMMITMENT, **change)


def test_the_last_leaf_has_the_bytes_that_the_commitment_leaves_for_it() -> None:
    longer = replace(COMMITMENT, total_bytes=COMMITMENT.total_bytes + 1)
    last, path = leaf_at(STREAM, 7), TREE.path(7)
    assert verify_leaf(longer.root, 8, AMENDMENT, POSITION, 7, last, path)
    assert not longer.verify_leaf(AMENDMENT, POSITION, 7, last, path)
    assert not COMMITMENT.verify_leaf(AMENDMENT, POSITION, 8, b"", path)
    assert not COMMITMENT.verify_leaf(AMENDMENT, POSITION, -1, last, path)


def test_the_signed_message_has_the_documented_layout() -> None:
    genesis = bytes(range(32))
    expected = (
        b"dd/root/v1" + genesis + bytes(7) + b"\x09" + bytes(7) + b"\x05" + b"\x02" + TREE.root
        + bytes(7) + b"\x08" + bytes(6) + b"\x1c\x80" + KEY.key_hash()
    )  # fmt: skip
    assert commitment_message(genesis, 9, 5, 2, COMMITMENT) == expected
    assert commitment_message(genesis, 9, 5, 2, COMMITMENT, b"dd/other/v1") == b"dd/other/v1" + expected[10:]


@pytest.mark.parametrize(
    ("genesis", "contract", "amendment", "position"),
    [
        (bytes(31), 0, 0, 0), (bytes(32), -1, 0, 0), (bytes(32), 2**64, 0, 0), (bytes(32), 0, -1, 0),
        (bytes(32), 0, 0, 3),
    ],
)  # fmt: skip
def test_nothing_is_signed_for_a_place_that_does_not_exist(
    genesis: bytes, contract: int, amendment: int, position: int
) -> None:
    with pytest.raises(SealingError):
        commitment_message(genesis, contract, amendment, position, COMMITMENT)
