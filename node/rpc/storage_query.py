"""Storage queries of the newer methods: what a client may ask of a block's state, and the answers one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from node.rpc.backend import Backend
from node.rpc.json import hexadecimal
from node.rpc.limits import MAX_KEYS_PER_PAGE
from node.rpc.merkle import closest_descendant_merkle_value
from node.rpc.parameters import bounded_list, hex_bytes, shown_as, text
from node.store.chain_store import ChainStore
from node.store.errors import StateUnavailable
from runtime.crypto import blake2_256
from runtime.header import Header
from runtime.state import StateView

VALUE, HASH, MERKLE_VALUE = "value", "hash", "closestDescendantMerkleValue"
DESCENDANTS_VALUES, DESCENDANTS_HASHES = "descendantsValues", "descendantsHashes"
KINDS = (VALUE, HASH, MERKLE_VALUE, DESCENDANTS_VALUES, DESCENDANTS_HASHES)


@dataclass(frozen=True)
class StorageQuery:
    """One question: about a key, or about all keys that begin with it and come after `start`."""

    key: bytes
    kind: str
    start: bytes | None = None


@shown_as(
    type="array",
    items={
        "type": "object",
        "required": ["key", "type"],
        "properties": {
            "key": {"type": "string"},
            "type": {"enum": list(KINDS)},
            "paginationStartKey": {"type": ["string", "null"]},
        },
    },
)
def storage_queries(value: Any) -> list[StorageQuery]:
    """The queries of a request."""
    return [_query(item) for item in bounded_list(value)]


StorageQueries = Annotated[list[StorageQuery], storage_queries]


def _query(item: Any) -> StorageQuery:
    if not isinstance(item, dict) or not {"key", "type"} <= set(item) <= {"key", "type", "paginationStartKey"}:
        raise ValueError("an item is an object with key and type")
    kind, start = text(item["type"]), item.get("paginationStartKey")
    if kind not in KINDS:
        raise ValueError(f"the type is one of {', '.join(KINDS)}")
    if start is not None and kind not in (DESCENDANTS_VALUES, DESCENDANTS_HASHES):
        raise ValueError("paginationStartKey goes with the descendants types only")
    return StorageQuery(hex_bytes(item["key"]), kind, None if start is None else hex_bytes(start))


def storage_results(backend: Backend, header: Header, queries: list[StorageQuery]) -> Iterator[dict[str, str]]:
    """The answers at a block, {key, and value | hash | closestDescendantMerkleValue}; nothing for what is absent.

    They are read as they are asked for: a later one raises StateUnavailable when the block's state is given up.
    """
    state = backend.chain.store.state(header.hash)
    for query in queries:
        if query.kind == MERKLE_VALUE:
            found = _merkle_value(backend.chain.store, header, query.key)
            if found is not None:
                yield {"key": hexadecimal(query.key), MERKLE_VALUE: hexadecimal(found)}
        elif query.kind in (VALUE, HASH):
            yield from _entry(state, query.key, query.kind == HASH)
        else:
            for key in keys_below(state, query.key, query.start):
                yield from _entry(state, key, query.kind == DESCENDANTS_HASHES)


def keys_below(state: StateView, prefix: bytes, start: bytes | None = None) -> Iterator[bytes]:
    """All keys that begin with a prefix and come after `start`, in byte order, read page by page."""
    while page := state.keys(prefix, start, MAX_KEYS_PER_PAGE):
        yield from page
        start = page[-1]


def _merkle_value(store: ChainStore, header: Header, prefix: bytes) -> bytes | None:
    try:
        return closest_descendant_merkle_value(store.get_node, header.state_root, prefix)
    except KeyError:  # the trie is kept as long as the state
        raise StateUnavailable(header.hash, store.folded.number, store.best.number) from None


def _entry(state: StateView, key: bytes, hashed: bool) -> Iterator[dict[str, str]]:
    value = state.get(key)
    if value is not None:
        shown = {HASH: hexadecimal(blake2_256(value))} if hashed else {VALUE: hexadecimal(value)}
        yield {"key": hexadecimal(key), **shown}
