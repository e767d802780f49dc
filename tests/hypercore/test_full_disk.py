"""A disk that is full or broken: what was stored stays readable, what was refused left no trace."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from hypercore.crypto import KeyPair
from hypercore.errors import HypercoreError, StoreFailed, StoreFull
from hypercore.io import store as store_module
from hypercore.io.core import Core
from hypercore.io.files import MemoryDirectory, MemoryFile

KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)
LARGE = store_module.INLINE_BLOCK_BYTES_MAXIMUM + 1


class LimitedFile(MemoryFile):
    """Writes what fits of a write that does not, as a file system does."""

    def __init__(self, directory: LimitedDirectory) -> None:
        super().__init__()
        self._directory = directory

    def write(self, offset: int, data: bytes) -> None:
        fits = self._directory.take(len(data))
        super().write(offset, data[:fits])
        if fits < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self) -> None:
        if self._directory.sync_fails:
            raise OSError(errno.EIO, "Input/output error")


class LimitedDirectory(MemoryDirectory):
    """Takes so many bytes in all."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 1 << 40
        self.sync_fails = False

    def take(self, wanted: int) -> int:
        fits = min(wanted, self.left)
        self.left -= fits
        return fits

    def open(self, name: str) -> LimitedFile:
        file = self._files.get(name)
        if not isinstance(file, LimitedFile):
            file = self._files[name] = LimitedFile(self)
        return file

    def replace(self, name: str, data: bytes, *, private: bool = False) -> None:
        if self.take(len(data)) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        super().replace(name, data, private=private)


@pytest.fixture(autouse=True)
def small_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes checkpoints happen in the middle of the work, and large blocks stay out of the journal."""
    monkeypatch.setattr(store_module, "JOURNAL_BYTES_MAXIMUM", 2000)
    monkeypatch.setattr(store_module, "INLINE_SYNCED_BYTES_MAXIMUM", LARGE - 1)


def filled() -> tuple[LimitedDirectory, Core]:
    directory = LimitedDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=directory)
    core.append([b"first", b"second" * 3000])
    return directory, core


def content(core: Core) -> list[bytes]:
    return [core.get(index) for index in range(core.length)]


def reopened(directory: LimitedDirectory, core: Core, *, killed: bool) -> Core:
    if killed:
        core._store.abandon()
    else:
        core.close()
    return Core.open(directory=directory)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("left", [*range(0, 60, 7), 100, 500, 1000, 2500, 5000, LARGE, LARGE + 100])
def test_an_append_to_a_full_disk_fails_and_everything_else_goes_on(left: int, killed: bool) -> None:
    directory, core = filled()
    accepted = content(core)
    directory.left = left
    refused = 0
    for number in range(12):
        block = bytes([number]) * (LARGE if number % 4 == 3 else 300)
        try:
            core.append(block)
            accepted.append(block)
        except StoreFull:
            refused += 1
        assert content(core) == accepted
    assert refused
    directory.left = 1 << 40
    core.append(b"room again")
    again = reopened(directory, core, killed=killed)
    assert content(again) == [*accepted, b"room again"]
    assert again.recovered is None
    again.append(b"and on")


@pytest.mark.parametrize("left", range(0, 3000, 130))
def test_a_killed_process_on_a_full_disk_keeps_what_was_acknowledged(left: int) -> None:
    directory, core = filled()
    accepted = content(core)
    directory.left = left
    for number in range(20):
        try:
            core.append(bytes([number]) * 200)
            accepted.append(bytes([number]) * 200)
        except StoreFull:
            break
    again = reopened(directory, core, killed=True)
    assert content(again) == accepted


@pytest.mark.parametrize(
    "change",
    [
        lambda core: core.truncate(1),
        lambda core: core.clear(0, 1),
        lambda core: core.set_user_data("name", b"value"),
    ],
)
def test_other_changes_fail_as_cleanly(change: Callable[[Core], object]) -> None:
    directory, core = filled()
    accepted = content(core)
    directory.left = 0
    with pytest.raises(StoreFull):
        change(core)
    assert (content(core), core.fork, core.user_data("name")) == (accepted, 0, None)


def test_after_a_failed_sync_nothing_is_taken_until_the_store_is_opened_again() -> None:
    directory, core = filled()
    accepted = content(core)
    directory.sync_fails = True
    with pytest.raises(StoreFailed, match="Input/output error"):
        core.append(b"lost or not")
    directory.sync_fails = False
    for change in (lambda: core.append(b"more"), lambda: core.truncate(0), lambda: core.clear(0, 1)):
        with pytest.raises(StoreFailed, match="opened again"):
            change()
    assert content(core) == accepted
    again = reopened(directory, core, killed=False)
    assert content(again)[:2] == accepted
    again.append(b"works")


def test_a_disk_that_stays_full_ends_the_patience_of_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    _, core = filled()
    monkeypatch.setattr(store_module, "JOURNAL_BYTES_WITHOUT_CHECKPOINT_MAXIMUM", 3000)
    monkeypatch.setattr(core._store._journal, "restart", lambda head: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    with pytest.raises(HypercoreError, match="full for too long"):
        for _ in range(50):
            core.append(bytes(200))
    assert content(core)[0] == b"first"
