"""A connection that comes back: calls that only read are asked again, subscriptions are opened again."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import trio

from node.client.connection import ANSWER_TIMEOUT_SECONDS, Connection, Subscription
from node.client.errors import CallRefused, ClientError, ConnectionLost, NoAnswer
from node.client.websocket import open_websocket

MAX_ATTEMPTS: Final = 4
"""How often a read is asked when the connection is lost over it each time."""
MAX_WAITING_ITEMS: Final = 256
"""A subscription whose reader is farther behind ends, and its reader subscribes again."""


@dataclass(frozen=True)
class Backoff:
    """Pauses between attempts to connect: doubled each time up to a most, given up after so long without the node."""

    first_seconds: float = 0.05
    most_seconds: float = 5.0
    give_up_seconds: float = 60.0


class Feed:
    """The items of one subscription on one connection; it ends with EndOfChannel, and then one subscribes again."""

    def __init__(self, connection: Connection, unsubscribe: str) -> None:
        self._send, self._receive = trio.open_memory_channel[Any](MAX_WAITING_ITEMS)
        self._connection = connection
        self.subscription = Subscription(unsubscribe, self._deliver, self._send.close)

    def _deliver(self, item: Any) -> None:
        try:
            self._send.send_nowait(item)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self._send.close()

    async def receive(self) -> Any:
        """The next item; raises trio.EndOfChannel."""
        return await self._receive.receive()

    def skip(self) -> None:
        """Forgets the items that wait."""
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                self._receive.receive_nowait()

    async def aclose(self) -> None:
        """Unsubscribes."""
        self._receive.close()
        with trio.CancelScope(deadline=trio.current_time() + 1, shield=True):
            await self._connection.unsubscribe(self.subscription)


class Link:
    """See the module. `greet` looks at each new connection before anybody else may use it."""

    def __init__(
        self,
        url: str,
        greet: Callable[[Connection], Awaitable[None]],
        backoff: Backoff,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._ssl_context = ssl_context
        self._greet = greet
        self._backoff = backoff
        self._connection: Connection | None = None
        self._failed: ClientError | None = None
        self._changed = trio.Event()

    async def run(self) -> None:
        """Keeps the connection until it is cancelled or must give up; the reason is then raised by every call."""
        pause, since = self._backoff.first_seconds, trio.current_time()
        is_first = True
        while self._failed is None:
            error = await self._serve()
            if self._connection is not None:  # it was up: begin to count anew
                pause, since, is_first = self._backoff.first_seconds, trio.current_time(), False
                self._connection = None
            is_late = trio.current_time() + pause - since > self._backoff.give_up_seconds
            if is_first or is_late or not isinstance(error, ConnectionLost | CallRefused):
                self._change(failed=error)
            else:
                await trio.sleep(pause)
                pause = min(pause * 2, self._backoff.most_seconds)

    async def _serve(self) -> ClientError:
        """Connects, greets and stays until the connection is lost; returns why it is."""
        try:
            async with open_websocket(self._url, self._ssl_context) as websocket:
                connection = Connection(websocket)
                error: ClientError | None = None
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(connection.run)
                    try:
                        await self._greet(connection)
                        self._change(connection=connection)
                    except ClientError as refused:
                        error = refused
                        connection.close()
                return error or connection.lost or ConnectionLost("the connection was closed")
        except ClientError as refused:
            return refused

    def _change(self, *, connection: Connection | None = None, failed: ClientError | None = None) -> None:
        self._connection, self._failed = connection, failed
        self._changed.set()
        self._changed = trio.Event()

    async def connection(self) -> Connection:
        """The connection, once there is one; raises the reason when there will be none."""
        while True:
            if self._failed is not None:
                raise self._failed
            if self._connection is not None and self._connection.lost is None:
                return self._connection
            await self._changed.wait()

    async def call(self, method: str, *params: Any, timeout_seconds: float = ANSWER_TIMEOUT_SECONDS) -> Any:
        """The result of a call that only reads, asked again when the connection is lost over it."""
        for attempt in range(MAX_ATTEMPTS):
            connection = await self.connection()
            try:
                return await connection.call(method, *params, timeout_seconds=timeout_seconds)
            except NoAnswer:
                raise
            except ConnectionLost as error:
                if attempt + 1 == MAX_ATTEMPTS:
                    raise ConnectionLost(f"{method}: {error} ({MAX_ATTEMPTS} times)") from None
        raise AssertionError("the last attempt returns or raises")

    async def subscribe(self, method: str, unsubscribe: str, *params: Any) -> Feed:
        """A subscription, opened on the present connection or the next one; raises ConnectionLost when that breaks."""
        connection = await self.connection()
        feed = Feed(connection, unsubscribe)
        await connection.subscribe(method, feed.subscription, *params)
        return feed
