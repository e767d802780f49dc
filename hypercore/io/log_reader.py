"""The reading half of a handle of a core: blocks, bytes and downloads, decrypted, from here or from peers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol, Self

from hypercore import merkle
from hypercore.encryption import PADDING_BYTES, BlockCipher, check_encryption_key
from hypercore.errors import BlockNotAvailable, CoreClosed, LocalProtocolError
from hypercore.io.core import Core
from hypercore.io.core_state import CoreInfo
from hypercore.io.download import Download
from hypercore.io.events import CoreEvent
from hypercore.io.replication import Replication
from hypercore.io.streams import grown, pieces
from hypercore.manifest import verifier_for

TIMEOUT_SECONDS = 60.0
READ_AHEAD_BLOCKS = 64


class LogOwner(Protocol):
    """Who opened a core and closes it when no handle of it is left."""

    def handle(self, core: Core, log: LogReader, /) -> None:
        """Counts a handle."""

    def release(self, log: LogReader, /) -> None:
        """Uncounts a handle that was closed."""


class LogReader:
    """What `Log` and `LogSnapshot` have in common."""

    def __init__(
        self,
        core: Core,
        *,
        encryption_key: bytes | None = None,
        is_block_key: bool = False,
        replication: Replication | None = None,
        timeout_seconds: float | None = TIMEOUT_SECONDS,
        owner: LogOwner | None = None,
    ) -> None:
        check_encryption_key(encryption_key)
        self.core = core
        self.replication = replication
        self.timeout_seconds = timeout_seconds
        self._encryption_key = encryption_key
        self._is_block_key = is_block_key
        self._cipher: tuple[bool, BlockCipher] | None = None
        self._owner = owner
        self._closed = False
        if owner is not None:
            owner.handle(core, self)

    @property
    def key(self) -> bytes:
        """32 bytes that identify the core and let it be read."""
        return self.core.key

    @property
    def public_id(self) -> str:
        """The key in z-base-32."""
        return self.core.public_id

    @property
    def discovery_key(self) -> bytes:
        """32 bytes that find the core without giving its key away."""
        return self.core.discovery_key

    @property
    def length(self) -> int:
        """Number of blocks that are known of."""
        return self.core.length

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks, without what encryption adds."""
        return self.core.byte_length - self.padding * self.core.length

    @property
    def contiguous_length(self) -> int:
        """Blocks from the start that are all here."""
        return self.core.contiguous_length

    @property
    def fork(self) -> int:
        """How often the author went back (0 at first)."""
        return self.core.fork

    @property
    def encrypted(self) -> bool:
        """True when blocks are decrypted with a key."""
        return self._encryption_key is not None

    @property
    def padding(self) -> int:
        """Bytes that encryption adds to each block."""
        return PADDING_BYTES if self.encrypted else 0

    @property
    def closed(self) -> bool:
        """True after `close` of this handle."""
        return self._closed

    def info(self) -> CoreInfo:
        """A summary, with the bytes that the store takes on the disk."""
        return self.core.info(self.padding)

    def has(self, index: int) -> bool:
        """True when the block is here."""
        return self.core.has(index)

    async def get(self, index: int, *, timeout_seconds: float | None = None) -> bytes:
        """Block `index`; waits for a peer to bring it when it is not here.

        Raises `BlockNotAvailable` without peers, `ReplicationTimeout` when none brought it in time, and
        `LocalProtocolError` for a negative index, which no peer can ever have.
        """
        self._check_open()
        if index < 0:
            raise LocalProtocolError(f"blocks are counted from 0: there is no block {index}")
        if self.core.has(index):
            stored = self.core.get(index)
        else:
            stored = await self._linked(index).get(self.core, index, timeout_seconds=self._patience(timeout_seconds))
        return self._plain(index, stored)

    async def fetch(self, indexes: Sequence[int]) -> None:
        """Has blocks come in together, before others that are wanted; does nothing without a replication."""
        if self.replication is None:
            return
        missing = [index for index in indexes if not self.has(index)]
        if not missing:
            return
        replicator = self.replication.add(self.core)
        demands = [replicator.want(index, index + 1, urgent=True) for index in missing]
        try:
            for index in missing:
                await self.replication.get(self.core, index, timeout_seconds=self._patience(None))
        finally:
            for demand in demands:
                replicator.release(demand)

    def blocks(self, start: int = 0, end: int | None = None, *, live: bool = False) -> AsyncIterator[bytes]:
        """Blocks [start, end) in their order, fetched ahead; `end` None is the present length, or with `live` never."""
        return _Blocks(self, start, self.length if end is None and not live else end)

    def read(self, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """`length` bytes of the log from byte `start` on (None: to its present end), in parts of at most a block."""
        return self._read(start, self.byte_length - start if length is None else length)

    async def _read(self, start: int, remaining: int) -> AsyncGenerator[bytes, None]:
        if remaining <= 0:
            return
        first, offset = await self.seek(start)
        last, inside = await self.seek(start + remaining)
        async for piece in pieces(self.blocks(first, last + bool(inside)), offset, remaining):
            yield piece

    async def seek(self, byte_offset: int) -> tuple[int, int]:
        """(block, offset in it) of a byte of the log; its end is (length, 0). Asks peers where the tree is not here.

        Raises `LocalProtocolError` for an offset beyond the log, `BlockNotAvailable`, `ReplicationTimeout`.
        """
        self._check_open()
        if self.replication is None or byte_offset > self.byte_length:
            return self.core.seek(byte_offset, self.padding)
        patience = self._patience(None)
        return await self.replication.seek(self.core, byte_offset, padding=self.padding, timeout_seconds=patience)

    def download(
        self, start: int = 0, end: int | None = None, *, blocks: Iterable[int] | None = None
    ) -> Download:
        """Has blocks [start, end), or single `blocks`, come in from now on; `end` None is the present length.

        The result can be awaited and cancelled. Raises `BlockNotAvailable` when blocks are missing and there is no
        replication, and `LocalProtocolError` for too many single blocks and for negative ones.
        """
        self._check_open()
        wanted = range(start, self.length if end is None else end) if blocks is None else frozenset(blocks)
        if (first := min(wanted, default=0) if isinstance(wanted, frozenset) else wanted.start) < 0:
            raise LocalProtocolError(f"blocks are counted from 0: there is no block {first}")
        download = Download(self.core, self.replication, wanted, self._patience(None))
        if self.replication is None and not download.done:
            self._linked(next(index for index in wanted if not self.core.has(index)))
        return download

    async def update(self, length: int | None = None, *, timeout_seconds: float | None = None) -> int:
        """Waits for `length` blocks; without it for the newest log of the peers linked by now, at least one block.

        Returns the length. Raises `ReplicationTimeout` when it did not come in time.
        """
        if self.replication is not None:
            patience = self._patience(timeout_seconds)
            if length is None:
                await self.replication.catch_up(self.core, timeout_seconds=patience)
            if self.length < (length or 1):
                await self.replication.update(self.core, length or 1, timeout_seconds=patience)
        return self.length

    def subscribe(self, listener: Callable[[CoreEvent], None]) -> Callable[[], None]:
        """Calls `listener` after each change, from within the changing call; returns what ends the subscription."""
        return self.core.subscribe(listener)

    def byte_offset(self, index: int) -> int:
        """Bytes before block `index`, which must be here, without what encryption adds."""
        read_node = self.core.view().read_node
        return merkle.byte_offset(read_node, self.length, 2 * index) - self.padding * index

    def close(self) -> None:
        """Gives the handle back; closing twice is fine."""
        if not self._closed:
            self._closed = True
            if self._owner is not None:
                self._owner.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _options(self) -> dict[str, Any]:
        return {
            "encryption_key": self._encryption_key,
            "is_block_key": self._is_block_key,
            "replication": self.replication,
            "timeout_seconds": self.timeout_seconds,
        }

    def _plain(self, index: int, stored: bytes) -> bytes:
        cipher = self._present_cipher()
        return stored if cipher is None else cipher.decrypt(index, stored)

    def _present_cipher(self) -> BlockCipher | None:
        if self._encryption_key is None:
            return None
        # A reader learns the manifest with the first blocks, and only then how the block key is derived.
        compat = verifier_for(self.core.key, self.core.manifest).compat
        if self._cipher is None or self._cipher[0] != compat:
            cipher = BlockCipher(self.key, self._encryption_key, compat=compat, is_block_key=self._is_block_key)
            self._cipher = (compat, cipher)
        return self._cipher[1]

    def _linked(self, index: int) -> Replication:
        if self.replication is None:
            raise BlockNotAvailable(f"block {index} is not stored here and no replication is attached")
        return self.replication

    def _patience(self, timeout_seconds: float | None) -> float | None:
        return self.timeout_seconds if timeout_seconds is None else timeout_seconds

    def _check_open(self) -> None:
        if self._closed or self.core.closed:
            raise CoreClosed("this handle of the core was closed")


class _Blocks(AsyncIterator[bytes]):
    """Iterates without a state that needs closing: it asks for a window of blocks whenever it meets a missing one."""

    def __init__(self, log: LogReader, start: int, end: int | None) -> None:
        self._log = log
        self._next = start
        self._end = end

    def __aiter__(self) -> _Blocks:
        return self

    async def __anext__(self) -> bytes:
        index = self._next
        if self._end is not None and index >= self._end:
            raise StopAsyncIteration
        if index >= self._log.length:
            await grown(self._log.core, index, self._log.replication)
        if not self._log.has(index):
            ahead = min(self._log.length, index + READ_AHEAD_BLOCKS)
            await self._log.fetch(range(index, ahead if self._end is None else min(ahead, self._end)))
        self._next += 1
        return await self._log.get(index)
