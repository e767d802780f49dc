"""`author_*`: extrinsics in, and what becomes of them."""

import math
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import trio

from node.rpc import errors
from node.rpc.backend import Backend
from node.rpc.errors import RpcError
from node.rpc.json import hexadecimal
from node.rpc.parameters import Hex, bounded_list, hash_bytes, hex_bytes, shown_as
from node.rpc.registry import method, subscription
from node.txpool import events
from node.txpool.errors import (
    AlreadyImported,
    CycleDetected,
    ImmediatelyDropped,
    PoolError,
    TemporarilyBanned,
    TooLowPriority,
)
from runtime.crypto import blake2_256
from runtime.errors import InvalidTransaction, MalformedTransaction, RuntimeFault, Validity

MAX_PENDING_SHOWN = 8_192
FINALIZED_AFTER_SECONDS = 0.5
"""Least time between the statuses inBlock and finalized of a transaction."""


@shown_as(type="array", items={"type": "object", "minProperties": 1, "maxProperties": 1})
def extrinsics_or_hashes(value: Any) -> list[bytes]:
    """Hashes of a list of {"hash": hexadecimal} and {"extrinsic": hexadecimal}."""
    hashes = []
    for item in bounded_list(value):
        match item:
            case {"hash": found, **rest} if not rest:
                hashes.append(hash_bytes(found))
            case {"extrinsic": found, **rest} if not rest:
                hashes.append(blake2_256(hex_bytes(found)))
            case _:
                raise ValueError('an item is {"hash": …} or {"extrinsic": …}')
    return list(dict.fromkeys(hashes))


ExtrinsicsOrHashes = Annotated[list[bytes], extrinsics_or_hashes]


class AuthorMethods:
    """Submission with Substrate's error codes and statuses."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @method("author_submitExtrinsic")
    def submit_extrinsic(self, extrinsic: Hex) -> str:
        """Put a signed extrinsic into the pool; the answer is its hash."""
        try:
            return hexadecimal(self.backend.transactions.submit(extrinsic))
        except (RuntimeFault, PoolError) as error:
            raise submission_error(error) from None

    @subscription("author_submitAndWatchExtrinsic", "author_unwatchExtrinsic", notifies="author_extrinsicUpdate")
    async def submit_and_watch(self, extrinsic: Hex) -> AsyncGenerator[Any, None]:
        """Put a signed extrinsic into the pool and follow it to finality."""
        try:
            happenings = self.backend.transactions.watch(extrinsic)
        except (RuntimeFault, PoolError) as error:
            raise submission_error(error) from None
        with happenings:
            included = -math.inf
            async for event in happenings:
                if isinstance(event, events.InBlock):
                    included = trio.current_time()
                elif isinstance(event, events.Finalized):
                    # polkadot.js drops an inBlock whose block it still fetches when the next status arrives.
                    await trio.sleep_until(included + FINALIZED_AFTER_SECONDS)
                yield status_json(event)

    @method("author_pendingExtrinsics")
    def pending_extrinsics(self) -> list[str]:
        """The extrinsics in the pool."""
        waiting = self.backend.transactions.pool.transactions()[:MAX_PENDING_SHOWN]
        return [hexadecimal(one.extrinsic) for one in waiting]

    @method("author_removeExtrinsic", unsafe=True)
    def remove_extrinsic(self, bytes_or_hash: ExtrinsicsOrHashes) -> list[str]:
        """Take extrinsics, and those that require them, out of the pool and ban them; the answer is who was there."""
        present = [one for one in bytes_or_hash if one in self.backend.transactions.pool]
        self.backend.transactions.remove_invalid(present)
        return [hexadecimal(one) for one in present]


def submission_error(error: Exception) -> RpcError:
    """The JSON-RPC error of a refused submission."""
    match error:
        case MalformedTransaction():
            return RpcError(errors.BAD_FORMAT, f"Extrinsic has invalid format: {error.detail}", error.detail)
        case InvalidTransaction(kind=Validity.CANNOT_LOOKUP):
            return RpcError(errors.UNKNOWN_VALIDITY, "Unknown Transaction Validity", str(error))
        case InvalidTransaction():
            return RpcError(errors.INVALID_TRANSACTION, "Invalid Transaction", str(error))
        case TemporarilyBanned():
            return RpcError(errors.TEMPORARILY_BANNED, "Transaction is temporarily banned", str(error))
        case AlreadyImported():
            known = hexadecimal(error.transaction_hash)
            return RpcError(errors.ALREADY_IMPORTED, "Transaction Already Imported", known)
        case TooLowPriority():
            return RpcError(errors.PRIORITY_TOO_LOW, f"Priority is too low: ({error.old} vs {error.new})", str(error))
        case CycleDetected():
            return RpcError(errors.CYCLE_DETECTED, "Cycle detected", str(error))
        case ImmediatelyDropped():
            return RpcError(errors.IMMEDIATELY_DROPPED, "Immediately Dropped", str(error))
    return RpcError(errors.BAD_FORMAT, f"Extrinsic has invalid format: {error}")


def status_json(event: events.TransactionEvent) -> Any:
    """A status as `author_extrinsicUpdate` shows it."""
    match event:
        case events.Broadcast(peers):
            return {"broadcast": list(peers)}
        case events.InBlock(block_hash):
            return {"inBlock": hexadecimal(block_hash)}
        case events.Retracted(block_hash):
            return {"retracted": hexadecimal(block_hash)}
        case events.FinalityTimeout(block_hash):
            return {"finalityTimeout": hexadecimal(block_hash)}
        case events.Finalized(block_hash):
            return {"finalized": hexadecimal(block_hash)}
        case events.Usurped(by):
            return {"usurped": hexadecimal(by)}
    return type(event).__name__.lower()
