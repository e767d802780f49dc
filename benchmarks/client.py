"""Two small JSON-RPC clients for load: one call at a time over HTTP, many at a time over one WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

RECEIVE_BYTES = 1 << 18


class RpcFailed(Exception):
    """The node answered with an error."""


class HttpClient:
    """One kept-alive connection; a call waits for its answer before the next is sent."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._rest = bytearray()

    @classmethod
    async def open(cls, url: str) -> HttpClient:
        """Connect to the port of a node."""
        return cls(await _connect(url))

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call. Raises RpcFailed."""
        return result_of(orjson.loads(await self.post(request(1, method, params))))

    async def post(self, body: bytes) -> bytes:
        """The body of the answer to a body."""
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        await self._stream.send_all(head % len(body) + body)
        headers = (await self._receive_to(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in headers:
            return await self._receive_chunks()
        return await self._receive_exactly(int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0]))

    async def _receive_chunks(self) -> bytes:
        received = bytearray()
        while size := int(await self._receive_to(b"\r\n"), 16):
            received += await self._receive_exactly(size)
            await self._receive_to(b"\r\n")
        await self._receive_to(b"\r\n")
        return bytes(received)

    async def _receive_to(self, end: bytes) -> bytes:
        while (at := self._rest.find(end)) < 0:
            await self._receive()
        return self._take(at, len(end))

    async def _receive_exactly(self, length: int) -> bytes:
        while len(self._rest) < length:
            await self._receive()
        return self._take(length)

    def _take(self, length: int, end_length: int = 0) -> bytes:
        taken = bytes(self._rest[:length])
        del self._rest[: length + end_length]
        return taken

    async def _receive(self) -> None:
        data = await self._stream.receive_some(RECEIVE_BYTES)
        if not data:
            raise RpcFailed("the node closed the connection")
        self._rest += data


class WebSocketClient:
    """One connection; `notified` hears every notification as it arrives, answers go to whoever asked."""

    def __init__(self, stream: trio.SocketStream, notified: Callable[[Any], None]) -> None:
        self._stream = stream
        self._notified = notified
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._answered: dict[int, Callable[[Any], None]] = {}
        self._accepted = trio.Event()
        self._writing = trio.Lock()
        self._next_id = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, notified: Callable[[Any], None] = lambda _: None) -> AsyncIterator[WebSocketClient]:
        """A connection to the port of a node while the block of code runs."""
        async with trio.open_nursery() as nursery:
            client = cls(await _connect(url), notified)
            nursery.start_soon(client._read)
            await client._stream.send_all(client._connection.send(Request(host="localhost", target="/")))
            await client._accepted.wait()
            yield client
            nursery.cancel_scope.cancel()

    async def send(self, method: str, params: Any, answered: Callable[[Any], None]) -> None:
        """Send a call and go on; `answered` gets the whole answer."""
        self._next_id += 1
        self._answered[self._next_id] = answered
        data = self._connection.send(TextMessage(data=request(self._next_id, method, params).decode()))
        async with self._writing:
            await self._stream.send_all(data)

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call. Raises RpcFailed."""
        answers: list[Any] = []
        done = trio.Event()

        def answered(answer: Any) -> None:
            answers.append(answer)
            done.set()

        await self.send(method, params, answered)
        await done.wait()
        return result_of(answers[0])

    async def _read(self) -> None:
        message = ""
        while data := await self._stream.receive_some(RECEIVE_BYTES):
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, AcceptConnection):
                    self._accepted.set()
                elif isinstance(event, TextMessage):
                    message += event.data
                    if event.message_finished:
                        self._take(orjson.loads(message))
                        message = ""
        raise RpcFailed("the node closed the connection")

    def _take(self, answer: Any) -> None:
        if "id" in answer:
            self._answered.pop(answer["id"])(answer)
        else:
            self._notified(answer["params"]["result"])


def request(identifier: int, method: str, params: Any) -> bytes:
    """An encoded call."""
    return orjson.dumps({"jsonrpc": "2.0", "id": identifier, "method": method, "params": list(params)})


def result_of(answer: Any) -> Any:
    """The result in an answer. Raises RpcFailed."""
    if "error" in answer:
        raise RpcFailed(str(answer["error"]))
    return answer["result"]


async def _connect(url: str) -> trio.SocketStream:
    parts = urlsplit(url)
    stream = await trio.open_tcp_stream(parts.hostname or "127.0.0.1", parts.port or 9944)
    stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
    return stream
