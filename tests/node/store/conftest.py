"""A store that writes on the spot, and a chain of made-up blocks with real tries to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.store.chain_store import ChainStore
from node.store.writer import InlineWriter
from runtime.genesis import ZERO_HASH
from runtime.header import Header, PreRuntime
from runtime.transition import ExecutedBlock, GenesisBlock
from runtime.trie import EMPTY_ROOT, update

Changes = dict[bytes, bytes | None]
GENESIS_STATE: Changes = {b"key %03d" % index: b"genesis value %d" % index * 4 for index in range(30)}


def no_node(node_hash: bytes) -> bytes:
    raise KeyError(node_hash)


def make_genesis(changes: Changes | None = None) -> GenesisBlock:
    state = dict(GENESIS_STATE if changes is None else changes)
    trie = update(no_node, EMPTY_ROOT, state)
    return GenesisBlock(Header(ZERO_HASH, 0, trie.root, EMPTY_ROOT), state, trie)


def make_block(store: ChainStore, parent: Header, changes: Changes, tag: bytes = b"") -> ExecutedBlock:
    """A block on `parent`; `tag` tells blocks of equal content apart."""
    trie = update(store.get_node, parent.state_root, changes)
    digest = (PreRuntime(b"test", tag),)
    header = Header(parent.hash, parent.number + 1, trie.root, EMPTY_ROOT, digest)
    return ExecutedBlock(header, (b"extrinsic " + tag, b"another"), changes, trie, ())


def read_all(store: ChainStore, block_hash: bytes) -> dict[bytes, bytes]:
    view = store.state(block_hash)
    pairs: dict[bytes, bytes] = {}
    start: bytes | None = None
    while page := view.keys(b"", start, 7):
        for key in page:
            value = view.get(key)
            assert value is not None
            pairs[key] = value
        start = page[-1]
    return pairs


@dataclass
class Model:
    """Every state by block hash, as plain dictionaries."""

    states: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)

    def genesis(self, block: GenesisBlock) -> None:
        self.states[block.header.hash] = {key: value for key, value in block.changes.items() if value is not None}

    def block(self, block: ExecutedBlock) -> None:
        state = dict(self.states[block.header.parent_hash])
        for key, value in block.changes.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        self.states[block.header.hash] = state


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChainStore]:
    opened = ChainStore.open(tmp_path / "chain", window_blocks=4, writer=InlineWriter())
    opened.put_genesis(make_genesis())
    yield opened
    opened.close()
