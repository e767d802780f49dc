"""Lanes on disk: whole or not at all, within quota and disk, found again after a restart."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from node.roles import limits
from node.roles.hoster_store import DiskFull, LaneDamaged, LaneStore, LaneWriter, QuotaFull, StoredLane
from node.roles.market_view import LaneId
from node.roles.sealer import SealKey, seal_chunk
from pallets.datdot.sealing import Lane, LaneTree, max_sealed_bytes

from .test_lane_protocol import CHUNKS, COMMITMENT, CORE, LANE, OFFER, TERMS

LANE_ID = LaneId(TERMS.contract, TERMS.amendment, TERMS.position)
ROOMY = 10 * max_sealed_bytes(1_024)
LARGEST = 2 * max_sealed_bytes(1_024)


def keep(store: LaneStore) -> StoredLane:
    """Store the lane of the protocol's tests."""
    with store.begin(TERMS, LANE, OFFER) as writer:
        for chunk in CHUNKS:
            writer.write(chunk.sealed, chunk.proof)
        stored = writer.finish(COMMITMENT)
    store.add(stored)
    return stored


def keep_under_another_key(store: LaneStore) -> StoredLane:
    key = SealKey.generate(1_024)
    lane = Lane(TERMS.genesis, TERMS.amendment, TERMS.position, key.public)
    sealed = [seal_chunk(lane, key, index, CORE.get(index)) for index in TERMS.chunks]
    commitment = LaneTree.of_chunks(TERMS.amendment, TERMS.position, sealed).commitment(key.public)
    with store.begin(TERMS, lane, replace(OFFER, modulus=key.public.to_bytes())) as writer:
        for chunk, data in zip(CHUNKS, sealed, strict=True):
            writer.write(data, chunk.proof)
        stored = writer.finish(commitment)
    store.add(stored)
    return stored


def test_stored_lane_is_read_back_leaf_by_leaf_and_chunk_by_chunk(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    lane = keep(store)
    assert [store.read_sealed(lane, place) for place in range(2)] == [chunk.sealed for chunk in CHUNKS]
    tree = store.tree(lane)
    assert tree.commitment(lane.lane.key) == COMMITMENT
    for number in range(COMMITMENT.leaf_count):
        leaf = store.read_leaf(lane, number)
        assert COMMITMENT.verify_leaf(TERMS.amendment, TERMS.position, number, leaf, tree.path(number))


def test_index_is_rebuilt_from_the_files_alone(tmp_path: Path) -> None:
    lane = keep(LaneStore.open(tmp_path, ROOMY))
    again = LaneStore.open(tmp_path, ROOMY)
    assert again.lanes() == (lane,)
    assert again.find(LANE_ID, COMMITMENT.root) == lane
    assert again.is_intact(lane)
    assert again.used_bytes == COMMITMENT.total_bytes


def test_unfinished_lane_is_thrown_away_at_once_and_at_a_restart(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    with store.begin(TERMS, LANE, OFFER) as writer:
        writer.write(CHUNKS[0].sealed, CHUNKS[0].proof)
        assert store.used_bytes == LARGEST
        (part,) = tmp_path.iterdir()
        left_behind = part.read_bytes()
    assert list(tmp_path.iterdir()) == []
    assert store.used_bytes == 0
    part.write_bytes(left_behind)
    assert LaneStore.open(tmp_path, ROOMY).lanes() == ()
    assert list(tmp_path.iterdir()) == []


def test_copies_under_different_keys_stand_side_by_side(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    first, second = keep(store), keep_under_another_key(store)
    assert store.of(LANE_ID) == (first, second)
    assert store.find(LANE_ID, second.root) == second
    store.erase(first)
    assert LaneStore.open(tmp_path, ROOMY).lanes() == (second,)


def test_only_so_many_copies_of_one_lane_are_kept(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, 100 * ROOMY)
    for _ in range(limits.LANES_KEPT_PER_POSITION):
        keep_under_another_key(store)
    with pytest.raises(QuotaFull), store.begin(TERMS, LANE, OFFER):
        pass


@pytest.mark.parametrize("quota", [0, LARGEST - 1])
def test_lane_beyond_the_quota_is_refused_before_anything_is_written(tmp_path: Path, quota: int) -> None:
    store = LaneStore.open(tmp_path, quota)
    with pytest.raises(QuotaFull), store.begin(TERMS, LANE, OFFER):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lanes_being_written_count_at_their_largest(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, 2 * LARGEST - 1)
    with store.begin(TERMS, LANE, OFFER):
        with pytest.raises(QuotaFull), store.begin(TERMS, LANE, OFFER):
            pass
        assert store.used_bytes == LARGEST
    keep(store)


@pytest.mark.parametrize("free", [0, LARGEST, LARGEST + limits.DISK_RESERVE_BYTES])
def test_lane_is_refused_when_the_disk_is_nearly_full(tmp_path: Path, free: int) -> None:
    store = LaneStore.open(tmp_path, ROOMY, free_bytes=lambda path: free)
    with pytest.raises(DiskFull), store.begin(TERMS, LANE, OFFER):
        pass
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file on a disk that has no space left."""

    def __init__(self, code: int) -> None:
        self._code = code

    def write(self, data: bytes) -> int:
        raise OSError(self._code, "no space")

    def close(self) -> None: ...


@contextmanager
def writing_to_a_full_disk(store: LaneStore, code: int, chunks_before: int) -> Iterator[LaneWriter]:
    with store.begin(TERMS, LANE, OFFER) as writer:
        for chunk in CHUNKS[:chunks_before]:
            writer.write(chunk.sealed, chunk.proof)
        assert writer._file is not None
        writer._file.close()
        writer._file = FullDisk(code)  # type: ignore[assignment]
        yield writer


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_disk_that_fills_up_meanwhile_costs_this_lane_only(tmp_path: Path, code: int) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    earlier = keep_under_another_key(store)
    with pytest.raises(DiskFull), writing_to_a_full_disk(store, code, 1) as writer:
        writer.write(CHUNKS[1].sealed, CHUNKS[1].proof)
    with pytest.raises(DiskFull), writing_to_a_full_disk(store, code, 2) as writer:
        writer.finish(COMMITMENT)
    assert list(tmp_path.iterdir()) == [earlier.path]
    assert store.used_bytes == earlier.sealed_bytes
    assert store.is_intact(earlier)


def test_other_faults_of_the_disk_are_not_called_full(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    with pytest.raises(OSError) as fault, writing_to_a_full_disk(store, errno.EIO, 0) as writer:
        writer.write(CHUNKS[0].sealed, CHUNKS[0].proof)
    assert fault.value.errno == errno.EIO
    assert list(tmp_path.iterdir()) == []


def test_lane_that_is_not_whole_cannot_be_finished(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    with pytest.raises(ValueError), store.begin(TERMS, LANE, OFFER) as writer:
        writer.write(CHUNKS[0].sealed, CHUNKS[0].proof)
        writer.finish(COMMITMENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", [-1, -8, -9, -40, -41, -44, -45, -200])
def test_file_whose_end_was_changed_is_put_aside(tmp_path: Path, at: int) -> None:
    lane = keep(LaneStore.open(tmp_path, ROOMY))
    data = bytearray(lane.path.read_bytes())
    data[at] ^= 1
    lane.path.write_bytes(data)
    assert LaneStore.open(tmp_path, ROOMY).lanes() == ()
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]


@pytest.mark.parametrize("length", [0, 1, 43, 44, 1_000])
def test_file_that_was_cut_is_put_aside(tmp_path: Path, length: int) -> None:
    lane = keep(LaneStore.open(tmp_path, ROOMY))
    lane.path.write_bytes(lane.path.read_bytes()[:length])
    assert LaneStore.open(tmp_path, ROOMY).lanes() == ()


def test_file_that_lost_bytes_at_its_front_is_put_aside(tmp_path: Path) -> None:
    lane = keep(LaneStore.open(tmp_path, ROOMY))
    lane.path.write_bytes(lane.path.read_bytes()[1:])
    assert LaneStore.open(tmp_path, ROOMY).lanes() == ()


def test_changed_or_missing_bytes_are_noticed_when_they_are_needed(tmp_path: Path) -> None:
    store = LaneStore.open(tmp_path, ROOMY)
    lane = keep(store)
    data = bytearray(lane.path.read_bytes())
    data[0] ^= 1
    lane.path.write_bytes(data)
    assert not store.is_intact(lane)
    lane.path.unlink()
    assert not store.is_intact(lane)
    with pytest.raises(LaneDamaged):
        store.read_leaf(lane, 0)


