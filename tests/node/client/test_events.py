"""Events of a chain behind a WebSocket: replayed, followed, through cuts and reorganisations."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio

from node.chain.author import AuthoringMode
from node.client.chain import BlockEvents, Retracted
from node.client.errors import (
    ClientError,
    HistoryPruned,
)
from node.client.remote import RemoteChain, open_remote
from tests.node.chain.conftest import ALICE, AUTHORITIES, SLOT_MS, Node
from tests.node.client.served import served, transfer, wired
from tests.node.rpc.conftest import WINDOW_BLOCKS


async def blocks_until(
    events: AsyncGenerator[BlockEvents | Retracted, None], number: int
) -> list[BlockEvents | Retracted]:
    found: list[BlockEvents | Retracted] = []
    async for block in events:
        found.append(block)
        if isinstance(block, BlockEvents) and block.number == number:
            break
    return found


async def first(chain: RemoteChain, start: int | bytes) -> BlockEvents | Retracted:
    """The first block told from a start on."""
    async with aclosing(chain.events(start)) as events:
        return await anext(events)


async def test_events_are_replayed_and_then_followed(tmp_path: Path) -> None:
    async with served(tmp_path) as (rpc, url), open_remote(url) as chain, open_remote(url) as other:
        await other.submit(transfer(), ALICE)
        first = rpc.node.store.hash_at(1)
        assert first is not None
        for start in (1, first):
            async with aclosing(chain.events(start)) as events:
                told = await blocks_until(events, 2)
                receipt = await other.submit(transfer(), ALICE)
                told += await blocks_until(events, receipt.block_number)
                assert [block.number for block in told] == list(range(1, receipt.block_number + 1))
                assert [block.hash for block in told] == [rpc.node.store.hash_at(block.number) for block in told]
                assert isinstance(told[-1], BlockEvents)
                assert told[-1].of_extrinsic(receipt.index) == receipt.events


async def test_without_a_start_events_begin_with_the_next_block(tmp_path: Path) -> None:
    async with served(tmp_path, AuthoringMode.MANUAL) as (rpc, url), open_remote(url) as chain:
        told: list[int] = []
        await rpc.author(2)
        async with aclosing(chain.events()) as events, trio.open_nursery() as nursery:

            async def follow() -> None:
                told.append((await anext(events)).number)

            nursery.start_soon(follow)
            while not told:
                await rpc.author()
                for _ in range(WINDOW_BLOCKS):  # no faster than a client can read
                    await chain.head()
        assert 4 <= told[0] <= rpc.node.best.number


async def test_history_that_is_pruned_names_what_is_kept(tmp_path: Path) -> None:
    async with served(tmp_path, AuthoringMode.MANUAL) as (rpc, url), open_remote(url) as chain:
        await rpc.author(10 * WINDOW_BLOCKS)
        with pytest.raises(HistoryPruned, match=r"this node keeps the states of blocks \d+ to \d+"):
            await first(chain, 1)
        kept = rpc.node.best.number - 1
        assert (await first(chain, kept)).number == kept


@pytest.mark.parametrize("start", [-1, bytes(32), b"short"])
async def test_a_start_that_is_not_on_the_chain_is_refused(tmp_path: Path, start: Any) -> None:
    async with served(tmp_path) as (_, url), open_remote(url) as chain:
        with pytest.raises(ClientError):
            await first(chain, start)


@pytest.mark.parametrize("finalized", [False, True])
async def test_events_have_no_gap_and_no_repetition_through_cuts(tmp_path: Path, finalized: bool) -> None:
    last = 12
    async with wired(tmp_path, AuthoringMode.MANUAL) as (rpc, wire, chain):
        told: list[int] = []
        async with trio.open_nursery() as nursery:

            async def follow() -> None:
                async with aclosing(chain.events(1, finalized=finalized)) as events:
                    async for block in events:
                        told.append(block.number)
                        if block.number == last:
                            nursery.cancel_scope.cancel()

            nursery.start_soon(follow)
            for number in range(2, last + 1):
                await wire.cut()
                await rpc.author()
                while not told or told[-1] < number - 1:
                    await trio.lowlevel.checkpoint()
        assert told == list(range(1, last + 1))


async def test_a_reorganisation_is_told_as_retracted_blocks(tmp_path: Path) -> None:
    async with served(tmp_path / "a", AuthoringMode.MANUAL, AUTHORITIES) as (rpc, url), open_remote(url) as chain:
        other = Node(tmp_path / "b", rpc.clock, spec=rpc.spec)
        await other.receive(rpc.node.block(rpc.node.best.hash))
        async with aclosing(chain.events(1)) as events:
            await rpc.author()
            old = await blocks_until(events, 2)
            fork = []
            for _ in range(2):
                rpc.clock.time_ms += SLOT_MS
                header = await other.author.author_block()
                assert header is not None
                fork.append(header)
                await rpc.node.receive(other.block(header.hash))
            assert rpc.node.best.hash == fork[-1].hash
            told = await blocks_until(events, 3)
        assert told[0] == Retracted(2, old[1].hash)
        assert [block.hash for block in told[1:]] == [header.hash for header in fork]
        other.store.close()
