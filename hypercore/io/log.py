"""A core as applications read and write it: plain blocks, decrypted, from here or from peers.

    from hypercore.io.core import Core
    from hypercore.io.log import Log

    log = Log(Core.create(), encryption_key=bytes(32))
    log.append([b"hello"])
    assert await log.get(0) == b"hello"                 # log.core.get(0) is the ciphertext that peers relay

Encryption lives here and not in `Core`, so whoever stores, proves and relays a core needs no key and handles only what
its author signed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from hypercore import merkle
from hypercore.encryption import PADDING_BYTES, BlockCipher
from hypercore.errors import BlockNotAvailable, CoreClosed
from hypercore.io.core import MAXIMUM_BLOCK_BYTES, Core
from hypercore.io.replication import Replication
from hypercore.manifest import verifier_for

TIMEOUT_SECONDS = 60.0
READ_AHEAD_BLOCKS = 64


class Log:
    """A handle of one core. With a `replication` missing blocks come from peers; without one `get` fails at once.

    Made by `Corestore.get`, or from a core that is already open. `timeout_seconds` bounds every wait for peers (None
    waits for ever). Closing it leaves a core that was passed in open.
    """

    def __init__(
        self,
        core: Core,
        *,
        encryption_key: bytes | None = None,
        is_block_key: bool = False,
        replication: Replication | None = None,
        timeout_seconds: float | None = TIMEOUT_SECONDS,
        on_close: Callable[[Log], None] | None = None,
    ) -> None:
        self.core = core
        self.replication = replication
        self.timeout_seconds = timeout_seconds
        self._encryption_key = encryption_key
        self._is_block_key = is_block_key
        self._cipher: tuple[bool, BlockCipher] | None = None
        self._on_close = on_close
        self._closed = False

    @property
    def key(self) -> bytes:
        """The core's key."""
        return self.core.key

    @property
    def length(self) -> int:
        """Number of blocks that are known of."""
        return self.core.length

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks, without what encryption adds."""
        return self.core.byte_length - self.padding * self.core.length

    @property
    def encrypted(self) -> bool:
        """True when blocks are decrypted with a key."""
        return self._encryption_key is not None

    def append(self, blocks: bytes | Sequence[bytes]) -> int:
        """Adds one block, or several as one atomic change; returns the new length. Raises `ReadOnly`."""
        self._check_open()
        batch = [blocks] if isinstance(blocks, bytes) else list(blocks)
        cipher = self._present_cipher()
        if cipher is not None:
            start, fork = self.core.length, self.core.fork
            batch = [cipher.encrypt(index, fork, block) for index, block in enumerate(batch, start)]
        return self.core.append(batch)

    async def get(self, index: int, *, timeout_seconds: float | None = None) -> bytes:
        """Block `index`; waits for a peer to bring it when it is not here.

        Raises `BlockNotAvailable` without peers, `ReplicationTimeout` when none brought it in time.
        """
        self._check_open()
        if self.core.has(index):
            stored = self.core.get(index)
        else:
            stored = await self._linked(index).get(self.core, index, timeout_seconds=self._patience(timeout_seconds))
        cipher = self._present_cipher()
        return stored if cipher is None else cipher.decrypt(index, stored)

    async def fetch(self, indexes: Sequence[int]) -> None:
        """Has blocks come in together; does nothing without a replication."""
        missing = [index for index in indexes if not self.core.has(index)]
        if self.replication is None or not missing:
            return
        replicator = self.replication.add(self.core)
        demands = [replicator.want(index, index + 1, urgent=True) for index in missing]
        try:
            for index in missing:
                await self.replication.get(self.core, index, timeout_seconds=self._patience(None))
        finally:
            for demand in demands:
                replicator.release(demand)

    def blocks(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Blocks [start, end) in their order, fetched ahead."""
        return _Blocks(self, start, end)

    async def download(self, start: int = 0, end: int | None = None) -> None:
        """Brings blocks [start, end) here; `end` None is the present length."""
        stop = self.length if end is None else end
        if self.core.has_range(start, stop):
            return
        await self._linked(start).download(self.core, start, stop, timeout_seconds=self._patience(None))

    async def update(self, length: int | None = None, *, timeout_seconds: float | None = None) -> int:
        """Waits for `length` blocks; without it for the longest log that a peer has told of by now, at least one block.

        Returns the length. Raises `ReplicationTimeout` when nobody told of so many in time.
        """
        if self.replication is None:
            return self.length
        replicator = self.replication.add(self.core)
        heads = [peer.remote for peer in replicator.peers if peer.remote is not None]
        wanted = max([head.length for head in heads if head.fork >= self.core.fork] + [self.length, length or 1])
        if wanted > self.length:
            await self.replication.update(self.core, wanted, timeout_seconds=self._patience(timeout_seconds))
        return self.length

    def byte_offset(self, index: int) -> int:
        """Bytes before block `index`, which must be here, without what encryption adds."""
        read_node = self.core.view().read_node
        return merkle.byte_offset(read_node, self.length, 2 * index) - self.padding * index

    def close(self) -> None:
        """Gives the handle back; closing twice is fine."""
        if not self._closed:
            self._closed = True
            if self._on_close is not None:
                self._on_close(self)

    async def __aenter__(self) -> Log:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def block_bytes_maximum(self) -> int:
        """The largest block that can be appended."""
        return MAXIMUM_BLOCK_BYTES - self.padding

    @property
    def padding(self) -> int:
        """Bytes that encryption adds to each block."""
        return PADDING_BYTES if self.encrypted else 0

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
        if self._closed:
            raise CoreClosed("this handle of the core was closed")


class _Blocks(AsyncIterator[bytes]):
    """Iterates without a state that needs closing: it asks for a window of blocks whenever it meets a missing one."""

    def __init__(self, log: Log, start: int, end: int) -> None:
        self._log = log
        self._next = start
        self._end = end

    def __aiter__(self) -> _Blocks:
        return self

    async def __anext__(self) -> bytes:
        index = self._next
        if index >= self._end:
            raise StopAsyncIteration
        if not self._log.core.has(index):
            await self._log.fetch(range(index, min(self._end, index + READ_AHEAD_BLOCKS)))
        self._next += 1
        return await self._log.get(index)
