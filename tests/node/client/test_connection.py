"""One connection and the link that replaces it, against a server that answers late, wrongly, too much or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from wsproto.events import BytesMessage, CloseConnection, Pong

from node.client.chain import BlockRef
from node.client.connection import MAX_CALLS_AT_ONCE, Connection
from node.client.errors import BadAnswer, CallRefused, ClientError, ConnectionLost, NoAnswer, WrongChain
from node.client.link import MAX_ATTEMPTS, MAX_WAITING_ITEMS, Feed
from node.client.remote import RemoteChain, open_remote
from node.client.websocket import SILENCE_SECONDS, WebSocket, open_websocket
from runtime.call import RuntimeCall
from tests.node.chain.conftest import ALICE
from tests.node.client.fake_node import GENESIS, GREETING, VERSION, Conversation, Script, fake_node
from tests.node.client.served import PATIENT


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[Connection]:
    async with fake_node(script) as url, open_websocket(url) as websocket, trio.open_nursery() as nursery:
        connection = Connection(websocket)
        nursery.start_soon(connection.run)
        yield connection
        connection.close()


# --- calls


async def test_answers_may_come_in_any_order() -> None:
    async def script(node: Conversation) -> None:
        requests = [await node.request() for _ in range(3)]
        for request in reversed(requests):
            await node.answer(request, request["params"][0])
        await node.request()

    found: list[int] = []
    async with connected(script) as connection, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            assert await connection.call("echo", number) == number
            found.append(number)

        for number in range(3):
            nursery.start_soon(ask, number)
    assert sorted(found) == [0, 1, 2]


async def test_no_more_calls_than_allowed_are_under_way() -> None:
    waiting = 0

    async def script(node: Conversation) -> None:
        nonlocal waiting
        requests = [await node.request() for _ in range(MAX_CALLS_AT_ONCE)]
        with trio.move_on_after(0.05):
            requests.append(await node.request())
        waiting = len(requests)
        while True:
            for request in requests:
                await node.answer(request, None)
            requests = [await node.request()]

    async with connected(script) as connection, trio.open_nursery() as nursery:
        for _ in range(2 * MAX_CALLS_AT_ONCE):
            nursery.start_soon(connection.call, "any")
    assert waiting == MAX_CALLS_AT_ONCE


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        ({"code": 4003, "message": "No", "data": "why"}, CallRefused, "the node refused (4003): No: why"),
        ({"code": -32601, "message": "No"}, CallRefused, "the node refused (-32601): No"),
        ({"code": 1}, CallRefused, "refused (1)"),
        ({"message": "No"}, BadAnswer, "none of JSON-RPC"),
        ("No", BadAnswer, "none of JSON-RPC"),
        ([1], BadAnswer, "none of JSON-RPC"),
    ],
)
async def test_an_error_answer_is_told_with_its_code(error: Any, kind: type[Exception], part: str) -> None:
    async def script(node: Conversation) -> None:
        while True:
            request = await node.request()
            await node.text(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}))

    async with connected(script) as connection:
        with pytest.raises(kind) as raised:
            await connection.call("any")
        assert part in str(raised.value)


async def test_a_slow_answer_is_given_up_and_ignored_when_it_comes() -> None:
    async def script(node: Conversation) -> None:
        slow, quick = await node.request(), await node.request()
        await node.answer(slow, "late")
        await node.answer(slow, "twice")
        await node.answer(quick, "in time")
        await node.request()

    async with connected(script) as connection:
        with pytest.raises(NoAnswer, match=r"did not answer slow within 0\.01 s"):
            await connection.call("slow", timeout_seconds=0.01)
        assert await connection.call("quick") == "in time"


@pytest.mark.parametrize(
    "message",
    ["", "no json", "[]", "5", "null", '"text"', "[" * 5_000, '{"method": "told"}', '{"method": "told", "params": []}'],
)
async def test_what_is_no_message_ends_the_connection(message: str) -> None:
    async def script(node: Conversation) -> None:
        await node.request()
        await node.text(message)
        await node.request()

    async with connected(script) as connection:
        with pytest.raises(ConnectionLost, match=r"no JSON-RPC message|no subscription"):
            await connection.call("any")
        with pytest.raises(ConnectionLost):
            await connection.call("any")


@pytest.mark.parametrize("identifier", [None, "1", 99, 1.5, [1], {}])
async def test_an_answer_to_nothing_is_ignored(identifier: Any) -> None:
    async def script(node: Conversation) -> None:
        request = await node.request()
        await node.text(json.dumps({"id": identifier, "result": "wrong"}))
        await node.answer(request, "right")
        await node.request()

    async with connected(script) as connection:
        assert await connection.call("any") == "right"


async def test_a_message_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.websocket.MAX_MESSAGE_BYTES", 1_000)

    async def script(node: Conversation) -> None:
        await node.request()
        for _ in range(3):
            await node.event(BytesMessage(data=bytes(500), message_finished=False))
        await node.request()

    async with connected(script) as connection:
        with pytest.raises(ConnectionLost, match="more than 1000 bytes"):
            await connection.call("any")


async def test_the_reason_of_a_close_is_told() -> None:
    async def script(node: Conversation) -> None:
        await node.request()
        await node.event(CloseConnection(code=1009, reason="a message holds at most 4 bytes"))

    async with connected(script) as connection:
        with pytest.raises(ConnectionLost, match="a message holds at most 4 bytes"):
            await connection.call("any")


async def test_a_server_that_speaks_no_websocket_is_told() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4_096)
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with pytest.raises(ConnectionLost, match="no WebSocket at this address"):
            async with open_websocket(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"):
                pass
        nursery.cancel_scope.cancel()


async def test_a_node_that_falls_silent_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    ours, _theirs = trio.testing.memory_stream_pair()
    websocket = WebSocket(ours)
    websocket._protocol = type("Open", (), {"send": lambda self, event: b"ping"})()
    with pytest.raises(ConnectionLost, match="has said nothing"):
        await websocket.watch_pulse()
    assert SILENCE_SECONDS < trio.current_time() < 2 * SILENCE_SECONDS


# --- subscriptions


async def subscribed(connection: Connection) -> Feed:
    feed = Feed(connection, "unsubscribe")
    await connection.subscribe("subscribe", feed.subscription)
    return feed


async def test_what_is_told_before_the_subscriptions_id_is_kept() -> None:
    async def script(node: Conversation) -> None:
        request = await node.request()
        for item in (1, 2):
            await node.notify("a", item)
            await node.notify("other", 9)
        await node.answer(request, "a")
        await node.notify("a", 3)
        await node.request()

    async with connected(script) as connection:
        feed = await subscribed(connection)
        assert [await feed.receive() for _ in range(3)] == [1, 2, 3]


async def test_items_of_other_subscriptions_go_nowhere() -> None:
    async def script(node: Conversation) -> None:
        await node.answer(await node.request(), 7)
        await node.notify(8, "wrong")
        await node.notify("seven", "wrong")
        await node.notify(7, "right")
        await node.event(Pong(b""))
        await node.request()

    async with connected(script) as connection:
        feed = await subscribed(connection)
        assert await feed.receive() == "right"


async def test_early_items_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.connection.MAX_EARLY_NOTIFICATIONS", 4)

    async def script(node: Conversation) -> None:
        request = await node.request()
        for item in range(20):
            await node.notify("a", item)
        await node.answer(request, "a")
        await node.request()

    async with connected(script) as connection:
        feed = await subscribed(connection)
        assert [await feed.receive() for _ in range(4)] == [16, 17, 18, 19]


async def test_a_feed_that_nobody_reads_ends() -> None:
    async def script(node: Conversation) -> None:
        await node.answer(await node.request(), "a")
        for item in range(MAX_WAITING_ITEMS + 1):
            await node.notify("a", item)
        await node.answer(await node.request(), None)
        await node.request()

    async with connected(script) as connection:
        feed = await subscribed(connection)
        await connection.call("any")
        for item in range(MAX_WAITING_ITEMS):
            assert await feed.receive() == item
        with pytest.raises(trio.EndOfChannel):
            await feed.receive()


async def test_a_lost_connection_ends_its_feeds() -> None:
    async def script(node: Conversation) -> None:
        await node.answer(await node.request(), "a")
        await node.notify("a", 1)

    async with connected(script) as connection:
        feed = await subscribed(connection)
        assert await feed.receive() == 1
        with pytest.raises(trio.EndOfChannel):
            await feed.receive()


async def test_closing_a_feed_unsubscribes() -> None:
    asked: list[Any] = []

    async def script(node: Conversation) -> None:
        await node.answer(await node.request(), "a")
        asked.append(await node.request())
        await node.answer(await node.request(), None)
        await node.request()

    async with connected(script) as connection:
        feed = await subscribed(connection)
        await feed.aclose()
        await feed.aclose()
        await connection.call("any")
    assert [(one["method"], one["params"]) for one in asked] == [("unsubscribe", ["a"])]


async def test_a_subscription_that_nobody_waited_for_is_ended_when_it_opens() -> None:
    asked: list[Any] = []

    async def script(node: Conversation) -> None:
        request = await node.request()
        await node.answer(await node.request(), None)
        await node.answer(request, "late")
        asked.append(await node.request())
        await node.answer(await node.request(), None)
        await node.request()

    async with connected(script) as connection:
        with trio.move_on_after(0.01) as gave_up:
            await subscribed(connection)
        assert gave_up.cancelled_caught
        await connection.call("any")
        await connection.call("any")
    assert [(one["method"], one["params"]) for one in asked] == [("unsubscribe", ["late"])]


# --- a link


async def test_a_read_is_asked_again_on_the_next_connection() -> None:
    async def script(node: Conversation) -> None:
        request = await node.greet()
        if node.number == 0:
            await node.text("garbage")
        await node.answer(request, "0x" + "07" * 2)
        await node.request()

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        assert await chain.storage(b"key") == b"\7\7"


async def test_a_read_over_which_every_connection_is_lost_is_given_up() -> None:
    asked = 0

    async def script(node: Conversation) -> None:
        nonlocal asked
        await node.greet()
        asked += 1

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        with pytest.raises(ConnectionLost, match=f"{MAX_ATTEMPTS} times"):
            await chain.storage(b"key")
    assert asked == MAX_ATTEMPTS


@pytest.mark.parametrize("method", ["chain_getBlockHash", "state_getRuntimeVersion", "state_getMetadata"])
@pytest.mark.parametrize("answer", [None, 5, "0xzz", [], {}, {"specName": 1}])
async def test_a_node_that_greets_badly_is_refused(method: str, answer: Any) -> None:
    async def script(node: Conversation) -> None:
        while True:
            request = await node.request()
            await node.answer(request, answer if request["method"] == method else GREETING[request["method"]])

    async with fake_node(script) as url:
        with pytest.raises(BadAnswer):
            async with open_remote(url):
                pass


@pytest.mark.parametrize("told", [None, 5, {}, {"specName": "x", "specVersion": "y", "transactionVersion": 1}])
async def test_a_runtime_version_that_is_none_ends_the_connection(told: Any) -> None:
    async def script(node: Conversation) -> None:
        request = await node.greet()
        if node.number == 0:
            await node.notify("version", told)
            await node.request()
        await node.answer(request, None)
        await node.request()

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        assert await chain.storage(b"key") is None


async def test_another_chain_at_the_same_address_is_not_the_same_chain() -> None:
    async def script(node: Conversation) -> None:
        while True:
            request = await node.request()
            is_genesis = request["method"] == "chain_getBlockHash" and node.number > 0
            if request["method"] not in GREETING:
                return
            await node.answer(request, "0x" + "22" * 32 if is_genesis else GREETING[request["method"]])

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        for _ in range(2):
            with pytest.raises(WrongChain, match="follows chain 0x2222"):
                await chain.storage(b"key")


async def test_the_node_tells_of_a_new_runtime_and_its_metadata_are_fetched() -> None:
    fetched = 0

    async def script(node: Conversation) -> None:
        nonlocal fetched
        while True:
            request = await node.request()
            fetched += request["method"] == "state_getMetadata"
            await node.answer(request, GREETING.get(request["method"]))
            if request["method"] == "state_subscribeRuntimeVersion":
                await node.notify("version", {**VERSION, "specVersion": 2})

    async with fake_node(script) as url, open_remote(url) as chain:
        while chain.version.spec_version != 2:
            await chain.storage(b"key")
        assert fetched == 1
        assert chain.constant("DatDot", "ContractSetSize") == 10
        assert fetched == 1
        await chain.refresh()
        await chain.refresh()
        assert fetched == 2


# --- nonsense

NONSENSE: tuple[Any, ...] = (
    None, True, 5, "0xzz", "text", [], {}, [None], [5], ["0xzz"], {"number": "x"}, {"block": 1},
    {"inBlock": 1}, GENESIS,
)  # fmt: skip
OPERATIONS: dict[str, Callable[[RemoteChain], Awaitable[Any]]] = {
    "query": lambda chain: chain.query("System", "Account", bytes(32)),
    "query at": lambda chain: chain.query("System", "Account", bytes(32), at=bytes(32)),
    "entries": lambda chain: chain.entries("System", "Account", 10),
    "entries at": lambda chain: chain.entries("System", "Account", 10, bytes(32)),
    "head": lambda chain: chain.head(),
    "finalized head": lambda chain: chain.head(finalized=True),
    "hashes": lambda chain: chain.hashes([1, 2]),
    "body": lambda chain: chain.body(bytes(32)),
    "block": lambda chain: chain.block(BlockRef(1, bytes(32))),
    "submit": lambda chain: chain.submit(REMARK, ALICE, timeout_seconds=0.05),
    "events": lambda chain: first_of(chain),
}
REMARK = RuntimeCall("System", "remark", {"remark": b""})


async def first_of(chain: RemoteChain) -> Any:
    with trio.move_on_after(0.05):
        async with aclosing(chain.events(0)) as events:
            return await anext(events)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_nonsense_gives_an_error_of_the_client_or_nothing(operation: str) -> None:
    answers: Iterator[Any] = iter(())

    async def script(node: Conversation) -> None:
        nonlocal answers
        request = await node.greet()
        while True:
            await node.answer(request, next(answers, None))
            request = await node.request()

    random = Random(operation)
    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        for answer in NONSENSE:
            answers = iter([answer] * 100)
            with suppress(ClientError):
                await OPERATIONS[operation](chain)
        for _ in range(40):
            answers = iter(random.choices((*NONSENSE, {"number": "0x1", "parentHash": GENESIS}), k=100))
            with suppress(ClientError):
                await OPERATIONS[operation](chain)
