"""One port for JSON-RPC over HTTP POST and WebSocket, and for `GET` pages such as /metrics, on h11 and wsproto.

A connection starts as HTTP; an upgrade request hands the bytes read so far to the WebSocket side.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11
import structlog
import trio

from node.rpc.jsonrpc import Peer
from node.rpc.limits import IDLE_TIMEOUT_SECONDS, MAX_BODY_BYTES, MAX_CONNECTIONS, READ_TIMEOUT_SECONDS
from node.rpc.registry import Registry
from node.rpc.session import SlowClient
from node.rpc.websocket import drain, serve_websocket

log = structlog.get_logger("rpc")

RECEIVE_BYTES = 65_536
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
TOO_LARGE = f"a request holds at most {MAX_BODY_BYTES} bytes\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Page:
    """What a `GET` path answers with."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


@dataclass(frozen=True)
class RpcConfig:
    """Who may talk to the port.

    `hosts` are the host names accepted in the Host header besides loopback ones (protection against DNS rebinding);
    `origins` the web origins accepted besides pages of this machine, "*" for all. `token` unlocks unsafe methods for
    programs of this machine; with `trusts_this_machine` they need none, and neither do its own web pages.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    token: str | None = field(default=None, repr=False)
    trusts_this_machine: bool = False


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class RpcServer:
    """Serves one registry; `pages` maps a GET path to a function that makes the page."""

    registry: Registry
    config: RpcConfig = field(default_factory=RpcConfig)
    pages: Mapping[str, Callable[[], Page | Awaitable[Page]]] = field(default_factory=dict)
    _open_connections: int = 0

    async def serve(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Serves until cancelled."""
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SocketStream) -> None:
        if self._open_connections >= MAX_CONNECTIONS:
            with trio.move_on_after(1):
                await _send_quietly(stream, BUSY)
            return
        self._open_connections += 1
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, SlowClient) as reason:
            log.debug("connection ended", reason=str(reason) or type(reason).__name__)
        finally:
            self._open_connections -= 1

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536)
        received = bytearray()  # raw bytes of the request at hand: an upgrade replays them to wsproto
        while True:
            received.clear()
            with trio.move_on_after(IDLE_TIMEOUT_SECONDS) as idle:
                event = await _next_event(connection, stream, received)
            if idle.cancelled_caught or not isinstance(event, h11.Request):
                return
            try:
                headers = self._check(event)
                if headers.get("upgrade", "").lower() == "websocket":
                    await serve_websocket(stream, bytes(received), self.registry, self._trusts(stream, headers))
                    return
                body = await self._body(connection, stream, received)
                answer = await self._respond(event, headers, body, stream)
            except _Refused as refusal:
                await _send_page(connection, stream, Page(refusal.reason.encode(), status=refusal.status), {})
                await stream.send_eof()
                await drain(stream)
                return
            await _send_page(connection, stream, answer, _cors(headers))
            if connection.our_state is h11.MUST_CLOSE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _respond(
        self, request: h11.Request, headers: Mapping[str, str], body: bytes, stream: trio.SocketStream
    ) -> Page:
        if request.method == b"POST":
            answer = await Peer(self.registry, trusted=self._trusts(stream, headers)).handle(body)
            return Page(answer or b"", "application/json")
        if request.method == b"OPTIONS":
            return Page(b"")
        if request.method in (b"GET", b"HEAD"):
            path = urlsplit(request.target.decode("ascii", "replace")).path
            if page := self.pages.get(path):
                made = page()
                return made if isinstance(made, Page) else await made
            return Page(b"JSON-RPC: POST a request or open a WebSocket here\n", status=200 if path == "/" else 404)
        raise _Refused(405, "use POST, GET or a WebSocket\n")

    def _check(self, request: h11.Request) -> dict[str, str]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        host = urlsplit("//" + headers.get("host", "")).hostname or ""
        if host not in LOOPBACK_HOSTS and not host.endswith(".localhost") and host not in self.config.hosts:
            raise _Refused(403, "this host name is not allowed: start the node with --rpc-host NAME to allow it\n")
        length = headers.get("content-length", "0")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:  # h11 has checked that it is a number
            raise _Refused(413, TOO_LARGE)
        origin = headers.get("origin")
        allowed = "*" in self.config.origins or origin in self.config.origins or _is_of_this_machine(origin)
        if not allowed:
            raise _Refused(403, "pages of this origin are not allowed: start the node with --rpc-cors ORIGIN\n")
        return headers

    def _trusts(self, stream: trio.SocketStream, headers: Mapping[str, str]) -> bool:
        peer_host = str(stream.socket.getpeername()[0])
        if peer_host not in LOOPBACK_HOSTS:
            return False
        if self.config.trusts_this_machine and _is_of_this_machine(headers.get("origin")):
            return True
        if self.config.token is None:
            return False
        return hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {self.config.token}".encode())

    async def _body(self, connection: h11.Connection, stream: trio.SocketStream, received: bytearray) -> bytes:
        body = bytearray()
        with trio.move_on_after(READ_TIMEOUT_SECONDS):
            while True:
                event = await _next_event(connection, stream, received)
                received.clear()
                if isinstance(event, h11.EndOfMessage):
                    return bytes(body)
                if not isinstance(event, h11.Data):
                    raise _Refused(400, "the request ended early\n")
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise _Refused(413, TOO_LARGE)
        raise _Refused(408, "the request took too long\n")


def _is_of_this_machine(origin: str | None) -> bool:
    """Whether no web page is asking, or one that this machine serves."""
    source = "localhost" if origin is None else urlsplit(origin).hostname or ""
    return source in LOOPBACK_HOSTS or source.endswith(".localhost")


async def open_port(host: str, port: int) -> Sequence[trio.SocketListener]:
    """Listeners on a port, 0 for one the system chooses; raises OSError when it is in use."""
    return await trio.open_tcp_listeners(port, host=host)


async def _next_event(connection: h11.Connection, stream: trio.SocketStream, received: bytearray) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            proceed = h11.InformationalResponse(status_code=100, headers=[])
            await stream.send_all(connection.send(proceed) or b"")
        data = await stream.receive_some(RECEIVE_BYTES)
        received += data
        connection.receive_data(data)
    return event


async def _send_page(
    connection: h11.Connection, stream: trio.SocketStream, page: Page, extra: Mapping[str, str]
) -> None:
    headers = [("content-type", page.content_type), ("content-length", str(len(page.body))), *extra.items()]
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    data = connection.send(h11.Response(status_code=page.status, headers=headers)) or b""
    data += connection.send(h11.Data(data=page.body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    await stream.send_all(data)


def _cors(headers: Mapping[str, str]) -> dict[str, str]:
    if "origin" not in headers:
        return {}
    return {
        "access-control-allow-origin": headers["origin"],
        "access-control-allow-methods": "POST, GET, OPTIONS",
        "access-control-allow-headers": "content-type, authorization",
        "vary": "origin",
    }


async def _send_quietly(stream: trio.SocketStream, data: bytes) -> None:
    try:
        await stream.send_all(data)
    except trio.BrokenResourceError:
        log.debug("a refused connection was gone already")
