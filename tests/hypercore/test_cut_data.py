"""A data file that somebody cut: opening says what is lost, reading it says what to do, and the rest goes on."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.crypto import KeyPair
from hypercore.errors import BlockNotAvailable, StoreCorrupt
from hypercore.io.check import check_core
from hypercore.io.core import Cleared, Core, CoreEvent
from hypercore.io.files import MemoryDirectory
from hypercore.proof import BlockRequest, ProofRequest, UpgradeRequest
from tests.hypercore.test_check import BLOCKS, refilled, stored
from tests.hypercore.test_recovery import snapshot

KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)
ENDS = [sum(map(len, BLOCKS[: index + 1])) for index in range(len(BLOCKS))]


def cut(directory: MemoryDirectory, size: int) -> MemoryDirectory:
    directory.open("data").truncate(size)
    return directory


@settings(max_examples=150)
@given(st.integers(0, ENDS[-1]))
def test_opening_says_which_blocks_the_data_file_ends_before(size: int) -> None:
    core = Core.open(directory=cut(stored(), size))
    first = next((index for index, end in enumerate(ENDS) if end > size), 13)
    if first == 13:
        assert core.recovered is None
    else:
        assert core.recovered is not None
        assert f"{13 - first} blocks from {first} to 12 are lost" in core.recovered
    assert [core.get(index) for index in range(first)] == BLOCKS[:first]
    for index in range(first, 13):
        with pytest.raises(StoreCorrupt, match=rf"block {index} .*core check memory --repair"):
            core.get(index)


@settings(max_examples=60)
@given(st.sets(st.integers(0, 12)), st.integers(0, ENDS[-1]))
def test_only_blocks_that_were_here_count_as_lost(cleared: set[int], size: int) -> None:
    directory = stored()
    core = Core.open(directory=directory)
    for index in cleared:
        core.clear(index, index + 1)
    core.close()
    again = Core.open(directory=cut(directory, size))
    lost = [index for index in range(13) if ENDS[index] > size and index not in cleared]
    assert [index for run in again._store.cut_off for index in range(*run)] == lost
    assert (again.recovered is None) == (not lost)


def test_looking_at_a_cut_core_changes_nothing_so_that_its_file_can_be_put_back() -> None:
    directory = stored()
    whole = snapshot(directory)
    cut(directory, 100)
    for _ in range(2):
        core = Core.open(directory=directory)
        assert core.recovered is not None
        core.close()
    directory.open("data").write(100, whole.open("data").read(100, ENDS[-1] - 100))
    again = Core.open(directory=directory)
    assert again.recovered is None
    assert [again.get(index) for index in range(13)] == BLOCKS


def test_an_append_gives_the_lost_blocks_up_before_the_file_grows_over_them() -> None:
    directory = cut(stored(), ENDS[3])
    core = Core.open(directory=directory)
    events: list[CoreEvent] = []
    core.subscribe(events.append)
    core.append(b"after")
    assert events[0] == Cleared(4, 13)
    assert (core.contiguous_length, core.has(12), core.get(13)) == (4, False, b"after")
    with pytest.raises(BlockNotAvailable):
        core.get(4)
    core.close()
    again = Core.open(directory=directory)
    assert (again.recovered, again.contiguous_length, again.get(13)) == (None, 4, b"after")


def test_a_block_from_a_peer_gives_the_lost_ones_up_too() -> None:
    author = Core.create(key_pair=KEY_PAIR)
    author.append(BLOCKS)
    directory = MemoryDirectory()
    copy = Core.open(key=author.key, directory=directory)
    copy.apply(author.proof(ProofRequest(0, block=BlockRequest(1, 0), upgrade=UpgradeRequest(0, 13), manifest=True)))
    copy.close()
    again = Core.open(directory=cut(directory, 0))
    again.apply(author.proof(ProofRequest(0, block=BlockRequest(5, again.missing_nodes(10)))))
    assert (again.has(1), again.get(5)) == (False, BLOCKS[5])


def test_what_a_crash_left_in_the_journal_is_not_lost_with_the_file() -> None:
    directory = stored()
    core = Core.open(directory=directory)
    core.append([b"journalled"])
    left = cut(snapshot(directory), ENDS[11])
    again = Core.open(directory=left)
    assert again.recovered is not None
    assert "1 blocks from 12 to 12" in again.recovered
    assert (again.has(12), again.get(13)) == (False, b"journalled")
    again.close()
    after = Core.open(directory=left)
    assert (after.recovered, after.has(12), after.get(13)) == (None, False, b"journalled")


def test_repair_gives_the_lost_blocks_up_and_peers_bring_them_again() -> None:
    directory = cut(stored(), ENDS[5] - 1)
    assert check_core(directory).damaged_blocks == ((5, 13),)
    assert check_core(directory, repair=True).healthy
    core = refilled(directory)
    assert core.recovered is None
    assert [core.get(index) for index in range(13)] == BLOCKS


def test_a_copy_whose_blocks_come_from_a_source_needs_no_data_file() -> None:
    class Source:
        def has(self, index: int) -> bool:
            return True

        def read(self, index: int) -> bytes:
            return BLOCKS[index]

    directory = cut(stored(), 0)
    core = Core.open(directory=directory, block_source=Source())
    assert core.recovered is None
    assert core.get(12) == BLOCKS[12]


def test_empty_blocks_behind_the_end_of_the_file_are_not_lost() -> None:
    directory = MemoryDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=directory)
    core.append([b"first", b"second", b"", b"", b"last", b""])
    core.clear(1, 2)
    core.close()
    again = Core.open(directory=cut(directory, 5))
    assert again._store.cut_off == ((2, 5),), "what an empty block before a lost one was costs nothing to fetch again"
    again.clear(4, 5)
    again.close()
    assert Core.open(directory=directory).recovered is None


@pytest.mark.parametrize("index", [3, 9])
def test_a_damaged_tree_gives_no_blocks_up_that_may_be_there(index: int) -> None:
    directory = cut(stored(), ENDS[6])
    directory.open("tree").write(40 * index, b"\xff" * 6)
    core = Core.open(directory=directory)
    core.append(b"after")
    assert core.recovered is None
    assert core.has(6)
    core.close()
    assert not check_core(directory).healthy


def test_what_to_do_names_the_directory(tmp_path: Path) -> None:
    with Core.create(tmp_path / "core") as core:
        core.append(BLOCKS)
    os.truncate(tmp_path / "core" / "data", 0)
    with Core.open(tmp_path / "core") as core:
        assert f"`datdot core check {tmp_path}/core --repair`" in str(core.recovered)
        with pytest.raises(StoreCorrupt, match=f"`datdot core check {tmp_path}/core --repair`"):
            core.get(0)


def test_the_log_names_the_core(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hypercore"):
        core = Core.open(directory=cut(stored(), 0))
    assert f"core {core.public_id} is damaged" in caplog.text
