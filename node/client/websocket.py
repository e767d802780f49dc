"""One WebSocket to a node: whole messages out and in, bounded, with a pulse."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from node.client.errors import ConnectionLost, RemoteError

OPEN_TIMEOUT_SECONDS: Final = 30.0
RECEIVE_BYTES: Final = 65_536
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
PING_SECONDS: Final = 20.0
SILENCE_SECONDS: Final = 60.0
"""A node that says nothing for so long, not even to a ping, is gone."""
DEFAULT_PORT: Final = 80


class WebSocket:
    """A client's side of an open WebSocket. Whatever ends it is a ConnectionLost with the reason."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._messages: deque[bytes] = deque()
        self._partial = bytearray()
        self._sending = trio.Lock()
        self._heard = trio.current_time()

    async def upgrade(self, host: str, target: str) -> None:
        """Makes a WebSocket of the stream."""
        await self._send(Request(host=host, target=target))
        with trio.move_on_after(OPEN_TIMEOUT_SECONDS):
            while self._protocol.state is not ConnectionState.OPEN:
                await self._read()
            return
        raise ConnectionLost(f"no answer to the WebSocket request within {OPEN_TIMEOUT_SECONDS:g} s")

    async def send(self, message: bytes) -> None:
        """Sends one text message."""
        await self._send(TextMessage(data=message.decode()))

    async def receive(self) -> bytes:
        """The next whole message."""
        while not self._messages:
            await self._read()
        return self._messages.popleft()

    async def watch_pulse(self) -> None:
        """Pings the node now and then; ends with ConnectionLost when it says nothing any more."""
        while True:
            await trio.sleep(PING_SECONDS)
            if trio.current_time() - self._heard > SILENCE_SECONDS:
                raise ConnectionLost(f"the node has said nothing for {SILENCE_SECONDS:g} s")
            await self._send(Ping())

    async def _read(self) -> None:
        """Reads once from the socket."""
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            self._heard = trio.current_time()
            self._protocol.receive_data(data or None)
            events = list(self._protocol.events())
        except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError) as error:
            raise ConnectionLost(f"the connection to the node broke: {error}") from None
        for event in events:
            await self._handle(event)

    async def _handle(self, event: Any) -> None:
        if isinstance(event, Ping):
            await self._send(event.response())
        elif isinstance(event, TextMessage | BytesMessage):
            self._partial += event.data.encode() if isinstance(event, TextMessage) else event.data
            if len(self._partial) > MAX_MESSAGE_BYTES:
                raise ConnectionLost(f"the node sent a message of more than {MAX_MESSAGE_BYTES} bytes")
            if event.message_finished:
                self._messages.append(bytes(self._partial))
                self._partial.clear()
        elif isinstance(event, CloseConnection):
            raise ConnectionLost("the node closed the connection" + (f": {event.reason}" if event.reason else ""))
        elif not isinstance(event, AcceptConnection | Pong):
            raise ConnectionLost("there is no WebSocket at this address")

    async def _send(self, event: Any) -> None:
        async with self._sending:
            try:
                await self._stream.send_all(self._protocol.send(event))
            except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError) as error:
                raise ConnectionLost(f"the connection to the node broke: {error}") from None


@asynccontextmanager
async def open_websocket(url: str) -> AsyncIterator[WebSocket]:
    """Connects to a ws:// URL; raises RemoteError for another one, ConnectionLost when nobody answers."""
    parts = urlsplit(url)
    if parts.scheme != "ws" or parts.hostname is None:
        raise RemoteError(f"{url} is not a ws:// URL, such as ws://127.0.0.1:9944")
    try:
        with trio.fail_after(OPEN_TIMEOUT_SECONDS):
            stream = await trio.open_tcp_stream(parts.hostname, parts.port or DEFAULT_PORT)
    except (OSError, trio.TooSlowError):
        raise ConnectionLost(
            f"no node answers at {url}: start one with `datdot dev`, or name another with --rpc"
        ) from None
    async with stream:
        websocket = WebSocket(stream)
        await websocket.upgrade(parts.netloc, parts.path or "/")
        yield websocket
