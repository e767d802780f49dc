"""A WebSocket server on loopback that says what a test's script says: the node's side of a conversation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage

from pallets.chain import build_runtime

RECEIVE_BYTES = 65_536
GENESIS = "0x" + "11" * 32
RUNTIME = build_runtime()
VERSION = {"specName": "datdot", "specVersion": 1, "transactionVersion": 1}
METADATA = f"0x{RUNTIME.metadata_v14.hex()}"
GREETING: dict[str, Any] = {
    "chain_getBlockHash": GENESIS,
    "state_getRuntimeVersion": VERSION,
    "state_getMetadata": METADATA,
    "state_subscribeRuntimeVersion": "version",
}


class Hangup(Exception):
    """The client left."""


class Conversation:
    """The server's side of one connection."""

    def __init__(self, stream: trio.SocketStream, number: int) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._requests: list[Any] = []
        self.number = number
        """0 for the first connection."""

    async def request(self) -> Any:
        """The next request of the client."""
        while not self._requests:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                raise Hangup
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, Request):
                    await self.event(AcceptConnection())
                elif isinstance(event, TextMessage):
                    self._requests.append(json.loads(event.data))
                elif isinstance(event, Ping | CloseConnection):
                    await self.event(event.response())
        return self._requests.pop(0)

    async def event(self, event: Event) -> None:
        """Sends a frame."""
        await self._stream.send_all(self._protocol.send(event))

    async def text(self, message: str) -> None:
        """Sends a text message, whatever it says."""
        await self.event(TextMessage(data=message))

    async def answer(self, request: Any, result: Any) -> None:
        """Answers a request."""
        await self.text(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))

    async def notify(self, subscription: Any, item: Any, method: str = "told") -> None:
        """Sends a notification."""
        params = {"subscription": subscription, "result": item}
        await self.text(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    async def greet(self) -> Any:
        """Answers as every node does until something else is asked, and gives that request."""
        while True:
            request = await self.request()
            if request["method"] not in GREETING or request["params"] not in ([], [0]):
                return request
            await self.answer(request, GREETING[request["method"]])


Script = Callable[[Conversation], Awaitable[None]]


@asynccontextmanager
async def fake_node(script: Script) -> AsyncIterator[str]:
    """The address of a server that plays the script to each client, and hangs up when it is over."""
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        conversation = Conversation(stream, connections)
        connections += 1
        with suppress(Hangup, trio.BrokenResourceError):
            await script(conversation)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


