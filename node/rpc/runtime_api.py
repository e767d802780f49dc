"""Runtime APIs over JSON-RPC: functions at a block, and the runtime's version as clients read it."""

from typing import Any

from node.rpc.backend import Backend
from node.rpc.errors import RpcError
from node.rpc.json import hexadecimal
from runtime.api import UnknownFunction
from runtime.errors import CodecError
from runtime.version import RuntimeVersion


def call_runtime(backend: Backend, name: str, data: bytes, block_hash: bytes) -> bytes:
    """The SCALE result of a runtime API function at a block; raises RpcError."""
    header = backend.header_at(block_hash)
    try:
        return backend.apis_at(block_hash).call(name, data, header, lambda: backend.state_at(block_hash))
    except UnknownFunction as error:
        raise RpcError(4003, "Client error: Execution failed", str(error)) from None
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
