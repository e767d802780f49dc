"""`chainHead_v1_*`: the order of the follow's events, what a pin is worth, operations, and every limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from node.rpc import errors
from node.rpc.limits import MAX_FOLLOWS_PER_CONNECTION, MAX_OPERATIONS_PER_FOLLOW, MAX_PIN_SECONDS
from runtime.crypto import blake2_256, twox128
from runtime.header import Header
from tests.node.chain.conftest import ALICE, AUTHORITIES, DAVE, SLOT_MS, Node
from tests.node.rpc.conftest import WINDOW_BLOCKS, RpcClient, RpcNode

FOLLOW_EVENT = "chainHead_v1_followEvent"
SYSTEM = "0x" + twox128(b"System").hex()
NUMBER_KEY = SYSTEM + twox128(b"Number").hex()
ACCOUNTS = SYSTEM + twox128(b"Account").hex()
UNKNOWN = "0x" + "11" * 32


def hexed(header: Header) -> str:
    return f"0x{header.hash.hex()}"


class Following:
    """A client with one follow."""

    def __init__(self, client: RpcClient, subscription: str) -> None:
        self.client, self.subscription = client, subscription

    async def next(self, event: str) -> Any:
        """The next event, which must be of this kind."""
        found = await self.client.next(self.subscription, FOLLOW_EVENT)
        assert found.pop("event") == event, found
        return found

    async def ask(self, name: str, *params: Any) -> Any:
        return await self.client.result(f"chainHead_v1_{name}", self.subscription, *params)

    async def code(self, name: str, *params: Any) -> int:
        return await self.client.code(f"chainHead_v1_{name}", self.subscription, *params)

    async def operate(self, name: str, *params: Any) -> str:
        started = await self.ask(name, *params)
        assert started["result"] == "started", started
        operation: str = started["operationId"]
        return operation

    async def answer(self, event: str, name: str, *params: Any) -> Any:
        """The only event of an operation, without its id."""
        operation = await self.operate(name, *params)
        found = await self.next(event)
        assert found.pop("operationId") == operation
        return found


@asynccontextmanager
async def following(rpc: RpcNode, *, with_runtime: bool = True) -> AsyncIterator[tuple[Following, str]]:
    """A follow whose first events are read, and the hash of its finalized block, which is the best one, too."""
    async with rpc.client() as client:
        follow = Following(client, await client.result("chainHead_v1_follow", with_runtime))
        (finalized,) = (await follow.next("initialized"))["finalizedBlockHashes"]
        await follow.next("bestBlockChanged")
        yield follow, finalized


async def test_a_follow_begins_with_the_finalized_block_and_its_runtime(rpc: RpcNode) -> None:
    head = await rpc.author()
    async with rpc.client() as client:
        follow = Following(client, await client.result("chainHead_v1_follow", True))
        initialized = await follow.next("initialized")
        assert initialized["finalizedBlockHashes"] == [hexed(head)]
        spec = initialized["finalizedBlockRuntime"]["spec"]
        assert initialized["finalizedBlockRuntime"]["type"] == "valid"
        assert (spec["specName"], spec["specVersion"]) == ("datdot", rpc.node.runtime.version.spec_version)
        assert spec["apis"] == {f"0x{api.hex()}": version for api, version in rpc.node.runtime.version.apis}
        assert (await follow.next("bestBlockChanged"))["bestBlockHash"] == hexed(head)
        assert await client.is_quiet()


async def test_a_block_is_new_then_best_then_finalized(rpc: RpcNode) -> None:
    async with following(rpc) as (follow, genesis):
        block = hexed(await rpc.author())
        new = await follow.next("newBlock")
        assert new == {"blockHash": block, "parentBlockHash": genesis, "newRuntime": None}
        assert await follow.next("bestBlockChanged") == {"bestBlockHash": block}
        assert await follow.next("finalized") == {"finalizedBlockHashes": [block], "prunedBlockHashes": []}


async def test_blocks_that_come_before_the_first_event_is_sent_are_told_in_their_order(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        follow = Following(client, await client.result("chainHead_v1_follow", False))
        genesis = f"0x{rpc.node.store.genesis_hash.hex()}"
        blocks = [hexed(await rpc.author()) for _ in range(2)]
        assert (await follow.next("initialized"))["finalizedBlockHashes"] == [genesis]
        assert (await follow.next("bestBlockChanged"))["bestBlockHash"] == genesis
        for parent, block in zip([genesis, *blocks], blocks, strict=False):
            assert await follow.next("newBlock") == {"blockHash": block, "parentBlockHash": parent}
            assert (await follow.next("bestBlockChanged"))["bestBlockHash"] == block
            assert (await follow.next("finalized"))["finalizedBlockHashes"] == [block]


async def test_without_runtime_no_event_names_one_and_calls_are_refused(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        follow = Following(client, await client.result("chainHead_v1_follow", False))
        initialized = await follow.next("initialized")
        assert set(initialized) == {"finalizedBlockHashes"}
        await follow.next("bestBlockChanged")
        await rpc.author()
        assert set(await follow.next("newBlock")) == {"blockHash", "parentBlockHash"}
        block = initialized["finalizedBlockHashes"][0]
        assert await follow.code("call", block, "Core_version", "0x") == errors.INVALID_RUNTIME_CALL


async def test_forks_are_told_and_pruned_when_they_lose(tmp_path: Path) -> None:
    rpc = RpcNode(tmp_path / "one", AUTHORITIES)
    other = Node(tmp_path / "two", rpc.clock, spec=rpc.spec)
    try:
        genesis = f"0x{rpc.node.store.genesis_hash.hex()}"
        rpc.clock.time_ms += SLOT_MS
        loser = await other.author.author_block()
        assert loser is not None
        winner = await rpc.author()
        await rpc.node.receive(other.block(loser.hash))
        async with rpc.client() as client:
            follow = Following(client, await client.result("chainHead_v1_follow", False))
            await follow.next("initialized")
            told = [(await follow.next("newBlock"))["blockHash"] for _ in range(2)]
            assert set(told) == {hexed(winner), hexed(loser)}
            assert (await follow.next("bestBlockChanged"))["bestBlockHash"] == hexed(winner)
            finalized: list[str] = []
            pruned: list[str] = []
            while not finalized:
                parent = hexed(rpc.node.best)
                block = hexed(await rpc.author())
                assert await follow.next("newBlock") == {"blockHash": block, "parentBlockHash": parent}
                assert await follow.next("bestBlockChanged") == {"bestBlockHash": block}
                if rpc.node.chain.finalized.number:
                    event = await follow.next("finalized")
                    finalized, pruned = event["finalizedBlockHashes"], event["prunedBlockHashes"]
            assert finalized[0] == hexed(winner)
            assert pruned == [hexed(loser)]
            assert await follow.ask("header", hexed(loser)) == f"0x{loser.encode().hex()}"
            assert genesis not in finalized
    finally:
        other.store.close()
        rpc.node.store.close()


async def test_a_pinned_block_gives_its_header_and_body(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    rpc.node.transactions.submit(extrinsic)
    head = await rpc.author()
    async with following(rpc) as (follow, block):
        assert await follow.ask("header", block) == f"0x{head.encode().hex()}"
        body = await follow.answer("operationBodyDone", "body", block)
        assert body["value"][1] == f"0x{extrinsic.hex()}"
        assert len(body["value"]) == 2


async def test_a_call_is_done_at_its_block_or_says_why_not(rpc: RpcNode) -> None:
    account = f"0x{ALICE.account_id.hex()}"
    name = "AccountNonceApi_account_nonce"
    async with following(rpc) as (follow, block):
        rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
        await rpc.author()
        for event in ("newBlock", "bestBlockChanged", "finalized"):
            await follow.next(event)
        assert await follow.answer("operationCallDone", "call", block, name, account) == {"output": "0x00000000"}
        assert "Core_no" in (await follow.answer("operationError", "call", block, "Core_no", "0x"))["error"]
        assert name in (await follow.answer("operationError", "call", block, name, "0x00"))["error"]


@pytest.mark.parametrize("kind", ["value", "hash"])
async def test_single_entries_are_told_and_absent_ones_left_out(rpc: RpcNode, kind: str) -> None:
    await rpc.author(3)
    shown = "0x03000000" if kind == "value" else "0x" + blake2_256(bytes([3, 0, 0, 0])).hex()
    async with following(rpc) as (follow, block):
        items = [{"key": NUMBER_KEY, "type": kind}, {"key": UNKNOWN, "type": kind}]
        found = await follow.answer("operationStorageItems", "storage", block, items)
        assert found["items"] == [{"key": NUMBER_KEY, kind: shown}]
        await follow.next("operationStorageDone")
        assert await follow.client.is_quiet()


async def test_descendants_are_all_entries_of_a_map(rpc: RpcNode) -> None:
    keys = await rpc.call("state_getKeysPaged", ACCOUNTS, 1_000)
    async with following(rpc) as (follow, block):
        for kind, field in (("descendantsValues", "value"), ("descendantsHashes", "hash")):
            found = await follow.answer("operationStorageItems", "storage", block, [{"key": ACCOUNTS, "type": kind}])
            assert [item["key"] for item in found["items"]] == keys
            assert all(set(item) == {"key", field} for item in found["items"])
            await follow.next("operationStorageDone")


async def test_a_child_trie_is_empty(rpc: RpcNode) -> None:
    async with following(rpc) as (follow, block):
        await follow.answer("operationStorageDone", "storage", block, [{"key": NUMBER_KEY, "type": "value"}], "0x01")


async def test_the_merkle_value_changes_with_the_entries_below_and_only_with_them(rpc: RpcNode) -> None:
    async def merkle_value(key: str) -> Any:
        items = [{"key": key, "type": "closestDescendantMerkleValue"}]
        async with following(rpc) as (follow, block):
            found = await follow.answer("operationStorageItems", "storage", block, items)
            return found["items"][0]["closestDescendantMerkleValue"]

    sudo = "0x" + twox128(b"Sudo").hex()
    accounts, keys = await merkle_value(ACCOUNTS), await merkle_value(sudo)
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
    await rpc.author()
    assert await merkle_value(ACCOUNTS) != accounts
    assert await merkle_value(sudo) == keys


async def test_a_long_answer_waits_for_continue(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.methods.chain_head.STORAGE_ITEMS_PER_PAGE", 2)
    keys = await rpc.call("state_getKeysPaged", ACCOUNTS, 1_000)
    assert len(keys) > 2
    async with following(rpc) as (follow, block):
        items = [{"key": ACCOUNTS, "type": "descendantsHashes"}]
        operation = await follow.operate("storage", block, items)
        seen: list[str] = []
        while len(seen) < len(keys):
            seen.extend(item["key"] for item in (await follow.next("operationStorageItems"))["items"])
            if len(seen) % 2 == 0:
                assert await follow.next("operationWaitingForContinue") == {"operationId": operation}
                assert await follow.client.is_quiet()
                await follow.ask("continue", operation)
        await follow.next("operationStorageDone")
        assert seen == keys
        assert await follow.ask("continue", operation) is None


async def test_an_operation_that_does_not_wait_cannot_be_continued(rpc: RpcNode) -> None:
    async with following(rpc) as (follow, block):
        operation = await follow.operate("body", block)
        assert await follow.code("continue", operation) == errors.INVALID_CONTINUE
        await follow.next("operationBodyDone")


async def test_a_stopped_operation_says_nothing_more(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.methods.chain_head.STORAGE_ITEMS_PER_PAGE", 1)
    async with following(rpc) as (follow, block):
        operation = await follow.operate("storage", block, [{"key": ACCOUNTS, "type": "descendantsHashes"}])
        await follow.next("operationStorageItems")
        await follow.next("operationWaitingForContinue")
        await follow.ask("stopOperation", operation)
        await follow.ask("continue", operation)
        await follow.ask("stopOperation", operation)
        assert await follow.client.is_quiet()
        silent = await follow.operate("body", block)
        await follow.ask("stopOperation", silent)
        assert await follow.client.is_quiet()


async def test_operations_are_limited(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.methods.chain_head.STORAGE_ITEMS_PER_PAGE", 1)
    async with following(rpc) as (follow, block):
        items = [{"key": ACCOUNTS, "type": "descendantsHashes"}]
        for _ in range(MAX_OPERATIONS_PER_FOLLOW):
            operation = await follow.operate("storage", block, items)
        for name, params in (("storage", (items,)), ("body", ()), ("call", ("Core_version", "0x"))):
            assert await follow.ask(name, block, *params) == {"result": "limitReached"}
        await follow.ask("stopOperation", operation)
        await follow.operate("body", block)


async def test_only_pinned_blocks_are_answered(rpc: RpcNode) -> None:
    async with following(rpc) as (follow, block):
        assert await follow.code("header", UNKNOWN) == errors.INVALID_BLOCK
        assert await follow.code("unpin", [block, UNKNOWN]) == errors.INVALID_BLOCK
        assert await follow.code("unpin", [block, block]) == errors.DUPLICATE_HASHES
        assert await follow.ask("unpin", block) is None
        assert await follow.code("unpin", block) == errors.INVALID_BLOCK
        for name, params in (("header", ()), ("body", ()), ("call", ("Core_version", "0x")), ("storage", ([],))):
            assert await follow.code(name, block, *params) == errors.INVALID_BLOCK


@pytest.mark.parametrize(
    "items",
    [
        "0x00",
        [1],
        [{"key": "0x00"}],
        [{"key": "0x0", "type": "value"}],
        [{"key": "0x00", "type": "values"}],
        [{"key": "0x00", "type": 1}],
        [{"key": "0x00", "type": "value", "more": 1}],
        [{"key": "0x00", "type": "value", "paginationStartKey": "0x00"}],
    ],
)
async def test_malformed_storage_items_are_refused(rpc: RpcNode, items: Any) -> None:
    async with following(rpc) as (follow, block):
        assert await follow.code("storage", block, items) == errors.INVALID_PARAMS


async def test_what_belongs_to_no_follow_is_answered_with_nothing(rpc: RpcNode) -> None:
    async with following(rpc) as (follow, block):
        await follow.client.result("chainHead_v1_unfollow", follow.subscription)
        await follow.client.is_quiet()
        assert await follow.ask("header", block) is None
        assert await follow.ask("unpin", block) is None
        assert await follow.ask("continue", "1") is None
        assert await follow.ask("stopOperation", "1") is None
        for name, params in (("body", ()), ("call", ("Core_version", "0x")), ("storage", ([],))):
            assert await follow.ask(name, block, *params) == {"result": "limitReached"}


async def test_follows_are_limited_and_free_again_when_ended(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        ids = []
        for _ in range(MAX_FOLLOWS_PER_CONNECTION):
            ids.append(await client.result("chainHead_v1_follow", False))
            await client.next(ids[-1], FOLLOW_EVENT)
            await client.next(ids[-1], FOLLOW_EVENT)
        assert await client.code("chainHead_v1_follow", False) == errors.REACHED_LIMITS
        async with rpc.client() as other:
            await other.result("chainHead_v1_follow", False)
        assert await client.result("chainHead_v1_unfollow", ids[0]) is True
        assert await client.is_quiet()
        await client.result("chainHead_v1_follow", False)


async def test_the_family_needs_a_lasting_connection(rpc: RpcNode) -> None:
    for name, params in (("chainHead_v1_follow", [True]), ("chainHead_v1_header", ["x", UNKNOWN])):
        error = await rpc.error(name, *params)
        assert error["code"] == errors.METHOD_NOT_FOUND
        assert "WebSocket" in error["data"]


async def test_a_follow_that_holds_too_many_blocks_is_stopped(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.follow.MAX_PINNED_BLOCKS", 3)
    async with following(rpc) as (follow, genesis):
        for _ in range(2):
            await rpc.author()
            for event in ("newBlock", "bestBlockChanged", "finalized"):
                await follow.next(event)
        await rpc.author()
        assert await follow.next("stop") == {}
        assert await follow.client.is_quiet()
        assert await follow.ask("body", genesis) == {"result": "limitReached"}
        again = Following(follow.client, await follow.client.result("chainHead_v1_follow", True))
        await again.next("initialized")


async def test_a_client_that_unpins_can_follow_for_ever(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.follow.MAX_PINNED_BLOCKS", 2)
    async with following(rpc) as (follow, held):
        for _ in range(5):
            block = hexed(await rpc.author())
            for event in ("newBlock", "bestBlockChanged", "finalized"):
                await follow.next(event)
            await follow.ask("unpin", [held])
            held = block


async def test_who_holds_blocks_longest_makes_room(
    rpc: RpcNode, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("node.rpc.follow.MAX_PINNED_BLOCKS", 2)
    async with following(rpc) as (idle, _):
        await rpc.author()
        for event in ("newBlock", "bestBlockChanged", "finalized"):
            await idle.next(event)
        await trio.sleep(MAX_PIN_SECONDS + 1)
        async with rpc.client() as client:
            lively = Following(client, await client.result("chainHead_v1_follow", False))
            await lively.next("initialized")
            await lively.next("bestBlockChanged")
            await rpc.author()
            await lively.next("newBlock")
            assert await idle.next("stop") == {}


async def test_a_follow_stops_when_finality_is_too_far_behind(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.follow.MAX_LAG_BLOCKS", -1)
    async with rpc.client() as client:
        follow = Following(client, await client.result("chainHead_v1_follow", False))
        assert await follow.next("stop") == {}
        assert await client.is_quiet()


async def test_a_state_that_is_given_up_is_inaccessible_though_pinned(rpc: RpcNode) -> None:
    async with following(rpc) as (follow, block):
        await rpc.author(WINDOW_BLOCKS + 2)
        for _ in range(WINDOW_BLOCKS + 2):
            for event in ("newBlock", "bestBlockChanged", "finalized"):
                await follow.next(event)
        items = [{"key": NUMBER_KEY, "type": "value"}]
        await follow.answer("operationInaccessible", "storage", block, items)
        await follow.answer("operationInaccessible", "call", block, "Core_version", "0x")
        await follow.answer("operationBodyDone", "body", block)
