"""`transaction_v1_*` and `transactionWatch_v1_*`: sending transactions as the newer interface has it.

Source: the JSON-RPC interface specification of Polkadot.
"""

import itertools
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import trio

from node.chain.events import BestChanged
from node.rpc.backend import LAGGED, Backend
from node.rpc.errors import RpcError, invalid_params
from node.rpc.json import hexadecimal
from node.rpc.limits import MAX_BROADCASTS_PER_CONNECTION
from node.rpc.parameters import Hex
from node.rpc.registry import method, subscription
from node.rpc.session import Session
from node.txpool import events
from node.txpool.errors import PoolError
from runtime.errors import InvalidTransaction, MalformedTransaction, RuntimeFault

RETRY_SECONDS = 1.0
"""After which a broadcast listens to the chain again when it fell behind or when too many listen."""


@dataclass
class Broadcasts:
    """What one connection has broadcast and not stopped."""

    running: dict[str, trio.CancelScope] = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: itertools.count(1))


class TransactionMethods:
    """The families."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @method("transaction_v1_broadcast")
    def broadcast(self, session: Session, transaction: Hex) -> str | None:
        """Offers a transaction to the pool at every new best block until stopped; null when too many are running.

        What becomes of it is not told: a transaction that is not valid yet is simply offered again.
        """
        broadcasts = session.kept(Broadcasts)
        if len(broadcasts.running) >= MAX_BROADCASTS_PER_CONNECTION:
            return None
        identifier = f"broadcast-{next(broadcasts.ids)}"
        scope = broadcasts.running[identifier] = trio.CancelScope()
        session.start_soon(self._offer_again_and_again, transaction, scope)
        return identifier

    @method("transaction_v1_stop")
    def stop(self, session: Session, operation_id: str) -> None:
        """Ends a broadcast; a transaction that is in the pool stays there."""
        scope = session.kept(Broadcasts).running.pop(operation_id, None)
        if scope is None:
            raise invalid_params(f"operation_id: no broadcast {operation_id!r} is running on this connection")
        scope.cancel()

    async def _offer_again_and_again(self, transaction: bytes, scope: trio.CancelScope) -> None:
        with scope:
            while True:  # nothing is lost by beginning anew when this task has fallen behind
                with suppress(RpcError), self.backend.events() as chain_events:
                    self._offer(transaction)
                    async for event in chain_events:
                        if isinstance(event, BestChanged):
                            self._offer(transaction)
                await trio.sleep(RETRY_SECONDS)

    def _offer(self, transaction: bytes) -> None:
        try:
            self.backend.transactions.submit(transaction)
        except (InvalidTransaction, PoolError):
            return  # in the pool or in a block already, or not valid at this block

    @subscription(
        "transactionWatch_v1_submitAndWatch", "transactionWatch_v1_unwatch", notifies="transactionWatch_v1_watchEvent"
    )
    async def submit_and_watch(self, transaction: Hex) -> AsyncGenerator[Any, None]:
        """Puts a transaction into the pool and follows it to finality; a refusal is an event, too."""
        try:
            happenings = self.backend.transactions.watch(transaction)
        except (RuntimeFault, PoolError) as error:
            yield _refusal(error)
            return
        validated = ended = False
        with happenings:
            async for event in happenings:
                ended = isinstance(event, events.LAST_EVENTS)
                if not isinstance(event, events.Broadcast) and not validated:
                    validated = True
                    if isinstance(event, events.Ready | events.Future | events.InBlock):
                        yield {"event": "validated"}
                shown = watch_event_json(event)
                if shown is not None:
                    yield shown
        if not ended:
            yield {"event": "dropped", "error": LAGGED}


def watch_event_json(event: events.TransactionEvent) -> Any:
    """An event of the pool as `transactionWatch_v1_watchEvent` shows it; None for what that does not show."""
    match event:
        case events.InBlock(block_hash, index):
            return {"event": "bestChainBlockIncluded", "block": {"hash": hexadecimal(block_hash), "index": index}}
        case events.Retracted():
            return {"event": "bestChainBlockIncluded", "block": None}
        case events.Finalized(block_hash, index):
            return {"event": "finalized", "block": {"hash": hexadecimal(block_hash), "index": index}}
        case events.FinalityTimeout():
            return {"event": "dropped", "error": "its block was not finalized in time"}
        case events.Dropped():
            return {"event": "dropped", "error": "the pool is full of transactions with a higher priority"}
        case events.Usurped(by):
            return {"event": "invalid", "error": f"replaced by transaction {hexadecimal(by)}"}
        case events.Invalid():
            return {"event": "invalid", "error": "it can no longer be included"}
    return None


def _refusal(error: Exception) -> Any:
    text = error.detail if isinstance(error, MalformedTransaction) else str(error)
    return {"event": "dropped" if isinstance(error, PoolError) else "invalid", "error": text}
