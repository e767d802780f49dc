"""A small JSON-RPC client on one WebSocket, for one task at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

ANSWER_TIMEOUT_SECONDS: Final = 30.0
RECEIVE_BYTES: Final = 65_536
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
MAX_NOTIFICATIONS: Final = 1_024
DEFAULT_PORT: Final = 80


class RemoteError(Exception):
    """The node cannot be reached, breaks the protocol, or refuses: one sentence."""


class CallRefused(RemoteError):
    """The node answered with a JSON-RPC error of this code."""

    def __init__(self, code: int, message: str, data: Any) -> None:
        detail = f": {data}" if data is not None else ""
        super().__init__(f"the node refused ({code}): {message}{detail}")
        self.code = code


class Connection:
    """A JSON-RPC client on one WebSocket; notifications that arrive while an answer is awaited are kept."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._messages: deque[bytes] = deque()
        self._notifications: deque[tuple[str, Any]] = deque()
        self._partial = bytearray()
        self._last_id = 0

    async def upgrade(self, host: str, target: str) -> None:
        """Makes a WebSocket of the stream; raises RemoteError."""
        await self._send(Request(host=host, target=target))
        with trio.move_on_after(ANSWER_TIMEOUT_SECONDS):
            while self._protocol.state is not ConnectionState.OPEN:
                await self._receive()
            return
        raise RemoteError(f"no answer to the WebSocket request within {ANSWER_TIMEOUT_SECONDS:g} s")

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call; raises CallRefused, RemoteError."""
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        await self._send(TextMessage(data=orjson.dumps(request).decode()))
        with trio.move_on_after(ANSWER_TIMEOUT_SECONDS):
            while True:
                message = await self._message()
                if message.get("id") != self._last_id:
                    self._keep(message)
                elif (error := message.get("error")) is not None:
                    raise CallRefused(error.get("code", 0), str(error.get("message")), error.get("data"))
                else:
                    return message.get("result")
        raise RemoteError(f"the node did not answer {method} within {ANSWER_TIMEOUT_SECONDS:g} s")

    async def notification(self, subscription: str) -> Any:
        """The next item of a subscription."""
        while True:
            while self._notifications:
                identifier, item = self._notifications.popleft()
                if identifier == subscription:
                    return item
            self._keep(await self._message())

    def _keep(self, message: Mapping[str, Any]) -> None:
        params = message.get("params")
        if isinstance(params, dict) and len(self._notifications) < MAX_NOTIFICATIONS:
            self._notifications.append((str(params.get("subscription")), params.get("result")))

    async def _message(self) -> dict[str, Any]:
        while not self._messages:
            await self._receive()
        try:
            message = orjson.loads(self._messages.popleft())
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise RemoteError("the node sent something that is no JSON-RPC message")
        return message

    async def _receive(self) -> None:
        """Reads once from the socket."""
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            self._protocol.receive_data(data or None)
            events = list(self._protocol.events())
        except (trio.BrokenResourceError, RemoteProtocolError) as error:
            raise RemoteError(f"the connection to the node broke: {error}") from None
        for event in events:
            if isinstance(event, Ping):
                await self._send(event.response())
            elif isinstance(event, TextMessage | BytesMessage):
                self._partial += event.data.encode() if isinstance(event, TextMessage) else event.data
                if len(self._partial) > MAX_MESSAGE_BYTES:
                    raise RemoteError(f"the node sent a message of more than {MAX_MESSAGE_BYTES} bytes")
                if event.message_finished:
                    self._messages.append(bytes(self._partial))
                    self._partial.clear()
            elif isinstance(event, CloseConnection):
                raise RemoteError("the node closed the connection")
            elif not isinstance(event, AcceptConnection):
                raise RemoteError("there is no WebSocket at this address")

    async def _send(self, event: Any) -> None:
        try:
            await self._stream.send_all(self._protocol.send(event))
        except trio.BrokenResourceError as error:
            raise RemoteError(f"the connection to the node broke: {error}") from None


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[Connection]:
    """Connects to a ws:// URL; raises RemoteError with one sentence."""
    parts = urlsplit(url)
    if parts.scheme != "ws" or parts.hostname is None:
        raise RemoteError(f"{url} is not a ws:// URL, such as ws://127.0.0.1:9944")
    try:
        with trio.fail_after(ANSWER_TIMEOUT_SECONDS):
            stream = await trio.open_tcp_stream(parts.hostname, parts.port or DEFAULT_PORT)
    except (OSError, trio.TooSlowError):
        raise RemoteError(
            f"no node answers at {url}: start one with `datdot dev`, or name another with --rpc"
        ) from None
    async with stream:
        connection = Connection(stream)
        await connection.upgrade(parts.netloc, parts.path or "/")
        yield connection
