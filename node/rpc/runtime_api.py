"""Runtime API functions behind `state_call`, answered by the Python runtime itself."""

from collections.abc import Callable
from typing import Any

from node.rpc.backend import Backend
from node.rpc.errors import RpcError
from node.rpc.json import hexadecimal
from pallets.transaction_payment import FeeDetails, RuntimeDispatchInfo, TransactionPayment
from runtime.codec import codec_for
from runtime.errors import CodecError, InvalidTransaction
from runtime.header import Header
from runtime.types import U32, U64, AccountId, Bytes
from runtime.validity import validate_transaction
from runtime.version import RuntimeVersion
from runtime.weights import DispatchInfo

METADATA_VERSIONS = (14,)
_OPAQUE = codec_for(Bytes)

ApiFunction = Callable[[Backend, bytes, Header], bytes]
"""Arguments: the node, the SCALE arguments of the function, the block at which it runs."""


def call_runtime(backend: Backend, name: str, data: bytes, block_hash: bytes) -> bytes:
    """The SCALE result of a runtime API function at a block; raises RpcError."""
    function = FUNCTIONS.get(name)
    if function is None:
        raise RpcError(4003, "Client error: Execution failed", f"the runtime has no API function {name}")
    try:
        return function(backend, data, backend.header_at(block_hash))
    except CodecError as error:
        raise RpcError(4003, "Client error: Execution failed", f"the arguments of {name}: {error}") from None


def runtime_version_json(version: RuntimeVersion) -> dict[str, Any]:
    """The version as `state_getRuntimeVersion` shows it."""
    return {
        "specName": version.spec_name,
        "implName": version.impl_name,
        "authoringVersion": version.authoring_version,
        "specVersion": version.spec_version,
        "implVersion": version.impl_version,
        "apis": [[hexadecimal(api), number] for api, number in version.apis],
        "transactionVersion": version.transaction_version,
        "systemVersion": version.state_version,
        "stateVersion": version.state_version,
    }


def _core_version(backend: Backend, data: bytes, block: Header) -> bytes:
    return codec_for(RuntimeVersion).encode(backend.chain.runtime.version)


def _metadata(backend: Backend, data: bytes, block: Header) -> bytes:
    return _OPAQUE.encode(backend.chain.runtime.metadata_v14)


def _metadata_versions(backend: Backend, data: bytes, block: Header) -> bytes:
    return codec_for(tuple[U32, ...]).encode(METADATA_VERSIONS)


def _metadata_at_version(backend: Backend, data: bytes, block: Header) -> bytes:
    if codec_for(U32).decode(data) not in METADATA_VERSIONS:
        return b"\x00"
    return b"\x01" + _metadata(backend, b"", block)


def _account_nonce(backend: Backend, data: bytes, block: Header) -> bytes:
    account = codec_for(AccountId).decode(data)
    with backend.chain.runtime.at(backend.state_at(block.hash)) as runtime:
        return codec_for(U32).encode(runtime.system.nonce(account))


def _slot_duration(backend: Backend, data: bytes, block: Header) -> bytes:
    return codec_for(U64).encode(backend.spec.slot_duration_ms)


def _authorities(backend: Backend, data: bytes, block: Header) -> bytes:
    with backend.chain.runtime.at(backend.state_at(block.hash)) as runtime:
        aura: Any = runtime.pallet("Aura")
        return codec_for(tuple[AccountId, ...]).encode(aura.authorities())


def _query_info(backend: Backend, data: bytes, block: Header) -> bytes:
    fees, info, length = _fees(backend, data)
    with backend.chain.runtime.at(backend.state_at(block.hash)):
        return codec_for(RuntimeDispatchInfo).encode(fees.query_info(info, length))


def _query_fee_details(backend: Backend, data: bytes, block: Header) -> bytes:
    fees, info, length = _fees(backend, data)
    with backend.chain.runtime.at(backend.state_at(block.hash)):
        return codec_for(FeeDetails).encode(fees.fee_details(info, length))


def _fees(backend: Backend, data: bytes) -> tuple[TransactionPayment, DispatchInfo, int]:
    """Arguments of the payment functions: an extrinsic with its length prefix, then its length in bytes (u32)."""
    runtime = backend.chain.runtime
    extrinsic = runtime.extrinsic_codec.decode(data[:-4])
    fees: Any = runtime.pallet("TransactionPayment")
    return fees, runtime.dispatch_info(extrinsic.call), codec_for(U32).decode(data[-4:])


def _validate_transaction(backend: Backend, data: bytes, block: Header) -> bytes:
    """Arguments: source (u8), an extrinsic with its length, a block hash. Answer: Result<ValidTransaction, _>."""
    state = backend.state_at(block.hash)
    try:
        valid = validate_transaction(backend.chain.runtime, block, state, data[1:-32])
    except InvalidTransaction as error:
        return b"\x01" + error.to_scale()
    tags = codec_for(tuple[Bytes, ...])
    numbers = codec_for(U64)
    parts = (
        b"\x00",
        numbers.encode(min(valid.priority, 2**64 - 1)),
        tags.encode(valid.requires),
        tags.encode(valid.provides),
        numbers.encode(min(valid.longevity, 2**64 - 1)),
        bytes([valid.propagate]),
    )
    return b"".join(parts)


FUNCTIONS: dict[str, ApiFunction] = {
    "Core_version": _core_version,
    "Metadata_metadata": _metadata,
    "Metadata_metadata_versions": _metadata_versions,
    "Metadata_metadata_at_version": _metadata_at_version,
    "AccountNonceApi_account_nonce": _account_nonce,
    "TransactionPaymentApi_query_info": _query_info,
    "TransactionPaymentApi_query_fee_details": _query_fee_details,
    "TaggedTransactionQueue_validate_transaction": _validate_transaction,
    "AuraApi_slot_duration": _slot_duration,
    "AuraApi_authorities": _authorities,
}
