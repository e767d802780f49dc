"""One connection, against a server that answers late, wrongly, too much or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from wsproto.events import BytesMessage, CloseConnection, Pong

from node.client.connection import MAX_CALLS_AT_ONCE, Connection
from node.client.errors import BadAnswer, CallRefused, ConnectionLost, NoAnswer
from node.client.link import MAX_WAITING_ITEMS, Feed
from node.client.websocket import SILENCE_SECONDS, WebSocket, open_websocket
from tests.node.client.fake_node import Conversation, Script, fake_node


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
