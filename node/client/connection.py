"""JSON-RPC over one WebSocket: many calls at once, answers in any order, subscriptions. It lives until it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import trio

from node.client.errors import BadAnswer, CallRefused, ConnectionLost, NoAnswer, RemoteError
from node.client.websocket import WebSocket, open_websocket

ANSWER_TIMEOUT_SECONDS: Final = 30.0
MAX_CALLS_AT_ONCE: Final = 64
"""Further calls wait their turn."""
MAX_EARLY_NOTIFICATIONS: Final = 256
"""Kept for subscriptions whose id is still on its way."""
MAX_ABANDONED: Final = 256
"""Subscriptions remembered that nobody waits for any more, to be ended when the node opens them."""


@dataclass
class Subscription:
    """What the node tells under one id, handed to `deliver`; `ended` is called once, when nothing more will come."""

    unsubscribe: str
    deliver: Callable[[Any], None]
    ended: Callable[[], None]
    id: str = ""


@dataclass
class _Pending:
    subscription: Subscription | None
    done: trio.Event = field(default_factory=trio.Event)
    answer: dict[str, Any] | None = None


class Connection:
    """See the module. `run` must be running; when it returns, `lost` says why and every call has failed."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._pending: dict[int, _Pending] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._early: list[tuple[str, Any]] = []
        self._abandoned: dict[int, str] = {}
        self._turns = trio.Semaphore(MAX_CALLS_AT_ONCE)
        self._last_id = 0
        self._scope = trio.CancelScope()
        self.lost: ConnectionLost | None = None

    async def run(self) -> None:
        """Reads until the connection is lost or closed; raises nothing of its own."""
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._guard, self._websocket.watch_pulse)
                    nursery.start_soon(self._guard, self._read)
            finally:
                self._end(ConnectionLost("the connection was closed"))

    def close(self, reason: ConnectionLost | None = None) -> None:
        """Ends the connection; what waits for it gets the reason."""
        self._end(reason or ConnectionLost("the connection was closed"))
        self._scope.cancel()

    async def call(self, method: str, *params: Any, timeout_seconds: float = ANSWER_TIMEOUT_SECONDS) -> Any:
        """The result of a call; raises CallRefused, NoAnswer, ConnectionLost."""
        return await self._ask(method, params, timeout_seconds, None)

    async def subscribe(self, method: str, subscription: Subscription, *params: Any) -> None:
        """Opens a subscription; what arrives for it is delivered from before this call returns."""
        await self._ask(method, params, ANSWER_TIMEOUT_SECONDS, subscription)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription, without waiting for the node to agree."""
        if self._subscriptions.pop(subscription.id, None) is not None and self.lost is None:
            self._last_id += 1
            with suppress(ConnectionLost):
                await self._websocket.send(_request(self._last_id, subscription.unsubscribe, (subscription.id,)))

    async def _ask(
        self, method: str, params: tuple[Any, ...], timeout_seconds: float, subscription: Subscription | None
    ) -> Any:
        async with self._turns:
            if self.lost is not None:
                raise ConnectionLost(str(self.lost))
            self._last_id += 1
            number, pending = self._last_id, _Pending(subscription)
            self._pending[number] = pending
            try:
                with trio.move_on_after(timeout_seconds):
                    await self._websocket.send(_request(number, method, params))
                    await pending.done.wait()
            finally:
                del self._pending[number]
                if subscription is not None and pending.answer is None:
                    self._abandoned[number] = subscription.unsubscribe
                    if len(self._abandoned) > MAX_ABANDONED:
                        del self._abandoned[min(self._abandoned)]
        if pending.answer is None and self.lost is not None:
            raise ConnectionLost(str(self.lost))
        if pending.answer is None:
            raise NoAnswer(f"the node did not answer {method} within {timeout_seconds:g} s")
        error = pending.answer.get("error")
        if error is None:
            return pending.answer.get("result")
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            raise BadAnswer(f"the node answered {method} with an error that is none of JSON-RPC")
        raise CallRefused(error["code"], str(error.get("message")), error.get("data"))

    async def _guard(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except RemoteError as error:
            self.close(ConnectionLost(str(error)))

    async def _read(self) -> None:
        while True:
            try:
                message = orjson.loads(await self._websocket.receive())
            except ValueError:
                message = None
            if not isinstance(message, dict):
                raise ConnectionLost("the node sent something that is no JSON-RPC message")
            if "id" in message:
                self._answered(message)
                await self._decline(message)
            else:
                self._notified(message)

    def _answered(self, message: dict[str, Any]) -> None:
        number = message["id"]
        pending = self._pending.get(number) if isinstance(number, int) else None
        if pending is None or pending.answer is not None:
            return
        pending.answer = message
        if pending.subscription is not None and message.get("error") is None:
            self._begin(pending.subscription, str(message.get("result")))
        pending.done.set()

    async def _decline(self, message: dict[str, Any]) -> None:
        """Ends a subscription that was opened for somebody who did not wait for it."""
        number, error = message["id"], message.get("error")
        unsubscribe = self._abandoned.pop(number, None) if isinstance(number, int) else None
        if unsubscribe is not None and error is None:
            self._last_id += 1
            await self._websocket.send(_request(self._last_id, unsubscribe, (message.get("result"),)))

    def _begin(self, subscription: Subscription, identifier: str) -> None:
        subscription.id = identifier
        self._subscriptions[identifier] = subscription
        early, self._early = self._early, [one for one in self._early if one[0] != identifier]
        for known, item in early:
            if known == identifier:
                subscription.deliver(item)

    def _notified(self, message: dict[str, Any]) -> None:
        params = message.get("params")
        if not isinstance(params, dict):
            raise ConnectionLost("the node sent a notification that belongs to no subscription")
        identifier = str(params.get("subscription"))
        if identifier in self._subscriptions:
            self._subscriptions[identifier].deliver(params.get("result"))
        elif any(pending.subscription is not None for pending in self._pending.values()):
            self._early = [*self._early, (identifier, params.get("result"))][-MAX_EARLY_NOTIFICATIONS:]
        else:
            self._early.clear()

    def _end(self, reason: ConnectionLost) -> None:
        if self.lost is not None:
            return
        self.lost = reason
        for pending in self._pending.values():
            pending.done.set()
        subscriptions, self._subscriptions = self._subscriptions, {}
        for subscription in subscriptions.values():
            subscription.ended()


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[Connection]:
    """A connection to a ws:// or wss:// URL while the block of code runs; raises RemoteError."""
    async with open_websocket(url) as websocket, trio.open_nursery() as nursery:
        connection = Connection(websocket)
        nursery.start_soon(connection.run)
        yield connection
        connection.close()


def _request(number: int, method: str, params: tuple[Any, ...]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
