"""What every key, extrinsic and block costs, whatever it does: the floor under the weights of pallets."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from node.bench.measure import TIME_STEP_PS, Cost, rounded, typical_ns
from node.chain.author import AuthorKey
from node.consensus import aura
from node.keys.keypair import Keypair
from node.store.chain_store import ChainStore
from node.store.writer import InlineWriter
from pallets.randomness import OnionLayers, Randomness
from pallets.randomness.types import ONION_ENGINE
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.crypto import blake2_256
from runtime.extrinsic import SignatureCache, sign_extrinsic
from runtime.genesis import ChainSpec, GenesisBlock, build_genesis, no_node
from runtime.header import Consensus, Header
from runtime.state import DictState
from runtime.transition import BlockExecution, ExecutedBlock
from runtime.trie import EMPTY_ROOT, update

REPETITIONS: Final = 20
STORED_KEYS: Final = 50_000
KEYS_PER_BLOCK: Final = 1_000
VALUE_BYTES: Final = 80
PICOSECONDS_PER_NANOSECOND: Final = 1_000


def typical_ps(operation: Callable[[], object], repetitions: int = REPETITIONS) -> int:
    """Time of an operation, picoseconds."""
    times = []
    operation()
    gc.collect()
    for _ in range(repetitions):
        begin = time.perf_counter_ns()
        operation()
        times.append(time.perf_counter_ns() - begin)
    return typical_ns(times) * PICOSECONDS_PER_NANOSECOND


def database_ps() -> tuple[int, int]:
    """One read from the store and one write (trie and disk, fsync included) among STORED_KEYS keys of 80 bytes."""
    pairs: dict[bytes, bytes | None] = {_key(number): bytes(VALUE_BYTES) for number in range(STORED_KEYS)}
    trie = update(no_node, EMPTY_ROOT, pairs)
    header = Header(bytes(32), 0, trie.root, EMPTY_ROOT)
    wanted = [_key(number * 37 % STORED_KEYS) for number in range(KEYS_PER_BLOCK)]
    with tempfile.TemporaryDirectory(prefix="datdot-bench-") as folder:
        store = ChainStore.open(Path(folder), writer=InlineWriter())
        try:
            store.put_genesis(GenesisBlock(header, pairs, trie))
            view = store.state(header.hash)
            read = typical_ps(lambda: [view.get(key) for key in wanted]) // KEYS_PER_BLOCK
            write = _write_ps(store, trie.root, wanted)
        finally:
            store.close()
    return read, write


def _write_ps(store: ChainStore, root: bytes, wanted: list[bytes]) -> int:
    times = []

    async def commit_blocks() -> None:
        parent, current = store.best, root
        for number in range(1, REPETITIONS + 1):
            changes: dict[bytes, bytes | None] = {key: number.to_bytes(VALUE_BYTES, "little") for key in wanted}
            begin = time.perf_counter_ns()
            trie = update(store.get_node, current, changes)
            header = Header(parent.hash, number, trie.root, EMPTY_ROOT)
            await store.commit(ExecutedBlock(header, (), changes, trie, ()), best=True)
            times.append(time.perf_counter_ns() - begin)
            parent, current = header, trie.root

    trio.run(commit_blocks)
    return typical_ns(times) * PICOSECONDS_PER_NANOSECOND // KEYS_PER_BLOCK


def block_and_extrinsic(runtime: Runtime, spec: ChainSpec, key: Keypair) -> dict[str, Cost]:
    """A block with nothing but its inherent, and a signed call that does nothing: decoded, verified, paid for."""
    genesis = build_genesis(runtime, spec)
    state = DictState()
    state.apply(genesis.changes)
    nodes = dict(genesis.trie.new)
    slot = 1_000_000_000
    digest = (aura.slot_item(slot), Consensus(ONION_ENGINE, _reveal(runtime, state, key, slot)))
    codec = runtime.extrinsic_codec
    inherent = codec.encode_bare(RuntimeCall("Timestamp", "set", {"now": slot * spec.slot_duration_ms}))
    remark = sign_extrinsic(
        codec, runtime.version, RuntimeCall("System", "remark", {"remark": b""}),
        key, nonce=0, genesis_hash=genesis.header.hash,
    )  # fmt: skip

    def begin() -> BlockExecution:
        execution = BlockExecution(runtime, genesis.header, state, digest, nodes.__getitem__)
        execution.initialize()
        execution.apply(inherent)
        return execution

    block = typical_ps(lambda: begin().finalize())
    prepared = [begin() for _ in range(REPETITIONS + 1)]

    def apply() -> None:
        runtime.signatures = SignatureCache()
        prepared.pop().apply(remark)

    extrinsic = typical_ps(apply)
    writes = begin()
    before = len(writes.overlay.changes())
    writes.apply(remark)
    own_writes = len(writes.overlay.changes()) - before
    costs = {"BASE_BLOCK": Cost(block, 0, 0), "BASE_EXTRINSIC": Cost(extrinsic, own_writes, own_writes)}
    return {name: rounded(cost, TIME_STEP_PS) for name, cost in costs.items()}


def _reveal(runtime: Runtime, state: DictState, key: AuthorKey, slot: int) -> bytes:
    randomness = runtime.pallet(Randomness.name)
    assert isinstance(randomness, Randomness)
    with runtime.at(state):
        return randomness.prepare(
            key.account_id, slot, lambda epoch: OnionLayers(key.onion_seed, epoch, randomness.config.epoch_slots)
        )


def _key(number: int) -> bytes:
    return blake2_256(number.to_bytes(4, "little"))
