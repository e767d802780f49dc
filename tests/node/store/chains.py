"""Chains and forks of made-up blocks in a store, and the store's trie nodes as a mapping."""

from __future__ import annotations

from node.store.chain_store import ChainStore
from runtime.header import Header
from tests.node.store.conftest import make_block


async def extend(store: ChainStore, count: int, start: Header | None = None, *, best: bool = True) -> list[Header]:
    headers = []
    parent = start or store.best
    for _ in range(count):
        block = make_block(store, parent, {b"number": b"%d" % (parent.number + 1), b"of %d" % parent.number: b"x" * 40})
        await store.commit(block, best=best)
        parent = block.header
        headers.append(parent)
    return headers


async def extend_fork(store: ChainStore, parent: Header, count: int) -> list[Header]:
    headers = []
    for _ in range(count):
        block = make_block(store, parent, {b"fork": b"f" * 40}, b"fork")
        await store.commit(block, best=False)
        parent = block.header
        headers.append(parent)
    return headers


class NodesOf(dict[bytes, bytes]):
    """The store's nodes as the mapping that HexaryTrie reads."""

    def __init__(self, store: ChainStore) -> None:
        super().__init__()
        self.store = store

    def __contains__(self, key: object) -> bool:
        try:
            self.store.get_node(key)  # type: ignore[arg-type]
        except KeyError:
            return False
        return True

    def __getitem__(self, key: bytes) -> bytes:
        return self.store.get_node(key)
