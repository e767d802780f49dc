"""One WebSocket to a node: whole messages out and in, bounded, with a pulse."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from node.client.errors import ConnectionLost, NotTrusted, RemoteError

OPEN_TIMEOUT_SECONDS: Final = 30.0
RECEIVE_BYTES: Final = 65_536
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
PING_SECONDS: Final = 20.0
SILENCE_SECONDS: Final = 60.0
"""A node that says nothing for so long, not even to a ping, is gone."""
DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


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


@dataclass(frozen=True)
class _Address:
    """A WebSocket URL in its parts; `shown` leaves out what may be secret in it."""

    is_secure: bool
    host: str
    port: int
    authority: str
    target: str

    @property
    def shown(self) -> str:
        return f"{'wss' if self.is_secure else 'ws'}://{self.authority}"

    @classmethod
    def parse(cls, url: str) -> _Address:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # no port, or no IPv6 address
            parts, port = urlsplit(""), None
        if parts.scheme not in DEFAULT_PORTS or parts.hostname is None:
            raise RemoteError(f"{url} is not a ws:// or wss:// URL, such as ws://127.0.0.1:9944")
        return cls(
            is_secure=parts.scheme == "wss",
            host=parts.hostname,
            port=port or DEFAULT_PORTS[parts.scheme],
            authority=parts.netloc.rpartition("@")[2],
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        )


@asynccontextmanager
async def open_websocket(url: str, ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[WebSocket]:
    """Connects to a ws:// or wss:// URL; raises RemoteError for another one, ConnectionLost when nobody answers.

    Over wss:// the server must show a certificate for its name that `ssl_context` trusts, by default one that this
    machine trusts; raises NotTrusted.
    """
    address = _Address.parse(url)
    if ssl_context is not None and not address.is_secure:
        raise RemoteError(f"{address.shown} is not encrypted: an SSL context needs a wss:// URL")
    try:
        with trio.fail_after(OPEN_TIMEOUT_SECONDS):
            stream: trio.abc.Stream = await trio.open_tcp_stream(address.host, address.port)
    except (OSError, trio.TooSlowError):
        raise ConnectionLost(
            f"no node answers at {address.shown}: start one with `datdot dev`, or name another with --rpc"
        ) from None
    async with stream:
        if address.is_secure:
            stream = await _encrypted(stream, address, ssl_context)
        websocket = WebSocket(stream)
        await websocket.upgrade(address.authority, address.target)
        yield websocket


async def _encrypted(stream: trio.abc.Stream, address: _Address, context: ssl.SSLContext | None) -> trio.abc.Stream:
    """The stream inside TLS, to a server whose certificate was checked."""
    context = context or ssl.create_default_context()
    # Many servers end without saying so in TLS; a WebSocket says itself where a message ends.
    encrypted = trio.SSLStream(stream, context, server_hostname=address.host, https_compatible=True)
    try:
        with trio.fail_after(OPEN_TIMEOUT_SECONDS):
            await encrypted.do_handshake()
    except trio.TooSlowError:
        raise ConnectionLost(f"no TLS handshake with {address.shown} within {OPEN_TIMEOUT_SECONDS:g} s") from None
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise NotTrusted(
                f"the certificate of {address.shown} is not trusted: {cause.verify_message}; for an authority of your "
                "own set SSL_CERT_FILE, or give an ssl_context"
            ) from None
        raise ConnectionLost(f"no TLS connection to {address.shown}: {cause or 'it hung up'}") from None
    return encrypted
