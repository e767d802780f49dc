"""Runtime API functions behind `state_call`, answered by the Python runtime itself."""

from collections.abc import Callable
from typing import Any

from node.rpc.backend import Backend
from node.rpc.errors import RpcError
from node.rpc.json import hexadecimal
from runtime.codec import codec_for
from runtime.errors import CodecError, InvalidTransaction
from runtime.state import StateView
from runtime.types import U32, U64, AccountId, Bytes
from runtime.version import RuntimeVersion

METADATA_VERSIONS = (14,)
_OPAQUE = codec_for(Bytes)

ApiFunction = Callable[[Backend, bytes, StateView], bytes]


def call_runtime(backend: Backend, name: str, data: bytes, block_hash: bytes) -> bytes:
    """The SCALE result of a runtime API function at a block; raises RpcError."""
    function = FUNCTIONS.get(name)
    if function is None:
        raise RpcError(4003, "Client error: Execution failed", f"the runtime has no API function {name}")
    try:
        return function(backend, data, backend.state_at(block_hash))
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


def _core_version(backend: Backend, data: bytes, state: StateView) -> bytes:
    return codec_for(RuntimeVersion).encode(backend.chain.runtime.version)


def _metadata(backend: Backend, data: bytes, state: StateView) -> bytes:
    return _OPAQUE.encode(backend.chain.runtime.metadata_v14)


def _metadata_versions(backend: Backend, data: bytes, state: StateView) -> bytes:
    return codec_for(tuple[U32, ...]).encode(METADATA_VERSIONS)


def _metadata_at_version(backend: Backend, data: bytes, state: StateView) -> bytes:
    if codec_for(U32).decode(data) not in METADATA_VERSIONS:
        return b"\x00"
    return b"\x01" + _metadata(backend, b"", state)


def _account_nonce(backend: Backend, data: bytes, state: StateView) -> bytes:
    account = codec_for(AccountId).decode(data)
    with backend.chain.runtime.at(state) as runtime:
        return codec_for(U32).encode(runtime.system.nonce(account))


def _slot_duration(backend: Backend, data: bytes, state: StateView) -> bytes:
    return codec_for(U64).encode(backend.spec.slot_duration_ms)


def _authorities(backend: Backend, data: bytes, state: StateView) -> bytes:
    with backend.chain.runtime.at(state) as runtime:
        aura: Any = runtime.pallet("Aura")
        return codec_for(tuple[AccountId, ...]).encode(tuple(aura.authorities.get()))


FUNCTIONS: dict[str, ApiFunction] = {
    "Core_version": _core_version,
    "Metadata_metadata": _metadata,
    "Metadata_metadata_versions": _metadata_versions,
    "Metadata_metadata_at_version": _metadata_at_version,
    "AccountNonceApi_account_nonce": _account_nonce,
    "AuraApi_slot_duration": _slot_duration,
    "AuraApi_authorities": _authorities,
}
__all__ = ["FUNCTIONS", "InvalidTransaction", "call_runtime", "runtime_version_json"]
