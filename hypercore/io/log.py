"""A core as applications read and write it: plain blocks, decrypted, from here or from peers.

    from hypercore.io.log import Log

    async with Log.open(Path("diary"), encryption_key=bytes(32)) as log:
        log.append([b"hello", b"world"])
        assert await log.get(0) == b"hello"                 # log.core.get(0) is the ciphertext that peers relay
        assert [block async for block in log.blocks()] == [b"hello", b"world"]
        with log.snapshot() as before:
            log.truncate(1)
            assert await before.get(1) == b"world"
        other = log.session()                               # a second handle: the core closes with the last one
        other.close()

Encryption lives here and not in `Core`, so whoever stores, proves and relays a core needs no key and handles only what
its author signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypercore.crypto import KeyPair
from hypercore.encryption import check_encryption_key
from hypercore.errors import BlockNotAvailable, SnapshotNotAvailable, StoreMissing
from hypercore.io.core import MAXIMUM_BLOCK_BYTES, Core
from hypercore.io.core_editing import Block, blocks_of
from hypercore.io.log_reader import TIMEOUT_SECONDS, LogReader
from hypercore.io.replication import Replication
from hypercore.io.snapshot import Snapshot
from hypercore.io.store import Durability
from hypercore.manifest import Manifest


class _SoleOwner:
    """Closes one core with its last handle."""

    def __init__(self) -> None:
        self._handles: list[LogReader] = []

    def handle(self, core: Core, log: LogReader) -> None:
        self._handles.append(log)

    def release(self, log: LogReader) -> None:
        self._handles.remove(log)
        if not self._handles:
            if log.replication is not None:
                log.replication.remove(log.core)
            log.core.close()


class Log(LogReader):
    """A handle of one core. With a `replication` missing blocks come from peers; without one `get` fails at once.

    Made by `Log.open`, by `Corestore.get`, or from a core that is already open, which then stays open. The core closes
    when the last handle does. `timeout_seconds` bounds every wait for peers (None waits for ever).
    """

    @classmethod
    def open(
        cls,
        path: Path | str | None = None,
        key: bytes | str | None = None,
        *,
        key_pair: KeyPair | None = None,
        manifest: Manifest | None = None,
        durability: Durability = "fsync",
        encryption_key: bytes | None = None,
        replication: Replication | None = None,
        timeout_seconds: float | None = TIMEOUT_SECONDS,
    ) -> Log:
        """The log in a directory, or in memory; where there is none yet a new one: ours, or with `key` a copy of it.

        With a `replication` peers get it and fill it. Raises as `Core.open` and `Core.create`, and
        `LocalProtocolError` for an encryption key of a wrong size, with which nothing is opened or made.
        """
        check_encryption_key(encryption_key)
        directory = None if path is None else Path(path)
        try:
            if key is None and directory is None:
                raise StoreMissing("nothing is kept in memory")
            core = Core.open(directory, key, key_pair=key_pair, durability=durability)
        except StoreMissing:
            if key is not None:
                raise
            core = Core.create(directory, key_pair=key_pair, manifest=manifest, durability=durability)
        if replication is not None:
            replication.add(core)
        return cls(
            core,
            encryption_key=encryption_key,
            replication=replication,
            timeout_seconds=timeout_seconds,
            owner=_SoleOwner(),
        )

    @property
    def writable(self) -> bool:
        """True when the signing key is here."""
        return self.core.writable

    @property
    def block_bytes_maximum(self) -> int:
        """The largest block that can be appended."""
        return MAXIMUM_BLOCK_BYTES - self.padding

    def session(self) -> Log:
        """Another handle of the same core, with the same keys and patience, that is closed by itself."""
        self._check_open()
        return Log(self.core, owner=self._owner, **self._options())

    def snapshot(self) -> LogSnapshot:
        """The log as it is now, as a handle that only reads; later changes of the core do not show in it."""
        self._check_open()
        return LogSnapshot(self.core, self.core.snapshot(), owner=self._owner, **self._options())

    def append(self, blocks: Block | Sequence[Block]) -> int:
        """Adds one block, or several as one atomic change; returns the new length. Raises as `Core.append`."""
        self._check_open()
        batch = blocks_of(blocks)
        cipher = self._present_cipher()
        if cipher is not None:
            start, fork = self.core.length, self.core.fork
            batch = [cipher.encrypt(index, fork, block) for index, block in enumerate(batch, start)]
        return self.core.append(batch)

    def truncate(self, length: int, fork: int | None = None) -> None:
        """Goes back to the first `length` blocks and begins a new fork. Raises as `Core.truncate`."""
        self._check_open()
        self.core.truncate(length, fork)

    def clear(self, start: int, end: int) -> int:
        """Gives up the contents of blocks [start, end) here; returns the bytes that the file system took back."""
        self._check_open()
        return self.core.clear(start, end)

    def user_data(self, name: str) -> bytes | None:
        """A value that was kept with `set_user_data`. It stays on this machine."""
        return self.core.user_data(name)

    def set_user_data(self, name: str, value: bytes | None) -> None:
        """Keeps a value under a name on this machine, or forgets it with None; at most 64 KiB together."""
        self.core.set_user_data(name, value)


class LogSnapshot(LogReader):
    """A log as it was at one moment, made by `Log.snapshot`. Blocks that were not here then still come from peers."""

    def __init__(self, core: Core, snapshot: Snapshot, **options: Any) -> None:
        self._snapshot = snapshot
        super().__init__(core, **options)

    @property
    def length(self) -> int:
        """Number of blocks, for ever."""
        return self._snapshot.length

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks, without what encryption adds."""
        return self._snapshot.byte_length - self.padding * self.length

    @property
    def contiguous_length(self) -> int:
        """Blocks from the start that are all here."""
        return min(self.core.contiguous_length, self.length)

    @property
    def fork(self) -> int:
        """The fork at that moment."""
        return self._snapshot.fork

    def has(self, index: int) -> bool:
        """True when the block is here."""
        return self._snapshot.has(index)

    async def get(self, index: int, *, timeout_seconds: float | None = None) -> bytes:
        """Block `index` as it was.

        Raises as `Log.get`, and `SnapshotNotAvailable` when the log went back before the block was here.
        """
        self._check_open()
        try:
            stored = self._snapshot.get(index)
        except SnapshotNotAvailable:
            raise
        except BlockNotAvailable:
            await self._linked(index).get(self.core, index, timeout_seconds=self._patience(timeout_seconds))
            stored = self._snapshot.get(index)
        return self._plain(index, stored)

    async def seek(self, byte_offset: int) -> tuple[int, int]:
        """As `Log.seek`; raises `SnapshotNotAvailable` once the log went back."""
        self._check_open()
        try:
            return self._snapshot.seek(byte_offset, self.padding)
        except SnapshotNotAvailable:
            raise
        except BlockNotAvailable:
            patience = self._patience(None)
            linked = self._linked(self.length)
            return await linked.seek(self.core, byte_offset, padding=self.padding, timeout_seconds=patience)

    async def update(self, length: int | None = None, *, timeout_seconds: float | None = None) -> int:
        """Returns the length, which stays what it was."""
        return self.length

    def close(self) -> None:
        """Gives the handle and the copies of blocks back."""
        self._snapshot.close()
        super().close()
