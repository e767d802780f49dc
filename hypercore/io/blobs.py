"""Contents of any size in one core, cut into blocks of 64 KiB as stored, and byte ranges of them back.

    from hypercore.io.blobs import Blobs
    from hypercore.io.corestore import Corestore

    blobs = Blobs(Corestore().get("blobs"))
    blob = await blobs.write([b"any", b"chunks"])
    async for part in blobs.read(blob, start=2, length=3):
        assert part == b"ych"

Source: Hyperblobs 2.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence

import trio

from hypercore.drive import BLOB_BLOCK_BYTES, MAP_BLOCKS_MAXIMUM, Blob, decode_block_map
from hypercore.errors import DecodeError, LocalProtocolError
from hypercore.io.log import Log

BLOCKS_PER_APPEND = 16
FIRST_WINDOW_BLOCKS = 4
WINDOW_BLOCKS_MAXIMUM = 128

Chunks = Iterable[bytes] | AsyncIterable[bytes]


class Blobs:
    """Contents in `log`; what `write` returns is what `read` needs."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._lock = trio.Lock()

    async def write(self, chunks: Chunks) -> Blob:
        """Stores the chunks, put together; other writers wait. Raises `ReadOnly`."""
        async with self._lock:
            start, byte_offset = self.log.length, self.log.byte_length
            block_bytes = BLOB_BLOCK_BYTES - self.log.padding  # stored blocks are never larger, encrypted or not
            batch_bytes = BLOCKS_PER_APPEND * block_bytes
            rest = bytearray()
            written = 0
            async for chunk in _each(chunks):
                rest += chunk
                written += len(chunk)
                while len(rest) >= batch_bytes:
                    self.log.append(_cut(rest[:batch_bytes], block_bytes))
                    del rest[:batch_bytes]
            if rest:
                self.log.append(_cut(rest, block_bytes))
            length = self.log.length - start
            if length != -(-written // block_bytes):
                raise LocalProtocolError("the log changed under a writer: write through one Blobs only")
            return Blob(start, byte_offset, length, written)

    def read(self, blob: Blob, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The content, or `length` bytes of it from byte `start`, in parts of about a block."""
        if start < 0 or (length is not None and length < 0):
            raise LocalProtocolError(f"{length} bytes from byte {start} is not a range")
        return _BlobReader(self, blob, start, length)

    async def get(self, blob: Blob, start: int = 0, length: int | None = None) -> bytes:
        """The same as one byte string."""
        return b"".join([part async for part in self.read(blob, start, length)])

    async def size(self, blob: Blob) -> int:
        """The content's length in bytes; for a mapped one this reads the map."""
        if not blob.block_map:
            return blob.byte_length
        return sum(size for _, size in await self.block_map(blob))

    async def block_map(self, blob: Blob) -> list[tuple[int, int]]:
        """(block number, bytes) of each part of a mapped content."""
        if blob.block_length > MAP_BLOCKS_MAXIMUM:
            raise DecodeError(f"a block map of {blob.block_length} blocks, at most {MAP_BLOCKS_MAXIMUM} are allowed")
        return decode_block_map([block async for block in self.log.blocks(blob.block_offset, _end(blob))])

    async def clear(self, blob: Blob) -> int:
        """Gives up the blocks of a content here; returns the bytes that the file system took back."""
        freed = 0
        if blob.block_map:
            freed += sum([self.log.core.clear(number, number + 1) for number, _ in await self.block_map(blob)])
        return freed + self.log.core.clear(blob.block_offset, _end(blob))

    async def locate(self, blob: Blob, offset: int) -> tuple[int, int]:
        """(block number, byte in it) of byte `offset` of a plain content.

        A writer may have cut its blocks differently, so the first guess is checked against the tree's byte counts.
        """
        low, high = 0, blob.block_length - 1
        guess = min(offset // BLOB_BLOCK_BYTES, high)
        while low <= high:
            number = blob.block_offset + guess
            size = len(await self.log.get(number))
            before = self.log.byte_offset(number) - blob.byte_offset
            if before <= offset < before + size:
                return number, offset - before
            if offset < before:
                high = guess - 1
            else:
                low = guess + 1
            guess = (low + high) // 2
        raise DecodeError("the entry of this file does not match its blocks")


class _BlobReader(AsyncIterator[bytes]):
    """Walks over the parts of a content; windows of blocks that are fetched together grow from small to large."""

    def __init__(self, blobs: Blobs, blob: Blob, start: int, length: int | None) -> None:
        self._blobs = blobs
        self._blob = blob
        self._start = start
        self._left = length
        self._numbers: Sequence[int] | None = None
        self._position = 0
        self._skip = 0
        self._fetched = 0
        self._window = FIRST_WINDOW_BLOCKS

    def __aiter__(self) -> _BlobReader:
        return self

    async def __anext__(self) -> bytes:
        if self._numbers is None:
            self._numbers = await self._open()
        while self._left and self._position < len(self._numbers):
            if self._position >= self._fetched:
                wanted = self._numbers[self._position : self._position + self._window]
                self._fetched = self._position + len(wanted)
                self._window = min(2 * self._window, WINDOW_BLOCKS_MAXIMUM)
                await self._blobs.log.fetch(wanted)
            block = await self._blobs.log.get(self._numbers[self._position])
            part = block[self._skip : self._skip + self._left]
            self._position += 1
            self._skip = 0
            self._left -= len(part)
            if part:
                return part
        if self._left and self._numbers:
            raise DecodeError("the entry of this file names more bytes than its blocks hold")
        raise StopAsyncIteration

    async def _open(self) -> Sequence[int]:
        """The blocks to read, and where to begin in the first one."""
        blob, start = self._blob, self._start
        parts = await self._blobs.block_map(blob) if blob.block_map else []
        size = sum(part_bytes for _, part_bytes in parts) if blob.block_map else blob.byte_length
        rest = max(0, size - start)
        self._left = rest if self._left is None else min(self._left, rest)
        if not self._left:
            return ()
        if not blob.block_map:
            first, self._skip = (blob.block_offset, 0) if start == 0 else await self._blobs.locate(blob, start)
            return range(first, _end(blob))
        skipped = 0
        while start >= parts[skipped][1]:
            start -= parts[skipped][1]
            skipped += 1
        self._skip = start
        return [number for number, _ in parts[skipped:]]


def _end(blob: Blob) -> int:
    return blob.block_offset + blob.block_length


def _cut(data: bytearray, block_bytes: int) -> list[bytes]:
    return [bytes(data[start : start + block_bytes]) for start in range(0, len(data), block_bytes)]


async def _each(chunks: Chunks) -> AsyncIterator[bytes]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk
