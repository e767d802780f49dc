"""The chain of this process as services see it."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import trio
import trio.testing

from node.client.chain import BlockEvents
from node.client.local import LocalChain
from pallets.balances.events import Transfer
from tests.node.chain.conftest import ALICE, BOB, ManualClock, Node


async def follow(chain: LocalChain, count: int, found: list[BlockEvents]) -> None:
    async with aclosing(chain.blocks()) as blocks:
        async for block in blocks:
            found.append(block)
            if len(found) == count:
                return


async def test_followers_hear_the_events_that_the_state_records(tmp_path: Path) -> None:
    node = Node(tmp_path, ManualClock())
    chain = LocalChain(node.chain, node.transactions)
    found: list[BlockEvents] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow, chain, 2, found)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            node.transactions.submit(node.transfer(ALICE, BOB, value=7_000_000))
            await node.author.author_block()
    assert [block.number for block in found] == [1, 2]
    for block in found:
        with node.runtime.at(node.store.state(block.hash)) as runtime:
            assert block.events == tuple(record.event for record in runtime.system.event_records())
        assert Transfer(ALICE.account_id, BOB.account_id, 7_000_000) in block.events
    node.store.close()
