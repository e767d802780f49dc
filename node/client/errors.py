"""What can go wrong between a program and a chain. Every error is a `ClientError` with one sentence."""

from __future__ import annotations

import enum
from typing import Any


class ClientError(Exception):
    """Base of the client's errors."""


class RemoteError(ClientError):
    """The node cannot be reached, breaks the protocol, or refuses."""


class ConnectionLost(RemoteError):
    """There is no connection to the node, and it did not come back in time."""


class NotTrusted(RemoteError):
    """The certificate of the node's server does not prove that it is the one that was asked for."""


class NoAnswer(ConnectionLost):
    """The node took too long; what was asked may have happened or not."""


class BadAnswer(RemoteError):
    """The node sent something that does not fit the protocol or its own metadata."""


class WrongChain(RemoteError):
    """The node follows another chain than the one that was asked for or that was connected before."""


class CallRefused(RemoteError):
    """The node answered with a JSON-RPC error: `code`, `message` and `data` are its words."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        detail = f": {data}" if data is not None else ""
        super().__init__(f"the node refused ({code}): {message}{detail}")
        self.code, self.message, self.data = code, message, data


class HistoryPruned(RemoteError):
    """The node no longer keeps the state of a block; the text names the blocks that it keeps, where the node tells."""


class UnknownBlock(ClientError):
    """A block was named that is not on the chain."""


class NotSupported(ClientError):
    """The connected chain lacks a call, a storage item, a constant or a type; the text names it."""


class SubmitFailure(enum.Enum):
    """Why a call is in no block. After REFUSED and EXPIRED it never will be; after the others another node may still
    put it into one until its era, 64 blocks, is over."""

    REFUSED = "the node did not take it into its pool"
    DROPPED = "the pool was full and dropped it"
    USURPED = "another transaction of the account took its nonce"
    INVALID = "it became invalid"
    EXPIRED = "the blocks in which it was valid are over"
    UNKNOWN = "its fate was not known when the time was up"


class SubmitFailed(ClientError):
    """A call was not included in a block: `kind` says why, and whether it can still be."""

    def __init__(self, text: str, kind: SubmitFailure = SubmitFailure.REFUSED) -> None:
        super().__init__(text)
        self.kind = kind
