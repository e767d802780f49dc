"""Crashes: whatever a kill or a power cut leaves on the disk, a core opens at a consistent, signed head."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import crypto
from hypercore.io import store as store_module
from hypercore.io.core import Core
from hypercore.io.files import MemoryDirectory, MemoryFile
from hypercore.io.journal import Change, Journal, StoredHead
from hypercore.proof import BlockRequest, ProofRequest, UpgradeRequest

KEY_PAIR = crypto.KeyPair.from_seed(b"\x01" * 32)
LARGE = store_module.INLINE_BLOCK_BYTES_MAXIMUM + 1


@pytest.fixture(autouse=True)
def large_blocks_stay_out_of_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a block of LARGE bytes take the other way also in a synced change."""
    monkeypatch.setattr(store_module, "INLINE_SYNCED_BYTES_MAXIMUM", LARGE - 1)


class PowerCut(Exception):
    """The simulated moment after which nothing reaches the disk."""


class FragileFile(MemoryFile):
    """Remembers what is durable, and which operations came since."""

    def __init__(self, directory: "FragileDirectory") -> None:
        super().__init__()
        self._directory = directory
        self.durable = MemoryFile()
        self.since: list[Callable[[MemoryFile], Any]] = []

    def _note(self, operation: Callable[[MemoryFile], Any]) -> None:
        self._directory.step()
        self.since.append(operation)

    def write(self, offset: int, data: bytes) -> None:
        self._note(lambda file: MemoryFile.write(file, offset, data))
        super().write(offset, data)

    def truncate(self, size: int) -> None:
        self._note(lambda file: MemoryFile.truncate(file, size))
        super().truncate(size)

    def free(self, offset: int, size: int) -> bool:
        self._note(lambda file: MemoryFile.free(file, offset, size))
        return super().free(offset, size)

    def sync(self) -> None:
        self._directory.step()
        for operation in self.since:
            operation(self.durable)
        self.since.clear()


class FragileDirectory(MemoryDirectory):
    """Cuts the power after so many operations; `remains` is what the disk then shows."""

    def __init__(self, operations: int = 10**9) -> None:
        super().__init__()
        self.operations = operations

    def step(self) -> None:
        if self.operations <= 0:
            raise PowerCut
        self.operations -= 1

    def open(self, name: str) -> FragileFile:
        file = self._files.get(name)
        if not isinstance(file, FragileFile):
            file = self._files[name] = FragileFile(self)
        return file

    def replace(self, name: str, data: bytes, *, private: bool = False) -> None:
        self.step()
        super().replace(name, data, private=private)

    def remains(self, reached: Callable[[str], bool]) -> MemoryDirectory:
        """A disk where each operation since the last sync of its file did or did not arrive."""
        left = MemoryDirectory()
        left._small = dict(self._small)
        for name, file in self._files.items():
            assert isinstance(file, FragileFile)
            image = copy.deepcopy(file.durable)
            for operation in file.since:
                if reached(name):
                    operation(image)
            left._files[name] = image
        return left


def snapshot(directory: MemoryDirectory) -> MemoryDirectory:
    """The files as a killed process leaves them."""
    left = copy.deepcopy(directory)
    left.close()
    return left


def prepared(blocks: list[bytes]) -> tuple[MemoryDirectory, Core, int]:
    """A core to which all blocks but the last are appended, then the last; and the journal's size before that."""
    directory = MemoryDirectory()
    core = Core.create(None, key_pair=KEY_PAIR, directory=directory)
    for block in blocks[:-1]:
        core.append(block)
    size = core._store._journal.size
    core.append(blocks[-1])
    return directory, core, size


@pytest.mark.parametrize("last", [b"last", bytes(LARGE)])
def test_a_record_cut_anywhere_never_happened_and_all_before_it_did(last: bytes) -> None:
    directory, core, size = prepared([b"first", b"second", last])
    full = core._store._journal.size
    for end in range(size, full + 1):
        left = snapshot(directory)
        left.open("journal.0").truncate(end)
        again = Core.open(None, directory=left)
        expected = 3 if end == full else 2
        assert again.length == expected
        assert [again.get(index) for index in range(expected)] == [core.get(index) for index in range(expected)]
        assert (again.recovered is not None) == (size < end < full)
        assert again.tree_hash() == core.tree_hash(expected)
        assert again.append(b"after") == expected + 1


@pytest.mark.parametrize("change", [1, 0x80, 0xFF])
def test_a_record_with_any_byte_changed_never_happened(change: int) -> None:
    directory, core, size = prepared([b"first", b"second", b"last"])
    full = core._store._journal.size
    for position in range(size, full):
        left = snapshot(directory)
        journal = left.open("journal.0")
        journal.write(position, bytes([journal.read(position, 1)[0] ^ change]))
        again = Core.open(None, directory=left)
        assert again.length == 2
        assert [again.get(0), again.get(1)] == [b"first", b"second"]
        assert again.recovered is not None
        assert "2 blocks" in again.recovered
        again.close()
        assert Core.open(None, directory=left).recovered is None


def test_a_record_whose_large_block_did_not_arrive_never_happened() -> None:
    directory, _core, _ = prepared([b"first", b"second", b"\x01" * LARGE])
    left = snapshot(directory)
    left.open("data").truncate(11 + LARGE - 1)
    again = Core.open(None, directory=left)
    assert again.length == 2
    assert again.recovered is not None
    assert "did not reach the disk" in again.recovered


def test_replaying_leaves_alone_what_later_changes_put_in_the_same_place() -> None:
    directory = MemoryDirectory()
    core = Core.create(None, key_pair=KEY_PAIR, directory=directory)
    core.append([b"a" * 100, b"b" * 100, b"c" * LARGE, b"d" * 100])
    core.truncate(1)
    core.append([b"e" * 200_000, b"f" * 50, b"g" * LARGE])
    core.clear(1, 2)
    again = Core.open(None, directory=snapshot(directory))
    assert again.recovered is None
    assert (again.length, again.fork, again.has(1)) == (4, 1, False)
    assert [again.get(index) for index in (0, 2, 3)] == [b"a" * 100, b"f" * 50, b"g" * LARGE]


def work(core: Core, acknowledged: list[tuple[int, int]]) -> None:
    """Appends, truncations, clears; after each step the (fork, length) that must survive."""
    steps: list[Callable[[], Any]] = [
        lambda: core.append([b"a" * 10, b"b" * LARGE]),
        lambda: core.append(b"c" * 3000),
        lambda: core.clear(1, 2),
        lambda: core.append([b"d" * 100] * 5),
        lambda: core.truncate(4),
        lambda: core.append([b"e" * LARGE, b"f"]),
        lambda: core.append(b"g" * 2000),
    ]
    for step in steps:
        step()
        acknowledged.append((core.fork, core.length))
    core.close()


CONTENT = {
    0: [b"a" * 10, b"b" * LARGE, b"c" * 3000, *[b"d" * 100] * 5],
    1: [b"a" * 10, b"b" * LARGE, b"c" * 3000, b"d" * 100, b"e" * LARGE, b"f", b"g" * 2000],
}


def run_until_cut(operations: int) -> tuple[FragileDirectory, list[tuple[int, int]], bool]:
    directory = FragileDirectory()
    core = Core.create(None, key_pair=KEY_PAIR, directory=directory)
    directory.operations = operations
    acknowledged = [(0, 0)]
    try:
        work(core, acknowledged)
    except PowerCut:
        return directory, acknowledged, True
    return directory, acknowledged, False


def check(left: MemoryDirectory, acknowledged: list[tuple[int, int]]) -> None:
    core = Core.open(None, directory=left)
    last = acknowledged[-1]
    assert (core.fork, core.length) >= last or core.fork > last[0]
    for index in range(core.length):
        if core.has(index):
            assert core.get(index) == CONTENT[core.fork][index]
    assert all(core.has(index) for index in range(core.length) if index != 1)
    assert core.append(b"still works") == core.length


@pytest.fixture
def small_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes checkpoints happen in the middle of the work."""
    monkeypatch.setattr(store_module, "JOURNAL_BYTES_MAXIMUM", 4000)


@pytest.mark.usefixtures("small_journal")
def test_a_process_killed_at_any_operation_loses_nothing_acknowledged() -> None:
    operations, cut = 0, True
    while cut:
        directory, acknowledged, cut = run_until_cut(operations)
        check(directory.remains(lambda name: True), acknowledged)
        operations += 1
    assert operations > 40


@pytest.mark.usefixtures("small_journal")
def test_a_power_cut_that_loses_everything_unsynced_loses_nothing_acknowledged() -> None:
    operations, cut = 0, True
    while cut:
        directory, acknowledged, cut = run_until_cut(operations)
        check(directory.remains(lambda name: False), acknowledged)
        operations += 1


@settings(max_examples=150)
@given(st.integers(0, 90), st.randoms(use_true_random=False))
def test_a_power_cut_that_loses_any_part_of_the_unsynced_loses_nothing_acknowledged(
    operations: int, random: Any
) -> None:
    limit = store_module.JOURNAL_BYTES_MAXIMUM
    store_module.JOURNAL_BYTES_MAXIMUM = 4000
    try:
        directory, acknowledged, _ = run_until_cut(operations)
        check(directory.remains(lambda name: random.random() < 0.5), acknowledged)
    finally:
        store_module.JOURNAL_BYTES_MAXIMUM = limit


@settings(max_examples=150)
@given(st.integers(0, 150), st.randoms(use_true_random=False))
def test_a_copy_whose_power_is_cut_is_consistent_and_can_go_on(operations: int, random: Any) -> None:
    source = Core.create(None, key_pair=KEY_PAIR)
    source.append([bytes([index]) * (LARGE if index % 3 else 50) for index in range(12)])
    directory = FragileDirectory()
    store_module.JOURNAL_BYTES_MAXIMUM, limit = 1500, store_module.JOURNAL_BYTES_MAXIMUM
    copy_ = Core.open(None, source.key, directory=directory)
    directory.operations = operations
    order = list(range(12))
    random.shuffle(order)

    def fill(core: Core) -> None:
        if core.length < 12:
            core.apply(
                source.proof(ProofRequest(0, upgrade=UpgradeRequest(core.length, 12 - core.length), manifest=True))
            )
        for index in order:
            if not core.has(index):
                core.apply(source.proof(ProofRequest(0, block=BlockRequest(index, core.missing_nodes(2 * index)))))

    try:
        fill(copy_)
        copy_.close()
    except PowerCut:
        pass
    finally:
        store_module.JOURNAL_BYTES_MAXIMUM = limit
    again = Core.open(None, source.key, directory=directory.remains(lambda name: random.random() < 0.5))
    for index in range(again.length):
        if again.has(index):
            assert again.get(index) == source.get(index)
    fill(again)
    assert [again.get(index) for index in range(12)] == [source.get(index) for index in range(12)]


def test_records_left_from_an_earlier_turn_of_the_file_are_never_taken() -> None:
    directory = MemoryDirectory()
    journal = Journal(directory, reserves=True)
    heads = [StoredHead(0, length, b"same size") for length in range(3)]
    journal.restart(heads[0])
    begin = journal.size
    journal.append(Change(truncate_to=0).encode(0))
    old = directory.open("journal.0").read(begin, journal.size - begin)
    journal.restart(heads[1])
    journal.restart(heads[2])
    directory.open("journal.0").write(begin, old)  # as if the end mark behind the new checkpoint had not arrived
    head, records = Journal(directory, reserves=True).recover()
    assert head == heads[2]
    assert list(records) == []


@pytest.mark.usefixtures("small_journal")
def test_files_that_are_written_over_end_where_their_last_record_ends() -> None:
    directory = MemoryDirectory()
    core = Core.create(None, key_pair=KEY_PAIR, directory=directory)
    for number in range(60):
        core.append(bytes(700 - 10 * number))
        again = Core.open(None, directory=snapshot(directory))
        assert (again.length, again.recovered) == (number + 1, None)
    assert core._store._journal.generation > 3


def test_a_closed_core_keeps_no_space_for_its_journal() -> None:
    directory = MemoryDirectory()
    core = Core.create(None, key_pair=KEY_PAIR, directory=directory)
    core.append(b"block")
    assert core.info().journal_bytes > 10_000
    core.close()
    assert sum(directory.open(f"journal.{number}").size() for number in range(2)) < 200
    assert Core.open(None, directory=directory).get(0) == b"block"


def test_a_hole_is_punched_only_after_the_record_that_explains_it_is_durable() -> None:
    directory = FragileDirectory()
    core = Core.create(None, key_pair=KEY_PAIR, directory=directory, durability="process")
    core.append([b"x" * 200_000, b"y"])
    core.sync()
    core.clear(0, 1)
    again = Core.open(None, directory=directory.remains(lambda name: name == "data"))
    assert (again.length, again.has(0), again.get(1)) == (2, False, b"y")


@settings(max_examples=80)
@given(st.integers(1, 24), st.data())
def test_no_node_of_a_given_up_fork_is_ever_seen_again(length: int, data: st.DataObject) -> None:
    source = Core.create(None, key_pair=KEY_PAIR)
    source.append([b"%d" % index for index in range(length)])
    directory = MemoryDirectory()
    clone = Core.open(None, source.key, directory=directory)

    def follow(core: Core) -> Core:
        start = 0 if source.fork > core.fork else core.length
        if source.length > start:
            core.apply(
                source.proof(
                    ProofRequest(source.fork, upgrade=UpgradeRequest(start, source.length - start), manifest=True)
                )
            )
        for index in data.draw(st.sets(st.integers(0, max(0, source.length - 1)))):
            if index < core.length:
                path = BlockRequest(index, core.missing_nodes(2 * index))
                core.apply(source.proof(ProofRequest(source.fork, block=path)))
        if data.draw(st.booleans()):
            core.close()
            core = Core.open(None, directory=directory)
        elif data.draw(st.booleans()):
            core._store.checkpoint()
        truth = source.view().read_node
        for index in range(2 * core.length):
            node = core.view().read_node(index)
            assert node is None or node == truth(index)
        assert all(core.get(index) == source.get(index) for index in range(core.length) if core.has(index))
        return core

    clone = follow(clone)
    for _ in range(3):
        if data.draw(st.booleans()):
            source.truncate(data.draw(st.integers(0, source.length)))
        source.append([b"%d-%d" % (source.fork, index) for index in range(data.draw(st.integers(1, 12)))])
        clone = follow(clone)
