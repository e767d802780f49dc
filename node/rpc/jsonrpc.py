"""JSON-RPC 2.0: requests and batches in, answers and notifications out, without any socket.

A `Peer` is one client; it owns the client's subscriptions. Source: https://www.jsonrpc.org/specification
"""

import inspect
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
import trio

from node.rpc import errors
from node.rpc.errors import RpcError, invalid_params
from node.rpc.limits import (
    MAX_BATCH_CALLS,
    MAX_RESPONSE_BYTES,
    MAX_STRETCH_SECONDS,
    MAX_SUBSCRIPTIONS_PER_CONNECTION,
)
from node.rpc.registry import Method, Registry
from node.rpc.session import Session, SlowClient, Subscription

log = structlog.get_logger("rpc")

RESPONSE_LIMIT = f"Exceeded max limit of {MAX_RESPONSE_BYTES}"


@dataclass
class Peer:
    """One client of the port; `send` is None over plain HTTP, where subscriptions are impossible.

    `send` takes an encoded message and raises SlowClient when the client's outgoing queue is full.
    """

    registry: Registry
    nursery: trio.Nursery | None = None
    send: Callable[[bytes], None] | None = None
    trusted: bool = False
    _subscriptions: dict[str, trio.CancelScope] = field(default_factory=dict)
    _ids: Any = field(default_factory=itertools.count)
    _session: Session | None = None

    def __post_init__(self) -> None:
        """Over a connection that lasts, methods may keep things between calls."""
        if self.nursery is not None and self.send is not None:
            self._session = Session(self.nursery, self.send)

    async def handle(self, message: bytes) -> bytes | None:
        """The encoded answer to a request or batch, or None where nothing is to be answered.

        The caller sends it before it gives other tasks their turn: clients drop notifications of a subscription whose
        answer they have not seen.
        """
        answered = trio.Event()
        try:
            return await self._handle(message, answered)
        finally:
            answered.set()

    async def _handle(self, message: bytes, answered: trio.Event) -> bytes | None:
        try:
            request = orjson.loads(message)
        except ValueError:
            return _encode(_failure(None, RpcError(errors.PARSE_ERROR, "Parse error")))
        if not isinstance(request, list):
            answer = await self._answer(request, answered)
            if answer is None or len(answer) <= MAX_RESPONSE_BYTES:
                return answer
            error = RpcError(errors.RESPONSE_TOO_LARGE, "Response is too big", RESPONSE_LIMIT)
            return _encode(_failure(request.get("id"), error))
        if not request:
            return _encode(_failure(None, RpcError(errors.INVALID_REQUEST, "Invalid request", "the batch is empty")))
        if len(request) > MAX_BATCH_CALLS:
            reason = f"Exceeded max limit of {MAX_BATCH_CALLS}"
            return _encode(_failure(None, RpcError(errors.BATCH_TOO_LARGE, "The batch request was too large", reason)))
        return await self._answer_batch(request, answered)

    async def _answer_batch(self, batch: list[Any], answered: trio.Event) -> bytes | None:
        answers: list[bytes] = []
        size = 0
        pause_at = trio.current_time() + MAX_STRETCH_SECONDS
        for request in batch:
            answer = await self._answer(request, answered)
            if answer is not None:
                answers.append(answer)
                size += len(answer)
            if size > MAX_RESPONSE_BYTES:
                error = RpcError(errors.BATCH_RESPONSE_TOO_LARGE, "The batch response was too large", RESPONSE_LIMIT)
                return _encode(_failure(None, error))
            if trio.current_time() >= pause_at:
                await trio.lowlevel.checkpoint()
                pause_at = trio.current_time() + MAX_STRETCH_SECONDS
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _answer(self, request: Any, answered: trio.Event) -> bytes | None:
        well_formed = isinstance(request, dict) and isinstance(request.get("method"), str)
        if not well_formed or not isinstance(request.get("id"), str | int | float | None):
            return _encode(_failure(None, RpcError(errors.INVALID_REQUEST, "Invalid request")))
        identifier = request.get("id")
        try:
            result = await self._call(request["method"], request.get("params"), answered)
            answer = _encode({"jsonrpc": "2.0", "id": identifier, "result": result})
        except RpcError as error:
            answer = _encode(_failure(identifier, error))
        except SlowClient:
            raise
        except Exception:
            log.exception("a method failed", method=request["method"])
            answer = _encode(_failure(identifier, RpcError(errors.INTERNAL_ERROR, "Internal error")))
        return answer if "id" in request else None

    async def _call(self, name: str, params: Any, answered: trio.Event) -> Any:
        registry = self.registry
        if found := registry.methods.get(name):
            if found.declaration.unsafe and not self.trusted:
                reason = f"{name} is unsafe: it is answered to clients on this machine that send the node's token"
                raise RpcError(errors.UNSAFE_CALL, "RPC call is unsafe to be called externally", reason)
            arguments = found.arguments(params)
            if found.context is not None:
                arguments.insert(0, self._lasting_session(name))
            result = found.call(*arguments)
            return await result if inspect.isawaitable(result) else result
        if found := registry.subscriptions.get(name):
            return await self._subscribe(found, params, answered)
        if name in registry.unsubscribes:
            return self._unsubscribe(registry.unsubscribes[name], params)
        raise RpcError(errors.METHOD_NOT_FOUND, "Method not found", f"{name} is not known; rpc_methods lists all")

    async def _subscribe(self, found: Method, params: Any, answered: trio.Event) -> str:
        session = self._lasting_session("subscriptions")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS_PER_CONNECTION:
            reason = f"Exceeded max limit of {MAX_SUBSCRIPTIONS_PER_CONNECTION}"
            raise RpcError(errors.TOO_MANY_SUBSCRIPTIONS, "Too many subscriptions on the connection", reason)
        assert found.declaration.notifies is not None
        notifies = found.declaration.notifies
        subscription = Subscription(f"{notifies}-{next(self._ids)}", notifies, session)
        context = () if found.context is None else (subscription,)
        items: AsyncGenerator[Any, None] = found.call(*context, *found.arguments(params))
        # The generator may refuse its arguments: its first step runs before the subscription is acknowledged.
        first = await _first(items)
        scope = self._subscriptions[subscription.id] = trio.CancelScope()
        session.start_soon(self._forward, subscription, first, items, scope, answered)
        return subscription.id

    def _lasting_session(self, what: str) -> Session:
        if self._session is None:
            raise RpcError(errors.METHOD_NOT_FOUND, "Method not found", f"{what} can be had over a WebSocket only")
        return self._session

    async def _forward(
        self,
        subscription: Subscription,
        first: Any,
        items: AsyncGenerator[Any, None],
        scope: trio.CancelScope,
        answered: trio.Event,
    ) -> None:
        try:
            async with aclosing(items):
                with scope:
                    await answered.wait()
                    if first is not _ENDED:
                        subscription.notify(first)
                        async for item in items:
                            subscription.notify(item)
        except RpcError as error:  # notifications were lost, or a state is pruned by now
            subscription.fail(error)
        except SlowClient:
            raise
        except Exception:
            subscription.fail(RpcError(errors.INTERNAL_ERROR, "Internal error"))
            raise
        finally:
            self._subscriptions.pop(subscription.id, None)

    def _unsubscribe(self, notifies: str, params: Any) -> bool:
        values = list(params.values()) if isinstance(params, dict) else params
        if not isinstance(values, list) or len(values) != 1:
            raise invalid_params("expected the subscription's id")
        identifier = str(values[0])
        if identifier.rpartition("-")[0] != notifies or identifier not in self._subscriptions:
            return False
        self._subscriptions.pop(identifier).cancel()
        return True


_ENDED = object()


async def _first(items: AsyncGenerator[Any, None]) -> Any:
    try:
        return await anext(items)
    except StopAsyncIteration:
        return _ENDED


def _failure(identifier: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "error": error.to_json()}


def _encode(value: Any) -> bytes:
    return orjson.dumps(value)
