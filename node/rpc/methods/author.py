"""`author_*`: extrinsics in, and what becomes of them."""

import math
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import structlog
import trio

from node.rpc import errors
from node.rpc.backend import LAGGED, Backend
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
from runtime.extrinsic import has_right_length
from runtime.types import camel_case

log = structlog.get_logger("rpc")

TOO_LOW_PRIORITY = "The transaction has too low priority to replace another transaction already in the pool."
OVER_THE_LIMIT = "The transaction couldn't enter the pool because of the limit"
"""Substrate's texts, which clients compare."""

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
            raise submission_error(error, extrinsic) from None

    @subscription("author_submitAndWatchExtrinsic", "author_unwatchExtrinsic", notifies="author_extrinsicUpdate")
    async def submit_and_watch(self, extrinsic: Hex) -> AsyncGenerator[Any, None]:
        """Put a signed extrinsic into the pool and follow it to finality."""
        try:
            happenings = self.backend.transactions.watch(extrinsic)
        except (RuntimeFault, PoolError) as error:
            raise submission_error(error, extrinsic) from None
        with happenings:
            included, ended = -math.inf, False
            async for event in happenings:
                ended = isinstance(event, events.LAST_EVENTS)
                if isinstance(event, events.InBlock):
                    included = trio.current_time()
                elif isinstance(event, events.Finalized):
                    # polkadot.js drops an inBlock whose block it still fetches when the next status arrives.
                    await trio.sleep_until(included + FINALIZED_AFTER_SECONDS)
                yield status_json(event)
        if not ended:
            raise RpcError(errors.INTERNAL_ERROR, LAGGED)

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


def submission_error(error: Exception, extrinsic: bytes) -> RpcError:
    """The JSON-RPC error of a refused submission: codes, messages and data are Substrate's, which clients compare.

    What this node knows beyond them goes to its log.
    """
    log.debug("extrinsic refused", reason=str(error))
    match error:
        case MalformedTransaction() if has_right_length(extrinsic):
            detail = f"the runtime cannot decode the extrinsic: {error.detail}"
            return RpcError(errors.VERIFICATION_FAILED, f"Verification Error: {detail}", detail)
        case MalformedTransaction():
            return RpcError(errors.BAD_FORMAT, f"Extrinsic has invalid format: {error.detail}")
        case InvalidTransaction(kind=Validity(is_unknown=True)):
            return RpcError(errors.UNKNOWN_VALIDITY, "Unknown Transaction Validity", camel_case(error.kind.name))
        case InvalidTransaction():
            return RpcError(errors.INVALID_TRANSACTION, "Invalid Transaction", error.text)
        case TemporarilyBanned():
            return RpcError(errors.TEMPORARILY_BANNED, "Transaction is temporarily banned")
        case AlreadyImported():
            known = hexadecimal(error.transaction_hash)
            return RpcError(errors.ALREADY_IMPORTED, "Transaction Already Imported", known)
        case TooLowPriority():
            message = f"Priority is too low: ({error.old} vs {error.new})"
            return RpcError(errors.PRIORITY_TOO_LOW, message, TOO_LOW_PRIORITY)
        case CycleDetected():
            return RpcError(errors.CYCLE_DETECTED, "Cycle Detected")
        case ImmediatelyDropped():
            return RpcError(errors.IMMEDIATELY_DROPPED, "Immediately Dropped", OVER_THE_LIMIT)
    return RpcError(errors.AUTHOR_REFUSED, str(error))


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
