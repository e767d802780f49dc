"""Commits blocks for ever into the store of the directory that it is given, and says the number of each one."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from node.store.chain_store import ChainStore
from node.store.writer import InlineWriter
from runtime.header import Header
from tests.node.store.conftest import Changes, make_block, make_genesis

WINDOW_BLOCKS = 3
KEYS = 50


def changes_of(number: int) -> Changes:
    """What block `number` of the best chain changes: a function of its number alone."""
    return {
        b"key %03d" % (number * step % KEYS): None if number % 7 == step else b"value %d/%d" % (number, step) * 20
        for step in range(1, 6)
    }


def open_store(path: Path) -> ChainStore:
    store = ChainStore.open(path, window_blocks=WINDOW_BLOCKS, writer=InlineWriter())
    if store.is_empty:
        store.put_genesis(make_genesis())
    return store


async def add_block(store: ChainStore, parent: Header) -> None:
    """A block on the best chain, after a fork block beside it."""
    fork = make_block(store, parent, {b"fork": b"%d" % parent.number * 30}, b"fork")
    if not store.has_state(fork.header.hash):
        await store.commit(fork, best=False)
    await store.commit(make_block(store, parent, changes_of(parent.number + 1)), best=True)


async def main(path: Path) -> None:
    store = open_store(path)
    while True:
        await add_block(store, store.best)
        print(store.best.number, flush=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
