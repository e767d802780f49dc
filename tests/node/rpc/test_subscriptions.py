"""Subscriptions: the first item, what follows, the end, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from node.chain.events import BlockImported
from node.rpc import errors
from node.rpc.limits import MAX_SUBSCRIPTIONS_PER_CONNECTION
from node.rpc.methods.author import FINALIZED_AFTER_SECONDS
from runtime.crypto import blake2_256, twox128
from tests.node.chain.conftest import ALICE, DAVE
from tests.node.rpc.conftest import RpcNode

NUMBER_KEY = "0x" + (twox128(b"System") + twox128(b"Number")).hex()
SUDO_KEY = "0x" + (twox128(b"Sudo") + twox128(b"Key")).hex()

SUBSCRIPTIONS: list[tuple[str, tuple[Any, ...], str, str]] = [
    ("chain_subscribeNewHeads", (), "chain_newHead", "chain_unsubscribeNewHeads"),
    ("chain_subscribeNewHead", (), "chain_newHead", "chain_unsubscribeNewHead"),
    ("chain_subscribeFinalizedHeads", (), "chain_finalizedHead", "chain_unsubscribeFinalizedHeads"),
    ("chain_subscribeAllHeads", (), "chain_allHead", "chain_unsubscribeAllHeads"),
    ("state_subscribeStorage", ([NUMBER_KEY],), "state_storage", "state_unsubscribeStorage"),
    ("state_subscribeRuntimeVersion", (), "state_runtimeVersion", "state_unsubscribeRuntimeVersion"),
    ("chain_subscribeRuntimeVersion", (), "state_runtimeVersion", "chain_unsubscribeRuntimeVersion"),
]


@pytest.mark.parametrize(("subscribe", "params", "notifies", "unsubscribe"), SUBSCRIPTIONS)
async def test_the_present_value_comes_first_and_nothing_after_unsubscribing(
    rpc: RpcNode, subscribe: str, params: tuple[Any, ...], notifies: str, unsubscribe: str
) -> None:
    async with rpc.client() as client:
        identifier = (await client.ask(subscribe, *params))["result"]
        assert await client.next(identifier, notifies)
        assert await client.is_quiet()
        assert (await client.ask(unsubscribe, identifier))["result"] is True
        await rpc.author(2)
        assert await client.is_quiet()
        assert (await client.ask(unsubscribe, identifier))["result"] is False


@pytest.mark.parametrize(("subscribe", "notifies"), [(one[0], one[2]) for one in SUBSCRIPTIONS[:4]])
async def test_heads_follow_the_chain_without_gaps(rpc: RpcNode, subscribe: str, notifies: str) -> None:
    await rpc.author()
    async with rpc.client() as client:
        identifier = (await client.ask(subscribe))["result"]
        assert (await client.next(identifier, notifies))["number"] == "0x1"
        for number in ("0x2", "0x3", "0x4"):
            await rpc.author()
            head = await client.next(identifier, notifies)
            assert head == await rpc.call("chain_getHeader")
            assert head["number"] == number


async def test_storage_tells_of_written_keys_only(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        identifier = (await client.ask("state_subscribeStorage", [NUMBER_KEY, SUDO_KEY]))["result"]
        first = await client.next(identifier, "state_storage")
        assert [key for key, _ in first["changes"]] == [NUMBER_KEY, SUDO_KEY]
        assert first["block"] == await rpc.call("chain_getBlockHash")
        head = await rpc.author()
        change = await client.next(identifier, "state_storage")
        assert change == {"block": f"0x{head.hash.hex()}", "changes": [[NUMBER_KEY, "0x01000000"]]}


async def test_a_key_written_with_the_same_value_is_told_again(rpc: RpcNode) -> None:
    events = "0x" + (twox128(b"System") + twox128(b"Events")).hex()
    async with rpc.client() as client:
        identifier = (await client.ask("state_subscribeStorage", [events]))["result"]
        await client.next(identifier, "state_storage")
        values = []
        for _ in range(2):
            await rpc.author()
            values.append((await client.next(identifier, "state_storage"))["changes"])
        assert values[0] == values[1]


async def test_a_storage_subscription_names_its_keys(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        for params in ([], [None], [[]], ["0x00"], [["0x0"]]):
            assert (await client.ask("state_subscribeStorage", *params))["error"]["code"] == errors.INVALID_PARAMS


async def test_a_transaction_is_followed_to_finality(rpc: RpcNode, autojump_clock: trio.testing.MockClock) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    async with rpc.client() as client:
        identifier = (await client.ask("author_submitAndWatchExtrinsic", f"0x{extrinsic.hex()}"))["result"]
        assert await client.next(identifier, "author_extrinsicUpdate") == "ready"
        block = f"0x{(await rpc.author()).hash.hex()}"
        assert await client.next(identifier, "author_extrinsicUpdate") == {"inBlock": block}
        included = trio.current_time()
        assert await client.next(identifier, "author_extrinsicUpdate") == {"finalized": block}
        assert trio.current_time() - included >= FINALIZED_AFTER_SECONDS
        assert await client.is_quiet()
        assert (await client.ask("author_unwatchExtrinsic", identifier))["result"] is False


async def test_a_future_and_a_replaced_transaction_say_so(rpc: RpcNode) -> None:
    later, better = (rpc.node.transfer(ALICE, DAVE, nonce=1, tip=tip) for tip in (0, 9))
    async with rpc.client() as client:
        identifier = (await client.ask("author_submitAndWatchExtrinsic", f"0x{later.hex()}"))["result"]
        assert await client.next(identifier, "author_extrinsicUpdate") == "future"
        by = await rpc.call("author_submitExtrinsic", f"0x{better.hex()}")
        assert await client.next(identifier, "author_extrinsicUpdate") == {"usurped": by}


async def test_unwatching_leaves_the_transaction_in_the_pool(rpc: RpcNode) -> None:
    extrinsic = f"0x{rpc.node.transfer(ALICE, DAVE).hex()}"
    async with rpc.client() as client:
        identifier = (await client.ask("author_submitAndWatchExtrinsic", extrinsic))["result"]
        await client.next(identifier, "author_extrinsicUpdate")
        assert (await client.ask("author_unwatchExtrinsic", identifier))["result"] is True
        assert await rpc.call("author_pendingExtrinsics") == [extrinsic]
        await rpc.author()
        assert await client.is_quiet()


async def test_a_refused_transaction_is_an_error_and_takes_no_place(rpc: RpcNode) -> None:
    bad = f"0x{rpc.node.transfer(ALICE, DAVE)[:-1].hex()}"
    async with rpc.client() as client:
        for _ in range(MAX_SUBSCRIPTIONS_PER_CONNECTION + 1):
            answer = await client.ask("author_submitAndWatchExtrinsic", bad)
            assert answer["error"]["code"] == errors.BAD_FORMAT
        assert (await client.ask("chain_subscribeNewHeads"))["result"]


async def test_subscriptions_of_a_connection_are_bounded(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        client.peer._subscriptions.update({str(n): trio.CancelScope() for n in range(MAX_SUBSCRIPTIONS_PER_CONNECTION)})
        answer = await client.ask("chain_subscribeNewHeads")
        assert answer["error"]["code"] == errors.TOO_MANY_SUBSCRIPTIONS


@pytest.mark.parametrize("params", [[], ["chain_newHead-0", 1], [None, None], {}])
async def test_unsubscribing_names_one_subscription(rpc: RpcNode, params: list[Any]) -> None:
    async with rpc.client() as client:
        assert (await client.ask("chain_unsubscribeNewHeads", *params))["error"]["code"] == errors.INVALID_PARAMS


async def test_plain_http_has_no_subscriptions(rpc: RpcNode) -> None:
    error = await rpc.error("chain_subscribeNewHeads")
    assert error["code"] == errors.METHOD_NOT_FOUND
    assert "WebSocket" in error["data"]


@pytest.mark.parametrize("subscribe", ["chain_subscribeNewHeads", "chain_subscribeFinalizedHeads"])
async def test_the_nodes_subscribers_are_limited(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch, subscribe: str) -> None:
    monkeypatch.setattr("node.chain.chain.MAX_SUBSCRIBERS", 1)
    async with rpc.client() as client:
        first = (await client.ask(subscribe))["result"]
        await client.next(first, "chain_newHead" if "New" in subscribe else "chain_finalizedHead")
        refused = await client.ask(subscribe)
        assert refused["error"]["code"] == errors.TOO_MANY_SUBSCRIPTIONS
        assert (await client.ask("chainHead_v1_follow", True))["error"]["code"] == errors.TOO_MANY_SUBSCRIPTIONS
        await client.result("transaction_v1_broadcast", "0x00")
        assert await client.is_quiet()
        assert (await client.ask("system_chain"))["result"] == "Test"


async def test_a_subscription_that_fails_ends_alone(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("broken")

    async with rpc.client() as client:
        identifier = (await client.ask("chain_subscribeNewHeads"))["result"]
        await client.next(identifier, "chain_newHead")
        monkeypatch.setattr("node.rpc.methods.chain.header_json", fail)
        await rpc.author()
        assert await client.failure(identifier) == {"code": errors.INTERNAL_ERROR, "message": "Internal error"}
        assert await client.is_quiet()
        assert (await client.ask("chain_unsubscribeNewHeads", identifier))["result"] is False
        assert (await client.ask("system_chain"))["result"] == "Test"


@pytest.mark.parametrize(
    ("subscribe", "params"),
    [
        ("chain_subscribeNewHeads", ()),
        ("chain_subscribeAllHeads", ()),
        ("chain_subscribeFinalizedHeads", ()),
        ("state_subscribeStorage", ([NUMBER_KEY],)),
        ("state_subscribeRuntimeVersion", ()),
    ],
)
async def test_a_subscription_that_lost_events_is_ended_with_an_error(
    rpc: RpcNode, monkeypatch: pytest.MonkeyPatch, subscribe: str, params: tuple[Any, ...]
) -> None:
    monkeypatch.setattr("node.chain.chain.SUBSCRIBER_EVENTS", 2)
    async with rpc.client() as client:
        identifier = (await client.ask(subscribe, *params))["result"]
        for _ in range(3):  # before the subscription's task runs
            rpc.node.chain._publish(BlockImported(rpc.node.best, False, ()))
        while "result" in (message := await client.message())["params"]:
            continue
        assert message["params"]["subscription"] == identifier
        assert message["params"]["error"]["message"].startswith("Subscription is too slow")
        assert await client.is_quiet()
        assert (await client.ask("chain_unsubscribeNewHeads", identifier))["result"] is False
        assert (await client.ask(subscribe, *params))["result"] != identifier


async def test_a_follow_that_lost_events_stops(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.chain.chain.SUBSCRIBER_EVENTS", 1)
    async with rpc.client() as client:
        identifier = (await client.ask("chainHead_v1_follow", False))["result"]
        for _ in range(3):
            rpc.node.chain._publish(BlockImported(rpc.node.best, False, ()))
        seen = [(await client.next(identifier, "chainHead_v1_followEvent"))["event"] for _ in range(3)]
        assert (seen[0], seen[-1]) == ("initialized", "stop")
        assert await client.is_quiet()


@pytest.mark.parametrize("watch", ["author_submitAndWatchExtrinsic", "transactionWatch_v1_submitAndWatch"])
async def test_a_watcher_that_lost_events_is_told(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch, watch: str) -> None:
    monkeypatch.setattr("node.chain.transactions.WATCH_EVENTS", 1)
    extrinsic = f"0x{rpc.node.transfer(ALICE, DAVE).hex()}"
    async with rpc.client() as client:
        assert (await client.ask(watch, extrinsic))["result"]
        await client.message()
        for _ in range(4):
            rpc.node.transactions.broadcast(blake2_256(bytes.fromhex(extrinsic[2:])), ["peer"])
        while "broadcast" in str(message := await client.message()):
            continue
        assert "Subscription is too slow" in str(message)
        assert await client.is_quiet()


async def test_no_block_is_missed_between_answer_and_first_item(rpc: RpcNode) -> None:
    async with rpc.client() as client:
        identifier = (await client.ask("chain_subscribeNewHeads"))["result"]
        await rpc.author()  # before the subscription's task has run
        assert (await client.next(identifier, "chain_newHead"))["number"] == "0x0"
        assert (await client.next(identifier, "chain_newHead"))["number"] == "0x1"
