"""`datdot_*` and `state_traceBlock`: proofs of our state trie, and what an extrinsic did, in Python's terms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from node.client.metadata import ChainMetadata, metadata_of
from node.client.values import event_json, to_json
from node.rpc import errors
from node.rpc.backend import Backend
from node.rpc.errors import RpcError, invalid_params
from node.rpc.json import exact_numbers, hexadecimal, optional_hexadecimal
from node.rpc.limits import MAX_PROOF_KEYS, MAX_TRACE_VALUE_BYTES
from node.rpc.parameters import Hash, Hex, Number
from node.rpc.registry import method
from node.rpc.state_proof import prove
from node.rpc.trace import CallTrace, ExtrinsicTrace, Place, StorageStep, stack_of, trace_block, undone_calls
from node.store.errors import StateUnavailable
from runtime.construct import Runtime
from runtime.crypto import blake2_256, ss58_encode
from runtime.errors import DispatchError
from runtime.header import Header
from runtime.limits import STORAGE_KEY_BYTES
from runtime.origin import Origin, Root, Signed

STATE_METHODS = {"read": "Get", "write": "Put", "delete": "Put", "append": "Append"}
"""How `state_traceBlock` names storage operations."""


class DatDotMethods:
    """What no other Substrate chain has."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @method("datdot_getProof")
    def get_proof(self, keys: list[Hex], at: Hash | None = None) -> Any:
        """Values of storage keys, each with the trie nodes that prove it (or its absence) under the block's state root.

        As eth_getProof gives them: RLP nodes from the root down. `node.client.state_proof` checks them.
        """
        if not 0 < len(keys) <= MAX_PROOF_KEYS:
            raise invalid_params(f"keys: 1 to {MAX_PROOF_KEYS} keys are proven at a time")
        if not all(0 < len(key) <= STORAGE_KEY_BYTES for key in keys):
            raise invalid_params(f"keys: a storage key has 1 to {STORAGE_KEY_BYTES} bytes")
        header = self.backend.header_at(at)
        state = self.backend.state_at(header.hash)
        return {
            "block": hexadecimal(header.hash),
            "number": hex(header.number),
            "stateRoot": hexadecimal(header.state_root),
            "storageProof": [
                {
                    "key": hexadecimal(key),
                    "value": optional_hexadecimal(state.get(key)),
                    "proof": [hexadecimal(node) for node in self._prove(header, key)],
                }
                for key in keys
            ],
        }

    @method("datdot_traceExtrinsic", unsafe=True)
    async def trace_extrinsic(self, block_hash: Hash, index: Number) -> Any:
        """Executes a block again up to an extrinsic, and tells its calls, storage operations, events and failure."""
        header, body = self._block(block_hash)
        if index >= len(body):
            raise invalid_params(f"index: the block has {len(body)} extrinsics")
        runtime = self.backend.chain.runtime
        metadata = metadata_of(runtime)
        (trace,) = [one async for one in self._traces(header, body[: index + 1], first=index)]
        return exact_numbers(
            {
                "blockHash": hexadecimal(block_hash),
                "blockNumber": header.number,
                "index": index,
                "extrinsicHash": hexadecimal(blake2_256(body[index])),
                "error": _error_json(metadata, trace.error),
                **_trace_json(runtime, trace),
                "events": [event_json(metadata, record.event) for record in trace.events],
                "isComplete": trace.is_complete,
            }
        )

    @method("state_traceBlock", unsafe=True)
    async def trace_block(
        self, block: Hash, targets: str | None = None, storage_keys: str | None = None, methods: str | None = None
    ) -> Any:
        """Executes a block again; its extrinsics are spans, their storage operations events of the target "state".

        `storage_keys` (hexadecimal prefixes) and `methods` (Get, Put, Append) select events, separated by commas.
        """
        try:
            header, body = self._block(block)
        except RpcError as error:
            return {"traceError": {"error": error.message}}
        prefixes = tuple(one.removeprefix("0x") for one in (storage_keys or "").split(","))
        wanted = set((methods or "").split(",")) - {""} or set(STATE_METHODS.values())
        spans, events = [], []
        async for trace in self._traces(header, body):
            spans.append(
                {"id": trace.index + 1, "parentId": None, "name": "apply_extrinsic", "target": "frame", "wasm": False}
            )
            for step in trace.steps:
                name, key = STATE_METHODS[step.operation], step.key.hex()
                if name in wanted and key.startswith(prefixes):
                    values = {"method": name, "key": key, "value": _cut(step.value) or "None"}
                    events.append({"target": "state", "data": {"stringValues": values}, "parentId": trace.index + 1})
        return {
            "blockTrace": {
                "blockHash": hexadecimal(block),
                "parentHash": hexadecimal(header.parent_hash),
                "tracingTargets": targets or "state",
                "storageKeys": storage_keys or "",
                "methods": methods or "",
                "spans": spans,
                "events": events,
            }
        }

    def _prove(self, header: Header, key: bytes) -> list[bytes]:
        store = self.backend.chain.store
        try:
            return prove(store.get_node, header.state_root, key)
        except KeyError:  # the trie is kept as long as the state
            raise self.backend.state_unavailable(
                StateUnavailable(header.hash, store.folded.number, store.best.number)
            ) from None

    def _block(self, block_hash: bytes) -> tuple[Header, tuple[bytes, ...]]:
        header = self.backend.header_at(block_hash)
        body = self.backend.chain.store.body(block_hash)
        if body is None or header.number == 0:
            raise RpcError(errors.UNKNOWN_BLOCK, "Client error: UnknownBlock: the genesis block executes nothing")
        return header, body

    def _traces(self, header: Header, body: tuple[bytes, ...], first: int = 0) -> AsyncIterator[ExtrinsicTrace]:
        parent = self.backend.header_at(header.parent_hash)
        view = self.backend.state_at(parent.hash)
        chain = self.backend.chain
        return trace_block(chain.runtime, parent, view, header, body, chain.store.get_node, first)


def _trace_json(runtime: Runtime, trace: ExtrinsicTrace) -> dict[str, Any]:
    """The calls as a tree, numbered in the order in which they began, and the storage operations by those numbers."""
    metadata = metadata_of(runtime)
    numbers: dict[int, int] = {}
    undone = {id(call) for call in undone_calls(trace)}

    def call_json(entry: CallTrace) -> dict[str, Any]:
        numbers[id(entry)] = len(numbers)
        return {
            "number": numbers[id(entry)],
            "pallet": entry.call.pallet,
            "call": entry.call.function,
            "args": to_json(metadata, metadata.call_type, entry.call)["args"],
            "origin": _origin_json(entry.origin),
            "error": _error_json(metadata, entry.error),
            "calls": [call_json(inner) for inner in entry.calls],
        }

    def step_json(step: StorageStep) -> dict[str, Any]:
        found = runtime.storage_index.find(step.key)
        described = None if found is None else metadata.item(found.pallet.name, found.item.name)
        keys = None
        if found is not None and found.keys is not None and described is not None:
            kinds = [kind for kind, _ in described.keys]
            keys = [to_json(metadata, kind, key) for kind, key in zip(kinds, found.keys, strict=True)]
        return {
            "operation": step.operation,
            "pallet": None if found is None else found.pallet.name,
            "item": None if found is None else found.item.name,
            "keys": keys,
            "key": hexadecimal(step.key),
            "value": _cut(step.value),
            "valueBytes": None if step.value is None else len(step.value),
            "call": None if step.by is None else numbers[id(step.by)],
            "isUndone": step.by is not None and id(step.by) in undone and step.operation != "read",
        }

    calls = [call_json(call) for call in trace.calls]
    return {"calls": calls, "storage": [step_json(step) for step in trace.steps]}


def _origin_json(origin: Origin) -> Any:
    if isinstance(origin, Signed):
        return {"Signed": ss58_encode(origin.account)}
    return "Root" if isinstance(origin, Root) else "None"


def _error_json(metadata: ChainMetadata, error: DispatchError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    stack = stack_of(error)
    return {
        "name": metadata.error_text(error.to_scale()),
        "detail": str(error),
        "at": _place_text(stack[0]) if stack else None,
        "stack": [f"{_place_text(place)} in {place.function}" for place in stack],
    }


def _place_text(place: Place) -> str:
    return f"{place.file}:{place.line}"


def _cut(value: bytes | None) -> str | None:
    return None if value is None else hexadecimal(value[:MAX_TRACE_VALUE_BYTES])
