"""What methods may know of the client that called them: a connection that lasts, and the subscription being opened."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import structlog
import trio

from node.rpc.errors import RpcError

log = structlog.get_logger("rpc")

T = TypeVar("T")


class SlowClient(Exception):
    """A client does not read its notifications; it is disconnected."""


@dataclass
class Session:
    """One client's WebSocket connection. A method that takes a Session as its first parameter gets its caller's.

    `send` takes an encoded message and raises SlowClient when the client's outgoing queue is full.
    """

    nursery: trio.Nursery
    send: Callable[[bytes], None]
    _kept: dict[type[Any], Any] = field(default_factory=dict)

    def kept(self, kind: type[T]) -> T:
        """The one object of a class that belongs to this connection, made at the first call."""
        if kind not in self._kept:
            self._kept[kind] = kind()
        found: T = self._kept[kind]
        return found

    def start_soon(self, task: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Runs a task that ends with the connection. It starts after the answer to the present call was sent.

        What goes wrong in it ends the task only; for a slow client it ends the connection.
        """
        self.nursery.start_soon(self._run, task, *arguments)

    async def _run(self, task: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        try:
            await task(*arguments)
        except SlowClient:
            raise
        except RpcError as error:  # a state that is pruned by now, for one
            log.debug("a client's task ended", reason=error.message, data=error.data)
        except Exception:
            log.exception("a client's task failed")


@dataclass(frozen=True)
class Subscription:
    """One subscription. A generator that takes a Subscription as its first parameter gets its own."""

    id: str
    notifies: str
    session: Session

    def notify(self, item: Any) -> None:
        """Sends one notification; raises SlowClient."""
        params = {"subscription": self.id, "result": item}
        self.session.send(orjson.dumps({"jsonrpc": "2.0", "method": self.notifies, "params": params}))

    def fail(self, error: RpcError) -> None:
        """Tells the client that nothing more comes, and why, as jsonrpsee does; raises SlowClient."""
        params = {"subscription": self.id, "error": error.to_json()}
        self.session.send(orjson.dumps({"jsonrpc": "2.0", "method": self.notifies, "params": params}))
