"""`archive_v1_*`: blocks and states of the past, as far as this node keeps them.

All headers and bodies of the finalized chain are kept; states for the store's window of blocks. A call or storage query
at an older block is answered with the error that names the window.
"""

from collections.abc import AsyncGenerator, Iterator
from heapq import merge
from typing import Annotated, Any

import trio

from node.rpc.backend import Backend
from node.rpc.errors import RpcError
from node.rpc.json import hexadecimal
from node.rpc.parameters import Hash, Hex, Number, bounded_list, hex_bytes, shown_as, text
from node.rpc.registry import method, subscription
from node.rpc.runtime_api import call_runtime
from node.rpc.storage_query import HASH, VALUE, StorageQueries, keys_below, storage_results
from node.store.errors import StateUnavailable
from runtime.crypto import blake2_256
from runtime.header import Header
from runtime.state import StateView

RESULTS_BETWEEN_PAUSES = 256
"""Other clients get their turn after so many results."""

DIFF_NAMES = {"key", "returnType"}
DiffQuery = tuple[bytes, str]
"""(key prefix, "value" or "hash")"""


@shown_as(type="array", items={"type": "object", "required": ["key", "returnType"]})
def diff_queries(value: Any) -> list[DiffQuery]:
    """The prefixes of a storage difference; entries of child tries are empty, as there are none."""
    queries = []
    for item in bounded_list(value):
        if not isinstance(item, dict) or not DIFF_NAMES <= set(item) <= DIFF_NAMES | {"childTrieKey"}:
            raise ValueError("an item is an object with key and returnType")
        if text(item["returnType"]) not in (VALUE, HASH):
            raise ValueError("returnType is value or hash")
        if item.get("childTrieKey") is None:
            queries.append((hex_bytes(item["key"]), item["returnType"]))
    return queries


DiffQueries = Annotated[list[DiffQuery], diff_queries]


class ArchiveMethods:
    """The family; unknown hashes answer null."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.store = backend.chain.store

    @method("archive_v1_finalizedHeight")
    def finalized_height(self) -> int:
        """The number of the last finalized block."""
        return self.store.finalized.number

    @method("archive_v1_genesisHash")
    def genesis_hash(self) -> str:
        """The hash of block 0."""
        return hexadecimal(self.store.genesis_hash)

    @method("archive_v1_hashByHeight")
    def hash_by_height(self, height: Number) -> list[str]:
        """The hashes of the blocks at a height: one up to the finalized block, above it one for each fork."""
        canonical = self.store.hash_at(height)
        found = [] if canonical is None else [canonical]
        if height > self.store.finalized.number:
            found.extend(one for one in self._on_forks(height) if one != canonical)
        return [hexadecimal(one) for one in found]

    def _on_forks(self, height: int) -> list[bytes]:
        found: dict[bytes, None] = {}
        for leaf in self.store.leaves():
            header: Header | None = leaf
            while header is not None and header.number > height:
                header = self.store.header(header.parent_hash)
            if header is not None and header.number == height:
                found[header.hash] = None
        return list(found)

    @method("archive_v1_header")
    def header(self, hash: Hash) -> str | None:
        """The SCALE header of a block."""
        header = self.store.header(hash)
        return None if header is None else hexadecimal(header.encode())

    @method("archive_v1_body")
    def body(self, hash: Hash) -> list[str] | None:
        """The extrinsics of a block."""
        body = self.store.body(hash)
        return None if body is None else [hexadecimal(extrinsic) for extrinsic in body]

    @method("archive_v1_call")
    def call(self, hash: Hash, function: str, call_parameters: Hex) -> Any:
        """The SCALE result of a runtime API function at a block, or why there is none."""
        if self.store.header(hash) is None:
            return None
        try:
            output = call_runtime(self.backend, function, call_parameters, hash)
        except RpcError as error:
            return {"success": False, "error": f"{error.message}: {error.data}"}
        return {"success": True, "value": hexadecimal(output)}

    @subscription("archive_v1_storage", "archive_v1_stopStorage", notifies="archive_v1_storageEvent")
    async def storage(
        self, hash: Hash, items: StorageQueries, child_trie: Hex | None = None
    ) -> AsyncGenerator[Any, None]:
        """Values, hashes or Merkle values of storage at a block, one by one; there are no child tries."""
        try:
            header = self._header(hash)
            for count, result in enumerate(storage_results(self.backend, header, items if child_trie is None else [])):
                yield {"event": "storage", **result}
                if count % RESULTS_BETWEEN_PAUSES == RESULTS_BETWEEN_PAUSES - 1:
                    await trio.lowlevel.checkpoint()
        except (RpcError, StateUnavailable) as error:
            yield {"event": "storageError", "error": _sentence(error)}
        else:
            yield {"event": "storageDone"}

    @subscription("archive_v1_storageDiff", "archive_v1_stopStorageDiff", notifies="archive_v1_storageDiffEvent")
    async def storage_diff(
        self, hash: Hash, items: DiffQueries, previous_hash: Hash | None = None
    ) -> AsyncGenerator[Any, None]:
        """What differs below key prefixes between two blocks, by default between a block and its parent."""
        try:
            header = self._header(hash)
            before = self._header(header.parent_hash if previous_hash is None else previous_hash)
            states = self.store.state(before.hash), self.store.state(header.hash)
            differences = (one for prefix, kind in items for one in _differences(*states, prefix, kind))
            for count, result in enumerate(differences):
                yield {"event": "storageDiff", **result}
                if count % RESULTS_BETWEEN_PAUSES == RESULTS_BETWEEN_PAUSES - 1:
                    await trio.lowlevel.checkpoint()
        except (RpcError, StateUnavailable) as error:
            yield {"event": "storageDiffError", "error": _sentence(error)}
        else:
            yield {"event": "storageDiffDone"}

    def _header(self, block_hash: bytes) -> Header:
        return self.backend.header_at(block_hash)


def _differences(old: StateView, new: StateView, prefix: bytes, kind: str) -> Iterator[dict[str, str]]:
    """Every key of both states once, in byte order, with what became of it unless it is the same."""
    previous = None
    for key in merge(keys_below(old, prefix), keys_below(new, prefix)):
        if key == previous:
            continue
        previous = key
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        change: dict[str, str] = {"key": hexadecimal(key)}
        if after is None:
            change["type"] = "deleted"
        else:
            change["type"] = "added" if before is None else "modified"
            change[kind] = hexadecimal(after if kind == VALUE else blake2_256(after))
        yield change


def _sentence(error: Exception) -> str:
    return f"{error.message}: {error.data}" if isinstance(error, RpcError) else str(error)
