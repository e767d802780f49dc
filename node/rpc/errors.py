"""JSON-RPC errors with the codes that Substrate clients know.

Sources: JSON-RPC 2.0 section 5.1; polkadot-sdk `rpc-api/src/{author,chain,state,system,policy}/error.rs` and the `rpc`
of `frame/{transaction-payment,system}`; -32006 to -32011 are of its server, jsonrpsee; those from -32800 down of the
JSON-RPC interface specification of Polkadot.
"""

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNSAFE_CALL = METHOD_NOT_FOUND
TOO_MANY_SUBSCRIPTIONS = -32006
RESPONSE_TOO_LARGE = -32008
BATCH_TOO_LARGE = -32010
BATCH_RESPONSE_TOO_LARGE = -32011
REACHED_LIMITS = -32800
INVALID_BLOCK = -32801
INVALID_RUNTIME_CALL = -32802
INVALID_CONTINUE = -32803
DUPLICATE_HASHES = -32804
BAD_FORMAT = 1001
VERIFICATION_FAILED = 1002
INVALID_TRANSACTION = 1010
UNKNOWN_VALIDITY = 1011
TEMPORARILY_BANNED = 1012
ALREADY_IMPORTED = 1013
PRIORITY_TOO_LOW = 1014
CYCLE_DETECTED = 1015
IMMEDIATELY_DROPPED = 1016
AUTHOR_REFUSED = 1040
"""Everything else that goes wrong with `author_*`."""
RUNTIME_ERROR = 1
DECODE_ERROR = 2
"""Of `payment_*` and `system_dryRun`."""
MALFORMED_PEER = 2002
INVALID_BLOCK_RANGE = 4001
INVALID_COUNT = 4002
UNKNOWN_BLOCK = 4003
STATE_UNAVAILABLE = 4003


class RpcError(Exception):
    """An error answer: a code, one sentence, and optional data for the client."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def to_json(self) -> dict[str, Any]:
        """The `error` member of a JSON-RPC response."""
        error = {"code": self.code, "message": self.message}
        return error if self.data is None else {**error, "data": self.data}


def invalid_params(what: str) -> RpcError:
    """INVALID_PARAMS with a sentence that says what is wrong."""
    return RpcError(INVALID_PARAMS, "Invalid params", what)
