"""The JSON-RPC port as a client sees it, over real sockets on loopback."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from node.rpc import errors, limits
from node.rpc.errors import RpcError
from node.rpc.parameters import Hash, Number
from node.rpc.registry import Registry, method, subscription
from node.rpc.server import Page, RpcConfig, RpcServer, open_port

TOKEN = "a-long-token"


class Echo:
    """A few methods that show every way a method can be declared."""

    def __init__(self) -> None:
        self.released = trio.Event()

    @method("test_add", "test_plus")
    def add(self, left: Number, right: Number = 1) -> int:
        """Adds."""
        return left + (1 if right is None else right)

    @method("test_slow")
    async def slow(self) -> str:
        await self.released.wait()
        return "done"

    @method("test_hash")
    def hash_of(self, hash: Hash) -> str:
        return hash.hex()

    @method("test_refuse")
    def refuse(self) -> None:
        raise RpcError(1010, "Invalid Transaction", "Transaction is outdated")

    @method("test_break")
    def break_down(self) -> None:
        raise RuntimeError("a secret detail")

    @method("test_unencodable")
    def unencodable(self) -> int:
        return 2**70

    @method("test_unsafe", unsafe=True)
    def unsafe(self) -> str:
        return "trusted"

    @subscription("test_subscribe", "test_unsubscribe", notifies="test_count")
    async def count(self, upto: Number) -> AsyncIterator[int]:
        for number in range(upto):
            yield number
            await trio.lowlevel.checkpoint()


    @method("test_pause")
    async def pause(self) -> None:
        """Gives other tasks their turn."""
        for _ in range(10):
            await trio.lowlevel.checkpoint()

    @subscription("test_subscribeRelease", "test_unsubscribeRelease", notifies="test_release")
    async def release(self) -> AsyncIterator[str]:
        yield "waiting"
        await self.released.wait()

    @subscription("test_subscribeFailing", "test_unsubscribeFailing", notifies="test_failing")
    async def failing(self) -> AsyncIterator[str]:
        yield "first"
        raise RpcError(errors.INTERNAL_ERROR, "too slow")


@asynccontextmanager
async def serving(config: RpcConfig | None = None) -> AsyncIterator[tuple[int, Echo]]:
    registry, echo = Registry(), Echo()
    registry.add(echo)
    server = RpcServer(registry, config or RpcConfig(token=TOKEN), {"/page": lambda: Page(b"hello")})
    listeners = await open_port("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listeners)
        yield listeners[0].socket.getsockname()[1], echo
        nursery.cancel_scope.cancel()


async def exchange(port: int, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends one raw HTTP request and reads the whole answer until the body's length is reached."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(raw)
        data = b""
        with trio.fail_after(5):
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some() or pytest.fail(f"connection ended after {data!r}")
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
            while len(body) < int(headers["content-length"]):
                body += await stream.receive_some()
    return int(lines[0].split()[1]), headers, body


def post(body: bytes, *extra: str, host: str = "127.0.0.1") -> bytes:
    lines = ["POST / HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *extra]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def call(port: int, name: str, *params: Any, headers: tuple[str, ...] = ()) -> Any:
    request = {"jsonrpc": "2.0", "id": 7, "method": name, "params": list(params)}
    _, _, body = await exchange(port, post(json.dumps(request).encode(), *headers))
    return json.loads(body)


async def test_a_call_is_answered_with_its_id() -> None:
    async with serving() as (port, _):
        assert await call(port, "test_add", 2, "0x03") == {"jsonrpc": "2.0", "id": 7, "result": 5}
        assert (await call(port, "test_plus", 2))["result"] == 3
        assert (await call(port, "test_add", 2, None, None))["result"] == 3


async def test_parameters_go_by_name_as_well() -> None:
    async with serving() as (port, _):
        request = json.dumps({"jsonrpc": "2.0", "id": "x", "method": "test_add", "params": {"left": 1, "right": 4}})
        _, _, body = await exchange(port, post(request.encode()))
        assert json.loads(body) == {"jsonrpc": "2.0", "id": "x", "result": 5}


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("test_nothing", [], errors.METHOD_NOT_FOUND),
        ("test_add", [], errors.INVALID_PARAMS),
        ("test_add", ["two"], errors.INVALID_PARAMS),
        ("test_add", [-1], errors.INVALID_PARAMS),
        ("test_add", [True], errors.INVALID_PARAMS),
        ("test_add", [1, 2, 3], errors.INVALID_PARAMS),
        ("test_add", ["1_0"], errors.INVALID_PARAMS),
        ("test_add", [" 1"], errors.INVALID_PARAMS),
        ("test_add", ["0x"], errors.INVALID_PARAMS),
        ("test_add", ["9" * 5_000], errors.INVALID_PARAMS),
        ("test_hash", ["0x" + "12 " * 32], errors.INVALID_PARAMS),
        ("test_hash", ["0x12"], errors.INVALID_PARAMS),
        ("test_hash", ["0xzz"], errors.INVALID_PARAMS),
        ("test_refuse", [], 1010),
        ("test_break", [], errors.INTERNAL_ERROR),
        ("test_unencodable", [], errors.INTERNAL_ERROR),
        ("test_unsafe", [], errors.UNSAFE_CALL),
        ("test_subscribe", [1], errors.METHOD_NOT_FOUND),
    ],
)
async def test_mistakes_are_answered_with_their_code(name: str, params: list[Any], code: int) -> None:
    async with serving() as (port, _):
        error = (await call(port, name, *params))["error"]
        assert error["code"] == code
        assert "secret detail" not in json.dumps(error)
        assert (await call(port, "test_add", 1))["result"] == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'{"method":1}', b'{"method":"test_add","id":[]}', b"\xff"])
async def test_malformed_requests_are_refused(body: bytes) -> None:
    async with serving() as (port, _):
        _, _, answer = await exchange(port, post(body))
        assert json.loads(answer)["error"]["code"] in (errors.PARSE_ERROR, errors.INVALID_REQUEST)


async def test_a_batch_is_answered_in_order_and_notifications_are_not() -> None:
    async with serving() as (port, _):
        calls = [{"id": n, "method": "test_add", "params": [n]} for n in range(3)]
        batch = [*calls, {"method": "test_add", "params": [9]}, {"id": 3, "method": "test_nothing"}]
        _, _, body = await exchange(port, post(json.dumps(batch).encode()))
        answers = json.loads(body)
        assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
        assert [answer["result"] for answer in answers[:3]] == [1, 2, 3]


async def test_a_batch_over_the_limit_is_refused_whole() -> None:
    async with serving() as (port, _):
        batch = [{"id": 1, "method": "test_add", "params": [1]}] * (limits.MAX_BATCH_CALLS + 1)
        _, _, body = await exchange(port, post(json.dumps(batch).encode()))
        error = json.loads(body)["error"]
        assert (error["code"], error["message"]) == (-32010, "The batch request was too large")
        assert error["data"] == f"Exceeded max limit of {limits.MAX_BATCH_CALLS}"


async def test_answers_over_the_limit_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.jsonrpc.MAX_RESPONSE_BYTES", 99)
    calls = [{"id": number, "method": "test_hash", "params": ["0x" + "00" * 32]} for number in range(2)]
    async with serving() as (port, _):
        for request, code, identifier in ((calls[1], -32008, 1), (calls, -32011, None)):
            _, _, body = await exchange(port, post(json.dumps(request).encode()))
            answer = json.loads(body)
            assert (answer["error"]["code"], answer["id"]) == (code, identifier)
        assert (await call(port, "test_add", 1))["result"] == 2


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"method":"test_add","params":['])
async def test_what_is_nested_too_deeply_is_no_json(opening: bytes) -> None:
    async with serving() as (port, _):
        _, _, body = await exchange(port, post(opening * 100_000))
        assert json.loads(body)["error"]["code"] == errors.PARSE_ERROR
        _, _, body = await exchange(port, post(b"[" * 500 + b"]" * 500))
        assert "error" in json.dumps(json.loads(body))
        assert (await call(port, "test_add", 1))["result"] == 2


async def test_a_subscription_that_fails_ends_with_its_error() -> None:
    async with serving() as (port, _), websocket(port) as connection:
        identifier = (await ask(connection, "test_subscribeFailing"))["result"]
        assert json.loads(await connection.get_message())["params"]["result"] == "first"
        ended = json.loads(await connection.get_message())
        assert (ended["method"], ended["params"]["subscription"]) == ("test_failing", identifier)
        assert ended["params"]["error"] == {"code": -32603, "message": "too slow"}
        assert (await ask(connection, "test_unsubscribeFailing", identifier))["result"] is False


async def test_unsafe_methods_want_the_token() -> None:
    async with serving() as (port, _):
        assert (await call(port, "test_unsafe", headers=(f"Authorization: Bearer {TOKEN}",)))["result"] == "trusted"
        wrong = await call(port, "test_unsafe", headers=("Authorization: Bearer other",))
        assert wrong["error"]["code"] == errors.UNSAFE_CALL


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [(None, True), ("http://localhost:3000", True), ("https://apps.example", False), ("null", False)],
)
async def test_programs_of_this_machine_may_be_trusted_but_no_foreign_page(origin: str | None, trusted: bool) -> None:
    headers = () if origin is None else (f"Origin: {origin}",)
    async with serving(RpcConfig(origins=frozenset({"*"}), trusts_this_machine=True)) as (port, _):
        assert ("result" in await call(port, "test_unsafe", headers=headers)) is trusted
    async with serving(RpcConfig(origins=frozenset({"*"}))) as (port, _):
        assert "error" in await call(port, "test_unsafe", headers=headers)
        assert "error" in await call(port, "test_unsafe", headers=("Authorization: Bearer",))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(b"{}", host="evil.example"), 403),
        (post(b"{}", "Origin: https://evil.example"), 403),
        (b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
    ],
)
async def test_requests_that_may_not_pass_are_refused(request_bytes: bytes, status: int) -> None:
    async with serving() as (port, _):
        assert (await exchange(port, request_bytes))[0] == status


async def test_an_oversized_request_is_answered_although_it_was_not_read() -> None:
    body = bytes(3 * limits.MAX_BODY_BYTES)
    async with serving() as (port, _):
        status, _, reason = await exchange(port, post(body))
    assert status == 413
    assert str(limits.MAX_BODY_BYTES).encode() in reason


async def test_pages_and_allowed_origins_are_served() -> None:
    async with serving(RpcConfig(origins=frozenset({"https://apps.example"}))) as (port, _):
        assert (await exchange(port, b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"))[2] == b"hello"
        status, headers, _ = await exchange(port, post(b"{}", "Origin: https://apps.example"))
        assert (status, headers["access-control-allow-origin"]) == (200, "https://apps.example")
        preflight = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n\r\n"
        assert (await exchange(port, preflight))[1]["access-control-allow-origin"] == "http://localhost:3000"


@asynccontextmanager
async def websocket(port: int, **options: Any) -> AsyncIterator[WebSocketConnection]:
    async with open_websocket_url(f"ws://127.0.0.1:{port}", **options) as connection:
        with trio.fail_after(10):
            yield connection


async def ask(connection: WebSocketConnection, name: str, *params: Any) -> Any:
    await connection.send_message(json.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": list(params)}))
    return json.loads(await connection.get_message())


async def test_a_subscription_is_acknowledged_before_its_first_item() -> None:
    async with serving() as (port, _), websocket(port) as connection:
        identifier = (await ask(connection, "test_subscribe", 3))["result"]
        assert isinstance(identifier, str)
        for number in range(3):
            notification = json.loads(await connection.get_message())
            assert notification["method"] == "test_count"
            assert notification["params"] == {"subscription": identifier, "result": number}


async def test_subscriptions_of_a_batch_are_answered_in_it_before_their_first_items() -> None:
    calls: list[tuple[str, list[int]]] = [
        ("test_subscribe", [2]),
        ("test_pause", []),
        ("test_subscribe", [1]),
        ("test_add", [1]),
    ]
    batch = [{"id": place, "method": name, "params": params} for place, (name, params) in enumerate(calls)]
    async with serving() as (port, _), websocket(port) as connection:
        await connection.send_message(json.dumps(batch))
        answers = json.loads(await connection.get_message())
        assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
        counted = [json.loads(await connection.get_message())["params"] for _ in range(3)]
    first, second = answers[0]["result"], answers[2]["result"]
    assert [one["result"] for one in counted if one["subscription"] == first] == [0, 1]
    assert [one["result"] for one in counted if one["subscription"] == second] == [0]


async def test_a_subscription_is_ended_by_its_own_method_only() -> None:
    async with serving() as (port, _), websocket(port) as connection:
        identifier = (await ask(connection, "test_subscribeRelease"))["result"]
        assert json.loads(await connection.get_message())["params"]["result"] == "waiting"
        assert (await ask(connection, "test_unsubscribe", identifier))["result"] is False
        assert (await ask(connection, "test_unsubscribeRelease", identifier))["result"] is True


async def test_unsubscribing_ends_the_stream_once() -> None:
    async with serving() as (port, _), websocket(port) as connection:
        identifier = (await ask(connection, "test_subscribe", 1_000_000))["result"]
        await connection.send_message(json.dumps({"id": 2, "method": "test_unsubscribe", "params": [identifier]}))
        while "id" not in (answer := json.loads(await connection.get_message())):
            pass
        assert answer == {"jsonrpc": "2.0", "id": 2, "result": True}
        assert (await ask(connection, "test_unsubscribe", identifier))["result"] is False


async def test_a_slow_call_does_not_hold_up_the_others() -> None:
    async with serving() as (port, echo), websocket(port) as connection:
        await connection.send_message(json.dumps({"id": 1, "method": "test_slow"}))
        await connection.send_message(json.dumps({"id": 2, "method": "test_add", "params": [1]}))
        assert json.loads(await connection.get_message())["id"] == 2
        echo.released.set()
        assert json.loads(await connection.get_message())["id"] == 1


@asynccontextmanager
async def raw_websocket(port: int) -> AsyncIterator[trio.SocketStream]:
    """A WebSocket after its upgrade, for clients that misbehave."""
    upgrade = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with trio.fail_after(30):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all((upgrade + key).encode())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
            yield stream


async def test_a_client_that_never_reads_is_disconnected() -> None:
    request = json.dumps({"id": 1, "method": "test_subscribe", "params": [100_000_000]}).encode()
    async with serving() as (port, _), raw_websocket(port) as stream:
        await stream.send_all(bytes([0x81, 0x80 | len(request)]) + bytes(4) + request)
        with pytest.raises(trio.BrokenResourceError):
            while True:  # the server hangs up although the client never reads
                await stream.send_all(bytes([0x89, 0x80]) + bytes(4))


async def test_a_message_over_the_limit_ends_the_connection_with_its_reason() -> None:
    length = limits.MAX_MESSAGE_BYTES + 1
    async with serving() as (port, _), raw_websocket(port) as stream:
        await stream.send_all(bytes([0x81, 0xFF]) + length.to_bytes(8, "big") + bytes(4) + b" " * length)
        received = b""
        while b"a message holds at most" not in received:
            received += await stream.receive_some() or pytest.fail(f"ended after {received!r}")


def test_two_methods_of_one_name_are_a_mistake() -> None:
    registry = Registry()
    registry.add(Echo())
    with pytest.raises(ValueError, match="test_add"):
        registry.add(Echo())
    assert "test_unsubscribe" in registry.names()
