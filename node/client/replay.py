"""Telling a chain block by block without gap or repetition: from any block on, over reorganisations and reconnections.

What was told is remembered by number and hash. The chain is asked again, by number, whenever it may have moved: what it
no longer holds is taken back, what follows is told if it is a child of what was told last. So nothing depends on
notifications, which only say when to look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

import trio

from node.client.chain import BlockEvents, BlockRef, Retracted
from node.client.errors import BadAnswer, ClientError, UnknownBlock

BLOCKS_AT_ONCE: Final = 16
"""Blocks fetched together while catching up."""
MAX_TRAIL_BLOCKS: Final = 4_096
"""How far back a reorganisation may reach."""


class Moves(Protocol):
    """Says when a chain may have moved."""

    async def wait(self) -> None:
        """Returns at once the first time, then whenever the chain may have moved since."""

    async def aclose(self) -> None:
        """Ends it."""


class BlockSource(Protocol):
    """Where blocks are read."""

    def moves(self, finalized: bool) -> Moves:
        """Movements of the best chain, or of the finalized one."""

    async def head(self, *, finalized: bool = False) -> BlockRef:
        """The best block, or the finalized one."""

    async def hashes(self, numbers: Sequence[int]) -> Sequence[bytes | None]:
        """The hashes of the best chain's blocks at these heights."""

    async def number_of(self, block_hash: bytes) -> int | None:
        """The height of a block, None for an unknown one."""

    async def block(self, ref: BlockRef) -> BlockEvents:
        """A block with its events; raises HistoryPruned."""


async def replay(
    source: BlockSource, from_block: int | bytes | None, finalized: bool
) -> AsyncGenerator[BlockEvents | Retracted, None]:
    """See `ChainConnection.events`."""
    moves = source.moves(finalized)
    try:
        await moves.wait()
        trail = _Trail(source, await _first(source, from_block, finalized))
        while True:
            tip = await source.head(finalized=finalized)
            while (lost := await trail.lost_below(tip)) is not None:
                yield Retracted(lost.number, lost.hash)
            told = False
            for block in await trail.next_blocks(tip):
                if not trail.append(block):
                    break
                told = True
                yield block
            if not told:
                await moves.wait()
    finally:
        await moves.aclose()


async def _first(source: BlockSource, from_block: int | bytes | None, finalized: bool) -> int:
    """The number of the first block to be told."""
    if from_block is None:
        return (await source.head(finalized=finalized)).number + 1
    if isinstance(from_block, bytes):
        number = await source.number_of(from_block)
        if number is None or (await source.hashes([number]))[0] != from_block:
            raise UnknownBlock(f"block 0x{from_block.hex()} is not on the node's best chain")
        return number
    if from_block < 0:
        raise UnknownBlock(f"there is no block {from_block}")
    return from_block


class _Trail:
    """The blocks that were told, newest last, and the number of the next."""

    def __init__(self, source: BlockSource, first: int) -> None:
        self._source = source
        self._next = self._first = first
        self._told: deque[BlockRef] = deque(maxlen=MAX_TRAIL_BLOCKS)

    async def lost_below(self, tip: BlockRef) -> BlockRef | None:
        """The newest told block if the chain no longer holds it, which is then forgotten; None when all is well.

        A node that is merely behind, as after a restart, has lost nothing.
        """
        if not self._told:
            if self._next > self._first:
                raise BadAnswer(f"the chain was replaced further back than {MAX_TRAIL_BLOCKS} blocks")
            return None
        newest = self._told[-1]
        if tip.number < newest.number:
            at_tip = next((ref for ref in self._told if ref.number == tip.number), tip)
            if at_tip.hash == tip.hash:
                return None
        elif (await self._source.hashes([newest.number]))[0] == newest.hash:
            return None
        self._told.pop()
        self._next = newest.number
        return newest

    async def next_blocks(self, tip: BlockRef) -> list[BlockEvents]:
        """The next blocks up to the tip, a bounded number of them."""
        numbers = range(self._next, min(tip.number, self._next + BLOCKS_AT_ONCE - 1) + 1)
        hashes = await self._source.hashes(numbers) if numbers else ()
        refs = [BlockRef(number, found) for number, found in zip(numbers, hashes, strict=True) if found is not None]
        blocks: dict[int, BlockEvents] = {}
        errors: list[ClientError] = []

        async def fetch(ref: BlockRef) -> None:
            try:
                blocks[ref.number] = await self._source.block(ref)
            except ClientError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for ref in refs:
                nursery.start_soon(fetch, ref)
        if errors:
            raise errors[0]
        return [blocks[ref.number] for ref in refs]

    def append(self, block: BlockEvents) -> bool:
        """Takes the next block; False when it is no child of the one before, so that the chain must have moved."""
        if block.number != self._next or (self._told and block.parent_hash != self._told[-1].hash):
            return False
        self._told.append(BlockRef(block.number, block.hash))
        self._next = block.number + 1
        return True
