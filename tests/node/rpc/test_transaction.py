"""`transaction_v1_*` and `transactionWatch_v1_*`: broadcasts go on until stopped, watches end with the last event."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from node.rpc import errors
from node.rpc.limits import MAX_BROADCASTS_PER_CONNECTION
from node.rpc.methods.transaction import watch_event_json
from node.txpool import events
from runtime.crypto import blake2_256
from tests.node.chain.conftest import ALICE, DAVE
from tests.node.rpc.conftest import RpcNode

WATCH_EVENT = "transactionWatch_v1_watchEvent"
BLOCK, OTHER = bytes(32), bytes([1]) * 32


def hexed(data: bytes) -> str:
    return f"0x{data.hex()}"


async def test_a_broadcast_transaction_enters_the_next_block(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    async with rpc.client() as client:
        operation = await client.result("transaction_v1_broadcast", hexed(extrinsic))
        await trio.testing.wait_all_tasks_blocked()
        assert await client.result("author_pendingExtrinsics") == [hexed(extrinsic)]
        head = await rpc.author()
        assert extrinsic in (rpc.node.store.body(head.hash) or ())
        await rpc.author(3)
        await trio.testing.wait_all_tasks_blocked()
        assert await client.result("author_pendingExtrinsics") == []
        assert await client.result("transaction_v1_stop", operation) is None
        assert await client.code("transaction_v1_stop", operation) == errors.INVALID_PARAMS


async def test_what_is_not_valid_yet_is_offered_again_at_every_block(rpc: RpcNode) -> None:
    first = rpc.node.transfer(ALICE, DAVE)
    low = rpc.node.transfer(ALICE, DAVE, value=2_000_000)
    rpc.node.transactions.submit(first)
    async with rpc.client() as client:
        await client.result("transaction_v1_broadcast", hexed(low))  # same nonce, same priority: refused
        await trio.testing.wait_all_tasks_blocked()
        rpc.node.transactions.remove_invalid([blake2_256(first)])
        await rpc.author()
        await trio.testing.wait_all_tasks_blocked()
        assert await client.result("author_pendingExtrinsics") == [hexed(low)]


async def test_a_stopped_broadcast_offers_nothing_more(rpc: RpcNode) -> None:
    later = rpc.node.transfer(ALICE, DAVE)
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE, value=2_000_000, tip=1_000_000))
    async with rpc.client() as client:
        operation = await client.result("transaction_v1_broadcast", hexed(later))
        await client.result("transaction_v1_stop", operation)
        rpc.node.transactions.remove_invalid([one.hash for one in rpc.node.pool.transactions()])
        await rpc.author(2)
        await trio.testing.wait_all_tasks_blocked()
        assert await client.result("author_pendingExtrinsics") == []


async def test_broadcasts_are_limited_and_belong_to_their_connection(rpc: RpcNode) -> None:
    async with rpc.client() as client, rpc.client() as other:
        operations = [
            await client.result("transaction_v1_broadcast", f"0x{number:02x}")
            for number in range(MAX_BROADCASTS_PER_CONNECTION)
        ]
        assert len(set(operations)) == MAX_BROADCASTS_PER_CONNECTION
        assert await client.result("transaction_v1_broadcast", "0x00") is None
        assert await other.code("transaction_v1_stop", operations[0]) == errors.INVALID_PARAMS
        await rpc.author()
        await client.result("transaction_v1_stop", operations[0])
        assert await client.result("transaction_v1_broadcast", "0x00") is not None


async def test_a_watched_transaction_is_followed_to_finality(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    async with rpc.client() as client:
        subscription = await client.result("transactionWatch_v1_submitAndWatch", hexed(extrinsic))
        assert await client.next(subscription, WATCH_EVENT) == {"event": "validated"}
        head = await rpc.author()
        block = {"hash": hexed(head.hash), "index": 1}
        included = {"event": "bestChainBlockIncluded", "block": block}
        assert await client.next(subscription, WATCH_EVENT) == included
        assert await client.next(subscription, WATCH_EVENT) == {"event": "finalized", "block": block}
        assert await client.is_quiet()


@pytest.mark.parametrize("kind", ["malformed", "badly signed", "twice"])
async def test_a_refused_transaction_has_one_event_that_says_why(rpc: RpcNode, kind: str) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    if kind == "twice":
        rpc.node.transactions.submit(extrinsic)
    sent = {"malformed": extrinsic[:-1], "badly signed": extrinsic[:60] + b"\0" + extrinsic[61:], "twice": extrinsic}
    async with rpc.client() as client:
        subscription = await client.result("transactionWatch_v1_submitAndWatch", hexed(sent[kind]))
        refused = await client.next(subscription, WATCH_EVENT)
        assert refused["event"] == ("dropped" if kind == "twice" else "invalid")
        assert refused["error"]
        assert await client.is_quiet()


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (events.Retracted(BLOCK), {"event": "bestChainBlockIncluded", "block": None}),
        (events.FinalityTimeout(BLOCK), {"event": "dropped", "error": "its block was not finalized in time"}),
        (events.Usurped(OTHER), {"event": "invalid", "error": f"replaced by transaction {hexed(OTHER)}"}),
        (events.Invalid(), {"event": "invalid", "error": "it can no longer be included"}),
        (events.Broadcast(("peer",)), None),
        (events.Ready(), None),
    ],
)
def test_events_of_the_pool_have_the_newer_names(event: events.TransactionEvent, shown: Any) -> None:
    assert watch_event_json(event) == shown
