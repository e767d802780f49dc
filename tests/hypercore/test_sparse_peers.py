"""Peers that hold only some blocks tell which when they are asked, so that a reader puts the log together."""

import trio

from hypercore.io.core import Core
from hypercore.io.replication import open_replication

BLOCKS = [f"block {index}".encode() for index in range(40)]
FIRST, SECOND = range(25), range(20, 40)


async def sparse_copy(of: Core, wanted: range) -> Core:
    """A replica that holds only the blocks of a range."""
    copy = Core.open(None, of.key)
    async with open_replication() as source, open_replication() as reader:
        source.add(of)
        reader.add(copy)
        await reader.connect("127.0.0.1", await source.listen())
        await reader.update(copy)
        await reader.download(copy, wanted.start, wanted.stop)
    return copy


async def test_a_reader_gets_every_block_from_peers_that_hold_different_parts() -> None:
    author = Core.create()
    author.append(BLOCKS)
    halves = [await sparse_copy(author, wanted) for wanted in (FIRST, SECOND)]
    assert [half.has(30) for half in halves] == [False, True]
    whole = Core.open(None, author.key)
    with trio.fail_after(20):
        async with open_replication() as one, open_replication() as other, open_replication() as reader:
            for replication, half in zip((one, other), halves, strict=True):
                replication.add(half)
            reader.add(whole)
            for replication in (one, other):
                await reader.connect("127.0.0.1", await replication.listen())
            await reader.update(whole, len(BLOCKS))
            await reader.download(whole)
    assert [whole.get(index) for index in range(len(BLOCKS))] == BLOCKS
