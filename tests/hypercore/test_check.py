"""Check and repair: any damaged byte is found, what can be mended is, and the rest comes back from peers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hypercore.crypto import KeyPair
from hypercore.errors import StoreCorrupt, StoreLocked, StoreMissing
from hypercore.io.check import check_core
from hypercore.io.core import Core
from hypercore.io.files import MemoryDirectory
from node.cli.cores import app
from tests.hypercore.replicas import Link, replicator_of

KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)
BLOCKS = [bytes([index]) * (20 + index) for index in range(13)]


def stored() -> MemoryDirectory:
    directory = MemoryDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=directory)
    core.append(BLOCKS)
    core.close()
    return directory


def flip(directory: MemoryDirectory, name: str, position: int) -> None:
    file = directory.open(name)
    file.write(position, bytes([file.read(position, 1)[0] ^ 0x40]))


def refilled(directory: MemoryDirectory) -> Core:
    """The core after peers brought back what it lost."""
    source = Core.create(key_pair=KEY_PAIR)
    source.append(BLOCKS)
    core = Core.open(directory=directory)
    replicator = replicator_of(core)
    replicator.want(0, None)
    Link(replicator_of(source), replicator).settle()
    return core


def test_an_unharmed_core_is_healthy_and_left_as_it_is() -> None:
    directory = stored()
    report = check_core(directory, repair=True)
    assert report.healthy
    assert (report.length, report.blocks_checked, report.damaged_blocks, report.damaged_nodes) == (13, 13, (), 0)
    assert check_core(MemoryDirectoryOf(Core.create(key_pair=KEY_PAIR)).directory).healthy


class MemoryDirectoryOf:
    """The directory of a core that is closed now."""

    def __init__(self, core: Core) -> None:
        directory = core._store._directory
        assert isinstance(directory, MemoryDirectory)
        core.close()
        self.directory = directory


@settings(max_examples=120)
@given(st.integers(0, sum(map(len, BLOCKS)) - 1))
def test_any_damaged_byte_of_a_block_is_found_and_the_block_comes_back_from_peers(position: int) -> None:
    directory = stored()
    flip(directory, "data", position)
    report = check_core(directory)
    assert not report.healthy
    ((first, end),) = report.damaged_blocks
    assert end == first + 1
    assert sum(map(len, BLOCKS[:first])) <= position < sum(map(len, BLOCKS[:end]))
    assert check_core(directory, repair=True).healthy
    assert check_core(directory).damaged_blocks == ()
    core = refilled(directory)
    assert [core.get(index) for index in range(13)] == BLOCKS


@settings(max_examples=200)
@given(st.integers(0, 25 * 40 - 1))
def test_any_damaged_byte_of_the_tree_is_found_and_mended_or_fetched_again(position: int) -> None:
    directory = stored()
    flip(directory, "tree", position)
    index = position // 40
    if index == 24:
        # The root that is a leaf has nothing beside or below it that it could be computed from.
        with pytest.raises(StoreCorrupt, match="fetch the core"):
            check_core(directory)
        return
    assert (check_core(directory).damaged_nodes == 0) is (index in (15, 23)), "these two belong to no tree yet"
    assert check_core(directory, repair=True).healthy
    assert check_core(directory).healthy
    core = refilled(directory)
    assert [core.get(index) for index in range(13)] == BLOCKS
    core.close()
    assert check_core(directory).healthy


def test_nodes_are_computed_again_without_losing_a_block() -> None:
    for index in (*range(15), *range(16, 23)):
        directory = stored()
        flip(directory, "tree", 40 * index + 20)
        assert check_core(directory, repair=True).damaged_blocks == (), index
        core = Core.open(directory=directory)
        assert [core.get(block) for block in range(13)] == BLOCKS
        core.close()


def test_a_core_without_a_store_or_in_use_is_not_checked() -> None:
    with pytest.raises(StoreMissing):
        check_core(MemoryDirectory())
    directory = stored()
    core = Core.open(directory=directory)
    with pytest.raises(StoreLocked):
        check_core(directory)
    core.close()


def test_the_command_says_what_is_wrong_and_mends_it(tmp_path: Path) -> None:
    core = Core.create(tmp_path / "core", key_pair=KEY_PAIR)
    core.append(BLOCKS)
    core.close()
    with (tmp_path / "core" / "data").open("r+b") as file:
        file.seek(30)
        file.write(b"!")
    run = CliRunner()
    broken = run.invoke(app, ["check", str(tmp_path / "core"), "--json"])
    assert broken.exit_code == 1
    assert json.loads(broken.stdout.splitlines()[0])["damaged_blocks"] == [[1, 2]]
    mended = run.invoke(app, ["check", str(tmp_path / "core"), "--repair", "--json"])
    assert mended.exit_code == 0
    assert json.loads(mended.stdout)["repaired"] is True
    assert run.invoke(app, ["check", str(tmp_path / "core")]).exit_code == 0
    assert run.invoke(app, ["check", str(tmp_path / "nothing")]).exit_code == 1


@pytest.mark.parametrize("journal", [b"", b"\x00", b"\x01" * 200])
def test_a_lost_head_is_never_taken_for_a_new_core_and_the_refusal_says_what_to_do(journal: bytes) -> None:
    directory = stored()
    for name in ("journal.0", "journal.1"):
        directory.open(name).truncate(0)
        directory.open(name).write(0, journal)
    for attempt in (lambda: Core.open(directory=directory), lambda: check_core(directory, repair=True)):
        says = r"head in memory is lost.* clone the core from a peer .*copy the file `secret`"
        with pytest.raises(StoreCorrupt, match=says):
            attempt()


def test_a_copy_without_a_head_names_no_secret() -> None:
    directory = MemoryDirectory()
    Core.open(key=bytes(32), directory=directory).close()
    directory.open("journal.1").truncate(0)
    with pytest.raises(StoreCorrupt, match="clone the core from a peer into another directory; "):
        Core.open(directory=directory)


def test_a_clone_with_the_secret_of_the_lost_core_is_writable() -> None:
    lost = stored()
    source = Core.create(key_pair=KEY_PAIR)
    source.append(BLOCKS)
    directory = MemoryDirectory()
    clone = Core.open(key=source.key, directory=directory)
    replicator = replicator_of(clone)
    replicator.want(0, None)
    Link(replicator_of(source), replicator).settle()
    clone.close()
    secret = lost.load("secret")
    assert secret is not None
    directory.replace("secret", secret, private=True)
    again = Core.open(directory=directory)
    assert again.append(b"goes on") == 14
