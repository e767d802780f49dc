"""What a peer says that it holds, remembered in bounded memory."""

from __future__ import annotations

import pytest

from hypercore.remote_blocks import MAX_TRACKED_BLOCKS, RemoteBlocks


def test_remote_blocks_follow_ranges_drops_and_bitfields() -> None:
    blocks = RemoteBlocks()
    blocks.add(0, 10)
    blocks.add(20, 5)
    blocks.drop(4, 2)
    blocks.replace(32, (0b101,))
    assert [index for index in range(40) if blocks.has(index)] == [0, 1, 2, 3, 6, 7, 8, 9, *range(20, 25), 32, 34]
    assert blocks.next(4, 40) == 6
    assert blocks.next(25, 40) == 32
    assert blocks.next(35, 40) is None
    assert blocks.next(5, 5) is None


@pytest.mark.parametrize("start", [0, 1, MAX_TRACKED_BLOCKS - 1, MAX_TRACKED_BLOCKS, 2**52])
def test_a_claim_of_endless_blocks_costs_bounded_memory(start: int) -> None:
    blocks = RemoteBlocks()
    blocks.add(start, 2**52)
    blocks.drop(start + 1, 2**52)
    blocks.replace(start - start % 32, (0xFFFFFFFF,) * 4)
    assert len(blocks._bits._pages) <= MAX_TRACKED_BLOCKS // (8 * 4096)
